"""What the server's events and our commands make of a transcript: recorded ones, and those of the GA API."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.from_events import add_event, note_sent
from rtc_client.protocol.transcript.transcript import Transcript
from rtc_client.protocol.wire.codec import parse_event
from tests.wire.recordings import episode

Happening = tuple[int, dict[str, Any]]
"""An event of the server, and when it came."""


def recorded(name: str) -> Transcript:
    """Return the transcript of a recorded call, of what both sides sent."""
    scribe = TranscriptBuilder()
    for happening in episode(name).all("ws_text"):
        at_ms = round(happening["t"] * 1000)
        if happening["dir"] == "s2c":
            add_event(scribe, parse_event(happening["text"]), at_ms)
        else:
            note_sent(scribe, happening["text"], at_ms)
    return scribe.entries


def told(*happenings: Happening) -> Transcript:
    """Return the transcript of these events."""
    scribe = TranscriptBuilder()
    for at_ms, event in happenings:
        add_event(scribe, parse_event(json.dumps(event)), at_ms)
    return scribe.entries


def said(transcript: Transcript) -> list[tuple[str, str]]:
    return [(entry.role, entry.text) for entry in transcript]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # The reference client does not take the text of response.output_text.done; the last words are settled by it.
        ("i_v1_transcript_aliases", [("caller", "t1"), ("caller", "t3"), ("agent", "t5"), ("agent", "t7")]),
        ("i_v1_event_fields", []),
        ("i_odd_frames", [("caller", "still alive")]),
        ("a_v1_webrtc_happy", [("caller", "hello from app"), ("caller", "hi"), ("agent", "yo")]),
        (
            "j_handoff_active_transcript",
            [("caller", "turn it on <now> & go"), ("agent", "sure, working"), ("caller", "second turn")],
        ),
        (
            "m_ws_v2_conversational",
            [
                ("caller", "hello v2"),
                ("caller", "already prefixed"),
                ("caller", "please do"),
                ("agent", "ok then"),
                ("agent", "txt all"),
            ],
        ),
        ("m_ws_v2_truncate_same_item", []),
        ("m_ws_v2_transcription", []),
        ("m_ws_v1", [("caller", "hello")]),
    ],
)
def test_recorded_calls(name: str, expected: list[tuple[str, str]]) -> None:
    """What was said and written, once each; what a developer or the background agent wrote is nobody's words."""
    assert said(recorded(name)) == expected


def test_texts_of_every_role_as_recorded() -> None:
    """The caller's and the agent's are entries, marked as written; a developer's or an empty one is none."""
    entries = recorded("k_append_text_roles")
    messages = [json.loads(text)["item"] for text in episode("k_append_text_roles").sent_frames if '"role"' in text]
    texts = [(message["role"], message["content"][0]["text"]) for message in messages]

    voices = {"user": "caller", "assistant": "agent"}
    assert {"developer", "user", "assistant"} == {role for role, _ in texts}
    assert said(entries) == [(voices[role], text) for role, text in texts if role in voices and text]
    assert all(entry.written and entry.final for entry in entries)


def item(item_id: str, role: str, *content: dict[str, Any], status: str = "completed") -> dict[str, Any]:
    return {"id": item_id, "object": "realtime.item", "type": "message", "status": status, "role": role,
            "content": list(content)}  # fmt: skip


def part(item_id: str, kind: str, at_ms: int, response: str = "r1", **fields: Any) -> Happening:
    place = {"item_id": item_id, "response_id": response, "output_index": 0, "content_index": 0}
    return at_ms, {"type": f"response.{kind}", "event_id": f"{item_id}{kind}{at_ms}", **place, **fields}


