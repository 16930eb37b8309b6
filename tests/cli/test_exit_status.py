"""Promise: every ending of a call has its exit status, one clear line on stderr, and one JSON object with `--json`."""

from __future__ import annotations

import asyncio
import json
import signal
import wave
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rtc_client.testing import FakeAnswerer
from tests.cli.command import Finished, run, running

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")

Spoil = Callable[[FakeAnswerer], object]


@dataclass(frozen=True)
class Case:
    """One way in which a call ends."""

    name: str
    status: int
    reason: str
    error: str | None
    says: str = ""
    spoil: Spoil | None = None
    options: tuple[str, ...] = ()
    least_s: float = 0.0
    most_s: float = 30.0


def _not_ready_once(answerer: FakeAnswerer) -> None:
    answerer.faults.refuse_post(503)


CASES = (
    Case("completed", 0, "max_duration", None, options=("--max-duration", "0.3")),
    Case("503, then 201", 0, "max_duration", None, spoil=_not_ready_once, options=("--max-duration", "0.25")),
    Case(
        "no events, and none needed", 0, "max_duration", None,
        spoil=lambda answerer: answerer.faults.refuse_sideband(403),
        options=("--sideband", "prefer", "--max-duration", "0.5"),
    ),
    Case(
        "401", 3, "refused", "OfferRejected", "HTTP 401: who are you?",
        spoil=lambda answerer: answerer.faults.refuse_post(401, body='{"error":{"message":"who are\\nyou?"}}'),
    ),
    Case(
        "503 again and again", 3, "refused", "OfferRejected", "HTTP 503",
        spoil=lambda answerer: answerer.faults.refuse_post(503, times=5), least_s=2.7,
    ),
    Case(
        "an answer that never comes", 3, "refused", "AnswererUnreachable", "within 10 s",
        spoil=lambda answerer: answerer.faults.hold_answer(), least_s=10,
    ),
    Case(
        "a web page for an answer", 3, "refused", "AnswerInvalid",
        spoil=lambda answerer: answerer.faults.change_answer("<html>", content_type="text/html"),
    ),
    Case(
        "a sideband that refuses", 3, "refused", "SidebandRejected", "HTTP 403",
        spoil=lambda answerer: answerer.faults.refuse_sideband(403),
    ),
    Case(
        "no ICE", 4, "no_media", "MediaTimeout", "ICE did not finish within 15 s",
        spoil=lambda answerer: answerer.faults.dead_candidates(), least_s=15, most_s=38,
    ),
    Case(
        "a wrong fingerprint", 4, "no_media", "DtlsFailed", "certificate",
        spoil=lambda answerer: answerer.faults.wrong_fingerprint(),
    ),
)  # fmt: skip


AT_A_TIME = 4
"""Processes that start at once keep everybody else from the processors."""


async def test_every_ending_has_its_status_its_line_and_its_object() -> None:
    """A few of them at a time, each against an answerer of its own."""
    slots = asyncio.Semaphore(AT_A_TIME)

    async def in_turn(ending: Coroutine[Any, Any, Finished]) -> Finished:
        async with slots:
            return await ending

    endings = (*(_run(case) for case in CASES), _closed_port(), _vanishing(), _killed())
    finished = await asyncio.gather(*(in_turn(ending) for ending in endings))

    for case, ended in zip(CASES, finished, strict=False):
        assert ended.status == case.status, (case.name, ended)
        assert len(ended.lines) == (case.error is not None), (case.name, ended)
        report = ended.report
        assert report["end"]["reason"] == case.reason, (case.name, ended)
        if case.error is None:
            assert report["error"] is None, case.name
        else:
            assert report["error"]["type"] == case.error, (case.name, ended)
            assert ended.lines[0].startswith(f"rtc-client: {report['error']['message']}"), case.name
            assert case.says in ended.lines[0], (case.name, ended)
        assert case.least_s <= ended.took_s <= case.most_s, (case.name, ended)


