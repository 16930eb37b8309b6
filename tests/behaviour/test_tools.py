"""Promise: what the agent calls is run once, within limits, and answered; whatever becomes of it, the call goes on.

More than 600 lines: one promise, and every way in which a tool can go wrong.

In real time: `test_a_call_does_not_end_by_itself_while_a_tool_is_at_work`.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any, Literal

import msgspec
import pytest

from rtc_client import (
    Call,
    CallClosed,
    CallResult,
    ConfigError,
    CreateItem,
    EndReason,
    FunctionCallItem,
    FunctionTool,
    HandoffRequest,
    HandoffSettings,
    InvalidCommand,
    McpTool,
    OfferedTool,
    SilenceSource,
    ToneSource,
    ToolCallEnded,
    ToolContext,
    ToolFailed,
    TypedTool,
    WrongThread,
    connect,
    sync,
)
from rtc_client.call.tools.tool_calls import MAX_AT_ONCE, MAX_CALLS
from rtc_client.testing import EndCall, Expect, FakeAnswerer, RequestHandoff, Scenario, SendEvent
from tests.behaviour.calls import API_KEY, config_for, until
from tests.wire.replay import KEY
from tests.wire.websocket_server import DirectServer, config_of, serving

CREATE = {"type": "response.create"}


class Room(msgspec.Struct):
    """Where it is."""

    floor: Annotated[int, msgspec.Meta(ge=0)]
    name: str = "hall"


async def opening(day: Literal["saturday", "sunday"], room: Room | None = None) -> dict[str, Any]:
    """Tell when the museum opens.

    Args:
        day: Of the week.
    """
    return {"opens": f"{day} at ten", "room": room}


def output_of(tool_call_id: str, output: object) -> dict[str, Any]:
    item = {
        "type": "function_call_output",
        "call_id": tool_call_id,
        "output": json.dumps(output, separators=(",", ":")),
    }
    return {"type": "conversation.item.create", "item": item}


def item_of(name: str, arguments: object, tool_call_id: str = "call_1", **more: Any) -> dict[str, Any]:
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    item = {"id": f"item_{tool_call_id}", "type": "function_call", "name": name, "call_id": tool_call_id}
    return item | {"arguments": text} | more


def event(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, **fields})


def calls(name: str, arguments: object, tool_call_id: str = "call_1") -> str:
    return event("conversation.item.done", item=item_of(name, arguments, tool_call_id))


@asynccontextmanager
async def call_with(*tools: OfferedTool, **settings: Any) -> AsyncIterator[tuple[DirectServer, Call]]:
    """Hold a call whose agent has these tools; its session was read."""
    async with serving() as server, connect(config_of(server, **settings), tools=tools) as call:
        await server.said()
        yield server, call


def outcomes(result: CallResult) -> list[tuple[str, str, str | None]]:
    return [(one.tool_call_id, one.name, one.outcome) for one in result.tool_calls]


async def notices(call: Call) -> list[ToolCallEnded]:
    return [one async for one in call.events() if isinstance(one, ToolCallEnded)]


# --- what the session is told ----------------------------------------------------------------------------------------


async def test_the_session_offers_the_tools() -> None:
    """Functions with their schemas, MCP servers, and bare definitions, behind the tools that every session has."""
    mcp = McpTool(
        server_label="shop", server_url="https://mcp.example", authorization="sk-oauth", headers={"x-key": "sk-header"},
        allowed_tools=("price",), require_approval="never",
    )  # fmt: skip
    async with serving() as server:
        call = connect(config_of(server), tools=[opening, mcp, FunctionTool(name="by_hand")])

        @call.tool(name="later", description="Does it later.")
        def now(when: float = 1) -> None: ...

        async with call:
            (first,) = await server.said()

    offered = {tool.get("name", tool.get("server_label")): tool for tool in first["session"]["tools"]}
    assert list(offered) == ["remain_silent", "opening", "shop", "by_hand", "later"]
    assert offered["opening"]["description"] == "Tell when the museum opens."
    assert offered["opening"]["parameters"]["properties"]["day"]["description"] == "Of the week."
    assert offered["later"] == {
        "type": "function",
        "name": "later",
        "description": "Does it later.",
        "parameters": {
            "type": "object", "properties": {"when": {"type": "number", "default": 1}}, "additionalProperties": False,
        },
    }  # fmt: skip
    assert offered["shop"]["require_approval"] == "never"
    assert offered["shop"]["headers"] == {"x-key": "sk-header"}
    assert "sk-" not in repr(mcp)


@pytest.mark.parametrize(
    ("settings", "tool", "complaint"),
    [
        ({"version": "v1"}, opening, "handoff handler"),
        ({"version": "v1"}, McpTool(server_label="x", connector_id="y"), "runs only functions"),
        ({"mode": "transcription"}, opening, "no agent"),
    ],
)
async def test_tools_that_nobody_could_call_are_refused(settings: Any, tool: OfferedTool, complaint: str) -> None:
    """On entering, before anything is sent."""
    async with serving() as server:
        with pytest.raises(ConfigError, match=complaint):
            async with connect(config_of(server, **settings), tools=[tool]):
                pass

    assert server.server.handshakes == []


async def test_a_tool_that_cannot_be_offered_is_refused() -> None:
    """Two of one name, an MCP server without an address, one that comes too late."""
    async with serving() as server:
        config = config_of(server)
        with pytest.raises(ConfigError, match="two tools 'opening'"):
            connect(config, tools=[opening, FunctionTool(name="opening")])
        with pytest.raises(InvalidCommand, match="server_url"):
            connect(config, tools=[McpTool(server_label="x")])
        async with connect(config) as call:
            with pytest.raises(CallClosed, match="before it is entered"):
                call.tool(opening)


# --- what becomes of a call ------------------------------------------------------------------------------------------


async def test_a_call_is_answered_and_the_agent_speaks() -> None:
    """The result goes back as JSON, then a response is asked for; record and notice name it."""
    async with call_with(opening) as (server, call):
        await server.send(calls("opening", {"day": "sunday", "room": {"floor": 2}}))
        answer = {"opens": "sunday at ten", "room": {"floor": 2, "name": "hall"}}
        assert await server.said(2) == [output_of("call_1", answer), CREATE]

    (record,) = call.result.tool_calls
    assert outcomes(call.result) == [("call_1", "opening", "answered")]
    assert record.duration_s is not None
    assert 0 <= record.duration_s < 1
    assert record.at_s >= 0
    (notice,) = await notices(call)
    assert (notice.tool_call_id, notice.name, notice.outcome, notice.error) == ("call_1", "opening", "answered", None)
    assert "tools     1 opening answered" in call.result.as_text()
    assert call.result.as_dict()["tool_calls"] == [
        {"tool_call_id": "call_1", "name": "opening", "at_s": record.at_s, "outcome": "answered",
         "duration_s": record.duration_s}
    ]  # fmt: skip


async def test_the_response_waits_for_the_one_that_called() -> None:
    """A result is sent at once, the request for a response when the response with the call in it is over."""
    async with call_with(opening) as (server, call):
        await server.send(event("response.created", response={"id": "r1", "object": "realtime.response"}))
        await server.send(calls("opening", {"day": "sunday"}))
        (item,) = await server.said()
        await call.say("x")
        (text,) = await server.said()
        await server.send(event("response.done", response={"id": "r1", "object": "realtime.response"}))

        assert (item["item"]["type"], text["item"]["type"]) == ("function_call_output", "message")
        assert await server.said() == [CREATE]


async def test_a_response_with_several_calls_is_answered_once() -> None:
    """The agent is asked to speak behind the last of the results, and once the response is over."""
    release = asyncio.Event()

    async def slow() -> str:
        await release.wait()
        return "slow"

    def item_done(name: str, arguments: object, tool_call_id: str) -> str:
        item = item_of(name, arguments, tool_call_id, status="completed")
        return event("response.output_item.done", response_id="r1", output_index=0, item=item)

    async with call_with(opening, slow, TypedTool(refuses, respond=False)) as (server, call):
        await server.send(
            event("response.created", response={"id": "r1"}),
            item_done("opening", {"day": "sunday"}, "call_1"),
            item_done("slow", {}, "call_2"),
            item_done("refuses", {}, "call_3"),
            event("response.done", response={"id": "r1"}),
        )
        said = await server.said(2)
        await call.say("x")
        said += await server.said()
        release.set()
        said += await server.said(2)
        # Of another response, which only wants to be told.
        await server.send(event("response.created", response={"id": "r2"}), calls("refuses", {}, "call_4"))
        said += await server.said()
        await server.send(event("response.done", response={"id": "r2"}))
        await call.say("y")
        said += await server.said()

    named = [one.get("item", {}).get("call_id", one["type"]) for one in said]
    assert sorted(named[:2]) == ["call_1", "call_3"]
    assert named[2:] == ["conversation.item.create", "call_2", "response.create", "call_4", "conversation.item.create"]


@pytest.mark.parametrize("is_over_first", [True, False])
async def test_the_agent_speaks_once_of_what_mcp_servers_have_told(is_over_first: bool) -> None:
    """The service calls behind the response and leaves it to us to ask for words: behind the last call, in one go."""
    server_of_tools = McpTool(server_label="shop", server_url="https://mcp.example")
    done = event("response.done", response={"id": "r1"})
    mcp = [mcp_item("mcp_call", "mcp_1"), mcp_item("mcp_call", "mcp_2"), mcp_item("mcp_call", "other", label="theirs")]
    async with call_with(server_of_tools, opening) as (server, call):
        await server.send(event("response.created", response={"id": "r1"}), *mcp)
        await server.send(*[done] * is_over_first)
        await server.send(mcp_event("in_progress", "mcp_1"), mcp_event("in_progress", "mcp_2"))
        await server.send(mcp_event("completed", "other"), mcp_event("completed", "mcp_1"))
        await call.say("x")
        assert [one["type"] for one in await server.said()] == ["conversation.item.create"]
        await server.send(mcp_event("failed", "mcp_2"), *[done] * (not is_over_first))
        assert await server.said() == [CREATE]
        await server.send(mcp_event("completed", "mcp_2"))
        await call.say("y")
        assert [one["type"] for one in await server.said()] == ["conversation.item.create"]


async def test_the_agent_speaks_of_an_mcp_call_that_was_approved_or_denied() -> None:
    """Of an approved one once it was made, of a denied one at once; of servers that are not the call's not at all."""
    done = event("response.done", response={"id": "r1"})
    async with call_with(McpTool(server_label="shop", server_url="https://mcp.example")) as (server, call):
        await server.send(
            event("response.created", response={"id": "r1"}),
            mcp_item("mcp_call", "mcp_1"),
            mcp_item("mcp_approval_request", "mcpr_1"),
            mcp_item("mcp_approval_request", "mcpr_2"),
            mcp_item("mcp_approval_request", "mcpr_3", label="theirs"),
        )
        await until(lambda: call.result.events.get("response.output_item.added") == 4)
        await call.deny("mcpr_3")
        await call.approve("mcpr_1")
        await server.send(mcp_event("in_progress", "mcp_1"), done, mcp_event("completed", "mcp_1"))
        assert [one["type"] for one in await server.said(3)] == ["conversation.item.create"] * 2 + ["response.create"]
        await server.send(
            event("response.created", response={"id": "r2"}), event("response.done", response={"id": "r2"})
        )
        await until(lambda: call.result.events.get("response.done") == 2)
        await call.deny("mcpr_2")
        assert [one["type"] for one in await server.said(2)] == ["conversation.item.create", "response.create"]


