"""What the pages about the commands for other programs show, runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import rtc_client.testing
from tests.snippets import Snippet, execute, find_snippets, folder

pytestmark = pytest.mark.real_time("each snippet is a program, most of them place a call")

__all__ = ["folder"]

DOCS = Path(rtc_client.testing.__file__).parent / "docs"
SNIPPETS = [
    pytest.param(snippet, id=f"{page}-{snippet}")
    for page in ("answer", "relay")
    for snippet in find_snippets((DOCS / f"{page}.md").read_text(encoding="utf-8"))
]


@pytest.mark.parametrize("snippet", SNIPPETS)
async def test_snippet_of_the_page_works(snippet: Snippet, folder: Path) -> None:
    """As it stands there."""
    if "curl" in snippet.text and shutil.which("curl") is None:
        pytest.skip("no curl here")
    await execute(snippet, folder)
