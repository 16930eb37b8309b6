"""The agent asks for something, and a handler does it: whole calls against the fake answerer.

In real time: `test_a_time_limit_ends_a_handler_even_one_that_does_not_obey`.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from rtc_client import (
    CallClosed,
    CallResult,
    CommandFailed,
    CommandHandoff,
    ConfigError,
    EndReason,
    HandoffEnded,
    HandoffFailed,
    HandoffReceived,
    HandoffRequest,
    HandoffSettings,
    OpenAIResponsesHandoff,
    Progress,
    SidebandRejected,
    SilenceSource,
    ToneSource,
    connect,
)
from rtc_client.testing import EndCall, Expect, FakeAnswerer, RequestHandoff, Scenario, SendEvent
from tests.behaviour.calls import API_KEY, config_for, until
from tests.delegates.responses_server import message, serving

PREFIX = '"Agent Final Message":\n\n'


def output(handoff_id: str, text: object) -> Expect:
    """Expect output for a handoff; a string with the prefix."""
    text = PREFIX + text if isinstance(text, str) else text
    message = {"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": text}
    return Expect(message=message, within_s=5)


def ask(input_transcript: str, answer: object = None, *, wait: bool = True) -> RequestHandoff:
    """Request a handoff, and expect this answer; None for none."""
    return RequestHandoff(input_transcript=input_transcript, answer=answer, wait=wait)


def said(kind: str, delta: str) -> SendEvent:
    return SendEvent(event={"type": f"conversation.{kind}_transcript.delta", "delta": delta})


async def hold(*steps: Any, handler: Any, **settings: Any) -> tuple[CallResult, list[Any]]:
    """Hold a call that goes through these steps and is hung up by the agent; return its result and notices."""
    async with FakeAnswerer(scenario=Scenario(steps=[*steps, EndCall()])) as answerer:
        call = connect(config_for(answerer, **settings), source=SilenceSource(), handoff=handler)
        async with call:
            result = await call.wait_ended()
        notices = [event async for event in call.events() if isinstance(event, HandoffReceived | HandoffEnded)]
        assert answerer.violations == []
    assert result.end is not None
    assert result.end.reason is EndReason.REMOTE_HANGUP
    return result, notices


def outcomes(result: CallResult) -> list[tuple[str, str, str | None, int]]:
    return [(one.handoff_id, one.fate, one.outcome, one.n_outputs) for one in result.handoffs]


# --- kinds of handlers -----------------------------------------------------------------------------------------------


async def test_a_handler_gets_what_was_said_and_its_answer_is_sent() -> None:
    """It gets the ids, the request and the active transcript; its text comes with the prefix, to the request's id."""
    requests: list[HandoffRequest] = []

    async def look_up(request: HandoffRequest) -> str:
        requests.append(request)
        return "At nine."

    steps = [said("input", "opening hours"), said("output", "let me see"), ask("look it up", "At nine.")]
    result, notices = await hold(*steps, handler=look_up)

    (request,) = requests
    assert (request.handoff_id, request.item_id, request.input_transcript) == ("handoff_1", "item_1", "look it up")
    expected = [("user", "opening hours"), ("assistant", "let me see"), ("user", "look it up")]
    assert [(entry.role, entry.text) for entry in request.active_transcript] == expected
    assert "<input>look it up</input>" in request.text
    assert [type(notice) for notice in notices] == [HandoffReceived, HandoffEnded]
    assert notices[0].request is request
    assert outcomes(result) == [("handoff_1", "started", "answered", 1)]
    assert result.handoffs[0].duration_s is not None
    assert [entry.text for entry in result.transcript] == ["opening hours", "let me see"]
    assert "handoffs  1 answered" in result.as_text()


async def progress(request: HandoffRequest) -> AsyncIterator[str]:
    yield Progress("looking")
    yield "At nine."


def in_a_thread(request: HandoffRequest) -> Iterator[str]:
    assert threading.current_thread() is not threading.main_thread()
    yield Progress("looking")
    yield ""
    yield "At nine."


def by_another(request: HandoffRequest) -> AsyncIterator[str]:
    return progress(request)


