"""Every server event with every field it has: typed, nothing lost, and nothing odd in it costs more than itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any, cast

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec.structs import fields

from rtc_client import (
    AudioPart,
    CreateItem,
    FunctionCallItem,
    FunctionTool,
    McpCallItem,
    McpHttpError,
    McpTool,
    MessageItem,
    OutputAudio,
    RealtimeSession,
    ServerVad,
    ToolFilter,
    TranscriptionSession,
    UnknownModel,
    UpdateSession,
    V1Session,
)
from rtc_client.protocol.wire import codec
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import dump_command, dump_event, parse_binary, parse_event
from tests.protocol.samples import BEYOND, GA, ITEM_ID, ITEMS, RESPONSE_ID, SAID, SAMPLES, SESSION, VARIANTS, Sample

ALL = [*SAMPLES.values(), *VARIANTS]


def parse(sample: Sample) -> ev.ServerEvent:
    return parse_event(json.dumps(sample))


def test_there_is_a_sample_of_every_name() -> None:
    """The table of names, the samples and the count of the public reference agree."""
    assert codec._EVENTS.keys() == SAMPLES.keys()
    assert len(GA) == 46
    assert len(BEYOND) == 8


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample["type"])
def test_event_is_typed_and_whole(sample: Sample) -> None:
    """It has a type, its id, its name, and everything else that was on the wire; written again it is the same JSON."""
    event = parse(sample | {"brand_new": {"field": [1, None]}})

    assert isinstance(event, ev.KnownEvent)
    assert (event.type, event.event_id) == (sample["type"], sample.get("event_id"))
    assert event.raw == sample | {"brand_new": {"field": [1, None]}}
    assert json.loads(dump_event(event)) == event.raw


@pytest.mark.parametrize("sample", [*GA, *BEYOND], ids=lambda sample: sample["type"])
def test_every_field_is_taken(sample: Sample) -> None:
    """Each field of the sample stands in the event, under its name on the wire; none is None that was given."""
    event = parse(sample)
    taken = {field.encode_name: getattr(event, field.name) for field in fields(event)}

    given = {name for name, value in sample.items() if value is not None and name not in ("data", "num_channels")}
    if not isinstance(event, ev.ErrorEvent):
        assert given <= {name for name, value in taken.items() if value is not None}


@pytest.mark.parametrize("sample", ALL, ids=lambda sample: sample["type"])
def test_nothing_said_is_in_a_repr(sample: Sample) -> None:
    """Speech, instructions, arguments and audio stay out of logs."""
    shown = repr(parse(sample))

    for secret in (SAID, "Hel", "On Sunday", "Be brief", "museum", "please", "AQI", "boom", "Sunday", "missing", "{}"):
        assert secret not in shown


def one(name: str, /, **changes: Any) -> Any:
    return cast("Any", parse(SAMPLES[name] | changes))


def test_session_is_a_value() -> None:
    """The settings of a session can be read by name, each kind as what it is."""
    session = one("session.created").session

    assert isinstance(session, RealtimeSession)
    assert (session.id, session.expires_at, session.tool_choice) == (SESSION["id"], 1_756_324_625, "auto")
    assert session.output_modalities == ("audio",)
    assert session.audio is not None
    assert session.audio.input is not None
    assert isinstance(session.audio.input.turn_detection, ServerVad)
    assert session.audio.input.turn_detection.silence_duration_ms == 200
    assert session.tools is not None
    (function, mcp) = session.tools
    assert isinstance(function, FunctionTool)
    assert isinstance(mcp, McpTool)
    assert (function.name, mcp.allowed_tools) == ("opening_hours", ("ask",))
    kinds = [type(cast("Any", parse(sample)).session) for sample in VARIANTS[:3]]
    assert kinds == [TranscriptionSession, RealtimeSession, V1Session]


def test_items_are_values() -> None:
    """Each kind of item has its type; the parts of a message have theirs."""
    items = [one("conversation.item.added", item=item).item for item in ITEMS]

    assert [item.type for item in items] == [item["type"] for item in ITEMS]
    assert [item.id for item in items] == [item["id"] for item in ITEMS]
    assert not any(isinstance(item, UnknownModel) for item in items)
    assert items[0].content[0] == OutputAudio(transcript=SAID)
    assert items[3] == FunctionCallItem(
        id="item_f",
        object="realtime.item",
        status="completed",
        name="opening_hours",
        call_id="call_1",
        arguments='{"day":"Sunday"}',
    )
    assert isinstance(items[5], McpCallItem)
    assert items[5].error == McpHttpError(code=503, message="unavailable")
    assert one("response.content_part.added").part == AudioPart(transcript="")


def test_what_a_response_used_is_a_value() -> None:
    """Totals, and their parts by modality and cache; a transcription's in tokens or in seconds."""
    done = one("response.done")

    assert (done.response_id, done.response.status, len(done.response.output)) == (RESPONSE_ID, "completed", len(ITEMS))
    usage = done.response.usage
    assert (usage.total_tokens, usage.input_token_details.cached_tokens_details.text_tokens) == (253, 64)
    heard = "conversation.item.input_audio_transcription.completed"
    assert one(heard).usage.input_token_details.audio_tokens == 28
    assert one(heard, usage={"type": "duration", "seconds": 1.5}).usage.seconds == 1.5
    assert one("rate_limits.updated").rate_limits[1].reset_seconds == 0.5


