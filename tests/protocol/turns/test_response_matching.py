"""Promise: a response answers the request whose id it repeats, and what it came to is read leniently."""

from __future__ import annotations

import json

from rtc_client.protocol.turns.response_matching import TAG, ResponseMatcher, finished_response
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import parse_event
from rtc_client.protocol.wire.responses import Response


def created(**response: object) -> ev.ResponseCreated:
    event = parse_event(json.dumps({"type": "response.created", "response": response}))
    assert isinstance(event, ev.ResponseCreated)
    return event


def done(**response: object) -> ev.ResponseDone:
    event = parse_event(json.dumps({"type": "response.done", "response": response}))
    assert isinstance(event, ev.ResponseDone)
    return event


def test_metadata_decides_in_any_order() -> None:
    """Also when two are under way at once, and when the beginning was missed."""
    asked = ResponseMatcher()
    first, second, third = asked.ask(), asked.ask(), asked.ask()
    for event_id in (first, second, third):
        asked.sent(event_id)
    asked.created(created(id="r2", metadata={TAG: second}))
    asked.created(created(id="r1", metadata={TAG: first}))

    assert asked.active_id == "r1"
    assert asked.ended(done(id="r2"))[0] == second
    assert asked.active_id == "r1"
    assert asked.ended(done(id="r3", metadata={TAG: third}))[0] == third
    assert asked.ended(done(id="r1"))[0] == first
    assert asked.active_id is None


def test_what_nobody_asked_for_is_nobodys() -> None:
    """A response of the server's own, of somebody else's request, or of one that was given up or has not left."""
    asked = ResponseMatcher()
    event_id = asked.ask()
    asked.created(created(id="before"))
    assert asked.ended(done(id="before"))[0] is None
    asked.sent(event_id)
    for metadata in (None, {}, {"topic": "x"}, {TAG: "rtc_client_9"}):
        asked.created(created(id="theirs", metadata=metadata))
        assert asked.ended(done(id="theirs", metadata=metadata))[0] is None
    assert asked.is_awaited(event_id)
    asked.forget(event_id)
    asked.created(created(id="ours", metadata={TAG: event_id}))
    assert asked.ended(done(id="ours", metadata={TAG: event_id}))[0] is None
    assert [asked.is_ours(one) for one in (event_id, "rtc_client_2", "rtc_client_x", "1", "")] == [True] + [False] * 4


def test_a_response_of_every_kind_of_output_is_read() -> None:
    """Words of all messages, calls apart; what is unknown stays among the items, and no status means completed."""
    message = {"type": "message", "role": "assistant"}
    response = done(
        id="r",
        output=[
            message | {"content": [{"type": "output_text", "text": "a"}, {"type": "text", "text": "b"}]},
            message | {"content": [{"type": "output_audio", "transcript": "c"}, {"type": "new_thing"}]},
            {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c1"},
            {"type": "hologram"},
        ],
    ).response
    finished = finished_response(response)

    assert (finished.text, finished.transcript, finished.words, finished.status) == ("ab", "c", "ab", "completed")
    assert [call.name for call in finished.function_calls] == ["f"]
    assert len(finished.items) == 4
    assert finished_response(Response()).words == ""
