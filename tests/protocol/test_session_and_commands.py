"""What a v1 call sends: session objects, commands, headers (protocol.md sections 1 and 6)."""

from __future__ import annotations

import json
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client import ConfigError
from rtc_client.protocol.headers import call_headers, user_agent, with_extra
from rtc_client.protocol.wire.codec import dump_command, dump_json
from rtc_client.protocol.wire.commands import CreateMessage, UpdateSession, check_text
from rtc_client.protocol.wire.session import SessionSettings, offered_session, updated_session

AUDIO = {"input": {"format": {"type": "audio/pcm", "rate": 24_000}}, "output": {"voice": "ember"}}
SETTINGS = SessionSettings(model="m-1", voice="ember", instructions="Be brief.")
SENDABLE = st.text(st.characters(exclude_categories=["Cs"]))


def test_offered_session_has_four_keys() -> None:
    """No id, no tools, no modalities, no turn detection."""
    expected = {"audio": AUDIO, "type": "quicksilver", "model": "m-1", "instructions": "Be brief."}

    assert offered_session(SETTINGS) == expected


def test_updated_session_names_no_model() -> None:
    """The first frame of a sideband says the same as the offer, without the model."""
    expected = {"type": "quicksilver", "instructions": "Be brief.", "audio": AUDIO}

    assert updated_session(SETTINGS) == expected
    assert json.loads(dump_command(UpdateSession(settings=SETTINGS))) == {"type": "session.update", "session": expected}


def test_defaults_are_those_of_the_dialect() -> None:
    """No setting given: the v1 model, the voice cove, and instructions that are there and empty."""
    session = offered_session(SessionSettings())

    assert (session["model"], session["instructions"]) == ("gpt-realtime-1.5", "")
    assert dump_json(session["audio"]).endswith('"output":{"voice":"cove"}}')


@pytest.mark.parametrize(
    ("role", "part"), [("user", "input_text"), ("developer", "input_text"), ("assistant", "output_text")]
)
def test_message_of_each_role(role: Literal["user", "developer", "assistant"], part: str) -> None:
    """User and developer say input_text, the assistant output_text; nothing is put before the text."""
    frame = dump_command(CreateMessage(text="hi", role=role))

    content = [{"type": part, "text": "hi"}]
    item = {"type": "message", "role": role, "content": content}
    assert json.loads(frame) == {"type": "conversation.item.create", "item": item}


def test_empty_text_is_sent() -> None:
    """An empty text is a message too."""
    assert '"text":""' in dump_command(CreateMessage(text=""))


@given(SENDABLE)
def test_text_arrives_as_it_was_written(text: str) -> None:
    """Compact JSON, its non-ASCII characters as they are, and the same text when read back."""
    frame = dump_command(CreateMessage(text=text))

    assert json.loads(frame)["item"]["content"][0]["text"] == text
    assert all(character in frame for character in text if character > "\x7f")
    assert " " not in frame.replace(json.dumps(text, ensure_ascii=False)[1:-1], "")


def test_lone_surrogate_is_refused_where_it_was_written() -> None:
    """What cannot be UTF-8 is refused when the command is made, and is not repeated."""
    with pytest.raises(ConfigError, match="the text of a message holds a lone surrogate"):
        CreateMessage(text="secret \ud800")
    with pytest.raises(ConfigError, match="the note"):
        check_text("the note", "\udfff")
    check_text("the note", "🎧")


def test_what_is_said_is_in_no_repr() -> None:
    """Instructions and texts stay out of logs."""
    assert "Be brief" not in repr(UpdateSession(settings=SETTINGS))
    assert "hello" not in repr(CreateMessage(text="hello"))


def test_headers_of_every_request() -> None:
    """Version, session id, key, and who calls, the last in our own name."""
    assert dict(call_headers("sk-1", "s-1")) == {
        "openai-alpha": "quicksilver=v1",
        "x-session-id": "s-1",
        "authorization": "Bearer sk-1",
        "originator": "rtc_client",
        "user-agent": user_agent(),
    }
    assert user_agent().startswith("rtc_client/")


def test_headers_of_the_user_replace_ours() -> None:
    """One of theirs takes the place of ours of the same name in any case; the others stay in order."""
    ours = [("a", "1"), ("b", "2"), ("c", "3")]

    assert with_extra(ours, {"B": "x", "d": "4"}) == [("a", "1"), ("c", "3"), ("B", "x"), ("d", "4")]
    assert with_extra(ours, {}) == ours


def test_a_v2_session_may_answer_in_text() -> None:
    """Nothing else of the session is different (protocol.md section 10)."""
    spoken = updated_session(SessionSettings(version="v2", voice="marin"))
    written = updated_session(SessionSettings(version="v2", voice="marin", output_modality="text"))

    assert written == spoken | {"output_modalities": ["text"]}
