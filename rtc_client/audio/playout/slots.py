"""What the jitter buffer hands out every 20 ms: slots, and the parts they are made of.

Samples are counted at `SAMPLE_RATE_HZ`, as they are heard.
"""

from __future__ import annotations

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
    """Whether the sound before it is not what it follows on: the stream started again, or audio was discarded."""


class Urgency(IntEnum):
    """Where sound may be inserted or removed."""

    WHEN_SILENT = 0
    WHEN_UNHEARD = 1
    """In silence, or by a whole pitch period where the sound repeats itself."""
    NOW = 2
    """As well as it can be done."""


class PlayoutSlot:
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
