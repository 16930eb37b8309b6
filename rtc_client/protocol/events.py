"""One frozen type per server event of realtime v1, each with a raw view; no JSON is read here.

Two families share a type when the server has two names for one fact (wire-protocol.md section 7). Anything
else that arrives becomes an `UnknownEvent`, which keeps what was on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

RawEvent: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Event:
    type: str
    """The name on the wire."""
    raw: RawEvent = field(repr=False)
    """The whole event as it was on the wire."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUpdated(_Event):
    """The server took over session settings."""

    session_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputAudioDelta(_Event):
    """Agent audio beside the media path; a WebRTC call hears it by RTP instead."""

    audio_base64: str = field(repr=False)
    sample_rate_hz: int
    channels: int
    samples_per_channel: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerTranscriptDelta(_Event):
    """A piece of what the caller said."""

    delta: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class CallerTranscriptDone(_Event):
    """The settled text of what the caller said in one turn."""

    transcript: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTranscriptDelta(_Event):
    """A piece of what the agent says."""

    delta: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTranscriptDone(_Event):
    """The settled text of what the agent said in one turn."""

    transcript: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemAdded(_Event):
    """An item joined the conversation; `item` may be any JSON."""

    item: object = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemDone(_Event):
    """An item of the conversation is complete."""

    item_id: str
    item: RawEvent = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffRequested(_Event):
    """The agent asks us to do something for it (delegation, section 9)."""

    handoff_id: str
    item_id: str
    input_transcript: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorEvent(_Event):
    """The server reports an error; only a few codes end the call, see `fatal_reason`."""

    message: str = field(repr=False)
    code: str | None
    error_type: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnknownEvent:
    """A frame that is none of the above, kept whole and counted, never fatal."""

    type: str
    """The name on the wire; empty when there is none to be had."""
    why: Literal["unknown type", "unexpected shape", "no type", "not an object", "malformed JSON", "binary frame"]
    raw: object = field(repr=False)
    """The JSON value, else the text, else the bytes of the frame."""


ServerEvent: TypeAlias = (
    SessionUpdated
    | OutputAudioDelta
    | CallerTranscriptDelta
    | CallerTranscriptDone
    | AgentTranscriptDelta
    | AgentTranscriptDone
    | ItemAdded
    | ItemDone
    | HandoffRequested
    | ErrorEvent
    | UnknownEvent
)

_FATAL: Final[Mapping[str, str]] = {
    "session_expired": "session expired",
    "authentication_error": "authentication failed",
    "invalid_authentication": "authentication failed",
    "invalid_api_key": "authentication failed",
    "insufficient_quota": "insufficient quota",
    "call_not_found": "call not found",
    "call_id_not_found": "call not found",
}


def fatal_reason(event: ErrorEvent) -> str | None:
    """Return why this error ends the call, None when the call goes on (the rule; the reference client ends on all)."""
    return _FATAL.get(event.code or "") or _FATAL.get(event.error_type or "")
