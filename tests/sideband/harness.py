"""A sideband of its own, without a call around it, joined to a scripted server."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from rtc_client import CallConfig, Deadlines, SidebandClosed
from rtc_client.clock import Clock, MonotonicClock
from rtc_client.sideband.client import Sideband
from rtc_client.sideband.outbox import Outbox
from tests.wire.server import Request, Wire, WireServer

CALL_ID = "rtc_test123"
FIRST = '{"type":"session.update","session":{}}'
KEY = "sk-secret-key-0123456789"

T = TypeVar("T")


class Heard:
    """What a sideband told its listener, in order."""

    def __init__(self) -> None:
        self.joined: list[bool] = []
        self.frames: list[str | bytes] = []
        self.sent: list[str] = []
        self.lost: list[SidebandClosed] = []
        self._changed = asyncio.Event()

    def on_joined(self, *, again: bool) -> None:
        self._note(self.joined, again)

    def on_message(self, data: str | bytes) -> None:
        self._note(self.frames, data)

    def on_sent(self, text: str) -> None:
        self._note(self.sent, text)

    def on_lost(self, error: SidebandClosed) -> None:
        self._note(self.lost, error)

    async def until(self, find: Callable[[], T | None], timeout_s: float = 10.0) -> T:
        """Return what `find` finds, as soon as it finds something true."""
        async with asyncio.timeout(timeout_s):
            while not (found := find()):
                await self._changed.wait()
            return found

    def _note(self, kind: list[T], value: T) -> None:
        kind.append(value)
        self._changed.set()
        self._changed = asyncio.Event()


class Joining:
    """A sideband that is being joined, and what became of it."""

    def __init__(self, config: CallConfig, clock: Clock, heard: Heard) -> None:
        self.outbox = Outbox()
        self.heard = heard
        self.sideband = Sideband(
            config,
            "session-1",
            CALL_ID,
            keys=config.key_ring(),
            first_message=lambda: FIRST,
            outbox=self.outbox,
            listener=self.heard,
            clock=clock,
            rng=random.Random(1),
        )
        self.run = asyncio.create_task(self.sideband.run(), name="sideband-under-test")

    async def ended(self, timeout_s: float = 10.0) -> SidebandClosed:
        """Return how it ended, or raise what it raised."""
        async with asyncio.timeout(timeout_s):
            return await asyncio.shield(self.run)

    async def leave(self) -> None:
        """Cancel it, as a call does at its end."""
        self.run.cancel()
        await asyncio.wait([self.run])


@asynccontextmanager
async def joining(
    server: WireServer,
    *,
    clock: Clock | None = None,
    deadlines: Deadlines | None = None,
    heard: Heard | None = None,
    **settings: Any,
) -> AsyncIterator[Joining]:
    """Join the server's sideband; it is left at the end of the block."""
    values: dict[str, Any] = {
        "base_url": server.base_url,
        "api_key": KEY,
        "deadlines": deadlines or Deadlines(),
    } | settings
    join = Joining(CallConfig(**values), clock or MonotonicClock(), heard or Heard())
    try:
        yield join
    finally:
        await join.leave()


def text_frame(text: str) -> str:
    """Return the frame by which a user's text is sent."""
    return json.dumps({"type": "conversation.item.create", "text": text})


async def accept_and_read(wire: Wire, request: Request, n: int) -> None:
    """Accept, and read whatever comes until the client is gone."""
    await wire.accept(request)
    await wire.read_to_close()
