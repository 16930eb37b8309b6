"""EventLog: a bounded log of a call's events for any number of readers, none of which holds the call up."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from rtc_client.call.events.local_events import CallEvent

CAPACITY_EVENTS: Final = 4_096
CAPACITY_BYTES: Final = 64 * 2**20


class EventLog:
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

    def read(self) -> EventReader:
        """Return what yields every event kept, from the first of the call, and waits for more until the call is over.

        At the end it raises what the feed was closed with, once. Cancelling a step of it loses nothing.
        """
        return EventReader(self)

    async def wait(self) -> None:
        """Return when there is something new: an event, or the end."""
        await self._news.wait()

    def at(self, position: int) -> tuple[CallEvent | None, int]:
        """Return the event at a position, and how many before it are gone; None when there is none yet."""
        gone = max(0, self._first - position)
        index = position + gone - self._first
        self.dropped += gone
        return (self._events[index][0] if index < len(self._events) else None), gone

    @property
    def end(self) -> tuple[Exception | None] | None:
        """What the feed was closed with; None while it is open."""
        return (self._error,) if self._closed else None

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


class EventReader(AsyncIterator[CallEvent]):
    """One reader of an `EventLog`; tasks that share it share its events."""

    def __init__(self, feed: EventLog) -> None:
        self._feed = feed
        self._position = 0
        self._is_over = False

    async def __anext__(self) -> CallEvent:
        feed = self._feed
        while not self._is_over:
            event, gone = feed.at(self._position)
            self._position += gone
            if event is not None:
                self._position += 1
                return event
            if feed.end is None:
                await feed.wait()
                continue
            self._is_over = True
            if (error := feed.end[0]) is not None:
                raise error
        raise StopAsyncIteration
