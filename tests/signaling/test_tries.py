"""Which offers are posted again and when, how long an answer may take, and what a refusal is told as.

In real time: `test_last_try_has_only_what_is_left`.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from email.utils import format_datetime
from pathlib import Path

import pytest

from rtc_client import AnswererUnreachable, ConfigError, Deadlines, OfferRejected
from tests.certificates import server_context
from tests.signaling.harness import CALL_ID, KEY, LOCATION, SDP, answer, exchange, send_chunk, send_head, signaling
from tests.wire.replay import HastyClock, assert_schedule
from tests.wire.server import Request, Serve, Wire, WireServer

NOW = datetime.datetime(2026, 1, 2, 3, 4, 5, tzinfo=datetime.UTC)


def refusing(status: int, *headers: tuple[str, str], body: str = "", times: int = 1000) -> Serve:
    """Return what refuses an offer so many times, and answers after that."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        if n > times:
            await answer(wire, request, n)
        else:
            await wire.respond(status, headers, body)

    return post


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 501, 502, 503, 504, 529])
async def test_server_errors_are_tried_five_times(status: int) -> None:
    """Every 5xx is tried on the schedule, the same request each time."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.send(f"HTTP/1.1 {status} Oh\r\nContent-Length: 0\r\n\r\n".encode())

    clock = HastyClock()
    async with WireServer(post=post) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server, clock=clock)

    assert refused.value.status == status
    assert_schedule(clock.waits_s, 4)
    assert len({(request.line, tuple(request.headers), request.body) for request in server.posts}) == 1


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 418, 422, 425, 451])
async def test_other_refusals_are_final(status: int) -> None:
    """A 4xx, also 401, is not asked again."""
    async with WireServer(post=refusing(status)) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server)

    assert refused.value.status == status
    assert len(server.posts) == 1


@pytest.mark.parametrize("how", ["closed", "reset", "garbage", "half a head"])
async def test_lost_connections_are_tried_five_times(how: str) -> None:
    """A connection that ends before there was an answer is a connection error, tried on the schedule."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        if how == "reset":
            wire.abort()
        elif how == "garbage":
            await wire.send(b"\x16\x03\x01 not http\r\n\r\n")
        elif how == "half a head":
            await wire.send(b"HTTP/1.1 201 Created\r\nLocation: /v1/realtime/calls/rtc_te")

    clock = HastyClock()
    async with WireServer(post=post) as server:
        with pytest.raises(AnswererUnreachable, match="cannot be reached") as lost:
            await exchange(server, clock=clock)

    assert len(server.posts) == 5
    assert_schedule(clock.waits_s, 4)
    assert lost.value.call_id is None


async def test_refused_connection_is_told_as_what_it_is() -> None:
    """Nobody listening: five tries, and the operating system's own word for it."""
    async with WireServer() as server:
        pass
    clock = HastyClock()
    with pytest.raises(AnswererUnreachable, match="Connection refused"):
        await exchange(server, clock=clock)

    assert_schedule(clock.waits_s, 4)


async def test_answer_after_failures_is_an_answer() -> None:
    """A lost connection and a 503 on the way do not matter once an answer comes."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        if n == 1:
            wire.abort()
        elif n == 2:
            await wire.respond(503)
        else:
            await answer(wire, request, n)

    async with WireServer(post=post) as server:
        answered = await exchange(server, clock=HastyClock())

    assert answered.call_id == CALL_ID
    assert len(server.posts) == 3


async def test_all_tries_have_one_deadline() -> None:
    """No wait is begun that would end past the deadline for all tries."""
    clock = HastyClock()
    async with WireServer(post=refusing(503)) as server:
        with pytest.raises(OfferRejected):
            await exchange(server, clock=clock, deadlines=Deadlines(signaling_s=1.2))

    assert_schedule(clock.waits_s, 2)
    assert len(server.posts) == 3


@pytest.mark.both_clocks
async def test_last_try_has_only_what_is_left() -> None:
    """A try that begins late is cut short by the deadline for all of them."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        if n == 1:
            await wire.respond(500)
        else:
            await wire.wait_gone()

    async with WireServer(post=post) as server:
        with pytest.raises(AnswererUnreachable):
            async with asyncio.timeout(2.0):
                await exchange(server, deadlines=Deadlines(answer_s=60.0, signaling_s=0.5))

    assert len(server.posts) == 2


