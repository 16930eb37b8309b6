"""Promise: a text is sent in its turn or its sender is told; it is never lost in silence.

In real time: `test_texts_written_before_the_sideband_is_up_are_sent_in_order_once_it_is`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rtc_client import CallClosed, ConfigError, SidebandAbandoned, SidebandRejected, connect
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import cancel_and_wait, config_for


def text_in(frame: dict[str, Any]) -> str | None:
    """Return the text of a message, None for another frame."""
    if frame["type"] != "conversation.item.create":
        return None
    (content,) = frame["item"]["content"]
    return str(content["text"])


@pytest.mark.both_clocks
async def test_texts_written_before_the_sideband_is_up_are_sent_in_order_once_it_is(answerer: FakeAnswerer) -> None:
    """The session comes first, then every text as it was written, also an empty one; no writer has to wait."""
    answerer.faults.hold_sideband(0.4)
    texts = ["one", "", "drei – 三", 'four "quoted"\n']

    async with connect(config_for(answerer)) as call:
        joined_before = call.sideband_joined
        for text in texts:
            await call.say(text)
        answered = await answerer.wait_for_call()
        await answered.wait_received(1 + len(texts))
        joined_after = call.sideband_joined

    assert (joined_before, joined_after) == (False, True)
    assert answered.received[0]["type"] == "session.update"
    assert [text_in(frame) for frame in answered.received[1:]] == texts


async def test_texts_of_every_role_are_sent(answerer: FakeAnswerer) -> None:
    """A text may be the caller's, a developer's or the agent's own."""
    async with connect(config_for(answerer)) as call:
        await call.say("a")
        await call.say("b", role="developer")
        await call.say("c", role="assistant")
        answered = await answerer.wait_for_call()
        await answered.wait_received(4)

    assert [frame["item"]["role"] for frame in answered.received[1:]] == ["user", "developer", "assistant"]  # type: ignore[index]


async def test_a_text_written_just_before_hanging_up_still_arrives(answerer: FakeAnswerer) -> None:
    """The hang-up waits a moment for what is queued on a joined sideband."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_sent(lambda event: event["type"] == "session.updated")
        for number in range(20):
            await call.say(f"text {number}")

    assert [text_in(frame) for frame in answered.received[1:]] == [f"text {number}" for number in range(20)]


async def test_a_full_queue_makes_the_writer_wait_and_the_end_sets_it_free(answerer: FakeAnswerer) -> None:
    """With no sideband in sight the 65th text waits for room; when the call ends its writer gets CallClosed."""
    answerer.faults.hold_sideband()
    async with connect(config_for(answerer)) as call:
        for number in range(64):
            await call.say(f"text {number}")
        waiting = [asyncio.create_task(call.say(f"too many {n}")) for n in range(3)]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await call.say("one more")
        await cancel_and_wait(waiting[0])
        await call.hangup()
        outcomes = await asyncio.gather(*waiting[1:], return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [CallClosed, CallClosed]


async def test_after_the_end_a_text_is_refused(answerer: FakeAnswerer) -> None:
    """Whoever ended the call, in the block and after it: CallClosed."""
    async with connect(config_for(answerer)) as call:
        await (await answerer.wait_for_call()).hang_up()
        await call.wait_ended()
        with pytest.raises(CallClosed):
            await call.say("hello?")
    with pytest.raises(CallClosed):
        await call.say("hello?")


async def test_without_a_sideband_a_text_is_refused(answerer: FakeAnswerer) -> None:
    """By policy, or because it was given up: SidebandRejected, and the call goes on."""
    async with connect(config_for(answerer, sideband="off")) as call:
        with pytest.raises(SidebandRejected):
            await call.say("hello?")
        assert call.state == "active"
    answerer.faults.refuse_sideband(403)
    async with connect(config_for(answerer, sideband="prefer")) as call:
        async for event in call.events():
            if isinstance(event, SidebandAbandoned):
                break
        with pytest.raises(SidebandRejected):
            await call.say("hello?")
        assert call.state == "active"


async def test_a_text_that_is_no_text_is_refused_where_it_was_written(answerer: FakeAnswerer) -> None:
    """A lone surrogate cannot be sent: ConfigError, and the call goes on."""
    async with connect(config_for(answerer)) as call:
        with pytest.raises(ConfigError):
            await call.say("\ud800")
        assert call.state == "active"
