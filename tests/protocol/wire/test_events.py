"""Every v1 event with every name it has, every odd shape, and any text whatever (protocol.md sections 7, 8)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import parse_binary, parse_event

DELTA, TEXT = {"delta": "d"}, {"transcript": "t"}
HANDOFF = {"handoff_id": "h", "item_id": "i", "input_transcript": "t"}
AUDIO = {"delta": "AQI=", "sample_rate": 24_000, "channels": 1}

KNOWN: dict[str, tuple[type, dict[str, Any]]] = {
    "session.updated": (ev.SessionUpdated, {"session": {"id": "s"}}),
    "conversation.output_audio.delta": (ev.OutputAudioDelta, AUDIO),
    "conversation.input_transcript.delta": (ev.CallerTranscriptDelta, DELTA),
    "conversation.item.input_audio_transcription.delta": (ev.CallerTranscriptDelta, DELTA),
    "conversation.input_transcript.turn_marked": (ev.CallerTranscriptDone, TEXT),
    "conversation.item.input_audio_transcription.completed": (ev.CallerTranscriptDone, TEXT),
    "conversation.output_transcript.delta": (ev.AgentTranscriptDelta, DELTA),
    "response.output_text.delta": (ev.AgentTranscriptDelta, DELTA),
    "response.output_audio_transcript.delta": (ev.AgentTranscriptDelta, DELTA),
    "response.output_audio_transcript.done": (ev.AgentTranscriptDone, TEXT),
    "conversation.item.added": (ev.ItemAdded, {"item": None}),
    "conversation.item.done": (ev.ItemDone, {"item": {"id": "x"}}),
    "conversation.handoff.requested": (ev.HandoffRequested, HANDOFF),
    "error": (ev.ErrorEvent, {"message": "boom"}),
}

NEVER = ["response.audio.delta", "transcription_session.updated", "", "ERROR", "session.updated "]


def parse(name: str, **fields: Any) -> ev.ServerEvent:
    return parse_event(json.dumps({"type": name} | fields))


@pytest.mark.parametrize("name", KNOWN)
def test_every_name_has_its_type(name: str) -> None:
    """Each name of section 7 becomes its type, with the name and everything else that was on the wire."""
    kind, fields = KNOWN[name]

    event = parse(name, **fields, extra={"more": [1]})

    assert type(event) is kind
    assert event.type == name
    assert event.raw == {"type": name} | fields | {"extra": {"more": [1]}}


@pytest.mark.parametrize(("name", "field"), [(name, field) for name, (_, fields) in KNOWN.items() for field in fields])
def test_known_name_without_a_field_is_kept_as_unknown(name: str, field: str) -> None:
    """A field that is needed and missing makes no typed event, and no error either."""
    event = parse(name, **{other: value for other, value in KNOWN[name][1].items() if other != field})

    assert isinstance(event, ev.UnknownEvent)
    assert (event.type, event.why) == (name, "unexpected shape")


@pytest.mark.parametrize("name", NEVER)
def test_other_names_are_unknown(name: str) -> None:
    """A name of the beta, of nobody, or spelt differently is kept as it is, with its id."""
    event = parse(name, transcript="t", event_id="e")

    assert isinstance(event, ev.UnknownEvent)
    assert (event.type, event.event_id, event.why) == (name, "e", "unknown type")
    assert event.raw == {"type": name, "transcript": "t", "event_id": "e"}


@pytest.mark.parametrize(
    ("text", "why", "raw"),
    [
        ('{"type":', "malformed JSON", '{"type":'),
        ("hello", "malformed JSON", "hello"),
        ("", "malformed JSON", ""),
        ("NaN", "malformed JSON", "NaN"),
        ('{"type":"error"} x', "malformed JSON", '{"type":"error"} x'),
        ("[]", "not an object", []),
        ('"x"', "not an object", "x"),
        ("null", "not an object", None),
        ("{}", "no type", {}),
        ('{"type":1}', "no type", {"type": 1}),
        ('{"type":null}', "no type", {"type": None}),
        ('{"type":["error"]}', "no type", {"type": ["error"]}),
    ],
)
def test_what_is_no_event_is_kept_with_the_reason(text: str, why: str, raw: object) -> None:
    """Malformed JSON, other values than objects, and objects without a type."""
    assert parse_event(text) == ev.UnknownEvent(type="", why=why, raw=raw)  # type: ignore[arg-type]


def test_binary_frame_is_kept() -> None:
    """Realtime v1 has no binary frames; one is kept as its bytes."""
    assert parse_binary(b"\x00\x01") == ev.UnknownEvent(type="", why="binary frame", raw=b"\x00\x01")


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("session.updated", {"session": "s"}),
        ("conversation.input_transcript.delta", {"delta": 1}),
        ("conversation.input_transcript.delta", {"delta": None}),
        ("response.output_audio_transcript.done", {"transcript": ["t"]}),
        ("conversation.item.done", {}),
        ("conversation.handoff.requested", HANDOFF | {"item_id": 1}),
        ("conversation.handoff.requested", HANDOFF | {"input_transcript": None}),
        ("conversation.output_audio.delta", AUDIO | {"sample_rate": "x"}),
        ("conversation.output_audio.delta", AUDIO | {"sample_rate": 24_000.5}),
        ("conversation.output_audio.delta", AUDIO | {"sample_rate": -1}),
        ("conversation.output_audio.delta", AUDIO | {"sample_rate": 2**32}),
        ("conversation.output_audio.delta", AUDIO | {"channels": True}),
        ("conversation.output_audio.delta", AUDIO | {"channels": 65_536}),
        ("conversation.output_audio.delta", AUDIO | {"delta": 1}),
        ("error", {}),
        ("error", {"error": None}),
        ("error", {"message": 1}),
    ],
)
def test_field_of_the_wrong_kind_is_an_unexpected_shape(name: str, fields: dict[str, Any]) -> None:
    """A value that is not what it must be is not bent into one."""
    event = parse(name, **fields)

    assert isinstance(event, ev.UnknownEvent)
    assert event.why == "unexpected shape"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (AUDIO, ("AQI=", 24_000, 1, None)),
        ({"data": "AQI=", "sample_rate": 8000, "num_channels": 2, "samples_per_channel": 480}, ("AQI=", 8000, 2, 480)),
        (AUDIO | {"data": "other", "num_channels": 7}, ("AQI=", 24_000, 1, None)),
        (AUDIO | {"samples_per_channel": "x"}, ("AQI=", 24_000, 1, None)),
        (AUDIO | {"item_id": "i"}, ("AQI=", 24_000, 1, None)),
    ],
)
def test_audio_has_two_names_for_its_fields(fields: dict[str, Any], expected: tuple[object, ...]) -> None:
    """`delta` or `data`, `channels` or `num_channels`; the first of each wins."""
    event = parse("conversation.output_audio.delta", **fields)

    assert isinstance(event, ev.OutputAudioDelta)
    assert (event.audio_base64, event.sample_rate_hz, event.channels, event.samples_per_channel) == expected


@pytest.mark.parametrize(
    ("fields", "message", "code", "error_type"),
    [
        ({"message": "flat boom"}, "flat boom", None, None),
        ({"error": {"type": "t", "code": "c", "message": "boom"}}, "boom", "c", "t"),
        ({"message": "outer", "error": {"message": "inner", "code": "c"}}, "outer", "c", None),
        ({"error": "string boom"}, '"string boom"', None, None),
        ({"error": {"code": "c"}}, '{"code":"c"}', "c", None),
        ({"error": {}}, "{}", None, None),
        ({"error": [1, "ü"]}, '[1,"ü"]', None, None),
        ({"error": False}, "false", None, None),
        ({"message": "m", "code": "outer"}, "m", "outer", None),
        ({"message": "m", "error": {"code": 7, "type": 8}}, "m", None, None),
        ({"error": 10**40}, str(10**40), None, None),
    ],
)
def test_error_says_what_there_is(
    fields: dict[str, Any], message: str, code: str | None, error_type: str | None
) -> None:
    """`message`, else `error.message`, else the whole error as JSON; code and type where they are texts."""
    event = parse("error", **fields)

    assert isinstance(event, ev.ErrorEvent)
    assert (event.message, event.code, event.error_type) == (message, code, error_type)


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("session_expired", "session expired"),
        ("invalid_api_key", "authentication failed"),
        ("insufficient_quota", "insufficient quota"),
        ("call_id_not_found", "call not found"),
        ("rate_limit_exceeded", None),
        ("c", None),
    ],
)
def test_few_codes_are_fatal(code: str, reason: str | None) -> None:
    """The short list ends a call, by code or by type; nothing else does."""
    for place in ("code", "type"):
        event = parse("error", error={place: code, "message": "m"})
        assert isinstance(event, ev.ErrorEvent)
        assert ev.fatal_reason(event) == reason


def test_empty_texts_are_texts() -> None:
    """A delta or transcript of nothing is an event like any other."""
    event = parse("conversation.input_transcript.delta", delta="")

    assert isinstance(event, ev.CallerTranscriptDelta)
    assert isinstance(
        parse("conversation.handoff.requested", **HANDOFF | {"input_transcript": ""}), ev.HandoffRequested
    )


def test_what_was_said_is_in_no_repr() -> None:
    """Speech stays out of logs and exceptions, whatever the event."""
    for name, (_, fields) in KNOWN.items():
        marked = json.loads(
            json.dumps(fields).replace('"d"', '"SAID"').replace('"t"', '"SAID"').replace("boom", "SAID")
        )
        assert "SAID" not in repr(parse(name, **marked))
    assert "SAID" not in repr(parse_event("SAID"))
    assert "SAID" not in repr(parse("x", delta="SAID"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = sorted({field for _, fields in KNOWN.values() for field in fields} | {"data", "num_channels", "error"})


@given(st.text() | st.binary().map(lambda data: data.decode("latin-1")))
@example("[" * 100_000)
@example('{"type":"error","error":' + "[" * 990 + "]" * 990 + "}")
@example('{"type":"error","error":1e999}')
@example('{"type":"\\ud800"}')
@example("\ud800")
@example("\ufeff{}")
def test_no_text_is_an_exception(text: str) -> None:
    """Whatever a server sends, it is an event."""
    event = parse_event(text)

    assert isinstance(event, ev.ServerEvent)


@given(st.sampled_from(sorted(KNOWN)), st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=6))
def test_no_shape_of_a_known_event_is_an_exception(name: str, fields: dict[str, Any]) -> None:
    """Known names with any fields at all are their type or unknown, and nothing is lost of them."""
    event = parse(name, **fields)

    assert isinstance(event, KNOWN[name][0] | ev.UnknownEvent)
    assert event.type == name
    assert isinstance(event.raw, dict)
    assert event.raw.keys() == {"type"} | fields.keys()
