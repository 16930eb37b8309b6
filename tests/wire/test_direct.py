"""Calls over a websocket beside the recorded ones (m_*): handshake, session, what we say to what the server says.

In real time: `test_what_was_heard_is_told_when_the_caller_speaks`.
"""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtc_client import (
    AnswererUnreachable,
    CallConfig,
    CallLost,
    CreateResponse,
    Deadlines,
    EndReason,
    HandoffRequest,
    HandshakeRefused,
    NumpySink,
    connect,
)
from tests.behaviour.calls import until
from tests.wire.recordings import Episode, episode
from tests.wire.replay import KEY
from tests.wire.server import Request, Wire, WireServer
from tests.wire.websocket_server import config_of, serving


def sent_by_client(recorded: Episode) -> list[dict[str, Any]]:
    """Return what the reference client sent, but its sound."""
    frames = [json.loads(text) for text in recorded.sent_frames]
    return [frame for frame in frames if frame["type"] != "input_audio_buffer.append"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("m_ws_v1", {"version": "v1"}),
        ("m_ws_v2_conversational", {}),
        ("m_ws_v2_transcription", {"mode": "transcription"}),
    ],
)
async def test_handshake_and_session_are_as_recorded(name: str, settings: dict[str, Any]) -> None:
    """Path, query, the caller's headers and the first frame are those of the reference client, and no POST is made."""
    recorded = episode(name)
    their_headers = dict(recorded.handshake["headers"])
    async with serving() as server:
        config = config_of(server, session_id=their_headers["x-session-id"], **settings)
        async with connect(config, handoff=str):
            (session,) = await server.said()
        await server.server.until(lambda: server.close_codes)

    (handshake,) = server.server.handshakes
    assert handshake.line == recorded.handshake["line"]
    ours = {name.lower(): value for name, value in handshake.headers}
    theirs = {name.lower(): value for name, value in their_headers.items()}
    assert ours.keys() == theirs.keys()
    for header in ("openai-alpha", "x-session-id", "authorization", "connection", "upgrade", "sec-websocket-version"):
        assert ours.get(header) == theirs.get(header)
    assert session == json.loads(recorded.sent_frames[0])
    assert server.server.posts == []
    assert server.server.hangups == []
    assert server.close_codes == [1000]


async def test_text_and_sound_are_sent_as_recorded_on_v1() -> None:
    """A text of m_ws_v1 is the same frame; sound goes out all the time, 40 ms a message."""
    recorded = episode("m_ws_v1")
    async with serving() as server, connect(config_of(server, version="v1")) as call:
        await call.say("hello")
        said = await server.said(2)
        await server.server.until(lambda: len(server.audio) >= 5)
        result = call.result

    assert said == sent_by_client(recorded)
    assert {len(base64.b64decode(audio)) for audio in server.audio} == {2 * 960}
    assert result.sent.packets >= 5
    assert result.sent.bytes == 1920 * result.sent.packets


async def test_texts_of_v2_are_marked_as_recorded() -> None:
    """What a user says is marked unless it is already, what a developer says is not (m_ws_v2_conversational)."""
    recorded = episode("m_ws_v2_conversational")
    async with serving() as server, connect(config_of(server), handoff=str) as call:
        await call.say("hello v2")
        await call.say("[USER] already prefixed")
        await call.say("dev text", role="developer")

        assert await server.said(4) == sent_by_client(recorded)[:4]


@pytest.mark.both_clocks
async def test_what_was_heard_is_told_when_the_caller_speaks() -> None:
    """Both truncations of m_ws_v2_truncate_same_item are sent, each with what was played, not with what was received.

    The reference client does not play, and tells the 300 ms it was sent. The rest is not played any more.
    """
    recorded = episode("m_ws_v2_truncate_same_item")
    events = [e["text"] for e in recorded.all("ws_text", direction="s2c")]
    theirs = sent_by_client(recorded)
    sink = NumpySink()
    async with serving() as server, connect(config_of(server), sink=sink) as call:
        await server.said()
        heard_ms = []
        for burst, their_truncation in ((events[:5], theirs[1]), (events[5:], theirs[2])):
            *deltas, speech_started = burst
            await server.send(*deltas)
            n_events = call.result.received.packets + 3
            await until(lambda n=n_events: call.result.received.packets == n)  # type: ignore[misc]
            start = len(sink.samples)
            await until(lambda n=start: len(sink.samples) >= n + 2400)  # type: ignore[misc]
            await server.send(speech_started)
            (ours,) = await server.said()
            heard_ms.append(ours["audio_end_ms"])
            assert ours | {"audio_end_ms": 300} == their_truncation
        assert all(100 <= ms < 300 for ms in heard_ms)


