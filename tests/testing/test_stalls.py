"""Promise: no client is blamed for the time in which the answerer's own loop stood still.

In real time: `test_a_first_frame_that_waited_for_a_stalled_answerer_is_not_late`.
"""

from __future__ import annotations

import asyncio
import time

import pytest
from websockets.asyncio.client import connect

from rtc_client.clock import MonotonicClock
from rtc_client.testing import Expect, FakeAnswerer, Scenario, SeenRequest, Violation
from rtc_client.testing.calls.websocket_media import AgentVoice
from rtc_client.testing.calls.websocket_rules import IN_FLIGHT_S, DirectJudge
from rtc_client.testing.rules.requests import FIRST_FRAME_LIMIT_S
from rtc_client.testing.rules.retries import Tries
from rtc_client.testing.scenario.performance import Performance
from rtc_client.testing.wire.stalls import MAX_KEPT, PERIOD_S, Stalls
from tests.testing.caller import IDENTITY, SESSION, compact
from tests.testing.placed import placed_call


def stalled(*stalls: tuple[float, float]) -> Stalls:
    """Return what is known of a loop that stood still in these stretches."""
    found = Stalls(MonotonicClock())
    for began_s, ended_s in stalls:
        found.wait_begins(began_s - PERIOD_S)
        found.wait_ended(ended_s)
    return found


def test_time_is_lost_from_when_a_timer_was_due_until_it_fired() -> None:
    """As much of each stall as lies between two times."""
    stalls = stalled((1.0, 1.5), (3.0, 3.2))

    assert stalls.lost_s(0.0, 10.0) == pytest.approx(0.7)
    assert stalls.lost_s(1.2, 3.1) == pytest.approx(0.4)
    assert stalls.lost_s(1.5, 3.0) == 0
    assert stalls.lost_before_s(3.2) == pytest.approx(0.2)


def test_a_stall_that_still_lasts_counts() -> None:
    """What comes out of the socket first after a stall is judged before any timer fires."""
    stalls = stalled((1.0, 1.5))
    stalls.wait_begins(2.0)

    assert stalls.lost_s(0.0, 2.0) == pytest.approx(0.5)
    assert stalls.lost_s(0.0, 2.0 + PERIOD_S + 0.3) == pytest.approx(0.8)


def test_the_latest_of_very_many_stalls_are_kept() -> None:
    """What was lost in them is the same whether older ones are forgotten or not."""
    stalls = stalled(*((n * 0.02, n * 0.02 + 0.01) for n in range(2 * MAX_KEPT + 500)))
    end_s = (2 * MAX_KEPT + 500) * 0.02

    assert stalls.lost_s(end_s - 50.0, end_s) == pytest.approx(25.0, abs=0.02)
    assert len(stalls._began_s) <= MAX_KEPT


def test_a_loop_in_time_loses_nothing() -> None:
    """A timer is late by a few hundred microseconds on any machine."""
    assert stalled(*((n * 0.02, n * 0.02 + 0.0005) for n in range(100))).lost_s(0.0, 2.0) == 0


def test_a_try_is_not_hasty_because_the_one_before_was_read_late() -> None:
    """The client waited its 200 ms; the answerer read the first try 150 ms late."""

    def post(at_s: float, late_s: float = 0.0) -> SeenRequest:
        headers = [("x-session-id", "s")]
        return SeenRequest(method="POST", target="/", headers=headers, body=b"offer", at_s=at_s, late_s=late_s)

    def found(late_s: float) -> list[Violation]:
        tries = Tries()
        tries.post_came(post(0.15, late_s))
        tries.post_answered(post(0.15), 503)
        return tries.post_came(post(0.2))

    assert found(late_s=0.15) == []
    assert len(found(late_s=0.0)) == 1


def test_a_response_is_not_asked_for_too_early_because_a_loop_stood_still() -> None:
    """A quarter of a second in which the client could not have heard of the response is not its fault."""
    clock = SteppedClock()
    voice = AgentVoice(clock, is_v1=False)
    voice.active_since_s = 0.0
    stalls = stalled((0.05, 0.4))
    clock.at_s = IN_FLIGHT_S + 0.2

    def found(judge: DirectJudge) -> int:
        return len(judge.later_frame('{"type":"response.create"}'))

    assert found(DirectJudge(voice, clock.now_s, is_v1=False, lost_s=stalls.lost_s)) == 0
    assert found(DirectJudge(voice, clock.now_s, is_v1=False)) == 1


def test_what_a_scenario_expects_has_the_lost_time_on_top() -> None:
    """A message that came 0.3 s after its time, half a second of which the loop stood still, came in time."""
    for stalls, is_met in ((stalled((0.5, 1.0)), True), (stalled(), False)):
        scenario = Scenario(steps=[Expect(message={"type": "wanted"}, within_s=1.0)], begins="answer")
        performance = Performance(scenario, lambda _: 0.0, lost_s=stalls.lost_s)
        performance.answered(0.0)
        performance.tick(0.0)
        performance.tick(1.2)
        performance.read({"type": "wanted"}, 1.3)
        performance.tick(1.3)
        performance.end("hang-up", 1.4, by_client=True)

        assert performance.report("rtc_a").is_met is is_met


@pytest.mark.both_clocks
async def test_a_first_frame_that_waited_for_a_stalled_answerer_is_not_late() -> None:
    """It lay in the socket while the answerer's process did something else for longer than the limit."""
    async with FakeAnswerer() as answerer:
        call_id = await placed_call(answerer)
        async with connect(
            f"ws://127.0.0.1:{answerer.port}/v1/realtime?intent=quicksilver&call_id={call_id}",
            additional_headers={name: value for name, value in IDENTITY.items() if name != "user-agent"},
            user_agent_header=IDENTITY["user-agent"],
            compression=None,
            proxy=None,
        ) as sideband:
            await answerer.calls[0].sideband_joined()
            await asyncio.sleep(2 * PERIOD_S)
            update = {"type": "session.update", "session": {k: v for k, v in SESSION.items() if k != "model"}}
            sending = asyncio.create_task(sideband.send(compact(update)))
            time.sleep(FIRST_FRAME_LIMIT_S + 0.5)  # noqa: ASYNC251 - the stall
            await sending
            await sideband.recv()
        await answerer.calls[0].ended()

    assert answerer.violations == []


class SteppedClock(MonotonicClock):
    """A clock that a test moves."""

    at_s = 0.0

    def now_s(self) -> float:
        return self.at_s
