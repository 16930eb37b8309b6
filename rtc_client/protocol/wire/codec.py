"""Parses texts into typed events, and dumps typed commands as texts, by one table of wire names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import msgspec
from msgspec.structs import force_setattr

from rtc_client.errors import CommandFault, InvalidCommand
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.commands import AppendAudio, Command, CreateMessage, UpdateSession
from rtc_client.protocol.wire.model import JsonObject, Model, Tagged, read
from rtc_client.protocol.wire.session import SessionSettings, updated_session
from rtc_client.protocol.wire.sessions import RealtimeSession, TranscriptionSession


def parse_event(text: str) -> ev.ServerEvent:
    """Return the event in one text frame; what cannot be understood becomes an `UnknownEvent`, never an exception.

    An optional field of an odd shape counts as absent (`raw` keeps it); only without a field that it must have is an
    event of a known name unknown.
    """
    try:
        value = load_json(text)
    except ValueError:
        return ev.UnknownEvent(type="", why="malformed JSON", raw=text)
    if not isinstance(value, dict):
        return ev.UnknownEvent(type="", why="not an object", raw=value)
    name = value.get("type")
    if not isinstance(name, str):
        return ev.UnknownEvent(type="", why="no type", raw=value)
    kind = _EVENTS.get(name)
    if kind is None:
        return ev.UnknownEvent(type=name, event_id=_text(value.get("event_id")), why="unknown type", raw=value)
    adapt = _ADAPTED.get(name)
    event = read(kind, value if adapt is None else adapt(value))
    if event is None:
        return ev.UnknownEvent(type=name, event_id=_text(value.get("event_id")), why="unexpected shape", raw=value)
    force_setattr(event, "raw", value)
    return event


def parse_binary(data: bytes) -> ev.UnknownEvent:
    """Return the event for a binary frame, which the API does not have."""
    return ev.UnknownEvent(type="", why="binary frame", raw=data)


def dump_event(event: ev.ServerEvent) -> str | bytes:
    """Return the frame that a parsed event came in: JSON equal to it, else its text, else its bytes."""
    raw = event.raw
    is_text = isinstance(event, ev.UnknownEvent) and event.why == "malformed JSON"
    if isinstance(raw, bytes) or (is_text and isinstance(raw, str)):
        return raw
    return dump_json(raw)


def dump_command(command: Command) -> str:
    """Return one text frame: compact JSON with non-ASCII unescaped (protocol.md section 1.5).

    Raises:
        InvalidCommand: A field is not of its type, or holds what JSON cannot say.
    """
    match command:
        case UpdateSession(settings=SessionSettings()) | CreateMessage():
            return _encoded(command_json(command)).decode()
        case UpdateSession(settings=RealtimeSession() | TranscriptionSession() as session, event_id=event_id):
            return _dump_checked(_SessionUpdate(session=session, event_id=event_id))
        case AppendAudio():  # checked when it was made, and long
            return _encoded(command).decode()
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
    encoded = _encoded(command)
    try:
        msgspec.json.decode(encoded, type=type(command))
    except msgspec.ValidationError as error:
        where = str(error).rpartition(" - at ")[2]
        text = f"a field of {command.type} is not of the type it must be: {where}"
        raise InvalidCommand(CommandFault.SHAPE, text) from None
    return encoded.decode()


def _encoded(value: object) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, RecursionError):
        text = "a command holds a value that JSON cannot say, or a lone surrogate, which is no text"
        raise InvalidCommand(CommandFault.NOT_JSON, text) from None


def _output_audio(raw: JsonObject) -> JsonObject:
    """Name the fields of v1's audio as we do: the server has two names for two of them (section 7)."""
    audio = raw["delta"] if isinstance(raw.get("delta"), str) else raw.get("data")
    channels = raw["channels"] if "channels" in raw else raw.get("num_channels")
    return raw | {"delta": audio, "channels": channels}


def _error(raw: JsonObject) -> JsonObject:
    """Name the fields of an error as we do: `message`, else `error.message`, else the whole error (section 7)."""
    error = raw.get("error")
    inner = error if isinstance(error, dict) else {}
    fields: JsonObject = {
        "type": raw["type"],
        "event_id": raw.get("event_id"),
        "code": inner["code"] if isinstance(inner.get("code"), str) else raw.get("code"),
        "error_type": inner.get("type"),
        "param": inner.get("param"),
        "client_event_id": inner.get("event_id"),
    }
    for message in (raw.get("message"), inner.get("message")):
        if isinstance(message, str):
            return fields | {"message": message}
    return fields if error is None else fields | {"message": dump_json(error)}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


