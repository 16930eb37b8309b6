"""Takes offer and session out of the body of a POST, in both shapes (protocol.md sections 1.1, 1.2). Pure.

Written from the protocol alone. Judging what it took out is `testing/rules/requests.py`'s work.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from rtc_client.testing.wire.record import SeenRequest
from rtc_client.testing.wire.server_events import JsonObject, parse_object


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
    is_framed_exactly: bool = True
    """Whether the form is what section 1.1 shows, to the byte."""


def read_offer(request: SeenRequest, *, lenient: bool = False) -> PostedOffer:
    """Return what a POST holds, by its content type.

    A `lenient` reader also takes a body that is nothing but the SDP (`application/sdp`), and an offer without a
    session, which is then empty.

    Raises:
        ValueError: If it holds no SDP or no session object; the message holds nothing of the body.
    """
    content_type = request.header("content-type") or ""
    kind = content_type.partition(";")[0].strip().lower()
    try:
        if kind == "multipart/form-data":
            return _read_form(content_type, request.body, lenient=lenient)
        if kind == "application/json":
            return _read_json(request.body, lenient=lenient)
        if kind == "application/sdp" and lenient:
            return PostedOffer(request.body.decode(), {}, "{}")
    except UnicodeDecodeError:
        raise ValueError("the body is not UTF-8") from None
    raise ValueError("the content type is neither multipart/form-data nor application/json")


def _read_form(content_type: str, body: bytes, *, lenient: bool) -> PostedOffer:
    parts = parse_form(content_type, body)
    by_name = {part.name: part for part in parts}
    if lenient:
        by_name.setdefault("session", FormPart((), b"{}"))
    if "sdp" not in by_name or "session" not in by_name:
        raise ValueError("the form needs the parts sdp and session")
    json_text = by_name["session"].body.decode()
    session = parse_object(json_text)
    if session is None:
        raise ValueError("the part session is not a JSON object")
    sdp = by_name["sdp"].body
    exact = framed(boundary_of(content_type), sdp, by_name["session"].body)
    return PostedOffer(sdp.decode(), session, json_text, tuple(parts), body == exact)


def _read_json(body: bytes, *, lenient: bool) -> PostedOffer:
    text = body.decode()
    whole = parse_object(text)
    if whole is None:
        raise ValueError("the body is not a JSON object")
    if lenient:
        whole.setdefault("session", {})
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
    fence = b"--" + boundary_of(content_type).encode()
    pieces = (b"\r\n" + body).split(b"\r\n" + fence)
    if len(pieces) < 3 or pieces[0] or pieces[-1] not in (b"--", b"--\r\n"):
        raise ValueError("the body is not framed by its boundary")
    return [_parse_part(piece) for piece in pieces[1:-1]]


def boundary_of(content_type: str) -> str:
    """Return the boundary that a content type names.

    Raises:
        ValueError: If it names none.
    """
    boundary = re.search(r'boundary=(?:"([^"]+)"|([^\s;"]+))', content_type)
    if boundary is None:
        raise ValueError("the content type names no boundary")
    return boundary[1] or boundary[2]


def framed(boundary: str, sdp: bytes, session: bytes) -> bytes:
    """Return a form as section 1.1 shows it."""
    fence = b"--" + boundary.encode()
    return b"\r\n".join(
        (
            fence,
            b'Content-Disposition: form-data; name="sdp"',
            b"Content-Type: application/sdp",
            b"",
            sdp,
            fence,
            b'Content-Disposition: form-data; name="session"',
            b"Content-Type: application/json",
            b"",
            session,
            fence + b"--",
            b"",
        )
    )


def _parse_part(piece: bytes) -> FormPart:
    head, blank_line, body = piece.partition(b"\r\n\r\n")
    if not head.startswith(b"\r\n") or not blank_line:
        raise ValueError("a part of the form has no header or no body")
    headers = [line.partition(":") for line in head.decode().split("\r\n")[1:]]
    return FormPart(tuple((name.strip(), value.strip()) for name, _, value in headers), body)
