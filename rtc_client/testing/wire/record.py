"""What one fake answerer has seen: requests, handshakes, violations, in bounded lists."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from rtc_client.testing.wire.bell import Bell
from rtc_client.testing.wire.stalls import Stalls
from rtc_client.testing.wire.wire_log import WireLog

LIMIT: Final = 10_000
"""Entries kept of each kind; a test double that runs for days stays small."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something the protocol demands of a client, and this client did not do. Holds no value that it sent."""

    section: str
    """Section of the protocol notes that demands it."""
    message: str
    call_id: str | None = None
    """None when the request belongs to no call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenRequest:
    """One HTTP request as it came over the wire."""

    method: str
    """Of HTTP: `POST`, `GET`."""
    target: str = field(repr=False)
    """Path with query, undecoded; a provider's query may hold a key."""
    headers: list[tuple[str, str]] = field(repr=False)
    """In wire order and wire case."""
    body: bytes = field(repr=False)
    at_s: float
    """Seconds since the answerer started."""
    late_s: float = 0.0
    """How much earlier it may have come, seconds: for so long the answerer's loop stood still in the second before."""
    http_version: str = "1.1"
    """`1.1`, as a rule."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's pairs in order, undecoded."""
        pairs = self.target.partition("?")[2]
        return [(name, value) for name, _, value in (pair.partition("=") for pair in pairs.split("&") if pair)]

    def header_values(self, name: str) -> list[str]:
        """Return every value of a header, whatever its case."""
        return [value for other, value in self.headers if other.lower() == name.lower()]

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next(iter(self.header_values(name)), None)


@dataclass(slots=True)
class Record:
    """Everything seen so far, and a bell that rings at each addition."""

    wire: WireLog = field(repr=False)
    stalls: Stalls = field(repr=False)
    requests: list[SeenRequest] = field(default_factory=list)
    handshakes: list[SeenRequest] = field(default_factory=list)
    violations: list[Violation] = field(default_factory=list)
    n_dropped: int = 0
    """Entries not kept because a list was full."""
    is_lenient: bool = False
    """Whether only what was refused is kept of the violations."""
    bell: Bell = field(default_factory=Bell, repr=False)
    _by_call: dict[str, list[Violation]] = field(default_factory=dict, repr=False)

    def saw_request(self, request: SeenRequest) -> None:
        """Keep a request."""
        self._keep(self.requests, request)

    def saw_handshake(self, request: SeenRequest) -> None:
        """Keep a request to join a sideband."""
        self._keep(self.handshakes, request)

    def blame(self, violations: list[Violation], call_id: str | None, *, refused: bool = False) -> None:
        """Keep violations of one call; `refused` says that no call, or no sideband, can come of them."""
        for violation in violations if refused or not self.is_lenient else []:
            blamed = replace(violation, call_id=call_id)
            if self._keep(self.violations, blamed) and call_id is not None:
                self._by_call.setdefault(call_id, []).append(blamed)

    def violations_of(self, call_id: str) -> list[Violation]:
        """Return the violations of one call, in order."""
        return self._by_call.get(call_id, [])

    def _keep(self, entries: list[SeenRequest] | list[Violation], entry: object) -> bool:
        is_room = len(entries) < LIMIT
        if is_room:
            entries.append(entry)  # type: ignore[arg-type]
        else:
            self.n_dropped += 1
        self.bell.ring()
        return is_room
