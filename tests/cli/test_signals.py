"""Promise: SIGINT and SIGTERM end the call in good order within three seconds; a second one does not wait at all."""

from __future__ import annotations

import asyncio
import json
import signal
import wave
from pathlib import Path

import pytest

from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import deaf_to_hang_ups
from tests.cli.command import running

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")

LIMIT_S = 3.0


async def test_a_signal_in_the_midst_of_a_call_ends_it_in_good_order(tmp_path: Path) -> None:
    """130 and 143, in time, the result and the recording written, and the server told by REST."""
    await asyncio.gather(*(_signal_mid_call(*case, tmp_path) for case in ((signal.SIGINT, 130), (signal.SIGTERM, 143))))


async def _signal_mid_call(number: signal.Signals, status: int, folder: Path) -> None:
    out, events = folder / f"{status}.wav", folder / f"{status}.jsonl"
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=20), text="on and on")])
    async with FakeAnswerer(script=script) as answerer:
        options = ("--json", "--quiet", "--out", str(out), "--events", str(events), "--in", "tone:440")
        async with running("call", "--base-url", answerer.base_url, *options) as command:
            answered = await answerer.wait_for_call(20)
            await answered.wait_heard(1.0, 20)
            command.send(number)
            finished = await command.finished()

        assert (finished.status, finished.stderr) == (status, "")
        assert finished.took_s < LIMIT_S
        assert answered.hung_up_by_client
    report = finished.report
    assert report["end"] == {"reason": "interrupted", "by": "caller", "detail": ""}
    assert report["error"] is None
    assert report["call_id"] == answered.call_id
    assert report["audio"]["sent"]["packets"] > 40
    with wave.open(str(out)) as recording:
        assert recording.getnframes() / 24_000 > 0.8
    assert json.loads(events.read_text().splitlines()[0])["direction"] == "out"


async def test_a_signal_while_the_answer_is_awaited_ends_the_dialling(answerer: FakeAnswerer) -> None:
    """130 within three seconds although the server says nothing; the report says that there never was a call."""
    answerer.faults.hold_answer()
    async with running("call", "--base-url", answerer.base_url, "--json") as command:
        await answerer.wait_for_request(20)
        command.send(signal.SIGINT)
        finished = await command.finished()

    assert (finished.status, finished.stderr) == (130, "")
    assert finished.took_s < LIMIT_S
    assert finished.report["end"]["reason"] == "interrupted"
    assert finished.report["call_id"] is None


async def test_a_second_signal_ends_the_process_at_once(answerer: FakeAnswerer) -> None:
    """While the first waits for a server that does not answer its hang-up, the second one waits for nothing."""
    asked = asyncio.Event()
    async with (
        deaf_to_hang_ups(answerer.port, asked) as base_url,
        running("call", "--base-url", base_url, "--json", "--quiet") as command,
    ):
        answered = await answerer.wait_for_call(20)
        await answered.wait_heard(0.2, 20)
        command.send(signal.SIGINT)
        async with asyncio.timeout(5):
            await asked.wait()
        command.send(signal.SIGTERM)
        finished = await command.finished()

    assert finished.status == 143
    assert finished.took_s < 0.5


async def test_an_interrupted_call_still_shows_its_report(answerer: FakeAnswerer) -> None:
    """Without `--json` the report for people is printed, and nothing is told as an error."""
    async with running("call", "--base-url", answerer.base_url) as command:
        answered = await answerer.wait_for_call(20)
        await answered.wait_heard(0.2, 20)
        command.send(signal.SIGINT)
        finished = await command.finished()

    assert finished.status == 130
    assert finished.lines == [f"connected: call {answered.call_id}"]
    assert f"call      {answered.call_id}" in finished.stdout
    assert "interrupted by the caller" in finished.stdout