class Callable:
    async def __call__(self, request: HandoffRequest) -> AsyncIterator[str]:
        return progress(request)


@pytest.mark.parametrize("handler", [progress, in_a_thread, Callable(), by_another])
async def test_progress_is_sent_as_it_comes(handler: Any) -> None:
    """Each text of a generator, async or in a thread, is a message of its own; an empty one is none."""
    steps = [ask("look it up", "looking"), output("handoff_1", "At nine.")]
    result, _ = await hold(*steps, handler=handler)

    assert outcomes(result) == [("handoff_1", "started", "answered", 2)]


async def test_progress_is_bare_by_the_later_rule() -> None:
    """With `prefix="final"`, as from 0.145.0 on, progress has no prefix, and other texts have it."""
    bare = Expect(message={"type": "conversation.handoff.append", "output_text": "looking"})
    steps = [ask("look it up"), bare, output("handoff_1", "At nine.")]
    await hold(*steps, handler=progress, handoffs=HandoffSettings(prefix="final"))


async def test_on_handoff_decorates_and_a_silent_handler_says_nothing() -> None:
    """`@call.on_handoff` is for a call that was not entered yet, once; None and white space are not sent."""
    script = Scenario(steps=[ask("quietly", answer=None), said("output", "hm")])
    async with FakeAnswerer(scenario=script) as answerer:
        call = connect(config_for(answerer))

        @call.on_handoff
        def quiet(request: HandoffRequest) -> None:
            return None

        with pytest.raises(ConfigError, match="one handoff handler"):
            call.on_handoff(quiet)
        async with call:
            await until(lambda: call.result.handoffs and call.result.handoffs[0].outcome == "answered")
            with pytest.raises(CallClosed):
                call.on_handoff(quiet)
    assert outcomes(call.result) == [("handoff_1", "started", "answered", 0)]


async def test_a_handler_needs_a_sideband() -> None:
    """Without one no request can come."""
    async with FakeAnswerer() as answerer:
        with pytest.raises(ConfigError, match="sideband"):
            connect(config_for(answerer, sideband="off"), handoff=progress)


async def test_a_handler_that_is_a_context_manager_is_entered_before_anything_is_sent() -> None:
    """What it raises on entering is raised by the call; else it is left when the call is over."""
    happened: list[str] = []

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        happened.append("entered")
        yield
        happened.append("left")

    class Handler:
        def __init__(self, fault: Exception | None = None) -> None:
            self.fault = fault
            self.resource = resource()

        async def __aenter__(self) -> None:
            if self.fault:
                raise self.fault
            await self.resource.__aenter__()

        async def __aexit__(self, *error: Any) -> None:
            await self.resource.__aexit__(None, None, None)

        def __call__(self, request: HandoffRequest) -> str:
            return "done"

    async with FakeAnswerer() as answerer:
        with pytest.raises(ConfigError, match="no key"):
            async with connect(config_for(answerer), handoff=Handler(ConfigError("no key"))):
                pass
        assert answerer.calls == []
        async with connect(config_for(answerer), handoff=Handler()):
            assert happened == ["entered"]
    assert happened == ["entered", "left"]


# --- a second request ------------------------------------------------------------------------------------------------


async def test_steering_reaches_the_handler_and_takes_over_its_output() -> None:
    """A second request goes to the handler at work, and what comes after it answers the second."""

    async def obliging(request: HandoffRequest) -> AsyncIterator[str]:
        yield "begun"
        more = await request.next_steering()
        yield f"both: {request.input_transcript}, {more.input_transcript}"

    steps = [
        ask("first", "begun"),
        ask("second", "both: first, second"),
    ]
    result, _ = await hold(*steps, handler=obliging)

    assert outcomes(result) == [("handoff_1", "started", "answered", 2), ("handoff_2", "steering", None, 0)]


