"""Stalls: when the answerer's event loop stood still. The rules about time leave these seconds out.

On a busy machine a request waits in the socket until the loop comes back, and looks late, or too close to the next.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from rtc_client.clock import Clock

PERIOD_S: Final = 0.02
"""Interval between two looks at the clock."""
LEAST_S: Final = 0.002
"""A timer that is late by less is as punctual as timers are."""
MAX_KEPT: Final = 10_000
"""Stalls kept, the latest: at least 200 s of a loop that is late all the time."""


class Stalls:
    """Follows the lateness of one loop. All times are seconds of one clock."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._stalls: deque[tuple[float, float]] = deque(maxlen=MAX_KEPT)
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
            self._stalls.append((self._due_s, now_s))
        self._due_s = float("inf")

    def lost_s(self, since_s: float, until_s: float) -> float:
        """Return how many of the seconds between two times the loop stood still, one that still lasts included."""
        lost_s = max(0.0, until_s - max(since_s, self._due_s))
        for began_s, ended_s in reversed(self._stalls):
            if ended_s <= since_s:
                break
            lost_s += max(0.0, min(until_s, ended_s) - max(since_s, began_s))
        return lost_s

    def lost_before_s(self, now_s: float) -> float:
        """Return by how much what is read now may have come earlier: the time lost in the last second."""
        return self.lost_s(now_s - 1.0, now_s)
