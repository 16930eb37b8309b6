"""The only place where wire names are mapped: texts to typed events, typed commands to texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard, assert_never

import msgspec

from rtc_client.protocol import events as ev
from rtc_client.protocol.commands import AppendHandoffOutput, Command, CreateMessage, UpdateSession
from rtc_client.protocol.session import JsonObject, updated_session

_Build: TypeAlias = Callable[[str, dict[str, Any]], ev.ServerEvent | None]

_U32: Final = 2**32
_U16: Final = 2**16


def parse_event(text: str) -> ev.ServerEvent:
    """Return the event in one text frame; what cannot be understood becomes an `UnknownEvent`, never an exception."""
    try:
        value = load_json(text)
    except ValueError:
        return ev.UnknownEvent(type="", why="malformed JSON", raw=text)
    if not isinstance(value, dict):
        return ev.UnknownEvent(type="", why="not an object", raw=value)
    name = value.get("type")
    if not isinstance(name, str):
        return ev.UnknownEvent(type="", why="no type", raw=value)
    build = _BUILDERS.get(name)
    if build is None:
        return ev.UnknownEvent(type=name, why="unknown type", raw=value)
    return build(name, value) or ev.UnknownEvent(type=name, why="unexpected shape", raw=value)


def parse_binary(data: bytes) -> ev.UnknownEvent:
    """Return the event for a binary frame, which realtime v1 does not have."""
    return ev.UnknownEvent(type="", why="binary frame", raw=data)


def dump_command(command: Command) -> str:
    """Return one text frame: compact JSON with non-ASCII unescaped (wire-protocol.md section 1.5)."""
    return dump_json(command_json(command))


def load_json(text: str) -> object:
    """Return the JSON value in `text`.

    Raises:
        ValueError: It is not JSON, or nested beyond reason.
    """
    try:
        return msgspec.json.decode(text)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def dump_json(value: object) -> str:
    """Return compact JSON with non-ASCII unescaped."""
    return msgspec.json.encode(value).decode()


def command_json(command: Command) -> JsonObject:
    """Return the JSON object that a command is on the wire (section 6)."""
    match command:
        case UpdateSession(settings=settings):
            return {"type": "session.update", "session": updated_session(settings)}
        case CreateMessage(text=text, role=role):
            part = "output_text" if role == "assistant" else "input_text"
            message = {"type": "message", "role": role, "content": [{"type": part, "text": text}]}
            return {"type": "conversation.item.create", "item": message}
        case AppendHandoffOutput(handoff_id=handoff_id, output_text=text):
            return {"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": text}
        case _:
            assert_never(command)


def _session_updated(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    session = raw.get("session")
    if isinstance(session, dict) and isinstance(session.get("id"), str):
        return ev.SessionUpdated(type=name, raw=raw, session_id=session["id"])
    return None


def _output_audio(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    audio = raw["delta"] if isinstance(raw.get("delta"), str) else raw.get("data")
    rate = raw.get("sample_rate")
    channels = raw["channels"] if "channels" in raw else raw.get("num_channels")
    per_channel = raw.get("samples_per_channel")
    if not isinstance(audio, str) or not _is_uint(rate, _U32) or not _is_uint(channels, _U16):
        return None
    return ev.OutputAudioDelta(
        type=name,
        raw=raw,
        audio_base64=audio,
        sample_rate_hz=rate,
        channels=channels,
        samples_per_channel=per_channel if _is_uint(per_channel, _U32) else None,
    )


def _caller_delta(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    delta = raw.get("delta")
    return ev.CallerTranscriptDelta(type=name, raw=raw, delta=delta) if isinstance(delta, str) else None


def _caller_done(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    text = raw.get("transcript")
    return ev.CallerTranscriptDone(type=name, raw=raw, transcript=text) if isinstance(text, str) else None


def _agent_delta(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    delta = raw.get("delta")
    return ev.AgentTranscriptDelta(type=name, raw=raw, delta=delta) if isinstance(delta, str) else None


def _agent_done(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    text = raw.get("transcript")
    return ev.AgentTranscriptDone(type=name, raw=raw, transcript=text) if isinstance(text, str) else None


def _item_added(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    return ev.ItemAdded(type=name, raw=raw, item=raw["item"]) if "item" in raw else None


def _item_done(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    item = raw.get("item")
    if isinstance(item, dict) and isinstance(item.get("id"), str):
        return ev.ItemDone(type=name, raw=raw, item_id=item["id"], item=item)
    return None


def _handoff(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    fields = (raw.get("handoff_id"), raw.get("item_id"), raw.get("input_transcript"))
    match fields:
        case (str(handoff_id), str(item_id), str(transcript)):
            return ev.HandoffRequested(
                type=name, raw=raw, handoff_id=handoff_id, item_id=item_id, input_transcript=transcript
            )
        case _:
            return None


def _error(name: str, raw: dict[str, Any]) -> ev.ServerEvent | None:
    error = raw.get("error")
    inner: Mapping[str, Any] = error if isinstance(error, dict) else {}
    message = raw.get("message")
    if not isinstance(message, str):
        message = inner.get("message")
    if not isinstance(message, str):
        if error is None:
            return None
        message = dump_json(error)
    return ev.ErrorEvent(
        type=name,
        raw=raw,
        message=message,
        code=_text(inner.get("code")) or _text(raw.get("code")),
        error_type=_text(inner.get("type")),
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _is_uint(value: object, limit: int) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit


_BUILDERS: Final[Mapping[str, _Build]] = {
    "session.updated": _session_updated,
    "conversation.output_audio.delta": _output_audio,
    "conversation.input_transcript.delta": _caller_delta,
    "conversation.item.input_audio_transcription.delta": _caller_delta,
    "conversation.input_transcript.turn_marked": _caller_done,
    "conversation.item.input_audio_transcription.completed": _caller_done,
    "conversation.output_transcript.delta": _agent_delta,
    "response.output_text.delta": _agent_delta,
    "response.output_audio_transcript.delta": _agent_delta,
    "response.output_audio_transcript.done": _agent_done,
    "conversation.item.added": _item_added,
    "conversation.item.done": _item_done,
    "conversation.handoff.requested": _handoff,
    "error": _error,
}
