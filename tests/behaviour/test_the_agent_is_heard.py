"""Promise: what is said is heard; the recording of the agent has it in its place and is as long as the call.

In real time: `test_both_sentences_of_a_call_are_heard_whole`.
"""

from __future__ import annotations

import asyncio
import wave
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from rtc_client import CallbackSink, FileSource, NumpySink, PcmFrame, TeeSink, WavSink, connect
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn
from tests.behaviour.calls import config_for
from tests.behaviour.speech import AGENT, AGENT_WORDS, CALLER, SAME, cut, locate, seconds

LATENCY_S = 0.3
"""From the agent's mouth to our recording: his 20 ms clock, the codec, the jitter buffer."""


@pytest.mark.both_clocks
async def test_both_sentences_of_a_call_are_heard_whole(answerer: FakeAnswerer) -> None:
    """The agent's sample is in what the sink got, where the agent played it, and the caller's in what he heard."""
    turn = SpokenTurn(voice=Clip(AGENT), when=AtTime(0.4))
    answerer.script = AgentScript(turns=[turn], hang_up_when_done=True)
    sink = NumpySink()

    async with connect(config_for(answerer, linger_s=9), source=FileSource(CALLER_SPEECH), sink=sink) as call:
        result = await call.wait_ended()

    agent = locate(AGENT, sink.samples)
    assert agent.likeness > SAME
    assert 0.4 <= agent.at_s <= 0.4 + LATENCY_S
    assert result.duration_s == pytest.approx(seconds(sink.samples), abs=0.1)
    await answerer.calls[0].ended()
    caller = locate(CALLER, answerer.calls[0].heard)
    assert caller.likeness > SAME
    assert caller.at_s < 0.1


async def test_a_pause_of_the_agent_is_as_long_in_the_recording() -> None:
    """Two utterances lie as far apart as they were said, whether the agent fills its pauses with packets or not."""
    await asyncio.gather(_check_pause("send"), _check_pause("nothing"))


async def _check_pause(silence: Literal["send", "nothing"]) -> None:
    turns = [SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(at_s)) for at_s in (0.2, 1.8)]
    sink = NumpySink()
    async with (
        FakeAnswerer(script=AgentScript(turns=turns, silence=silence)) as answerer,
        connect(config_for(answerer, max_duration_s=3.5), sink=sink) as call,
    ):
        result = await call.wait_ended()

    first, second = (locate(AGENT_WORDS, part) for part in (cut(sink.samples, 0, 1.75), cut(sink.samples, 1.75, 9)))
    assert min(first.likeness, second.likeness) > SAME
    assert 0.2 <= first.at_s <= 0.2 + LATENCY_S
    assert (1.75 + second.at_s) - first.at_s == pytest.approx(1.6, abs=0.06)
    assert result.duration_s == pytest.approx(3.5, abs=0.15)
    assert seconds(sink.samples) == pytest.approx(result.duration_s, abs=0.03)


async def test_an_agent_that_never_sends_anything_makes_a_silent_recording_of_the_whole_call(
    answerer: FakeAnswerer,
) -> None:
    """Without a single packet the recording is as long as the call, and silent."""
    answerer.script = AgentScript(silence="nothing")
    sink = NumpySink()

    async with connect(config_for(answerer, max_duration_s=1.0), sink=sink) as call:
        result = await call.wait_ended()

    assert result.received.packets == 0
    assert result.duration_s is not None
    assert seconds(sink.samples) == pytest.approx(result.duration_s, abs=0.03)
    assert not np.any(sink.samples)


async def test_every_kind_of_sink_gets_the_same(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """A WAV file, a callback, a coroutine and an array, teed from one call, hold the same samples."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS))], hang_up_when_done=True)
    called: list[PcmFrame] = []
    awaited: list[PcmFrame] = []

    async def later(frame: PcmFrame) -> None:
        awaited.append(frame)

    array, file = NumpySink(), WavSink(tmp_path / "agent.wav")
    sink = TeeSink(array, file, CallbackSink(called.append), CallbackSink(later))
    async with connect(config_for(answerer), sink=sink) as call:
        await call.wait_ended()

    with wave.open(str(file.path)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (24_000, 1, 2)
        written = np.frombuffer(recording.readframes(recording.getnframes()), dtype=np.int16)
    assert locate(AGENT_WORDS, array.samples).likeness > SAME
    assert np.array_equal(written, array.samples)
    for frames in (called, awaited):
        assert np.array_equal(np.concatenate([frame.samples for frame in frames]), array.samples)
        assert [frame.position_samples for frame in frames] == [0, *[frame.end_samples for frame in frames[:-1]]]
