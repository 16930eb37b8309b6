"""A model as delegate: what it is asked over real HTTP, by the official SDK, and what of its answers is sent.

In real time: `test_a_model_that_cannot_be_reached`.
"""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import pytest

from rtc_client import (
    CallConfig,
    ConfigError,
    DelegateTool,
    HandoffFailed,
    HandoffRequest,
    OpenAIResponsesHandoff,
    Progress,
    TypedTool,
    connect,
)
from rtc_client.delegates.history import History
from rtc_client.testing import EndCall, FakeAnswerer, RequestHandoff, Scenario
from tests.delegates.responses_server import ResponsesServer, call, message, serving

pytest.importorskip("openai")

KEY = "sk-test-never-to-be-seen"


def handoff_to(server: ResponsesServer, **settings: Any) -> OpenAIResponsesHandoff:
    return OpenAIResponsesHandoff("m", api_key=KEY, base_url=server.base_url, **settings)


def request(text: str) -> HandoffRequest:
    return HandoffRequest(handoff_id="handoff_1", input_transcript=text)


async def texts_of(handoff: OpenAIResponsesHandoff, asked: HandoffRequest | str) -> list[str]:
    asked = request(asked) if isinstance(asked, str) else asked
    return [text async for text in handoff(asked)]


def user(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": request(text).text}]}


def assistant(text: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text}]
    return {"type": "message", "role": "assistant", "content": content} | more


async def test_the_model_is_asked_and_its_messages_are_the_answer() -> None:
    """Instructions, model and key as given, nothing stored; commentary is progress."""
    settings: dict[str, Any] = {"instructions": "Be brief.", "options": {"reasoning": {"effort": "low"}}}
    answer = [message("One moment.", phase="commentary"), message("At nine.")]
    async with serving(answer) as server, handoff_to(server, **settings) as handoff:
        texts = await texts_of(handoff, "when?")

    assert [(type(text), text) for text in texts] == [(Progress, "One moment."), (str, "At nine.")]
    assert server.authorizations == [f"Bearer {KEY}"]
    assert server.requests == [
        {
            "model": "m", "store": False, "stream": True, "instructions": "Be brief.",
            "reasoning": {"effort": "low"}, "input": [user("when?")],
        }
    ]  # fmt: skip


async def test_a_message_is_there_while_the_rest_is_streamed() -> None:
    """Progress is sent when it is complete, not when the response is; closing it then closes the connection."""
    async with serving([message("One moment.")]) as server:
        server.gates[0] = asyncio.Event()
        async with handoff_to(server) as handoff:
            async with aclosing(handoff(request("when?"))) as texts:
                assert await anext(texts) == "One moment."
            async with asyncio.timeout(5):
                await server.disconnected.wait()


async def test_earlier_turns_are_kept() -> None:
    """The next request stands behind what was asked and answered, without the ids of what nobody stores."""
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": []}
    kept_reasoning = reasoning | {"encrypted_content": "opaque"}
    first = [reasoning, kept_reasoning, message("One.", phase="final_answer")]
    async with serving(first, [message("Two.")]) as server, handoff_to(server) as handoff:
        await texts_of(handoff, "first")
        await texts_of(handoff, "second")

    reasoning_again = {"type": "reasoning", "summary": [], "encrypted_content": "opaque"}
    expected = [user("first"), reasoning_again, assistant("One.", phase="final_answer"), user("second")]
    assert server.requests[1]["input"] == expected


async def test_a_call_that_is_over_is_forgotten() -> None:
    """The object may serve another call, which must not hear of the first; and two at a time it refuses."""
    async with serving([message("One.")], [message("Two.")]) as server:
        handoff = handoff_to(server)
        async with handoff:
            await texts_of(handoff, "first")
            with pytest.raises(ConfigError, match="one call at a time"):
                await handoff.__aenter__()
        async with handoff:
            await texts_of(handoff, "second")
        with pytest.raises(ConfigError, match="within a call"):
            await texts_of(handoff, "third")

    assert server.requests[1]["input"] == [user("second")]


async def test_the_model_may_call_the_tools_of_the_call() -> None:
    """Beside its own, which win by name; a whole call, and the program hears of each."""

    def hours(day: str) -> str:
        """Opening hours."""
        return f"nine on {day}"

    async def own(arguments: Mapping[str, Any]) -> str:
        return "own"

    mine = DelegateTool(name="mine", description="", parameters={}, run=own)
    answers = [call("hours", '{"day":"Sunday"}', "c1"), call("hours", "{}", "c2"), call("mine", "{}", "c3")]
    scenario = Scenario(steps=[RequestHandoff(input_transcript="when?", answer="At nine."), EndCall()])
    async with serving(answers, [message("At nine.")]) as server, FakeAnswerer(scenario=scenario) as fake:
        config = CallConfig(api_key=KEY, base_url=fake.base_url)
        model = handoff_to(server, tools=[mine])
        async with connect(config, handoff=model, tools=[hours, TypedTool(hours, name="mine")]) as held:
            result = await held.wait_ended()
        assert fake.violations == []

    assert [tool["name"] for tool in server.requests[0]["tools"]] == ["mine", "hours"]
    assert server.requests[0]["tools"][1]["parameters"]["required"] == ["day"]
    outputs = [one["output"] for one in server.requests[1]["input"] if one["type"] == "function_call_output"]
    assert outputs == ['"nine on Sunday"', '{"error":"the argument \'day\' is missing"}', "own"]
    assert [(one.name, one.outcome) for one in result.tool_calls] == [("hours", "answered"), ("hours", "invalid")]


