"""EventLeg: the sidebands of one call, the messages on them, and the events that wait for one to be joined.

What goes out is decided by the agent (`testing/scenario/performance.py`) or a test, what came in is judged by
`testing/rules/requests.py`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from rtc_client.clock import Clock
from rtc_client.testing.calls.conversation import Conversation
from rtc_client.testing.calls.sideband import Sideband
from rtc_client.testing.calls.websocket_call import Direct
from rtc_client.testing.cassette.playback import play
from rtc_client.testing.cassette.tape import Tape
from rtc_client.testing.faults.effects import LoseSideband
from rtc_client.testing.faults.event_corruption import EventCorrupter
from rtc_client.testing.faults.faults import Fault
from rtc_client.testing.rules import requests as strict
from rtc_client.testing.wire import server_events as events
from rtc_client.testing.wire.bell import Bell
from rtc_client.testing.wire.record import Violation
from rtc_client.testing.wire.server_events import JsonObject

log = logging.getLogger(__name__)

MAX_FRAMES_KEPT: Final = 10_000
MAX_EVENTS_HELD: Final = 1_000
"""Events kept for a sideband that is not joined yet; the oldest are dropped first."""

_END_OF_CALL: Final = (None, 1000, 1001, 1005)
"""Close codes by which a client ends the call. A bare TCP close is one (section 8); a code for a failure is none: the
client may rejoin."""


class EventLeg:
    """Everything said over the sidebands of one call."""

    def __init__(
        self,
        session: JsonObject,
        *,
        session_id: str,
        bell: Bell,
        conversation: Conversation,
        blame: Callable[[list[Violation]], None],
        on_message: Callable[[JsonObject], None],
        faults: Callable[[], Sequence[Fault]],
        on_closed_by_client: Callable[[], object],
        clock: Clock,
        lost_s: Callable[[float, float], float],
        is_lenient: bool,
        tape: Tape | None = None,
        direct: Direct | None = None,
    ) -> None:
        """`session` is that of the POST. `on_message` gets each message, `faults` returns those there are.

        If `is_lenient`, a client that never introduces its session is told events as well. With a `tape` all events
        are the tape's, and the client is compared with it. `direct` is there for a call over a websocket. `lost_s`
        tells how long our own loop stood still between two times.
        """
        self._direct = direct
        self._clock, self._lost_s, self._is_lenient, self._tape = clock, lost_s, is_lenient, tape
        self._requested_handoffs: set[str] = set()
        self.received: list[JsonObject] = []
        self.received_frames: list[str | bytes] = []
        self.sent: list[JsonObject] = []
        self.n_joined = 0
        self.conversation = conversation
        self.client_close_code: int | None = None
        self._session, self._session_id, self._bell = session, session_id, bell
        self._blame, self._on_message, self._on_closed_by_client = blame, on_message, on_closed_by_client
        self._faults = faults
        self._sideband: Sideband | None = None
        self.is_session_known = False
        """Whether the client on the sideband has introduced its session."""
        self._held: deque[JsonObject | str | bytes] = deque(maxlen=MAX_EVENTS_HELD)
        self._spoiler = EventCorrupter()
        self._n_sent_since_joined = 0
        self._n_lost: dict[Fault, int] = {}

    @property
    def is_joined(self) -> bool:
        """Whether a client is at the other end just now."""
        return self._sideband is not None

    async def serve(self, sideband: Sideband) -> None:
        """Read a sideband that was just joined, to its end. It takes the place of an earlier one."""
        self.drop()
        self._sideband, self.is_session_known, self._n_sent_since_joined = sideband, self._is_lenient, 0
        if self._tape is not None:
            self.is_session_known = True
            self._tape.joined(self._clock.now_s())
        self.n_joined += 1
        self._bell.ring()
        is_first, joined_s = True, self._clock.now_s()
        async for frame in sideband.frames():
            if is_first:
                self._judge_promptness(joined_s)
            await self._take(frame, is_first=is_first)
            is_first = False
        if is_first:
            self._judge_promptness(joined_s)
        if not sideband.is_ended_by_us:
            self._blame(strict.check_close_code(sideband.client_close_code))
        if self._sideband is not sideband:
            return
        self._sideband = None
        self.client_close_code = sideband.client_close_code
        self._bell.ring()
        if not sideband.is_ended_by_us and sideband.client_close_code in _END_OF_CALL:
            self._on_closed_by_client()

    async def send(self, frame: str | bytes) -> None:
        """Send a frame now.

        Raises:
            ConnectionError: If no sideband is joined, or it has just ended.
        """
        if self._sideband is None:
            raise ConnectionError("no sideband is joined")
        if isinstance(frame, str) and (handoff_id := events.requested_handoff(frame)) is not None:
            self._requested_handoffs.add(handoff_id)
        if isinstance(frame, str) and self._direct is not None:
            self._direct.judge.sent(frame)
        await self._sideband.send(frame)

    async def send_event(self, event: JsonObject) -> None:
        """Send an event now, and keep it in `sent`.

        Raises:
            ConnectionError: If no sideband is joined, or it has just ended.
        """
        if self._sideband is None:
            raise ConnectionError("no sideband is joined")
        for frame in self._spoiler.spoil(events.dump(event), self._faults(), self._clock.now_s()):
            await self.send(frame)
        _keep(self.sent, event)
        self.conversation.sent(event)
        self._bell.ring()
        self._n_sent_since_joined += 1
        await self._lose()

    def hold(self, event: JsonObject | str | bytes) -> None:
        """Let an event, or a frame as it is, go out as soon as a client has joined and introduced its session."""
        self._held.append(event)

    async def flush(self) -> None:
        """Send the events held, if there is somebody to send them to."""
        while self._held and self.is_session_known and self._sideband is not None:
            await self._tell(self._held.popleft())
        with suppress(ConnectionError):
            for frame in self._spoiler.overdue(self._faults(), self._clock.now_s()):
                await self.send(frame)
            await self._lose()

    async def close(self, code: int, reason: str = "") -> None:
        """Close the sideband, if there is one, with this close frame."""
        if (sideband := self._sideband) is not None:
            await sideband.close(code, reason)
            self.client_close_code = sideband.client_close_code

    def drop(self) -> None:
        """Abort the TCP connection of the sideband, if there is one."""
        if self._sideband is not None:
            self._sideband.drop()

    async def _take(self, frame: str | bytes, *, is_first: bool) -> None:
        if self._direct is not None and isinstance(frame, str) and not is_first and self._direct.took_sound(frame):
            return
        if len(self.received_frames) < MAX_FRAMES_KEPT:
            self.received_frames.append(frame)
        if self._tape is not None:
            self._blame(self._tape.client_sent(frame, self._clock.now_s()))
            # At once, as a server reacts; what ends this sideband is not for the one who reads it to do.
            await play(self._tape, self, self._clock.now_s(), frames_only=True)
        if isinstance(frame, bytes):
            self._blame([strict.BINARY_FRAME])
            return
        if self._direct is not None:
            self._blame(self._direct.judge.first_message(frame) if is_first else self._direct.judge.later_frame(frame))
        elif is_first:
            self._blame(strict.check_first_frame(frame, self._session))
        else:
            self._blame(strict.check_later_frame(frame, self._requested_handoffs))
        parsed = events.parse_object(frame)
        if parsed is None:
            return
        _keep(self.received, parsed)
        self.conversation.received(parsed)
        self._bell.ring()
        for message in [parsed] if self._direct is None else self._direct.understood(parsed):
            self._on_message(message)
        if self._direct is not None:
            self._direct.peer.take(parsed)
        if parsed.get("type") == "session.update" and self._tape is None:
            kind = "quicksilver" if self._direct is None else self._direct.session_type
            await self._tell(events.session_updated(self._session_id, {"type": kind}))
            self.is_session_known = True

    def _judge_promptness(self, joined_s: float) -> None:
        now_s = self._clock.now_s()
        if now_s - joined_s - self._lost_s(joined_s, now_s) > strict.FIRST_FRAME_LIMIT_S:
            self._blame([strict.LATE_FIRST_FRAME])

    async def _lose(self) -> None:
        """Break the sideband, if a fault wants that of it now."""
        for fault in self._faults():
            loss, n_lost = fault.effect, self._n_lost.get(fault, 0)
            if not isinstance(loss, LoseSideband) or n_lost >= loss.times or self._sideband is None:
                continue
            if self.is_session_known and self._n_sent_since_joined >= loss.after_events:
                self._n_lost[fault] = n_lost + 1
                fault.met()
                if loss.code is None:
                    self.drop()
                else:
                    await self.close(loss.code)

    async def _tell(self, event: JsonObject | str | bytes) -> None:
        try:
            await (self.send_event(event) if isinstance(event, dict) else self.send(event))
        except ConnectionError:
            log.debug("an event was not sent: the sideband has just ended")


def _keep(frames: list[JsonObject], frame: JsonObject) -> None:
    if len(frames) < MAX_FRAMES_KEPT:
        frames.append(frame)
