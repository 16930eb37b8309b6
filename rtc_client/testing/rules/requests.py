"""What the protocol demands of a client's requests and messages, and where one falls short. Pure.

Every rule names the section of the protocol notes it comes from. No violation holds a value the client sent: those
may be keys or speech. The offer's SDP is judged in `offer_sdp.py`, repeated requests in `retries.py`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from typing import Final

from rtc_client.testing.rules.offer_sdp import check_offer
from rtc_client.testing.rules.rest import check_headers as check_rest_headers
from rtc_client.testing.wire.json_shapes import (
    COMMANDS,
    POSTED_SESSION,
    SESSION_UPDATE,
    VOICES,
    has_repeated_key,
    is_compact,
    is_unescaped,
    misfits,
)
from rtc_client.testing.wire.posted_offer import PostedOffer
from rtc_client.testing.wire.record import SeenRequest, Violation
from rtc_client.testing.wire.server_events import ANSWER_PREFIX, JsonObject, parse_object

API_PREFIX: Final = "/v1"
BACKEND_PREFIX: Final = "/backend-api/codex"

FIRST_FRAME_LIMIT_S: Final = 2.0
"""The reference client's first frame follows the handshake within 10 ms; this leaves room for a busy machine."""
MAX_OUTPUT_BYTES: Final = 4_000
"""1,000 "tokens" of 4 bytes, after the prefix; what is longer is cut in the middle, and the cut is marked."""
STANDALONE: Final = "codex"
"""The handoff id of output that answers no handoff."""

_ORDER: Final = "1"
_POST: Final = "1.1"
_POST_JSON: Final = "1.2"
_BASES: Final = "1.3"
_CALL_ID: Final = "1.4"
_SIDEBAND: Final = "1.5"
_REFUSED: Final = "2"
_COMMANDS: Final = "6"
_HANDOFFS: Final = "9"
_CLOSING: Final = "11"

_AVAS: Final = [("intent", "quicksilver"), ("architecture", "avas")]
_IDENTITY: Final = ("x-session-id", "originator", "user-agent", "authorization")
_PROVIDER_HEADER: Final = re.compile(r"x-.+|openai-.+|version|session-id|thread-id")
"""Names of headers that belong to the provider or the call, not to one request of it."""
_CUT: Final = re.compile(r"…\d+ tokens truncated…")
_CALL_ID_SEGMENT: Final = re.compile(r"rtc_.+|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")

BINARY_FRAME: Final = Violation(_COMMANDS, "a client sends no binary frame")
NOTHING_THERE: Final = Violation(_BASES, "a client sends no request to this path, or none by this method")
UNKNOWN_CALL: Final = Violation(_CALL_ID, "the call id must be that of a Location")
LATE_FIRST_FRAME: Final = Violation(
    _SIDEBAND, f"the first frame must follow the handshake at once, and within {FIRST_FRAME_LIMIT_S:g} s in any case"
)


def unreadable(request: SeenRequest, complaint: str) -> Violation:
    """Return what is wrong with a POST that holds no offer."""
    return Violation(_POST_JSON if request.path.startswith(BACKEND_PREFIX) else _POST, complaint)


def check_post(request: SeenRequest) -> list[Violation]:
    """Judge the request line and the headers of a POST."""
    found = check_headers(request, _POST)
    names = [name for name, _ in request.query]
    if request.query[-2:] != _AVAS:
        found.append(Violation(_POST, "the query must end with intent=quicksilver&architecture=avas"))
    if any(names.count(name) > 1 for name, _ in _AVAS):
        found.append(Violation(_POST, "the query must name intent and architecture once"))
    if "application/sdp" not in (accept := request.header("accept") or "") and "*/*" not in accept:
        found.append(Violation(_POST, "the header accept must be there and allow application/sdp"))
    if request.header_values("content-length") != [str(len(request.body))]:
        found.append(Violation(_POST, "the header content-length must be there and tell how long the body is"))
    if request.header("content-encoding") is not None:
        found.append(Violation(_POST, "the body must not be compressed"))
    kinds = request.header_values("content-type")
    kind = kinds[0].partition(";")[0].strip().lower() if len(kinds) == 1 else ""
    if request.path.startswith(BACKEND_PREFIX):
        if kind != "application/json":
            found.append(Violation(_POST_JSON, "a base with /backend-api takes application/json"))
    elif kind != "multipart/form-data":
        found.append(Violation(_POST, "an API base takes multipart/form-data"))
    return found


