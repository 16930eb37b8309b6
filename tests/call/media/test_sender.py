"""Promises of the caller's half: what is sent in each 20 ms, and that nothing a source does reaches the clockwork."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from rtc_client import AudioError, ClipSource, NumpySink, OpusClip, OpusSettings, SourceFailed
from rtc_client.audio.codecs.opus import OpusDecoder, has_fec
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.sinks.base import Sink
from rtc_client.audio.sinks.basic import NullSink
from rtc_client.call.media.sender import DTX_AFTER_FRAMES, DTX_REFRESH_FRAMES, ENCODED_SILENCE_FRAMES, CallerSender
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.clock import MonotonicClock
from rtc_client.peer.fastpath import MAX_RTP_PAYLOAD_BYTES

SPEECH = read_audio(CALLER_SPEECH)
FRAMES: list[Samples] = [
    SPEECH[start : start + FRAME_SAMPLES] for start in range(4_800, len(SPEECH) - FRAME_SAMPLES, FRAME_SAMPLES)
]


class Scripted:
    """A source that gives these frames, and then nothing more."""

    def __init__(self, frames: list[Any], *, ends: bool = True) -> None:
        self._frames = iter(frames)
        self._ends = ends
        self.ended = False

    async def open(self) -> None: ...

    def read(self) -> Any:
        frame = next(self._frames, None)
        self.ended = self._ends and frame is None
        return frame

    async def aclose(self) -> None: ...


class ScriptedPackets(Scripted):
    """A source that gives these packets."""

    def read_packet(self) -> bytes | None:
        packet: bytes | None = self.read()
        return packet


class Caller:
    """The half under test, asked for one period after the other."""

    def __init__(self, source: Any, sink: Sink | None = None, **opus: Any) -> None:
        self.failures: list[AudioError] = []
        self.speaking = CallerSender(
            source, sink or NullSink(), OpusSettings(**opus), clock=MonotonicClock(), on_failure=self.failures.append
        )
        self._out = bytearray(MAX_RTP_PAYLOAD_BYTES)
        self._index = 0

    def packets(self, n: int) -> list[bytes]:
        """Return what is sent in the next `n` periods; an empty packet where nothing is."""
        sent = []
        for _ in range(n):
            n_bytes = self.speaking.next_packet(self._index, self._out, 0)
            sent.append(bytes(self._out[:n_bytes]))
            self._index += 1
        return sent


def _is_sparse(packets: list[bytes]) -> bool:
    sent = [index for index, packet in enumerate(packets) if packet]
    return all(b - a == DTX_REFRESH_FRAMES for a, b in pairwise(sent))


def _decoded(packets: list[bytes]) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(packet) if packet else SILENCE for packet in packets])


@pytest.mark.parametrize("source", [Scripted([SILENCE] * 200), Scripted([]), Scripted([], ends=False)])
def test_silence_is_sent_whole_for_half_a_second_and_then_sparsely(source: Scripted) -> None:
    """Silent, over or late input: 25 packets one after the other, then one in 400 ms."""
    sent = Caller(source).packets(200)

    assert all(sent[:DTX_AFTER_FRAMES])
    assert sent[ENCODED_SILENCE_FRAMES:DTX_AFTER_FRAMES] == [SILENT_PACKET] * 20
    assert _is_sparse(sent[DTX_AFTER_FRAMES:])
    assert 8 <= sum(map(bool, sent[DTX_AFTER_FRAMES:])) <= 9
    assert level_dbfs(_decoded(sent)) < -80


def test_without_dtx_silence_is_sent_in_every_period() -> None:
    """Who switches DTX off gets a packet each 20 ms; so does who is muted."""
    assert all(Caller(Scripted([]), dtx=False).packets(200))
    caller = Caller(Scripted([]))
    assert not all(caller.packets(200))
    caller.speaking.muted = True
    assert all(caller.packets(200))


@pytest.mark.parametrize("n_pause", [3, 30, 117])
def test_speech_is_sent_at_once_after_a_pause_and_its_end_is_not_held_up(n_pause: int) -> None:
    """The first frame of speech goes out in its own period, the last comes out behind it, however long the pause."""
    caller = Caller(Scripted([*FRAMES[:20], *[SILENCE] * n_pause, *FRAMES[40:56]]))

    sent = caller.packets(36 + n_pause + 30)

    assert all(sent[: 20 + min(n_pause, DTX_AFTER_FRAMES)])
    assert all(sent[20 + n_pause : 36 + n_pause + DTX_AFTER_FRAMES])
    heard = _decoded(sent[20 + n_pause :])[: 18 * FRAME_SAMPLES].astype(float)
    said = np.concatenate(FRAMES[40:56]).astype(float)
    likeness = max(
        np.dot(heard[shift : shift + len(said)], said)
        / np.sqrt(np.dot(said, said) * np.dot(heard[shift : shift + len(said)], heard[shift : shift + len(said)]))
        for shift in range(480)
    )
    assert likeness > 0.85


def test_mute_takes_effect_in_the_next_period() -> None:
    """From the period after `mute` what is sent decodes to silence, a packet each 20 ms; the source runs on."""
    caller = Caller(Scripted(FRAMES * 3))
    before = caller.packets(30)

    caller.speaking.muted = True
    muted = caller.packets(100)
    caller.speaking.muted = False
    after = caller.packets(10)

    sound = _decoded(before + muted)
    # The codec's own delay is 6.5 ms; what it still holds of the frame before comes out in the first one.
    assert level_dbfs(sound[30 * FRAME_SAMPLES + FRAME_SAMPLES : 130 * FRAME_SAMPLES]) < -50
    assert level_dbfs(sound[32 * FRAME_SAMPLES : 130 * FRAME_SAMPLES]) < -70
    assert all(muted)
    assert all(after)
    assert level_dbfs(_decoded(after)[FRAME_SAMPLES:]) > -60
    assert caller.speaking.late_frames == 0


def test_ready_packets_go_out_as_they_are_and_nothing_is_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip's packets are sent byte for byte, one a period, without an encoder, and then silence."""
    clip = OpusClip.from_array(SPEECH[: 24_000 * 2])
    monkeypatch.setattr("rtc_client.call.media.sender.OpusEncoder", None)
    caller = Caller(ClipSource(clip))

    assert caller.packets(clip.n_frames) == list(clip.packets)
    assert caller.speaking.began_s is not None
    assert caller.speaking.ended_s is None
    monkeypatch.undo()
    assert all(caller.packets(25))
    assert caller.speaking.ended_s is not None