async def test_steering_that_nobody_takes_is_a_request_of_its_own() -> None:
    """The answer under way is sent with the new id, and then the handler gets the second request too."""
    second_came = asyncio.Event()

    async def plain(request: HandoffRequest) -> str:
        if request.input_transcript == "first":
            await second_came.wait()
        return f"{request.input_transcript} done"

    steps = [ask("first", answer=None), ask("second", "first done")]
    async with FakeAnswerer(
        scenario=Scenario(steps=[*steps, output("handoff_2", "second done"), EndCall()])
    ) as answerer:
        async with connect(config_for(answerer), handoff=plain) as call:
            async for event in call.events():
                if isinstance(event, HandoffReceived) and event.request.handoff_id == "handoff_2":
                    second_came.set()
        assert answerer.violations == []
    assert outcomes(call.result) == [("handoff_1", "started", "answered", 1), ("handoff_2", "steering", "answered", 1)]


async def test_replace_cancels_the_handler_at_work() -> None:
    """With `replace` the second request begins at once, and nothing more is heard of the first."""
    cancelled: list[str] = []

    async def endless(request: HandoffRequest) -> AsyncIterator[str]:
        yield f"{request.input_transcript} begun"
        if request.input_transcript == "second":
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(request.handoff_id)
            assert request.is_cancelled
            raise

    steps = [ask("first", "first begun"), ask("second", "second begun")]
    result, _ = await hold(*steps, handler=endless, handoffs=HandoffSettings(while_busy="replace"))

    assert cancelled == ["handoff_1"]
    assert outcomes(result) == [("handoff_1", "started", "replaced", 1), ("handoff_2", "started", "answered", 1)]


async def test_requests_that_come_at_once_leave_nothing_behind() -> None:
    """A handler that is replaced before its first step never runs."""
    begun: list[str] = []

    async def handler(request: HandoffRequest) -> str:
        begun.append(request.handoff_id)
        return f"{request.input_transcript} done"

    steps = [*(ask(f"request {n}") for n in range(9)), ask("last", "last done")]
    await hold(*steps, handler=handler, handoffs=HandoffSettings(while_busy="replace"))

    assert begun[-1] == "handoff_10"


async def test_queue_answers_each_request_by_its_own_id() -> None:
    """With `queue` the second request waits until the first is done."""
    second_came = asyncio.Event()

    async def plain(request: HandoffRequest) -> str:
        await second_came.wait()
        return f"{request.input_transcript} done"

    steps = [ask("first", "first done", wait=False), ask("second", "second done")]
    settings = HandoffSettings(while_busy="queue")
    async with FakeAnswerer(scenario=Scenario(steps=[*steps, EndCall()])) as answerer:
        async with connect(config_for(answerer, handoffs=settings), handoff=plain) as call:
            async for event in call.events():
                if isinstance(event, HandoffReceived) and event.fate == "queued":
                    second_came.set()
        assert answerer.violations == []
    assert outcomes(call.result) == [("handoff_1", "started", "answered", 1), ("handoff_2", "queued", "answered", 1)]


async def test_too_many_requests_are_refused_in_words() -> None:
    """What waits has a bound; beyond it the agent is told that nothing was begun."""

    async def endless(request: HandoffRequest) -> None:
        await asyncio.Event().wait()

    steps = [ask(f"request {n}", answer=None) for n in range(17)]
    refusal = ask("one too many", {"matches": "too many"})
    result, _ = await hold(*steps, refusal, handler=endless)

    assert [one.fate for one in result.handoffs] == ["started"] + ["steering"] * 16 + ["refused"]
    assert result.handoffs[0].outcome == "cancelled"


# --- what goes wrong -------------------------------------------------------------------------------------------------


async def test_a_failing_handler_is_told_to_agent_and_caller_and_the_call_goes_on() -> None:
    """Words of HandoffFailed are passed on without secrets, of others the name only; the next request is handled."""
    faults = {
        "first": HandoffFailed(f"The calendar\nis not reachable with {API_KEY}."),
        "second": ValueError("the password is hunter2"),
    }

    def failing(request: HandoffRequest) -> str:
        if request.input_transcript in faults:
            raise faults[request.input_transcript]
        return "done"

    steps = [
        ask("first", "The calendar is not reachable with [redacted]."),
        ask("second", "The task failed by an internal error (ValueError)."),
        ask("third", "done"),
    ]
    result, notices = await hold(*steps, handler=failing)

    assert [one.outcome for one in result.handoffs] == ["failed", "failed", "answered"]
    ended = [notice for notice in notices if isinstance(notice, HandoffEnded)]
    assert [notice.error for notice in ended] == [*faults.values(), None]
    assert "hunter2" not in repr(notices) + repr(result)


