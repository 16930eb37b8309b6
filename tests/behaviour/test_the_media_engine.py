"""Promise: the media engine in a whole call: paths and fall-backs, pauses, clips, packets kept as they came, loss.

In real time: `test_a_call_is_heard_at_both_ends_on_every_path`,
`test_a_call_over_a_network_that_loses_5_percent_sounds_whole`.
"""

from __future__ import annotations

import asyncio
import logging
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiortc.rtp import RtpPacket

from rtc_client import (
    ArraySource,
    Call,
    CallConfig,
    CallState,
    ClipSource,
    EndReason,
    NumpySink,
    OggRecorder,
    OpusClip,
    OpusUnavailable,
    Source,
    connect,
)
from rtc_client.audio.codecs.opus import OpusDecoder, has_fec
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.config import MediaPath
from rtc_client.peer import aiortc_internals
from rtc_client.peer.peer import Peer
from rtc_client.protocol.call_state import End
from rtc_client.testing import AgentScript, AnsweredCall, AtTime, Clip, FakeAnswerer, SpokenTurn
from rtc_client.testing.calls.webrtc_media import AnswererPeer
from rtc_client.testing.network.udp_relay import Impairment
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import AGENT, AGENT_WORDS, CALLER, CALLER_WORDS, SAME, cut, locate, seconds

PATHS: tuple[MediaPath, ...] = ("fast", "packets", "plain")


def received_of(answered: AnsweredCall) -> list[RtpPacket]:
    """Return the list in which every packet of the caller stands once the far side has decrypted it."""
    packets: list[RtpPacket] = []
    assert isinstance(answered._peer, AnswererPeer)
    dtls = answered._peer._pc.getTransceivers()[0].receiver.transport
    handle = dtls._handle_rtp_data

    async def note(data: bytes, arrival_time_ms: int) -> None:
        packets.append(RtpPacket.parse(data))
        await handle(data, arrival_time_ms)

    dtls._handle_rtp_data = note  # type: ignore[method-assign]
    return packets


async def _talk(answerer: FakeAnswerer, config: CallConfig, source: Source | None = None) -> tuple[Call, Samples]:
    """Place a call in which both sides say some words, and return it with what was heard of the agent."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.2))])
    sink = NumpySink()
    async with connect(config, source=source or ArraySource(CALLER_WORDS), sink=sink) as call:
        await call.wait_ended()
    answered = answerer.calls[-1]
    await answered.ended()
    assert locate(CALLER_WORDS, answered.heard).likeness > SAME
    return call, sink.samples


@pytest.mark.both_clocks
@pytest.mark.parametrize("path", PATHS)
async def test_a_call_is_heard_at_both_ends_on_every_path(answerer: FakeAnswerer, path: MediaPath) -> None:
    """Whichever path is wanted is taken and told, both voices arrive, and the recording is as long as the call."""
    call, heard = await _talk(answerer, config_for(answerer, media_path=path, linger_s=1.0))

    result = call.result
    assert result.transport_path == path
    assert locate(AGENT_WORDS, heard).likeness > SAME
    assert result.duration_s == pytest.approx(seconds(heard), abs=0.1)
    assert result.in_t0_monotonic is not None
    assert result.out_t0_monotonic is not None
    assert abs(result.in_t0_monotonic - result.out_t0_monotonic) < 0.1
    assert result.received.lost == 0


@pytest.mark.parametrize(("n_missing", "path"), [(1, "packets"), (2, "plain")])
async def test_a_path_that_is_not_there_is_replaced_by_the_next(
    answerer: FakeAnswerer,
    n_missing: int,
    path: MediaPath,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Without the seams of one path, or two, the call goes on over the next, says so once, and is heard."""

    def gone(*_: object) -> None:
        raise aiortc_internals.AiortcMismatch("moved")

    for name in ("check_fast_seams", "divert_packets")[:n_missing]:
        monkeypatch.setattr(aiortc_internals, name, gone)

    call, heard = await _talk(answerer, config_for(answerer, linger_s=1.0))

    assert call.result.transport_path == path
    assert locate(AGENT_WORDS, heard).likeness > SAME
    assert len(_warnings(caplog)) == 1


