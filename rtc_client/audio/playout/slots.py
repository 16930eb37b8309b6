"""What the jitter buffer is told, says and counts: its settings, the slots it hands out, its counters. No logic.

Samples are counted at `SAMPLE_RATE_HZ`, as they are heard.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from rtc_client.audio.frames import SAMPLE_RATE_HZ

FADE_START_SAMPLES: Final = SAMPLE_RATE_HZ * 80 // 1000
FADE_END_SAMPLES: Final = SAMPLE_RATE_HZ * 120 // 1000
"""Concealment fades between these two; a sound that is guessed for longer than a phoneme lasts is a buzz."""


class PartKind(Enum):
    """How a piece of a slot is to be made."""

    DECODE = "decode"
    """Decode the payload."""
    FEC = "fec"
    """Decode what the payload carries of the packet before it."""
    CONCEAL = "conceal"
    """Guess what was lost (PLC)."""
    COMFORT = "comfort"
    """The sender pauses: comfort noise."""
    SILENCE = "silence"
    """There is nothing to hear."""


class Part(NamedTuple):
    """One piece of what is to be rendered."""

    kind: PartKind
    n_samples: int
    """Its length at `SAMPLE_RATE_HZ`."""
    payload: bytes = b""
    run_samples: int = 0
    """Samples concealed in a row before this piece; for `CONCEAL`."""
    is_joined: bool = False
    """Whether the sound before it is not what it follows on: the stream began anew, or sound was discarded."""


class Urgency(IntEnum):
    """Where sound may be inserted or removed."""

    WHEN_SILENT = 0
    WHEN_UNHEARD = 1
    """In silence, or by a whole pitch period where the sound repeats itself."""
    NOW = 2
    """As well as it can be done."""


class Slot:
    """What to render for 20 ms: with the sound left over from before, the parts are at least 20 ms long."""

    __slots__ = ("parts", "stretch_samples", "stretched_samples", "urgency")

    def __init__(self, parts: list[Part], stretch_samples: int = 0, urgency: Urgency = Urgency.WHEN_SILENT) -> None:
        self.parts = parts
        self.stretch_samples = stretch_samples
        """Samples to insert, or if negative to remove, at most; at `SAMPLE_RATE_HZ`."""
        self.urgency = urgency
        self.stretched_samples = 0
        """How many were inserted, or if negative removed. Written by whoever renders, read at the next `pop`."""

    def __repr__(self) -> str:
        kinds = ", ".join(f"{part.kind.name} {part.n_samples}" for part in self.parts)
        return f"Slot([{kinds}], stretch_samples={self.stretch_samples}, urgency={self.urgency.name})"


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
