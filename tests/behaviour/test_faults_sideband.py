"""Promise: a sideband that is late, refused or lost is joined if it can be, and the audio does not suffer by it.

`refuse_sideband` for good is met in `test_sideband_policy.py`, the recorded cases in `tests/wire/test_joining.py`.

In real time: `test_a_sideband_that_breaks_in_mid_turn_is_joined_again`.
"""

from __future__ import annotations

import asyncio

import pytest

from rtc_client import (
    AgentTranscriptDelta,
    CallConfig,
    CallLost,
    EndReason,
    MediaConnected,
    SidebandClosed,
    SidebandJoined,
    SidebandLost,
    SidebandRejected,
    connect,
)
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for

WORDS = "one two three four five six seven eight"
SPEAKING = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.8), text=WORDS)])


async def test_a_call_that_the_sideband_does_not_know_yet_is_asked_for_again(answerer: FakeAnswerer) -> None:
    """404 three times, then joined: the call was up all the while."""
    with answerer.faults.refuse_sideband(404, times=3) as fault:
        async with connect(config_for(answerer)) as call:
            answered = await answerer.wait_for_call()
            await answered.sideband_joined(timeout_s=8)
            await answered.hang_up()
            result = await call.wait_ended()

    assert (fault.n_met, fault.n_left) == (3, 0)
    assert len(answerer.handshakes) == 4
    assert result.error is None
    assert result.timings_ms.sideband is not None
    assert result.timings_ms.sideband >= 1_000


async def test_a_late_handshake_holds_up_no_audio(answerer: FakeAnswerer) -> None:
    """Media is connected first, and the events begin when the handshake is answered."""
    answerer.faults.hold_sideband(0.5)

    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await answered.sideband_joined()
        await answered.hang_up()
        events = [event async for event in call.events()]

    assert [type(event) for event in events][:2] == [MediaConnected, SidebandJoined]
    assert call.result.error is None


async def test_a_handshake_that_is_never_answered_ends_a_call_that_needs_events(answerer: FakeAnswerer) -> None:
    """SidebandRejected after all tries together, and the server is told."""
    answerer.faults.hold_sideband(times=None)
    config = config_for(answerer, deadlines={"sideband_open_s": 0.3, "sideband_join_s": 1.0})

    with pytest.raises(SidebandRejected) as rejected:
        async with connect(config) as call:
            await call.wait_ended()

    assert rejected.value.status is None
    assert "not answered in time" in str(rejected.value)
    assert answerer.calls[0].hung_up_by_client


async def test_a_handshake_that_is_never_answered_is_nothing_to_a_call_that_needs_none(answerer: FakeAnswerer) -> None:
    """With `prefer` the call goes on by sound alone."""
    answerer.faults.hold_sideband(times=None)
    config = config_for(
        answerer, sideband="prefer", deadlines={"sideband_open_s": 0.2, "sideband_join_s": 0.3}, max_duration_s=0.8
    )

    async with connect(config) as call:
        result = await call.wait_ended()

    assert result.error is None


async def test_a_dropped_handshake_is_tried_again_and_a_redirected_one_is_not(answerer: FakeAnswerer) -> None:
    """Where a redirect leads to would get the key."""
    answerer.faults.drop_sideband()
    answerer.faults.redirect_sideband(answerer.base_url.replace("http", "ws") + "/elsewhere")

    with pytest.raises(SidebandRejected) as rejected:
        async with connect(config_for(answerer)) as call:
            await call.wait_ended()

    assert rejected.value.status == 302
    assert [handshake.path for handshake in answerer.handshakes] == ["/v1/realtime"] * 2


@pytest.mark.both_clocks
@pytest.mark.parametrize("code", [None, 1011, 1012, 4000])
async def test_a_sideband_that_breaks_in_mid_turn_is_joined_again(answerer: FakeAnswerer, code: int | None) -> None:
    """With a close code or without: told once, joined again, and the rest of the turn is heard and read."""
    answerer.script = SPEAKING
    with answerer.faults.lose_sideband(code, after_events=4) as fault:
        async with connect(config_for(answerer, max_duration_s=1.8)) as call:
            result = await call.wait_ended()
            events = [event async for event in call.events()]

    assert fault.n_met == 1
    notices = [event for event in events if isinstance(event, SidebandJoined | SidebandLost)]
    assert notices == [SidebandJoined(again=False), SidebandLost(code=code), SidebandJoined(again=True)]
    words = "".join(event.delta for event in events if isinstance(event, AgentTranscriptDelta))
    assert words.startswith("one two three")
    assert words.endswith("eight")
    assert result.error is None
    assert answerer.calls[0].received[1]["type"] == "session.update"


async def test_a_sideband_closed_with_1000_in_mid_turn_is_a_hang_up(answerer: FakeAnswerer) -> None:
    """The server's own way to say that it is over."""
    answerer.script = SPEAKING
    with answerer.faults.lose_sideband(1000, after_events=4):
        async with connect(config_for(answerer)) as call:
            result = await call.wait_ended()

    assert result.error is None
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.REMOTE_HANGUP, "server")


async def test_a_sideband_that_breaks_again_and_again_is_given_up(answerer: FakeAnswerer) -> None:
    """Joined and lost five times at once: CallLost, with the last close as its cause."""
    with answerer.faults.lose_sideband(1011, times=10) as fault, pytest.raises(CallLost) as lost:
        async with connect(config_for(answerer)) as call:
            await call.wait_ended()

    assert lost.value.reason == "sideband_lost"
    assert isinstance(lost.value.__cause__, SidebandClosed)
    assert lost.value.__cause__.code == 1011
    assert fault.n_met == 5


async def test_a_fault_of_one_call_is_not_met_by_another(answerer: FakeAnswerer) -> None:
    """`call.faults` is for that call alone."""

    async def place(config: CallConfig) -> list[SidebandLost]:
        async with connect(config) as call:
            await call.wait_ended()
            return [event async for event in call.events() if isinstance(event, SidebandLost)]

    calls = [asyncio.create_task(place(config_for(answerer, max_duration_s=1.2))) for _ in range(2)]
    first = await answerer.wait_for_call()
    await answerer.wait_for_call(n=2)
    first.faults.lose_sideband(1011)

    assert sorted(map(len, await asyncio.gather(*calls))) == [0, 1]