def test_shared_types_carry_where_they_belong() -> None:
    """GA says of a transcript which response, item and part it is of; v1 does not."""
    ga, v1 = one("response.output_audio_transcript.delta"), one("conversation.output_transcript.delta")

    assert type(ga) is type(v1) is ev.AgentTranscriptDelta
    assert (ga.response_id, ga.item_id, ga.output_index, ga.content_index) == (RESPONSE_ID, ITEM_ID, 0, 0)
    assert (v1.response_id, v1.item_id, v1.output_index, v1.content_index) == (None, None, None, None)


def test_error_says_which_command_it_is_about() -> None:
    """The `event_id` of the command, and the parameter."""
    event = one("error")

    assert (event.event_id, event.client_event_id) == ("event_C9G8mqI3IucaojlVKE8Cs", "event_567")
    assert one("error", error={"message": "m", "param": "session.voice"}).param == "session.voice"


@pytest.mark.parametrize(
    ("name", "changes", "found"),
    [
        ("session.updated", {"session": {"id": 1, "expires_at": "soon"}}, lambda e: e.session.id is None),
        ("session.updated", {"session": {"id": "s", "type": "new"}}, lambda e: e.session_id == "s"),
        ("session.updated", {"session": SESSION | {"tools": [7, {"type": "new"}]}},
         lambda e: [type(tool) for tool in e.session.tools] == [UnknownModel] * 2),
        ("response.done", {"response": {"id": "r", "usage": {"total_tokens": "x", "input_tokens": 3}}},
         lambda e: (e.response.usage.total_tokens, e.response.usage.input_tokens) == (None, 3)),
        ("response.done", {"response": {"output": [{"type": "new", "id": "n"}, 1, {"type": "message"}]}},
         lambda e: [type(item) for item in e.response.output] == [UnknownModel] * 3),
        ("conversation.item.input_audio_transcription.completed", {"usage": {"total": 1}, "logprobs": "no"},
         lambda e: (e.transcript, e.logprobs) == ("Hello.", None) and e.usage.total_tokens is None),
        ("conversation.item.input_audio_transcription.completed", {"usage": 3}, lambda e: e.usage is None),
        ("conversation.item.input_audio_transcription.delta", {"logprobs": [1, {"token": "t", "logprob": -1}]},
         lambda e: len(e.logprobs) == 1),
        ("response.output_audio_transcript.delta", {"output_index": "0", "event_id": 5},
         lambda e: (e.output_index, e.event_id, e.content_index) == (None, None, 0)),
        ("rate_limits.updated", {"rate_limits": [{"name": 1}, None]}, lambda e: len(e.rate_limits) == 1),
        ("conversation.item.added", {"item": {"type": "message", "role": "user", "content": [{"type": "new"}]}},
         lambda e: isinstance(e.item, MessageItem) and isinstance(e.item.content[0], UnknownModel)),
        ("conversation.item.added", {"item": {"type": "message", "role": "nobody"}},
         lambda e: e.item == UnknownModel(raw={"type": "message", "role": "nobody"})),
        ("conversation.item.done", {"item": "x"}, lambda e: e.item == UnknownModel(raw="x") and e.item_id is None),
        ("session.updated", {"raw": 5}, lambda e: e.raw["raw"] == 5),
    ],
)  # fmt: skip
def test_optional_field_of_odd_shape_costs_only_itself(
    name: str, changes: dict[str, Any], found: Callable[[Any], bool]
) -> None:
    """The event keeps its type and its other fields, at any depth; `raw` keeps what was odd."""
    event = one(name, **changes)

    assert isinstance(event, ev.KnownEvent)
    assert event.raw == SAMPLES[name] | changes
    assert found(event)


