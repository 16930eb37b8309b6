"""Bell: wakes every task that waits for something to become true."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class Bell:
    """Wakes all waiters each time it rings; each looks again whether its own condition holds."""

    def __init__(self) -> None:
        self._rung = asyncio.Event()

    def ring(self) -> None:
        """Wake every waiter once."""
        self._rung.set()
        self._rung = asyncio.Event()

    async def until(self, find: Callable[[], T | None], *, timeout_s: float, what: Callable[[], str]) -> T:
        """Return what `find` finds, as soon as it is not None.

        Raises:
            TimeoutError: If it still finds nothing after `timeout_s`; the message says `what`.
        """
        try:
            async with asyncio.timeout(timeout_s):
                while (found := find()) is None:
                    await self._rung.wait()
                return found
        except TimeoutError:
            raise TimeoutError(f"{what()}: not within {timeout_s:g} s") from None
