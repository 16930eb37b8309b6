"""Promise: a response that is asked for comes back to who asked, whatever the server does; a barge-in is one.

In real time: `test_a_barge_in_cancels_tells_what_was_heard_and_hears_no_more_of_it`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Coroutine
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from rtc_client import (
    CallClosed,
    CallLost,
    CommandFault,
    CommandRefused,
    ConfigError,
    CreateResponse,
    InvalidCommand,
    McpApprovalRequestItem,
    NumpySink,
    ResponseFailed,
    ResponseTimeout,
    SilenceSource,
    ToneSource,
    connect,
)
from rtc_client.protocol.turns.response_matching import TAG
from tests.behaviour.calls import cancel_and_wait, until
from tests.wire.events import created, delta
from tests.wire.websocket_server import DirectServer, config_of, serving

TAKEN = "conversation_already_has_active_response"


def done(response_id: str, text: str = "", *, status: str = "completed", **fields: object) -> str:
    part = {"type": "output_audio", "transcript": text}
    item = {"id": f"item_{response_id}", "type": "message", "role": "assistant", "content": [part]}
    response = {"id": response_id, "status": status, "output": [item] if text else [], **fields}
    return json.dumps({"type": "response.done", "response": response})


def error(event_id: str | None, *, code: str = "invalid_value", message: str = "Invalid value: 'x'.") -> str:
    body = {"type": "invalid_request_error", "code": code, "message": message, "param": "p", "event_id": event_id}
    return json.dumps({"type": "error", "event_id": "event_1", "error": body})


async def test_a_response_is_asked_for_by_all_its_names_and_comes_back_typed() -> None:
    """The request has the GA API's fields; what comes back has id, status, words, usage and the metadata given."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        asking = asyncio.create_task(
            call.respond(
                modality="audio",
                instructions="Be brief.",
                temperature=0.8,
                max_output_tokens=100,
                voice="cedar",
                metadata={"topic": "weather"},
                tool_choice="none",
                tools=[],
                input=[],
                conversation="none",
            )
        )
        (request,) = await server.said()
        metadata = request["response"]["metadata"]
        await server.send(created("r1", metadata=metadata))
        await until(lambda: call.active_response_id == "r1")
        assert call.is_responding
        usage = {"total_tokens": 7, "input_tokens": 3, "output_tokens": 4}
        await server.send(done("r1", "Rain.", metadata=metadata, usage=usage))
        finished = await asking
        assert (call.active_response_id, call.is_responding) == (None, False)

    assert request == {
        "type": "response.create",
        "event_id": request["event_id"],
        "response": {
            "instructions": "Be brief.",
            "output_modalities": ["audio"],
            "conversation": "none",
            "input": [],
            "audio": {"output": {"voice": "cedar"}},
            "tools": [],
            "tool_choice": "none",
            "max_output_tokens": 100,
            "temperature": 0.8,
            "metadata": {"topic": "weather", TAG: request["event_id"]},
        },
    }
    assert (finished.id, finished.status, finished.words, finished.transcript, finished.text) == (
        "r1",
        "completed",
        "Rain.",
        "Rain.",
        "",
    )
    assert finished.metadata == {"topic": "weather"}
    assert finished.usage is not None
    assert finished.usage.total_tokens == 7
    assert "Rain" not in repr(finished)


async def test_each_of_several_tasks_gets_its_own_response_in_turn() -> None:
    """Requests leave one at a time, in the order in which they were made, with those that nobody waits for between."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        asking = [asyncio.create_task(call.respond(instructions=str(n))) for n in range(3)]
        requests = await server.said()
        await call.send(CreateResponse())
        await call.send(CreateResponse())
        for n in range(3):
            metadata = requests[-1]["response"]["metadata"]
            await server.send(created(f"r{n}", metadata=metadata), done(f"r{n}", f"word {n}", metadata=metadata))
            requests += await server.said()
        assert requests[-1] == {"type": "response.create"}
        await server.send(created("r9", metadata=None), done("r9", "nobody's", metadata=None))
        finished = await asyncio.gather(*asking)

    assert [request["response"]["instructions"] for request in requests[:3]] == ["0", "1", "2"]
    assert [one.words for one in finished] == ["word 0", "word 1", "word 2"]


async def test_a_response_of_the_servers_own_is_not_taken_for_ours() -> None:
    """Its turn detection began one while our request was on its way: ours is asked again, and answered by its own."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        asking = asyncio.create_task(call.respond())
        (request,) = await server.said()
        metadata = request["response"]["metadata"]
        await server.send(created("theirs", metadata=None), error(request["event_id"], code=TAKEN, message="wait"))
        await server.send(done("theirs", "not this", metadata=None))
        assert await server.said() == [request]
        await server.send(created("ours", metadata=metadata), done("ours", "this", metadata=metadata))

        assert (await asking).words == "this"