async def test_the_item_of_the_caller_truncates_too() -> None:
    """A speech_started that names an item of the caller's cuts what is played.

    The item it names is that of the caller's coming message (so says the published API). The reference client takes
    it for the item that is played, finds another, and tells nothing (m_ws_v2_conversational): its agent believes that
    all of it was heard.
    """
    recorded = episode("m_ws_v2_conversational")
    events = [e["text"] for e in recorded.all("ws_text", direction="s2c")]
    foreign = next(n for n, text in enumerate(events) if "item_user" in text)
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        await server.send(*events[foreign - 3 : foreign + 2])
        (ours,) = await server.said()
        await server.send(*events[foreign - 3 : foreign - 2])
        await call.say("still here")
        (after,) = await server.said()

    assert ours["type"] == "conversation.item.truncate"
    assert ours["item_id"] == "item_b"
    assert 0 <= ours["audio_end_ms"] <= 300
    assert after["item"]["content"][0]["text"] == "[USER] still here"


async def test_a_request_for_a_response_waits_for_the_one_before_it() -> None:
    """Held while a response is active, one at most, sent when it is over; an error that one is active keeps it.

    That error ends the call of the reference client; ours goes on.
    """
    create = {"type": "response.create"}
    active = episode("m_ws_v2_conversational").all("ws_text", direction="s2c")[-1]["text"]
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        for _ in range(3):
            await call.send(CreateResponse())
        await call.say("a")
        assert [one["type"] for one in await server.said(2)] == ["response.create", "conversation.item.create"]
        await server.send(response("created", "r1"), response("done", "r1"))
        assert await server.said() == [create]
        await server.send(active)
        await call.say("b")
        assert [one["type"] for one in await server.said()] == ["conversation.item.create"]
        await server.send(response("done", "resp_9"))
        assert await server.said() == [create]

    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    assert call.result.events["error"] == 1


async def test_remaining_silent_is_answered_by_nothing() -> None:
    """The call of `remain_silent` is answered as recorded, an unknown function not at all, no response is asked for."""
    recorded = episode("m_ws_v2_conversational")
    events = [e["text"] for e in recorded.all("ws_text", direction="s2c")]
    theirs = next(one for one in sent_by_client(recorded) if one.get("item", {}).get("call_id") == "call_3")
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        await server.send(*(text for text in events if "remain_silent" in text or "unknown_tool" in text))
        assert await server.said() == [theirs]
        await call.say("x")
        assert [one["item"]["type"] for one in await server.said()] == ["message"]


async def test_a_background_agent_answers_as_recorded() -> None:
    """The whole of m_ws_v2_conversational behind its texts, in its order: calls that steer, notes, held responses.

    Beside what it records we tell what was heard when the caller speaks, which the test before this one judges. Its
    error, which ends the call of the reference client, is an event to ours, which goes on to the end of the task.
    """
    recorded = episode("m_ws_v2_conversational")
    events = [e["text"] for e in recorded.all("ws_text", direction="s2c")]
    notes, asked = asyncio.Semaphore(0), []

    async def work(request: HandoffRequest) -> AsyncIterator[str]:
        asked.append(request.input_transcript)
        for _ in range(2):
            for note in ("progress note", "final note"):
                await notes.acquire()
                yield note
            asked.extend(one.input_transcript for one in request.steering.take())

    def upto(mark: str) -> list[str]:
        n = next(n for n, text in enumerate(events) if mark in text) + 1
        taken, events[:n] = events[:n], []
        return taken

    said: list[dict[str, Any]] = []
    async with serving() as server, connect(config_of(server), handoff=work) as call:
        await server.said()
        await server.send(*upto("item_fc"), *upto("item_fc2"))
        said += await server.said()
        for _ in range(2):
            notes.release()
            said += await server.said()
        await server.send(*upto("response.done"))
        said += await server.said()
        notes.release()
        said += await server.said()
        await server.send(*upto("response.done"), *upto("unknown_tool"))
        said += await server.said()
        played = call.stats().total_samples_received
        await until(lambda: call.stats().total_samples_received > played)  # of the item before, too
        await server.send(*upto("item_user"))
        (truncation,) = await server.said()
        notes.release()
        said += await server.said()
        await server.send(*events)
        end = await server.said(2)

    assert said == sent_by_client(recorded)[4:]
    assert (truncation["type"], truncation["item_id"]) == ("conversation.item.truncate", "item_b")
    assert asked == ["delegate now", "and this"]
    item = {"type": "function_call_output", "call_id": "call_1", "output": FINISHED}
    assert end == [{"type": "conversation.item.create", "item": item}, {"type": "response.create"}]
    assert [record.outcome for record in call.result.handoffs][:1] == ["answered"]


