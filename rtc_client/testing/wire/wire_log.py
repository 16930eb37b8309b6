"""WireLog: everything that went over the wire of one fake answerer, in order, without keys, bounded.

Judging it is `testing/rules/requests.py`'s, telling it `testing/server/report.py`'s. Kinds and directions are those of
recorded exchanges: `c2s` is what a client sent.
"""

from __future__ import annotations

import base64
import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Literal, TypeAlias

from rtc_client.clock import Clock
from rtc_client.testing.wire.server_events import JsonObject

MAX_ENTRIES: Final = 20_000
MAX_CHARACTERS: Final = 32_000_000
"""Kept in all; beyond either limit the oldest entries are forgotten, and counted."""
MAX_TEXT: Final = 65_536
"""Characters kept of one body or frame; of a longer one the beginning, and its length."""

Direction: TypeAlias = Literal["c2s", "s2c"]
Kind: TypeAlias = Literal[
    "http_request", "http_response", "ws_open", "ws_accept", "ws_text", "ws_binary", "ws_close", "tcp_close"
]

REDACTED: Final = "[redacted]"
_SECRET_NAME: Final = re.compile(r"auth|cookie|key|token|secret|password|signature|credential", re.IGNORECASE)
_NOT_SECRET: Final = frozenset({"sec-websocket-key", "sec-websocket-accept"})
_MIN_SECRET: Final = 8
"""A key shorter than this is a test's own, and may well be a word of its texts."""
_MAX_SECRETS: Final = 64
"""Keys looked for in all later texts; those of the first calls."""


@dataclass(slots=True)
class WireEntry:
    """One thing that went over the wire."""

    number: int
    """From 1, without gaps."""
    at_s: float
    """Seconds since the answerer started."""
    direction: Direction
    kind: Kind
    call_id: str | None
    fields: JsonObject = field(repr=False)

    def as_json(self) -> JsonObject:
        """Return the entry as the report holds it."""
        return {
            "number": self.number,
            "at_s": round(self.at_s, 4),
            "direction": self.direction,
            "kind": self.kind,
            "call_id": self.call_id,
            **self.fields,
        }


class WireLog:
    """The log, and the clock its times are of."""

    def __init__(self, clock: Clock) -> None:
        self.n_forgotten = 0
        self._clock = clock
        self.started_at_s = clock.now_s()
        self._entries: deque[WireEntry] = deque()
        self._sizes: deque[int] = deque()
        self._n_characters = 0
        self._secrets: dict[str, None] = {}

    def now_s(self) -> float:
        """Return the seconds since the answerer started."""
        return self._clock.now_s() - self.started_at_s

    @property
    def last_number(self) -> int:
        """The number of the latest entry, 0 before the first."""
        return self.n_forgotten + len(self._entries)

    def since(self, number: int, limit: int = MAX_ENTRIES) -> list[WireEntry]:
        """Return the entries after that number, the latest `limit` of them, in order."""
        n_wanted = min(limit, self.last_number - number, len(self._entries))
        return list(islice(reversed(self._entries), max(0, n_wanted)))[::-1]

    def add(self, direction: Direction, kind: Kind, call_id: str | None = None, **fields: object) -> WireEntry:
        """Keep an entry; keys seen before are taken out of its texts."""
        kept = {name: self.scrubbed(value) for name, value in fields.items()}
        entry = WireEntry(self.last_number + 1, self.now_s(), direction, kind, call_id, kept)
        self._entries.append(entry)
        self._sizes.append(sum(len(value) for value in kept.values() if isinstance(value, str)) + 200)
        self._n_characters += self._sizes[-1]
        while len(self._entries) > MAX_ENTRIES or self._n_characters > MAX_CHARACTERS:
            self._entries.popleft()
            self._n_characters -= self._sizes.popleft()
            self.n_forgotten += 1
        return entry

    def add_frame(self, direction: Direction, frame: str | bytes, call_id: str | None) -> None:
        """Keep a frame of a sideband."""
        if isinstance(frame, str):
            self.add(direction, "ws_text", call_id, **_text("text", frame))
        else:
            self.add(direction, "ws_binary", call_id, **_base64("base64", frame))

    def headers(self, headers: Iterable[tuple[str, str]]) -> list[list[str]]:
        """Return headers fit to be kept, and remember their keys."""
        return [[name, self._without_secret(name, value)] for name, value in headers]

    def target(self, target: str) -> str:
        """Return a path with its query fit to be kept, and remember its keys."""
        path, mark, query = target.partition("?")
        pairs = [pair.partition("=") for pair in query.split("&")]
        return path + mark + "&".join(name + sign + self._without_secret(name, value) for name, sign, value in pairs)

    def scrubbed(self, value: object) -> object:
        """Return a JSON value without the keys seen so far."""
        if isinstance(value, str):
            for secret in self._secrets:
                value = value.replace(secret, REDACTED)
        elif isinstance(value, list):
            return [self.scrubbed(one) for one in value]
        elif isinstance(value, dict):
            return {name: self.scrubbed(one) for name, one in value.items()}
        return value

    def _without_secret(self, name: str, value: str) -> str:
        if not _SECRET_NAME.search(name) or name.lower() in _NOT_SECRET:
            return value
        scheme, space, rest = value.partition(" ")
        secret = rest if space else value
        if len(secret) >= _MIN_SECRET and len(self._secrets) < _MAX_SECRETS:
            self._secrets[secret] = None
        return f"{scheme} {REDACTED}" if space else REDACTED


def body_fields(body: bytes) -> JsonObject:
    """Return a body as the log keeps it: as text if it is any, else in base64."""
    try:
        return _text("body", body.decode())
    except UnicodeDecodeError:
        return _base64("body_base64", body)


def _text(name: str, text: str) -> JsonObject:
    if len(text) <= MAX_TEXT:
        return {name: text}
    return {name: text[:MAX_TEXT], "cut_from_characters": len(text)}


def _base64(name: str, data: bytes) -> JsonObject:
    kept = base64.b64encode(data[: MAX_TEXT * 3 // 4]).decode()
    whole: JsonObject = {name: kept, "n_bytes": len(data)}
    return whole
