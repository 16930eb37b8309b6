"""ResponseSequence: when a `response.create` may leave. The server has one response at a time and refuses another.

On the direct websocket of realtime v2 alone (wire-protocol.md section 10); on v1 a client creates none.
"""

from __future__ import annotations

from typing import Final

from rtc_client.protocol.events import ErrorEvent

_CODE: Final = "conversation_already_has_active_response"
_WORDS: Final = "Conversation already has an active response"


class ResponseSequence:
    """Holds one request for a response while one is active; a newer request takes the place of one that is held."""

    def __init__(self) -> None:
        self._held: str | None = None
        self._asked: str | None = None
        """The request that was sent for the response that is active, as far as we know."""
        self.is_active = False
        """Whether there is a response, or one was asked for."""

    @property
    def is_held(self) -> bool:
        """Whether a request waits for the response before it."""
        return self._held is not None

    def ask(self, frame: str) -> str | None:
        """A response is wanted; return the `frame` that asks for it if it may leave now, else None: it is held."""
        if self.is_active:
            self._held = frame
            return None
        self.is_active, self._asked = True, frame
        return frame

    def created(self) -> None:
        """The server began a response, by itself or because it was asked to."""
        self.is_active = True

    def ended(self) -> str | None:
        """The response is over, whatever became of it; return the request that was held, to be asked again."""
        self.is_active, self._asked = False, None
        frame, self._held = self._held, None
        return frame

    def refused(self, event: ErrorEvent) -> None:
        """The server reports an error. If it is that a response was active, the request is kept for when that is over.

        The reference client takes any error for the end of the call.
        """
        if is_already_active(event):
            self._held = self._held or self._asked
            self.is_active, self._asked = True, None


def is_already_active(event: ErrorEvent) -> bool:
    """Return whether an error says that there is a response already."""
    return event.code == _CODE or event.message.startswith(_WORDS)