QUESTION, ANSWER, AGAIN = "What time is it?", "It is ten o'clock in the morning.", "Thanks."
SPOKEN = {"type": "input_audio", "transcript": None}
GA: list[Happening] = [
    (900, {"type": "input_audio_buffer.speech_started", "event_id": "s1", "item_id": "q", "audio_start_ms": 640}),
    (1_900, {"type": "input_audio_buffer.speech_stopped", "event_id": "s2", "item_id": "q", "audio_end_ms": 1_860}),
    (1_910, {"type": "input_audio_buffer.committed", "event_id": "s3", "item_id": "q", "previous_item_id": None}),
    (1_920, {"type": "conversation.item.added", "event_id": "s4", "previous_item_id": None,
             "item": item("q", "user", SPOKEN)}),
    (1_921, {"type": "conversation.item.created", "event_id": "s5", "previous_item_id": None,
             "item": item("q", "user", SPOKEN)}),
    (1_930, {"type": "response.created", "event_id": "s6", "response": {"id": "r1", "status": "in_progress"}}),
    (2_000, {"type": "response.output_item.added", "event_id": "s7", "response_id": "r1", "output_index": 0,
             "item": item("a", "assistant", status="in_progress")}),
    (2_001, {"type": "conversation.item.added", "event_id": "s8", "previous_item_id": "q",
             "item": item("a", "assistant", status="in_progress")}),
    part("a", "output_audio_transcript.delta", 2_100, delta="It is ten o'clock"),
    part("a", "output_audio.delta", 2_101, delta="AAAA" * 16_000),
    part("a", "output_audio_transcript.delta", 2_150, delta=" in the morning."),
    (2_200, {"type": "output_audio_buffer.started", "event_id": "s9", "response_id": "r1"}),
    part("a", "output_audio_transcript.done", 2_400, transcript=ANSWER),
    part("a", "content_part.done", 2_410, part={"type": "audio", "transcript": ANSWER}),
    (2_420, {"type": "response.output_item.done", "event_id": "s10", "response_id": "r1", "output_index": 0,
             "item": item("a", "assistant", {"type": "output_audio", "transcript": ANSWER})}),
    (2_430, {"type": "response.done", "event_id": "s11", "response": {"id": "r1", "status": "completed", "output": [
        item("a", "assistant", {"type": "output_audio", "transcript": ANSWER})]}}),
    (2_700, {"type": "conversation.item.input_audio_transcription.delta", "event_id": "s12", "item_id": "q",
             "content_index": 0, "delta": "What"}),
    (2_800, {"type": "conversation.item.input_audio_transcription.completed", "event_id": "s13", "item_id": "q",
             "content_index": 0, "transcript": QUESTION}),
    (2_900, {"type": "input_audio_buffer.speech_started", "event_id": "s14", "item_id": "b", "audio_start_ms": 2_850}),
    (2_910, {"type": "conversation.item.truncated", "event_id": "s15", "item_id": "a", "content_index": 0,
             "audio_end_ms": 500}),
    (2_911, {"type": "output_audio_buffer.cleared", "event_id": "s16", "response_id": "r1"}),
    (3_400, {"type": "input_audio_buffer.committed", "event_id": "s17", "item_id": "b", "previous_item_id": "a"}),
    (3_450, {"type": "conversation.item.done", "event_id": "s18", "previous_item_id": "a",
             "item": item("b", "user", SPOKEN)}),
    (3_900, {"type": "conversation.item.input_audio_transcription.completed", "event_id": "s19", "item_id": "b",
             "content_index": 0, "transcript": AGAIN}),
    (4_000, {"type": "conversation.item.added", "event_id": "s20", "previous_item_id": "b",
             "item": {"id": "f", "type": "function_call", "name": "x", "arguments": "{}", "call_id": "c"}}),
    (5_000, {"type": "input_audio_buffer.committed", "event_id": "s21", "item_id": "lost", "previous_item_id": "f"}),
    (5_100, {"type": "conversation.item.input_audio_transcription.failed", "event_id": "s22", "item_id": "lost",
             "content_index": 0, "error": {"message": "no"}}),
    (6_000, {"type": "response.output_item.added", "event_id": "s23", "response_id": "r2", "output_index": 0,
             "item": item("cut", "assistant", status="in_progress")}),
    (6_001, {"type": "conversation.item.added", "event_id": "s24", "previous_item_id": "lost",
             "item": item("cut", "assistant", status="in_progress")}),
    part("cut", "output_text.delta", 6_100, response="r2", delta="Well"),
    (6_200, {"type": "response.done", "event_id": "s25", "response": {"id": "r2", "status": "cancelled"}}),
]  # fmt: skip
"""A call of the GA API on WebRTC: a question whose text is late, an answer that is cut short, a turn that is lost."""


def test_a_call_of_the_ga_api() -> None:
    """Every entry in its place, with its times, its sound, and what is wrong with it."""
    question, answer, again, lost, cut = told(*GA)

    assert (question.text, question.final, question.item_id) == (QUESTION, True, "q")
    assert (question.at_ms, question.end_ms, question.audio_start_ms, question.audio_end_ms) == (900, 2_800, 640, 1_860)
    assert (answer.text, answer.final, answer.response_id) == (ANSWER, True, "r1")
    assert (answer.at_ms, answer.end_ms, answer.audio_start_ms, answer.audio_end_ms) == (2_000, 2_400, 2_200, 2_911)
    assert (answer.interrupted, answer.heard_ms, answer.unheard_text) == (True, 500, "o'clock in the morning.")
    assert (again.text, again.at_ms, again.audio_start_ms) == (AGAIN, 2_900, 2_850)
    assert (lost.role, lost.text, lost.never_arrived, lost.final) == ("caller", "", True, False)
    assert (cut.text, cut.interrupted, cut.final, cut.response_id) == ("Well", True, True, "r2")


@given(st.permutations(GA), st.lists(st.sampled_from(GA), max_size=10))
def test_any_order_of_a_call_and_any_event_twice(order: list[Happening], twice: list[Happening]) -> None:
    """The same transcript, but for pieces of a text that has no last word: here every one has but one of one piece."""
    happenings = order + twice
    deltas = [event for _, event in order if event["type"].endswith("_transcript.delta")]
    assert len(deltas) == 2

    assert told(*happenings) == told(*GA)


