"""SingleUse: opens a source or a sink for one call and closes it once, whoever is cancelled meanwhile."""

from __future__ import annotations

import asyncio

from rtc_client.errors import ConfigError


class SingleUse:
    """Something that serves one call: `open`, use, `aclose`. Subclasses say what that means in `_open` and `_close`."""

    def __init__(self) -> None:
        self._opened = False
        self._closing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Acquire what is needed. If it fails or is cancelled, everything is let go of again.

        Raises:
            ConfigError: If it cannot work, or was opened or closed before.
        """
        if self._opened or self._closing is not None:
            raise ConfigError(f"a {type(self).__name__} serves one call only: make a new one for each")
        self._opened = True
        try:
            await self._open()
            if self._closing is not None:
                raise ConfigError(f"a {type(self).__name__} was closed while it was being opened")
        except BaseException:
            await self.aclose()
            raise

    async def aclose(self) -> None:
        """Let go of everything. Safe at any time and any number of times.

        Cancelling it stops the waiting, not the closing.
        """
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name=f"{type(self).__name__}-close")
        await asyncio.shield(self._closing)

    async def _open(self) -> None:
        """Acquire; called once."""

    async def _close(self) -> None:
        """Release; called once, also when `_open` failed, was cancelled or never ran."""


async def cancel_and_wait(task: asyncio.Task[None]) -> None:
    """Cancel a task that keeps its own exceptions, and return when it has ended."""
    task.cancel()
    await asyncio.wait([task])
