"""Reads facts from SDP text (RFC 8866), and checks an answer before any library parses it.

This is not an SDP library: it reads only what a call with one audio m-line needs (RFC 8829, 8839, 8122, 7587).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from rtc_client.errors import AnswerInvalid

MAX_SDP_CHARS: Final = 65_536
MAX_LINE_CHARS: Final = 2_048
MAX_CANDIDATES: Final = 100
OPUS_FMTP: Final = "minptime=10;useinbandfec=1"
"""What libwebrtc's own offer says; without it no server sends in-band FEC."""

_TOKEN: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`{|}~-]{1,64}")
_ICE_CHARS: Final = re.compile(r"[A-Za-z0-9+/]+")
_HEX_BYTES: Final = re.compile(r"[0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2})*")
_DIGEST_BYTES: Final = {"sha-256": 32, "sha-384": 48, "sha-512": 64}
_OTHER_DIGESTS: Final = {"md2", "md5", "sha-1", "sha-224"}
_DIRECTIONS: Final = ("sendrecv", "sendonly", "recvonly", "inactive")


@dataclass(slots=True)
class MediaSection:
    """One m-line and the attribute lines below it."""

    kind: str
    port: int
    profile: str
    formats: list[str]
    attributes: list[tuple[str, str]] = field(default_factory=list)

    def values(self, name: str) -> list[str]:
        """Return the values of every attribute called `name`."""
        return [value for key, value in self.attributes if key == name]

    def has(self, name: str) -> bool:
        """Return whether there is an attribute called `name`."""
        return any(key == name for key, _ in self.attributes)

    def opus_formats(self) -> list[str]:
        """Return the payload types that are `opus/48000/2`, in the order of the m-line."""
        named = {v.split(" ", 1)[0] for v in self.values("rtpmap") if v.split(" ", 1)[-1].lower() == "opus/48000/2"}
        return [f for f in self.formats if f in named]


@dataclass(slots=True)
class Description:
    """A session description: what stands above the first m-line, and the m-lines."""

    session: MediaSection
    media: list[MediaSection]


def check_answer(answer: str, *, offer: str) -> None:
    """Return if a call can be made of `answer`, the reply to our own `offer`.

    Raises:
        AnswerInvalid: For every other text, with what is wrong with it in one line. No part of the SDP is
            repeated: it holds addresses and the ICE password.
    """
    described = _parse(answer)
    wanted = _parse(offer).media
    if [m.kind for m in described.media] != [m.kind for m in wanted]:
        raise AnswerInvalid("the answer does not have exactly the audio m-line that was offered")
    session, media, asked = described.session, described.media[0], wanted[0]
    if media.port == 0:
        raise AnswerInvalid("the answer refuses the audio m-line (its port is 0)")
    if media.profile != "UDP/TLS/RTP/SAVPF":
        raise AnswerInvalid("the answer's audio is not UDP/TLS/RTP/SAVPF, so it would not be DTLS-SRTP")
    if media.values("mid") != asked.values("mid"):
        raise AnswerInvalid("the answer's m-line does not have the mid that was offered")
    for group in session.values("group"):
        semantics, *mids = group.split() or [""]
        if semantics == "BUNDLE" and not set(mids) <= set(asked.values("mid")):
            raise AnswerInvalid("the answer bundles an m-line that was not offered")
    if not media.has("rtcp-mux"):
        raise AnswerInvalid("the answer does not multiplex RTCP with RTP (no a=rtcp-mux)")
    if not set(media.opus_formats()) & set(asked.opus_formats()):
        raise AnswerInvalid("the answer does not accept the Opus that was offered")
    directions = [d for d in _DIRECTIONS if media.has(d)] or [d for d in _DIRECTIONS if session.has(d)]
    if "inactive" in directions or "recvonly" in directions:
        raise AnswerInvalid("the answer sends no audio (its m-line is recvonly or inactive)")
    _check_ice(session, media)
    _check_dtls(session, media)


def with_opus_fmtp(offer: str) -> str:
    """Return `offer` with one fmtp line after each Opus rtpmap that has none (RFC 7587 section 7)."""
    lines = offer.split("\r\n")
    has_fmtp = {m.group(1) for line in lines if (m := re.match(r"a=fmtp:(\d+) ", line))}
    out: list[str] = []
    for line in lines:
        out.append(line)
        match = re.fullmatch(r"a=rtpmap:(\d+) opus/48000/2", line, re.IGNORECASE)
        if match and match.group(1) not in has_fmtp:
            out.append(f"a=fmtp:{match.group(1)} {OPUS_FMTP}")
    return "\r\n".join(out)


def for_patient_ice(answer: str) -> str:
    """Return `answer` without what would make ICE wait in vain, or give up too soon.

    That is every candidate that hides its address behind a `.local` name: to look one up takes a multicast socket and
    up to a second, mostly in vain, and a peer that gives such names, as browsers do, checks our addresses itself. And
    it is the word that no more candidates come: one may, by the peer's own checks (RFC 8863).
    """
    lines = answer.split("\n")
    return "\n".join(line for line in lines if line.rstrip("\r ") != "a=end-of-candidates" and not _is_mdns(line))


def _is_mdns(line: str) -> bool:
    fields = line.split()
    return line.startswith("a=candidate:") and len(fields) > 4 and fields[4].lower().rstrip(".").endswith(".local")


def _parse(text: str) -> Description:
    if len(text) > MAX_SDP_CHARS:
        raise AnswerInvalid(f"the answer's SDP is longer than {MAX_SDP_CHARS} characters")
    session = MediaSection("session", 0, "", [])
    media: list[MediaSection] = []
    current = session
    for number, (key, value) in enumerate(_lines(text)):
        if number == 0 and (key, value) != ("v", "0"):
            raise AnswerInvalid("the answer is not SDP: it does not begin with v=0")
        if key == "m":
            current = _m_line(value)
            media.append(current)
        elif key == "a":
            name, _, argument = value.partition(":")
            current.attributes.append((name, argument))
    if not media:
        raise AnswerInvalid("the answer is not SDP with an m-line")
    return Description(session, media)


def _lines(text: str) -> Iterator[tuple[str, str]]:
    # Only the line ends of RFC 8866 section 5; str.splitlines would also split at U+2028 and the like.
    for line in text.replace("\r\n", "\n").split("\n"):
        if not line:
            continue
        if len(line) > MAX_LINE_CHARS or line[1:2] != "=" or not line[0].isalpha():
            raise AnswerInvalid("the answer has a line that is not SDP")
        if any(c < " " and c != "\t" for c in line):
            raise AnswerInvalid("the answer's SDP holds control characters")
        yield line[0], line[2:].strip(" ")


def _m_line(value: str) -> MediaSection:
    fields = value.split()
    if len(fields) < 4 or not _is_port(fields[1]) or not all(_TOKEN.fullmatch(f) for f in fields[3:]):
        raise AnswerInvalid("the answer has an m-line that cannot be read")
    if fields[0] == "audio" and not all(f.isascii() and f.isdigit() and int(f) < 128 for f in fields[3:]):
        raise AnswerInvalid("the answer's audio m-line lists something that is not an RTP payload type")
    return MediaSection(fields[0], int(fields[1]), fields[2], fields[3:])


def _check_ice(session: MediaSection, media: MediaSection) -> None:
    for name, at_least in (("ice-ufrag", 4), ("ice-pwd", 22)):
        values = media.values(name) or session.values(name)
        if len(values) != 1 or not at_least <= len(values[0]) <= 256 or not _ICE_CHARS.fullmatch(values[0]):
            raise AnswerInvalid(f"the answer has no usable a={name}")
    candidates = media.values("candidate") + session.values("candidate")
    if len(candidates) > MAX_CANDIDATES:
        raise AnswerInvalid(f"the answer has more than {MAX_CANDIDATES} candidates")
    for candidate in candidates:
        if not _is_candidate(candidate):
            raise AnswerInvalid("the answer has a candidate line that cannot be read")


def _is_candidate(value: str) -> bool:
    fields = value.split()
    if len(fields) < 8 or fields[6] != "typ" or len(fields) % 2:
        return False
    foundation, component, transport, priority, host, port = fields[:6]
    numbers = component.isascii() and component.isdigit() and int(component) in range(1, 257)
    numbers = numbers and priority.isascii() and priority.isdigit() and 0 < int(priority) < 2**32
    return bool(
        numbers
        and re.fullmatch(r"[A-Za-z0-9+/]{1,32}", foundation)
        and transport.lower() in ("udp", "tcp")
        and _is_port(port)
        and _is_host(host)
        and fields[7] in ("host", "srflx", "prflx", "relay")
        and all(_is_port(v) for k, v in zip(fields[8::2], fields[9::2], strict=True) if k == "rport")
    )


def _is_host(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return re.fullmatch(r"[A-Za-z0-9.-]{1,253}", host) is not None
    return True


def _is_port(value: str) -> bool:
    return value.isascii() and value.isdigit() and int(value) <= 65_535


def _check_dtls(session: MediaSection, media: MediaSection) -> None:
    fingerprints = media.values("fingerprint") or session.values("fingerprint")
    usable = False
    for fingerprint in fingerprints:
        algorithm, _, digest = fingerprint.partition(" ")
        n_bytes = _DIGEST_BYTES.get(algorithm.lower())
        if n_bytes is None and algorithm.lower() not in _OTHER_DIGESTS:
            raise AnswerInvalid("the answer has a fingerprint of an unknown hash")
        if not _HEX_BYTES.fullmatch(digest) or (n_bytes and len(digest) != 3 * n_bytes - 1):
            raise AnswerInvalid("the answer has a fingerprint that cannot be read")
        usable = usable or n_bytes is not None
    if not usable:
        raise AnswerInvalid("the answer has no fingerprint of SHA-256 or better, so its DTLS could not be checked")
    setup = media.values("setup") or session.values("setup")
    if setup not in (["active"], ["passive"]):
        raise AnswerInvalid("the answer's a=setup is neither active nor passive")