async def test_without_libopus_audio_is_left_to_aiortc(
    answerer: FakeAnswerer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where no usable libopus is found the call is plain, says so once, and is heard."""

    def unavailable() -> str:
        raise OpusUnavailable("none was found")

    monkeypatch.setattr("rtc_client.call.media.webrtc.libopus_version", unavailable)
    monkeypatch.setattr("rtc_client.audio.codecs.opus.libopus", unavailable)

    call, heard = await _talk(answerer, config_for(answerer, linger_s=1.0))

    assert call.result.transport_path == "plain"
    assert locate(AGENT_WORDS, heard).likeness > SAME
    assert len(_warnings(caplog)) == 1


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = [r for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith("rtc_client")]
    return [r.getMessage() for r in ours if "stalled" not in r.getMessage()]


async def test_pauses_are_sent_sparsely_and_speech_comes_through_at_once(answerer: FakeAnswerer) -> None:
    """Words, two seconds of nothing, words: the pause costs a few packets, and both are heard as far apart as said."""
    pause = np.zeros(2 * 24_000, dtype=np.int16)
    source = ArraySource(np.concatenate((CALLER_WORDS, pause, CALLER_WORDS)))
    async with connect(config_for(answerer, linger_s=0.6), source=source) as call:
        answered = await answerer.wait_for_call()
        packets = received_of(answered)
        await call.wait_ended()
    await answered.ended()

    heard = answered.heard
    first, second = locate(CALLER_WORDS, cut(heard, 0, 2.5)), locate(CALLER_WORDS, cut(heard, 2.5, 9))
    assert min(first.likeness, second.likeness) > SAME
    assert 2.5 + second.at_s - first.at_s == pytest.approx(3.2, abs=0.06)
    times = np.array([(packet.timestamp - packets[0].timestamp) % 2**32 for packet in packets]) / 48_000
    in_pause = [p for p, at_s in zip(packets, times, strict=True) if 1.9 < at_s < 3.1]
    assert len(in_pause) <= 5
    marked = [float(at_s) for p, at_s in zip(packets, times, strict=True) if p.marker and 3.1 < at_s < 3.3]
    assert len(marked) == 1
    assert {(b.sequence_number - a.sequence_number) % 2**16 for a, b in pairwise(packets)} == {1}


async def test_the_packets_of_a_clip_arrive_byte_for_byte_and_a_mute_stops_them(answerer: FakeAnswerer) -> None:
    """What was encoded once is what the far side gets; while muted none of it leaves, from the next 20 ms on."""
    noise = np.random.default_rng(4).integers(-8_000, 8_000, 4 * 24_000).astype(np.int16)
    clip = OpusClip.from_array(noise)  # no two packets of which are alike
    async with connect(config_for(answerer), source=ClipSource(clip)) as call:
        answered = await answerer.wait_for_call()
        packets = received_of(answered)
        await until(lambda: len(packets) >= 30)
        call.mute()
        n_muted = len(packets)
        await until(lambda: [packet.payload for packet in packets].count(SILENT_PACKET) >= 12)
        call.unmute()
        n_unmuted = len(packets)
        await until(lambda: len(packets) >= n_unmuted + 10)

    places = [clip.packets.index(p.payload) if p.payload in clip.packets else None for p in packets]
    first = places[0]
    assert first is not None
    assert first <= 10
    assert places[:n_muted] == list(range(first, first + n_muted))
    # One may have been on its way, at either end.
    assert set(places[n_muted + 1 : n_unmuted]) == {None}
    resumed = places[n_unmuted + 1]
    assert resumed is not None
    assert places[n_unmuted + 1 : n_unmuted + 10] == list(range(resumed, resumed + 9))
    assert resumed - first >= n_unmuted


async def test_an_ogg_recording_has_the_agent_in_its_place_and_nothing_was_decoded(
    answerer: FakeAnswerer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sink of packets makes a file in which the agent's words lie where they were heard, without a decoder."""
    n_decoded = 0
    decode = OpusDecoder.decode

    def counting(self: OpusDecoder, payload: bytes) -> Any:
        nonlocal n_decoded
        n_decoded += 1
        return decode(self, payload)

    monkeypatch.setattr(OpusDecoder, "decode", counting)
    turns = [SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(at_s)) for at_s in (0.3, 2.0)]
    answerer.script = AgentScript(turns=turns, silence="nothing")
    recorder = OggRecorder(tmp_path / "agent.opus")

    async with connect(config_for(answerer, max_duration_s=3.6), sink=recorder) as call:
        await call.wait_ended()

    assert n_decoded == 0
    recording = await asyncio.to_thread(read_audio, recorder.path)
    first, second = (locate(AGENT_WORDS, part) for part in (cut(recording, 0, 1.9), cut(recording, 1.9, 9)))
    assert min(first.likeness, second.likeness) > SAME
    assert 0.3 <= first.at_s <= 0.6
    assert 1.9 + second.at_s - first.at_s == pytest.approx(1.7, abs=0.06)
    assert recorder.discarded_packets == 0


