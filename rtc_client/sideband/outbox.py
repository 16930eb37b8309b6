"""The bounded queue of frames that wait for the sideband; nothing is sent from here."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

CAPACITY: Final = 64
"""Frames; the reference client's queue has the same size (wire-protocol.md section 5)."""


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
