"""Promise: a sync call is used like any other object, from any thread, and nothing of it is left behind."""

from __future__ import annotations

import asyncio
import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from rtc_client import (
    CallbackSink,
    CallClosed,
    CallConfig,
    CallEnded,
    CallEvent,
    CallLost,
    CallState,
    Deadlines,
    EndReason,
    MediaConnected,
    NumpySink,
    OfferRejected,
    PcmFrame,
    ToneSource,
    WrongThread,
    sync,
)
from rtc_client.testing import FakeAnswerer
from tests.sync.waiting import SETTLE_S, until

pytestmark = pytest.mark.real_time("calls of a thread of their own, or of another process")


class Mistake(Exception):
    """Only this test's code raises it."""


def texts_in(answerer: FakeAnswerer) -> list[str]:
    """Return the texts that came in the first call."""
    events: list[Any] = answerer.calls[0].received
    return [event["item"]["content"][0]["text"] for event in events if event["type"] == "conversation.item.create"]


def kinds(events: list[CallEvent]) -> list[str]:
    return [type(event).__name__ for event in events]


def test_a_call_is_held_from_dialling_to_its_result(answerer: FakeAnswerer, config: CallConfig) -> None:
    """Sound goes both ways, a text goes out, events come in and end, and the result stands when all is over."""
    heard = NumpySink()
    with sync.connect(config, source=ToneSource(440, duration_s=0.4), sink=heard) as call:
        assert (call.state, call.muted) == (CallState.ACTIVE, False)
        call.say("Be kind.")
        events = list(call.events())

    assert MediaConnected() in events
    assert isinstance(events[-1], CallEnded)
    assert events[-1].end.reason is EndReason.SOURCE_ENDED
    assert [(entry.text, entry.written) for entry in call.result.transcript] == [("Be kind.", True), ("beep", False)]
    assert heard.samples.any()
    assert call.wait_ended() == call.result
    assert call.stats().packets_received > 0
    assert texts_in(answerer) == ["Be kind."]
    assert answerer.calls[0].hung_up_by_client


async def test_it_works_where_an_event_loop_runs(config: CallConfig) -> None:
    """As in a cell of Jupyter: the loop of this thread is blocked, but not in the way."""
    assert asyncio.get_running_loop().is_running()
    with sync.connect(config, source=ToneSource(440, duration_s=0.4)) as call:
        names = kinds(list(call.events()))

    assert names[-1] == "CallEnded"
    assert asyncio.all_tasks() == {asyncio.current_task()}


def test_calls_of_many_threads_do_not_meet(answerer: FakeAnswerer, config: CallConfig) -> None:
    """Six threads hold a call each, at the same time, and each gets its own."""
    together = threading.Barrier(6, timeout=SETTLE_S)

    def hold(_: int) -> tuple[str | None, str]:
        with sync.connect(config) as call:
            together.wait()
            next(event for event in call.events() if getattr(event, "transcript", "") == "beep")
            return call.call_id, call.transcript[-1].text

    with ThreadPoolExecutor(6) as pool:
        held = list(pool.map(hold, range(6)))

    assert {text for _, text in held} == {"beep"}
    assert {call_id for call_id, _ in held} == {call.call_id for call in answerer.calls}
    assert len(answerer.calls) == 6


def test_two_threads_use_one_call(answerer: FakeAnswerer, config: CallConfig) -> None:
    """While one thread reads events, and one waits for the end, another sends; both return when it hangs up."""
    with sync.connect(config) as call, ThreadPoolExecutor(2) as pool:
        reading = pool.submit(lambda: kinds(list(call.events())))
        waiting = pool.submit(call.wait_ended)
        for n in range(20):
            call.say(str(n))
            call.mute()
            call.unmute()
        until(lambda: len(texts_in(answerer)) == 20)
        call.hangup()

        assert reading.result(SETTLE_S)[-1] == "CallEnded"
        result = waiting.result(SETTLE_S)
        assert result.end is not None
        assert result.end.reason is EndReason.HANGUP
    assert texts_in(answerer) == [str(n) for n in range(20)]


def test_an_error_in_the_block_comes_out_after_the_close(answerer: FakeAnswerer, config: CallConfig) -> None:
    """The call ends as failed by the program, the server is told, and the error is the program's own."""
    mistake = Mistake()
    with pytest.raises(Mistake) as raised, sync.connect(config) as call:
        raise mistake

    assert raised.value is mistake
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.detail) == (EndReason.FAILED, "Mistake")
    assert answerer.calls[0].hung_up_by_client


