"""The only place where wire names are mapped: texts to typed events, typed commands to texts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeAlias, TypeGuard

import msgspec

from rtc_client.errors import CommandFault, InvalidCommand
from rtc_client.protocol import events as ev
from rtc_client.protocol.commands import AppendAudio, Command, CreateMessage, UpdateSession
from rtc_client.protocol.model import JsonObject, Model, Tagged
from rtc_client.protocol.session import SessionSettings, updated_session
from rtc_client.protocol.session_models import RealtimeSession, TranscriptionSession

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
    """Return one text frame: compact JSON with non-ASCII unescaped (wire-protocol.md section 1.5).

    Raises:
        InvalidCommand: A field is not of its type, or holds what JSON cannot say.
    """
    match command:
        case UpdateSession(settings=SessionSettings()) | CreateMessage():
            return dump_json(command_json(command))
        case UpdateSession(settings=RealtimeSession() | TranscriptionSession() as session, event_id=event_id):
            return _dump_checked(_SessionUpdate(session=session, event_id=event_id))
        case AppendAudio():  # checked when it was made, and long
            return dump_json(command)
        case Tagged():
            return _dump_checked(command)
        case _:
            raise TypeError(f"not a command: {type(command).__name__}")


def dump_raw(value: Mapping[str, object] | str) -> tuple[str, JsonObject]:
    """Return one text frame for any client event, and the object that it is; a text stays as it was written.

    Raises:
        InvalidCommand: It is not a JSON object with a `type`.
    """
    try:
        text = value if isinstance(value, str) else dump_json(value)
        raw = load_json(text)
    except (ValueError, TypeError, RecursionError):
        text, raw = "", None
    if not isinstance(raw, dict) or not isinstance(raw.get("type"), str):
        raise InvalidCommand(CommandFault.NOT_JSON, "a client event is a JSON object with a type, which this is not")
    return text, raw


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
    """Return the JSON object that a command is on the wire (section 6); what is a list there may be a tuple here."""
    match command:
        case UpdateSession(settings=SessionSettings() as settings):
            return _named(command, {"type": "session.update", "session": updated_session(settings)})
        case CreateMessage(text=text, role=role):
            part = "output_text" if role == "assistant" else "input_text"
            message = {"type": "message", "role": role, "content": [{"type": part, "text": text}]}
            return _named(command, {"type": "conversation.item.create", "item": message})
        case UpdateSession(settings=RealtimeSession() | TranscriptionSession() as session, event_id=event_id):
            return _builtins(_SessionUpdate(session=session, event_id=event_id))
        case _:
            return _builtins(command)


def _builtins(model: Model) -> JsonObject:
    value: JsonObject = msgspec.to_builtins(model)
    return value


class _SessionUpdate(Tagged, frozen=True, kw_only=True, tag="session.update"):
    session: RealtimeSession | TranscriptionSession
    event_id: str | None = None


def _named(command: UpdateSession | CreateMessage, raw: JsonObject) -> JsonObject:
    return raw if command.event_id is None else raw | {"event_id": command.event_id}


def _dump_checked(command: Tagged) -> str:
    try:
        encoded = msgspec.json.encode(command)
        msgspec.json.decode(encoded, type=type(command))
    except msgspec.ValidationError as error:
        where = str(error).rpartition(" - at ")[2]
        raise InvalidCommand(
            CommandFault.SHAPE, f"a field of {command.type} is not of the type it must be: {where}"
        ) from None
    except (TypeError, ValueError, RecursionError):
        raise InvalidCommand(
            CommandFault.NOT_JSON, f"{command.type} holds a value that JSON cannot say, or a lone surrogate"
        ) from None
    return encoded.decode()


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
