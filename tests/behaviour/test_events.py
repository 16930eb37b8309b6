"""Promise: every reader of a call's events gets all of them, from the first, and none can hold the call up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rtc_client import (
    Call,
    CallEnded,
    CallEvent,
    EndReason,
    ErrorEvent,
    ItemAdded,
    MediaConnected,
    NumpySink,
    SessionUpdated,
    SidebandJoined,
    UnknownEvent,
    WireMessage,
    connect,
)
from rtc_client.testing import AnsweredCall, FakeAnswerer
from tests.behaviour.calls import cancel_and_wait, config_for, until
from tests.behaviour.speech import seconds


def item(number: int) -> dict[str, object]:
    """Return an event that can be told from every other."""
    return {"type": "conversation.item.added", "item": {"id": f"item_{number}"}}


async def read_all(call: Call) -> list[CallEvent]:
    """Return every event up to the end of the call."""
    return [event async for event in call.events()]


def items_in(events: Sequence[CallEvent]) -> list[object]:
    """Return the items among `events`."""
    return [event.raw["item"] for event in events if isinstance(event, ItemAdded)]


async def session_updated(answered: AnsweredCall) -> None:
    """Return once the sideband is up and the session known."""
    await answered.wait_sent(lambda event: event["type"] == "session.updated")


async def test_several_readers_and_late_ones_get_every_event_from_the_start(answerer: FakeAnswerer) -> None:
    """Two readers from the start, one in the midst of the call and one after its end read the same list."""
    async with connect(config_for(answerer)) as call:
        early = [asyncio.create_task(read_all(call)) for _ in range(2)]
        answered = await answerer.wait_for_call()
        await session_updated(answered)
        for number in range(3):
            await answered.send_event(item(number))
        late = asyncio.create_task(read_all(call))
        await answered.send_event(item(3))
        await answered.hang_up()
        await call.wait_ended()
        readings = [*await asyncio.gather(*early), await late, await read_all(call)]

    after = await read_all(call)
    assert all(reading == after for reading in readings)
    assert items_in(after) == [{"id": f"item_{number}"} for number in range(4)]
    kinds = [type(event) for event in after]
    assert kinds.count(MediaConnected) == kinds.count(SidebandJoined) == kinds.count(SessionUpdated) == 1
    assert kinds[-1] is CallEnded
    assert call.result.events_skipped == 0


async def test_a_reader_that_stops_or_is_cancelled_takes_nothing_from_the_others(answerer: FakeAnswerer) -> None:
    """Leaving the loop early, or being cancelled in it, leaves the call and the other readers as they are."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await session_updated(answered)
        async for event in call.events():
            assert isinstance(event, MediaConnected | SidebandJoined | SessionUpdated)
            break
        reader = asyncio.create_task(read_all(call))
        await answered.send_event(item(1))
        await cancel_and_wait(reader)
        await answered.hang_up()

        assert items_in(await read_all(call)) == [{"id": "item_1"}]


@pytest.mark.real_time("its events take processor time")
async def test_a_reader_that_never_comes_back_cannot_hold_the_call_up(answerer: FakeAnswerer) -> None:
    """While one reader sleeps over thousands of events the call goes on; it skips the oldest, and that is counted."""
    n_events = 5_000
    awake = asyncio.Event()
    sink = NumpySink()

    async def read_slowly(call: Call) -> list[CallEvent]:
        events = []
        async for event in call.events():
            events.append(event)
            await awake.wait()
        return events

    async with connect(config_for(answerer), sink=sink) as call:
        reader = asyncio.create_task(read_slowly(call))
        answered = await answerer.wait_for_call()
        await session_updated(answered)
        for number in range(n_events):
            await answered.send_event(item(number))
        await until(lambda: call.result.events.get("conversation.item.added") == n_events)
        elapsed_s = call.elapsed_s
        await answered.hang_up()
        result = await call.wait_ended()
        awake.set()
        events = await reader

    assert call.result.events_skipped > 0
    assert len(events) + call.result.events_skipped == n_events + 4
    assert items_in(events)[-1] == {"id": f"item_{n_events - 1}"}
    assert result.end is not None
    assert result.end.reason is EndReason.REMOTE_HANGUP
    assert seconds(sink.samples) >= elapsed_s


async def test_what_cannot_be_understood_is_kept_and_counted_and_ends_nothing(answerer: FakeAnswerer) -> None:
    """Unknown, malformed, misshapen and binary frames are events like others; so is an error that is not fatal."""
    wire: list[WireMessage] = []
    strange: list[str | bytes] = [
        '{"type":"session.exploded","x":1}',
        "no JSON",
        "[1]",
        "{}",
        '{"type":"session.updated"}',
        b"\x00\xff",
    ]
    async with connect(config_for(answerer), wire_log=wire.append) as call:
        answered = await answerer.wait_for_call()
        await session_updated(answered)
        for frame in strange:
            await answered.send_frame(frame)
        await answered.send_event({"type": "error", "error": {"message": "slow down", "code": "rate_limit"}})
        await answered.send_event(item(1))
        await until(lambda: "conversation.item.added" in call.result.events)
        assert call.state == "active"
        await answered.hang_up()
        events = await read_all(call)

    unknown = [event for event in events if isinstance(event, UnknownEvent)]
    assert [(event.type, event.why) for event in unknown] == [
        ("session.exploded", "unknown type"),
        ("", "malformed JSON"),
        ("", "not an object"),
        ("", "no type"),
        ("session.updated", "unexpected shape"),
        ("", "binary frame"),
    ]
    assert unknown[0].raw == {"type": "session.exploded", "x": 1}
    assert [event.code for event in events if isinstance(event, ErrorEvent)] == ["rate_limit"]
    assert call.result.events == {"unknown": 6, "session.updated": 1, "error": 1, "conversation.item.added": 1}
    incoming = [frame.event for frame in wire if frame.direction == "in"][1:]
    assert incoming[:5] == [{"type": "session.exploded", "x": 1}, "no JSON", [1], {}, {"type": "session.updated"}]
    assert incoming[5] == {"binary_base64": "AP8="}
    assert [frame.at_s for frame in wire] == sorted(frame.at_s for frame in wire)
