"""Promises about snapshots: the standard's names and units, and rates that mean something whenever one is taken."""

from __future__ import annotations

from rtc_client.audio.playout.jitter_buffer import JitterBuffer
from rtc_client.call.media.stats import CallStats, snapshot
from rtc_client.peer.counters import PeerCounters


def _take(at_s: float, sent: int, received: int, **how: CallStats | None) -> CallStats:
    counters = PeerCounters(bytes_sent=sent, bytes_received=received)
    return snapshot(counters, JitterBuffer(), at_s=at_s, total_samples=0, **how)


def test_bit_rates_are_those_since_the_snapshot_before() -> None:
    """4,000 bytes in a second are 32,000 bits a second, whatever was before."""
    first = _take(1.0, 4_000, 2_000)
    second = _take(2.0, 5_000, 6_000, since=first)

    assert (first.bit_rate_sent, first.bit_rate_received) == (32_000, 16_000)
    assert (second.bit_rate_sent, second.bit_rate_received) == (8_000, 32_000)


def test_a_snapshot_taken_in_between_has_the_rates_of_the_last_second() -> None:
    """Right after a look at the counters, a moment's bytes would make a rate of nothing, or of megabits."""
    look = _take(1.0, 4_000, 2_000)
    now = _take(1.001, 4_000, 2_080, rates_of=look)

    assert (now.bit_rate_sent, now.bit_rate_received) == (32_000, 16_000)
    assert now.bytes_received == 2_080


def test_a_snapshot_at_the_very_start_has_no_rate() -> None:
    """No time has passed, so nothing is divided by it."""
    assert _take(0.0, 0, 0).bit_rate_sent == 0.0


def test_names_are_those_of_the_standard_and_every_value_has_one() -> None:
    """Each field appears once, under a name in the standard's spelling."""
    values = _take(1.0, 1, 1).as_dict()

    assert len(values) == len(CallStats.__slots__)
    assert {"packetsSent", "packetsReceived", "packetsLost", "jitter", "roundTripTime", "concealedSamples",
            "jitterBufferDelay", "jitterBufferEmittedCount", "packetsDiscardedOnSend"} <= values.keys()  # fmt: skip
    assert all(name[0].islower() and "_" not in name for name in values if name != "at_s")