def mcp_item(kind: str, item_id: str, *, label: str = "shop") -> str:
    item = {"id": item_id, "type": kind, "name": "price", "server_label": label, "arguments": "{}"}
    return event("response.output_item.added", response_id="r1", output_index=0, item=item)


def mcp_event(what: str, item_id: str) -> str:
    return event(f"response.mcp_call.{what}", item_id=item_id, output_index=0)


ARGUMENTS = {"call_id": "call_1", "item_id": "item_call_1", "output_index": 0, "response_id": "r1"}
DAY = '{"day":"sunday"}'


@pytest.mark.parametrize(
    "events",
    [
        [event("response.function_call_arguments.done", name="opening", arguments=DAY, **ARGUMENTS)],
        [
            event("response.output_item.added", item=item_of("opening", "", status="in_progress")),
            event("response.function_call_arguments.done", arguments=DAY, **ARGUMENTS),
        ],
        [event("response.output_item.done", item=item_of("opening", DAY, status="completed"))],
        [event("conversation.item.done", item=item_of("opening", DAY))],
    ],
)
async def test_each_call_runs_once_whatever_tells_of_it(events: list[str]) -> None:
    """Each of the three events is enough; all of them, twice over, are one call."""
    every = [
        event("response.output_item.done", item=item_of("opening", DAY, status="completed")),
        event("conversation.item.done", item=item_of("opening", DAY)),
    ]
    async with call_with(opening) as (server, call):
        await server.send(*events)
        assert [one["type"] for one in await server.said(2)] == ["conversation.item.create", "response.create"]
        await server.send(*events, *every)
        await call.say("x")
        assert [one["item"]["type"] for one in await server.said()] == ["message"]

    assert outcomes(call.result) == [("call_1", "opening", "answered")]


