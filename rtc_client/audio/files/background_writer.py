"""BackgroundWriter: writes a file from a thread, in batches, while a call goes on."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

from rtc_client.audio.lifecycle import SingleUse

_GATHERED_S: Final = 1.0
_GATHERED_ITEMS: Final = 50
"""How much is gathered before a thread is asked to write it: a second, which is so many items of 20 ms."""


class Writer(Protocol):
    """What writes the file; all of it blocks, and is called by one thread at a time."""

    def close(self) -> None:
        """Finish the file. Raises OSError if the system refuses."""
        ...


W = TypeVar("W", bound=Writer)
T = TypeVar("T")
R = TypeVar("R")


class BackgroundWriter(SingleUse, ABC, Generic[W, T]):
    """Items wait in `_unsaved` until `_save_soon` hands all of them to a thread; the next ones wait for that.

    `_gather` does so a second at a time, and bounds what waits. The first thing that goes wrong is kept in `_failure`,
    ends the writing, and is told by `_tell`.
    """

    MAX_BEHIND: Final = 3_000
    """How many items may wait for the disk: a minute, where they are 20 ms long."""

    def __init__(self, path: Path | str) -> None:
        super().__init__()
        self.path = Path(path)
        self._opening: asyncio.Task[W] | None = None
        self._writer: W | None = None
        self._saving: asyncio.Task[None] | None = None
        self._unsaved: list[T] = []
        self._gathered_from_s = 0.0
        self._failure: Exception | None = None
        self._is_told = False

    @abstractmethod
    def _create(self) -> W:
        """Open the file; in a thread."""

    @abstractmethod
    def _write(self, writer: W, items: list[T]) -> None:
        """Write items in order; in a thread."""

    def _gather(self, item: T, position_s: float) -> None:
        """Take the next item, whose place in the file is at `position_s`.

        Raises what went wrong before, or TimeoutError: the disk is too far behind.
        """
        self._tell()
        if self._writer is None:
            raise ValueError(f"{type(self).__name__}: it can be written to between open() and aclose() only")
        if not self._unsaved:
            self._gathered_from_s = position_s
        self._unsaved.append(item)
        if len(self._unsaved) > self.MAX_BEHIND:
            self._fail(TimeoutError(f"the disk of {self.path} is more than a minute behind"))
            self._tell()
        if position_s - self._gathered_from_s >= _GATHERED_S or len(self._unsaved) >= _GATHERED_ITEMS:
            self._save_soon()

    def _save_soon(self) -> None:
        if self._writer is not None and (self._saving is None or self._saving.done()):
            self._saving = asyncio.create_task(self._save(self._writer), name=f"{type(self).__name__}-save")

    def _fail(self, error: Exception) -> None:
        """Take note of what went wrong; there will be no more writing."""
        self._failure = self._failure or error

    def _tell(self) -> None:
        if self._failure is not None:
            self._is_told = True
            raise self._failure

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.to_thread(work)

    async def _open(self) -> None:
        self._opening = asyncio.create_task(self._in_thread(self._create), name=f"{type(self).__name__}-open")
        self._writer = await asyncio.shield(self._opening)

    async def _close(self) -> None:
        self._writer = None
        if self._opening is None:
            return
        await asyncio.wait([self._opening])
        if self._opening.cancelled() or self._opening.exception() is not None:
            return  # `open` has raised it
        writer = self._opening.result()
        if self._saving is not None:
            await asyncio.wait([self._saving])
        await self._save(writer)
        try:
            await self._in_thread(writer.close)
        except OSError as error:
            self._fail(error)
        if not self._is_told:
            self._tell()

    async def _save(self, writer: W) -> None:
        try:
            while self._unsaved and self._failure is None:
                items = self._take()
                await self._in_thread(lambda items=items: self._write(writer, items))  # type: ignore[misc]
        except Exception as error:  # noqa: BLE001  (the task's outermost frame; `_tell` raises it into the call)
            self._fail(error)

    def _take(self) -> list[T]:
        items, self._unsaved = self._unsaved, []
        return items
