"""Redactor: takes secrets, addresses and the names of one call out of what is recorded. Pure.

What is not known to be harmless goes: of a header or a query the names stay, of an SDP the lines. What was said stays,
and so do the instructions: they are what the recording is of.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

CALL_ID: Final = "<call-id>"
SESSION_ID: Final = "<session-id>"
SECRET: Final = "<secret>"  # noqa: S105 - what stands in place of one
VALUE: Final = "<value>"

_MIN_SECRET: Final = 4
_PLAIN_HEADERS: Final = frozenset({
    "accept", "accept-encoding", "connection", "content-encoding", "content-type", "location", "openai-alpha",
    "originator", "retry-after", "sec-websocket-extensions", "sec-websocket-protocol", "sec-websocket-version",
    "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_PLAIN_PAIRS: Final = frozenset({"intent", "architecture", "model"})
_SECRET_NAME: Final = re.compile(r"auth|cookie|key|token|secret|password|signature|credential", re.IGNORECASE)
_IPV4: Final = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6: Final = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])")
_NO_ADDRESS: Final = ".".join("0000")
_CANDIDATE: Final = re.compile(r"a=candidate:\S+ (\d+) (\S+) \d+ \S+ \d+ typ (\S+)(?:.* tcptype (\S+))?")


class Redactor:
    """Knows what to take out of one call; secrets that it meets in headers and queries it takes out of texts too."""

    def __init__(self, *, call_id: str | None, session_id: str | None, secrets: Iterable[str] = ()) -> None:
        self._replaced: dict[str, str] = {}
        for known, name in ((call_id, CALL_ID), (session_id, SESSION_ID)):
            if known:
                self._replaced[known] = name
        for secret in secrets:
            self._hide(secret)

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Return headers with lower-case names, in order, and the values that may stay."""
        return [[name.lower(), self._header(name.lower(), value)] for name, value in headers]

    def target(self, target: str) -> str:
        """Return path and query."""
        path, mark, query = target.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&")]
        return self.text(path) + mark + "&".join(name + sign + self._pair(name, value) for name, sign, value in pairs)

    def value(self, value: object) -> object:
        """Return a JSON value with its strings stripped."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, list):
            return [self.value(one) for one in value]
        if isinstance(value, dict):
            return {name: self.value(one) for name, one in value.items()}
        return value

    def text(self, text: str) -> str:
        """Return a text without the secrets, and with the names of the call replaced."""
        for known, name in sorted(self._replaced.items(), key=lambda pair: -len(pair[0])):
            text = text.replace(known, name)
        return text

    def sdp(self, sdp: str) -> str:
        """Return a session description with the lines it had, and nothing in them that belongs to this call alone."""
        return "".join(f"{self.text(line)}\r\n" for line in map(strip_sdp_line, sdp.splitlines()) if line)

    def _header(self, name: str, value: str) -> str:
        if _SECRET_NAME.search(name) and not name.startswith("sec-websocket-"):
            scheme, space, rest = value.partition(" ")
            self._hide(rest if space else value)
            return f"{scheme} {SECRET}" if space else SECRET
        if name not in _PLAIN_HEADERS:
            return self._named(value) or VALUE
        if name == "content-type":
            value = re.sub(r"boundary=.*", "boundary=<boundary>", value)
        if name == "location":
            value = re.sub(r"^(?:https?:)?//[^/]+", "", self.target(value))
        return self.text(value)

    def _pair(self, name: str, value: str) -> str:
        if _SECRET_NAME.search(name):
            self._hide(value)
            return SECRET
        return self.text(value) if name in _PLAIN_PAIRS else self._named(value) or (VALUE if value else "")

    def _named(self, value: str) -> str | None:
        """Return the name that stands for a value; a name stands for itself."""
        return value if value in (CALL_ID, SESSION_ID) else self._replaced.get(value)

    def _hide(self, secret: str) -> None:
        if len(secret) >= _MIN_SECRET:
            self._replaced.setdefault(secret, SECRET)


def strip_sdp_line(line: str) -> str:
    """Return one line of an SDP without ids, keys and addresses; empty if nothing of it can stay."""
    kind, _, rest = line.partition("=")
    if kind in ("i", "u", "e", "p"):
        return ""
    if kind == "o":
        return f"o=- 0 0 IN IP4 {_NO_ADDRESS}"
    if kind == "c":
        return f"c=IN IP4 {_NO_ADDRESS}"
    if kind == "m":
        media, port, others = [*rest.split(" ", 2), "", ""][:3]
        return f"m={media} {'0' if port == '0' else '9'} {others}"
    if kind != "a":
        return f"{kind}={_without_addresses(rest)}"
    return _strip_attribute(line, *rest.partition(":")[::2])


def _strip_attribute(line: str, name: str, value: str) -> str:
    first = value.split(" ", 1)[0]
    match name:
        case "candidate":
            found = _CANDIDATE.match(line)
            if found is None:
                return "a=candidate:0"
            component, protocol, kind, tcp = found.groups()
            return f"a=candidate:0 {component} {protocol.lower()} 0 {_NO_ADDRESS} 9 typ {kind}" + (
                f" tcptype {tcp}" if tcp else ""
            )
        case "ice-ufrag":
            return "a=ice-ufrag:" + 4 * "x"
        case "ice-pwd":
            return "a=ice-pwd:" + 22 * "x"
        case "fingerprint":
            return f"a=fingerprint:{first} {':'.join(['00'] * len(value.removeprefix(first).strip().split(':')))}"
        case "ssrc":
            attribute = value.partition(" ")[2].partition(":")[0]
            return f"a=ssrc:0 {attribute}".rstrip()
        case "ssrc-group" | "msid-semantic":
            return f"a={name}:{value.split(maxsplit=1)[0] if value.split() else ''}"
        case "msid" | "remote-candidates" | "tls-id" | "identity" | "crypto" | "key-mgmt":
            return f"a={name}:{VALUE}"
        case "rtcp":
            return f"a=rtcp:9 IN IP4 {_NO_ADDRESS}"
        case "fmtp" | "rtpmap" | "extmap" | "mid" | "group" | "setup" | "ptime" | "maxptime" | "rtcp-fb":
            return line
    return _without_addresses(line)


def _without_addresses(text: str) -> str:
    return _IPV6.sub("::", _IPV4.sub(_NO_ADDRESS, text))
