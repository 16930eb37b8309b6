"""Promise: `rtc-client answer` is the fake answerer for other programs: ready when it says so, and gone when told."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from rtc_client.audio.wav import write_wav
from tests.behaviour.speech import AGENT_WORDS, SAME, locate
from tests.cli.command import Running, run, running
from tests.cli.test_options import recorded


async def ready(server: Running) -> dict[str, Any]:
    """Return what the first line of a server says."""
    line: dict[str, Any] = json.loads(await server.first_line())
    return line


async def test_a_call_to_it_hears_its_greeting(tmp_path: Path) -> None:
    """The first line names the base, a call of ours to it is a whole call, and SIGTERM ends it with 143."""
    out, voice = tmp_path / "agent.wav", tmp_path / "voice.wav"
    write_wav(voice, AGENT_WORDS)
    async with running("answer", "--voice", str(voice), "--text", "Of course.", key=None) as server:
        line = await ready(server)
        assert line["base_url"] == f"http://127.0.0.1:{line['port']}/v1"
        call = await run(
            "call", "--base-url", line["base_url"], "--max-duration", "2.2", "--out", str(out), "--json", "--quiet"
        )
        server.send(signal.SIGTERM)
        ended = await server.finished()

    assert (call.status, call.stderr) == (0, "")
    assert locate(AGENT_WORDS, recorded(out)).likeness > SAME
    assert [entry["text"].strip() for entry in call.report["transcript"]] == ["Of course."]
    assert (ended.status, ended.stdout, ended.stderr) == (143, "", "")
    assert ended.took_s < 3


async def test_it_ends_its_calls_when_it_is_interrupted(tmp_path: Path) -> None:
    """SIGINT in the midst of a call: the caller is told, in good order, and the status is 130."""
    async with running("answer", "--voice", "tone:300", key=None) as server:
        base_url = (await ready(server))["base_url"]
        async with running("call", "--base-url", base_url, "--json") as call:
            assert call.process.stderr is not None
            assert (await call.process.stderr.readline()).startswith(b"connected: call ")
            server.send(signal.SIGINT)
            call_ended = await call.finished()
        ended = await server.finished()

    assert (ended.status, call_ended.status) == (130, 0)
    assert call_ended.report["end"] == {"reason": "remote_hangup", "by": "server", "detail": ""}


async def test_what_cannot_be_served_is_a_usage_error(tmp_path: Path) -> None:
    """A port that is taken, an address that is not ours, a voice that is none: 2, with one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = await asyncio.gather(
            run("answer", "--port", port),
            run("answer", "--host", "192.0.2.77"),
            run("answer", "--voice", "tone:x"),
            run("answer", "--voice", str(tmp_path / "missing.wav")),
            run("answer", "--port", "70000"),
        )

    assert [(ended.status, len(ended.lines), ended.stdout) for ended in finished] == [(2, 1, "")] * 5
    assert port in finished[0].lines[0]


@pytest.mark.parametrize("verb", ["call", "answer"])
async def test_nobody_reading_stdout_any_more_is_no_traceback(verb: str) -> None:
    """A pipe that was closed early ends in a status, not in a traceback; a server that cannot say where it is ends."""
    async with running("answer", key=None) as server:
        base_url = (await ready(server))["base_url"]
        options = ("--base-url", base_url, "--max-duration", "0.2", "--json", "--quiet") if verb == "call" else ()
        # `true` reads nothing and is gone before the command has started.
        pipe = ("bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "bash")
        finished = await run(verb, *options, before=pipe)

    assert finished.status == 1
    assert len(finished.lines) <= 1
