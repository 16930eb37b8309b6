"""An offer posted to a scripted server, without a call around it."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rtc_client import CallConfig
from rtc_client.clock import Clock, MonotonicClock
from rtc_client.signaling.client import Answer, Signaling, open_signaling
from tests.wire.server import Request, Wire, WireServer

KEY = "sk-secret-key-0123456789"
SDP = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
CALL_ID = "rtc_test123"
LOCATION = ("Location", f"/v1/realtime/calls/{CALL_ID}")


@asynccontextmanager
async def signaling(base_url: str, *, clock: Clock | None = None, **settings: Any) -> AsyncIterator[Signaling]:
    """Open the signaling of one call."""
    config = CallConfig(**({"base_url": base_url, "api_key": KEY} | settings))
    rng = random.Random(1)
    async with open_signaling(
        config, "session-1", keys=config.key_ring(), clock=clock or MonotonicClock(), rng=rng
    ) as opened:
        yield opened


async def exchange(server: WireServer, *, clock: Clock | None = None, **settings: Any) -> Answer:
    """Post an offer to the server and return what it became."""
    async with signaling(server.base_url, clock=clock, **settings) as opened:
        return await opened.exchange_offer(SDP)


async def answer(wire: Wire, request: Request, n: int) -> None:
    """Answer an offer as it should be."""
    await wire.respond(201, [LOCATION, ("Content-Type", "application/sdp")], SDP)


async def send_head(wire: Wire, *headers: tuple[str, str]) -> None:
    """Begin an answer of unknown length."""
    await wire.send_head(201, [LOCATION, *headers, ("Transfer-Encoding", "chunked")])


async def send_chunk(wire: Wire, data: bytes) -> None:
    """Send a piece of an answer that was begun."""
    await wire.send(f"{len(data):x}\r\n".encode() + data + b"\r\n")
