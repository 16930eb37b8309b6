"""Which pages the documentation has, as hooks of mkdocs: those of the repository, and one for each group of names.

The groups are those of `__all__` in rtc_client/_public.py and rtc_client/testing/_public.py: a comment begins one.
"""

from __future__ import annotations

import html
import re
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parent.parent

FIRST: Final = ("answer", "scenarios", "faults", "strictness", "cassettes", "pytest", "sound", "relay")
TESTING: Final = [
    str(path.relative_to(ROOT))
    for path in sorted(
        (ROOT / "rtc_client/testing/docs").glob("*.md"),
        key=lambda path: (FIRST.index(path.stem) if path.stem in FIRST else len(FIRST), path.stem),
    )
]
REPOSITORY: Final = [
    "README.md",
    "CHANGELOG.md",
    "docs/CONTRIBUTING.md",
    "docs/SECURITY.md",
    "docs/AGENTS.md",
    "tests/README.md",
    "tests/bench/README.md",
    *TESTING,
]
WHOLE_MODULES: Final = {
    "rtc_client.sync": ("Without asyncio", ("connect", "Call", "RealtimeApi")),
    "rtc_client.testing.asserts": ("Assertions on sound", ()),
}


def groups(package: str) -> dict[str, list[str]]:
    """Return the public names of a package, `rtc_client` or `rtc_client.testing`, by what is said above them."""
    text = (ROOT / package.replace(".", "/") / "_public.py").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {}
    title = ""
    for line in text[text.index("__all__ = [") :].splitlines():
        if comment := re.fullmatch(r"    # (.+)", line):
            title = comment[1][0].upper() + comment[1][1:]
        elif names := re.findall(r'"(\w+)"', line):
            found.setdefault(title, []).extend(names)
    return found


def reference() -> dict[str, tuple[str, str]]:
    """Return the title and the text of every page of the reference, by its path."""
    pages: dict[str, tuple[str, str]] = {}
    for package in ("rtc_client", "rtc_client.testing"):
        for group, names in groups(package).items():
            title = group or "The fake answerer"
            text = "".join(f"\n::: {package}.{name}\n" for name in names if f"{package}.{name}" not in WHOLE_MODULES)
            pages[f"reference/{_slug(title)}.md"] = title, f"# {title}\n{text}"
    for module, (title, names) in WHOLE_MODULES.items():
        text = f"# {title}\n\n::: {module}\n    options:\n      show_root_heading: false\n"
        if names:
            text += "      members: false\n" + "".join(f"\n::: {module}.{name}\n" for name in names)
        pages[f"reference/{_slug(title)}.md"] = title, text
    return pages


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Say what the menu shows."""
    config.nav = [
        {"rtc_client": "README.md"},
        {"Concepts": "concepts.md"},
        {"Verbs": "verbs.md"},
        {"The fake answerer": TESTING},
        {"Figures": "tests/bench/README.md"},
        {
            "Working on it": [
                {"Architecture": "architecture.md"},
                {"Contributing": "docs/CONTRIBUTING.md"},
                {"Tests": "tests/README.md"},
                {"Protocol": "protocol.md"},
                {"aiortc": "aiortc.md"},
                {"Security": "docs/SECURITY.md"},
                {"For coding assistants": "docs/AGENTS.md"},
            ]
        },
        {"Changelog": "CHANGELOG.md"},
        {"Reference": ["reference/index.md", *({title: path} for path, (title, _) in reference().items())]},
    ]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the repository, where they are in it, the files that they point to, and the reference."""
    for path in REPOSITORY:
        text = (ROOT / path).read_text(encoding="utf-8")
        files.append(File.generated(config, path, content=text))
        for target in re.findall(r"\]\(([^)#:]+)\)", text):
            file = (ROOT / path).parent.joinpath(target).resolve()
            name = str(file.relative_to(ROOT)) if file.is_relative_to(ROOT) else ""
            if file.is_file() and file.suffix != ".md" and files.get_file_from_path(name) is None:
                files.append(File.generated(config, name, abs_src_path=str(file)))
    for path, (_, text) in reference().items():
        files.append(File.generated(config, path, content=text))
    return files


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Make links of public names, and of `call.method()`, in running text."""
    here = page.file.src_uri
    known = _places() | _places(here)
    a_call = "AnsweredCall" if "testing" in here or "fake" in here else "Call"

    def link(match: re.Match[str]) -> str:
        found = re.match(r"(\w+)((?:\.(?!(?:json|vtt|ogg)\b)\w+)?)", html.unescape(match[1]))
        name, member = found.groups() if found else ("", "")
        place = known.get(a_call if name == "call" and member else name)
        if place is None:
            return match[0]
        return f'<a href="{"../" * here.count("/")}{place}{member}"><code>{match[1]}</code></a>'

    # Outside of code blocks, headings and links.
    parts = re.split(r"(?s)(<pre.*?</pre>|<h[1-6].*?</h[1-6]>|<a .*?</a>)", content)
    parts[::2] = [re.sub(r"(?s)<code>([^<]+)</code>", link, part) for part in parts[::2]]
    return "".join(parts)


def on_post_build(config: MkDocsConfig) -> None:
    """Follow every link of the site.

    Raises:
        PluginError: One leads nowhere.
    """
    site = Path(config.site_dir)
    pages = {path: _Links(path) for path in site.rglob("*.html") if path.name != "404.html"}
    broken = []
    for path, page in pages.items():
        for link in page.links:
            target, _, anchor = unquote(link).partition("#")
            file = path.parent.joinpath(target).resolve() if target else path
            if not file.is_file() or (anchor and file in pages and anchor not in pages[file].anchors):
                broken.append(f"{path.relative_to(site)}: {link}")
    if broken:
        raise PluginError("links that lead nowhere:\n" + "\n".join(broken))


class _Links(HTMLParser):
    """The links of a page into the site, and the places in it that can be linked to."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.anchors: set[str] = {"", "__top"}
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what a tag points to, and by what it can be pointed to."""
        for name, value in attrs:
            if name == "id" and value:
                self.anchors.add(value)
            elif tag == "a" and name == "href" and value and not re.match(r"\w+:|//", value):
                self.links.add(value)


@cache
def _places(page: str = "") -> dict[str, str]:
    """Return where in the reference each public name is; of one that is there twice the first, or that on `page`."""
    found: dict[str, str] = {}
    for path, (_, text) in reference().items():
        if page in ("", path):
            for full in re.findall(r"(?m)^::: (\S+)$", text):
                found.setdefault(full.rpartition(".")[2], f"{path.removesuffix('.md')}.html#{full}")
    return found


def _slug(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
