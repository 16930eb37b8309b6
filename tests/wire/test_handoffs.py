"""What the agent asks for, and what is answered (j_*); and calls that are placed and left one after the other (l_*)."""

from __future__ import annotations

import asyncio
import html
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtc_client import Call, HandoffReceived, HandoffRequest, connect
from tests.wire.recordings import Episode, episode, episodes
from tests.wire.replay import KEY, Replay, assert_same_frame, config_of, first_frame_of, place, replaying


def answers(recorded: Episode) -> list[str]:
    """Return what the model below the reference client answered, message by message."""
    events = [e["event"] for e in recorded.all("sse")]
    return [e["item"]["content"][0]["text"] for e in events if e["type"] == "response.output_item.done"]


def delegated(recorded: Episode) -> list[str]:
    """Return the user turns that the reference client made of the requests."""
    items = [params["item"] for method, params in recorded.told if method == "item/started"]
    return [item["content"][0]["text"] for item in items if item["type"] == "userMessage"]


def told_items(recorded: Episode) -> list[dict[str, Any]]:
    """Return the requests as the application above the reference client was told of them."""
    items: list[dict[str, Any]] = [params["item"] for method, params in recorded.told if method == "itemAdded"]
    return items


def as_item(request: HandoffRequest) -> dict[str, Any]:
    entries = [{"role": entry.role, "text": entry.text} for entry in request.active_transcript]
    return {
        "type": "handoff_request",
        "handoff_id": request.handoff_id,
        "item_id": request.item_id,
        "input_transcript": request.input_transcript,
        "active_transcript": entries,
    }


async def requests_of(call: Call, n: int) -> list[HandoffRequest]:
    """Return the first `n` requests of a call."""
    found: list[HandoffRequest] = []
    async with asyncio.timeout(10):
        async for event in call.events():
            if isinstance(event, HandoffReceived):
                found.append(event.request)
            if len(found) == n:
                break
    return found


async def all_frames(replay: Replay, recorded: Episode) -> None:
    """Return once as many frames came as the reference client sent."""
    await replay.server.until(lambda: len(replay.texts) >= len(recorded.sent_frames))


def assert_same_frames(replay: Replay, recorded: Episode) -> None:
    assert len(replay.texts) == len(recorded.sent_frames)
    for ours, theirs in zip(replay.texts, recorded.sent_frames, strict=True):
        assert_same_frame(ours, theirs)


@pytest.mark.parametrize("name", ["j_handoff_simple", "j_handoff_active_transcript"])
async def test_the_same_requests_get_the_same_output(name: str) -> None:
    """We tell the recorded items, the handler gets the recorded user turns, and the same answers make the same frames.

    What was answered is recorded below the reference client, where a model is; here a handler says it. A request in
    which nothing is asked is told, and begins nothing, in both.
    """
    recorded = episode(name)
    requests: list[HandoffRequest] = []
    texts = answers(recorded)

    async def handler(request: HandoffRequest) -> AsyncIterator[str]:
        requests.append(request)
        yield texts[len(requests) - 1]

    async with replaying(recorded) as replay:
        replay.in_order = True
        replay.go.set()
        async with connect(config_of(replay, recorded), handoff=handler) as call:
            await all_frames(replay, recorded)
            received = await requests_of(call, len(told_items(recorded)))

    assert_same_frames(replay, recorded)
    assert [as_item(request) for request in received] == told_items(recorded)
    assert [request.text for request in requests] == delegated(recorded)
    inputs = [re.search("<input>(.*?)</input>", text, re.DOTALL) for text in delegated(recorded)]
    assert [request.input for request in requests] == [html.unescape(found[1]) for found in inputs if found]


async def test_output_that_answers_no_handoff() -> None:
    """The answer to a typed turn in j_standalone_output goes to `codex`, bare; from us it is sent by hand."""
    recorded = episode("j_standalone_output")
    (text,) = answers(recorded)
    async with replaying(recorded) as replay:
        replay.go.set()
        async with connect(config_of(replay, recorded)) as call:
            await call.send_handoff_output(text)
            await all_frames(replay, recorded)

    assert_same_frames(replay, recorded)


@pytest.mark.parametrize("n", range(3))
async def test_a_call_that_is_placed_and_left(n: int) -> None:
    """Each start of l_stop_variants sends the same frame; each way of leaving it closes and hangs up.

    The reference client closes TCP and says nothing else, whether it is stopped, started again or ended; we send a
    close frame, and tell the server, for an open call is billed.
    """
    recorded = episodes("l_stop_variants")[n]
    async with replaying(recorded) as replay:
        if n < 2:
            await place(replay, recorded)
        else:  # the application ended
            task = asyncio.create_task(place_and_wait(replay, recorded))
            await first_frame_of(replay)
            task.cancel()
            await asyncio.wait([task])
            assert task.cancelled()
        await replay.server.until(lambda: replay.close_codes)

    assert_same_frames(replay, recorded)
    assert replay.close_codes == [1000]
    assert len(replay.server.hangups) == 1


async def place_and_wait(replay: Replay, recorded: Episode) -> None:
    async with connect(config_of(replay, recorded)) as call:
        await call.wait_ended()


async def test_a_second_call_leaves_the_first_alone() -> None:
    """In l_stop_variants a second start drops the first sideband; two calls of ours are two calls, also at a time."""
    first, second, _ = episodes("l_stop_variants")
    assert dict(first.post["headers"])["authorization"] == f"Bearer {KEY}"
    async with replaying(first) as one, replaying(second) as other, connect(config_of(one, first)):
        await first_frame_of(one)
        await place(other, second)
        assert one.close_codes == []
    assert_same_frames(one, first)
    assert_same_frames(other, second)
