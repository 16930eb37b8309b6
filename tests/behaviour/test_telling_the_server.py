"""Promise: whenever the server has named a call and did not end it itself, it is told by REST that the call is over.

In real time: `test_the_far_side_sees_our_close_frame_and_our_last_packet`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from rtc_client import Call, CallConfig, RtcClientError, ToneSource, connect
from rtc_client.testing import AnsweredCall, CallEnd, FakeAnswerer
from tests.behaviour.calls import config_for

Ending = Callable[[Call, AnsweredCall], Awaitable[object]]


class Mistake(Exception):
    """Only this test's code raises it."""


async def _leave(call: Call, answered: AnsweredCall) -> None:
    pass


async def _raise(call: Call, answered: AnsweredCall) -> None:
    raise Mistake


async def _run_out_of_time(call: Call, answered: AnsweredCall) -> None:
    async with asyncio.timeout(0.05):
        await call.wait_ended()


async def _hang_up(call: Call, answered: AnsweredCall) -> None:
    await call.hangup()


async def _lose(call: Call, answered: AnsweredCall) -> None:
    answered.vanish()
    await call.wait_ended()


async def _fatal_error(call: Call, answered: AnsweredCall) -> None:
    await answered.send_event({"type": "error", "error": {"message": "x", "code": "session_expired"}})
    await call.wait_ended()


ENDINGS: dict[str, Ending] = {
    "leaving the block": _leave,
    "an error in the block": _raise,
    "a timeout": _run_out_of_time,
    "hanging up": _hang_up,
    "a lost call": _lose,
    "an error of the server": _fatal_error,
}


@pytest.mark.parametrize("how", ENDINGS)
async def test_an_end_that_is_not_the_servers_own_is_told(answerer: FakeAnswerer, how: str) -> None:
    """One POST to the call's hang-up, with the key and identity of the offer, and the same query."""
    config = config_for(answerer, deadlines={"silence_s": 0.4}, query={"tier": "a b"}, headers={"x-team": "voice"})
    await _hold(config, answerer, ENDINGS[how])

    offer, hangup = answerer.requests
    (answered,) = answerer.calls
    assert (hangup.method, hangup.path) == ("POST", f"/v1/realtime/calls/{answered.call_id}/hangup")
    for name in ("authorization", "x-session-id", "x-team", "user-agent", "originator"):
        assert hangup.header(name) == offer.header(name) is not None
    assert ("tier", "a%20b") in hangup.query or ("tier", "a+b") in hangup.query
    assert await answered.ended() is CallEnd.CLIENT_HANGUP


async def test_an_end_of_the_servers_own_is_not_told(answerer: FakeAnswerer) -> None:
    """Who hung up knows it."""

    async def be_hung_up(call: Call, answered: AnsweredCall) -> None:
        await answered.hang_up()
        await call.wait_ended()

    await _hold(config_for(answerer), answerer, be_hung_up)

    assert len(answerer.requests) == 1


async def test_nothing_is_told_where_that_is_switched_off(answerer: FakeAnswerer) -> None:
    """With `remote_hangup=False` the server has to find out by the sideband's close frame and DTLS."""
    await _hold(config_for(answerer, remote_hangup=False), answerer, _hang_up)

    assert len(answerer.requests) == 1
    assert not answerer.calls[0].hung_up_by_client
    assert await answerer.calls[0].ended() in (CallEnd.CLIENT_SIDEBAND, CallEnd.CLIENT_MEDIA)


async def test_the_backend_shape_is_told_at_its_own_base(answerer: FakeAnswerer) -> None:
    """A call placed at a backend base is hung up there."""
    config = config_for(answerer, base_url=answerer.backend_url, sideband_url=answerer.base_url)
    await _hold(config, answerer, _hang_up)

    assert answerer.requests[1].path.startswith("/backend-api/")
    assert answerer.calls[0].hung_up_by_client


@pytest.mark.both_clocks
async def test_the_far_side_sees_our_close_frame_and_our_last_packet(answerer: FakeAnswerer) -> None:
    """Beside REST the sideband is closed with 1000, and media ends with the call."""
    async with connect(config_for(answerer, remote_hangup=False), source=ToneSource(440)):
        answered = await answerer.wait_for_call()
        await answered.sideband_joined()
        await answered.wait_heard(0.1)

    await answered.ended()
    assert answered.sideband_close_code == 1000


async def _hold(config: CallConfig, answerer: FakeAnswerer, end: Ending) -> None:
    """Place a call, let it be ended so, and swallow what comes out of it."""
    try:
        async with connect(config) as call:
            answered = await answerer.wait_for_call()
            await answered.wait_sent(lambda event: event["type"] == "session.updated")
            await end(call, answered)
    except (RtcClientError, Mistake, TimeoutError):
        pass
