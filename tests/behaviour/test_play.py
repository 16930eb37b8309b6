"""Promise: a file can be said into a running call, and who waits for a task can hear that somebody is at work.

In real time: `test_a_file_is_said_into_a_muted_call_and_the_call_outlasts_it`.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from rtc_client import (
    ArraySource,
    CallClosed,
    ClipSource,
    EndReason,
    FileSource,
    HandoffRequest,
    HandoffSettings,
    NumpySink,
    OpusClip,
    ToneSource,
    connect,
)
from rtc_client.audio.pcm import level_dbfs
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.testing import FakeAnswerer, RequestHandoff, Scenario
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import CALLER_WORDS, SAME, locate


@pytest.mark.both_clocks
async def test_a_file_is_said_into_a_muted_call_and_the_call_outlasts_it(answerer: FakeAnswerer) -> None:
    """The agent hears it whole; the source that was over before does not end the call meanwhile."""
    config = config_for(answerer, linger_s=0.3)

    async with connect(config, source=ArraySource(np.ones(2_400, dtype=np.int16))) as call:
        call.mute()
        await call.play(ArraySource(CALLER_WORDS))
        played_s = call.elapsed_s
        result = await call.wait_ended()
        with pytest.raises(CallClosed):
            await call.play(FileSource(CALLER_SPEECH))

    assert locate(CALLER_WORDS, answerer.calls[0].heard).likeness > SAME
    assert played_s == pytest.approx(len(CALLER_WORDS) / 24_000, abs=0.2)
    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED
    assert result.duration_s == pytest.approx(played_s + 0.3, abs=0.2)


async def test_ready_packets_give_way_and_go_on(answerer: FakeAnswerer) -> None:
    """A source that need not be encoded is decoded for as long as something is said over it; the end of the call ends
    what is said."""
    clip = await asyncio.to_thread(OpusClip.from_array, np.zeros(48_000, dtype=np.int16))

    async with connect(config_for(answerer), source=ClipSource(clip, repeat=True)) as call:
        answered = await answerer.wait_for_call()
        await call.play(ToneSource(440, duration_s=0.2))
        tone = asyncio.create_task(call.play(ToneSource(880)))
        await answered.wait_heard(0.6)
        await call.hangup()
        with pytest.raises(CallClosed):
            await tone

    assert level_dbfs(answered.heard[4_800:]) > -30


async def test_who_waits_for_a_task_hears_it(answerer: FakeAnswerer) -> None:
    """The sound is at the caller's ear while the handler works; it is not sent, and no voice of the agent."""
    answerer.scenario = Scenario(steps=[RequestHandoff(input_transcript="look it up")])
    sink, sent = NumpySink(), NumpySink()
    config = config_for(answerer, handoffs=HandoffSettings(hold="tone", hold_after_s=0.0))
    is_enough = asyncio.Event()

    async def look(request: HandoffRequest) -> str:
        await is_enough.wait()
        return "ten o'clock"

    async with connect(config, sink=sink, caller_sink=sent, handoff=look) as call:
        await until(lambda: np.abs(sink.samples.astype(int)).max(initial=0) > 200)
        is_enough.set()
        await until(lambda: np.abs(sink.samples[-2_400:].astype(int)).max() < 10)

    assert not sent.samples.any()
    assert call.result.received.level_dbfs is not None
    assert call.result.received.level_dbfs < -80
