"""Simple named faults, queued: each POST and each handshake takes the next one; applying them is `server.py`'s.

A program under test meets what it must survive: `answerer.faults.refuse_post(503, times=2)`.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias, TypeVar

LIMIT: Final = 10_000
"""Faults waiting at once, of each kind."""

Headers: TypeAlias = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Refuse:
    """Answer with this status instead of doing what was asked."""

    status: int
    headers: Headers = ()
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Hold:
    """Do what was asked, but answer only after so many seconds; `math.inf` for never."""

    for_s: float


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the TCP connection without an answer."""


@dataclass(frozen=True, slots=True)
class ChangeLocation:
    """Answer the offer with another Location (`{call_id}` in it is replaced), or none."""

    location: str | None


@dataclass(frozen=True, slots=True)
class ChangeAnswer:
    """Answer the offer with another body, content type or status."""

    body: bytes | None = field(default=None, repr=False)
    content_type: str | None = None
    status: int | None = None


@dataclass(frozen=True, slots=True)
class DeadCandidates:
    """Answer with candidates at which nobody is, and send nothing: ICE never connects."""


@dataclass(frozen=True, slots=True)
class WrongFingerprint:
    """Answer with the fingerprint of another certificate: ICE connects, DTLS must not."""


PostFault: TypeAlias = Refuse | Hold | Drop | ChangeLocation | ChangeAnswer | DeadCandidates | WrongFingerprint
SidebandFault: TypeAlias = Refuse | Hold | Drop

_F = TypeVar("_F")


class Faults:
    """The faults still to come, for POSTs and for sideband handshakes, each in the order they were asked for."""

    def __init__(self) -> None:
        self._posts: deque[PostFault] = deque()
        self._handshakes: deque[SidebandFault] = deque()

    @property
    def n_waiting(self) -> int:
        """Faults that nobody has met yet."""
        return len(self._posts) + len(self._handshakes)

    def clear(self) -> None:
        """Forget the faults that nobody has met yet."""
        self._posts.clear()
        self._handshakes.clear()

    def refuse_post(self, status: int, *, headers: Headers = (), body: str | bytes = b"", times: int = 1) -> None:
        """Answer the next POSTs with this status; no call comes of them."""
        _queue(self._posts, Refuse(status, headers, _bytes(body)), times)

    def redirect_post(self, location: str, *, status: int = 302, times: int = 1) -> None:
        """Answer the next POSTs with a redirect."""
        _queue(self._posts, Refuse(status, (("Location", location),)), times)

    def drop_post(self, *, times: int = 1) -> None:
        """Close the connection of the next POSTs once they were read."""
        _queue(self._posts, Drop(), times)

    def hold_answer(self, for_s: float = math.inf, *, times: int = 1) -> None:
        """Hold the answers to the next POSTs for so many seconds, or for ever. The call exists meanwhile."""
        _queue(self._posts, Hold(for_s), times)

    def change_location(self, location: str | None, *, times: int = 1) -> None:
        """Answer the next POSTs with this Location, in which `{call_id}` is replaced; None leaves it out."""
        _queue(self._posts, ChangeLocation(location), times)

    def change_answer(
        self,
        body: str | bytes | None = None,
        *,
        content_type: str | None = None,
        status: int | None = None,
        times: int = 1,
    ) -> None:
        """Answer the next POSTs with this body, content type or status; None leaves a thing as it is."""
        _queue(self._posts, ChangeAnswer(None if body is None else _bytes(body), content_type, status), times)

    def dead_candidates(self, *, times: int = 1) -> None:
        """Answer the next POSTs with candidates that lead nowhere."""
        _queue(self._posts, DeadCandidates(), times)

    def wrong_fingerprint(self, *, times: int = 1) -> None:
        """Answer the next POSTs with a fingerprint that no certificate has."""
        _queue(self._posts, WrongFingerprint(), times)

    def refuse_sideband(self, status: int, *, headers: Headers = (), body: str | bytes = b"", times: int = 1) -> None:
        """Refuse the next sideband handshakes with this status."""
        _queue(self._handshakes, Refuse(status, headers, _bytes(body)), times)

    def redirect_sideband(self, location: str, *, status: int = 302, times: int = 1) -> None:
        """Answer the next sideband handshakes with a redirect."""
        _queue(self._handshakes, Refuse(status, (("Location", location),)), times)

    def hold_sideband(self, for_s: float = math.inf, *, times: int = 1) -> None:
        """Answer the next sideband handshakes only after so many seconds, or never."""
        _queue(self._handshakes, Hold(for_s), times)

    def drop_sideband(self, *, times: int = 1) -> None:
        """Close the connection of the next sideband handshakes without an answer."""
        _queue(self._handshakes, Drop(), times)

    def next_for_post(self) -> PostFault | None:
        """Take the fault that the POST just read shall meet."""
        return self._posts.popleft() if self._posts else None

    def next_for_handshake(self) -> SidebandFault | None:
        """Take the fault that the handshake just read shall meet."""
        return self._handshakes.popleft() if self._handshakes else None


def _queue(waiting: deque[_F], fault: _F, times: int) -> None:
    if times < 1 or len(waiting) + times > LIMIT:
        raise ValueError(f"need 1 <= times, and at most {LIMIT} faults waiting")
    waiting.extend([fault] * times)


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body
