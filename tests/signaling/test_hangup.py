"""Telling the server that a call is over: when, by what, and for how long at most.

In real time: `test_end_of_a_call_does_not_wait_for_a_server_that_is_stuck`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rtc_client import AnswererUnreachable, AnswerInvalid, CallConfig, Deadlines, EndReason, connect
from rtc_client.testing import FakeAnswerer
from tests.signaling.harness import CALL_ID, KEY, LOCATION, SDP, send_chunk, send_head, signaling
from tests.wire.replay import ask
from tests.wire.server import Request, Wire, WireServer


@pytest.mark.parametrize(
    ("base", "query", "target"),
    [
        ("/v1", {}, f"/v1/realtime/calls/{CALL_ID}/hangup"),
        ("/backend-api/codex/", {"a": "1"}, f"/backend-api/codex/realtime/calls/{CALL_ID}/hangup?a=1"),
    ],
)
async def test_hangup_is_an_empty_post(base: str, query: dict[str, str], target: str) -> None:
    """It goes to the call's own path with the headers of the offer, and nothing in it."""
    async with WireServer() as server:
        url = server.base_url.removesuffix("/v1") + base
        async with signaling(url, query=query, headers={"x-extra": "yes"}) as opened:
            assert await opened.hang_up(CALL_ID)

    (request,) = server.hangups
    assert request.line == f"POST {target} HTTP/1.1"
    assert request.header("authorization") == f"Bearer {KEY}"
    assert request.header("x-session-id") == "session-1"
    assert request.header("openai-alpha") == "quicksilver=v1"
    assert request.header("x-extra") == "yes"
    assert (request.header("content-length"), request.body) == ("0", b"")


@pytest.mark.parametrize("status", [200, 204, 404, 500, 302])
async def test_hangup_is_never_repeated(status: int) -> None:
    """Whatever the server says to it, it is said once; only a 2xx counts as taken note of."""
    async with WireServer() as server, signaling(server.base_url) as opened:
        server.hangup_status = status
        assert await opened.hang_up(CALL_ID) == (status < 300)

        assert len(server.hangups) == 1


async def test_hangup_to_nobody_is_no_error() -> None:
    """A server that is gone cannot be told, and nothing is raised."""
    async with WireServer() as server:
        pass
    async with signaling(server.base_url) as opened:
        assert not await opened.hang_up(CALL_ID)


async def test_hangup_survives_a_connection_that_was_closed_meanwhile() -> None:
    """A server may close an idle connection during a call; the hang-up opens another."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [LOCATION], SDP)
        wire.keep_alive = False

    async with WireServer(post=post) as server, signaling(server.base_url) as opened:
        answered = await opened.exchange_offer(SDP)

        assert await opened.hang_up(answered.call_id)
        assert len(server.hangups) == 1


async def test_hangup_takes_its_time_and_no_longer() -> None:
    """A server that does not answer holds the end of a call up for the deadline of the hang-up."""

    async with WireServer() as server:
        server.hangup_status = None
        deadlines = Deadlines(remote_hangup_s=0.1)
        async with signaling(server.base_url, deadlines=deadlines) as opened, asyncio.timeout(2.0):
            assert not await opened.hang_up(CALL_ID)

        assert len(server.hangups) == 1
    assert Deadlines().remote_hangup_s == 2.0


# --- calls that exist on the server although there is none for us ----------------------------------------------------


async def _lost(wire: Wire) -> None:
    await wire.send_head(201, [LOCATION, ("Content-Length", "5000")])
    await wire.send(SDP.encode())
    wire.abort()


async def _slow(wire: Wire) -> None:
    await send_head(wire)
    await send_chunk(wire, SDP.encode())
    await wire.wait_gone()


async def _html(wire: Wire) -> None:
    await wire.respond(201, [LOCATION], "<html>")


async def _no_sdp_of_ours(wire: Wire) -> None:
    await wire.respond(201, [LOCATION], SDP)


@pytest.mark.parametrize(
    ("answering", "error"),
    [
        (_lost, AnswererUnreachable),
        (_slow, AnswererUnreachable),
        (_html, AnswerInvalid),
        (_no_sdp_of_ours, AnswerInvalid),
    ],
)
async def test_call_that_was_named_is_hung_up(
    answering: Callable[[Wire], Awaitable[None]], error: type[Exception]
) -> None:
    """A server that named the call believes in it: it is hung up, whatever was wrong with the rest of the answer."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await answering(wire)

    async with WireServer(post=post) as server:
        deadlines = Deadlines(answer_s=0.3)
        call = connect(_config(server, deadlines=deadlines))
        with pytest.raises(error):
            await call.__aenter__()

    assert call.call_id == CALL_ID
    assert len(server.posts) == 1
    assert [request.target for request in server.hangups] == [f"/v1/realtime/calls/{CALL_ID}/hangup"]


async def test_exchange_given_up_within_the_answer_has_the_id() -> None:
    """Cancelled after the server named the call and before its answer was whole, the id is there to hang up with."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await _slow(wire)

    async with WireServer(post=post) as server, signaling(server.base_url) as opened:
        exchanging = asyncio.create_task(opened.exchange_offer(SDP))
        async with asyncio.timeout(2.0):
            while opened.call_id is None:  # noqa: ASYNC110 - nobody is told when the head of an answer was read
                await asyncio.sleep(0)
        exchanging.cancel()
        await asyncio.wait([exchanging])

        assert opened.call_id == CALL_ID
        assert await opened.hang_up(opened.call_id)


async def test_caller_who_gives_up_before_the_answer_has_nothing_to_hang_up() -> None:
    """Without an id there is nothing to say, and nothing is said."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.wait_gone()

    async with WireServer(post=post) as server:
        call = connect(_config(server))
        dialing = asyncio.create_task(call.__aenter__())
        await server.until(lambda: server.posts)
        dialing.cancel()
        await asyncio.wait([dialing])

    assert server.hangups == []
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.INTERRUPTED


@pytest.mark.parametrize("wanted", [True, False])
async def test_hangup_can_be_switched_off(wanted: bool) -> None:
    """With `remote_hangup=False` the server is told by the close of both legs only."""
    async with FakeAnswerer() as answerer:
        async with connect(_config(answerer, remote_hangup=wanted)):
            pass

        assert answerer.calls[0].hung_up_by_client is wanted


@pytest.mark.both_clocks
async def test_end_of_a_call_does_not_wait_for_a_server_that_is_stuck() -> None:
    """A hang-up that is not answered ends with its deadline, and the call with it."""
    async with FakeAnswerer() as media:

        async def post(wire: Wire, request: Request, n: int) -> None:
            await wire.respond(201, [LOCATION], await ask(media, request))

        async with WireServer(post=post) as server:
            server.hangup_status = None
            call = connect(_config(server, sideband="off", deadlines=Deadlines(remote_hangup_s=0.2)))
            async with asyncio.timeout(4.0), call:
                pass

    assert len(server.hangups) == 1
    assert call.result.error is None


def _config(server: WireServer | FakeAnswerer, **settings: Any) -> CallConfig:
    return CallConfig(base_url=server.base_url, api_key=KEY, **settings)
