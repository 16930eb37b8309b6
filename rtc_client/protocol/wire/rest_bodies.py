"""Bodies of the requests beside a call, checked, and what the server returns for a minted key. Pure.

Shapes are those of the GA API, as openai-python's `resources/realtime` has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from rtc_client.errors import ConfigError, ResponseInvalid
from rtc_client.protocol.wire.codec import dump_json, load_json
from rtc_client.protocol.wire.command_rules import check_session
from rtc_client.protocol.wire.model import JsonObject, to_json
from rtc_client.protocol.wire.sessions import RealtimeSession, TranscriptionSession

AnySession: TypeAlias = RealtimeSession | TranscriptionSession | Mapping[str, object]
"""A session as a value, which is checked in full, or as a JSON object, of which only the type is."""
ExpiryAnchor: TypeAlias = Literal["created_at"]
"""From when on the seconds of a key's life are counted; there is one such instant, its making."""

MIN_EXPIRY_S: Final = 10
MAX_EXPIRY_S: Final = 7_200
MIN_SIP_STATUS: Final = 400
MAX_SIP_STATUS: Final = 699
MAX_URI_CHARS: Final = 1_024

_KINDS_OF_SECRETS: Final = ("realtime", "transcription")
_KINDS_OF_CALLS: Final = ("realtime",)
_URI: Final = re.compile(r"(?:tel|sips?):[!-~]+", re.IGNORECASE)


def secret_body(session: AnySession | None, expires_after_s: int | None, anchor: ExpiryAnchor) -> bytes:
    """Return the body that mints an ephemeral key, for a realtime or a transcription session.

    Raises:
        ConfigError: The session is of another kind or no JSON, or the key's life is not 10 to 7200 whole seconds.
        InvalidCommand: Something in the session cannot work.
    """
    body: JsonObject = {}
    if expires_after_s is not None:
        if not _is_whole(expires_after_s, MIN_EXPIRY_S, MAX_EXPIRY_S):
            raise ConfigError(f"an ephemeral key lives {MIN_EXPIRY_S} to {MAX_EXPIRY_S} whole seconds")
        if anchor != "created_at":
            raise ConfigError("the life of an ephemeral key is counted from created_at, there is no other anchor")
        body["expires_after"] = {"anchor": anchor, "seconds": expires_after_s}
    if session is not None:
        body["session"] = _session(session, _KINDS_OF_SECRETS, "an ephemeral key is for")
    return _dumped(body)


def accept_body(session: AnySession) -> bytes:
    """Return the body that accepts an incoming SIP call, which is the session that is to handle it.

    Raises:
        ConfigError: The session is not a realtime one, or no JSON.
        InvalidCommand: Something in the session cannot work.
    """
    return _dumped(_session(session, _KINDS_OF_CALLS, "a SIP call is handled by"))


def reject_body(status_code: int | None) -> bytes:
    """Return the body that declines an incoming SIP call; without a status the service says 603.

    Raises:
        ConfigError: The status is none by which SIP refuses a call (RFC 3261 sections 21.4 to 21.6).
    """
    if status_code is None:
        return b"{}"
    if not _is_whole(status_code, MIN_SIP_STATUS, MAX_SIP_STATUS):
        raise ConfigError(
            f"a SIP call is declined with a status from {MIN_SIP_STATUS} to {MAX_SIP_STATUS}: 486 is busy, 603 declined"
        )
    return _dumped({"status_code": status_code})


def refer_body(target_uri: object) -> bytes:
    """Return the body that transfers a SIP call.

    Raises:
        ConfigError: The target is not a `tel:`, `sip:` or `sips:` URI.
    """
    if not isinstance(target_uri, str) or len(target_uri) > MAX_URI_CHARS or not _URI.fullmatch(target_uri):
        raise ConfigError("a call is referred to a URI such as tel:+14155550123 or sip:agent@example.com")
    return _dumped({"target_uri": target_uri})


def minted(text: str) -> tuple[str, float | None, JsonObject]:
    """Return value, expiry (seconds since the epoch, None if it is not told) and session of a minted key.

    Raises:
        ResponseInvalid: There is no value in it. What there is, is not repeated.
    """
    try:
        answer = load_json(text)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise ResponseInvalid("the service minted no ephemeral key: its answer is not a JSON object")
    value, expires_at, session = (answer.get(name) for name in ("value", "expires_at", "session"))
    if not isinstance(value, str):
        raise ResponseInvalid("the service minted no ephemeral key: its answer holds no value")
    is_number = isinstance(expires_at, int | float) and not isinstance(expires_at, bool)
    return value, expires_at if is_number else None, session if isinstance(session, dict) else {}


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _session(session: object, kinds: tuple[str, ...], what: str) -> JsonObject:
    value = session
    if isinstance(session, RealtimeSession | TranscriptionSession):
        session = to_json(session)
    if not isinstance(session, Mapping):
        raise ConfigError(
            f"a session is a RealtimeSession, a TranscriptionSession or a mapping, not {type(session).__name__}"
        )
    kind = session.get("type", "realtime")
    if kind not in kinds:
        named = repr(kind) if kind in ("quicksilver", *_KINDS_OF_SECRETS) else "of any other type"
        raise ConfigError(f"{what} a session of the type {' or '.join(kinds)}, not {named}")
    if isinstance(value, RealtimeSession | TranscriptionSession):
        check_session(value)
    return {"type": kind, **session}


def _dumped(body: JsonObject) -> bytes:
    try:
        return dump_json(body).encode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ConfigError("the session cannot be written as JSON: it holds something else than JSON has") from None