def test_a_clip_is_muted_too_and_plays_on_meanwhile() -> None:
    """While muted none of its packets leaves; afterwards it is where it would have been."""
    clip = OpusClip.from_array(SPEECH[: 24_000 * 3])
    caller = Caller(ClipSource(clip))
    caller.packets(10)

    caller.speaking.muted = True
    muted = caller.packets(60)
    caller.speaking.muted = False

    assert not set(muted) & set(clip.packets[10:70]) - {SILENT_PACKET}
    assert level_dbfs(_decoded(muted)) < -70
    assert all(muted)
    assert caller.packets(20) == list(clip.packets[70:90])


def test_a_clip_is_encoded_anew_when_somebody_records_the_caller() -> None:
    """With a sink for the caller's sound a clip is decoded, recorded, and sent as any sound is."""
    clip = OpusClip.from_array(SPEECH[:24_000])
    sink = NumpySink()
    caller = Caller(ClipSource(clip), sink)

    sent = caller.packets(clip.n_frames)

    assert sent != list(clip.packets)
    assert len(sink.samples) == clip.n_frames * FRAME_SAMPLES
    assert level_dbfs(sink.samples) == pytest.approx(level_dbfs(SPEECH[:24_000]), abs=1)


def _raise(*_: object) -> Any:
    raise RuntimeError("private words")


@pytest.mark.parametrize(
    "source",
    [
        Scripted([np.zeros(100, dtype=np.int16)]),
        Scripted([np.zeros(FRAME_SAMPLES, dtype=np.float32)]),
        Scripted([[0] * FRAME_SAMPLES]),
        ScriptedPackets([bytes(MAX_RTP_PAYLOAD_BYTES + 1)]),
        type("Raising", (Scripted,), {"read": _raise})([]),
    ],
    ids=["short", "float", "list", "overlong packet", "raising"],
)
def test_a_source_that_fails_is_told_of_once_and_silence_is_sent(source: Scripted) -> None:
    """Whatever a source gives instead of 20 ms of sound ends the call as its failure; the clockwork sees nothing."""
    caller = Caller(source)

    sent = caller.packets(10)

    assert [type(failure) for failure in caller.failures] == [SourceFailed]
    assert "private" not in str(caller.failures[0])
    assert level_dbfs(_decoded(sent)) < -90


def test_an_empty_packet_of_a_source_is_silence() -> None:
    """A packet without a byte is not sent."""
    caller = Caller(ScriptedPackets([b"", b""], ends=False))

    assert all(caller.packets(2))
    assert caller.failures == []


@pytest.mark.parametrize("when", [lambda caller: None, lambda caller: caller.packets(5)], ids=["before", "meanwhile"])
def test_loss_that_is_reported_brings_fec_and_its_end_takes_it_away_again(when: Callable[[Caller], object]) -> None:
    """No redundancy on a clean network; with loss packets carry the one before them, and for seconds after it."""
    caller = Caller(Scripted(FRAMES * 5))
    when(caller)
    clean = caller.packets(60)

    caller.speaking.set_loss_ratio(0.10)
    lossy = caller.packets(60)
    for _ in range(3):
        caller.speaking.set_loss_ratio(0.0)
    still = caller.packets(60)
    for _ in range(20):
        caller.speaking.set_loss_ratio(0.0)
    again = caller.packets(60)

    assert not any(map(has_fec, clean))
    assert sum(map(has_fec, lossy)) > 30
    assert sum(map(has_fec, still)) > 30
    assert not any(map(has_fec, again[1:]))


def test_without_fec_loss_changes_nothing() -> None:
    """Who switches FEC off gets none, whatever is reported."""
    caller = Caller(Scripted(FRAMES * 5), fec=False)
    caller.packets(5)
    caller.speaking.set_loss_ratio(0.2)

    assert not any(map(has_fec, caller.packets(100)))


def test_voice_is_coded_by_celt_until_packets_get_lost() -> None:
    """CELT costs a third; SILK, alone or below CELT, is what repeats packets and is concealed well."""
    caller = Caller(Scripted(FRAMES * 5))
    clean = caller.packets(50)
    caller.speaking.set_loss_ratio(0.05)
    lossy = caller.packets(50)

    # The first five bits of a packet, RFC 6716 section 3.1.
    assert all(packet[0] >> 3 >= 16 for packet in clean)
    assert all(packet[0] >> 3 < 16 for packet in lossy[1:])


def test_settings_reach_the_encoder() -> None:
    """Twice the bit rate makes packets about twice as long."""
    low, high = (sum(map(len, Caller(Scripted(FRAMES), bit_rate=rate).packets(100))) for rate in (16_000, 32_000))

    assert 1.5 < high / low < 2.5
