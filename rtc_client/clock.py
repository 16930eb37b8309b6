"""The only reader of time: a monotonic clock, and the protocol by which tests replace it."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Monotonic seconds, and a way to wait for a point on that scale."""

    def now_s(self) -> float:
        """Return monotonic seconds; only differences mean anything."""
        ...

    async def sleep_until(self, deadline_s: float) -> None:
        """Return once `now_s()` has reached `deadline_s`, at once if it already has.

        Cancelling it leaves nothing behind.
        """
        ...


def age_s(seconds: int, nanoseconds: int) -> float:
    """Return how long ago an instant of the wall clock was, as the kernel stamps datagrams; 0 if that makes no sense.

    It makes none where the wall clock was set meanwhile: a datagram is read within a second.
    """
    age = time.time() - (seconds + nanoseconds * 1e-9)  # noqa: TID251 - this is where time is read
    return age if 0 < age < 1 else 0.0


def epoch_s() -> float:
    """Return seconds since the epoch by the wall clock, for what a server dates: when an ephemeral key expires."""
    return time.time()  # noqa: TID251 - this is where time is read


class MonotonicClock:
    """The machine's monotonic clock (CLOCK_MONOTONIC), never moved by a change of wall time."""

    def now_s(self) -> float:
        return time.monotonic()

    async def sleep_until(self, deadline_s: float) -> None:
        await asyncio.sleep(max(0.0, deadline_s - time.monotonic()))
