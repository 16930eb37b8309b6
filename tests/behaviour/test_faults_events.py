"""Promise: events that are doubled, out of order or nonsense end no call, and only an end that is meant ends one.

In real time: `test_a_session_that_expires_is_a_lost_call`.
"""

from __future__ import annotations

import contextlib

import pytest

from rtc_client import (
    AgentTranscriptDelta,
    AgentTranscriptDone,
    CallEvent,
    CallLost,
    CallResult,
    EndReason,
    ErrorEvent,
    ItemAdded,
    SessionUpdated,
    SidebandLost,
    UnknownEvent,
    connect,
)
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn
from rtc_client.testing.faults.effects import ERRORS
from tests.behaviour.calls import config_for, until

SAYING = AgentScript(turns=[SpokenTurn(text="one two three")], hang_up_when_done=True)
N_SAID = 4
"""Three words and the whole."""


async def converse(answerer: FakeAnswerer) -> tuple[CallResult, list[CallEvent]]:
    """Return result and events of a call in which the agent says three words and hangs up."""
    answerer.script = SAYING
    async with connect(config_for(answerer)) as call:
        result = await call.wait_ended()
        events = [event async for event in call.events()]
    assert result.error is None
    assert result.end is not None
    assert result.end.reason is EndReason.REMOTE_HANGUP
    return result, events


def deltas(events: list[CallEvent]) -> list[str]:
    return [event.delta for event in events if isinstance(event, AgentTranscriptDelta)]


async def test_events_that_come_twice_are_told_twice(answerer: FakeAnswerer) -> None:
    """Each with its id, by which the transcript has every word once, also while it is being said."""
    growing: list[str] = []
    with answerer.faults.duplicate_events() as fault:
        answerer.script = SAYING
        async with connect(config_for(answerer)) as call:
            async for event in call.events():
                if isinstance(event, AgentTranscriptDelta):
                    growing.append(call.transcript[0].text)
            result = await call.wait_ended()
            events = [event async for event in call.events()]

    assert growing[0] in ("one", "one two", "one two three")
    assert set(growing) <= {"one", "one two", "one two three"}
    assert len({event.event_id for event in events if isinstance(event, AgentTranscriptDelta)}) == 3
    assert fault.n_met == N_SAID + 1
    assert deltas(events) == ["one", "one", " two", " two", " three", " three"]
    assert result.events["session.updated"] == 2
    assert [entry.text for entry in result.transcript] == ["one two three"]


async def test_events_out_of_order_are_told_as_they_come(answerer: FakeAnswerer) -> None:
    """All of them, none twice; the same seed gives the same order."""
    orders = []
    for _ in range(2):
        with answerer.faults.reorder_events(seed=3):
            result, events = await converse(answerer)
        orders.append(
            [
                getattr(event, "delta", "done" if isinstance(event, AgentTranscriptDone) else "updated")
                for event in events
                if isinstance(event, AgentTranscriptDelta | AgentTranscriptDone | SessionUpdated)
            ]
        )
        assert result.events_skipped == 0

    assert sorted(orders[0]) == sorted(["updated", "one", " two", " three", "done"])
    assert orders[0] != ["updated", "one", " two", " three", "done"]
    assert orders[0] == orders[1]


@pytest.mark.parametrize(
    ("name", "why"),
    [("malformed_events", "malformed JSON"), ("unknown_events", "unknown type"), ("binary_events", "binary frame")],
)
async def test_nonsense_between_events_is_counted_and_harms_nothing(
    answerer: FakeAnswerer, name: str, why: str
) -> None:
    """One UnknownEvent for each, that says why; what is behind it is understood."""
    with getattr(answerer.faults, name)() as fault:
        result, events = await converse(answerer)

    unknown = [event for event in events if isinstance(event, UnknownEvent)]
    assert [event.why for event in unknown] == [why] * (N_SAID + 1)
    assert result.events["unknown"] == fault.n_met == N_SAID + 1
    assert deltas(events) == ["one", " two", " three"]


async def test_events_of_five_megabytes_are_events(answerer: FakeAnswerer) -> None:
    """Read whole, told as what they are."""
    with answerer.faults.huge_events() as fault:
        _, events = await converse(answerer)

    items = [event.raw["item"] for event in events if isinstance(event, ItemAdded)]
    assert len(items) == fault.n_met == N_SAID + 1
    assert all(isinstance(item, dict) and len(str(item["text"])) > 4_999_000 for item in items)
    assert deltas(events) == ["one", " two", " three"]


async def test_an_event_beyond_all_bounds_costs_the_sideband_and_not_the_call(answerer: FakeAnswerer) -> None:
    """More than 16 MiB is not read: that sideband is closed, another is joined, and the call goes on."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_sent(lambda event: event["type"] == "session.updated")
        # The client closes before all of it is sent.
        with answered.faults.huge_events(17_000_000), contextlib.suppress(ConnectionError):
            await answered.send_event({"type": "x"})
        await answered.sideband_joined(times=2)
        await answered.wait_received(2)  # the session again
        await answered.hang_up()
        result = await call.wait_ended()
        events = [event async for event in call.events()]

    assert [event.code for event in events if isinstance(event, SidebandLost)] == [1009]
    assert result.error is None


FATAL = {"session_expired", "invalid_api_key", "insufficient_quota", "call_not_found"}


@pytest.mark.parametrize("kind", sorted(set(ERRORS) - FATAL))
async def test_an_error_that_a_call_survives_is_an_event(answerer: FakeAnswerer, kind: str) -> None:
    """Told with its words and its code; a text after it still arrives. An error that says nothing is unknown."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        with answerer.faults.error_event(kind) as fault:
            await until(lambda: call.result.events.get("error") or call.result.events["unknown"])
        await call.say("still here")
        await answered.wait_received(2)
        await answered.hang_up()
        events = [event async for event in call.events()]

    assert fault.n_met == 1
    errors = [event for event in events if isinstance(event, ErrorEvent)]
    if kind == "empty":
        assert errors == []
        assert [event.why for event in events if isinstance(event, UnknownEvent)] == ["unexpected shape"]
    else:
        detail = ERRORS[kind].get("error")
        assert [event.code for event in errors] == [detail.get("code") if isinstance(detail, dict) else None]
    assert call.result.error is None


@pytest.mark.parametrize("kind", sorted(FATAL))
async def test_an_error_that_no_call_survives_ends_it(answerer: FakeAnswerer, kind: str) -> None:
    """CallLost, by the server, after the event itself was told."""
    call = connect(config_for(answerer))
    with answerer.faults.error_event(kind), pytest.raises(CallLost):
        async with call:
            await call.wait_ended()

    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.LOST, "server")
    assert call.result.events["error"] == 1


@pytest.mark.both_clocks
async def test_a_session_that_expires_is_a_lost_call(answerer: FakeAnswerer) -> None:
    """CallLost says that the session expired, whatever the server closes behind it."""
    with answerer.faults.expire_session(0.4), pytest.raises(CallLost) as lost:
        async with connect(config_for(answerer)) as call:
            await call.wait_ended()

    assert "session expired" in str(lost.value)
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.LOST, "server")
    assert call.result.duration_s is not None
    assert call.result.duration_s >= 0.3
