"""The event leg of one call: sidebands that come and go, the frames on them, events held until one is joined.

What goes out is decided by the agent (`performance.py`) or a test, what came in is judged by `strict.py`.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from rtc_client.clock import Clock
from rtc_client.testing import events, strict
from rtc_client.testing.conversation import Conversation
from rtc_client.testing.events import JsonObject
from rtc_client.testing.record import Violation
from rtc_client.testing.sideband import Sideband
from rtc_client.testing.waiting import Bell

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
        on_text: Callable[[], None],
        on_closed_by_client: Callable[[], object],
        clock: Clock,
        is_lenient: bool,
    ) -> None:
        """`session` is that of the POST. `on_text` is told of each text for the agent.

        If `is_lenient`, a client that never introduces its session is told events as well.
        """
        self._clock, self._is_lenient = clock, is_lenient
        self._requested_handoffs: set[str] = set()
        self.received: list[JsonObject] = []
        self.received_frames: list[str | bytes] = []
        self.sent: list[JsonObject] = []
        self.n_joined = 0
        self.conversation = conversation
        self.client_close_code: int | None = None
        self._session, self._session_id, self._bell = session, session_id, bell
        self._blame, self._on_text, self._on_closed_by_client = blame, on_text, on_closed_by_client
        self._sideband: Sideband | None = None
        self._is_session_known = False
        self._held: deque[JsonObject] = deque(maxlen=MAX_EVENTS_HELD)

    @property
    def is_joined(self) -> bool:
        """Whether a client is at the other end just now."""
        return self._sideband is not None

    async def serve(self, sideband: Sideband) -> None:
        """Read a sideband that was just joined, to its end. It takes the place of an earlier one."""
        self.drop()
        self._sideband, self._is_session_known = sideband, self._is_lenient
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
        await self._sideband.send(frame)

    async def send_event(self, event: JsonObject) -> None:
        """Send an event now, and keep it in `sent`.

        Raises:
            ConnectionError: If no sideband is joined, or it has just ended.
        """
        await self.send(events.dump(event))
        _keep(self.sent, event)
        self.conversation.sent(event)
        self._bell.ring()

    def hold(self, event: JsonObject) -> None:
        """Let an event go out as soon as a client has joined and introduced its session."""
        self._held.append(event)

    async def flush(self) -> None:
        """Send the events held, if there is somebody to send them to."""
        while self._held and self._is_session_known and self._sideband is not None:
            await self._tell(self._held.popleft())

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
        if len(self.received_frames) < MAX_FRAMES_KEPT:
            self.received_frames.append(frame)
        if isinstance(frame, bytes):
            self._blame([strict.BINARY_FRAME])
            return
        if is_first:
            self._blame(strict.check_first_frame(frame, self._session))
        else:
            self._blame(strict.check_later_frame(frame, self._requested_handoffs))
        parsed = events.parse_object(frame)
        if parsed is None:
            return
        _keep(self.received, parsed)
        self.conversation.received(parsed)
        self._bell.ring()
        if parsed.get("type") == "session.update":
            await self._tell(events.session_updated(self._session_id))
            self._is_session_known = True
        elif events.text_of(parsed) is not None:
            self._on_text()

    def _judge_promptness(self, joined_s: float) -> None:
        if self._clock.now_s() - joined_s > strict.FIRST_FRAME_LIMIT_S:
            self._blame([strict.LATE_FIRST_FRAME])

    async def _tell(self, event: JsonObject) -> None:
        try:
            await self.send_event(event)
        except ConnectionError:
            log.debug("an event was not sent: the sideband has just ended")


def _keep(frames: list[JsonObject], frame: JsonObject) -> None:
    if len(frames) < MAX_FRAMES_KEPT:
        frames.append(frame)
