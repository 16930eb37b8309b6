"""Promise: `rtc-client transcribe` prints what was said, as it settles; `rtc-client call` may go over a websocket."""

from __future__ import annotations

import asyncio
import json
import os
import pty
from pathlib import Path

import pytest

from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.testing import AgentScript, FakeAnswerer
from tests.cli.command import COMMAND, environment, run

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


async def test_a_file_is_written_down_line_by_line(answerer: FakeAnswerer) -> None:
    """On a pipe: the settled text and a line break, nothing on stderr, no violation."""
    answerer.script = AgentScript(caller_text="When does the museum open?")

    finished = await run("transcribe", str(CALLER_SPEECH), "--base-url", answerer.base_url, "--linger", "1")

    assert (finished.status, finished.stdout, finished.stderr) == (0, "When does the museum open?\n", "")
    assert answerer.violations == []


async def test_json_is_the_result(answerer: FakeAnswerer) -> None:
    """One object, with the entries of the transcript, as `call --json` prints it."""
    answerer.script = AgentScript(caller_text="Hello")

    finished = await run("transcribe", str(CALLER_SPEECH), "--base-url", answerer.base_url, "--linger", "1", "--json")

    assert [(entry["role"], entry["text"]) for entry in finished.report["transcript"]] == [("caller", "Hello")]
    assert finished.report["transport_path"] == "websocket"


async def test_a_terminal_shows_the_text_that_is_growing(answerer: FakeAnswerer) -> None:
    """Before the turn is over its first words are to be seen; in the end the whole of it stands there."""
    answerer.script = AgentScript(caller_text="one two three four five six seven")
    master, slave = pty.openpty()
    arguments = ("transcribe", str(CALLER_SPEECH), "--base-url", answerer.base_url, "--linger", "0.8")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, stdout=slave, stderr=slave, env=environment(more={"TERM": "xterm"})
    )
    os.close(slave)
    shown = await asyncio.to_thread(_read_all, master)
    os.close(master)

    assert await process.wait() == 0
    assert "one two" in shown.partition("seven")[0]
    assert "one two three four five six seven" in shown


def _read_all(terminal: int) -> str:
    data = b""
    while True:
        try:
            block = os.read(terminal, 65_536)
        except OSError:  # how a terminal tells that nobody is at its other end
            return data.decode(errors="replace")
        if not block:
            return data.decode(errors="replace")
        data += block


@pytest.mark.parametrize(("source", "words"), [("nowhere.wav", "nowhere.wav")])
async def test_what_cannot_be_heard_is_told_in_one_line(source: str, words: str) -> None:
    """Status 2, and nothing was sent."""
    finished = await run("transcribe", source, "--base-url", "http://127.0.0.1:9/v1")

    assert finished.status == 2
    (line,) = finished.lines
    assert words in line


async def test_a_refused_handshake_is_status_3(answerer: FakeAnswerer) -> None:
    """As a refused offer is."""
    with answerer.faults.refuse_sideband(403):
        finished = await run("transcribe", str(CALLER_SPEECH), "--base-url", answerer.base_url)

    assert finished.status == 3
    assert finished.lines == ["rtc-client: the server refused the websocket with HTTP 403"]


async def test_a_call_goes_over_a_websocket(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """With every frame in the events file, the sound among them, and the report of a call."""
    events = tmp_path / "events.jsonl"
    options = ("--transport", "websocket", "--version", "v2", "--in", "tone:440", "--max-duration", "0.5")

    finished = await run("call", "--base-url", answerer.base_url, *options, "--events", str(events), "--json")

    assert finished.status == 0
    assert finished.report["transport_path"] == "websocket"
    types = {json.loads(line)["event"]["type"] for line in events.read_text().splitlines()}
    assert {"session.update", "session.updated", "input_audio_buffer.append"} <= types
    assert answerer.violations == []


async def test_v2_needs_the_websocket(answerer: FakeAnswerer) -> None:
    """The sentence says so, before anything is sent."""
    finished = await run("call", "--base-url", answerer.base_url, "--version", "v2")

    assert finished.status == 2
    assert "websocket transport" in finished.lines[0]
    assert answerer.requests == []
