"""Promises of `cassette`, `call --cassette` and `answer --cassette`: one call is recorded, replayed, compared."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest

from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.cli.command import KEY, run, running

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")

GOLDEN = Path(__file__).parents[2] / "golden"


async def test_a_call_is_recorded_replayed_and_compared(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """By commands alone; the two recordings have the same structure."""
    beep = SpokenTurn(voice=Tone(duration_s=0.5), text="beep", when=AtTime(0.2))
    answerer.script = AgentScript(turns=[beep])
    options = ("--in", "tone:440", "--say", "hi", "--max-duration", "1.5", "--quiet")

    first = await run("call", "--base-url", answerer.base_url, "--cassette", str(tmp_path / "a"), *options)
    assert (first.status, first.stderr) == (0, "")
    async with running("answer", "--cassette", str(tmp_path / "a")) as server:
        base_url = json.loads(await server.first_line())["base_url"]
        second = await run("call", "--base-url", base_url, "--cassette", str(tmp_path / "b"), *options, "--json")
        server.send(signal.SIGTERM)
        await server.finished()

    assert [entry["text"] for entry in second.report["transcript"] if entry["role"] == "agent"] == ["beep"]
    same = await run("cassette", "diff", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (same.status, same.stdout) == (
        0,
        f"no difference in structure between A ({tmp_path / 'a'}) and B ({tmp_path / 'b'})\n",
    )
    assert KEY not in (tmp_path / "a" / "cassette.json").read_text()


async def test_what_differs_is_told_in_lines_or_as_json(tmp_path: Path) -> None:
    """And by the exit status."""
    a, b = (str(GOLDEN / f"{name}.json") for name in ("a_v1_webrtc_default_bases", "a_v1_webrtc_backend_api"))
    lines, told, same, ordered = await asyncio.gather(
        run("cassette", "diff", a, b),
        run("cassette", "diff", a, b, "--json"),
        run("cassette", "diff", a, a, "--json"),
        run("cassette", "diff", a, str(GOLDEN / "f_text_before_sideband.json"), "--sequence"),
    )

    assert lines.status == told.status == ordered.status == 1
    assert "offer request: POST /v1/realtime/calls in A, POST /backend-api/codex/realtime/calls in B" in lines.stdout
    found = json.loads(told.stdout)
    assert found["differ"] is True
    assert found["differences"][0] == {
        "where": "offer request",
        "a": "POST /v1/realtime/calls",
        "b": "POST /backend-api/codex/realtime/calls",
    }
    assert (same.status, json.loads(same.stdout)) == (0, {"differ": False, "differences": []})
    assert "order of messages" in ordered.stdout


async def test_a_recording_becomes_a_cassette(tmp_path: Path) -> None:
    """That does not differ from it."""
    recording = str(GOLDEN / "a_v1_webrtc_happy.json")
    converted = await run("cassette", "convert", recording, str(tmp_path / "call"))
    same = await run("cassette", "diff", recording, str(tmp_path / "call"), "--sequence")

    assert (converted.status, same.status) == (0, 0)


async def test_what_cannot_be_used_is_a_usage_error(tmp_path: Path) -> None:
    """One line each, status 2, and nothing was dialled."""
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")
    recording = str(GOLDEN / "a_v1_webrtc_happy.json")
    finished = await asyncio.gather(
        run("cassette", "diff", str(tmp_path / "none"), recording),
        run("cassette", "convert", recording, str(tmp_path / "photos")),
        run("call", "--base-url", "http://127.0.0.1:1/v1", "--cassette", str(tmp_path / "photos")),
        run("answer", "--cassette", str(tmp_path / "none")),
        run("answer", "--cassette", recording, "--voice", "echo"),
    )

    assert [one.status for one in finished] == [2] * 5
    assert [len(one.lines) for one in finished] == [1] * 5
    assert "is not overwritten" in finished[2].stderr


async def test_a_lenient_answerer_is_asked_for_by_a_flag() -> None:
    """A bare offer gets that far: it is no SDP with audio, and that is all that is said against it."""
    async with running("answer", "--lenient") as server:
        port = json.loads(await server.first_line())["port"]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(
            b"POST /v1/realtime/calls HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/sdp\r\n"
            b"Content-Length: 5\r\nConnection: close\r\n\r\nv=0\r\n"
        )
        answer = (await reader.read()).decode()
        writer.close()
        await writer.wait_closed()
        server.send(signal.SIGTERM)
        await server.finished()

    assert "400 Bad Request" in answer
    assert "the offer holds no audio m-line" in answer
