"""What README.md shows, runs: every snippet is taken out of it and executed.

A fence is run according to its language:

    python            as a script; by pytest, if it defines a test
    bash, sh, console from top to bottom in one shell (of a console only what follows `$ `); `./scripts/demo` and
                      `./scripts/test` are not run again, but must be there
    json, toml        must parse
    text              is read by people only

Any other language, or none, fails: a snippet is never left out in silence. To leave one out say why, on the line
before the fence: `<!-- not run: needs a microphone -->`.

Snippets run in a folder of their own, which holds `hello.wav` (a second of tone) and nothing else, with the command
`rtc-client` in reach, OPENAI_BASE_URL naming a fake answerer, and OPENAI_API_KEY set to a dummy.
"""

from __future__ import annotations

import contextlib
import os
import select
from pathlib import Path
from typing import Final

import pytest

from tests.snippets import ROOT, SHELLS, Snippet, execute, find_snippets, folder, run, shell_script

__all__ = ["folder"]

pytestmark = pytest.mark.real_time("each snippet is a program, most of them place a call")


README: Final = ROOT / "README.md"


def readme_snippets() -> list[Snippet]:
    return find_snippets(README.read_text(encoding="utf-8"))


@pytest.mark.parametrize("snippet", readme_snippets(), ids=str)
async def test_snippet_of_the_readme_works(snippet: Snippet, folder: Path) -> None:
    """What the README shows works as it stands there."""
    if snippet.not_run is not None:
        pytest.skip(snippet.not_run)
    await execute(snippet, folder)


# --- the extraction itself -------------------------------------------------------------------------------------------


def test_readme_begins_with_its_two_commands() -> None:
    """The first thing to copy is ./scripts/demo, and ./scripts/test is there too."""
    shown = [snippet.text for snippet in readme_snippets() if snippet.language in SHELLS]

    assert shown, "the README shows no command at all"
    assert "scripts/demo" in shown[0]
    assert "scripts/test" in "".join(shown)


def test_fences_are_found_with_their_language_and_place() -> None:
    """Nested, indented and tilde fences are found whole, each with its line and its language."""
    markdown = "text\n\n````python\n```\n````\n- item\n\n  ```bash\n  ls\n    ls\n  ```\n~~~\nx\n~~~\n"

    assert find_snippets(markdown) == [
        Snippet(3, "python", "```\n", None),
        Snippet(8, "bash", "ls\n  ls\n", None),
        Snippet(12, "", "x\n", None),
    ]


def test_reason_belongs_to_the_next_fence_only() -> None:
    """A `not run` comment leaves out the fence behind it, not the one after that."""
    markdown = "<!-- not run: needs a key -->\n\n```bash\nx\n```\n\n```bash\ny\n```\n"

    assert [snippet.not_run for snippet in find_snippets(markdown)] == ["needs a key", None]


@pytest.mark.parametrize(
    "markdown",
    ["```python\nx", "<!-- not run: lost -->\ntext\n```bash\nx\n```\n", "```bash\nx\n```\n<!-- not run: lost -->\n"],
)
def test_misplaced_mark_is_refused(markdown: str) -> None:
    """An open fence, or a comment that belongs to no fence, is an error rather than a snippet less."""
    with pytest.raises(ValueError, match="fence"):
        find_snippets(markdown)


@pytest.mark.parametrize("language", ["", "py", "javascript"])
async def test_unknown_language_is_refused(language: str, folder: Path) -> None:
    """A fence that is not understood fails instead of being skipped."""
    with pytest.raises(pytest.fail.Exception, match="does not know how"):
        await execute(Snippet(1, language, "x\n", None), folder)


def test_set_up_commands_are_left_out_and_must_exist() -> None:
    """The set-up commands are checked, not run; what stands beside them stays."""
    snippet = Snippet(1, "bash", "./scripts/demo   # hear it\n./scripts/test -k x\nrtc-client --help\n", None)

    assert shell_script(snippet) == "rtc-client --help"
    with pytest.raises(AssertionError, match="scripts/gone"):
        shell_script(Snippet(1, "console", "$ ./scripts/gone\n", None))


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["bash", "-c", "exit 3"], "exit status 3"),
        (["bash", "-c", "echo Traceback '(most recent call last)'"], "Traceback"),
    ],
)
async def test_failing_snippet_is_noticed(command: list[str], complaint: str, folder: Path) -> None:
    """A snippet that ends badly fails the test with what it said."""
    with pytest.raises(AssertionError, match=complaint):
        await run(command, folder, "http://127.0.0.1:1/v1")


async def test_background_command_ends_with_its_snippet(folder: Path) -> None:
    """What a snippet leaves running in the background is ended, and does not delay the test."""
    await run(["bash", "-c", "sleep 1000 & echo $! >pid"], folder, "http://127.0.0.1:1/v1")

    with contextlib.suppress(ProcessLookupError):  # it is gone already
        left = os.pidfd_open(int((folder / "pid").read_text()))
        ended, _, _ = select.select([left], [], [], 5.0)
        os.close(left)
        assert ended
