"""What requests beside a call must be: hang-up, accept, reject, refer, client secrets of the GA API. Pure.

The protocol notes have nothing about them, so their section is called REST; no violation holds a value of the client.
"""

from __future__ import annotations

import re
from typing import Final

from rtc_client.testing.wire.record import SeenRequest, Violation
from rtc_client.testing.wire.server_events import JsonObject, parse_object

SECTION: Final = "REST"
MIN_LIFE_S: Final = 10
MAX_LIFE_S: Final = 7_200

_BODIES: Final[dict[str, frozenset[str]]] = {
    "client_secrets": frozenset({"expires_after", "session"}),
    "reject": frozenset({"status_code"}),
    "refer": frozenset({"target_uri"}),
}
_URI: Final = re.compile(r"(?:tel|sips?):[!-~]+", re.IGNORECASE)


def check_headers(request: SeenRequest) -> list[Violation]:
    """Judge the headers that every request beside a call has."""
    found: list[str] = []
    keys = request.header_values("authorization")
    if len(keys) != 1 or not re.fullmatch(r"Bearer \S+", keys[0]):
        found.append("the header authorization must be there, once: Bearer and a key")
    if request.header_values("content-length") != [str(len(request.body))]:
        found.append("the header content-length must be there and tell how long the body is")
    if request.header("openai-alpha") is not None:
        found.append("a request beside a call is of no dialect: it has no openai-alpha")
    if request.http_version != "1.1":
        found.append("the request must be HTTP/1.1")
    return [Violation(SECTION, text) for text in found]


def read_body(request: SeenRequest, verb: str) -> tuple[JsonObject, list[Violation]]:
    """Return the JSON object in the body of `verb`, and what is wrong with it; if something is, nothing can be done."""
    kind = (request.header("content-type") or "").partition(";")[0].strip().lower()
    try:
        body = parse_object(request.body.decode())
    except UnicodeDecodeError:
        body = None
    if kind != "application/json" or body is None:
        return {}, [Violation(SECTION, "the body must be a JSON object, of the type application/json")]
    known = _BODIES.get(verb)
    found = [] if known is None or body.keys() <= known else [f"the body of {verb} has {', '.join(sorted(known))} only"]
    match verb:
        case "client_secrets":
            found += _check_life(body.get("expires_after", {"anchor": "created_at", "seconds": MIN_LIFE_S}))
            found += _check_session(body.get("session", {"type": "realtime"}), ("realtime", "transcription"))
        case "accept":
            found += _check_session(body, ("realtime",))
        case "reject":
            status = body.get("status_code", 603)
            if type(status) is not int or not 400 <= status <= 699:
                found.append("status_code must be a SIP status from 400 to 699")
        case "refer":
            target = body.get("target_uri")
            if not isinstance(target, str) or not _URI.fullmatch(target):
                found.append("target_uri must be a tel:, sip: or sips: URI")
    return body, [Violation(SECTION, text) for text in found]


def _check_life(life: object) -> list[str]:
    match life:
        case {"anchor": "created_at", "seconds": int() as seconds, **rest} if not rest and type(seconds) is int:
            if MIN_LIFE_S <= seconds <= MAX_LIFE_S:
                return []
    return [f"expires_after must hold the anchor created_at and {MIN_LIFE_S} to {MAX_LIFE_S} seconds"]


def _check_session(session: object, kinds: tuple[str, ...]) -> list[str]:
    if isinstance(session, dict) and session.get("type") in kinds:
        return []
    return [f"the session must be an object of the type {' or '.join(kinds)}"]