def test_a_limit_ends_the_waiting_and_nothing_else(config: CallConfig) -> None:
    """After a TimeoutError the call goes on, and a reader goes on where it was."""
    with sync.connect(config) as call:
        with pytest.raises(TimeoutError, match=r"wait_ended\(\) took longer than 0.05 s"):
            call.wait_ended(timeout_s=0.05)
        events = call.events(timeout_s=0.3)
        seen: list[CallEvent] = []
        with pytest.raises(TimeoutError, match=r"events\(\) took longer"):
            while True:
                seen.append(next(events))
        assert "MediaConnected" in kinds(seen)
        assert "AgentTranscriptDone" in kinds(seen)
        assert call.state is CallState.ACTIVE
        call.hangup()
        seen += events

    assert kinds(seen) == kinds(list(call.events()))


def test_what_was_not_read_can_be_read_when_the_call_is_over(config: CallConfig) -> None:
    """A reader ends once and for all; who asks again gets everything once more; the rest says that it is over."""
    with sync.connect(config) as call:
        events = call.events()
        first = next(events)
    again = call.events()
    assert kinds([first, *events]) == kinds(list(again))
    assert list(events) == []
    assert call.state is CallState.ENDED
    call.hangup()
    with pytest.raises(CallClosed):
        call.say("too late")


def test_a_call_is_entered_once(config: CallConfig) -> None:
    """A second `with`, while it runs or afterwards, is refused, and does the call no harm."""
    with sync.connect(config) as call:
        with pytest.raises(CallClosed, match="dialled once"), call:
            raise AssertionError
        assert call.state is CallState.ACTIVE
    with pytest.raises(CallClosed, match="dialled once"), call:
        raise AssertionError


def test_a_refused_call_raises_what_the_async_door_raises(answerer: FakeAnswerer, config: CallConfig) -> None:
    """And leaves no thread; the leak checks look at that."""
    answerer.faults.refuse_post(403)
    with pytest.raises(OfferRejected) as refused, sync.connect(config):
        raise AssertionError

    assert refused.value.status == 403


def test_a_callback_that_blocks_holds_up_no_other_call(answerer: FakeAnswerer, config: CallConfig) -> None:
    """The call that it belongs to waits for it; the one beside it is heard."""
    blocked, go_on = threading.Event(), threading.Event()

    def block(_: PcmFrame) -> None:
        blocked.set()
        go_on.wait(SETTLE_S)

    heard = NumpySink()
    with sync.connect(config, sink=CallbackSink(block)):
        try:
            assert blocked.wait(SETTLE_S)
            with sync.connect(config, sink=heard) as other:
                next(event for event in other.events(timeout_s=SETTLE_S) if getattr(event, "transcript", "") == "beep")
            assert not go_on.is_set()
        finally:
            go_on.set()

    assert heard.samples.any()


def test_a_callback_that_never_returns_is_told_when_the_call_is_left(config: CallConfig) -> None:
    """The call cannot be closed then: who leaves it hears so in time, instead of waiting for ever."""
    blocked, go_on = threading.Event(), threading.Event()

    def block(_: PcmFrame) -> None:
        blocked.set()
        go_on.wait(4 * SETTLE_S)

    in_no_time = replace(config, deadlines=Deadlines(close_s=0.1, remote_hangup_s=0.1))
    told = pytest.raises(CallLost, match="may still be open: its thread is blocked")
    try:
        with told, sync.connect(in_no_time, sink=CallbackSink(block)):
            assert blocked.wait(SETTLE_S)
    finally:
        go_on.set()
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("rtc-call")])


def test_waiting_in_a_callback_is_refused_and_asking_is_not(config: CallConfig) -> None:
    """In the thread of the call nothing could ever come of waiting for it; mute() and state work there."""
    done = threading.Event()
    said: list[Any] = []

    def callback(_: PcmFrame) -> None:
        if not done.is_set():
            try:
                call.mute()
                said.extend([call.state, call.muted])
                call.hangup()
            except WrongThread as error:
                said.append(str(error))
            done.set()

    call = sync.connect(config, sink=CallbackSink(callback))
    with call:
        assert done.wait(SETTLE_S)

    assert said[:2] == [CallState.ACTIVE, True]
    assert said[2].startswith("hangup() waits, and this is the thread that it waits for")


def test_a_call_that_nobody_holds_any_more_is_hung_up(answerer: FakeAnswerer, config: CallConfig) -> None:
    """Who enters a call without `with` and drops it leaves no open call, and no thread."""
    call = sync.connect(config)
    call.__enter__()
    reading = call.events()
    del call
    gc.collect()
    assert answerer.calls[0].ended_by is None  # somebody could still read it
    assert next(reading) is not None
    del reading
    gc.collect()

    until(lambda: answerer.calls[0].hung_up_by_client)
    until(lambda: not [thread for thread in threading.enumerate() if thread.name.startswith("rtc-call")])
