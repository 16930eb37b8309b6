"""Promise: a close takes at most three seconds, in any state, whatever the far side and the user's own code do.

In real time: `test_a_source_or_sink_that_does_not_close_keeps_nobody`.
"""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Final

import pytest

from rtc_client import Call, CallState, IceServer, NullSink, RtcClientError, SilenceSource, connect
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for, deaf_to_hang_ups, until_state

LIMIT_S: Final = 3.0


@asynccontextmanager
async def dialled(call: Call) -> AsyncIterator[None]:
    """Dial in a task of its own while the block runs; whatever comes of it is collected."""

    async def hold() -> None:
        async with call:
            await call.wait_ended()

    holding = asyncio.create_task(hold())
    try:
        yield
    finally:
        await call.hangup()
        with suppress(RtcClientError):
            await holding


async def close(call: Call) -> float:
    """Hang up and return how long that took, in seconds."""
    began_s = time.monotonic()
    await call.hangup()
    assert call.state is CallState.ENDED
    return time.monotonic() - began_s


async def test_closing_while_gathering_is_quick(answerer: FakeAnswerer) -> None:
    """A STUN server that does not answer does not keep us."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer(url=f"stun:127.0.0.1:{silent.getsockname()[1]}")
        call = connect(config_for(answerer, ice_servers=(server,)))
        async with dialled(call):
            await until_state(call, CallState.GATHERING)
            assert await close(call) < LIMIT_S


async def test_closing_while_the_offer_is_posted_is_quick(answerer: FakeAnswerer) -> None:
    """An answer that never comes does not keep us."""
    answerer.faults.hold_answer()
    call = connect(config_for(answerer))
    async with dialled(call):
        await answerer.wait_for_request()
        assert call.state is CallState.OFFERING
        assert await close(call) < LIMIT_S


async def test_closing_while_connecting_is_quick(answerer: FakeAnswerer) -> None:
    """A peer that does not answer, and a sideband that is not opened, do not keep us."""
    answerer.faults.dead_candidates()
    answerer.faults.hold_sideband()
    call = connect(config_for(answerer))
    async with dialled(call):
        await until_state(call, CallState.CONNECTING)
        assert await close(call) < LIMIT_S
    assert answerer.calls[0].hung_up_by_client


async def test_closing_between_two_tries_of_the_offer_is_quick(answerer: FakeAnswerer) -> None:
    """The pause before the next try does not keep us."""
    answerer.faults.refuse_post(503, times=5)
    call = connect(config_for(answerer))
    async with dialled(call):
        await answerer.wait_for_request(n=3)
        assert await close(call) < LIMIT_S
    assert len(answerer.requests) == 3


async def test_closing_an_active_call_is_quick(answerer: FakeAnswerer) -> None:
    """The ordinary case: well under a second."""
    call = connect(config_for(answerer))
    async with dialled(call):
        await until_state(call, CallState.ACTIVE)
        assert await close(call) < 1.0


async def test_closing_a_call_whose_server_has_vanished_is_quick(answerer: FakeAnswerer) -> None:
    """Neither DTLS nor the websocket needs the far side to close."""
    call = connect(config_for(answerer))
    async with dialled(call):
        await until_state(call, CallState.ACTIVE)
        answerer.calls[0].vanish()
        assert await close(call) < LIMIT_S


async def test_a_hang_up_that_the_server_never_answers_keeps_nobody(answerer: FakeAnswerer) -> None:
    """Telling the server is best effort, for at most two seconds."""
    async with deaf_to_hang_ups(answerer.port) as base_url:
        call = connect(config_for(answerer, base_url=base_url))
        async with dialled(call):
            await until_state(call, CallState.ACTIVE)
            assert 1.5 < await close(call) < LIMIT_S
    assert len(answerer.requests) == 1


@pytest.mark.both_clocks
@pytest.mark.parametrize("part", ["source", "sink"])
async def test_a_source_or_sink_that_does_not_close_keeps_nobody(answerer: FakeAnswerer, part: str) -> None:
    """A user's own code that hangs is given up."""
    released = asyncio.Event()

    class Stuck(SilenceSource):
        async def aclose(self) -> None:
            await released.wait()

    class StuckSink(NullSink):
        async def aclose(self) -> None:
            await released.wait()

    source, sink = (Stuck(), None) if part == "source" else (None, StuckSink())
    call = connect(config_for(answerer), source=source, sink=sink)
    async with dialled(call):
        await until_state(call, CallState.ACTIVE)
        assert await close(call) < LIMIT_S