async def test_a_call_that_was_broken_off_is_not_run() -> None:
    """Its arguments end anywhere, or the item says so; nor is a call that the program told of another conversation."""
    async with call_with(opening) as (server, call):
        history = FunctionCallItem(name="opening", arguments=DAY, call_id="call_old")
        await call.send(CreateItem(item=history))
        await server.said()
        await server.send(
            event("response.function_call_arguments.done", name="opening", arguments='{"day":"sun', **ARGUMENTS),
            event("response.output_item.done", item=item_of("opening", '{"day":"sun', status="incomplete")),
            event("response.output_item.done", item=item_of("opening", DAY, "call_2", status="incomplete")),
            event("conversation.item.done", item=item_of("opening", DAY, "call_old", status="completed")),
            calls("not_ours", {}, "call_3"),
            calls("opening", {"day": "sunday"}, "call_4"),
        )
        assert [one.get("item", {}).get("call_id") for one in await server.said(2)] == ["call_4", None]

    assert outcomes(call.result) == [("call_4", "opening", "answered")]


def refuses() -> None:
    """Do it."""
    raise ToolFailed(f"The shop is closed,\nkey {KEY}.")


async def breaks() -> None:
    """Do it."""
    raise ValueError("sk-secret")


def unspeakable() -> object:
    """Do it."""
    return object()