_ADAPTED: Final[Mapping[str, Callable[[JsonObject], JsonObject]]] = {
    "conversation.output_audio.delta": _output_audio,
    "error": _error,
}
"""The events whose fields do not stand where their types have them."""

_EVENTS: Final[Mapping[str, type[ev.KnownEvent]]] = {
    "error": ev.ErrorEvent,
    "rate_limits.updated": ev.RateLimitsUpdated,
    "session.created": ev.SessionCreated,
    "session.updated": ev.SessionUpdated,
    # the conversation
    "conversation.created": ev.ConversationCreated,
    "conversation.item.created": ev.ItemCreated,
    "conversation.item.added": ev.ItemAdded,
    "conversation.item.done": ev.ItemDone,
    "conversation.item.retrieved": ev.ItemRetrieved,
    "conversation.item.deleted": ev.ItemDeleted,
    "conversation.item.truncated": ev.ItemTruncated,
    # the caller
    "conversation.item.input_audio_transcription.delta": ev.CallerTranscriptDelta,
    "conversation.item.input_audio_transcription.completed": ev.CallerTranscriptDone,
    "conversation.item.input_audio_transcription.segment": ev.CallerTranscriptSegment,
    "conversation.item.input_audio_transcription.failed": ev.CallerTranscriptFailed,
    "input_audio_buffer.committed": ev.InputAudioCommitted,
    "input_audio_buffer.cleared": ev.InputAudioCleared,
    "input_audio_buffer.speech_started": ev.SpeechStarted,
    "input_audio_buffer.speech_stopped": ev.SpeechStopped,
    "input_audio_buffer.timeout_triggered": ev.InputTimeoutTriggered,
    "input_audio_buffer.dtmf_event_received": ev.DtmfReceived,
    # the agent
    "output_audio_buffer.started": ev.OutputAudioStarted,
    "output_audio_buffer.stopped": ev.OutputAudioStopped,
    "output_audio_buffer.cleared": ev.OutputAudioCleared,
    "response.created": ev.ResponseCreated,
    "response.done": ev.ResponseDone,
    "response.cancelled": ev.ResponseCancelled,
    "response.output_item.added": ev.OutputItemAdded,
    "response.output_item.done": ev.OutputItemDone,
    "response.content_part.added": ev.ContentPartAdded,
    "response.content_part.done": ev.ContentPartDone,
    "response.output_text.delta": ev.AgentTranscriptDelta,
    "response.output_text.done": ev.AgentTextDone,
    "response.output_audio_transcript.delta": ev.AgentTranscriptDelta,
    "response.output_audio_transcript.done": ev.AgentTranscriptDone,
    "response.output_audio.delta": ev.ResponseAudioDelta,
    "response.output_audio.done": ev.ResponseAudioDone,
    "response.function_call_arguments.delta": ev.FunctionArgumentsDelta,
    "response.function_call_arguments.done": ev.FunctionArgumentsDone,
    "response.mcp_call_arguments.delta": ev.McpArgumentsDelta,
    "response.mcp_call_arguments.done": ev.McpArgumentsDone,
    "response.mcp_call.in_progress": ev.McpCallInProgress,
    "response.mcp_call.completed": ev.McpCallCompleted,
    "response.mcp_call.failed": ev.McpCallFailed,
    "mcp_list_tools.in_progress": ev.McpListToolsInProgress,
    "mcp_list_tools.completed": ev.McpListToolsCompleted,
    "mcp_list_tools.failed": ev.McpListToolsFailed,
    # realtime v1's own (protocol.md section 7)
    "conversation.input_transcript.delta": ev.CallerTranscriptDelta,
    "conversation.input_transcript.turn_marked": ev.CallerTranscriptDone,
    "conversation.input_transcript.done": ev.CallerTranscriptClosed,
    "conversation.output_transcript.delta": ev.AgentTranscriptDelta,
    "conversation.output_transcript.done": ev.AgentTranscriptClosed,
    "conversation.output_audio.delta": ev.OutputAudioDelta,
    "conversation.handoff.requested": ev.HandoffRequested,
}
"""Every name on the wire, and the type of its event."""