async def test_tools_are_called_until_the_model_has_what_it_needs() -> None:
    """Async ones in the loop, others in a thread; a mapping is a tool of the server, and is passed on as it is."""
    threads: list[str] = []

    async def hours(arguments: Mapping[str, Any]) -> str:
        threads.append(threading.current_thread().name)
        return f"nine on {arguments['day']}"

    def broken(arguments: Mapping[str, Any]) -> str:
        threads.append(threading.current_thread().name)
        raise ValueError("the password is hunter2")

    schema = {"type": "object", "properties": {"day": {"type": "string"}}}
    tools = [
        DelegateTool(name="hours", description="Opening hours.", parameters=schema, run=hours),
        DelegateTool(name="broken", description="Breaks.", parameters={}, run=broken),
        {"type": "web_search"},
    ]
    calls = [call("hours", '{"day":"Sunday"}', "c1"), call("broken", "", "c2"), call("gone", "{}", "c3")]
    calls += [call("hours", "[1]", "c4"), call("hours", "{", "c5")]
    answers = [message("Let me see."), *calls], [message("At nine.")]
    async with serving(*answers) as server, handoff_to(server, tools=tools) as handoff:
        assert await texts_of(handoff, "when?") == ["Let me see.", "At nine."]

    told = server.requests[0]["tools"]
    assert told[0] == {
        "type": "function", "name": "hours", "description": "Opening hours.", "parameters": schema, "strict": False,
    }  # fmt: skip
    assert told[2] == {"type": "web_search"}
    outputs = {
        item["call_id"]: item["output"]
        for item in server.requests[1]["input"]
        if item["type"] == "function_call_output"
    }
    assert outputs.pop("c1") == "nine on Sunday"
    errors = {call_id: json.loads(output)["error"] for call_id, output in outputs.items()}
    assert errors == {
        "c2": "it failed by an internal error (ValueError)",
        "c3": "there is no such tool",
        "c4": "the arguments are no object",
        "c5": "the arguments are not JSON",
    }
    assert threads == ["MainThread", "handoff-handler"]


async def test_steering_is_put_to_the_model_at_work() -> None:
    """What else is asked while it answers, is asked in the same turn, with the next response."""
    async with serving([message("One.")], [message("Both.")]) as server:
        server.gates[0] = asyncio.Event()
        first = request("first")
        async with handoff_to(server) as handoff, aclosing(handoff(first)) as texts:
            assert await anext(texts) == "One."
            first.steering.put(request("second"))
            server.gates[0].set()
            assert [text async for text in texts] == ["Both."]

    assert server.requests[1]["input"] == [user("first"), assistant("One."), user("second")]


async def test_the_server_compacts_what_is_too_long() -> None:
    """It is asked to, and what came before its compaction item is not sent again."""
    compaction = {"type": "compaction", "id": "cmp_1", "encrypted_content": "opaque"}
    answers = [message("One.")], [compaction, message("Two.")], [message("Three.")]
    async with serving(*answers) as server, handoff_to(server, compact=True, history_tokens=2_000) as handoff:
        for text in ("first", "second", "third"):
            await texts_of(handoff, text)

    assert server.requests[0]["context_management"] == [{"type": "compaction", "compact_threshold": 2_000}]
    short = {"type": "compaction", "encrypted_content": "opaque"}
    assert server.requests[2]["input"] == [short, assistant("Two."), user("third")]


def test_a_history_keeps_to_its_budget() -> None:
    """The oldest turns go, whole; the latest is kept, however long it is."""
    history = History(100, is_compacted=False)
    for n in range(5):
        history.add([user(f"{n}" * 40), assistant(f"{n}")])
    texts = [item["content"][0]["text"] for item in history.items if item["role"] == "assistant"]
    assert texts == ["4"]
    history.add([user("x" * 4_000)])
    assert history.items == [user("x" * 4_000)]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (401, "HTTP 401"),
        ([message("One."), "response.failed"], r"failed \(server_error\)"),
        ([message("One."), "response.incomplete"], "max_output_tokens"),
        ([message("One."), "error"], r"failed \(server_error\)"),
        ([message("One."), "nothing"], "broke off"),
    ],
)
async def test_a_model_that_fails_is_told_in_words(answer: Any, words: str) -> None:
    """Without the server's own words, and the turn is forgotten."""
    async with serving(answer, [message("Two.")]) as server, handoff_to(server) as handoff:
        with pytest.raises(HandoffFailed, match=words) as caught:
            await texts_of(handoff, "first")
        await texts_of(handoff, "second")

    assert "sk-" not in str(caught.value)
    assert server.requests[1]["input"] == [user("second")]


@pytest.mark.both_clocks
async def test_a_model_that_cannot_be_reached() -> None:
    """Nobody listens there."""
    async with serving() as server:
        pass
    async with handoff_to(server, options={"timeout": 2}) as handoff:
        with pytest.raises(HandoffFailed, match="cannot be reached"):
            await texts_of(handoff, "first")


async def test_a_model_that_calls_tools_without_end_is_given_up() -> None:
    """There is a number of responses that no task needs."""
    async with serving(*[[call("gone", "{}")]] * 32) as server, handoff_to(server) as handoff:
        with pytest.raises(HandoffFailed, match="again and again"):
            await texts_of(handoff, "first")


async def test_what_is_missing_is_said_before_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, the SDK, a model, a history of any use."""
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        await OpenAIResponsesHandoff("m").__aenter__()
    with pytest.raises(ConfigError, match="name of a model"):
        OpenAIResponsesHandoff("")
    with pytest.raises(ConfigError, match="1000 tokens"):
        OpenAIResponsesHandoff("m", history_tokens=10)
    monkeypatch.setitem(sys.modules, "openai", None)
    with pytest.raises(ConfigError, match=r"rtc-client\[openai\]"):
        await OpenAIResponsesHandoff("m").__aenter__()