async def _run(case: Case) -> Finished:
    async with FakeAnswerer() as answerer:
        if case.spoil is not None:
            case.spoil(answerer)
        base = ("--base-url", answerer.base_url, "--json", "--quiet")
        finished = await run("call", *base, *case.options)
        # Every call that was named is told to be over, and none more than once.
        named = finished.report["call_id"]
        hangups = [request for request in answerer.requests if request.path.endswith("/hangup")]
        assert [request.path.split("/")[-2] for request in hangups] == ([] if named is None else [named]), case.name
        return finished


async def _closed_port() -> Finished:
    """Nobody at the port: five tries, then 3."""
    async with FakeAnswerer() as answerer:
        base_url = answerer.base_url
    finished = await run("call", "--base-url", base_url, "--json", "--quiet")
    assert (finished.status, len(finished.lines)) == (3, 1)
    assert finished.report["error"]["type"] == "AnswererUnreachable"
    assert finished.report["end"] == finished.report["end"] | {"reason": "refused", "by": "network"}
    assert 2.7 <= finished.took_s <= 30
    return finished


async def _vanishing() -> Finished:
    """The server vanishes in the midst of the call and tells nobody: 5, after 12 s of silence."""
    async with FakeAnswerer() as answerer:
        async with running("call", "--base-url", answerer.base_url, "--json", "--quiet") as command:
            answered = await answerer.wait_for_call(20)
            await answered.wait_heard(0.5, 20)
            answered.vanish()
            finished = await command.finished()
        assert (finished.status, len(finished.lines)) == (5, 1)
        assert finished.report["error"]["type"] == "CallLost"
        assert finished.report["end"]["reason"] == "lost"
        assert finished.report["call_id"] in finished.lines[0]
        assert answered.hung_up_by_client
    return finished


async def _killed() -> Finished:
    """The server's process is killed in the midst of the call: 5."""
    async with running("answer") as server:
        base_url = json.loads(await server.first_line())["base_url"]
        async with running("call", "--base-url", base_url, "--json") as command:
            assert command.process.stderr is not None
            assert (await command.process.stderr.readline()).startswith(b"connected: call ")
            server.process.send_signal(signal.SIGKILL)
            finished = await command.finished()
    assert finished.status == 5
    assert finished.report["error"]["type"] == "CallLost"
    return finished


async def test_a_hang_up_by_the_server_completes_the_call(answerer: FakeAnswerer) -> None:
    """Exit status 0, no line of error, and a report that says who it was."""
    async with running("call", "--base-url", answerer.base_url, "--json", "--quiet") as command:
        answered = await answerer.wait_for_call(20)
        await answered.sideband_joined()
        await answered.wait_heard(0.2)
        await answered.hang_up()
        finished = await command.finished()

    assert (finished.status, finished.stderr) == (0, "")
    assert finished.report["end"]["by"] == "server"


async def test_a_disk_that_fills_up_in_the_midst_of_the_call_ends_it(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Neither the server's fault nor a usage error: status 1, with the system's words; what fitted can be played."""
    out = tmp_path / "agent.wav"
    options = ("call", "--base-url", answerer.base_url, "--json", "--quiet", "--out", str(out))
    # A measurement of coverage in that process could not write its own file either.
    env = {"COVERAGE_PROCESS_CONFIG": "", "COVERAGE_PROCESS_START": ""}
    finished = await run(*options, env=env, before=("bash", "-c", 'ulimit -f 120; exec "$@"', "bash"))

    assert (finished.status, len(finished.lines)) == (1, 1)
    assert finished.report["error"]["type"] == "SinkFailed"
    assert "File too large" in finished.lines[0]
    with wave.open(str(out)) as recording:
        assert recording.getnframes() > 24_000
    assert answerer.calls[0].hung_up_by_client


async def test_a_disk_that_is_full_is_told_before_anything_is_sent(answerer: FakeAnswerer) -> None:
    """A recording of which not even the first byte can be written: a usage error."""
    finished = await run("call", "--base-url", answerer.base_url, "--out", "/dev/full", "--json")

    assert (finished.status, len(finished.lines)) == (2, 1)
    assert "no space left on device" in finished.lines[0]
    assert finished.report["error"]["type"] == "AudioFileUnreadable"
    assert answerer.requests == []
