"""Compares the structure of two cassettes: what a dialect is made of, not what was said, or when. Pure.

A cassette becomes facts, each under a name a person can read; a difference is a fact that only one has, or that is not
the same in both. Not compared: times, how often something was sent, ids, addresses, fingerprints, nonces, words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, SILENT_PACKET, is_dtx
from rtc_client.cassette.cassette import Cassette, Sound, WireEvent

Fact: TypeAlias = str | tuple[str, ...]
Facts: TypeAlias = dict[str, Fact]

_LITERAL_KEYS: Final = frozenset({"type", "role", "rate", "object", "status", "code"})
"""Keys whose values belong to the structure."""
_OWN_HEADERS: Final = frozenset({
    "accept-encoding", "connection", "content-length", "date", "host", "sec-websocket-key", "sec-websocket-version",
    "server", "transfer-encoding", "upgrade", "user-agent", "originator",
})  # fmt: skip
"""Headers of the HTTP library, the connection or the program; a side that writes a cassette may not even see them."""
_ANSWER_HEADERS: Final = ("content-type", "location", "retry-after")
_WHOLES: Final = (
    (r"((?:client|server) sends \S+) ", ""),
    (r"(hang-up|handshake) ", ""),
    (r"((?:offer|answer) m-line \d+ \(\w+\)) ", " direction"),
)
"""How the names begin of facts that belong together, and of which the first is there if any is."""
_MAX_DEPTH: Final = 40


@dataclass(frozen=True, slots=True)
class Difference:
    """One fact that two cassettes do not share."""

    where: str
    """In which part of the call."""
    a: Fact | None
    """None: it is not there."""
    b: Fact | None
    """The fact of the second."""

    def __str__(self) -> str:
        if self.a is None:
            return f"{self.where}: only in B{_aside(self.b)}"
        if self.b is None:
            return f"{self.where}: only in A{_aside(self.a)}"
        return f"{self.where}: {_words(self.a)} in A, {_words(self.b)} in B"


def differences(a: Cassette, b: Cassette, *, sequence: bool = False) -> list[Difference]:
    """Return what differs in structure; with `sequence` also the order of the messages, repetitions taken as one."""
    of_a, of_b = facts(a), facts(b)
    if sequence:
        of_a["order of messages"], of_b["order of messages"] = _order(a), _order(b)
    if (a.agent is None and a.caller is None) or (b.agent is None and b.caller is None):
        # One side has kept no sound (a recording of the reference client): nothing can be said of it.
        for of_one in (of_a, of_b):
            for name in [name for name in of_one if name.startswith("sound of")]:
                del of_one[name]
    return [
        Difference(name, of_a.get(name), of_b.get(name)) for name in _names(of_a, of_b) if _differ(name, of_a, of_b)
    ]


def facts(cassette: Cassette) -> Facts:
    """Return the structure of a cassette."""
    found: Facts = {}
    is_hangup = False
    for one in cassette.happenings:
        if one.kind in ("http_request", "ws_open"):
            found |= _request_facts(one)
            is_hangup = _is_hangup(one)
        elif one.kind == "http_response" and not is_hangup:
            found |= _response_facts(one)
        elif one.kind == "ws_close" and one.fields.get("code") not in (None, 1000):
            found[f"{_side(one)} closes the sideband with"] = str(one.fields["code"])
    found |= _value_facts("posted session", [cassette.session])
    found |= sdp_facts("offer", cassette.offer_sdp)
    if cassette.answer_sdp is not None:
        found |= sdp_facts("answer", cassette.answer_sdp)
    found |= _frame_facts(cassette.happenings)
    for name, sound in (("agent", cassette.agent), ("caller", cassette.caller)):
        found |= _sound_facts(name, sound)
    return found


def sdp_facts(name: str, sdp: str) -> Facts:
    """Return the structure of an SDP."""
    session, *sections = (block.splitlines() for block in re.split(r"(?m)^(?=m=)", sdp))
    found: Facts = {f"{name} m-lines": tuple(_media(lines[0]) for lines in sections)}
    found[f"{name} session attributes"] = _attributes(session)
    for n, lines in enumerate(sections):
        where = f"{name} m-line {n} ({_media(lines[0]).partition(' ')[0]})"
        values = {line[2:].partition(":")[0]: line.partition(":")[2] for line in lines if line.startswith("a=")}
        found[f"{where} attributes"] = _attributes(lines)
        found[f"{where} codecs"] = _codecs(lines)
        found[f"{where} header extensions"] = tuple(
            sorted(line.split(" ", 1)[1] for line in lines if line.startswith("a=extmap:") and " " in line)
        )
        found[f"{where} candidates"] = tuple(sorted({_candidate(ln) for ln in lines if ln.startswith("a=candidate:")}))
        found |= {f"{where} {key}": values[key] for key in ("setup", "ptime", "maxptime", "sctp-port") if key in values}
        found[f"{where} direction"] = next(
            (key for key in ("sendonly", "recvonly", "inactive") if key in values), "sendrecv"
        )
    return found


def frame_name(happening: WireEvent) -> str:
    """Return what a frame is called: its type, or what it is instead of an event."""
    if happening.kind == "ws_binary":
        return "(binary)"
    event = happening.fields.get("event")
    if not isinstance(event, dict):
        return "(no JSON object)"
    kind = event.get("type")
    return kind if isinstance(kind, str) else "(no type)"


def shape_facts(value: object) -> Facts:
    """Return the structure of one JSON value, by path."""
    return _value_facts("", [value])


def _names(a: Mapping[str, Fact], b: Mapping[str, Fact]) -> list[str]:
    return list(dict.fromkeys([*a, *b]))


def _differ(name: str, a: Mapping[str, Fact], b: Mapping[str, Fact]) -> bool:
    if a.get(name) == b.get(name):
        return False
    # Of a message, a request or an m-line that only one has, its name is told, not each of its fields.
    for pattern, mark in _WHOLES:
        if whole := re.match(pattern, name):
            return (whole[1] + mark in a) == (whole[1] + mark in b)
    return True


def _side(happening: WireEvent) -> str:
    return "client" if happening.direction == "c2s" else "server"


def _request_facts(one: WireEvent) -> Facts:
    target = str(one.fields.get("target", ""))
    path, _, query = target.partition("?")
    is_sideband = one.kind == "ws_open"
    name = "handshake" if is_sideband else "hang-up" if _is_hangup(one) else "offer request"
    found: Facts = {f"{name}": f"{one.fields.get('method', 'GET')} {path}", f"{name} query": tuple(query.split("&"))}
    headers = one.fields.get("headers")
    for header, value in headers if isinstance(headers, list) else []:
        if header not in _OWN_HEADERS:
            found[f"{name} header {header}"] = str(value)
    return found


def _is_hangup(one: WireEvent) -> bool:
    return str(one.fields.get("target", "")).partition("?")[0].endswith("/hangup")


def _response_facts(one: WireEvent) -> Facts:
    status = one.fields.get("status")
    found: Facts = {f"answer with status {status}": "yes"}
    headers = one.fields.get("headers")
    for header, value in headers if isinstance(headers, list) else []:
        if header in _ANSWER_HEADERS:
            found[f"answer {status} header {header}"] = str(value).partition(";")[0]
    return found


def _frame_facts(happenings: Iterable[WireEvent]) -> Facts:
    frames: dict[str, list[object]] = {}
    first: dict[str, str] = {}
    for one in happenings:
        if one.is_frame:
            first.setdefault(f"first message of the {_side(one)}", frame_name(one))
            frames.setdefault(f"{_side(one)} sends {frame_name(one)}", []).append(one.fields.get("event"))
    found: Facts = dict(first)
    for name, events in frames.items():
        found[name] = "yes"
        if any(isinstance(event, dict) for event in events):
            found |= _value_facts(name, events)
    return found


def _value_facts(name: str, values: Iterable[object]) -> Facts:
    kinds: dict[str, set[str]] = {}
    for value in values:
        for path, kind in _leaves(value, "", 0):
            kinds.setdefault(path, set()).add(kind)
    return {f"{name} {path}".strip(): tuple(sorted(of_path)) for path, of_path in kinds.items() if path}


def _leaves(value: object, path: str, depth: int) -> Iterable[tuple[str, str]]:
    """Yield every path of a JSON value with what stands there; the items of a list share one path."""
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, dict):
        yield path, "object"
        for key, one in value.items():
            yield from _leaves(one, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        yield path, "list"
        for one in value:
            yield from _leaves(one, f"{path}[]", depth + 1)
    else:
        yield path, _scalar(path, value)


def _scalar(path: str, value: object) -> str:
    if re.split(r"[.\[]", path)[-1] in _LITERAL_KEYS:
        return json.dumps(value, ensure_ascii=False)
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case _:
            return "string"


def _order(cassette: Cassette) -> tuple[str, ...]:
    names: list[str] = []
    for one in cassette.happenings:
        name = f"{_side(one)} {frame_name(one)}"
        if one.is_frame and names[-1:] != [name]:
            names.append(name)
    return tuple(names)


def _media(line: str) -> str:
    parts = line.removeprefix("m=").split()
    return " ".join([*parts[:1], *parts[2:3]])


def _attributes(lines: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({line[2:].partition(":")[0] for line in lines if line.startswith("a=")} - {"candidate"}))


def _codecs(lines: list[str]) -> tuple[str, ...]:
    codecs = []
    for line in lines:
        if found := re.match(r"a=rtpmap:(\d+) (\S+)", line):
            fmtp = next((ln.partition(" ")[2] for ln in lines if ln.startswith(f"a=fmtp:{found[1]} ")), "")
            parameters = ";".join(sorted(part.strip() for part in fmtp.split(";") if part.strip()))
            codecs.append(f"{found[2]} {parameters}".strip())
    return tuple(codecs)


def _candidate(line: str) -> str:
    parts = line.split()
    return f"{parts[2].lower()} {parts[7]}" if len(parts) > 7 else "?"


def _sound_facts(name: str, sound: Sound | None) -> Facts:
    packets = [] if sound is None else [one for one in sound.packets if not is_dtx(one[0]) and one[0] != SILENT_PACKET]
    lengths = sorted({1000 * n_samples / CLOCK_RATE_HZ for _, n_samples in packets})
    return {f"sound of the {name}": tuple(f"packets of {length:g} ms" for length in lengths) or "none"}


def _aside(fact: Fact | None) -> str:
    return "" if fact == "yes" else f" ({_words(fact)})"


def _words(fact: Fact | None) -> str:
    return fact if isinstance(fact, str) else ", ".join(fact or ()) or "nothing"