@pytest.mark.parametrize(
    ("tool", "arguments", "outcome", "words"),
    [
        (refuses, {}, "failed", "The shop is closed, key [redacted]."),
        (breaks, {}, "failed", "it failed by an internal error (ValueError)"),
        (unspeakable, {}, "failed", "the result cannot be told: it is not of a kind that JSON has"),
        (opening, {"day": "monday"}, "invalid", "the argument 'day' is not valid: Invalid enum value 'monday'"),
        (opening, "not json", "invalid", "the arguments must be one JSON object"),
    ],
)
async def test_a_failure_is_told_in_words(tool: Any, arguments: object, outcome: str, words: str) -> None:
    """To the model, who is asked to go on, without secrets; to the program with the exception. The call goes on."""
    async with call_with(tool, opening if tool is not opening else breaks) as (server, call):
        await server.send(calls(tool.__name__, arguments))
        assert await server.said(2) == [output_of("call_1", {"error": words}), CREATE]
        await server.send(
            event("response.created", response={"id": "r1"}), event("response.done", response={"id": "r1"})
        )
        await server.send(calls("opening", {"day": "sunday"}, "call_2"))
        assert (await server.said(2))[0]["item"]["call_id"] == "call_2"

    assert outcomes(call.result)[0] == ("call_1", tool.__name__, outcome)
    failed = (await notices(call))[0]
    assert failed.error is not None
    assert str(failed.error) not in repr(failed)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


