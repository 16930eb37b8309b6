"""The bounded queue of frames that wait for the sideband; nothing is sent from here."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

CAPACITY: Final = 64
"""Frames; the reference client's queue has the same size (wire-protocol.md section 5)."""


class Outbox:
    """Text frames in the user's order. When it is full, the writer waits: a text is never dropped.

    A frame leaves only after it was sent, so a connection that breaks while sending loses none.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        self._frames: deque[str] = deque()
        self._capacity = capacity
        self._changed = asyncio.Condition()

    def __len__(self) -> int:
        return len(self._frames)

    async def put(self, frame: str) -> None:
        """Append a frame, waiting for room. Cancelled while waiting, it appends nothing."""
        async with self._changed:
            await self._changed.wait_for(lambda: len(self._frames) < self._capacity)
            self._frames.append(frame)
            self._changed.notify_all()

    async def first(self) -> str:
        """Return the oldest frame, waiting for one, and leave it where it is."""
        async with self._changed:
            await self._changed.wait_for(lambda: bool(self._frames))
            return self._frames[0]

    async def remove_first(self) -> None:
        """Drop the oldest frame, which was sent."""
        async with self._changed:
            self._frames.popleft()
            self._changed.notify_all()

    async def empty(self) -> None:
        """Return once every frame was sent."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._frames)
