"""What code and documents cite is there: sections of the protocol and of aiortc's limits, and every path named."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = ROOT / "docs" / "pages"
SECTION = r"[0-9]+[a-z]?(?:\.[0-9]+)?"
CITATION = re.compile(
    rf"(?<![\w/-])(protocol|aiortc)\.md\s+(?:#\s*)?sections?\s+((?:{SECTION}(?:,\s+|\s+and\s+|\s+to\s+)?)+)"
)
GUIDES = ["docs/CONTRIBUTING.md", "docs/SECURITY.md", "docs/AGENTS.md", "docs/pages/architecture.md", "tests/README.md"]


CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]["contracts"]
LAYERS = {
    container: contract["layers"]
    for contract in CONTRACTS
    if contract["type"] == "layers"
    for container in contract["containers"]
}


def citations() -> Iterator[tuple[Path, str, str]]:
    """Yield file, page and section of every citation in the code."""
    for folder in ("rtc_client", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            # A citation may go on in the next line of a docstring or a comment.
            text = re.sub(r"\n\s*(?:#\s)?", " ", path.read_text(encoding="utf-8"))
            for page, sections in CITATION.findall(text):
                for section in re.findall(SECTION, sections):
                    yield path, page, section


def test_every_section_that_the_code_cites_is_there() -> None:
    """It has an anchor of its own, which stays when headings change."""
    found = list(citations())
    anchors = {page: (PAGES / f"{page}.md").read_text(encoding="utf-8") for page in ("protocol", "aiortc")}
    missing = {
        f"{path.relative_to(ROOT)}: {page}.md section {section}"
        for path, page, section in found
        if f'<a id="section-{section.replace(".", "-")}">' not in anchors[page]
    }

    assert len(found) > 50
    assert missing == set()


def test_no_document_is_cited_that_is_not_here() -> None:
    """The notes from which the pages were written have other names."""
    gone = re.compile(r"wire-protocol|aiortc-limits|(?<![\w/])performance\.md")
    for folder in ("rtc_client", "tests", "docs", "scripts"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".py", ".md", "") and path.is_file() and path != Path(__file__):
                assert not gone.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_in_a_guide_exists(guide: str) -> None:
    """What stands in backticks and has a slash and an ending is a path from the root, or from the guide's folder."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    folders = (ROOT, (ROOT / guide).parent, ROOT / "rtc_client")
    paths = [path for path in re.findall(r"`([\w./-]+/[\w.-]+\.(?:py|md|toml|sdp))`", text) if "*" not in path]
    missing = [path for path in paths if not any((folder / path).exists() for folder in folders)]

    assert paths
    assert missing == []


def test_the_layers_in_the_architecture_are_those_of_the_contracts() -> None:
    """Those of the rooms, from the top down, and those inside five rooms."""
    page = (PAGES / "architecture.md").read_text(encoding="utf-8")
    rooms, inside = re.findall(r"```text\n(.*?)```", page, re.DOTALL)[:2]
    shown: dict[str, str] = {}
    for line in inside.splitlines():
        name, _, layers = line.partition(" ")
        last = name or list(shown)[-1]
        shown[last] = f"{shown.get(last, '')} {layers.strip()}".strip()

    assert [re.split(r"\s{3,}", line)[0] for line in rooms.splitlines()] == LAYERS.pop("rtc_client")
    assert shown == {container.rpartition(".")[2]: " > ".join(layers) for container, layers in LAYERS.items()}


def test_the_table_of_rooms_says_what_each_room_says_of_itself() -> None:
    """The sentence of a sub-room is the docstring of its package."""
    page = (PAGES / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(rtc_client/\w+/\w+)` \| (.*) \|$", page, re.MULTILINE))
    packages = {
        str(path.parent.relative_to(ROOT)): ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
        for path in (ROOT / "rtc_client").glob("*/*/__init__.py")
    }

    assert rows == packages