async def test_who_asks_gets_the_words_behind_the_tool() -> None:
    """`ask` begins a response, which calls the tool; the tool's result begins another, which has the words."""
    done = {"object": "realtime.response", "status": "completed", "output": []}
    words = {"item_id": "item_2", "response_id": "r2", "output_index": 0, "content_index": 0}
    async with call_with(opening) as (server, call):
        asking = asyncio.create_task(call.ask("When do you open?"))
        _, create = await server.said(2)
        asked = {"metadata": create["response"]["metadata"]}
        item = item_of("opening", DAY, status="completed")
        await server.send(
            event("response.created", response={"id": "r1", "object": "realtime.response"} | asked),
            event("response.output_item.done", item=item, response_id="r1", output_index=0),
        )
        assert [one["item"]["type"] for one in await server.said()] == ["function_call_output"]
        await server.send(event("response.done", response={"id": "r1"} | done | asked | {"output": [item]}))
        assert await server.said() == [CREATE]
        await server.send(
            event("response.created", response={"id": "r2", "object": "realtime.response"}),
            event("response.output_audio_transcript.delta", delta="At ten.", **words),
            event("response.output_audio_transcript.done", transcript="At ten.", **words),
            event("response.done", response={"id": "r2"} | done),
        )
        assert await asking == "At ten."


async def test_no_response_is_asked_for_where_none_is_wanted() -> None:
    """`respond=False`: the result is told, and nothing more."""
    async with call_with(TypedTool(opening, respond=False)) as (server, call):
        await server.send(calls("opening", {"day": "sunday"}))
        await server.said()
        await call.say("x")
        assert [one["item"]["type"] for one in await server.said()] == ["message"]


async def test_a_tool_that_takes_too_long_is_stopped() -> None:
    """An async one is cancelled; one that does not obey, or is in a thread, is left behind. The model is told."""
    cancelled, release = asyncio.Event(), threading.Event()
    contexts: list[ToolContext] = []

    async def slow() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def deaf() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            await asyncio.to_thread(release.wait)

    def in_a_thread(context: ToolContext) -> None:
        contexts.append(context)
        release.wait()

    tools = [TypedTool(one, limit_s=0.1) for one in (slow, deaf, in_a_thread)]
    try:
        async with call_with(*tools) as (server, call):
            for n, tool in enumerate(tools):
                await server.send(calls(tool.name, {}, f"call_{n}"))
            said = [one for one in await server.said(4) if one != CREATE]
            assert sorted(said, key=str) == [
                output_of(f"call_{n}", {"error": "it was stopped: it took longer than 0.1 seconds"}) for n in range(3)
            ]
            await cancelled.wait()
            assert contexts[0].is_cancelled
            release.set()
    finally:
        release.set()

    assert [outcome for *_, outcome in outcomes(call.result)] == ["timed_out"] * 3
    await until(lambda: not [one for one in threading.enumerate() if one.name == "tool"])


async def test_hanging_up_cancels_what_is_at_work() -> None:
    """Nothing is sent any more, and the records say so, also of one that does not obey."""
    begun, cancelled = asyncio.Semaphore(0), asyncio.Event()

    async def endless() -> None:
        begun.release()
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def deaf() -> str:
        begun.release()
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        return "late"

    async with call_with(endless, deaf) as (server, call):
        await server.send(calls("endless", {}), calls("deaf", {}, "call_2"))
        for _ in range(2):
            await begun.acquire()
        assert [one.outcome for one in call.result.tool_calls] == [None, None]
    assert cancelled.is_set()
    assert outcomes(call.result) == [("call_1", "endless", "cancelled"), ("call_2", "deaf", "cancelled")]
    assert len(server.texts) == 1