# --- 429 -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "wait_s"),
    [
        ([("Retry-After", "3")], 3.0),
        ([("Retry-After", "29")], 29.0),
        ([("Retry-After", format_datetime(NOW + datetime.timedelta(seconds=7), usegmt=True)),
          ("Date", format_datetime(NOW, usegmt=True))], 7.0),
    ],
)  # fmt: skip
async def test_429_is_tried_again_when_the_server_says(headers: list[tuple[str, str]], wait_s: float) -> None:
    """A Retry-After within the deadline, in seconds or as a date by the server's own clock, is waited for."""
    clock = HastyClock()
    async with WireServer(post=refusing(429, *headers, times=1)) as server:
        answered = await exchange(server, clock=clock)

    assert answered.call_id == CALL_ID
    assert clock.waits_s == [pytest.approx(wait_s, abs=0.01)]


@pytest.mark.parametrize(
    "headers",
    [
        [("Retry-After", "0")],
        [
            ("Retry-After", format_datetime(NOW, usegmt=True)),
            ("Date", format_datetime(NOW + datetime.timedelta(hours=1), usegmt=True)),
        ],
    ],
)
async def test_429_whose_time_has_come_is_tried_at_once(headers: list[tuple[str, str]]) -> None:
    """A Retry-After of nothing, or in the past, asks for no wait."""
    clock = HastyClock()
    async with WireServer(post=refusing(429, *headers, times=1)) as server:
        await exchange(server, clock=clock)

    assert clock.waits_s == []
    assert len(server.posts) == 2


@pytest.mark.parametrize(
    ("value", "after_s"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("１", None),
        ("99999999999999999999", None),
        ("31", 31.0),
        ("3600", 3600.0),
        (format_datetime(NOW, usegmt=True), None),
        ("Fri, 99 Foo 2026 00:00:00 GMT", None),
    ],
)
async def test_429_without_a_usable_time_is_final(value: str | None, after_s: float | None) -> None:
    """No Retry-After, one that cannot be read, or one past the deadline: one try, and what it said is kept."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        retry_after = b"" if value is None else b"Retry-After: " + value.encode() + b"\r\n"
        await wire.send(b"HTTP/1.1 429 Too Many Requests\r\n" + retry_after + b"Content-Length: 0\r\n\r\n")

    async with WireServer(post=post) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server)

    assert len(server.posts) == 1
    assert (refused.value.status, refused.value.retry_after_s) == (429, after_s)


async def test_429_for_ever_ends_after_five_tries() -> None:
    """A server that always says "in a second" is asked five times."""
    clock = HastyClock()
    async with WireServer(post=refusing(429, ("Retry-After", "1"))) as server:
        with pytest.raises(OfferRejected):
            await exchange(server, clock=clock)

    assert clock.waits_s == [pytest.approx(1.0, abs=0.01)] * 4


# --- redirects and TLS -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int) -> None:
    """The place a redirect names is never asked, so the key does not go there; the reference client follows."""
    async with WireServer(post=answer) as elsewhere:
        location = ("Location", f"{elsewhere.base_url}/realtime/calls/{CALL_ID}")
        async with WireServer(post=refusing(status, location)) as server:
            with pytest.raises(OfferRejected, match="follows no redirect") as refused:
                await exchange(server)

    assert refused.value.status == status
    assert elsewhere.requests == []
    assert len(server.posts) == 1


async def test_certificate_nobody_vouches_for_is_final(tmp_path: Path) -> None:
    """A TLS failure is not a connection that broke: one try, and the key was not sent."""
    refusals: list[ssl.SSLError] = []

    def serve(listening: socket.socket, context: ssl.SSLContext) -> None:
        connection, _ = listening.accept()
        with connection, pytest.raises(ssl.SSLError) as refused:
            context.wrap_socket(connection, server_side=True)
        refusals.append(refused.value)

    clock = HastyClock()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        # A thread, for asyncio's TLS reports the handshake that the client breaks off as an error of the loop.
        serving = asyncio.create_task(asyncio.to_thread(serve, listening, server_context(tmp_path)[0]))
        async with signaling(f"https://127.0.0.1:{listening.getsockname()[1]}/v1", clock=clock) as opened:
            with pytest.raises(AnswererUnreachable, match=r"(?i)certificate"):
                await opened.exchange_offer(SDP)
        await serving

    assert clock.waits_s == []
    assert len(refusals) == 1


# --- the deadline of an answer ---------------------------------------------------------------------------------------


async def _never(wire: Wire) -> None:
    await wire.wait_gone()


async def _drip_head(wire: Wire) -> None:
    await wire.send(b"HTTP/1.1 201 Created\r\n")
    while True:
        await wire.send(b"X-A: b\r\n")
        await asyncio.sleep(0.01)


async def _endless_1xx(wire: Wire) -> None:
    while True:
        await wire.send(b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n")
        await asyncio.sleep(0.01)


async def _drip_body(wire: Wire) -> None:
    await send_head(wire)
    await send_chunk(wire, SDP.encode())
    while True:
        await send_chunk(wire, b"a")
        await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("drip", "call_id"), [(_never, None), (_drip_head, None), (_endless_1xx, None), (_drip_body, CALL_ID)]
)
async def test_deadline_is_for_the_whole_answer(drip: Callable[[Wire], Awaitable[None]], call_id: str | None) -> None:
    """However it is stretched, the answer is given up in time, and not asked for again: the call may exist."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await drip(wire)

    async with WireServer(post=post) as server:
        with pytest.raises(AnswererUnreachable, match=r"no whole answer within 0\.3 s") as lost:
            async with asyncio.timeout(2.0):
                await exchange(server, deadlines=Deadlines(answer_s=0.3))

        assert len(server.posts) == 1
    assert lost.value.call_id == call_id