@pytest.mark.parametrize("event_id", ["named", None])
async def test_a_server_that_repeats_no_metadata_answers_in_order(event_id: str | None) -> None:
    """Also when its error about a response that is active does not say which request it is about."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        asking = asyncio.create_task(call.respond())
        (request,) = await server.said()
        named = request["event_id"] if event_id else None
        await server.send(created("theirs"), error(named, code=TAKEN), done("theirs", "not this"))
        assert await server.said() == [request]
        await server.send(created("ours"), done("ours", "this"))

        assert (await asking).words == "this"


async def test_an_error_about_the_request_is_raised_where_it_was_made() -> None:
    """With code and parameter; the next request leaves at once, and other errors are nobody's."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        first, second = (asyncio.create_task(call.respond()) for _ in range(2))
        (request,) = await server.said()
        await server.send(error("somebody_elses"), error(None), error(request["event_id"]))
        with pytest.raises(CommandRefused, match="Invalid value: 'x'") as refused:
            await first
        (request,) = await server.said()
        await server.send(created("r2"), done("r2", "fine"))

        assert (await second).words == "fine"
    assert (refused.value.code, refused.value.param) == ("invalid_value", "p")
    assert refused.value.error_type == "invalid_request_error"


async def test_a_response_that_does_not_come_is_given_up() -> None:
    """After the limit, with a named error; a request that was held back does not leave any more; the call goes on."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        with pytest.raises(ResponseTimeout, match=r"within 0\.05 s"):
            await call.respond(timeout_s=0.05)
        await server.said()
        with pytest.raises(ResponseTimeout):
            await call.respond(instructions="held back", timeout_s=0.05)
        held = asyncio.create_task(call.respond(instructions="held back too"))
        await call.say("a")
        await server.said()
        await cancel_and_wait(held)
        await server.send(done("r1", "late"))
        await call.say("b")
        assert (await server.said())[0]["type"] == "conversation.item.create"
        asking = asyncio.create_task(call.respond(instructions="last"))
        assert (await server.said())[0]["response"]["instructions"] == "last"
        await server.send(created("r2"), done("r2", "in time"))

        assert (await asking).words == "in time"


@pytest.mark.parametrize(
    ("status", "details", "reason"),
    [
        ("cancelled", {"type": "cancelled", "reason": "turn_detected"}, "turn_detected"),
        ("incomplete", {"type": "incomplete", "reason": "max_output_tokens"}, "max_output_tokens"),
        ("failed", {"type": "failed", "error": {"type": "server_error", "code": "overloaded"}}, "overloaded"),
    ],
)
async def test_how_a_response_ended_is_told(status: str, details: dict[str, object], reason: str) -> None:
    """`respond` returns it; `ask` raises it when there is no reply, with what was said until then."""
    half = created("r"), done("r", "Half a", status=status, status_details=details)
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        responding = asyncio.create_task(call.respond())
        await server.said()
        await server.send(*half)
        finished = await responding
        assert (finished.status, finished.reason, finished.words) == (status, reason, "Half a")
        asking = asyncio.create_task(call.ask("well?"))
        await server.said(2)
        await server.send(*half)
        if status == "incomplete":
            assert await asking == "Half a"
            return
        with pytest.raises(ResponseFailed, match=reason) as failed:
            await asking
    assert (failed.value.status, failed.value.text) == (status, "Half a")
    assert "Half" not in str(failed.value)


async def test_an_answer_that_needs_a_function_is_waited_for() -> None:
    """The first response has no words but a call: the reply is that of the response that follows its result."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        asking = asyncio.create_task(call.ask("What is the time?"))
        text, _ = await server.said(2)
        function = {"id": "f", "type": "function_call", "name": "time", "call_id": "c", "arguments": "{}"}
        words = {"type": "response.output_audio_transcript.done", "response_id": "r2", "item_id": "i2"}
        await server.send(
            created("r1"),
            done("r1", output=[function]),
            created("r2"),
            json.dumps(words | {"transcript": "Ten o'clock."}),
        )

        assert await asking == "Ten o'clock."
    assert text["item"]["content"][0]["text"] == "[USER] What is the time?"


