"""Stalls: when the answerer's event loop stood still. The rules about time leave these seconds out.

On a busy machine a request waits in the socket until the loop comes back, and looks late, or too close to the next.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from rtc_client.clock import Clock

PERIOD_S: Final = 0.02
"""Interval between two looks at the clock."""
LEAST_S: Final = 0.002
"""A timer that is late by less is as punctual as timers are."""
MAX_KEPT: Final = 10_000
"""Stalls kept, the latest half of them at least: 100 s of a loop that is late all the time."""


class Stalls:
    """Follows the lateness of one loop. All times are seconds of one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._began_s: list[float] = []
        self._ended_s: list[float] = []
        self._lost_before_s: list[float] = []
        """What was lost in all stalls before each."""
        self._due_s = float("inf")

    async def follow(self) -> None:
        """Look at the clock every `PERIOD_S` until cancelled."""
        while True:
            self.wait_begins(self._clock.now_s())
            await self._clock.sleep_until(self._due_s)
            self.wait_ended(self._clock.now_s())

    def wait_begins(self, now_s: float) -> None:
        """A timer was set: it is due `PERIOD_S` later."""
        self._due_s = now_s + PERIOD_S

    def wait_ended(self, now_s: float) -> None:
        """The timer fired: the loop stood still since it was due."""
        if now_s - self._due_s >= LEAST_S:
            lost_s = self._lost_until_s(self._due_s)
            for kept, value in ((self._began_s, self._due_s), (self._ended_s, now_s), (self._lost_before_s, lost_s)):
                kept.append(value)
                if len(kept) > MAX_KEPT:
                    del kept[: MAX_KEPT // 2]
        self._due_s = float("inf")

    def lost_s(self, since_s: float, until_s: float) -> float:
        """Return how many of the seconds between two times the loop stood still, one that still lasts included.

        It is asked for in every tick of a scenario, so it searches instead of adding up.
        """
        lasting_s = max(0.0, until_s - max(since_s, self._due_s))
        return self._lost_until_s(until_s) - self._lost_until_s(since_s) + lasting_s

    def lost_before_s(self, now_s: float) -> float:
        """Return by how much what is read now may have come earlier: the time lost in the last second."""
        return self.lost_s(now_s - 1.0, now_s)

    def _lost_until_s(self, at_s: float) -> float:
        """Return what all stalls that are over have taken up to a time, from the first that is kept."""
        index = bisect_right(self._began_s, at_s) - 1
        if index < 0:
            return self._lost_before_s[0] if self._lost_before_s else 0.0
        return self._lost_before_s[index] + min(at_s, self._ended_s[index]) - self._began_s[index]
