"""Settings and counters of the jitter buffer."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class JitterConfig:
    """Bounds of the delay, counted from the arrival of the fastest packet to its turn."""

    min_delay_s: float = 0.015
    """Target on a perfect network, and for the first packet, seconds; up to 20 ms come on top, for turns come so."""
    max_delay_s: float = 0.200
    """Highest target, seconds; packets that come later are concealed."""
    margin_s: float = 0.002
    """Added to what the arrivals ask for, seconds."""
    capacity_s: float = 0.5
    """Sound held at most, seconds; beyond it the oldest is discarded."""

    def __post_init__(self) -> None:
        if not 0 <= self.min_delay_s <= self.max_delay_s < self.capacity_s <= 2:
            raise ValueError("need 0 <= min_delay_s <= max_delay_s < capacity_s <= 2")


@dataclass(slots=True)
class JitterCounters:
    """What has happened so far; samples are at `SAMPLE_RATE_HZ`. Names in backquotes are those of W3C's statistics."""

    received: int = 0
    """Packets pushed, of any kind."""
    late: int = 0
    """Packets that came after their turn."""
    duplicated: int = 0
    """Packets that came again."""
    discarded: int = 0
    """Packets thrown away: late, malformed, or more than is held. `packetsDiscarded`"""
    recovered_by_fec: int = 0
    """Lost packets rendered from the copy in the next one."""
    concealment_events: int = 0
    """Runs of concealed samples. `concealmentEvents`"""
    concealed_slots: int = 0
    """Pieces of up to 20 ms that were concealed."""
    concealed_samples: int = 0
    """Samples made up for sound that did not come in time. `concealedSamples`"""
    silent_concealed_samples: int = 0
    """Of these, the ones that were silence, in a loss longer than 120 ms. `silentConcealedSamples`"""
    inserted_samples: int = 0
    """`insertedSamplesForDeceleration`"""
    removed_samples: int = 0
    """`removedSamplesForAcceleration`"""
    emitted_samples: int = 0
    """Samples of packets that were played. `jitterBufferEmittedCount`"""
    delay_s: float = 0.0
    """Sum over those samples of the time between arrival and turn, seconds. `jitterBufferDelay`"""
    target_delay_s: float = 0.0
    """Sum over those samples of the target delay, seconds. `jitterBufferTargetDelay`"""
