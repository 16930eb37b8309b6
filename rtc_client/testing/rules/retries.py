"""What the protocol demands of repeated requests (sections 3 and 4): when, how often, and after what. Pure.

A POST is repeated when session id and body are the same, a handshake when its call id is.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

from rtc_client.testing.wire.record import SeenRequest, Violation

MAX_TRIES: Final = 5
DELAYS_S: Final = (0.2, 0.4, 0.8, 1.6)
"""Before tries 2 to 5, each ±10 %. A try may come late (a busy machine), never early."""
MAX_KEPT: Final = 2_000
"""Requests remembered of each kind; the oldest are forgotten."""

_POST: Final = "3"
_HANDSHAKE: Final = "4"
_EARLIEST: Final = 0.9
_CLOCK_SLACK_S: Final = 0.005
_FINAL: Final = {400, 401, 403, 404, 422, 429}

REUSED_KEY: Final = Violation(_HANDSHAKE, "each handshake must have a fresh Sec-WebSocket-Key")


@dataclass(slots=True)
class _Tried:
    """A request as often as it came."""

    at_s: float
    late_s: float = 0.0
    """How much earlier it may have come."""
    n_failed: int = 0
    """Failures in a row."""
    status: int | None = None
    """Of the last answer; None while it is not answered."""
    retry_after_s: float | None = None
    authorization: str | None = field(default=None, repr=False)


class Tries:
    """Follows the requests of one answerer. All times are seconds of one clock."""

    def __init__(self) -> None:
        self._posts: OrderedDict[Hashable, _Tried] = OrderedDict()
        self._handshakes: OrderedDict[Hashable, _Tried] = OrderedDict()
        self._keys: deque[str] = deque(maxlen=MAX_KEPT)

    def post_came(self, post: SeenRequest) -> list[Violation]:
        """Judge whether a POST may be sent at this time."""
        last = _taken(self._posts, _post_key(post), post)
        if last is None:
            return []
        if last.status is None:
            return [Violation(_POST, "an offer must not be repeated before its answer has come")]
        if 200 <= last.status < 300:
            return [Violation(_POST, "an offer that was answered must not be repeated")]
        if last.status == 401 and post.header("authorization") not in (None, last.authorization):
            return []  # another key: the reference client has but one
        if last.status in _FINAL and last.retry_after_s is None:
            return [Violation(_POST, f"an offer that was refused with {last.status} must not be repeated")]
        if last.retry_after_s is not None:
            # The reference client does not try again; one that does has to wait as asked (RFC 9110 section 10.2.3).
            is_early = _apart_s(last, post.at_s) < last.retry_after_s - _CLOCK_SLACK_S
            return [Violation(_POST, "an offer must not be repeated before Retry-After says")] if is_early else []
        return _check_schedule(last, post.at_s, _POST, "an offer")

    def post_answered(self, post: SeenRequest, status: int, retry_after: str | None = None) -> None:
        """Take note of what a POST got; a connection that was closed without an answer counts as 503."""
        wait_s = float(retry_after) if retry_after is not None and retry_after.isdecimal() else None
        _note(self._posts, _post_key(post), post.at_s, status, wait_s)

    def handshake_came(self, handshake: SeenRequest, call_id: str) -> list[Violation]:
        """Judge whether a handshake may be sent at this time, and its key."""
        key = handshake.header("sec-websocket-key") or ""
        found = [REUSED_KEY] if key in self._keys else []
        self._keys.append(key)
        last = _taken(self._handshakes, call_id, handshake)
        # Giving up a handshake that is never answered is better than what the reference client does: to wait for ever.
        if last is None or last.status in (None, 101):
            return found
        if last.status == 401 and handshake.header("authorization") not in (None, last.authorization):
            return found  # another key: the reference client has but one
        return found + _check_schedule(last, handshake.at_s, _HANDSHAKE, "a handshake")

    def handshake_answered(self, handshake: SeenRequest, call_id: str, status: int) -> None:
        """Take note of what a handshake got: 101, or a refusal."""
        _note(self._handshakes, call_id, handshake.at_s, status, None)


def _post_key(post: SeenRequest) -> Hashable:
    return post.header("x-session-id"), hashlib.sha256(post.body).digest()


def _taken(tried: OrderedDict[Hashable, _Tried], key: Hashable, request: SeenRequest) -> _Tried | None:
    """Return the last try, and put the one that begins now in its place."""
    last = tried.get(key)
    n_failed = 0 if last is None else last.n_failed
    tried[key] = _Tried(request.at_s, request.late_s, n_failed, authorization=request.header("authorization"))
    tried.move_to_end(key)
    while len(tried) > MAX_KEPT:
        tried.popitem(last=False)
    return last


def _note(
    tried: OrderedDict[Hashable, _Tried], key: Hashable, at_s: float, status: int, retry_after_s: float | None
) -> None:
    now = tried.get(key)
    if now is None or now.at_s != at_s:  # another try has come meanwhile
        return
    now.status, now.retry_after_s = status, retry_after_s
    now.n_failed = 0 if status < 400 else now.n_failed + 1


def _apart_s(last: _Tried, at_s: float) -> float:
    """Return how far apart two tries were at most: the first may have waited for the answerer, and looks late."""
    return at_s - last.at_s + last.late_s


def _check_schedule(last: _Tried, at_s: float, section: str, what: str) -> list[Violation]:
    if last.n_failed >= MAX_TRIES:
        return [Violation(section, f"{what} must not be tried more than {MAX_TRIES} times")]
    delay_s = DELAYS_S[last.n_failed - 1] if last.n_failed else 0.0
    if _apart_s(last, at_s) < _EARLIEST * delay_s - _CLOCK_SLACK_S:
        return [Violation(section, f"{what} must not be tried again before {round(1000 * delay_s)} ms, less 10 %")]
    return []