async def test_an_answer_that_is_no_text_is_a_failure() -> None:
    """A handler that answers with something else is told by name."""
    steps = [ask("count", "The task failed by an internal error (TypeError).")]
    result, _ = await hold(*steps, handler=lambda request: 42)

    assert result.handoffs[0].outcome == "failed"


@pytest.mark.both_clocks
async def test_a_time_limit_ends_a_handler_even_one_that_does_not_obey() -> None:
    """The agent is told; the handler is cancelled, and what a deaf one still says is dropped."""
    go = threading.Event()

    def deaf(request: HandoffRequest) -> str:
        if request.input_transcript == "slow":
            go.wait(5)
            return "too late"
        return "quick"

    steps = [
        ask("slow", "The task was stopped: it took longer than 0.2 seconds."),
        ask("again", "quick"),
    ]
    try:
        result, _ = await hold(*steps, handler=deaf, handoffs=HandoffSettings(limit_s=0.2))
    finally:
        go.set()
    assert outcomes(result) == [("handoff_1", "started", "timed_out", 0), ("handoff_2", "started", "answered", 1)]


async def test_hanging_up_cancels_the_handler() -> None:
    """It is cancelled at once, its record says so, and the call closes in time."""
    cancelled = asyncio.Event()

    async def endless(request: HandoffRequest) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with FakeAnswerer(scenario=Scenario(steps=[ask("wait", answer=None)])) as answerer:
        async with connect(config_for(answerer), handoff=endless) as call:
            await until(lambda: call.result.handoffs)
            began_s = time.monotonic()
        assert time.monotonic() - began_s < 2
    assert cancelled.is_set()
    assert outcomes(call.result) == [("handoff_1", "started", "cancelled", 0)]


async def test_a_call_does_not_end_by_itself_while_a_handler_is_at_work() -> None:
    """The source is over and the agent silent, but it has been promised an answer: `linger_s` counts from that."""

    async def slow(request: HandoffRequest) -> str:
        await asyncio.sleep(0.6)
        return "at last"

    scenario = Scenario(steps=[ask("slowly", "at last")])
    async with FakeAnswerer(scenario=scenario) as answerer:
        source = ToneSource(440, duration_s=0.1)
        async with connect(config_for(answerer, linger_s=0.2), source=source, handoff=slow) as call:
            result = await call.wait_ended()
    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED
    assert outcomes(result) == [("handoff_1", "started", "answered", 1)]


# --- ready handlers --------------------------------------------------------------------------------------------------


@pytest.mark.real_time("the program is a process of its own")
async def test_a_program_does_it() -> None:
    """Its lines are sent as they come; one that fails is told by its status, and nothing of its stderr."""
    program = CommandHandoff(["sh", "-c", "grep -q fail && { echo hunter2 >&2; exit 3; }; echo begun; echo done"])
    steps = [ask("please", "begun"), output("handoff_1", "done"), ask("fail", "The program ended with the status 3.")]
    result, notices = await hold(*steps, handler=program)

    assert [one.outcome for one in result.handoffs] == ["answered", "failed"]
    assert isinstance(notices[-1].error, CommandFailed)
    assert notices[-1].error.stderr == "hunter2\n"
    assert "hunter2" not in repr(notices)


@pytest.mark.real_time("the program is a process of its own")
async def test_a_program_is_ended_with_the_call(tmp_path: Path) -> None:
    """Hanging up kills it, also when it does not listen."""
    program = CommandHandoff(["sh", "-c", "trap '' TERM; echo $$ > pid; sleep 60; sleep 60"], cwd=tmp_path)
    pid = tmp_path / "pid"
    async with FakeAnswerer(scenario=Scenario(steps=[ask("please")])) as answerer:
        async with connect(config_for(answerer), handoff=program) as call:
            await until(lambda: pid.exists() and pid.read_text().strip())
        with pytest.raises(ProcessLookupError):
            os.kill(int(pid.read_text()), 0)
    assert outcomes(call.result) == [("handoff_1", "started", "cancelled", 0)]


