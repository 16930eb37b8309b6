"""What the page about cassettes shows, runs."""

from __future__ import annotations

from pathlib import Path

import pytest

import rtc_client.testing
from tests.snippets import Snippet, execute, find_snippets, folder

pytestmark = pytest.mark.real_time("each snippet is a program, most of them place a call")

__all__ = ["folder"]

DOCS = Path(rtc_client.testing.__file__).parent / "docs"


@pytest.mark.parametrize("snippet", find_snippets((DOCS / "cassettes.md").read_text(encoding="utf-8")), ids=str)
async def test_snippet_of_the_page_works(snippet: Snippet, folder: Path) -> None:
    """As it stands there."""
    await execute(snippet, folder)
