"""Promise: calls do not disturb one another, neither at the same time nor one after the other.

In real time: `test_twenty_calls_at_once_each_hear_their_own`.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from rtc_client import CallResult, NumpySink, ToneSource, connect
from rtc_client.audio.frames import Samples
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for
from tests.behaviour.speech import cut

N_AT_ONCE = 20
N_IN_A_ROW = 30


@pytest.mark.real_time("twenty calls at once take processor time")
async def test_twenty_calls_at_once_each_hear_their_own(answerer: FakeAnswerer) -> None:
    """Each caller speaks a tone of its own, each call is heard by its own agent, and none loses its sideband."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=3_000, duration_s=1.5), when=AtTime(0.2))])
    frequencies_hz = [400 + 100 * number for number in range(N_AT_ONCE)]

    async def hold(frequency_hz: float) -> tuple[CallResult, Samples]:
        sink = NumpySink()
        config = config_for(answerer, max_duration_s=2.0)
        async with connect(config, source=ToneSource(frequency_hz), sink=sink) as call:
            return await call.wait_ended(), sink.samples

    held = await asyncio.gather(*(hold(frequency_hz) for frequency_hz in frequencies_hz))

    heard_hz = {answered.call_id: loudest_hz(answered.heard) for answered in answerer.calls}
    assert [heard_hz[str(result.call_id)] for result, _ in held] == frequencies_hz
    assert {loudest_hz(cut(samples, 0.8, 1.4)) for _, samples in held} == {3_000}
    assert all(result.error is None and result.events["session.updated"] == 1 for result, _ in held)


async def test_thirty_calls_in_a_row_leave_nothing_behind(answerer: FakeAnswerer) -> None:
    """File descriptors, tasks and threads are as many as after the first; memory hardly grows."""

    async def hold() -> None:
        async with connect(config_for(answerer)):
            pass
        await answerer.calls[-1].ended()

    await hold()
    before = left_open()
    rss_before_bytes = 0
    for number in range(N_IN_A_ROW):
        await hold()
        if number == N_IN_A_ROW // 3:
            gc.collect()
            rss_before_bytes = rss_bytes()
    # Connections that were closed a moment ago are told so in the loop's next turns.
    for _ in range(20):
        await asyncio.sleep(0)

    gc.collect()
    assert left_open() == before
    assert rss_bytes() - rss_before_bytes < 12 * 2**20


def left_open() -> dict[str, int]:
    """Return how much of everything is open right now."""
    return {
        "file descriptors": len(list(Path("/proc/self/fd").iterdir())),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
    }


def rss_bytes() -> int:
    """Return the memory this process has resident."""
    n_pages = int(Path("/proc/self/statm").read_text().split()[1])
    return n_pages * os.sysconf("SC_PAGE_SIZE")


def loudest_hz(samples: Samples) -> int:
    """Return the loudest frequency of a recording, to the nearest 50 Hz."""
    spectrum = np.abs(np.fft.rfft(samples.astype(np.float64)))
    return 50 * round(float(np.argmax(spectrum)) * 24_000 / len(samples) / 50)
