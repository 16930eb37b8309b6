"""Joining: what is tried again and what is not, what the handshake says, and how long it may take.

In real time: `test_handshake_that_is_never_answered_has_a_deadline`.
"""

from __future__ import annotations

import asyncio
import logging

import pytest

from rtc_client import Deadlines, SidebandRejected
from tests.sideband.harness import CALL_ID, FIRST, KEY, accept_and_read, joining
from tests.wire.replay import HastyClock, assert_schedule
from tests.wire.server import Request, Wire, WireServer


@pytest.mark.parametrize("status", [404, 408, 409, 425, 429, 500, 502, 503, 504, 599])
async def test_status_that_may_pass_is_tried_again(status: int) -> None:
    """A call not yet known, a busy or broken server: joined as soon as it accepts, a new key for every handshake."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        if n < 3:
            await wire.send(f"HTTP/1.1 {status} Odd\r\nContent-Length: 0\r\n\r\n".encode())
        else:
            await accept_and_read(wire, request, n)

    clock = HastyClock()
    async with WireServer(handshake=handshake) as server, joining(server, clock=clock) as join:
        await join.heard.until(lambda: join.heard.joined)

        assert join.heard.joined == [False]
    assert_schedule(clock.waits_s, 2)
    assert len({request.header("sec-websocket-key") for request in server.handshakes}) == 3


@pytest.mark.parametrize("status", [200, 400, 401, 402, 403, 405, 410, 418, 422])
async def test_other_refusals_are_final(status: int) -> None:
    """What another try cannot heal is told after one, with its status."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(status, body="no")

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        with pytest.raises(SidebandRejected, match=rf"HTTP {status} \(one try\)") as refused:
            await join.ended()

    assert refused.value.status == status
    assert CALL_ID in str(refused.value)
    assert len(server.handshakes) == 1
    assert join.heard.joined == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int) -> None:
    """The key goes nowhere else: a redirect is final, and the place it names is never asked."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(status, [("Location", f"ws://127.0.0.1:{elsewhere.port}/v1/realtime?call_id=x")])

    async with (
        WireServer() as elsewhere,
        WireServer(handshake=handshake) as server,
        joining(server) as join,
    ):
        with pytest.raises(SidebandRejected) as refused:
            await join.ended()

    assert refused.value.status == status
    assert len(server.handshakes) == 1
    assert elsewhere.requests == []


@pytest.mark.parametrize("how", ["closed", "reset", "garbage"])
async def test_connection_without_an_answer_is_tried_five_times(how: str) -> None:
    """A connection closed, reset or answered in no HTTP at all is tried on the schedule, then told without a status."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        if how == "reset":
            wire.abort()
        elif how == "garbage":
            await wire.send(b"\x00\xff\x00 what\r\n\r\n")

    clock = HastyClock()
    async with WireServer(handshake=handshake) as server, joining(server, clock=clock) as join:
        with pytest.raises(SidebandRejected, match="5 tries") as refused:
            await join.ended()

    assert refused.value.status is None
    assert len(server.handshakes) == 5
    assert_schedule(clock.waits_s, 4)


async def test_refused_connection_is_tried_five_times() -> None:
    """Nobody listening is a connection error like any other."""
    async with WireServer() as server:
        pass
    clock = HastyClock()
    async with joining(server, clock=clock) as join:
        with pytest.raises(SidebandRejected, match="5 tries"):
            await join.ended()

    assert_schedule(clock.waits_s, 4)


@pytest.mark.both_clocks
@pytest.mark.parametrize("how", ["silent", "drip"])
async def test_handshake_that_is_never_answered_has_a_deadline(how: str) -> None:
    """A server that takes the handshake and says nothing, or a byte at a time, is given up; all tries end in time.

    The reference client waits for ever.
    """

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        while how == "drip":
            await wire.send(b"H")
            await asyncio.sleep(0.01)
        await wire.wait_gone()

    deadlines = Deadlines(sideband_open_s=0.1, sideband_join_s=0.5)
    async with WireServer(handshake=handshake) as server, joining(server, deadlines=deadlines) as join:
        with pytest.raises(SidebandRejected) as refused:
            await join.ended(timeout_s=3.0)

    assert refused.value.status is None
    if how == "silent":
        assert "not answered in time" in str(refused.value)
        assert len(server.handshakes) == 2


async def test_all_tries_have_one_deadline() -> None:
    """No wait is begun that would end past the deadline for joining as a whole."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(503)

    clock = HastyClock()
    deadlines = Deadlines(sideband_join_s=1.2)
    async with WireServer(handshake=handshake) as server, joining(server, clock=clock, deadlines=deadlines) as join:
        with pytest.raises(SidebandRejected, match=r"HTTP 503 \(3 tries\)"):
            await join.ended()

    assert_schedule(clock.waits_s, 2)


async def test_nothing_is_negotiated() -> None:
    """We offer no extension and no subprotocol, and a server that uses one all the same is refused."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request, [("Sec-WebSocket-Extensions", "permessage-deflate")])
        await wire.wait_gone()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        with pytest.raises(SidebandRejected, match="one try"):
            await join.ended()

    (request,) = server.handshakes
    assert request.header("sec-websocket-extensions") is None
    assert request.header("sec-websocket-protocol") is None


async def test_call_id_and_queries_have_their_places() -> None:
    """A sideband URL of its own keeps its query in front, then intent, the provider's parameters, and the call id."""
    async with (
        WireServer(handshake=accept_and_read) as server,
        joining(
            server,
            sideband_url=f"ws://127.0.0.1:{server.port}/some/where?foo=bar",
            query={"api-version": "x 1"},
        ) as join,
    ):
        await join.heard.until(lambda: join.heard.sent)

        assert join.heard.sent == [FIRST]
    (request,) = server.handshakes
    assert request.target == f"/some/where?foo=bar&intent=quicksilver&api-version=x%201&call_id={CALL_ID}"


async def test_refusal_in_the_servers_words_is_one_clean_line() -> None:
    """A status line with our key and an escape sequence in it reaches no message as it is."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.send(f"HTTP/9 {KEY}\x1b[31m\r\n\r\n".encode())

    async with WireServer(handshake=handshake) as server, joining(server, clock=HastyClock()) as join:
        with pytest.raises(SidebandRejected) as refused:
            await join.ended()

    assert KEY not in str(refused.value)
    assert str(refused.value).isprintable()


async def test_key_and_frames_reach_no_log(caplog: pytest.LogCaptureFixture) -> None:
    """At the most talkative level, neither the key nor what was said is logged."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.send_text('{"type":"unheard.of","delta":"what the agent said"}')
        await wire.read_to_close()

    with caplog.at_level(logging.DEBUG):
        async with WireServer(handshake=handshake) as server, joining(server) as join:
            await join.outbox.put("what the caller wrote")
            await join.heard.until(lambda: join.heard.frames and len(join.heard.sent) == 2)

    told = caplog.text + "".join(str(vars(record)) for record in caplog.records)
    for secret in (KEY, "what the agent said", "what the caller wrote"):
        assert secret not in told
