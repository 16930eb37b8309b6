"""CallTimeline: when each milestone of a call was reached; all timings are derived from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Milestone(StrEnum):
    """Something that happened once in the life of a call.

    A call over a websocket has some of them only: `DTLS_CONNECTED` is its handshake, when audio can flow, and
    `FIRST_RTP` the first piece of the agent's voice.
    """

    DIALED = "dialed"
    GATHERED = "gathered"
    ANSWERED = "answered"
    ICE_COMPLETED = "ice_completed"
    DTLS_CONNECTED = "dtls_connected"
    FIRST_RTP = "first_rtp"
    SIDEBAND_JOINED = "sideband_joined"
    ENDED = "ended"


PHASES: Final = {
    "gather": (Milestone.DIALED, Milestone.GATHERED),
    "post": (Milestone.GATHERED, Milestone.ANSWERED),
    "ice": (Milestone.ANSWERED, Milestone.ICE_COMPLETED),
    "dtls": (Milestone.ICE_COMPLETED, Milestone.DTLS_CONNECTED),
    "first_rtp": (Milestone.DTLS_CONNECTED, Milestone.FIRST_RTP),
    "sideband": (Milestone.ANSWERED, Milestone.SIDEBAND_JOINED),
    "setup": (Milestone.DIALED, Milestone.DTLS_CONNECTED),
}
"""Each phase of setting up, by the facts at its two ends. `setup` ends when audio can flow both ways; add
`first_rtp` for the moment when the agent's first packet was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timings:
    """How long each phase took, in milliseconds; None for a phase that was not finished."""

    gather: float | None = None
    """From dialling to an offer with candidates."""
    post: float | None = None
    """From the POST of the offer to its answer."""
    ice: float | None = None
    """From the answer to a candidate pair that works."""
    dtls: float | None = None
    """From there to keys for the media."""
    first_rtp: float | None = None
    """From there to the agent's first packet."""
    sideband: float | None = None
    """From the answer to the sideband."""
    setup: float | None = None
    """From dialling until audio could flow both ways."""


class CallTimeline:
    """Facts and when they happened, in monotonic seconds."""

    def __init__(self) -> None:
        self._facts: dict[Milestone, float] = {}

    def mark(self, fact: Milestone, at_s: float) -> bool:
        """Note that `fact` happened at `at_s`; return False, changing nothing, if it had already happened."""
        if fact in self._facts:
            return False
        self._facts[fact] = at_s
        return True

    def at_s(self, fact: Milestone) -> float | None:
        """Return when `fact` happened, None if it has not."""
        return self._facts.get(fact)

    def since_s(self, fact: Milestone, now_s: float) -> float:
        """Return how long ago `fact` happened, in seconds; 0 if it has not happened."""
        return max(0.0, now_s - self._facts.get(fact, now_s))

    def timings(self) -> Timings:
        """Return the phases, each rounded to a hundredth of a millisecond."""
        durations: dict[str, float | None] = {}
        for phase, (start, end) in PHASES.items():
            start_s, end_s = self._facts.get(start), self._facts.get(end)
            finished = start_s is not None and end_s is not None
            durations[phase] = round((end_s - start_s) * 1000, 2) if finished else None  # type: ignore[operator]
        return Timings(**durations)
