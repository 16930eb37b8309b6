"""Reads and edits SDP as text. Pure."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

OPUS_FMTP: Final = "minptime=10;useinbandfec=1"

_DEAD_PORT: Final = 9
"""The discard port: privileged, so no program gets it by chance, and nobody answers there."""


@dataclass(frozen=True, slots=True)
class MediaSection:
    """One m-line with the lines that belong to it."""

    kind: str
    lines: tuple[str, ...]

    def values(self, attribute: str) -> list[str]:
        """Return what follows `a=<attribute>:` on each line that has it."""
        prefix = f"a={attribute}:"
        return [line.removeprefix(prefix) for line in self.lines if line.startswith(prefix)]

    @property
    def direction(self) -> str:
        """sendrecv, sendonly, recvonly or inactive; sendrecv when not said (RFC 8866 section 6.7)."""
        for line in self.lines:
            if line in ("a=sendrecv", "a=sendonly", "a=recvonly", "a=inactive"):
                return line.removeprefix("a=")
        return "sendrecv"

    @property
    def opus_payload_type(self) -> str | None:
        """The payload type of `opus/48000/2`, if it is offered."""
        for value in self.values("rtpmap"):
            payload_type, _, codec = value.partition(" ")
            if codec.lower() == "opus/48000/2":
                return payload_type
        return None

    @property
    def opus_parameters(self) -> frozenset[str]:
        """The format parameters of Opus: `{"minptime=10", "useinbandfec=1"}`."""
        for value in self.values("fmtp"):
            payload_type, _, parameters = value.partition(" ")
            if payload_type == self.opus_payload_type:
                return frozenset(parameter.strip() for parameter in parameters.split(";") if parameter.strip())
        return frozenset()


def media_sections(sdp: str) -> list[MediaSection]:
    """Return the m-lines of a session description, in order."""
    blocks = re.split(r"(?m)^(?=m=)", sdp)[1:]
    return [MediaSection(block[2:].split(" ", 1)[0], tuple(block.splitlines())) for block in blocks]


def with_opus_parameters(sdp: str) -> str:
    """Return the description with `OPUS_FMTP` for every Opus that has no format parameters yet."""
    lines: list[str] = []
    for line in sdp.splitlines():
        lines.append(line)
        opus = re.fullmatch(r"a=rtpmap:(\d+) opus/48000/2", line, re.IGNORECASE)
        if opus and f"a=fmtp:{opus[1]} " not in sdp:
            lines.append(f"a=fmtp:{opus[1]} {OPUS_FMTP}")
    return "\r\n".join(lines) + "\r\n"


def udp_address(sdp: str, *, is_here: bool) -> tuple[str, int]:
    """Return the address and port at which the peer of a description is to be met.

    IPv4 before IPv6, then by priority; with `is_here` loopback before all others, else not at all.

    Raises:
        ValueError: If it names no usable UDP candidate, or m-lines that are not bundled.
    """
    found: list[tuple[bool, bool, int, str, int]] = []
    for section in media_sections(sdp):
        for value in section.values("candidate"):
            _, component, protocol, priority, host, port, *_ = [*value.split(" "), *[""] * 6]
            address = _literal(host)
            if protocol.lower() == "udp" and component == "1" and address and port.isdigit() and priority.isdigit():
                if address.is_loopback and not is_here:
                    continue
                found.append((not address.is_loopback, address.version == 6, -int(priority), host, int(port)))
    if not found:
        raise ValueError("the answer names no UDP candidate by its address, so nothing can stand in between")
    n_used = sum(section.lines[0].split(" ")[1:2] != ["0"] for section in media_sections(sdp))
    if n_used > 1 and "a=group:BUNDLE " not in sdp:
        raise ValueError("the answer's m-lines are not bundled, and a relay leads to one address")
    return min(found)[3:]


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def with_only_candidate(sdp: str, host: str, port: int) -> str:
    """Return the description with one host candidate in each m-line that has any, and as its default destination."""
    version = "IP6" if ":" in host else "IP4"
    lines: list[str] = []
    has_candidate = True
    for line in sdp.splitlines():
        if line.startswith("m="):
            has_candidate = False
            kind, old_port, rest = line.split(" ", 2)
            # Ports 0 and 9 stand for a rejected m-line and for no default (RFC 8839 section 4.2.1.2).
            lines.append(line if old_port in ("0", "9") else f"{kind} {port} {rest}")
        elif line.startswith("c="):
            lines.append(line if " 0.0.0.0" in line or " ::" in line else f"c=IN {version} {host}")
        elif line.startswith("a=candidate:"):
            if not has_candidate:
                lines.append(f"a=candidate:1 1 udp 2130706431 {host} {port} typ host")
            has_candidate = True
        else:
            lines.append(line)
    return "\r\n".join(lines) + "\r\n"


def with_dead_candidates(sdp: str) -> str:
    """Return the description, or a body that holds one, with every candidate at a port where nobody listens."""
    return re.sub(r"(a=candidate:\S+ \d+ \S+ \d+ \S+) \d+", rf"\1 {_DEAD_PORT}", sdp)


def with_wrong_fingerprint(sdp: str) -> str:
    """Return the description with fingerprints that belong to no certificate."""
    flipped = str.maketrans("0123456789ABCDEFabcdef", "FEDCBA9876543210543210")
    return re.sub(r"(?m)^(a=fingerprint:\S+) (\S+)", lambda line: f"{line[1]} {line[2].translate(flipped)}", sdp)


def without_audio(sdp: str) -> str:
    """Return the description without its audio m-lines."""
    head, *blocks = re.split(r"(?m)^(?=m=)", sdp)
    return head + "".join(block for block in blocks if not block.startswith("m=audio"))


def without_candidates(sdp: str) -> str:
    """Return the description with no candidate in it."""
    return re.sub(r"(?m)^a=(?:candidate:.*|end-of-candidates)\r?\n", "", sdp)
