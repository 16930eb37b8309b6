"""Promises of the agent's half: an even stream out of whatever came, and no decoding that nobody asked for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtc_client import AudioError, NumpySink
from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.audio.sinks.basic import NullSink
from rtc_client.call.media.receiver import AgentReceiver
from rtc_client.testing.scenario.script import Tone
from rtc_client.testing.scenario.voices import tone_samples

TONE = tone_samples(Tone(frequency_hz=440, duration_s=4))


class FakeClock:
    """Time that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def now_s(self) -> float:
        return self.now

    async def sleep_until(self, deadline_s: float) -> None:
        raise AssertionError("what is heard never waits")


class Packets:
    """A sink of packets that keeps them."""

    def __init__(self) -> None:
        self.written: list[tuple[bytes, int]] = []

    async def open(self) -> None: ...

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        self.written.append((payload, position_samples))

    async def aclose(self) -> None: ...


def _tone_packets() -> list[bytes]:
    encoder = OpusEncoder()
    return [
        encoder.encode(TONE[start : start + FRAME_SAMPLES])
        for start in range(0, len(TONE) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    ]


PACKETS = _tone_packets()


class Listener:
    """The half under test, with packets that come on time and a clockwork that a test turns."""

    def __init__(self, sink: Any, *, metered: bool = False, ptime_units: int = 960) -> None:
        self.clock = FakeClock()
        self.failures: list[AudioError] = []
        self.hearing = AgentReceiver(sink, metered=metered, clock=self.clock, on_failure=self.failures.append)
        self.hearing.begin()
        self._n_packets = self._index = 0
        self._ptime_units = ptime_units

    def turn(self, payloads: list[bytes], *, n: int | None = None) -> None:
        """Let these packets come, evenly, and play as long as they last, or `n` periods."""
        start_s, waiting = self.clock.now, list(enumerate(payloads))
        for period in range(n if n is not None else -(-len(payloads) * self._ptime_units // 960)):
            self.clock.now = start_s + 0.02 * period
            while waiting and waiting[0][0] * self._ptime_units <= 960 * period:
                _, payload = waiting.pop(0)
                if payload:
                    number = self._n_packets
                    stamp = number * self._ptime_units
                    packet = MediaPacket(1, number % 2**16, stamp, False, payload)
                    self.hearing.push(packet, self.clock.now)
                self._n_packets += 1
            self.hearing.tick(self._index, self.clock.now)
            self._index += 1
        self.clock.now += 0.02


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Every payload that is decoded."""
    payloads: list[bytes] = []
    decode = OpusDecoder.decode

    def counting(self: OpusDecoder, payload: bytes) -> Any:
        payloads.append(payload)
        return decode(self, payload)

    monkeypatch.setattr(OpusDecoder, "decode", counting)
    return payloads


@pytest.mark.parametrize("sink", [NullSink(), Packets()], ids=["nothing", "packets"])
def test_nothing_is_decoded_for_nobody(sink: Any, decoded: list[bytes]) -> None:
    """With no sink, or one of packets, the buffer runs and counts, and the decoder rests."""
    listener = Listener(sink)

    listener.turn(PACKETS[:100])

    assert decoded == []
    assert listener.hearing.jitter.counters.received == 100
    assert listener.hearing.jitter.counters.emitted_samples > 95 * FRAME_SAMPLES
    assert listener.hearing.position_samples == 100 * FRAME_SAMPLES
    assert listener.hearing.level.n_samples == 0


def test_decoding_begins_when_somebody_asks_whether_the_agent_speaks(decoded: list[bytes]) -> None:
    """From `listen` on a voice is noticed within a period or two, and its level is no part of the whole call's."""
    listener = Listener(NullSink())
    listener.turn(PACKETS[:50])
    assert listener.hearing.voiced_s is None

    listener.hearing.listen()
    listener.turn(PACKETS[50:60])

    assert 8 <= len(decoded) <= 11
    assert listener.hearing.voiced_s is not None
    assert listener.hearing.level.n_samples == 0


@pytest.mark.parametrize("sink", [NullSink(), NumpySink(), Packets()], ids=["nothing", "samples", "packets"])
def test_what_is_metered_is_decoded_and_measured(sink: Any, decoded: list[bytes]) -> None:
    """Who asks for the level gets it, whatever the sink takes."""
    listener = Listener(sink, metered=True)

    listener.turn(PACKETS[:100])

    assert len(decoded) >= 95
    assert listener.hearing.level.n_samples == 100 * FRAME_SAMPLES
    assert listener.hearing.level.level_dbfs == pytest.approx(level_dbfs(TONE), abs=1)


@pytest.mark.parametrize("ptime_ms", [10, 20, 60])
def test_packets_of_any_duration_lie_in_their_place_in_a_recording(ptime_ms: int) -> None:
    """A sink of packets gets each where its sound belongs: one after the other, and behind a loss no earlier."""
    toc = {10: 0x70, 20: 0x78, 60: 0x58}[ptime_ms] | 0x00
    payloads = [bytes((toc, n % 256, 1, 2, 3, 4, 5, 6, 7, 8)) for n in range(120)]
    lost = {40, 41}
    units = 48 * ptime_ms
    sink = Packets()
    listener = Listener(sink, ptime_units=units)

    listener.turn([b"" if n in lost else payload for n, payload in enumerate(payloads)])

    positions = {payload[1]: position for payload, position in sink.written}
    steps = {b - a for n, a in positions.items() if (b := positions.get(n + 1)) is not None}
    assert [payload[1] for payload, _ in sink.written] == [n for n in range(len(sink.written) + 2) if n not in lost]
    assert len(sink.written) > 110
    assert steps == {units}
    assert positions[42] - positions[39] == 3 * units
    assert positions[0] < 48 * 60


def test_every_period_makes_20_ms_whatever_comes() -> None:
    """With loss, pauses and skipped periods the stream is contiguous, and as long as the periods are many."""
    sink = NumpySink()
    listener = Listener(sink)
    payloads = [b"" if n % 7 == 3 or 60 <= n < 90 else payload for n, payload in enumerate(PACKETS[:150])]

    listener.turn(payloads)
    listener._index += 10  # the clockwork has skipped a stall
    listener.turn(PACKETS[150:170])
    listener.hearing.finish(200 * FRAME_SAMPLES, plain=False)

    assert len(sink.samples) == 200 * FRAME_SAMPLES
    assert listener.failures == []
    assert level_dbfs(sink.samples[: 20 * FRAME_SAMPLES]) > -40
    assert not np.any(sink.samples[151 * FRAME_SAMPLES : 159 * FRAME_SAMPLES])
    assert len(sink.samples) / SAMPLE_RATE_HZ == 4.0


def test_after_the_end_nothing_is_heard() -> None:
    """Once finished, neither packets nor periods reach the sink."""
    sink = NumpySink()
    listener = Listener(sink)
    listener.turn(PACKETS[:10])
    listener.hearing.finish(10 * FRAME_SAMPLES, plain=False)

    listener.turn(PACKETS[10:20])
    listener.hearing.finish(20 * FRAME_SAMPLES, plain=False)

    assert len(sink.samples) == 10 * FRAME_SAMPLES