@pytest.mark.parametrize(("code", "error"), [(1000, CallClosed), (1011, CallLost)])
async def test_the_end_of_the_call_ends_who_waits(code: int, error: type[Exception]) -> None:
    """By CallClosed, or by what ended the call; who asks then is told that it is closed."""
    async with serving() as server:
        call = connect(config_of(server))
        with pytest.raises(CallLost) if error is CallLost else nullcontext():
            async with call:
                await server.said()
                asking = [asyncio.create_task(call.respond()), asyncio.create_task(call.ask("?"))]
                await server.said()
                assert server.wire is not None
                await server.wire.send_close(code)
                raised = await asyncio.gather(*asking, return_exceptions=True)
                await call.wait_ended()
                assert [type(one) for one in raised] == [error] * 2
        verbs: list[Coroutine[Any, Any, object]] = [
            call.respond(),
            call.ask("anybody?"),
            call.barge_in(),
            call.append_audio(b"ab"),
        ]
        for verb in verbs:
            with pytest.raises(CallClosed):
                await verb


async def test_what_cannot_be_asked_for_is_refused_before_anything_is_sent() -> None:
    """Odd parameters, a limit that is none, metadata that leaves no room, a transcription."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        verbs: list[Coroutine[Any, Any, object]] = [
            call.respond(temperature=3),
            call.respond(metadata={str(n): "" for n in range(16)}),
            call.respond(metadata={TAG: "x"}),
            call.respond(timeout_s=0),
            call.ask("x", timeout_s=float("nan")),
            call.ask("\ud800"),
        ]
        for verb in verbs:
            with pytest.raises(ConfigError):
                await verb
        await call.say("still here")
        assert (await server.said())[0]["type"] == "conversation.item.create"
    async with serving() as server, connect(config_of(server, mode="transcription")) as call:
        verbs = [call.respond(), call.ask("x"), call.barge_in()]
        for verb in verbs:
            with pytest.raises(ConfigError, match="no agent"):
                await verb


@pytest.mark.both_clocks
async def test_a_barge_in_cancels_tells_what_was_heard_and_hears_no_more_of_it() -> None:
    """Late sound of the cancelled response is dropped by its id, even behind the next response's beginning."""
    sink = NumpySink()
    async with serving() as server, connect(config_of(server), sink=sink) as call:
        await server.said()
        chunks = call.audio_chunks()
        words = {"type": "response.output_audio_transcript.delta", "response_id": "r1", "item_id": "i1"}
        await server.send(created("r1"), delta("r1", "i1", 24_000), json.dumps(words | {"delta": "A long story."}))
        assert (await anext(chunks)).response_id == "r1"
        await until(lambda: (sink.samples == 1000).sum() >= 2400)
        dropped_s = await call.barge_in()
        cancel, truncation = await server.said(2)
        await server.send(delta("r1", "i1", 4800), delta("r1", "i_late", 4800), created("r2"), delta("r1", "i1", 4800))
        await server.send(delta("r2", "i2", 480, value=2000))
        chunk = await anext(chunks)
        await until(lambda: 2000 in sink.samples)
        n_heard = int((sink.samples == 1000).sum())
        (entry,) = call.transcript
        assert await call.barge_in() == 0

    assert cancel == {"type": "response.cancel", "response_id": "r1"}
    assert (truncation["type"], truncation["item_id"]) == ("conversation.item.truncate", "i1")
    assert truncation["audio_end_ms"] == n_heard // 24
    assert dropped_s == pytest.approx(1 - n_heard / 24_000)
    assert (chunk.response_id, chunk.item_id, chunk.output_index, chunk.content_index) == ("r2", "i2", 0, 0)
    assert chunk.samples.dtype == np.int16
    assert chunk.samples.tolist() == [2000] * 480
    assert entry.interrupted
    assert entry.unheard_text


def sound(value: int) -> str:
    """Return 0.2 s of the agent on realtime v1."""
    audio = base64.b64encode(np.full(4800, value, dtype="<i2").tobytes()).decode()
    more = {"sample_rate": 24_000, "channels": 1, "samples_per_channel": 4800}
    return json.dumps({"type": "conversation.output_audio.delta", "delta": audio, **more})


async def test_a_turn_on_v1_that_was_cut_and_never_settles_ends_where_the_caller_spoke() -> None:
    """Words that come behind the caller's are of another turn, and heard at once."""
    sink = NumpySink()
    async with serving() as server, connect(config_of(server, version="v1"), sink=sink) as call:
        await server.said()
        say = {"type": "conversation.output_transcript.delta"}
        await server.send(json.dumps(say | {"delta": "One"}), sound(1000))
        await until(lambda: 1000 in sink.samples)
        await call.barge_in()
        await server.send(sound(1002), json.dumps(say | {"delta": " and"}))
        await server.send(json.dumps({"type": "conversation.input_transcript.turn_marked", "transcript": "Wait."}))
        hush = call._engine.voices.agent.hush
        await until(lambda: hush.is_quiet)
        assert hush.is_on
        await server.send(json.dumps(say | {"delta": "Two"}), sound(2000))
        await until(lambda: 2000 in sink.samples)
        entries = call.transcript

    assert 1002 not in sink.samples
    assert [(e.text, e.interrupted) for e in entries] == [("One and", True), ("Wait.", False), ("Two", False)]


