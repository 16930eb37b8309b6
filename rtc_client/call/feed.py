"""One bounded log of a call's events, read by any number of iterators, none of which can hold the call up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from rtc_client.call.notices import CallEvent

CAPACITY_EVENTS: Final = 4_096
CAPACITY_BYTES: Final = 64 * 2**20


class EventFeed:
    """Events in order, the newest `CAPACITY_EVENTS` of them, and of `CAPACITY_BYTES` on the wire.

    Overflow policy: the oldest go, and a reader that had not read them yet skips them; `dropped` counts those.
    Transcript and counts of a call do not come from here, so a slow reader falsifies neither.
    """

    def __init__(self, capacity_events: int = CAPACITY_EVENTS, capacity_bytes: int = CAPACITY_BYTES) -> None:
        self._events: deque[tuple[CallEvent, int]] = deque()
        self._capacity_events = capacity_events
        self._capacity_bytes = capacity_bytes
        self._first = 0
        self._bytes = 0
        self._closed = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self.dropped = 0

    def append(self, event: CallEvent, n_bytes: int = 0) -> None:
        """Add an event that took `n_bytes` on the wire. Never waits; ignored after `close`."""
        if self._closed:
            return
        self._events.append((event, n_bytes))
        self._bytes += n_bytes
        while len(self._events) > self._capacity_events or (
            self._bytes > self._capacity_bytes and len(self._events) > 1
        ):
            self._bytes -= self._events.popleft()[1]
            self._first += 1
        self._wake()

    def close(self, error: Exception | None) -> None:
        """Let every reader end once it has read the rest: by `error`, or quietly when there is none."""
        self._closed = True
        self._error = error
        self._wake()

    async def read(self) -> AsyncIterator[CallEvent]:
        """Yield every event kept, from the first of the call, and wait for more until the call is over.

        Raises:
            Exception: What the feed was closed with.

        Cancelling it loses nothing: another reader starts from the beginning.
        """
        position = 0
        while True:
            if position < self._first:
                self.dropped += self._first - position
                position = self._first
            if position < self._first + len(self._events):
                event = self._events[position - self._first][0]
                position += 1
                yield event
            elif self._closed:
                if self._error is not None:
                    raise self._error
                return
            else:
                await self._news.wait()

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()
