"""What a lost sideband, or a fatal error told over it, means for the call.

In real time: `test_sideband_that_stays_lost_is_given_up_by_a_call_that_prefers_it`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from rtc_client import (
    CallClosed,
    CallConfig,
    CallLost,
    EndReason,
    ErrorEvent,
    SidebandAbandoned,
    SidebandClosed,
    SidebandError,
    SidebandLost,
    SidebandRejected,
    connect,
)
from rtc_client.testing import FakeAnswerer
from tests.wire.replay import KEY, HastyClock, all_events, ask
from tests.wire.server import Request, Serve, Wire, WireServer


def answering(media: FakeAnswerer, handshake: Serve) -> WireServer:
    """Return a server that takes every offer and does `handshake` with every sideband."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        location = ("Location", "/v1/realtime/calls/rtc_test123")
        await wire.respond(201, [location, ("Content-Type", "application/sdp")], await ask(media, request))

    return WireServer(post=post, handshake=handshake)


class DroppedThenRefused:
    """Handshakes: the first is accepted and dropped on demand, the others refused."""

    def __init__(self, status: int) -> None:
        self.drop = asyncio.Event()
        self._status = status

    async def __call__(self, wire: Wire, request: Request, n: int) -> None:
        if n > 1:
            await wire.respond(self._status)
            return
        await wire.accept(request)
        await wire.read_text()
        await self.drop.wait()
        wire.abort()


@pytest.mark.parametrize(("status", "n_tries"), [(503, 5), (403, 1)])
async def test_sideband_that_stays_lost_ends_a_call_that_requires_it(status: int, n_tries: int) -> None:
    """With `require`, a sideband lost and not joined again is a lost call, and the call is hung up."""
    handshake = DroppedThenRefused(status)
    async with FakeAnswerer() as media, answering(media, handshake) as server:
        call = connect(_config(server), clock=HastyClock())
        with pytest.raises(CallLost, match="the sideband was lost and stays lost") as lost:
            async with call:
                handshake.drop.set()
                await call.wait_ended()

    assert lost.value.reason == "sideband_lost"
    assert isinstance(lost.value.__cause__, SidebandRejected)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.LOST
    assert len(server.handshakes) == 1 + n_tries
    assert len(server.hangups) == 1


@pytest.mark.both_clocks
async def test_sideband_that_stays_lost_is_given_up_by_a_call_that_prefers_it() -> None:
    """With `prefer` the call goes on without events and says so, once; a text is refused with the reason."""
    handshake = DroppedThenRefused(503)
    async with (
        FakeAnswerer() as media,
        answering(media, handshake) as server,
        connect(_config(server, sideband="prefer"), clock=HastyClock()) as call,
    ):
        handshake.drop.set()
        async for event in call.events():
            if isinstance(event, SidebandAbandoned):
                assert "HTTP 503 (5 tries)" in event.message
                break
        with pytest.raises(SidebandError, match="HTTP 503"):
            await call.say("anyone?")
        heard_s = len(media.calls[0].heard) / 24_000
        await media.calls[0].wait_heard(heard_s + 0.1)
        assert not call.sideband_joined

    notices = [type(event) for event in await all_events(call)]
    assert notices.count(SidebandLost) == notices.count(SidebandAbandoned) == 1
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


async def test_server_that_drops_every_sideband_loses_the_call() -> None:
    """A server that accepts and drops again and again ends the call that requires events, after five times."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.read_text()
        await up.wait()
        wire.abort()

    up = asyncio.Event()
    async with FakeAnswerer() as media, answering(media, handshake) as server:
        call = connect(_config(server), clock=HastyClock())
        with pytest.raises(CallLost) as lost:
            async with call:
                up.set()
                await call.wait_ended()

    assert isinstance(lost.value.__cause__, SidebandClosed)
    assert len(server.handshakes) == 5


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        ({"code": "session_expired"}, "session_expired"),
        ({"code": "invalid_api_key"}, "authentication_failed"),
        ({"type": "authentication_error"}, "authentication_failed"),
        ({"type": "insufficient_quota", "code": None}, "insufficient_quota"),
        ({"code": "call_not_found"}, "call_not_found"),
    ],
)
async def test_few_errors_end_the_call(error: dict[str, object], reason: str) -> None:
    """An expired session, a bad key, no quota, or an unknown call: the call is lost by the server, and says why."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.read_text()
        await up.wait()
        await wire.send_text(json.dumps({"type": "error", "error": error | {"message": f"no more, {KEY}"}}))
        await wire.read_to_close()

    up = asyncio.Event()
    async with FakeAnswerer() as media, answering(media, handshake) as server:
        call = connect(_config(server))
        with pytest.raises(CallLost) as lost:
            async with call:
                up.set()
                await call.wait_ended()

    assert lost.value.reason == reason
    assert KEY not in str(lost.value)
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.LOST, "server")
    assert any(isinstance(event, ErrorEvent) for event in await all_events(call))
    assert len(server.handshakes) == 1


@pytest.mark.parametrize("code", ["rate_limit_exceeded", "server_error", "SESSION_EXPIRED", "", 7, None])
async def test_other_errors_do_not(code: object) -> None:
    """Any other code is an event like any other."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.read_text()
        await wire.send_text(json.dumps({"type": "error", "error": {"code": code, "message": "boom"}}))
        await wire.read_text()
        still_there.set()
        await wire.read_to_close()

    still_there = asyncio.Event()
    async with FakeAnswerer() as media, answering(media, handshake) as server, connect(_config(server)) as call:
        async for event in call.events():
            if isinstance(event, ErrorEvent):
                break
        await call.say("and on")
        await still_there.wait()

    assert call.result.error is None


async def test_text_after_the_end_is_refused() -> None:
    """A call that is over takes no text."""
    async with FakeAnswerer() as media:
        async with connect(_config(media)) as call:
            pass
        with pytest.raises(CallClosed):
            await call.say("too late")


async def test_call_without_a_sideband_makes_no_handshake() -> None:
    """With `off` nothing is joined, audio flows, and a text is refused."""
    async with FakeAnswerer() as media:
        async with connect(_config(media, sideband="off")) as call:
            await media.calls[0].wait_heard(0.1)
            with pytest.raises(SidebandRejected, match="its policy is off"):
                await call.say("hello")

        assert media.handshakes == []


def _config(server: WireServer | FakeAnswerer, **settings: Any) -> CallConfig:
    values: dict[str, Any] = {"base_url": server.base_url, "api_key": KEY} | settings
    return CallConfig(**values)
