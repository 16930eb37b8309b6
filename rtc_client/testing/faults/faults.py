"""Named faults: a program under test meets what it must survive.

    answerer.faults.refuse_post(503, times=2)        the next two POSTs meet it

    with answerer.faults.stop_audio():               every call meets it, up to the end of the block
        ...

A fault begins when its method is called. It ends when its block is left, by `end()` or by `clear()`, or when it has
been met as often as it was asked for. `answerer.faults` is for all calls, `call.faults` for that call alone.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self, TypeAlias, TypeVar

from rtc_client.testing.faults.effects import (
    ERRORS,
    BlockDtls,
    CallFault,
    ChangeAnswer,
    ChangeLocation,
    ChangeSdp,
    Drop,
    ExpireSession,
    Headers,
    Hold,
    LoseSideband,
    PostFault,
    Refuse,
    RestFault,
    SendError,
    SidebandFault,
    SpoilEvents,
    StopAudio,
    Vanish,
)
from rtc_client.testing.wire import sdp_text

LIMIT: Final = 10_000
"""Faults waiting at once, of each kind."""

Effect: TypeAlias = PostFault | SidebandFault | RestFault | CallFault | None
E_ = TypeVar("E_", bound=Effect)
Method = TypeVar("Method", bound=Callable[..., object])

MET_BY_POSTS: Final[set[str]] = set()
"""Names of the faults that a POST meets: begun during a call they are for the calls to come."""


def met_by_posts(method: Method) -> Method:
    """Add a fault to `MET_BY_POSTS`."""
    MET_BY_POSTS.add(method.__name__)
    return method


class Fault:
    """One fault that has begun, made by `Faults`; as a context manager (plain or async) it ends with its block."""

    def __init__(self, name: str, effect: Effect, end: Callable[[Fault], None], n_left: int | None = None) -> None:
        self.name = name
        self.n_met = 0
        """How often it was met: by requests, by calls, or by events, whatever it is about."""
        self.n_left = n_left
        """How often it may still be met; None for as often as it comes."""
        self.effect = effect
        self._end = end
        self.change: asyncio.Task[None] | None = None
        """What still has to happen for it to begin, or to end; an `async with` waits for that."""

    def __repr__(self) -> str:
        return f"Fault({self.name!r}, n_met={self.n_met})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    async def __aenter__(self) -> Self:
        await self._settle()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()
        await self._settle()

    def met(self) -> None:
        """Count that it was met."""
        self.n_met += 1
        if self.n_left is not None:
            self.n_left -= 1
            if self.n_left == 0:
                self.end()

    def end(self) -> None:
        """End it. Safe to call twice."""
        self._end(self)

    async def _settle(self) -> None:
        if self.change is not None:
            await asyncio.wait({self.change})


class Faults:
    """The faults that have begun, of one answerer or of one call. Every method that begins one is a fault by its name.

    `times` says how many requests meet a fault, one after the other; None: all of them, up to its end. Faults of the
    same kind are met in the order in which they began.

    Raises:
        ValueError: By every method that begins one: what is asked for is out of range, is not about what these faults
            are about, or there are 10,000 already.
    """

    def __init__(self, listen: Callable[[bool], asyncio.Task[None]] | None = None) -> None:
        """`listen` opens and closes the answerer's port; None where there is none to close."""
        self._listen = listen
        self._posts: deque[Fault] = deque()
        self._handshakes: deque[Fault] = deque()
        self._rest: deque[Fault] = deque()
        self._in_calls: deque[Fault] = deque()
        self._refusing: deque[Fault] = deque()

    @property
    def n_waiting(self) -> int:
        """Faults that nobody has met yet; one that is to be met so many times counts as so many."""
        queued = [*self._posts, *self._handshakes, *self._rest]
        return sum(fault.n_left or 0 for fault in queued) + sum(
            not fault.n_met for fault in (*queued, *self._in_calls) if fault.n_left is None
        )

    @property
    def in_calls(self) -> tuple[Fault, ...]:
        """The faults about the media, the sideband and the events of calls, in the order in which they began."""
        return tuple(self._in_calls)

    def clear(self) -> None:
        """End all faults."""
        for waiting in (self._posts, self._handshakes, self._rest, self._in_calls, self._refusing):
            for fault in list(waiting):
                fault.end()

    # The offer.

    @met_by_posts
    def refuse_connections(self) -> Fault:
        """Close the port: nobody can connect (connections that are there stay). It opens again when this ends."""
        listen = self._listen
        if listen is None:
            raise ValueError("refuse_connections is about the whole answerer: begin it by answerer.faults")

        def end(fault: Fault) -> None:
            if fault in self._refusing:
                self._refusing.remove(fault)
                if not self._refusing:
                    fault.change = listen(True)

        fault = Fault("refuse_connections", None, end)
        if not self._refusing:
            fault.change = listen(False)
        self._refusing.append(fault)
        return fault

    @met_by_posts
    def refuse_post(
        self, status: int, *, headers: Headers = (), body: str | bytes = b"", times: int | None = 1
    ) -> Fault:
        """Answer POSTs with this status; no call comes of them."""
        return self._queue(self._posts, "refuse_post", _refusal(status, headers, body), times)

    @met_by_posts
    def redirect_post(self, location: str, *, status: int = 302, times: int | None = 1) -> Fault:
        """Answer POSTs with a redirect to `location`, whatever stands there."""
        return self._queue(self._posts, "redirect_post", _refusal(status, (("Location", location),)), times)

    @met_by_posts
    def drop_post(self, *, times: int | None = 1) -> Fault:
        """Close the connection of POSTs once they were read, without an answer."""
        return self._queue(self._posts, "drop_post", Drop(), times)

    @met_by_posts
    def hold_answer(self, for_s: float = math.inf, *, times: int | None = 1) -> Fault:
        """Hold the answers to POSTs for so many seconds, or for ever. The call exists meanwhile."""
        return self._queue(self._posts, "hold_answer", Hold(_seconds(for_s)), times)

    @met_by_posts
    def change_location(self, location: str | None = None, *, times: int | None = 1) -> Fault:
        """Answer POSTs with this Location, in which `{call_id}` is replaced; None leaves it out."""
        return self._queue(self._posts, "change_location", ChangeLocation(location), times)

    @met_by_posts
    def change_answer(
        self,
        body: str | bytes | None = None,
        *,
        content_type: str | None = None,
        status: int | None = None,
        times: int | None = 1,
    ) -> Fault:
        """Answer POSTs with this body, content type or status; None leaves a thing as it is."""
        effect = ChangeAnswer(None if body is None else _bytes(body), content_type, status)
        return self._queue(self._posts, "change_answer", effect, times)

    @met_by_posts
    def garble_answer(self, *, times: int | None = 1) -> Fault:
        """Answer POSTs with a body that is not UTF-8."""
        return self._queue(self._posts, "garble_answer", ChangeAnswer(b"v=0\r\n\xff\xfe\r\n"), times)

    @met_by_posts
    def answer_without_audio(self, *, times: int | None = 1) -> Fault:
        """Answer POSTs with an answer that holds no audio m-line."""
        return self._queue(self._posts, "answer_without_audio", ChangeSdp(sdp_text.without_audio), times)

    @met_by_posts
    def answer_without_candidates(self, *, times: int | None = 1) -> Fault:
        """Answer POSTs with an answer that names no candidate; the answerer still asks for the caller's."""
        return self._queue(self._posts, "answer_without_candidates", ChangeSdp(sdp_text.without_candidates), times)

    @met_by_posts
    def dead_candidates(self, *, times: int | None = 1) -> Fault:
        """Answer POSTs with candidates at which nobody is, and send nothing: ICE never completes."""
        effect = ChangeSdp(sdp_text.with_dead_candidates, is_mute=True)
        return self._queue(self._posts, "dead_candidates", effect, times)

    @met_by_posts
    def wrong_fingerprint(self, *, times: int | None = 1) -> Fault:
        """Answer POSTs with a fingerprint that no certificate has: ICE connects, DTLS must not."""
        return self._queue(self._posts, "wrong_fingerprint", ChangeSdp(sdp_text.with_wrong_fingerprint), times)

    # The media.

    def block_dtls(self) -> Fault:
        """Let no DTLS through: ICE connects, and the handshake above it never completes."""
        return self._add("block_dtls", BlockDtls())

    def late_audio(self, for_s: float) -> Fault:
        """Send no RTP for so many seconds after media connected."""
        return self._add("late_audio", StopAudio(_seconds(for_s)))

    def stop_audio(self) -> Fault:
        """Send no RTP, while ICE and the sideband live on. What the agent says meanwhile is lost."""
        return self._add("stop_audio", StopAudio())

    def vanish(self) -> Fault:
        """Send no datagram and answer none, and tell nobody. The sideband stays."""
        return self._add("vanish", Vanish())

    # The sideband.

    def refuse_sideband(
        self, status: int, *, headers: Headers = (), body: str | bytes = b"", times: int | None = 1
    ) -> Fault:
        """Refuse sideband handshakes with this status."""
        return self._queue(self._handshakes, "refuse_sideband", _refusal(status, headers, body), times)

    def redirect_sideband(self, location: str, *, status: int = 302, times: int | None = 1) -> Fault:
        """Answer sideband handshakes with a redirect to `location`, whatever stands there."""
        return self._queue(self._handshakes, "redirect_sideband", _refusal(status, (("Location", location),)), times)

    def hold_sideband(self, for_s: float = math.inf, *, times: int | None = 1) -> Fault:
        """Answer sideband handshakes only after so many seconds, or never."""
        return self._queue(self._handshakes, "hold_sideband", Hold(_seconds(for_s)), times)

    def drop_sideband(self, *, times: int | None = 1) -> Fault:
        """Close the connection of sideband handshakes without an answer."""
        return self._queue(self._handshakes, "drop_sideband", Drop(), times)

    def lose_sideband(self, code: int | None = None, *, after_events: int = 0, times: int = 1) -> Fault:
        """Break the sideband of each call `after_events` events after it was joined, so many times in a row.

        With a code by a close frame; without one by closing TCP.
        """
        if code is not None and not 1000 <= code < 5000:
            raise ValueError("need 1000 <= code < 5000, or None")
        if after_events < 0 or not 1 <= times <= LIMIT:
            raise ValueError(f"need after_events >= 0 and 1 <= times <= {LIMIT}")
        return self._add("lose_sideband", LoseSideband(code, after_events, times))

    # The requests beside a call, and the hang-up of one.

    def refuse_rest(
        self, status: int, *, headers: Headers = (), body: str | bytes = b"", times: int | None = 1
    ) -> Fault:
        """Answer hang-ups, and requests for SIP calls and client secrets, with this status; nothing is done."""
        return self._queue(self._rest, "refuse_rest", _refusal(status, headers, body), times)

    def hold_rest(self, for_s: float = math.inf, *, times: int | None = 1) -> Fault:
        """Answer hang-ups, and requests for SIP calls and client secrets, only after so many seconds, or never."""
        return self._queue(self._rest, "hold_rest", Hold(_seconds(for_s)), times)

    def drop_rest(self, *, times: int | None = 1) -> Fault:
        """Close the connection of hang-ups, and of requests for SIP calls and client secrets; nothing is done."""
        return self._queue(self._rest, "drop_rest", Drop(), times)

    # The events.

    def duplicate_events(self, copies: int = 2) -> Fault:
        """Send every event in so many `copies`, all with the same `event_id`."""
        if not 2 <= copies <= 100:
            raise ValueError("need 2 <= copies <= 100")
        return self._add("duplicate_events", SpoilEvents("duplicate", copies))

    def reorder_events(self, seed: int = 0) -> Fault:
        """Send events by threes, each three in another order; the seed says in which."""
        return self._add("reorder_events", SpoilEvents("reorder", seed))

    def malformed_events(self) -> Fault:
        """Before every event send the first half of it, which is no JSON."""
        return self._add("malformed_events", SpoilEvents("malformed"))

    def unknown_events(self) -> Fault:
        """Before every event send one of a type that nobody knows."""
        return self._add("unknown_events", SpoilEvents("unknown"))

    def binary_events(self) -> Fault:
        """Before every event send a binary frame."""
        return self._add("binary_events", SpoilEvents("binary"))

    def huge_events(self, n_bytes: int = 5_000_000) -> Fault:
        """Before every event send one that is `n_bytes` long, and well-formed."""
        if not 100 <= n_bytes <= 100_000_000:
            raise ValueError("need 100 <= n_bytes <= 100000000")
        return self._add("huge_events", SpoilEvents("huge", n_bytes))

    # The session.

    def expire_session(self, after_s: float = 0.0) -> Fault:
        """So long after the answer say in each call that its session has expired, and end it."""
        return self._add("expire_session", ExpireSession(_seconds(after_s)))

    def error_event(self, kind: str) -> Fault:
        """Send each call one error event of this kind; `effects.ERRORS` has them."""
        if kind not in ERRORS:
            raise ValueError(f"there is no error event {kind!r}; there are {', '.join(ERRORS)}")
        return self._add("error_event", SendError(ERRORS[kind]))

    # What the answerer asks.

    def next_for_post(self) -> PostFault | None:
        """Take the fault that the POST just read shall meet."""
        return _meet(self._posts)  # type: ignore[return-value]

    def next_for_handshake(self) -> SidebandFault | None:
        """Take the fault that the handshake just read shall meet."""
        return _meet(self._handshakes)  # type: ignore[return-value]

    def next_for_rest(self) -> RestFault | None:
        """Take the fault that the hang-up, or the request beside a call, just read shall meet."""
        return _meet(self._rest)  # type: ignore[return-value]

    def _add(self, name: str, effect: CallFault) -> Fault:
        if len(self._in_calls) >= LIMIT:
            raise ValueError(f"at most {LIMIT} faults at once")
        fault = Fault(name, effect, lambda fault: _remove(self._in_calls, fault))
        self._in_calls.append(fault)
        return fault

    def _queue(self, waiting: deque[Fault], name: str, effect: Effect, times: int | None) -> Fault:
        n_waiting = sum(fault.n_left or 1 for fault in waiting)
        if (times is not None and times < 1) or n_waiting + (times or 1) > LIMIT:
            raise ValueError(f"need 1 <= times, and at most {LIMIT} faults waiting")
        fault = Fault(name, effect, lambda fault: _remove(waiting, fault), times)
        waiting.append(fault)
        return fault


def _meet(waiting: deque[Fault]) -> Effect:
    if not waiting:
        return None
    fault = waiting[0]
    fault.met()
    return fault.effect


def _remove(waiting: deque[Fault], fault: Fault) -> None:
    if fault in waiting:
        waiting.remove(fault)


def _refusal(status: int, headers: Headers = (), body: str | bytes = b"") -> Refuse:
    if not 200 <= status <= 599:
        raise ValueError("need a status from 200 to 599")
    return Refuse(status, headers, _bytes(body))


def _seconds(value: float) -> float:
    if not value >= 0:
        raise ValueError("need 0 or more seconds")
    return value


def _bytes(body: str | bytes) -> bytes:
    return body.encode() if isinstance(body, str) else body