def without_nulls(value: Any) -> Any:
    """Return JSON without the keys whose value is null: we leave out what is not said."""
    if isinstance(value, dict):
        return {key: without_nulls(one) for key, one in value.items() if one is not None}
    return [without_nulls(one) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("item", ITEMS, ids=lambda item: item["type"])
def test_item_that_was_received_can_be_sent_again(item: Sample) -> None:
    """Nothing of an item is lost between the wire and the wire."""
    received = one("conversation.item.added", item=item).item

    assert json.loads(dump_command(CreateItem(item=received)))["item"] == item


def test_session_that_was_received_can_be_sent_again() -> None:
    """Nothing of a session is lost between the wire and the wire, but nulls that say nothing."""
    received = one("session.created").session

    assert json.loads(dump_command(UpdateSession(settings=received)))["session"] == without_nulls(SESSION)


def test_tool_filters_are_told_from_lists() -> None:
    """An allow-list may be names or a filter."""
    tool = {"type": "mcp", "server_label": "l", "allowed_tools": {"tool_names": ["a"], "read_only": True}}

    (mcp,) = one("session.updated", session={"tools": [tool]}).session.tools

    assert mcp.allowed_tools == ToolFilter(tool_names=("a",), read_only=True)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every container of a JSON value and every key in it."""
    keys: Any = range(len(value)) if isinstance(value, list) else value if isinstance(value, dict) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


@given(st.sampled_from(ALL), st.data())
def test_no_damage_is_an_exception_and_nothing_is_lost(sample: Sample, data: st.DataObject) -> None:
    """Any value in any place of any event: an event with all that came, the same again when it is written."""
    damaged = deepcopy(sample)
    for _ in range(data.draw(st.integers(1, 3))):
        here = list(places(damaged))
        container, key = here[data.draw(st.integers(0, len(here) - 1))]
        if isinstance(container, dict) and data.draw(st.booleans()):
            del container[key]
        else:
            container[key] = deepcopy(data.draw(JSON | st.sampled_from([sample, ITEMS, SESSION])))
        if not damaged:
            break
    text = json.dumps(damaged)
    kept = msgspec.json.decode(text)

    event = parse_event(text)

    assert isinstance(event, ev.ServerEvent)
    assert event.raw == kept
    assert msgspec.json.decode(dump_event(event)) == kept
    repr(event)


@given(st.text() | st.binary(max_size=64))
@example('{"type":"response.done","response":{"metadata":{"a":' + "[" * 900 + "]" * 900 + "}}}")
@example('{"type":"conversation.item.added","item":' + '{"type":"message","content":[' * 300 + "]}" * 300 + "}")
@example('{"type":"session.updated","session":{"tools":' + "[" * 500 + "]" * 500 + "}}")
@example('{"type":"conversation.item.done","item":{"type":"\\u0000unknown","raw":1}}')
@example('{"type":"response.done","response":{"max_output_tokens":' + "9" * 400 + "}}")
def test_no_frame_is_an_exception_and_each_is_given_back(frame: str | bytes) -> None:
    """Whatever a server sends is an event, and can be written down as the frame that it was."""
    event = parse_event(frame) if isinstance(frame, str) else parse_binary(frame)

    assert isinstance(event, ev.ServerEvent)
    again = dump_event(event)
    if isinstance(frame, bytes) or (isinstance(event, ev.UnknownEvent) and event.why == "malformed JSON"):
        assert again == frame
    else:
        assert msgspec.json.decode(again) == msgspec.json.decode(frame)
    repr(event)
