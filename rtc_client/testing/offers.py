"""Takes offer and session out of the body of a POST, in both shapes (wire-protocol sections 1.1, 1.2); pure.

Written from the protocol alone. Judging what it took out is `strict.py`'s work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rtc_client.testing.events import JsonObject, parse_object
from rtc_client.testing.record import SeenRequest


@dataclass(frozen=True, slots=True)
class FormPart:
    """One part of a multipart form."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = field(repr=False)

    @property
    def name(self) -> str | None:
        """The form field's name."""
        match = re.search(r'name="([^"]*)"', self.header("content-disposition"))
        return match[1] if match else None

    def header(self, name: str) -> str:
        """Return the value of a header, or an empty string."""
        return next((value for other, value in self.headers if other.lower() == name), "")


@dataclass(frozen=True, slots=True)
class PostedOffer:
    """An offer with the session it is for."""

    sdp: str
    session: JsonObject = field(repr=False)
    json_text: str = field(repr=False)
    """The JSON as it was sent: of the session part, or of the whole body."""
    parts: tuple[FormPart, ...] = ()
    """The parts of the form, if it was one."""


def read_offer(request: SeenRequest) -> PostedOffer:
    """Return what a POST holds, by its content type.

    Raises:
        ValueError: If it holds no SDP or no session object.
    """
    content_type = request.header("content-type") or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "multipart/form-data":
        return _read_form(content_type, request.body)
    if kind == "application/json":
        return _read_json(request.body)
    raise ValueError("the content type is neither multipart/form-data nor application/json")


def _read_form(content_type: str, body: bytes) -> PostedOffer:
    parts = parse_form(content_type, body)
    by_name = {part.name: part for part in parts}
    if "sdp" not in by_name or "session" not in by_name:
        raise ValueError("the form needs the parts sdp and session")
    json_text = by_name["session"].body.decode()
    session = parse_object(json_text)
    if session is None:
        raise ValueError("the part session is not a JSON object")
    return PostedOffer(by_name["sdp"].body.decode(), session, json_text, tuple(parts))


def _read_json(body: bytes) -> PostedOffer:
    text = body.decode()
    whole = parse_object(text)
    if whole is None:
        raise ValueError("the body is not a JSON object")
    match whole:
        case {"sdp": str() as sdp, "session": dict() as session}:
            return PostedOffer(sdp, session, text)
        case _:
            raise ValueError("the body needs the keys sdp (a string) and session (an object)")


def parse_form(content_type: str, body: bytes) -> list[FormPart]:
    """Return the parts of a multipart body (RFC 2046 section 5.1), in order.

    Raises:
        ValueError: If boundary or framing are not as they must be.
    """
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^\s;"]+))', content_type)
    if boundary is None:
        raise ValueError("the content type names no boundary")
    fence = b"--" + (boundary[1] or boundary[2]).encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + fence)
    if len(pieces) < 3 or pieces[0] or pieces[-1] not in (b"--", b"--\r\n"):
        raise ValueError("the body is not framed by its boundary")
    return [_parse_part(piece) for piece in pieces[1:-1]]


def _parse_part(piece: bytes) -> FormPart:
    head, blank_line, body = piece.partition(b"\r\n\r\n")
    if not head.startswith(b"\r\n") or not blank_line:
        raise ValueError("a part of the form has no header or no body")
    headers = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
    return FormPart(tuple((name.strip(), value.strip()) for name, _, value in headers), body)
