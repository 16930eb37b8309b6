"""What faults do, as values: to an offer, to a handshake, to a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from rtc_client.testing.wire.server_events import JsonObject

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status instead of doing what was asked."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """Do what was asked, but answer only after so many seconds; `math.inf` for never."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the TCP connection without an answer."""


@dataclass(frozen=True, slots=True)
class ChangeLocation:
    """Answer the offer with another Location (`{call_id}` in it is replaced), or none."""

    location: str | None


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """Answer the offer with another body, content type or status."""

    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class ChangeSdp:
    """Answer the offer with the answer changed; a mute answerer sends no datagram either."""

    change: Callable[[str], str]
    is_mute: bool = False


PostFault: TypeAlias = Refuse | Hold | Drop | ChangeLocation | ChangeAnswer | ChangeSdp
SidebandFault: TypeAlias = Refuse | Hold | Drop
RestFault: TypeAlias = Refuse | Hold | Drop


@dataclass(frozen=True, slots=True)
class BlockDtls:
    """Let no DTLS through, either way."""


@dataclass(frozen=True, slots=True)
class StopAudio:
    """Send no RTP: for so many seconds after media connected, or as long as it lasts (None)."""

    for_s: float | None = None


@dataclass(frozen=True, slots=True)
class Vanish:
    """Let no datagram through, either way."""


@dataclass(frozen=True, slots=True)
class LoseSideband:
    """Break the sideband, by close frame or without (None), so many events after it was joined; so many times."""

    code: int | None
    after_events: int
    times: int


@dataclass(frozen=True, slots=True)
class SendError:
    """Send an error event, once in each call."""

    event: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class ExpireSession:
    """Say that the session has expired, so long after the answer, and end the call."""

    after_s: float


Spoiling: TypeAlias = Literal["duplicate", "reorder", "malformed", "unknown", "binary", "huge"]


@dataclass(frozen=True, slots=True)
class SpoilEvents:
    """Do this to every event that is sent; `number` is the one number it needs."""

    how: Spoiling
    number: int = 0


CallFault: TypeAlias = BlockDtls | StopAudio | Vanish | LoseSideband | SendError | ExpireSession | SpoilEvents


def _coded(kind: str, code: str, message: str) -> JsonObject:
    return {"type": "error", "error": {"type": kind, "code": code, "message": message}}


ERRORS: Final[Mapping[str, JsonObject]] = {
    # The shapes of section 7.
    "flat": {"type": "error", "message": "flat boom"},
    "string": {"type": "error", "error": "string boom"},
    "empty": {"type": "error"},
    # The codes that servers send, as far as they are public.
    "invalid_request": _coded("invalid_request_error", "invalid_value", "The value is not valid."),
    "server_error": _coded("server_error", "server_error", "The server had an error."),
    "rate_limit": _coded("rate_limit_error", "rate_limit_exceeded", "Too many requests."),
    "active_response": _coded(
        "invalid_request_error",
        "conversation_already_has_active_response",
        "Conversation already has an active response in progress.",
    ),
    "session_expired": _coded("invalid_request_error", "session_expired", "The session is too old."),
    "invalid_api_key": _coded("authentication_error", "invalid_api_key", "The key is not valid."),
    "insufficient_quota": _coded("insufficient_quota", "insufficient_quota", "The quota is used up."),
    "call_not_found": _coded("invalid_request_error", "call_not_found", "There is no such call."),
}
"""The error events that `Faults.error_event` can send, by name."""
