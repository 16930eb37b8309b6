"""Promise: a call over one websocket is a call like any other: what is said is heard, both ways, where it belongs.

In real time: `test_speech_lies_where_it_was_said_with_silence_before_it`,
`test_a_barge_in_stops_the_agent_and_tells_what_was_heard`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtc_client import (
    AnswererUnreachable,
    ArraySource,
    CallConfig,
    CallLost,
    ConfigError,
    EndReason,
    FileSource,
    HandoffRequest,
    HandshakeRefused,
    NumpySink,
    OggRecorder,
    ToneSource,
    WireMessage,
    connect,
)
from rtc_client.audio.files.reader import read_audio
from rtc_client.call.cassette_recorder import CassetteRecorder
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.scenario.scenario import RequestHandoff, Scenario
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import AGENT, AGENT_WORDS, CALLER, CALLER_WORDS, SAME, locate, seconds

LATENCY_S = 0.1
"""Between when sound came and where it lies in the recording: a clock of 20 ms, late on a machine that is busy.

The agent counts its times from when it has accepted the websocket, which is some 10 ms before our recording begins.
"""


def direct(answerer: FakeAnswerer, **settings: Any) -> CallConfig:
    values: dict[str, Any] = {"transport": "websocket", "linger_s": 0.4} | settings
    return config_for(answerer, **values)


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_both_sentences_of_a_call_are_heard_whole(answerer: FakeAnswerer, version: str) -> None:
    """The caller's sample reaches the agent, the agent's, said when the caller is done, the sink, in its place."""
    turn = SpokenTurn(voice=Clip(AGENT), text="Of course.", when=AfterCaller())
    answerer.script = AgentScript(turns=[turn], caller_text="When do you open?")
    sink, said = NumpySink(), NumpySink()

    config = direct(answerer, version=version, linger_s=1.0)
    async with connect(config, source=FileSource(CALLER_SPEECH), sink=sink, caller_sink=said) as call:
        result = await call.wait_ended()

    assert answerer.violations == []
    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED
    assert result.transport_path == "websocket"
    agent = locate(AGENT, sink.samples)
    assert agent.likeness > 0.99
    assert agent.at_s > seconds(CALLER)
    assert result.duration_s == pytest.approx(seconds(sink.samples), abs=0.05)
    await answerer.calls[0].ended()
    for recording in (answerer.calls[0].heard, said.samples):
        caller = locate(CALLER, recording)
        assert caller.likeness > 0.99
        assert caller.at_s < 0.05
    assert [(entry.role, entry.text) for entry in result.transcript] == [
        ("caller", "When do you open?"),
        ("agent", "Of course."),
    ]


@pytest.mark.both_clocks
async def test_speech_lies_where_it_was_said_with_silence_before_it(answerer: FakeAnswerer) -> None:
    """Sound that comes five times too fast is played as it was spoken, from when it came; the rest is silence."""
    turns = [SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(at_s)) for at_s in (0.3, 2.0)]
    answerer.script = AgentScript(turns=turns)
    sink, came_s = NumpySink(), list[float]()

    def note(frame: WireMessage) -> None:
        if isinstance(frame.event, dict) and frame.event.get("type") == "response.output_audio.delta":
            came_s.append(call.elapsed_s)

    call = connect(direct(answerer, max_duration_s=3.5), sink=sink, wire_log=note)
    async with call:
        result = await call.wait_ended()

    began_s = [at_s for at_s, before_s in zip(came_s, [-1.0, *came_s], strict=False) if at_s > before_s + 0.5]
    assert began_s == [pytest.approx(at_s, abs=0.2) for at_s in (0.3, 2.0)]
    halves = sink.samples[: 24_000 * 18 // 10], sink.samples[24_000 * 18 // 10 :]
    first, second = (locate(AGENT_WORDS, half) for half in halves)
    assert min(first.likeness, second.likeness) > 0.99
    assert [first.at_s, 1.8 + second.at_s] == [pytest.approx(at_s, abs=LATENCY_S) for at_s in began_s]
    assert not sink.samples[: 24_000 // 8].any()
    assert seconds(sink.samples) == pytest.approx(3.5, abs=0.1)
    assert result.stats is not None
    assert (result.stats.packets_lost, result.stats.round_trip_time_s) == (0, None)
    assert result.received.bytes == 2 * 2 * len(AGENT_WORDS)


@pytest.mark.both_clocks
async def test_a_barge_in_stops_the_agent_and_tells_what_was_heard(answerer: FakeAnswerer) -> None:
    """The agent falls silent at once, and the server is told how much of him was heard, to the frame."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=660, duration_s=8))])
    sink = NumpySink()
    tone = np.zeros(24_000, dtype=np.int16), read_audio(CALLER_SPEECH)[: 24_000 * 3 // 2]
    config = direct(answerer, linger_s=0.5)

    async with connect(config, source=ArraySource(np.concatenate(tone)), sink=sink) as call:
        truncation = await answerer.calls[0].wait_received(lambda one: one["type"] == "conversation.item.truncate")
        await call.wait_ended()

    voiced = np.flatnonzero(sink.samples)
    heard = int(voiced[-1] - voiced[0] + 1)
    assert 24_000 * 0.9 < heard < 24_000 * 2
    told_ms = truncation["audio_end_ms"]
    assert isinstance(told_ms, int)
    assert heard / 24 == pytest.approx(told_ms, abs=1)
    assert not sink.samples[-24_000 // 4 :].any()
    assert answerer.violations == []


@pytest.mark.parametrize("version", ["v1", "v2"])
async def test_an_agent_delegates(answerer: FakeAnswerer, version: str) -> None:
    """The same handler serves both versions, and the fake answerer finds nothing wrong in how it is answered."""
    answerer.scenario = Scenario(steps=[RequestHandoff(input_transcript="look it up")])
    requests: list[HandoffRequest] = []

    async def look(request: HandoffRequest) -> str:
        requests.append(request)
        return "ten o'clock"

    async with connect(direct(answerer, version=version), handoff=look) as call:
        far = await answerer.wait_for_call()
        what = "conversation.handoff.append" if version == "v1" else "response.create"
        await far.wait_received(lambda one: one["type"] == what)
        await call.hangup()

    assert [request.input_transcript for request in requests] == ["look it up"]
    assert answerer.violations == []


async def test_mute_sends_silence_and_the_wire_log_hears_it(answerer: FakeAnswerer) -> None:
    """Frames of sound are in the wire log as they are on the wire; muted ones hold nothing."""
    frames: list[WireMessage] = []
    async with connect(direct(answerer), source=ToneSource(440), wire_log=frames.append) as call:
        await answerer.calls[0].wait_heard(0.2)
        call.mute()
        n_muted = len(frames)
        await until(lambda: len(frames) > n_muted + 8)

    sound = [f.event["audio"] for f in frames if isinstance(f.event, dict) and f.event.get("type") == APPEND]
    assert any(set(audio) - set("A=") for audio in sound)
    assert not any(set(audio) - set("A=") for audio in sound[-4:])
    assert answerer.violations == []


APPEND = "input_audio_buffer.append"


async def test_a_recorder_of_packets_gets_the_voice_encoded(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """There are no packets on a websocket: whoever wants some gets them made."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.2))])

    async with connect(direct(answerer, max_duration_s=2.0), sink=OggRecorder(tmp_path / "agent.opus")) as call:
        await call.wait_ended()

    found = locate(AGENT_WORDS, read_audio(tmp_path / "agent.opus"))
    assert found.likeness > SAME
    assert found.at_s == pytest.approx(0.2, abs=LATENCY_S)


async def test_the_agent_hangs_up_or_is_lost(answerer: FakeAnswerer) -> None:
    """A close frame 1000 completes the call; a connection that breaks is a lost call, and is not opened again."""
    async with connect(direct(answerer)) as call:
        await (await answerer.wait_for_call()).hang_up()
        result = await call.wait_ended()
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.REMOTE_HANGUP, "server")

    with pytest.raises(CallLost, match="websocket"):
        async with connect(direct(answerer)) as call:
            (await answerer.wait_for_call(n=2)).drop_sideband()
            await call.wait_ended()
    assert len(answerer.handshakes) == 2


async def test_faults_of_the_handshake_meet_a_call_over_a_websocket(answerer: FakeAnswerer) -> None:
    """A refusal is one try; a dropped connection is nobody who answers."""
    with answerer.faults.refuse_sideband(503), pytest.raises(HandshakeRefused, match="503"):
        async with connect(direct(answerer)):
            pytest.fail("it was refused")
    with answerer.faults.drop_sideband(), pytest.raises(AnswererUnreachable):
        async with connect(direct(answerer)):
            pytest.fail("it was dropped")
    assert len(answerer.handshakes) == 2


async def test_a_transcription_writes_down_and_says_nothing(answerer: FakeAnswerer) -> None:
    """What the caller said is the transcript; there is no agent to write to."""
    answerer.script = AgentScript(caller_text="Hello there.")
    config = direct(answerer, mode="transcription", linger_s=1.0)

    async with connect(config, source=ArraySource(CALLER_WORDS)) as call:
        with pytest.raises(ConfigError, match="no agent"):
            await call.say("hello?")
        result = await call.wait_ended()

    assert [(entry.role, entry.text, entry.final) for entry in result.transcript] == [("caller", "Hello there.", True)]
    assert answerer.violations == []


async def test_a_cassette_of_it_is_refused_before_anything_is_sent(answerer: FakeAnswerer) -> None:
    """The format holds offers and answers; the sentence says what holds this call."""
    with pytest.raises(ConfigError, match="wire_log"):
        connect(direct(answerer), cassette=CassetteRecorder())
    assert answerer.handshakes == []


async def test_many_at_a_time(answerer: FakeAnswerer) -> None:
    """Twenty calls of one loop are heard whole, each by its own agent, who is not interrupted on v1."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS))])

    async def place() -> float:
        sink = NumpySink()
        config = direct(answerer, version="v1", max_duration_s=1.8)
        async with connect(config, source=ArraySource(CALLER_WORDS), sink=sink) as call:
            await call.wait_ended()
        return locate(AGENT_WORDS, sink.samples).likeness

    heard = await asyncio.gather(*(place() for _ in range(20)))

    assert min(heard) > SAME
    assert min(locate(CALLER_WORDS, call.heard).likeness for call in answerer.calls) > SAME
    assert answerer.violations == []
