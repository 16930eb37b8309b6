"""ResponseQueue: when a `response.create` may leave. The server has one response at a time and refuses another.

On the direct websocket of realtime v2 alone (protocol.md section 10); on v1 a client creates none.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

from rtc_client.protocol.wire.events import ErrorEvent

_CODE: Final = "conversation_already_has_active_response"
_WORDS: Final = "Conversation already has an active response"


@dataclass(frozen=True, slots=True)
class _Request:
    frame: str
    awaited_as: str | None


class ResponseQueue:
    """Holds requests for a response while one is active.

    Of those that nobody waits for one is held, and a newer one takes its place: that is the reference client's rule. A
    request that somebody waits for is held beside it, in its turn, until it is withdrawn; their number is bounded by
    who waits.
    """

    def __init__(self) -> None:
        self._held: deque[_Request] = deque()
        self._asked: _Request | None = None
        """The request that was sent for the response that is active, as far as we know."""
        self.is_active = False
        """Whether there is a response, or one was asked for."""

    @property
    def is_held(self) -> bool:
        """Whether a request waits for the response before it."""
        return bool(self._held)

    def ask(self, frame: str, awaited_as: str | None = None) -> str | None:
        """A response is wanted; return the `frame` that asks for it if it may leave now, else None: it is held.

        `awaited_as` is the `event_id` of a request for whose response somebody waits.
        """
        request = _Request(frame, awaited_as)
        if not self.is_active:
            self.is_active, self._asked = True, request
            return frame
        places = [n for n, held in enumerate(self._held) if held.awaited_as is None] if awaited_as is None else []
        if places:
            self._held[places[0]] = request
        else:
            self._held.append(request)
        return None

    def created(self) -> None:
        """The server began a response, by itself or because it was asked to."""
        self.is_active = True

    def ended(self) -> str | None:
        """The response is over, whatever became of it; return the request that was held, to be asked again."""
        self.is_active, self._asked = False, None
        return self._held.popleft().frame if self._held else None

    def refused(self, event: ErrorEvent) -> str | None:
        """The server reports an error. If it is that a response was active, the request is kept for when that is over.

        If it is about our request itself, there is no response: return the request that was held, to be asked again.
        The reference client takes any error for the end of the call.
        """
        asked = self._asked
        if is_already_active(event):
            if asked is not None and (asked.awaited_as is not None or not self._is_another_held()):
                self._held.appendleft(asked)
            self.is_active, self._asked = True, None
        elif asked is not None and asked.awaited_as is not None and event.client_event_id == asked.awaited_as:
            return self.ended()
        return None

    def withdraw(self, awaited_as: str) -> None:
        """Nobody waits any more for the response to this request: if it is held, it never leaves."""
        self._held = deque(held for held in self._held if held.awaited_as != awaited_as)

    def _is_another_held(self) -> bool:
        return any(held.awaited_as is None for held in self._held)


def is_already_active(event: ErrorEvent) -> bool:
    """Return whether an error says that there is a response already."""
    return event.code == _CODE or event.message.startswith(_WORDS)