FINISHED = "Background agent finished. Use the preceding [BACKEND] messages as the result."


async def test_without_a_background_agent_none_is_offered() -> None:
    """The agent may still remain silent; should it call for one all the same, it is told that nobody came."""
    recorded = episode("m_ws_v2_conversational")
    call_1 = next(e["text"] for e in recorded.all("ws_text", direction="s2c") if "item_fc" in e["text"])
    async with serving() as server, connect(config_of(server)):
        (session,) = await server.said()
        await server.send(call_1)
        item, create = await server.said(2)

    assert [tool["name"] for tool in session["session"]["tools"]] == ["remain_silent"]
    assert item["item"]["call_id"] == "call_1"
    assert create == {"type": "response.create"}


@pytest.mark.parametrize(("code", "reason"), [(1000, "bye"), (1001, "")])
async def test_close_1000_is_the_servers_hangup(code: int, reason: str) -> None:
    """A close frame with 1000 or 1001 completes the call."""
    async with serving() as server, connect(config_of(server)) as call:
        await server.said()
        assert server.wire is not None
        await server.wire.send_close(code, reason)
        result = await call.wait_ended()

    assert result.error is None
    assert result.end is not None
    assert (result.end.reason, result.end.by, result.end.detail) == (EndReason.REMOTE_HANGUP, "server", reason)


@pytest.mark.parametrize("code", [1011, None])
async def test_a_broken_websocket_is_a_lost_call(code: int | None) -> None:
    """It is not opened again: another websocket would be another session."""
    async with serving() as server:
        with pytest.raises(CallLost, match="websocket") as lost:
            async with connect(config_of(server)) as call:
                await server.said()
                assert server.wire is not None
                if code is None:
                    server.wire.abort()
                else:
                    await server.wire.send_close(code)
                await call.wait_ended()

    assert lost.value.reason == "websocket_lost"
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.LOST
    assert len(server.server.handshakes) == 1


@pytest.mark.parametrize("status", [401, 404, 500, 503])
async def test_a_refused_handshake_is_not_tried_again(status: int) -> None:
    """One try, as the reference client's; the error tells the status, and the key is not in it."""

    async def refuse(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(status, body=KEY)

    async with WireServer(handshake=refuse) as server:
        config = CallConfig(api_key=KEY, base_url=server.base_url, transport="websocket")
        with pytest.raises(HandshakeRefused, match=f"HTTP {status}") as refused:
            async with connect(config):
                pytest.fail("it was refused")

    assert refused.value.status == status
    assert KEY not in str(refused.value)
    assert len(server.handshakes) == 1


async def test_nobody_there_is_told_as_such() -> None:
    """A port where nobody listens is an answerer that cannot be reached."""
    async with WireServer() as server:
        base_url = server.base_url
    with pytest.raises(AnswererUnreachable):
        async with connect(CallConfig(api_key=KEY, base_url=base_url, transport="websocket")):
            pytest.fail("there is nobody")


async def test_a_handshake_that_is_never_answered_is_given_up() -> None:
    """After `sideband_open_s`."""

    async def wait(wire: Wire, request: Request, n: int) -> None:
        await wire.wait_gone()

    async with WireServer(handshake=wait) as server:
        deadlines = Deadlines(sideband_open_s=0.2)
        config = CallConfig(api_key=KEY, base_url=server.base_url, transport="websocket", deadlines=deadlines)
        with pytest.raises(AnswererUnreachable, match=r"within 0\.2 s"):
            async with connect(config):
                pytest.fail("it was not answered")


def response(what: str, response_id: str) -> str:
    return json.dumps({"type": f"response.{what}", "response": {"id": response_id}})
