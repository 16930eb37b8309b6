"""Promise: hanging up is safe at any time, any number of times, from anywhere, and leaves nothing behind.

In real time: `test_a_call_that_was_named_is_hung_up_although_its_answer_never_came_whole`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import pytest

from rtc_client import (
    AnswererUnreachable,
    Call,
    CallClosed,
    CallConfig,
    CallState,
    Deadlines,
    EndReason,
    SilenceSource,
    connect,
)
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import API_KEY, cancel_and_wait, config_for, until, until_state


async def dial(call: Call) -> None:
    """Dial and hold the call until it ends."""
    async with call:
        await call.wait_ended()


async def test_hanging_up_twice_and_again_after_the_end_is_one_hang_up(answerer: FakeAnswerer) -> None:
    """The first decides why; the others find it done. The server is told once."""
    async with connect(config_for(answerer)) as call:
        await call.hangup()
        first = call.result.end
        await call.hangup(EndReason.INTERRUPTED)
    await call.hangup()

    assert call.result.end == first
    assert first is not None
    assert (first.reason, first.by) == (EndReason.HANGUP, "caller")
    assert call.state is CallState.ENDED
    assert [request.path.endswith("/hangup") for request in answerer.requests] == [False, True]


async def test_many_may_hang_up_at_once(answerer: FakeAnswerer) -> None:
    """Each of ten hang-ups returns when the call is over."""
    async with connect(config_for(answerer)) as call:
        hangups = [asyncio.create_task(call.hangup()) for _ in range(10)]
        for done in asyncio.as_completed(hangups):
            await done
            assert call.state is CallState.ENDED

    assert len(answerer.requests) == 2


async def test_a_hang_up_that_is_cancelled_goes_on(answerer: FakeAnswerer) -> None:
    """Whoever stops waiting for the close does not stop the close."""
    async with connect(config_for(answerer)) as call:
        hangup = asyncio.create_task(call.hangup())
        await until_state(call, CallState.CLOSING)
        await cancel_and_wait(hangup)
        assert hangup.cancelled()
        result = await call.wait_ended()

    assert call.state is CallState.ENDED
    assert result.end is not None
    assert result.end.reason is EndReason.HANGUP
    assert answerer.calls[0].hung_up_by_client


async def test_hanging_up_while_the_answer_is_awaited_leaves_no_call(answerer: FakeAnswerer) -> None:
    """Whoever dials gets CallClosed, at once, and the result says that we hung up."""
    answerer.faults.hold_answer()
    call = connect(config_for(answerer))
    dialing = asyncio.create_task(dial(call))
    await answerer.wait_for_request()

    await call.hangup()

    with pytest.raises(CallClosed):
        await dialing
    assert call.state is CallState.ENDED
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    assert call.result.duration_s is None


async def test_hanging_up_while_a_source_opens_sends_nothing(answerer: FakeAnswerer) -> None:
    """The call ends before it was dialled: no request, no socket, and the source is closed."""
    opening, may_open, closed = asyncio.Event(), asyncio.Event(), asyncio.Event()

    class Slow(SilenceSource):
        async def open(self) -> None:
            opening.set()
            await may_open.wait()

        async def aclose(self) -> None:
            closed.set()

    call = connect(config_for(answerer), source=Slow())
    dialing = asyncio.create_task(dial(call))
    await opening.wait()
    await call.hangup()
    may_open.set()

    with pytest.raises(CallClosed):
        await dialing
    assert closed.is_set()
    assert call.state is CallState.ENDED
    assert answerer.requests == []


async def test_a_call_that_was_hung_up_before_it_was_dialled_is_never_dialled(answerer: FakeAnswerer) -> None:
    """A program may change its mind."""
    call = connect(config_for(answerer))
    await call.hangup()

    with pytest.raises(CallClosed):
        await dial(call)
    assert answerer.requests == []
    assert [type(event).__name__ async for event in call.events()] == ["CallEnded"]


async def test_hanging_up_at_any_turn_of_dialling_leaves_no_open_call_whose_id_we_know(answerer: FakeAnswerer) -> None:
    """At whichever step it happens, nothing is left behind, and a call that we know of is hung up on the server too."""
    for n_turns in range(0, 90, 2):
        await _hang_up_after(n_turns, answerer)


async def test_hanging_up_in_the_instant_of_the_answer_hangs_the_call_up_on_the_server(answerer: FakeAnswerer) -> None:
    """Around the instant in which the answer arrives, a call whose id has become known is never left open."""
    known = [await _hang_up_after(n_turns, answerer, answered=True) for n_turns in range(24)]

    assert not all(known)
    assert any(known)


async def _hang_up_after(n_turns: int, answerer: FakeAnswerer, *, answered: bool = False) -> bool:
    """Dial, hang up so many turns of the loop later (or after the answer was made); return whether there was a call."""
    call = connect(config_for(answerer, deadlines={"close_s": 1}))
    dialing = asyncio.create_task(dial(call))
    if answered:
        await answerer.wait_for_call(n=len(answerer.calls) + 1)
    for _ in range(n_turns):
        await asyncio.sleep(0)
    await call.hangup()
    (outcome,) = await asyncio.gather(dialing, return_exceptions=True)
    assert outcome is None or isinstance(outcome, CallClosed), n_turns
    assert call.state is CallState.ENDED
    known = [each for each in answerer.calls if each.call_id == call.call_id]
    assert all(each.hung_up_by_client for each in known), n_turns
    return bool(known)


@pytest.mark.both_clocks
async def test_a_call_that_was_named_is_hung_up_although_its_answer_never_came_whole() -> None:
    """Whether we hang up or run out of patience while the answer's body is coming: the server is told."""
    async with half_answering() as server:
        config = CallConfig(api_key=API_KEY, base_url=server.base_url, deadlines=Deadlines(answer_s=0.3))
        with pytest.raises(AnswererUnreachable):
            await dial(connect(config))
        call = connect(CallConfig(api_key=API_KEY, base_url=server.base_url))
        dialing = asyncio.create_task(dial(call))
        await until(lambda: len(server.requests) == 3)
        await until(lambda: server.n_named == 2)
        await until_quiet()
        await call.hangup()
        await asyncio.gather(dialing, return_exceptions=True)

    posts = [request.split(b" ", 2)[:2] for request in server.requests]
    assert [path for _, path in posts].count(b"/v1/realtime/calls/rtc_half/hangup") == 2
    assert call.call_id == "rtc_half"


@dataclass
class HalfAnswering:
    """A server whose answers to offers never end."""

    base_url: str = ""
    requests: list[bytes] = field(default_factory=list)
    n_named: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request, answer it by half, and wait until the client is gone."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.requests.append(head)
            if b"/hangup" in head.partition(b"\r\n")[0]:
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
            else:
                writer.write(
                    b"HTTP/1.1 201 Created\r\nContent-Type: application/sdp\r\nContent-Length: 900\r\n"
                    b"Location: /v1/realtime/calls/rtc_half\r\n\r\nv=0\r\n"
                )
                self.n_named += 1
            await writer.drain()
            while await reader.read(65_536):
                pass
        except ConnectionError:
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


@asynccontextmanager
async def half_answering() -> AsyncIterator[HalfAnswering]:
    """Serve half answers on loopback."""
    half = HalfAnswering()
    server = await asyncio.start_server(half.serve, "127.0.0.1", 0)
    half.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server:
        yield half


async def until_quiet() -> None:
    """Return when everything that is on its way through this loop and its sockets has arrived."""
    for _ in range(20):
        await asyncio.sleep(0)
