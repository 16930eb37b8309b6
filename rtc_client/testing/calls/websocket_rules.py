"""What the protocol demands of a call over a websocket (section 10), and where a client falls short. Pure.

No violation holds a value the client sent. What holds on every path is `testing/rules/requests.py`'s.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Final

from rtc_client.testing.calls.websocket_media import AgentVoice
from rtc_client.testing.rules import requests as strict
from rtc_client.testing.wire.json_shapes import (
    SESSION_UPDATE,
    VOICES,
    Shape,
    has_repeated_key,
    is_compact,
    is_unescaped,
    misfits,
)
from rtc_client.testing.wire.record import SeenRequest, Violation
from rtc_client.testing.wire.server_events import JsonObject, parse_object, requested_handoff

MAX_AUDIO_BYTES: Final = 15 * 1024 * 1024
IN_FLIGHT_S: Final = 0.25
"""A response may have begun for so long without the client having heard of it."""
V2_VOICES: Final = frozenset({"alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar"})

_DIRECT: Final = "10"
_SAMPLES_A_MS: Final = 24
_PCM: Final[Shape] = {"type": "audio/pcm", "rate": 24_000}
_TRANSCRIPTION: Final[Shape] = {
    "type": "transcription",
    "audio": {"input": {"format": _PCM, "transcription": {"model": str}}},
}
_CONVERSATION: Final[Shape] = {
    "type": "realtime",
    "instructions": str,
    "output_modalities": [frozenset({"audio", "text"})],
    "audio": {
        "input": {
            "format": _PCM,
            "noise_reduction": {"type": "near_field"},
            "transcription": {"model": str},
            "turn_detection": dict,
        },
        "output": {"format": _PCM, "voice": V2_VOICES},
    },
    "tools": list,
    "tool_choice": "auto",
}
_TURN_DETECTION: Final = {
    "type": "server_vad",
    "interrupt_response": True,
    "create_response": True,
    "silence_duration_ms": 500,
}
_MARKED: Final = re.compile(r"\[(USER|BACKEND)\] ")
_V2_COMMANDS: Final = frozenset(
    {
        "session.update", "input_audio_buffer.append", "input_audio_buffer.commit", "input_audio_buffer.clear",
        "conversation.item.create", "conversation.item.truncate", "conversation.item.delete",
        "conversation.item.retrieve", "response.create", "response.cancel",
    }
)  # fmt: skip


def is_websocket(request: SeenRequest) -> bool:
    """Return whether a handshake is a call by itself: it names a model, and no call."""
    names = [name for name, _ in request.query]
    return "model" in names and "call_id" not in names


def is_v1(request: SeenRequest) -> bool:
    """Return whether such a handshake is of realtime v1."""
    return ("intent", "quicksilver") in request.query


def check_handshake(request: SeenRequest) -> list[Violation]:
    """Judge the request that places a call."""
    found = strict.check_headers(request, _DIRECT, is_v1=is_v1(request))
    names = [name for name, _ in request.query]
    if names.count("model") != 1:
        found.append(Violation(_DIRECT, "the query must name the model once"))
    if is_v1(request) and names[:2] != ["intent", "model"] and names.count("intent") != 1:
        found.append(Violation(_DIRECT, "the query must hold intent=quicksilver once"))
    if "architecture" in names:
        found.append(Violation(_DIRECT, "the query must not hold architecture"))
    for header, what in (("sec-websocket-protocol", "subprotocol"), ("sec-websocket-extensions", "extension")):
        if request.header(header) is not None:
            found.append(Violation(_DIRECT, f"no {what} may be asked for"))
    return found


class DirectJudge:
    """Judges the frames of one call over a websocket."""

    def __init__(
        self,
        voice: AgentVoice,
        now_s: Callable[[], float],
        *,
        is_v1: bool,
        lost_s: Callable[[float, float], float] = lambda since_s, until_s: 0.0,
    ) -> None:
        """`lost_s` tells how long the answerer's loop stood still between two times."""
        self._voice, self._now_s, self._is_v1, self._lost_s = voice, now_s, is_v1, lost_s
        self._function_calls: set[str] = set()
        self._handoffs: set[str] = set()
        self.is_transcription = False
        """Whether the session is one that only writes down."""

    def sent(self, frame: str) -> None:
        """Take note of a frame that was sent to the client."""
        if (handoff_id := requested_handoff(frame)) is not None:
            self._handoffs.add(handoff_id)
        if "function_call" in frame:
            match parse_object(frame):
                case {
                    "type": "conversation.item.done" | "response.output_item.done",
                    "item": {"type": "function_call", "call_id": str(call_id)},
                }:
                    self._function_calls.add(call_id)
                case {"type": "response.function_call_arguments.done", "call_id": str(call_id)}:
                    self._function_calls.add(call_id)
                case _:
                    pass

    def first_message(self, text: str) -> list[Violation]:
        """Judge the first frame: the session."""
        frame = parse_object(text)
        if frame is None or frame.get("type") != "session.update":
            return [Violation(_DIRECT, "the first frame must be session.update")]
        session = frame.get("session")
        kind = session.get("type") if isinstance(session, dict) else None
        self.is_transcription = kind == "transcription"
        if self._is_v1:
            found = misfits(frame, SESSION_UPDATE, "session.update")
            found += _wrong_voice(session)
        else:
            shape = _TRANSCRIPTION if self.is_transcription else _CONVERSATION
            found = misfits(frame, {"type": "session.update", "session": shape}, "session.update")
            if not found and not self.is_transcription:
                found = _wrong_turns(session)
        return [Violation(_DIRECT, text) for text in found + _wrong_json(text, "session.update")]

    def later_frame(self, text: str) -> list[Violation]:
        """Judge a message after the first."""
        if self._is_v1:
            return strict.check_later_frame(text, self._handoffs)
        frame = parse_object(text)
        if frame is None:
            return [Violation(_DIRECT, "a frame must be a JSON object")]
        kind = frame.get("type")
        if kind not in _V2_COMMANDS:
            return [Violation(_DIRECT, "a client sends no message of this type")]
        match frame:
            case {"type": "input_audio_buffer.append"}:
                found = _wrong_audio(frame.get("audio"))
            case {"type": "response.create"}:
                found = self._wrong_request()
            case {"type": "conversation.item.truncate"}:
                found = self._wrong_truncation(frame)
            case {"type": "conversation.item.create"}:
                found = self._wrong_item(frame.get("item"))
            case _:
                found = []
        return [Violation(_DIRECT, text) for text in found + _wrong_json(text, str(kind))]

    def _wrong_request(self) -> list[str]:
        if self.is_transcription:
            return ["a transcription has no responses"]
        since_s, now_s = self._voice.active_since_s, self._now_s()
        if since_s is not None and now_s - since_s - self._lost_s(since_s, now_s) > IN_FLIGHT_S:
            return ["response.create must wait until the response before it is over"]
        return []

    def _wrong_truncation(self, frame: JsonObject) -> list[str]:
        shape: Shape = {"type": str, "item_id": str, "content_index": int, "audio_end_ms": int}
        if found := misfits(frame, shape, "conversation.item.truncate"):
            return found
        n_samples = self._voice.sent_samples.get(str(frame["item_id"]))
        if n_samples is None:
            return ["conversation.item.truncate must name an item of which sound was sent"]
        end_ms = frame["audio_end_ms"]
        if not isinstance(end_ms, int) or not 0 <= end_ms <= n_samples / _SAMPLES_A_MS:
            return ["conversation.item.truncate must not end behind what was sent"]
        return []

    def _wrong_item(self, item: object) -> list[str]:
        match item:
            case {"type": "function_call_output", "call_id": call_id, "output": str()}:
                return [] if call_id in self._function_calls else ["a function_call_output must answer a function call"]
            case {"type": "message", "role": "user", "content": [{"type": "input_text", "text": str(text)}]}:
                return [] if _MARKED.match(text) else ["a user's text must begin with [USER] , or with [BACKEND] "]
            case {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": str()}]}:
                return []
            case {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": str()}]}:
                return []
            case _:
                return ["conversation.item.create must hold a message of one text, or a function_call_output"]


def _wrong_voice(session: object) -> list[str]:
    match session:
        case {"audio": {"output": {"voice": str(voice)}}} if voice not in VOICES:
            return [f"session.audio.output.voice must be one of {', '.join(sorted(VOICES))}"]
    return []


def _wrong_turns(session: object) -> list[str]:
    match session:
        case {"audio": {"input": {"turn_detection": dict(turns)}}, "tools": list(tools)}:
            wrong = (
                []
                if turns == _TURN_DETECTION
                else ["session.audio.input.turn_detection is another than section 10 has"]
            )
            named = all(
                isinstance(tool, dict) and tool.get("type") == "function" and tool.get("name") for tool in tools
            )
            return wrong if named else [*wrong, "session.tools must be functions with names"]
    return []


def _wrong_audio(audio: object) -> list[str]:
    try:
        pcm = base64.b64decode(audio, validate=True) if isinstance(audio, str) else b"\0"
    except (binascii.Error, ValueError):
        return ["input_audio_buffer.append.audio must be base64"]
    if not isinstance(audio, str) or len(pcm) % 2:
        return ["input_audio_buffer.append.audio must hold whole samples of 16 bits"]
    return [] if len(pcm) <= MAX_AUDIO_BYTES else ["input_audio_buffer.append.audio must hold 15 MiB at most"]


def _wrong_json(text: str, what: str) -> list[str]:
    found = [] if is_compact(text) else [f"{what} must be compact JSON"]
    found += [] if is_unescaped(text) else [f"{what} must hold non-ASCII characters unescaped"]
    return [*found, f"{what} must name each key once"] if has_repeated_key(text) else found
