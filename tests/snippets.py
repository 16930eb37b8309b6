"""Snippets of Markdown pages: found, and run as programs against a fake answerer."""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import math
import os
import re
import signal
import sys
import textwrap
import tomllib
import wave
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parent.parent


SHELLS: Final = ("bash", "sh", "console")


SNIPPET_LIMIT_S: Final = 100.0


SET_UP = re.compile(r"(\./)?(scripts/\w+)\b")


@dataclass(frozen=True)
class Snippet:
    """One fenced block."""

    line: int
    """Where its fence opens, counted from 1."""
    language: str
    text: str
    not_run: str | None
    """Why it is left out, if it is."""

    def __str__(self) -> str:
        return f"{self.language or 'unmarked'}-at-line-{self.line}"


def find_snippets(markdown: str) -> list[Snippet]:
    """Return every fenced block of a Markdown text.

    Raises:
        ValueError: If a fence is not closed, or a `not run` comment stands before no fence.
    """
    snippets: list[Snippet] = []
    lines = enumerate(markdown.splitlines(), start=1)
    reason: str | None = None
    for number, line in lines:
        if comment := re.fullmatch(r"\s*<!-- not run: (.+?) -->\s*", line):
            reason = comment[1]
            continue
        if opening := re.fullmatch(r"(\s*)(`{3,}|~{3,})\s*(\S*).*", line):
            text = _until_closed(lines, opening[2], number)
            snippets.append(Snippet(number, opening[3], textwrap.dedent(text), reason))
            reason = None
        elif line.strip() and reason is not None:
            raise ValueError(f"line {number}: a 'not run' comment must stand right before a fence")
    if reason is not None:
        raise ValueError("the last 'not run' comment stands before no fence")
    return snippets


def _until_closed(lines: Iterator[tuple[int, str]], fence: str, opened_at: int) -> str:
    inside: list[str] = []
    for _, line in lines:
        if re.fullmatch(rf"\s*{re.escape(fence[0])}{{{len(fence)},}}\s*", line):
            return "\n".join(inside) + "\n"
        inside.append(line)
    raise ValueError(f"the fence of line {opened_at} is not closed")


def shell_script(snippet: Snippet) -> str:
    """Return the commands of a shell snippet, without the set-up commands; check that those are there."""
    commands = snippet.text.splitlines()
    if snippet.language == "console":
        commands = [line.removeprefix("$ ") for line in commands if line.startswith("$ ")]
        assert commands, "a console snippet shows its commands behind '$ '"
    kept = []
    for command in commands:
        if set_up := SET_UP.match(command.strip()):
            assert os.access(ROOT / set_up[2], os.X_OK), f"{set_up[2]} cannot be run"
        else:
            kept.append(command)
    return "\n".join(kept)


# --- running ---------------------------------------------------------------------------------------------------------


async def run(command: Sequence[str | Path], folder: Path, base_url: str) -> None:
    """Run a command to its end, with the surroundings of a snippet; what it leaves running is ended too."""
    environment = os.environ | {
        "OPENAI_BASE_URL": base_url,
        "OPENAI_API_KEY": "dummy",
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
    }
    # Into a file: a pipe would be held open by whatever the snippet leaves in the background.
    with (folder.parent / "output.txt").open("w+") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(SNIPPET_LIMIT_S):
                status: int | str = await process.wait()
        except TimeoutError:
            status = f"none within {SNIPPET_LIMIT_S:g} s"
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        output.seek(0)
        said = output.read()
    assert status == 0, f"exit status {status}\n{said}"
    assert "Traceback (most recent call last)" not in said, said


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a snippet runs."""
    folder = tmp_path / "snippet"
    folder.mkdir()
    with wave.open(str(folder / "hello.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(array.array("h", (int(8000 * math.sin(n / 9)) for n in range(24_000))).tobytes())
    return folder


async def execute(snippet: Snippet, folder: Path) -> None:
    """Run a snippet against a fake answerer of its own."""
    if snippet.language == "python":
        is_test = re.search(r"^(async )?def test_", snippet.text, re.MULTILINE)
        file = folder / ("test_snippet.py" if is_test else "snippet.py")
        file.write_text(snippet.text, encoding="utf-8")
        options: list[str | Path] = (
            ["-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder] if is_test else []
        )
        command = [sys.executable, *options, file]
    elif snippet.language in SHELLS:
        script = shell_script(snippet)
        if not script.strip():
            return
        file = folder / "snippet.sh"
        file.write_text(script, encoding="utf-8")
        command = ["bash", "-euxo", "pipefail", file]
    elif snippet.language == "json":
        json.loads(snippet.text)
        return
    elif snippet.language == "toml":
        tomllib.loads(snippet.text)
        return
    elif snippet.language == "text":
        return
    else:
        pytest.fail(f"{snippet}: this test does not know how to run it; mark it 'text', or say why it is not run")

    # Late, so that what is checked without a call is checked even while the fake answerer cannot be imported.
    from rtc_client.testing import FakeAnswerer

    async with FakeAnswerer() as answerer:
        await run(command, folder, answerer.base_url)
