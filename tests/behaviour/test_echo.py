"""Promise: a caller at a loudspeaker does not let the agent hear itself, or is told so, once.

In real time: `test_half_duplex_keeps_the_agent_from_hearing_itself`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

import numpy as np
import pytest

from rtc_client import (
    EchoCancelledSource,
    EchoDetected,
    EchoSettings,
    FileSource,
    HandoffEnded,
    HandoffRequest,
    HandoffSettings,
    NullSink,
    NumpySink,
    OggRecorder,
    PcmFrame,
    SequenceSource,
    Source,
    TeeSink,
    connect,
)
from rtc_client.audio.echo.config import EchoMode
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.sinks.base import Tap
from rtc_client.call.call import Call
from rtc_client.call.media.echo_wiring import with_echo_control
from rtc_client.call.media.webrtc_setup import Connections
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.clock import MonotonicClock
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, RequestHandoff, Scenario, SpokenTurn
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import AGENT, CALLER, SAME, locate

OUT_S: Final = 0.03
IN_S: Final = 0.01
"""What the loudspeaker and the microphone hold."""
ECHO_FRAMES: Final = 4
"""80 ms from writing to reading, so 40 ms through the air."""


class Loudspeaker:
    """Plays into a room in memory, and knows when it is heard."""

    def __init__(self) -> None:
        self.tap: Tap | None = None
        self.air: deque[Samples] = deque([SILENCE] * ECHO_FRAMES)
        self.heard_s: float | None = None
        self.queued_samples = 0
        self.played_samples = 0
        self.loudest = 0
        self._now_s = MonotonicClock().now_s

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...

    def write(self, frame: PcmFrame) -> None:
        self.air.append(frame.samples)
        self.loudest = max(self.loudest, int(np.abs(frame.samples.astype(int)).max()))
        self.heard_s = self._now_s() + OUT_S
        if self.tap is not None:
            self.tap(frame, self.heard_s)

    def drop(self) -> int:
        return 0


class MicrophoneBeside:
    """Hears what the loudspeaker plays, at half its amplitude, and `hum` in every sample."""

    ended: Final = False

    def __init__(self, loudspeaker: Loudspeaker, hum: int = 0) -> None:
        self._air = loudspeaker.air
        self._hum = hum
        self._now_s = MonotonicClock().now_s
        self.captured_s: float | None = None

    async def open(self) -> None: ...

    async def aclose(self) -> None: ...

    def read(self) -> Samples:
        self.captured_s = self._now_s() - IN_S - FRAME_S
        heard = self._air.popleft() if self._air else SILENCE
        frame = np.full(FRAME_SAMPLES, self._hum, dtype=np.int16)
        frame[: len(heard)] += heard // 2
        return frame


async def in_a_room(
    answerer: FakeAnswerer, mode: EchoMode, *, seconds: float, source: Source | None = None
) -> tuple[Samples, list[EchoDetected], Call]:
    """Hold a call in which the agent speaks all the time; return what it heard, and what we were told."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT), when=AtTime(0.3))])
    loudspeaker = Loudspeaker()
    microphone = source or MicrophoneBeside(loudspeaker)
    config = config_for(answerer, max_duration_s=seconds, echo=EchoSettings(mode=mode), barge_in="off")
    async with connect(config, source=microphone, sink=loudspeaker) as call:
        told = [event async for event in call.events() if isinstance(event, EchoDetected)]
    await answerer.calls[0].ended()
    return answerer.calls[0].heard, told, call


async def test_it_is_told_once_that_the_agent_hears_itself(
    answerer: FakeAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    """An event, and a line in the log that names the cure; the echo goes out as it was captured."""
    with caplog.at_level(logging.WARNING, "rtc_client.call.media.echo_wiring"):
        heard, told, call = await in_a_room(answerer, "headphones", seconds=5.5)

    (notice,) = told
    assert notice.mode == "headphones"
    assert notice.delay_s == pytest.approx(0.04, abs=0.03)
    (record,) = [record for record in caplog.records if record.name == "rtc_client.call.media.echo_wiring"]
    assert "--echo aec" in record.getMessage()
    assert vars(record)["call_id"] == call.call_id
    assert locate(AGENT[: 3 * SAMPLE_RATE_HZ], heard).likeness > 0.8  # encoded twice


@pytest.mark.both_clocks
async def test_half_duplex_keeps_the_agent_from_hearing_itself(answerer: FakeAnswerer) -> None:
    """With the microphone turned down nothing of the agent's voice comes back to it."""
    heard, told, _ = await in_a_room(answerer, "half-duplex", seconds=2.5)

    assert np.abs(heard.astype(int)).max() < 300
    assert told == []


async def test_who_waits_can_speak_over_what_he_hears(answerer: FakeAnswerer) -> None:
    """Half duplex does not turn the microphone down for the sound that is heard while a handler is at work."""
    answerer.scenario = Scenario(steps=[RequestHandoff(input_transcript="look it up")])
    loudspeaker, sent, is_enough = Loudspeaker(), NumpySink(), asyncio.Event()
    config = config_for(
        answerer,
        echo=EchoSettings(mode="half-duplex"),
        barge_in="off",
        handoffs=HandoffSettings(hold="tone", hold_after_s=0.0),
    )

    async def look(request: HandoffRequest) -> str:
        await is_enough.wait()
        return "ten o'clock"

    microphone = MicrophoneBeside(loudspeaker, hum=300)
    async with connect(config, source=microphone, sink=loudspeaker, caller_sink=sent, handoff=look) as call:
        await until(lambda: loudspeaker.loudest > 700)  # the first of its two notes
        n_sent = len(sent.samples)
        await until(lambda: len(sent.samples) > n_sent + 7_200)
        is_enough.set()
        async for event in call.events():
            if isinstance(event, HandoffEnded):
                break

    assert abs(float(np.mean(sent.samples[n_sent : n_sent + 7_200])) - 300) < 10


async def test_what_is_no_device_is_left_alone(answerer: FakeAnswerer) -> None:
    """A file is said as it is, although the agent is heard on a loudspeaker meanwhile."""
    heard, _, _ = await in_a_room(answerer, "half-duplex", seconds=2.5, source=FileSource(CALLER_SPEECH))

    assert locate(CALLER[: 2 * SAMPLE_RATE_HZ], heard).likeness > SAME


def test_devices_are_found_inside_what_is_put_together() -> None:
    """A microphone behind a file, and a loudspeaker beside a recording, are still a microphone beside a loudspeaker."""
    loudspeaker = Loudspeaker()
    microphone = SequenceSource(FileSource(CALLER_SPEECH), MicrophoneBeside(loudspeaker))
    settings, told, connections = EchoSettings(), list[EchoDetected](), Connections()

    controlled = with_echo_control(microphone, TeeSink(NullSink(), loudspeaker), settings, told.append, connections)

    assert isinstance(controlled, EchoCancelledSource)
    assert loudspeaker.tap is not None
    assert with_echo_control(controlled, loudspeaker, settings, told.append, connections) is controlled
    assert with_echo_control(microphone, NullSink(), settings, told.append, connections) is microphone
    assert with_echo_control(microphone, OggRecorder("agent.opus"), settings, told.append, connections) is microphone
    only_files = SequenceSource(FileSource(CALLER_SPEECH))
    assert with_echo_control(only_files, loudspeaker, settings, told.append, connections) is only_files