async def test_a_model_does_it() -> None:
    """Each request is a turn of the same conversation; a second one while the model is at work is put to it."""
    pytest.importorskip("openai")
    async with serving([message("One.")], [message("Both.")], [message("Three.")]) as server:
        server.gates[0] = asyncio.Event()
        handoff = OpenAIResponsesHandoff("m", api_key="sk-other", base_url=server.base_url)
        steps = [ask("first", "One."), ask("second", "Both."), ask("third", "Three.")]
        async with FakeAnswerer(scenario=Scenario(steps=[*steps, EndCall()])) as answerer:
            async with connect(config_for(answerer), handoff=handoff) as call:
                async for event in call.events():
                    if isinstance(event, HandoffReceived) and event.fate == "steering":
                        server.gates[0].set()
            assert answerer.violations == []

    fates = [(one.fate, one.outcome) for one in call.result.handoffs]
    assert fates == [("started", "answered"), ("steering", None), ("started", "answered")]
    roles = [item["role"] for item in server.requests[2]["input"]]
    assert roles == ["user", "assistant", "user", "assistant", "user"]


# --- by hand ---------------------------------------------------------------------------------------------------------


async def test_output_by_hand() -> None:
    """Without an id it is standalone and bare; with one it has the prefix; an id that was not requested is refused."""
    steps: list[Any] = [
        ask("please", answer=None),
        Expect(message={"handoff_id": "codex", "output_text": "by the way"}),
        output("handoff_1", "done by hand"),
    ]
    async with FakeAnswerer(scenario=Scenario(steps=[*steps, EndCall()])) as answerer:
        async with connect(config_for(answerer)) as call:
            await call.send_handoff_output("by the way")
            with pytest.raises(ConfigError, match="no handoff of this id"):
                await call.send_handoff_output("x", handoff_id="handoff_9")
            async for event in call.events():
                if isinstance(event, HandoffReceived):
                    await call.send_handoff_output("done by hand", handoff_id=event.request.handoff_id)
        assert answerer.violations == []
    assert outcomes(call.result) == [("handoff_1", "unhandled", None, 0)]
    with pytest.raises(CallClosed):
        await call.send_handoff_output("too late")


async def test_long_output_is_cut_or_comes_in_pieces() -> None:
    """Both as the fake answerer demands; in pieces nothing is missing."""
    text = " ".join(f"word{n}" for n in range(2_000))
    async with FakeAnswerer() as answerer:
        for long_output in ("cut", "pieces"):
            config = config_for(answerer, handoffs=HandoffSettings(long_output=long_output))
            async with connect(config) as call:
                await call.send_handoff_output(text)
                n_frames = {"cut": 2, "pieces": 5}[long_output]
                await until(lambda: len(answerer.calls[-1].received) >= n_frames)  # noqa: B023
        assert answerer.violations == []
        cut, pieces = (
            [str(frame["output_text"]) for frame in one.received if frame["type"] == "conversation.handoff.append"]
            for one in answerer.calls
        )
    assert len(cut) == 1
    assert "tokens truncated…" in cut[0]
    assert "".join(pieces) == text


async def test_output_by_hand_needs_a_sideband() -> None:
    """A call without one says so."""
    async with FakeAnswerer() as answerer, connect(config_for(answerer, sideband="off")) as call:
        with pytest.raises(SidebandRejected):
            await call.send_handoff_output("x")


async def test_a_request_in_which_nothing_is_asked_is_left_alone() -> None:
    """Neither a request nor a word said before: the reference client begins no turn, nor do we."""
    result, notices = await hold(ask(" ", answer=None), handler=progress)

    assert outcomes(result) == [("handoff_1", "empty", None, 0)]
    assert len(notices) == 1