async def test_a_barge_in_on_v1_is_local() -> None:
    """Nothing is sent; what still comes of the turn is not heard, and the next turn is."""
    sink = NumpySink()
    async with serving() as server, connect(config_of(server, version="v1"), sink=sink) as call:
        await server.said()
        say = {"type": "conversation.output_transcript.delta"}
        await server.send(json.dumps(say | {"delta": "One"}), sound(1000), sound(1001))
        await until(lambda: 1000 in sink.samples)
        assert call.is_responding
        assert 0 < await call.barge_in() <= 0.4
        assert not call.is_responding
        await server.send(sound(1002), json.dumps(say | {"delta": " and a half"}))
        ended = {"type": "response.output_audio_transcript.done", "transcript": "One and a half"}
        await server.send(json.dumps(ended), json.dumps(say | {"delta": "Two"}), sound(2000))
        await until(lambda: 2000 in sink.samples)
        await call.say("done")
        assert [one["type"] for one in await server.said()] == ["conversation.item.create"]
        entries = call.transcript

    assert 1002 not in sink.samples
    assert [(e.text, e.interrupted) for e in entries if not e.written] == [("One and a half", True), ("Two", False)]


async def test_sound_of_the_programs_own_is_appended_and_nothing_beside_it() -> None:
    """Samples or bytes, in pieces; nothing is committed behind our back, and no silence of ours comes between."""
    samples = np.arange(-30_000, 30_000, dtype=np.int16)
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        await server.server.until(lambda: len(server.audio) >= 2)
        await call.append_audio(samples)
        own = [base64.b64encode(samples.tobytes()).decode()]
        await server.server.until(lambda: own[0] in server.audio)
        n_before = server.audio.index(own[0])
        await call.append_audio(samples.tobytes())
        await call.append_audio(np.zeros(600_000, dtype=">i2"))
        await call.append_audio(b"")
        await call.commit_audio()
        await call.clear_audio()
        assert [one["type"] for one in await server.said(2)] == [
            "input_audio_buffer.commit",
            "input_audio_buffer.clear",
        ]
        after = server.audio[n_before:]

    assert after[:2] == own * 2
    assert [len(base64.b64decode(piece)) for piece in after[2:]] == [480_000, 480_000, 240_000]


async def test_sound_that_is_none_is_refused() -> None:
    """So is sound beside a source of the call's own."""
    odd: list[Any] = [b"x", np.zeros(2, dtype=np.float32), np.zeros((2, 1), dtype=np.int16), [1, 2], "AAAA"]
    async with serving() as server, connect(config_of(server), source=SilenceSource()) as call:
        for samples in odd:
            with pytest.raises(InvalidCommand) as refused:
                await call.append_audio(samples)
            assert refused.value.fault is CommandFault.AUDIO_SHAPE
    async with serving() as server, connect(config_of(server), source=ToneSource(440)) as call:
        with pytest.raises(ConfigError, match="has a source"):
            await call.append_audio(b"")


async def test_calls_of_mcp_tools_are_approved_and_denied() -> None:
    """By the item of the request, or its id."""
    request = McpApprovalRequestItem(id="mcpr_1", name="search", server_label="docs")
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        await call.approve(request)
        await call.deny("mcpr_2", reason="not now")
        with pytest.raises(InvalidCommand):
            await call.approve(McpApprovalRequestItem(name="search", server_label="docs"))
        said = await server.said(2)

    assert [one["item"] for one in said] == [
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_1", "approve": True},
        {"type": "mcp_approval_response", "approval_request_id": "mcpr_2", "approve": False, "reason": "not now"},
    ]


async def test_more_than_may_wait_wait_for_room() -> None:
    """Forty tasks ask at once; each gets its own response."""

    async def answer(server: DirectServer) -> None:
        for n in range(40):
            (request,) = await server.said()
            metadata = request["response"]["metadata"]
            words = request["response"]["instructions"]
            await server.send(created(f"r{n}", metadata=metadata), done(f"r{n}", words, metadata=metadata))

    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        answering = asyncio.create_task(answer(server))
        finished = await asyncio.gather(*(call.respond(instructions=f"say {n}") for n in range(40)))
        await answering

    assert [one.words for one in finished] == [f"say {n}" for n in range(40)]
