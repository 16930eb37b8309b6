"""Promise: a hang-up of the far side is a completed call, one that vanishes makes a lost one, and each is noticed.

In real time: `test_an_agent_that_hangs_up_completes_the_call`.
"""

from __future__ import annotations

import asyncio

import pytest

from rtc_client import CallLost, CallResult, CallState, EndReason, NumpySink, connect
from rtc_client.testing import AgentScript, AnsweredCall, CallEnd, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for
from tests.behaviour.speech import seconds


async def call_up(answerer: FakeAnswerer) -> AnsweredCall:
    """Return the call once both legs are up."""
    answered = await answerer.wait_for_call()
    await answered.media_connected()
    await answered.wait_sent(lambda event: event["type"] == "session.updated")
    return answered


def assert_completed(result: CallResult) -> None:
    """Assert that the far side hung up and nothing is wrong."""
    assert result.error is None
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.REMOTE_HANGUP, "server")


@pytest.mark.parametrize("code", [1000, 1001])
async def test_a_sideband_closed_in_good_order_is_a_hang_up(answerer: FakeAnswerer, code: int) -> None:
    """The call is completed, tells the server's reason, and does not tell the server what it knows."""
    async with connect(config_for(answerer)) as call:
        answered = await call_up(answerer)
        await answered.close_sideband(code, "bye")
        result = await call.wait_ended()

    assert_completed(result)
    assert result.end is not None
    assert result.end.detail == "bye"
    assert not answered.hung_up_by_client
    assert len(answerer.requests) == 1


async def test_a_media_path_closed_in_good_order_is_a_hang_up(answerer: FakeAnswerer) -> None:
    """A DTLS close_notify completes the call, within a second."""
    async with connect(config_for(answerer)) as call:
        answered = await call_up(answerer)
        await answered.close_media()
        async with asyncio.timeout(1):
            result = await call.wait_ended()

    assert_completed(result)
    assert not answered.hung_up_by_client


@pytest.mark.both_clocks
@pytest.mark.parametrize("sideband", ["require", "off"])
async def test_an_agent_that_hangs_up_completes_the_call(answerer: FakeAnswerer, sideband: str) -> None:
    """Both legs closed at once, or media alone where there is no sideband: one completed call with its recording."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.4))], hang_up_when_done=True)
    answerer.script = script
    sink = NumpySink()

    async with connect(config_for(answerer, sideband=sideband), sink=sink) as call:
        result = await call.wait_ended()

    assert_completed(result)
    assert await answerer.calls[0].ended() is CallEnd.AGENT
    assert result.duration_s == pytest.approx(seconds(sink.samples), abs=0.1)


async def test_a_server_that_vanishes_is_a_lost_call_within_the_deadline(answerer: FakeAnswerer) -> None:
    """No datagram of any kind: CallLost, from the block and to every reader, and the server is told by REST."""
    with pytest.raises(CallLost) as lost:
        async with connect(config_for(answerer, deadlines={"silence_s": 1.0})) as call:
            answered = await call_up(answerer)
            answered.vanish()
            vanished_s = call.elapsed_s
            result = await call.wait_ended()

    assert lost.value.reason == "no_datagrams"
    assert result.error is lost.value
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.LOST, "network")
    assert result.duration_s is not None
    assert 0.9 <= result.duration_s - vanished_s <= 1.6
    assert answered.hung_up_by_client
    with pytest.raises(CallLost):
        async for _ in call.events():
            pass


async def test_an_agent_that_only_sends_no_sound_is_not_lost(answerer: FakeAnswerer) -> None:
    """An agent may say nothing for longer than the deadline: as long as ICE consent is renewed, the call lives."""
    answerer.script = AgentScript(silence="nothing")

    async with connect(config_for(answerer, deadlines={"silence_s": 6.6}, max_duration_s=7.2)) as call:
        result = await call.wait_ended()

    assert result.error is None
    assert result.received.packets == 0


async def test_a_server_that_shuts_down_in_good_order_completes_its_calls() -> None:
    """Both legs are closed by the server and nobody is at the port any more: a hang-up all the same."""
    async with FakeAnswerer() as answerer, connect(config_for(answerer)) as call:
        await call_up(answerer)
        await answerer.aclose()
        result = await call.wait_ended()

    assert call.state is CallState.ENDED
    assert_completed(result)
