"""What the protocol demands of a client, and where a request or frame falls short; pure.

Every rule names the section of the protocol notes it comes from. No violation holds a value the client sent: those
may be keys or speech.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from rtc_client.testing.events import JsonObject, parse_object
from rtc_client.testing.offers import PostedOffer
from rtc_client.testing.record import SeenRequest, Violation
from rtc_client.testing.sdp_text import OPUS_FMTP, media_sections
from rtc_client.testing.shapes import (
    COMMANDS,
    POSTED_SESSION,
    SESSION_UPDATE,
    has_repeated_key,
    is_compact,
    is_unescaped,
    misfits,
)

API_PREFIX: Final = "/v1"
BACKEND_PREFIX: Final = "/backend-api/codex"

_POST: Final = "1.1"
_POST_JSON: Final = "1.2"
_BASES: Final = "1.3"
_SIDEBAND: Final = "1.5"
_COMMANDS: Final = "6"

_AVAS: Final = [("intent", "quicksilver"), ("architecture", "avas")]
_IDENTITY: Final = ("x-session-id", "originator", "user-agent", "authorization")


def check_post(request: SeenRequest) -> list[Violation]:
    """Judge the request line and the headers of a POST."""
    found = _check_headers(request, _POST)
    names = [name for name, _ in request.query]
    if request.query[-2:] != _AVAS:
        found.append(Violation(_POST, "the query must end with intent=quicksilver&architecture=avas"))
    if any(names.count(name) > 1 for name, _ in _AVAS):
        found.append(Violation(_POST, "the query must name intent and architecture once"))
    if "application/sdp" not in (accept := request.header("accept") or "") and "*/*" not in accept:
        found.append(Violation(_POST, "the header accept must be there and allow application/sdp"))
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    if request.path.startswith(BACKEND_PREFIX):
        if kind != "application/json":
            found.append(Violation(_POST_JSON, "a base with /backend-api takes application/json"))
    elif kind != "multipart/form-data":
        found.append(Violation(_POST, "an API base takes multipart/form-data"))
    return found


def check_posted_offer(offer: PostedOffer) -> list[Violation]:
    """Judge the body of a POST: form, session and offer."""
    found = [Violation(_POST, text) for text in misfits(offer.session, POSTED_SESSION, "session")]
    found += _check_json_text(offer.json_text, "the session", _POST if offer.parts else _POST_JSON)
    if offer.parts:
        found += _check_parts(offer)
    else:
        whole = misfits(parse_object(offer.json_text), {"sdp": str, "session": dict}, "body")
        found += [Violation(_POST_JSON, text) for text in whole]
    return found + check_offer(offer.sdp)


def check_offer(sdp: str) -> list[Violation]:
    """Judge the offer: one audio m-line, sendrecv, Opus with its format parameters; a data channel is free."""
    sections = media_sections(sdp)
    audio = [section for section in sections if section.kind == "audio"]
    found: list[str] = []
    if len(audio) != 1:
        found.append(f"the offer must have one audio m-line, not {len(audio)}")
    if any(section.kind not in ("audio", "application") for section in sections):
        found.append("the offer must hold audio (and at most a data channel), nothing else")
    for section in audio[:1]:
        if section.direction != "sendrecv":
            found.append("the audio m-line must be sendrecv")
        if section.opus_payload_type is None:
            found.append("the audio m-line must offer opus/48000/2")
        elif not section.opus_parameters >= frozenset(OPUS_FMTP.split(";")):
            found.append(f"the format parameters of Opus must hold {OPUS_FMTP}")
    return [Violation(_POST, text) for text in found]


def check_handshake(handshake: SeenRequest, post: SeenRequest | None) -> list[Violation]:
    """Judge the request to join a sideband, against the POST of the same call (None if there is none)."""
    found = _check_headers(handshake, _SIDEBAND)
    names = [name for name, _ in handshake.query]
    if names.count("intent") != 1 or ("intent", "quicksilver") not in handshake.query:
        found.append(Violation(_SIDEBAND, "the query must hold intent=quicksilver once"))
    if names.count("call_id") != 1 or names[-1] != "call_id":
        found.append(Violation(_BASES, "the query must end with call_id, and name it once"))
    found += [
        Violation(_SIDEBAND, f"the query must not hold {name}") for name in ("model", "architecture") if name in names
    ]
    if handshake.header("sec-websocket-protocol") is not None:
        found.append(Violation(_SIDEBAND, "no subprotocol may be asked for"))
    if handshake.header("sec-websocket-extensions") is not None:
        found.append(Violation(_SIDEBAND, "no extension may be offered, permessage-deflate neither"))
    if post is not None:
        found += [
            Violation(_SIDEBAND, f"the header {name} must be the same as on the POST")
            for name in _IDENTITY
            if handshake.header(name) != post.header(name)
        ]
    return found


def check_first_frame(text: str, posted_session: JsonObject) -> list[Violation]:
    """Judge the first frame on a sideband: the session as posted, without its model."""
    frame = parse_object(text)
    if frame is None or frame.get("type") != "session.update":
        return [Violation(_SIDEBAND, "the first frame must be session.update")]
    found = [Violation(_SIDEBAND, text) for text in misfits(frame, SESSION_UPDATE, "session.update")]
    session = frame.get("session")
    if isinstance(session, dict):
        found += [
            Violation(_SIDEBAND, f"session.update.session.{key} must be the same as in the POST")
            for key in ("instructions", "audio")
            if key in session and session[key] != posted_session.get(key)
        ]
    return found + _check_json_text(text, "session.update", _SIDEBAND)


def check_later_frame(text: str) -> list[Violation]:
    """Judge a frame behind the first: only the client messages of section 6."""
    frame = parse_object(text)
    if frame is None:
        return [Violation(_COMMANDS, "a frame must be a JSON object")]
    kind = frame.get("type")
    shape = COMMANDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        return [Violation(_COMMANDS, "a client sends no message of this type")]
    found = [Violation(_COMMANDS, text) for text in misfits(frame, shape, str(kind))]
    if not found and kind == "conversation.item.create":
        found += _check_item(frame)
    if not found and kind == "input_audio_buffer.append" and not _is_base64(frame["audio"]):
        found.append(Violation(_COMMANDS, "input_audio_buffer.append.audio must be base64"))
    return found + _check_json_text(text, str(kind), _COMMANDS)


BINARY_FRAME: Final = Violation(_COMMANDS, "a client sends no binary frame")


def _check_headers(request: SeenRequest, section: str) -> list[Violation]:
    found: list[Violation] = []
    for name in ("openai-alpha", *_IDENTITY):
        values = request.header_values(name)
        if len(values) != 1 or not values[0]:
            found.append(Violation(section, f"the header {name} must be there, once, and not empty"))
    if request.header("openai-alpha") not in (None, "quicksilver=v1"):
        found.append(Violation(section, "the header openai-alpha must be quicksilver=v1"))
    authorization = request.header("authorization")
    if authorization and not re.fullmatch(r"Bearer \S+", authorization):
        found.append(Violation(section, "the header authorization must be Bearer and a key"))
    return found


def _check_parts(offer: PostedOffer) -> list[Violation]:
    found: list[str] = []
    if [part.name for part in offer.parts] != ["sdp", "session"]:
        found.append("the form must have the parts sdp and session, in this order, and no other")
    kinds = {"sdp": "application/sdp", "session": "application/json"}
    for part in offer.parts:
        if part.header("content-type") != kinds.get(part.name or "", ""):
            found.append(f"the content type of the part {part.name} is wrong")
        if "filename" in part.header("content-disposition"):
            found.append(f"the part {part.name} must have no filename")
    return [Violation(_POST, text) for text in found]


def _check_item(frame: JsonObject) -> list[Violation]:
    match frame:
        case {"item": {"role": "assistant", "content": [{"type": "input_text"}]}}:
            return [Violation(_COMMANDS, "an item of the role assistant holds output_text")]
        case {"item": {"role": "user" | "developer", "content": [{"type": "output_text"}]}}:
            return [Violation(_COMMANDS, "an item of the roles user and developer holds input_text")]
    return []


def _check_json_text(text: str, what: str, section: str) -> list[Violation]:
    found: list[str] = []
    if not is_compact(text):
        found.append(f"{what} must be compact JSON")
    if not is_unescaped(text):
        found.append(f"{what} must hold non-ASCII characters unescaped")
    if has_repeated_key(text):
        found.append(f"{what} must name each key once")
    return [Violation(section, text) for text in found]


def _is_base64(value: object) -> bool:
    try:
        base64.b64decode(str(value), validate=True)
    except binascii.Error:
        return False
    return True