def test_an_answer_whose_sound_was_thrown_away() -> None:
    """Text and response are complete, for they are written faster than spoken; the caller did not hear all of it."""
    happenings = [one for one in GA if one[0] <= 2_430]
    (answer,) = [entry for entry in told(*happenings) if entry.role == "agent"]
    cleared = (2_500, {"type": "output_audio_buffer.cleared", "response_id": "r1"})
    (cut,) = [entry for entry in told(*happenings, cleared) if entry.role == "agent"]

    assert (answer.interrupted, answer.audio_end_ms) == (False, None)
    assert (cut.text, cut.final, cut.interrupted, cut.audio_end_ms) == (ANSWER, True, True, 2_500)


def test_both_names_for_one_fact_are_one_entry() -> None:
    """A server that says everything in the words of v1 and of GA."""
    entries = told(
        (10, {"type": "conversation.input_transcript.delta", "delta": "turn it"}),
        (11, {"type": "conversation.item.input_audio_transcription.delta", "delta": "turn it", "item_id": "q"}),
        (20, {"type": "conversation.input_transcript.delta", "delta": " on"}),
        (21, {"type": "conversation.item.input_audio_transcription.delta", "delta": " on", "item_id": "q"}),
        (30, {"type": "conversation.input_transcript.turn_marked", "transcript": "Turn it on."}),
        (31, {"type": "conversation.item.input_audio_transcription.completed", "transcript": "Turn it on.",
              "item_id": "q"}),
        (40, {"type": "conversation.output_transcript.delta", "delta": "Sure"}),
        (41, {"type": "response.output_audio_transcript.delta", "delta": "Sure", "item_id": "a"}),
        (50, {"type": "response.output_audio_transcript.done", "transcript": "Sure.", "item_id": "a"}),
    )  # fmt: skip

    assert said(entries) == [("caller", "Turn it on."), ("agent", "Sure.")]
    assert [entry.item_id for entry in entries] == ["q", "a"]


def test_what_we_wrote_is_known_when_the_server_tells_of_it() -> None:
    """By its words, as they were sent: with the mark of v2, and in the place the server gave it."""
    scribe = TranscriptBuilder()
    text = "[USER] Be brief."
    content = [{"type": "input_text", "text": text}]
    note_sent(scribe, json.dumps({"type": "conversation.item.create", "item": {
        "type": "message", "role": "user", "content": content}}), 10)  # fmt: skip
    event = {"type": "conversation.item.added", "previous_item_id": None, "item": item("w", "user", *content)}
    for name in ("conversation.item.added", "conversation.item.done"):
        add_event(scribe, parse_event(json.dumps(event | {"type": name})), 30)

    (entry,) = scribe.entries
    assert (entry.text, entry.item_id, entry.written, entry.at_ms, entry.end_ms) == ("Be brief.", "w", True, 10, 10)


def test_words_that_were_missed_are_taken_from_their_item() -> None:
    """Where the pieces were sent while nobody listened (a sideband that was joined again)."""
    entries = told(
        (10, {"type": "conversation.item.done", "previous_item_id": None, "item": item(
            "q", "user", {"type": "input_audio", "transcript": QUESTION})}),
        (20, {"type": "response.done", "response": {"id": "r", "status": "completed", "output": [
            item("a", "assistant", {"type": "output_audio", "transcript": ANSWER})]}}),
    )  # fmt: skip

    assert said(entries) == [("caller", QUESTION), ("agent", ANSWER)]
    assert all(entry.final and not entry.written for entry in entries)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["q", "a", "r1", "user"]),
    lambda values: st.lists(values, max_size=2) | st.dictionaries(st.text(max_size=3), values, max_size=2),
    max_leaves=4,
)


@given(st.data(), st.lists(st.sampled_from(GA), min_size=1, max_size=12))
def test_odd_values_break_nothing(data: st.DataObject, happenings: list[Happening]) -> None:
    """Any field of any event may hold anything."""
    scribe = TranscriptBuilder()
    for at_ms, event in happenings:
        name = data.draw(st.sampled_from(sorted(event)))
        odd = event | {name: data.draw(JSON)}
        add_event(scribe, parse_event(json.dumps(odd)), at_ms)
        note_sent(scribe, json.dumps({"type": "conversation.item.create", **odd}), at_ms)
    entries = scribe.entries

    assert [entry.at_ms for entry in entries] == sorted(entry.at_ms for entry in entries)
    entries.as_text(), entries.as_json(), entries.as_webvtt()


@pytest.mark.parametrize(
    "frame",
    [
        "conversation.item.create", '{"type":"conversation.item.create"}', '["conversation.item.create"]',
        '{"type":"conversation.item.create","item":7}', '{"type":"other","item":"conversation.item.create"}',
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":7}}',
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[7]}}',
        '{"type":"conversation.item.create","item":{"type":"message","role":"user","content":[]}}', '[' * 100_000,
    ],
)  # fmt: skip
def test_odd_commands_break_nothing(frame: str) -> None:
    """`send_raw` sends what it is given."""
    scribe = TranscriptBuilder()
    note_sent(scribe, frame, 0)
    assert scribe.entries == ()
