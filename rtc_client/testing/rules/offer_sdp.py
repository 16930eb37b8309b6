"""What an offer must hold (the recorded offers, section 1.1, and the RFCs they follow). Pure.

Opus' format parameters, candidates, codecs beside Opus and a data channel are the application's.
"""

from __future__ import annotations

import re
from typing import Final

from rtc_client.testing.wire.sdp_text import MediaSection, media_sections

_PROTOCOL: Final = "UDP/TLS/RTP/SAVPF"
_UFRAG: Final = re.compile(r"[A-Za-z0-9+/]{4,256}")
_PASSWORD: Final = re.compile(r"[A-Za-z0-9+/]{22,256}")
_FINGERPRINT: Final = re.compile(r"sha-256 [0-9A-Fa-f]{2}(?::[0-9A-Fa-f]{2}){31}", re.IGNORECASE)


def check_offer(sdp: str) -> list[str]:
    """Return a sentence for each thing that is wrong with an offer; none holds a value of it."""
    sections = media_sections(sdp)
    audio = [section for section in sections if section.kind == "audio"]
    found: list[str] = []
    if not sdp.startswith("v=0\r\n") or "\n" in sdp.replace("\r\n", ""):
        found.append("the offer must begin with v=0, and its lines must end in CRLF")
    if len(audio) != 1:
        found.append(f"the offer must have one audio m-line, not {len(audio)}")
    if any(section.kind not in ("audio", "application") for section in sections):
        found.append("the offer must hold audio (and at most a data channel), nothing else")
    if not _is_bundled(sdp, sections):
        found.append("the offer must bundle its m-lines: a=group:BUNDLE with the mid of each")
    return found + [sentence for section in audio[:1] for sentence in _check_audio(section, _session_level(sdp))]


def _check_audio(section: MediaSection, session: MediaSection) -> list[str]:
    found: list[str] = []
    if _PROTOCOL not in section.lines[0].split():
        found.append(f"the audio m-line must be {_PROTOCOL}")
    if section.direction != "sendrecv":
        found.append("the audio m-line must be sendrecv")
    if section.opus_payload_type is None:
        found.append("the audio m-line must offer opus/48000/2")
    if "a=rtcp-mux" not in section.lines:
        found.append("the audio m-line must have a=rtcp-mux")
    ufrags, passwords = (_values(name, section, session) for name in ("ice-ufrag", "ice-pwd"))
    if not any(map(_UFRAG.fullmatch, ufrags)) or not any(map(_PASSWORD.fullmatch, passwords)):
        found.append("the offer must have a=ice-ufrag and a=ice-pwd of at least 4 and 22 characters")
    if not any(map(_FINGERPRINT.fullmatch, _values("fingerprint", section, session))):
        found.append("the offer must have a sha-256 fingerprint")
    if _values("setup", section, session) != ["actpass"]:
        found.append("the offer must have a=setup:actpass")
    return found


def _is_bundled(sdp: str, sections: list[MediaSection]) -> bool:
    groups = [group.split()[1:] for group in _session_level(sdp).values("group") if group.split()[:1] == ["BUNDLE"]]
    mids = [mid for section in sections for mid in section.values("mid")]
    return len(mids) == len(sections) and any(set(mids) <= set(group) for group in groups)


def _session_level(sdp: str) -> MediaSection:
    return MediaSection("", tuple(re.split(r"(?m)^(?=m=)", sdp)[0].splitlines()))


def _values(name: str, section: MediaSection, session: MediaSection) -> list[str]:
    """Return an attribute's values: those of the m-line, else those of the session (RFC 8866 section 5.13)."""
    return section.values(name) or session.values(name)