async def test_a_tool_of_a_handler_that_is_replaced_is_cancelled() -> None:
    """It was run for an answer that nobody waits for."""
    begun = asyncio.Event()

    async def endless() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def handler(request: HandoffRequest) -> str:
        if request.input == "one":
            await request.tools[0].run({})
        return request.input

    def asked(words: str) -> str:
        return event("conversation.handoff.requested", handoff_id=words, item_id=words, input_transcript=words)

    async with serving() as server:
        config = config_of(server, version="v1", handoffs=HandoffSettings(while_busy="replace"))
        async with connect(config, handoff=handler, tools=[endless]) as call:
            await server.said()
            await server.send(asked("one"))
            await begun.wait()
            await server.send(asked("two"))
            (answer,) = await server.said()
            assert outcomes(call.result) == [("tool_1", "endless", "cancelled")]

    assert answer["handoff_id"] == "two"
    assert [record.outcome for record in call.result.handoffs] == ["replaced", "answered"]


async def test_a_tool_may_use_the_call_and_end_it() -> None:
    """By its context, which no schema shows."""

    async def bye(context: ToolContext, word: str = "bye") -> None:
        await context.call.say(f"{word} {context.tool_call_id}")
        await context.call.hangup()

    async with call_with(bye) as (server, call):
        await server.send(calls("bye", {}))
        result = await call.wait_ended()

    assert server.texts[-1]["item"]["content"][0]["text"] == "[USER] bye call_1"
    assert outcomes(result) == [("call_1", "bye", "cancelled")]
    assert result.error is None


async def test_what_is_not_async_runs_in_a_thread_beside_others() -> None:
    """Two at once: each waits for the other, one in a thread and one in the loop."""
    loop = asyncio.get_running_loop()
    first, second = threading.Event(), asyncio.Event()

    def blocking() -> str:
        loop.call_soon_threadsafe(second.set)
        assert first.wait(5)
        return threading.current_thread().name

    async def waiting() -> str:
        await second.wait()
        first.set()
        return threading.current_thread().name

    async with call_with(blocking, waiting) as (server, call):
        await server.send(calls("blocking", {}, "call_1"), calls("waiting", {}, "call_2"))
        said = await server.said(3)

    outputs = {one["item"]["call_id"]: json.loads(one["item"]["output"]) for one in said if one != CREATE}
    assert outputs == {"call_1": "tool", "call_2": "MainThread"}
    assert [outcome for *_, outcome in outcomes(call.result)] == ["answered"] * 2


async def test_more_calls_than_may_run_wait_and_more_than_may_wait_are_refused() -> None:
    """Both are bounded; a refusal is told in words."""
    running, most = 0, 0
    release = asyncio.Event()

    async def work() -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await release.wait()
        running -= 1

    async with call_with(work) as (server, call):
        await server.send(*(calls("work", {}, f"call_{n}") for n in range(MAX_CALLS + 1)))
        (refused,) = await server.said()
        release.set()
        *_, create = await server.said(MAX_CALLS + 1)

    assert refused == output_of(f"call_{MAX_CALLS}", {"error": "it was not begun: too many others are waiting"})
    assert create == CREATE
    assert most == MAX_AT_ONCE
    assert [outcome for *_, outcome in outcomes(call.result)] == ["answered"] * MAX_CALLS + ["refused"]


# --- whole calls -----------------------------------------------------------------------------------------------------


