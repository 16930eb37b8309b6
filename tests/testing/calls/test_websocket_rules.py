"""What the fake answerer finds wrong with a call over a websocket; with recorded ones nothing is."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from rtc_client.audio.frames import SILENCE
from rtc_client.clock import MonotonicClock
from rtc_client.testing.calls import websocket_rules as strict_direct
from rtc_client.testing.calls.websocket_media import AgentVoice
from rtc_client.testing.calls.websocket_rules import DirectJudge, check_handshake, is_websocket
from rtc_client.testing.wire.record import SeenRequest
from tests.wire.recordings import episode

RECORDINGS = ["m_ws_v1", "m_ws_v2_conversational", "m_ws_v2_transcription", "m_ws_v2_truncate_same_item"]


class SteppedClock(MonotonicClock):
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.at_s = 0.0

    def now_s(self) -> float:
        return self.at_s


class Bench:
    """A judge, and the voice it asks about."""

    def __init__(self, *, is_v1: bool = False) -> None:
        self.clock = SteppedClock()
        self.voice = AgentVoice(self.clock, is_v1=is_v1)
        self.judge = DirectJudge(self.voice, self.clock.now_s, is_v1=is_v1)

    def found(self, message: dict[str, Any]) -> list[str]:
        return [violation.message for violation in self.judge.later_frame(compact(message))]


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def seen(line: str, headers: list[list[str]]) -> SeenRequest:
    target = line.split(" ")[1]
    pairs = [(name, value) for name, value in headers]
    return SeenRequest(method="GET", target=target, headers=pairs, body=b"", at_s=0.0)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_call_has_nothing_wrong(name: str) -> None:
    """Handshake, session and texts of the reference client; where it truncates, what it was sent is known to us."""
    recorded = episode(name)
    request = seen(recorded.handshake["line"], recorded.handshake["headers"])
    bench = Bench(is_v1="v1" in name)
    bench.voice.sent_samples["item_b"] = 7_200
    for event in recorded.all("ws_text", direction="s2c"):
        bench.judge.sent(event["text"])
    first, *later = recorded.sent_frames

    assert is_websocket(request)
    assert check_handshake(request) == []
    assert bench.judge.first_message(first) == []
    # The sound of m_ws_v1 is three bytes, which is no sound: what the application above it was given.
    assert [v for text in later if '"AQID"' not in text for v in bench.judge.later_frame(text)] == []


@pytest.mark.parametrize(
    ("line", "change", "words"),
    [
        ("GET /v1/realtime?model=m HTTP/1.1", ("openai-alpha", "quicksilver=v1"), "openai-alpha must not be there"),
        ("GET /v1/realtime?model=m HTTP/1.1", ("sec-websocket-protocol", "realtime"), "no subprotocol"),
        ("GET /v1/realtime?model=m&model=n HTTP/1.1", None, "name the model once"),
        ("GET /v1/realtime?intent=quicksilver&model=m HTTP/1.1", None, "openai-alpha must be there"),
        ("GET /v1/realtime?model=m&architecture=avas HTTP/1.1", None, "architecture"),
    ],
)
def test_a_wrong_handshake_is_told(line: str, change: tuple[str, str] | None, words: str) -> None:
    """One sentence each, with the section."""
    headers = [*episode("m_ws_v2_transcription").handshake["headers"], *([list(change)] if change else [])]

    (violation,) = check_handshake(seen(line, headers))

    assert words in violation.message
    assert violation.section == "10"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("session", "type"), "quicksilver", "session.type"),
        (("session", "audio", "output", "voice"), "cove", "voice"),
        (("session", "audio", "input", "format", "rate"), 16_000, "rate"),
        (("session", "audio", "input", "turn_detection"), {"type": "server_vad"}, "turn_detection"),
        (("session", "output_modalities"), ["audio", "text"], "output_modalities"),
        (("session", "model"), "m", "must not have the key model"),
        (("session", "tools"), [{"type": "function"}], "tools"),
    ],
)
def test_a_wrong_session_is_told(path: tuple[str, ...], value: object, words: str) -> None:
    """Whatever of it is another than recorded; the tools may be others."""
    frame = json.loads(episode("m_ws_v2_conversational").sent_frames[0])
    inner = frame
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value

    found = Bench().judge.first_message(compact(frame))

    assert any(words in violation.message for violation in found)


@pytest.mark.parametrize("audio", ["%%%", "AAA", "AQID", 7, base64.b64encode(bytes(1002)).decode()])
def test_sound_that_is_none_is_told(audio: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """No base64, half a sample, no text, too much (with a limit that is less than 15 MiB)."""
    monkeypatch.setattr(strict_direct, "MAX_AUDIO_BYTES", 1_000)
    (message,) = Bench().found({"type": "input_audio_buffer.append", "audio": audio})

    assert message.startswith("input_audio_buffer.append.audio must")


def test_a_response_asked_for_while_one_is_active_is_told() -> None:
    """But not in the instant in which the client cannot have heard of it yet; the server says so as well."""
    bench = Bench()
    create = {"type": "response.create"}
    assert bench.found(create) == []
    bench.voice.speak(SILENCE)
    bench.clock.at_s = 0.1
    assert bench.found(create) == []
    bench.clock.at_s = 1.0

    (message,) = bench.found(create)

    assert "must wait" in message
    bench.voice.asked()
    errors = [event for event in bench.voice.due(1.0) if event["type"] == "error"]
    assert "active response" in str(errors)


def test_a_truncation_lies_within_what_was_sent() -> None:
    """To the millisecond; and names an item of which something was sent."""
    bench = Bench()
    bench.voice.sent_samples["item"] = 2_400
    truncation = {"type": "conversation.item.truncate", "item_id": "item", "content_index": 0, "audio_end_ms": 100}

    assert bench.found(truncation) == []
    assert "behind what was sent" in bench.found(truncation | {"audio_end_ms": 101})[0]
    assert "behind what was sent" in bench.found(truncation | {"audio_end_ms": -1})[0]
    assert "of which sound was sent" in bench.found(truncation | {"item_id": "other"})[0]


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ({"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]}, "[USER]"),
        ({"type": "function_call_output", "call_id": "nobody", "output": ""}, "must answer a function call"),
        ({"type": "message", "role": "assistant", "content": [{"type": "input_text", "text": "hi"}]}, "one text"),
    ],
)
def test_a_wrong_item_is_told(item: dict[str, Any], words: str) -> None:
    """A text that is not marked, an answer that nobody waits for, a role with another's kind of text."""
    (message,) = Bench().found({"type": "conversation.item.create", "item": item})

    assert words in message


def test_what_v1_alone_has_is_told() -> None:
    """A handoff's output is a message on v2."""
    (message,) = Bench().found({"type": "conversation.handoff.append", "handoff_id": "codex", "output_text": "x"})

    assert "no message of this type" in message