async def test_a_bot_hears_that_the_agent_is_still_speaking(answerer: FakeAnswerer) -> None:
    """Without a sink nothing is decoded until the source is over; then the call stays while the agent speaks."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT), when=AtTime(0.1))])
    clip = OpusClip.from_array(CALLER_WORDS[: 24_000 // 2])

    async with connect(config_for(answerer, linger_s=0.5), source=ClipSource(clip)) as call:
        result = await call.wait_ended()

    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED
    assert result.duration_s == pytest.approx(0.1 + seconds(AGENT) + 0.5, abs=0.6)
    assert result.received.level_dbfs is None


@pytest.mark.both_clocks
async def test_a_call_over_a_network_that_loses_5_percent_sounds_whole() -> None:
    """With loss and jitter both ways nearly nothing is concealed, both sides know of it, and we send redundancy too."""
    network = Impairment(loss_ratio=0.05, jitter_s=0.02)
    script = AgentScript(turns=[SpokenTurn(voice=Clip(np.concatenate((AGENT, AGENT))), when=AtTime(0.0))])
    sink = NumpySink()
    source = ArraySource(np.concatenate((CALLER, CALLER, CALLER)))
    async with FakeAnswerer(script=script, relay=network) as answerer:
        config = config_for(answerer, max_duration_s=6.5)
        async with connect(config, source=source, sink=sink) as call:
            packets = received_of(await answerer.wait_for_call())
            result = await call.wait_ended()
        history = call.stats_history

    stats = result.stats
    assert stats is not None
    assert stats.packets_lost > 3
    assert stats.fec_packets_used > 0
    assert stats.concealed_samples < 0.02 * stats.total_samples_received
    assert max(at.remote_fraction_lost for at in history) > 0.0
    assert any(has_fec(packet.payload) for packet in packets)
    assert _longest_silence_s(sink.samples, AGENT) < 0.5
    _check_history(call)


def _longest_silence_s(samples: Samples, said: Samples) -> float:
    """Return by how much the longest silence in a recording is longer than the longest in what was said."""

    def longest(sound: Samples) -> int:
        run = best = 0
        for start in range(0, len(sound) - FRAME_SAMPLES, FRAME_SAMPLES):
            run = run + 1 if level_dbfs(sound[start : start + FRAME_SAMPLES]) < -60 else 0
            best = max(best, run)
        return best

    return (longest(cut(samples, 0.5, 5.0)) - longest(said)) * 0.02


def _check_history(call: Call) -> None:
    """One snapshot a second, sums that never fall, rates of a voice."""
    history = call.stats_history
    assert 5 <= len(history) <= 7
    sums = (
        "packets_sent", "bytes_sent", "packets_received", "bytes_received", "total_samples_received",
        "concealed_samples", "jitter_buffer_delay_s", "jitter_buffer_emitted_count", "fec_packets_used",
    )  # fmt: skip
    for before, after in pairwise(history):
        assert after.at_s - before.at_s == pytest.approx(1.0, abs=0.3)
        assert all(getattr(after, name) >= getattr(before, name) for name in sums)
    # The caller's sentence has a pause of two seconds in it.
    assert 5_000 < max(at.bit_rate_sent for at in history) < 60_000
    assert 20_000 < np.median([at.bit_rate_received for at in history]) < 80_000
    assert all(0 < at.jitter_s < 0.05 for at in history)
    assert all(0.01 < at.target_delay_s <= 0.2 for at in history)
    last = history[-1]
    assert 0.005 < last.jitter_buffer_delay_s / last.jitter_buffer_emitted_count < 0.15
    assert last.round_trip_time_s is not None
    assert 0 < last.round_trip_time_s < 0.3


async def test_statistics_are_kept_for_an_hour_and_no_longer(answerer: FakeAnswerer) -> None:
    """The history is bounded: the oldest snapshots go."""
    from rtc_client.call.engine import MAX_SNAPSHOTS

    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await until(lambda: answered.packets_received >= 10)
        # Of this instant, not of the last look a second ago.
        assert call.stats().packets_sent >= answered.packets_received
        for _ in range(MAX_SNAPSHOTS + 5):
            call._engine.snapshots.append(call.stats())

        assert len(call.stats_history) == MAX_SNAPSHOTS == 3_600


async def test_an_end_at_the_instant_the_media_comes_up_leaves_no_clockwork(
    answerer: FakeAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call that is hung up in the very turn in which its media is up is not asked for sound ever after."""
    connected = Peer.connected
    calls: list[Call] = []

    async def connected_and_hung_up(peer: Peer) -> None:
        await connected(peer)
        calls[0]._engine.supervisor.decide(End(reason=EndReason.HANGUP, by="caller"))

    monkeypatch.setattr(Peer, "connected", connected_and_hung_up)
    call = connect(config_for(answerer))
    calls.append(call)
    with pytest.raises(Exception, match="hung up"):
        async with call:
            pass

    assert call._engine._ticket is None
    assert call.state is CallState.ENDED