async def test_a_whole_call_over_a_websocket(answerer: FakeAnswerer) -> None:
    """Call, result and response against the fake answerer, which finds nothing wrong; the call waits for the tool."""
    ask = SendEvent(event={"type": "response.output_item.done", "item": item_of("opening", DAY, status="completed")})
    answer = {"type": "conversation.item.create", "item": {"type": "function_call_output", "call_id": "call_1"}}
    answerer.scenario = Scenario(steps=[ask, Expect(message=answer), Expect(message=CREATE), EndCall()])

    async with connect(config_for(answerer, transport="websocket"), source=SilenceSource(), tools=[opening]) as call:
        result = await call.wait_ended()

    assert answerer.violations == []
    assert answerer.calls[0].scenario_report.is_met
    assert outcomes(result) == [("call_1", "opening", "answered")]


@pytest.mark.both_clocks
async def test_a_call_does_not_end_by_itself_while_a_tool_is_at_work(answerer: FakeAnswerer) -> None:
    """The source is over and the agent silent for longer than `linger_s`: what was asked for is still told."""

    async def slow() -> str:
        await asyncio.sleep(0.6)
        return "done"

    ask = SendEvent(event={"type": "conversation.item.done", "item": item_of("slow", {})})
    answerer.scenario = Scenario(steps=[ask])
    config = config_for(answerer, transport="websocket", linger_s=0.2)
    async with connect(config, source=ToneSource(440, duration_s=0.1), tools=[slow]) as call:
        result = await call.wait_ended()

    assert answerer.violations == []
    assert outcomes(result) == [("call_1", "slow", "answered")]
    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED


async def test_on_v1_the_handler_of_a_handoff_runs_the_tools(answerer: FakeAnswerer) -> None:
    """It gets their schemas and runs them: what does not fit, or fails, is told by the text as well."""
    answerer.scenario = Scenario(steps=[RequestHandoff(input_transcript="when?", answer="done"), EndCall()])
    told: list[str] = []

    async def handler(request: HandoffRequest) -> str:
        tools = {tool.name: tool for tool in request.tools}
        assert tools["opening"].parameters == TypedTool(opening).parameters
        told.append(await tools["opening"].run({"day": "sunday"}))
        told.append(await tools["opening"].run({"day": "monday"}))
        told.append(await tools["refuses"].run({}))
        with pytest.raises(WrongThread):
            tools["opening"].run_blocking({"day": "sunday"})
        with pytest.raises(ConfigError, match="JSON cannot say"):
            await tools["opening"].run({"day": object()})
        return "done"

    async with connect(config_for(answerer), handoff=handler, tools=[opening, refuses]) as call:
        result = await call.wait_ended()

    assert answerer.violations == []
    assert json.loads(told[0]) == {"opens": "sunday at ten", "room": None}
    assert ["error" in json.loads(text) for text in told] == [False, True, True]
    assert API_KEY not in "".join(told)
    assert outcomes(result) == [
        ("tool_1", "opening", "answered"), ("tool_2", "opening", "invalid"), ("tool_3", "refuses", "failed"),
    ]  # fmt: skip
    assert [record.outcome for record in result.handoffs] == ["answered"]


def test_a_handler_in_a_thread_runs_tools_too() -> None:
    """Through the sync door: a decorated tool, a handler that is not async, and the sync call in the tool."""

    async def place() -> None:
        scenario = Scenario(steps=[RequestHandoff(input_transcript="when?", answer="ten"), EndCall()])
        async with FakeAnswerer(scenario=scenario) as answerer:
            await asyncio.to_thread(hold, config_for(answerer))
            assert answerer.violations == []

    def hold(config: Any) -> None:
        call = sync.connect(config)

        @call.tool(limit_s=5)
        def look(day: str) -> str:
            return f"{day}: {call.state}"

        @call.on_handoff
        def handler(request: HandoffRequest) -> str:
            (tool,) = request.tools
            assert json.loads(tool.run_blocking({"day": "sunday"})) == "sunday: active"
            return "ten"

        with call:
            result = call.wait_ended(timeout_s=10)
        assert [record.outcome for record in result.handoffs] == ["answered"]
        assert outcomes(result) == [("tool_1", "look", "answered")]

    asyncio.run(place())
