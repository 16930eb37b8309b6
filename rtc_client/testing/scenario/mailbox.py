"""What a client has said so far, for steps that wait for it; each message counts once. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtc_client.testing.wire.json_patterns import Mismatch, Pattern, fits, mismatches
from rtc_client.testing.wire.server_events import JsonObject

LIMIT: Final = 10_000
"""Messages kept; the older half is forgotten when there are more."""
SHOWN: Final = 10
"""Messages told of when none of them was the right one."""


@dataclass(slots=True)
class Message:
    """One message of the client, and when it came: monotonic seconds."""

    at_s: float
    frame: JsonObject
    is_taken: bool = False


class Mailbox:
    """Messages in order of arrival. Places in it are counted from the call's first message."""

    def __init__(self) -> None:
        self._messages: list[Message] = []
        self._n_forgotten = 0

    @property
    def n_messages(self) -> int:
        """How many have come."""
        return self._n_forgotten + len(self._messages)

    def put(self, frame: JsonObject, now_s: float) -> None:
        """Take in a message."""
        self._messages.append(Message(now_s, frame))
        if len(self._messages) > LIMIT:
            del self._messages[: LIMIT // 2]
            self._n_forgotten += LIMIT // 2

    def take(self, pattern: Pattern, start: int, until_s: float) -> Message | None:
        """Take the first message from place `start` on that fits, came by `until_s` and was not taken before."""
        for message in self._from(start):
            if not message.is_taken and message.at_s <= until_s and fits(message.frame, pattern):
                message.is_taken = True
                return message
        return None

    def find(self, pattern: Pattern, start: int, until_s: float) -> Message | None:
        """Return the first message from place `start` on that fits and came by `until_s`, taken or not."""
        return next((m for m in self._from(start) if m.at_s <= until_s and fits(m.frame, pattern)), None)

    def left(self) -> list[JsonObject]:
        """Return the latest messages that nobody took."""
        return [message.frame for message in self._messages if not message.is_taken][-SHOWN:]

    def nearest(self, pattern: Pattern) -> list[Mismatch]:
        """Return how the message that comes nearest differs from a pattern; nothing if none has the same type."""
        if not isinstance(pattern.get("type"), str):
            return []
        near = [mismatches(frame, pattern) for frame in self.left() if frame.get("type") == pattern["type"]]
        return min(near, key=len, default=[])

    def _from(self, start: int) -> list[Message]:
        return self._messages[max(0, start - self._n_forgotten) :]
