"""Promise: what becomes of a call without its sideband is the policy's to say, and nobody else's.

In real time: `test_a_sideband_that_breaks_is_joined_again`.
"""

from __future__ import annotations

import pytest

from rtc_client import (
    CallLost,
    EndReason,
    SidebandAbandoned,
    SidebandJoined,
    SidebandLost,
    SidebandRejected,
    connect,
)
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for, until


async def test_required_and_refused_means_no_call(answerer: FakeAnswerer) -> None:
    """With `require` a refused handshake ends the call as refused, with the status, and the server is told."""
    answerer.faults.refuse_sideband(401)

    with pytest.raises(SidebandRejected) as refused:
        async with connect(config_for(answerer)) as call:
            await call.wait_ended()

    assert refused.value.status == 401
    (answered,) = answerer.calls
    await answered.ended()
    assert answered.hung_up_by_client
    assert len(answerer.handshakes) == 1


async def test_preferred_and_refused_means_a_call_without_events(answerer: FakeAnswerer) -> None:
    """With `prefer` the call goes on by sound alone, says so once, and ends in good order."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.5))])
    answerer.faults.refuse_sideband(403)

    async with connect(config_for(answerer, sideband="prefer", max_duration_s=0.8), metered=True) as call:
        result = await call.wait_ended()
        events = [event async for event in call.events()]

    assert [type(event) for event in events].count(SidebandAbandoned) == 1
    assert result.error is None
    assert result.end is not None
    assert result.end.reason is EndReason.MAX_DURATION
    assert result.timings_ms.sideband is None
    assert result.received.level_dbfs is not None
    assert result.received.level_dbfs > -40


async def test_switched_off_means_that_nobody_asks(answerer: FakeAnswerer) -> None:
    """With `off` there is no handshake, and the call is as good as any."""
    async with connect(config_for(answerer, sideband="off", max_duration_s=0.2)) as call:
        result = await call.wait_ended()

    assert answerer.handshakes == []
    assert result.error is None


@pytest.mark.both_clocks
async def test_a_sideband_that_breaks_is_joined_again(answerer: FakeAnswerer) -> None:
    """Its readers are told, the session is sent again, texts written meanwhile arrive, and the call never noticed."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_sent(lambda event: event["type"] == "session.updated")
        answered.drop_sideband()
        await until(lambda: not call.sideband_joined)
        await call.say("still there?")
        await answered.sideband_joined(times=2)
        await answered.wait_received(3)
        await answered.hang_up()
        events = [event async for event in call.events()]

    notices = [event for event in events if isinstance(event, SidebandJoined | SidebandLost)]
    assert notices == [SidebandJoined(again=False), SidebandLost(code=None), SidebandJoined(again=True)]
    types = [frame["type"] for frame in answered.received]
    assert types == ["session.update", "session.update", "conversation.item.create"]


async def test_required_and_lost_for_good_means_a_lost_call(answerer: FakeAnswerer) -> None:
    """With `require` a sideband that cannot be joined again ends the call as lost, and its cause is chained."""
    with pytest.raises(CallLost) as lost:
        async with connect(config_for(answerer)) as call:
            answered = await answerer.wait_for_call()
            await answered.wait_sent(lambda event: event["type"] == "session.updated")
            answerer.faults.refuse_sideband(403)
            answered.drop_sideband()
            await call.wait_ended()

    assert lost.value.reason == "sideband_lost"
    assert isinstance(lost.value.__cause__, SidebandRejected)
    assert answered.hung_up_by_client


@pytest.mark.parametrize("code", ["session_expired", "invalid_api_key", "insufficient_quota", "call_not_found"])
async def test_only_errors_that_no_call_survives_end_it(answerer: FakeAnswerer, code: str) -> None:
    """A session that expired, a key that is not accepted, no quota, no such call: CallLost, by the server."""
    with pytest.raises(CallLost):
        async with connect(config_for(answerer)) as call:
            answered = await answerer.wait_for_call()
            await answered.wait_sent(lambda event: event["type"] == "session.updated")
            await answered.send_event({"type": "error", "error": {"message": "no", "code": code}})
            result = await call.wait_ended()

    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.LOST, "server")
    assert result.events["error"] == 1
