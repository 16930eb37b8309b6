"""The bounded queues of messages that wait for a websocket."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

CAPACITY: Final = 64
"""Frames; the reference client's queue has the same size (protocol.md section 5)."""
REACTIONS_CAPACITY: Final = 1_024
"""Frames that may wait in all before what answers the server is left out: it does not read what it asks for."""
AUDIO_CAPACITY: Final = 256
"""Frames of sound; the reference client's queue has the same size."""


class Outbox:
    """Text frames in the user's order. Overflow policy: when it is full the writer waits, a text is never dropped.

    A frame leaves only after it was sent, so a connection that breaks while sending loses none.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._frames: deque[str] = deque()
        self._capacity = capacity
        self._closed: Exception | None = None
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        return len(self._frames)

    async def put(self, frame: str) -> None:
        """Append a frame, waiting for room. Cancelled while waiting, it appends nothing.

        Raises:
            Exception: What the outbox was closed with.
        """
        while self._closed is None and len(self._frames) >= self._capacity:
            await self._changed.wait()
        if self._closed is not None:
            raise self._closed
        self._frames.append(frame)
        self._wake()

    def put_now(self, frame: str) -> bool:
        """Append what answers the server, whether there is room for more of the user's or not.

        Overflow policy: with `REACTIONS_CAPACITY` frames waiting, or after `close`, it is left out: returns False.
        """
        if self._closed is not None or len(self._frames) >= REACTIONS_CAPACITY:
            return False
        self._frames.append(frame)
        self._wake()
        return True

    async def first(self) -> str:
        """Return the oldest frame, waiting for one, and leave it where it is."""
        while not self._frames:
            await self._changed.wait()
        return self._frames[0]

    def remove_first(self) -> None:
        """Drop the oldest frame, which was sent."""
        self._frames.popleft()
        self._wake()

    async def empty(self) -> None:
        """Return once every frame was sent."""
        while self._frames:
            await self._changed.wait()

    def close(self, error: Exception) -> None:
        """Take no more frames: writers, waiting ones too, get `error`. What is queued may still be sent."""
        if self._closed is None:
            self._closed = error
            self._wake()

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


class AudioQueue:
    """Frames of sound that wait. Overflow policy: the oldest go and are counted, for late sound is worthless."""

    def __init__(self, capacity: int = AUDIO_CAPACITY) -> None:
        self._frames: deque[str] = deque()
        self._capacity = capacity
        self._news = asyncio.Event()
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._frames)

    def put(self, frame: str) -> None:
        """Append a frame. Never waits."""
        if len(self._frames) >= self._capacity:
            self._frames.popleft()
            self.dropped += 1
        self._frames.append(frame)
        self._news.set()

    def clear(self) -> None:
        """Forget what waits: it is not to be said any more."""
        self._frames.clear()

    async def take(self) -> str:
        """Take the oldest frame out, waiting for one."""
        while not self._frames:
            self._news.clear()
            await self._news.wait()
        return self._frames.popleft()