async def test_connection_lost_within_the_answer_is_not_repeated() -> None:
    """Once the server has named the call, it exists: the failure carries its id, and no second call is asked for."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.send_head(201, [LOCATION, ("Content-Length", "5000")])
        await wire.send(SDP.encode())
        wire.abort()

    async with WireServer(post=post) as server:
        with pytest.raises(AnswererUnreachable) as lost:
            await exchange(server)

    assert lost.value.call_id == CALL_ID
    assert len(server.posts) == 1


async def test_exchange_that_is_cancelled_leaves_nothing() -> None:
    """Whoever gives up closes the connection."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.wait_gone()
        gone.set()

    gone = asyncio.Event()
    async with WireServer(post=post) as server:
        exchanging = asyncio.create_task(exchange(server))
        await server.until(lambda: server.posts)
        exchanging.cancel()
        await asyncio.wait([exchanging])
        async with asyncio.timeout(2.0):
            await gone.wait()

    assert exchanging.cancelled()


# --- what a refusal is told as ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (json.dumps({"error": {"message": "no such model"}}), "no such model"),
        (json.dumps({"error": "flat"}), "flat"),
        (json.dumps({"message": "outer"}), "outer"),
        (json.dumps("just a string"), "just a string"),
        ("plain text", "plain text"),
        (json.dumps({"error": {"message": 7}}), "Bad Request"),
        (json.dumps([1]), "Bad Request"),
        ("<html><body>nginx</body></html>", "Bad Request"),
        ("", "Bad Request"),
        (json.dumps({"error": {"message": "two\r\nlines\tand \x1b[31mred\u202e\u0000"}}), "two lines and [31mred"),
        (json.dumps({"error": {"message": f"bad key {KEY}, sorry"}}), "bad key [redacted], sorry"),
    ],
)
async def test_refusal_is_told_in_one_clean_line(body: str, message: str) -> None:
    """The server's own words where it has some, without control characters and without our key."""
    async with WireServer(post=refusing(400, body=body)) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server)

    assert refused.value.message == message
    assert str(refused.value).isprintable()
    assert KEY not in str(refused.value)


async def test_long_refusal_is_cut() -> None:
    """A message of a megabyte does not fill the screen, and one of 300 characters is whole."""
    async with WireServer(post=refusing(400, body="x" * 60_000)) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server)
    assert len(refused.value.message) == 300
    assert refused.value.message.endswith("…")

    async with WireServer(post=refusing(400, body="x" * 2_000_000)) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server)
    assert refused.value.message == "Bad Request"


async def test_header_values_of_the_user_are_secrets_too() -> None:
    """What the user put into a header is not repeated by a message either."""
    async with WireServer(post=refusing(400, body="gateway token tok-0123456789 is wrong")) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server, headers={"x-gateway-token": "tok-0123456789"})

    assert refused.value.message == "gateway token [redacted] is wrong"


async def test_refusal_whose_words_never_come_is_told_by_its_status() -> None:
    """A 403 that drips its body is told as a 403 within two seconds, not as a server that does not answer."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.send_head(403, [("Content-Length", "1000")])
        await wire.wait_gone()

    async with WireServer(post=post) as server:
        with pytest.raises(OfferRejected, match="HTTP 403: Forbidden"):
            async with asyncio.timeout(4.0):
                await exchange(server)


async def test_proxy_of_the_environment_that_cannot_be_is_told_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A proxy setting that httpx cannot use is a setting to change, not an answerer that cannot be reached."""
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://127.0.0.1:1")

    with pytest.raises(ConfigError, match="proxy or CA settings of the environment"):
        async with signaling("https://h.test/v1"):
            pass
