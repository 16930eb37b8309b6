"""Promise: who begins to speak is not spoken over: the agent is silent within 60 ms, and what nobody heard is told.

In real time: `test_our_own_ear_stops_the_agent_within_60_ms`, `test_the_servers_word_stops_the_agent_within_60_ms`,
`test_our_own_ear_over_a_websocket_cancels_and_tells`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import numpy as np
import pytest

from rtc_client import (
    ArraySource,
    BargedIn,
    Call,
    CallConfig,
    CallRecorder,
    ConfigError,
    NumpySink,
    SpeechStarted,
    TeeSink,
    connect,
)
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.call.media.barge_in import tellers_of
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.config import BargeIn
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for, until
from tests.behaviour.loudspeaker import Loudspeaker
from tests.behaviour.recordings import played
from tests.wire.events import created, delta
from tests.wire.websocket_server import config_of, serving

LIMIT_S = 0.06
A_TICK_S = 0.02


class TimedSpeech(ArraySource):
    """Says silence and then a voice, and keeps when the first of the voice left."""

    def __init__(self, silent_s: float) -> None:
        silence = np.zeros(round(24_000 * silent_s), dtype=np.int16)
        super().__init__(np.concatenate([silence, read_audio(CALLER_SPEECH)[: 24_000 * 3]]))
        self.began_s: float | None = None

    def read(self) -> Samples | None:
        frame = super().read()
        if frame is not None and self.began_s is None and level_dbfs(frame) > -40:
            self.began_s = time.monotonic()
        return frame


async def barged_in(call: Call) -> BargedIn:
    """Return the first news of a barge-in."""
    async with asyncio.timeout(10):
        async for event in call.events():
            if isinstance(event, BargedIn):
                return event
    raise AssertionError("the call ended first")


def tone(duration_s: float) -> Samples:
    """Return a tone at -20 dBFS."""
    wave: Samples = np.rint(4_600 * np.sin(2 * np.pi * 660 * np.arange(round(24_000 * duration_s)) / 24_000)).astype(
        np.int16
    )
    return wave


def says(answerer: FakeAnswerer, duration_s: float = 6.0) -> None:
    """Let the agent tell a long story at once."""
    turn = SpokenTurn(voice=Tone(frequency_hz=660, duration_s=duration_s), text="A long story. " * 20, when=AtTime(0.1))
    answerer.script = AgentScript(turns=[turn])


@pytest.mark.both_clocks
async def test_our_own_ear_stops_the_agent_within_60_ms(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """From the caller's first speech on the wire to silence at the loudspeaker, whose queue is dropped and counted, and
    silence in the recording."""
    says(answerer)
    speech, speaker, file = TimedSpeech(1.0), Loudspeaker(), NumpySink()
    recorder = CallRecorder(tmp_path, format="wav")

    async with connect(config_for(answerer), source=speech, sink=TeeSink(file, speaker), recorder=recorder) as call:
        told = await barged_in(call)
        await asyncio.sleep(0.4)
        entry = next(entry for entry in call.transcript if entry.role == "agent")
        result = call.result

    assert speech.began_s is not None
    silent_s = speaker.last_voiced_s() - speech.began_s
    assert silent_s <= LIMIT_S
    assert [at_s - speech.began_s <= LIMIT_S for at_s in speaker.drops] == [True]
    assert told.by == "local"
    assert told.discarded_s >= 0.04
    assert result.barge_ins == 1
    assert 0.3 < result.unheard_s < 0.6
    assert entry.interrupted
    assert speaker.voiced[0] < speech.began_s - 0.5
    assert np.array_equal(file.samples[: len(speaker.samples)], speaker.samples[: len(file.samples)])
    handed, heard = (np.flatnonzero(sound) for sound in (file.samples, played(recorder.audio_path).agent))
    assert np.ptp(handed) - np.ptp(heard) == pytest.approx(speaker.queue_samples, abs=24)


@pytest.mark.both_clocks
async def test_the_servers_word_stops_the_agent_within_60_ms(answerer: FakeAnswerer) -> None:
    """From the event to silence at the loudspeaker. The rest of the turn is not heard, whatever its pauses; the agent's
    next turn is. The transcript says how much was heard, and which words were not."""
    sentences = (tone(0.5), np.zeros(round(24_000 * 0.7), dtype=np.int16), tone(0.3))
    story = SpokenTurn(voice=Clip(np.concatenate(sentences)), text="One, two, three, four, five.", when=AtTime(0.1))
    turns = [story, SpokenTurn(voice=Tone(frequency_hz=440, duration_s=0.4), text="Six.", when=AtTime(2.0))]
    answerer.script = AgentScript(turns=turns)
    speaker = Loudspeaker()

    async with connect(config_for(answerer, barge_in="server"), sink=speaker) as call:
        await until(lambda: len(speaker.voiced) > 10)
        news = asyncio.create_task(barged_in(call))
        events = aiter(call.events())
        await answerer.calls[0].send_event({"type": "input_audio_buffer.speech_started"})
        while not isinstance(await anext(events), SpeechStarted):
            pass
        came_s = time.monotonic()
        told = await news
        await until(lambda: speaker.voiced[-1] > came_s + 0.5)
        result = call.result

    assert told.by == "server"
    heard = [at_s for at_s in speaker.voiced if at_s < came_s + 1.4]
    assert heard[-1] - came_s <= LIMIT_S
    assert result.barge_ins == 1
    assert result.unheard_s == pytest.approx(0.8 - len(heard) * A_TICK_S, abs=0.15)
    first, second = (entry for entry in result.transcript if entry.role == "agent")
    assert (first.text, first.interrupted, second.interrupted) == (story.text, True, False)
    assert first.heard_ms == pytest.approx(1000 * len(heard) * A_TICK_S - 40, abs=100)
    assert first.unheard_text.endswith("four, five.")


async def test_a_file_hears_everything(answerer: FakeAnswerer) -> None:
    """A WebRTC call into a file is not cut by anybody, unless that is asked for."""
    says(answerer, 1.2)
    sink = NumpySink()

    async with connect(config_for(answerer), source=TimedSpeech(0.4), sink=sink) as call:
        await until(lambda: call.elapsed_s > 0.5)
        await answerer.calls[0].send_event({"type": "input_audio_buffer.speech_started"})
        await until(lambda: call.elapsed_s > 1.5)

    voiced = np.flatnonzero(np.abs(sink.samples.astype(int)) > 500)
    assert (voiced[-1] - voiced[0]) / 24_000 > 1.15
    assert call.result.barge_ins == 0


async def test_what_the_loudspeaker_had_not_played_is_not_told_as_heard() -> None:
    """On realtime v2 the server is told what came out, not what was handed over; it ends the response by itself."""
    speaker = Loudspeaker(queue_s=0.1)
    async with serving() as server, connect(config_of(server), sink=speaker) as call:
        await server.said()
        await server.send(created("r1"), delta("r1", "i1", 24_000, value=9_000))
        await until(lambda: len(speaker.voiced) > 15)
        await server.send('{"type": "input_audio_buffer.speech_started", "item_id": "i2", "audio_start_ms": 900}')
        (truncation,) = await server.said()
        handed_ms = len(speaker.voiced) * 20
        await server.send('{"type": "response.done", "response": {"id": "r1", "status": "cancelled"}}')
        await until(lambda: len(speaker.frames) > 25)

    assert truncation["type"] == "conversation.item.truncate"
    assert truncation["audio_end_ms"] == handed_ms - 100
    assert call.result.unheard_s == pytest.approx(1.0 - truncation["audio_end_ms"] / 1000, abs=0.001)
    assert len(speaker.voiced) * 20 == handed_ms


async def test_it_can_be_switched_off_over_a_websocket_too() -> None:
    """Then all that was said is heard, and nobody is told otherwise."""
    sink = NumpySink()
    async with serving() as server, connect(config_of(server, barge_in="off"), sink=sink) as call:
        await server.said()
        await server.send(created("r1"), delta("r1", "i1", 9_600))
        await until(lambda: 1000 in sink.samples)
        await server.send('{"type": "input_audio_buffer.speech_started", "item_id": "i2"}')
        await until(lambda: (sink.samples == 1000).sum() == 9_600)
        await call.say("done")
        assert [one["type"] for one in await server.said()] == ["conversation.item.create"]

    assert call.result.barge_ins == 0


@pytest.mark.both_clocks
async def test_our_own_ear_over_a_websocket_cancels_and_tells() -> None:
    """A server that is not to look for turns is told of ours."""
    sink, source = NumpySink(), TimedSpeech(0.6)
    async with serving() as server, connect(config_of(server, barge_in="local"), source=source, sink=sink) as call:
        await server.said()
        await server.send(created("r1"), delta("r1", "i1", 72_000))
        cancel, truncation = await server.said(2)
        n_heard = (sink.samples == 1000).sum()
        assert (await barged_in(call)).by == "local"

    assert cancel == {"type": "response.cancel", "response_id": "r1"}
    assert truncation["audio_end_ms"] == pytest.approx(n_heard / 24, abs=20)
    assert n_heard < 24_000


CASES: dict[tuple[BargeIn, str, str, bool], tuple[bool, bool]] = {
    ("auto", "webrtc", "v1", True): (True, True),
    ("auto", "webrtc", "v1", False): (False, False),
    ("auto", "websocket", "v1", True): (True, True),
    ("auto", "websocket", "v1", False): (True, False),
    ("auto", "websocket", "v2", True): (True, False),
    ("auto", "websocket", "v2", False): (True, False),
    ("server", "webrtc", "v1", False): (True, False),
    ("local", "webrtc", "v1", False): (False, True),
    ("off", "websocket", "v2", True): (False, False),
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_who_may_interrupt_depends_on_where_the_agent_is_heard(case: tuple[BargeIn, str, str, bool]) -> None:
    """A device and a websocket by default; a server that is not known to tell is not relied on."""
    barge_in, transport, version, is_played = case
    config = CallConfig(api_key="sk-x", transport=transport, version=version, barge_in=barge_in)  # type: ignore[arg-type]

    assert tellers_of(config, is_played=is_played) == CASES[case]


def test_an_agent_that_only_writes_is_not_interrupted() -> None:
    """There is nothing to be heard of it."""
    config = CallConfig(api_key="sk-x", transport="websocket", output_modality="text", barge_in="local")

    assert tellers_of(config, is_played=True) == (False, False)


def test_a_way_to_interrupt_that_is_none_is_refused() -> None:
    """Before the call."""
    with pytest.raises(ConfigError, match="auto, server, local, off"):
        CallConfig(api_key="sk-x", barge_in="always")  # type: ignore[arg-type]