def check_posted_offer(offer: PostedOffer) -> list[Violation]:
    """Judge the body of a POST: form, session and offer."""
    found = [Violation(_POST, text) for text in misfits(offer.session, POSTED_SESSION, "session")]
    found += _check_voice(offer.session)
    if offer.session.get("model") == "":
        found.append(Violation(_POST, "session.model must not be empty"))
    found += _check_json_text(offer.json_text, "the session", _POST if offer.parts else _POST_JSON)
    if offer.parts:
        found += _check_parts(offer)
    else:
        whole = misfits(parse_object(offer.json_text), {"sdp": str, "session": dict}, "body")
        found += [Violation(_POST_JSON, text) for text in whole]
    return found + [Violation(_POST, text) for text in check_offer(offer.sdp)]


def check_handshake(
    handshake: SeenRequest, post: SeenRequest | None, *, is_key_refused: bool = False
) -> list[Violation]:
    """Judge the request to join a sideband, against the POST of the same call (None if there is none).

    Once the key of the POST was refused with 401, the others may carry another one.
    """
    found = check_headers(handshake, _SIDEBAND)
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
        found += _check_same_caller(handshake, post, _SIDEBAND, is_key_refused=is_key_refused)
        found += _check_provider_query(handshake, post)
    return found


def check_hangup(
    hangup: SeenRequest, post: SeenRequest, *, is_repeated: bool, is_key_refused: bool = False
) -> list[Violation]:
    """Judge the request that ends a call, against the POST that placed it.

    The reference client sends none (section 1, step 6). What is demanded is what holds for every request of a call:
    the same caller, at the same base, with the provider's query. One without both of the call's own headers,
    `openai-alpha` and `x-session-id`, comes from beside the call, and is judged as a request of the GA API.
    """
    if hangup.header("openai-alpha") is None and hangup.header("x-session-id") is None:
        found = check_rest_headers(hangup)
    else:
        found = check_headers(hangup, _POST) + _check_same_caller(hangup, post, _POST, is_key_refused=is_key_refused)
    if not hangup.path.startswith(f"{post.path}/"):
        found.append(Violation(_BASES, "a call is hung up at the base where it was placed"))
    found += _check_provider_query(hangup, post)
    if is_repeated:
        found.append(Violation(_ORDER, "a call is hung up once"))
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


def check_later_frame(text: str, requested_handoffs: Collection[str] = ()) -> list[Violation]:
    """Judge a message after the first: only the client messages of section 6, and only to handoffs of this call."""
    frame = parse_object(text)
    if frame is None:
        return [Violation(_COMMANDS, "a frame must be a JSON object")]
    kind = frame.get("type")
    shape = COMMANDS.get(kind) if isinstance(kind, str) else None
    if shape is None:
        return [Violation(_COMMANDS, "a client sends no message of this type")]
    found = [Violation(_COMMANDS, text) for text in misfits(frame, shape, str(kind))]
    if not found:
        found += _check_item(frame) + _check_audio(frame) + _check_handoff(frame, requested_handoffs)
    return found + _check_json_text(text, str(kind), _COMMANDS)


def check_close_code(code: int | None) -> list[Violation]:
    """Judge how a client ended its sideband: None is a bare TCP close, 1005 a close frame without a code.

    A code for a failure (1002 and above) is a websocket's own matter (RFC 6455 section 7.4.1).
    """
    if code in (1001, 1005):
        return [Violation(_CLOSING, "a client ends its sideband by closing TCP, or by a close frame 1000")]
    return []


def call_id_of(location: str) -> str | None:
    """Return the call id in a Location (section 1.4): of its segments the last that is `rtc_` and more, or a UUID."""
    segments = location.partition("?")[0].split("/")
    return next((segment for segment in reversed(segments) if _CALL_ID_SEGMENT.fullmatch(segment)), None)


def check_headers(request: SeenRequest, section: str, *, is_v1: bool = True) -> list[Violation]:
    """Judge the headers that say who calls, and in which dialect: v2 has no `openai-alpha` (section 10)."""
    found: list[Violation] = []
    if not is_v1 and request.header("openai-alpha") is not None:
        found.append(Violation(section, "the header openai-alpha must not be there"))
    for name in (*(["openai-alpha"] if is_v1 else []), *_IDENTITY):
        values = request.header_values(name)
        if len(values) != 1 or not values[0]:
            found.append(Violation(section, f"the header {name} must be there, once, and not empty"))
    if is_v1 and request.header("openai-alpha") not in (None, "quicksilver=v1"):
        found.append(Violation(section, "the header openai-alpha must be quicksilver=v1"))
    authorization = request.header("authorization")
    if authorization and not re.fullmatch(r"Bearer \S+", authorization):
        found.append(Violation(section, "the header authorization must be Bearer and a key"))
    agent = request.header("user-agent")
    if agent and not re.match(r"[^\s/]+/[^\s/]+", agent):
        found.append(Violation(section, "the header user-agent must begin with a name, a slash and a version"))
    if request.http_version != "1.1":
        found.append(Violation(section, "the request must be HTTP/1.1"))
    return found


