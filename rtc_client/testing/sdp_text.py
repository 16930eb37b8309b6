"""Reads and edits SDP as text; pure. Building an answer is aiortc's work, judging an offer is `strict.py`'s."""

from __future__ import annotations

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


def with_dead_candidates(sdp: str) -> str:
    """Return the description with every candidate at a port where nobody listens."""
    return re.sub(r"(?m)^(a=candidate:\S+ \d+ \S+ \d+ \S+) \d+", rf"\1 {_DEAD_PORT}", sdp)


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
