"""Builds the bytes of the offer's body, and reads the answer's within bounds."""

from __future__ import annotations

import codecs
import zlib
from typing import Final

from rtc_client.errors import AnswerInvalid
from rtc_client.protocol.wire.codec import dump_json
from rtc_client.protocol.wire.session import JsonObject

MAX_ANSWER_BYTES: Final = 1_000_000
MAX_ERROR_BYTES: Final = 65_536

_BOUNDARY: Final = "rtc-client-call-boundary"


def multipart_offer(sdp: str, session: JsonObject) -> tuple[str, bytes]:
    """Return content type and bytes for an API base: two parts, the SDP verbatim (protocol.md section 1.1)."""
    session_json = dump_json(session)
    boundary = _BOUNDARY
    while boundary in sdp or boundary in session_json:
        boundary += "-"
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="sdp"',
        "Content-Type: application/sdp",
        "",
        sdp,
        f"--{boundary}",
        'Content-Disposition: form-data; name="session"',
        "Content-Type: application/json",
        "",
        session_json,
        f"--{boundary}--",
        "",
    ]
    return f"multipart/form-data; boundary={boundary}", "\r\n".join(lines).encode()


def json_offer(sdp: str, session: JsonObject) -> tuple[str, bytes]:
    """Return content type and bytes for a `/backend-api` base (section 1.2)."""
    return "application/json", dump_json({"sdp": sdp, "session": session}).encode()


class Unpacker:
    """Undoes the content coding of a body without ever holding more than `max_bytes` of it."""

    def __init__(self, content_encoding: str, max_bytes: int) -> None:
        coding = content_encoding.strip().lower()
        if coding in ("", "identity"):
            self._inflate = None
        elif coding in ("gzip", "x-gzip", "deflate"):
            self._inflate = zlib.decompressobj(wbits=47 if coding != "deflate" else 15)
        else:
            raise AnswerInvalid("the answer is packed in a content encoding that was not asked for")
        self._left = max_bytes

    def feed(self, chunk: bytes) -> bytes:
        """Return what `chunk` unpacks to.

        Raises:
            AnswerInvalid: The whole has become larger than the bound, or is not validly packed.
        """
        if self._inflate is not None:
            try:
                chunk = self._inflate.decompress(chunk, self._left + 1)
            except zlib.error as error:
                raise AnswerInvalid("the answer is not validly packed") from error
        self._left -= len(chunk)
        if self._left < 0:
            raise AnswerInvalid(f"the answer is larger than {MAX_ANSWER_BYTES // 1_000_000} MB")
        return chunk

    def finish(self) -> None:
        """Return if the whole has come.

        Raises:
            AnswerInvalid: It is packed, and its end is missing.
        """
        if self._inflate is not None and not self._inflate.eof:
            raise AnswerInvalid("the answer is not validly packed: its end is missing")


class AnswerText:
    """Collects the SDP of an answer and refuses it at the first byte that shows it is none."""

    def __init__(self, content_type: str, content_length: str, content_encoding: str) -> None:
        if content_type.split(";", maxsplit=1)[0].strip().lower() == "text/html":
            raise AnswerInvalid("the answer is an HTML page, not SDP")
        if content_length.isascii() and content_length.isdigit() and int(content_length) > MAX_ANSWER_BYTES:
            raise AnswerInvalid(f"the answer is larger than {MAX_ANSWER_BYTES // 1_000_000} MB")
        self._unpack = Unpacker(content_encoding, MAX_ANSWER_BYTES)
        self._decode = codecs.getincrementaldecoder("utf-8")("strict")
        self._pieces: list[str] = []
        self._began = False

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes off the wire.

        Raises:
            AnswerInvalid: Too large, not UTF-8, HTML, or anything else that does not begin as SDP does.
        """
        self._add(self._unpack.feed(chunk), last=False)

    def finish(self) -> str:
        """Return the SDP.

        Raises:
            AnswerInvalid: It ends within a character, or is empty.
        """
        self._unpack.finish()
        self._add(b"", last=True)
        text = "".join(self._pieces)
        if not text.startswith("v=0"):
            raise AnswerInvalid("the answer holds no SDP")
        return text

    def _add(self, data: bytes, *, last: bool) -> None:
        try:
            piece = self._decode.decode(data, last)
        except UnicodeDecodeError:
            raise AnswerInvalid("the answer is not UTF-8") from None
        self._pieces.append(piece)
        if not self._began:
            head = "".join(self._pieces)[:3]
            if head.lstrip("\ufeff \t\r\n").startswith("<"):
                raise AnswerInvalid("the answer is an HTML page, not SDP")
            if not "v=0".startswith(head):
                raise AnswerInvalid("the answer is not SDP: it does not begin with v=0")
            self._began = len(head) == 3