def _check_same_caller(
    request: SeenRequest, post: SeenRequest, section: str, *, is_key_refused: bool
) -> list[Violation]:
    found = [
        Violation(section, f"the header {name} must be the same as on the POST")
        for name in _IDENTITY
        if request.header(name) != post.header(name) and not (name == "authorization" and is_key_refused)
    ]
    names = dict.fromkeys(name.lower() for name, _ in post.headers)
    provider = [name for name in names if _PROVIDER_HEADER.fullmatch(name) and name not in (*_IDENTITY, "openai-alpha")]
    if any(request.header_values(name) != post.header_values(name) for name in provider):
        found.append(Violation(_BASES, "the provider's headers must be the same as on the POST"))
    return found


def _check_provider_query(request: SeenRequest, post: SeenRequest) -> list[Violation]:
    """Judge whether the provider's pairs, which stand before the pair of the POST, are there as well."""
    provider = [pair for pair in post.query if pair not in _AVAS]
    ours = [pair for pair in request.query if pair in provider]
    if ours != provider:
        return [Violation(_BASES, "the provider's query must be there, as on the POST")]
    names = [name for name, _ in request.query]
    if "intent" in names:
        between = request.query[names.index("intent") + 1 : -1]
        if any(pair not in post.query for pair in between if pair[0] not in ("model", "architecture", "call_id")):
            return [Violation(_BASES, "between intent and call_id stands the provider's query, as on the POST")]
    return []


def _check_voice(session: JsonObject) -> list[Violation]:
    match session:
        case {"audio": {"output": {"voice": str() as voice}}} if voice not in VOICES:
            return [Violation(_REFUSED, f"session.audio.output.voice must be one of {', '.join(sorted(VOICES))}")]
    return []


def _check_parts(offer: PostedOffer) -> list[Violation]:
    found: list[str] = []
    if [part.name for part in offer.parts] != ["sdp", "session"]:
        found.append("the form must have the parts sdp and session, in this order, and no other")
    kinds = {"sdp": "application/sdp", "session": "application/json"}
    for part in offer.parts:
        if part.name in kinds and part.header("content-type") != kinds[part.name]:
            found.append(f"the content type of the part {part.name} must be {kinds[part.name]}")
        if "filename" in part.header("content-disposition"):
            found.append("the parts of the form must have no filename")
    if not found and not offer.is_framed_exactly:
        found.append("the form must be framed as the notes show it, to the byte: CRLF, two headers a part, no more")
    return [Violation(_POST, text) for text in found]


def _check_item(frame: JsonObject) -> list[Violation]:
    match frame:
        case {"item": {"role": "assistant", "content": [{"type": "input_text"}]}}:
            return [Violation(_COMMANDS, "an item of the role assistant holds output_text")]
        case {"item": {"role": "user" | "developer", "content": [{"type": "output_text"}]}}:
            return [Violation(_COMMANDS, "an item of the roles user and developer holds input_text")]
    return []


def _check_audio(frame: JsonObject) -> list[Violation]:
    if frame["type"] != "input_audio_buffer.append":
        return []
    try:
        base64.b64decode(str(frame["audio"]), validate=True)
    except (binascii.Error, ValueError):
        return [Violation(_COMMANDS, "input_audio_buffer.append.audio must be base64")]
    return []


def _check_handoff(frame: JsonObject, requested: Collection[str]) -> list[Violation]:
    if frame["type"] != "conversation.handoff.append":
        return []
    found: list[Violation] = []
    if (handoff_id := frame["handoff_id"]) != STANDALONE and handoff_id not in requested:
        found.append(
            Violation(_HANDOFFS, f"a handoff_id must be one that was requested in this call, or {STANDALONE!r}")
        )
    output = _CUT.sub("", str(frame["output_text"]).removeprefix(ANSWER_PREFIX), count=1)
    if len(output.encode()) > MAX_OUTPUT_BYTES:
        found.append(Violation(_HANDOFFS, f"an output_text of more than {MAX_OUTPUT_BYTES} bytes is cut in the middle"))
    return found


def _check_json_text(text: str, what: str, section: str) -> list[Violation]:
    found: list[str] = []
    if not is_compact(text):
        found.append(f"{what} must be compact JSON")
    if not is_unescaped(text):
        found.append(f"{what} must hold non-ASCII characters unescaped")
    if has_repeated_key(text):
        found.append(f"{what} must name each key once")
    return [Violation(section, text) for text in found]
