"""HandoffRequest: what the handler of a handoff gets, and the kinds of handlers there are."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from rtc_client.delegates.handoff_tool import HandoffTool
from rtc_client.protocol.delegation.handoff import ActiveEntry, delegation_input, delegation_text

MAX_STEERING: Final = 16
"""Requests that wait for the handler which they steer; further ones are refused, and the model is told so."""


class Progress(str):
    """A text that says how far the work is. Only for the rule `prefix="final"` does it differ from any other text."""

    __slots__ = ()


class Steering:
    """The bounded box in which further requests wait for the handler that is at work."""

    def __init__(self) -> None:
        self._box: deque[HandoffRequest] = deque()
        self._news = asyncio.Event()
        self._cancelled = threading.Event()

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the result any more."""
        return self._cancelled.is_set()

    def cancel(self) -> None:
        """Say that nobody waits for the result any more."""
        self._cancelled.set()

    def put(self, request: HandoffRequest) -> bool:
        """Add a request; return False, adding nothing, when `MAX_STEERING` wait already."""
        if len(self._box) >= MAX_STEERING:
            return False
        self._box.append(request)
        self._news.set()
        return True

    def take(self) -> tuple[HandoffRequest, ...]:
        """Return what is there, and leave nothing."""
        taken: list[HandoffRequest] = []
        try:
            while True:
                taken.append(self._box.popleft())
        except IndexError:
            return tuple(taken)

    async def next(self) -> HandoffRequest:
        """Return the oldest, waiting for one."""
        while not self._box:
            self._news.clear()
            await self._news.wait()
        return self._box.popleft()


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffRequest:
    """What the agent wants to be done, and what was said since it last wanted something (protocol.md section 9).

    It also is the way by which later requests reach the handler that is at work, if the call's setting is `steer`.
    Those which the handler does not take are handed to it afterwards, each as a request of its own.
    """

    handoff_id: str
    item_id: str = ""
    input_transcript: str = field(default="", repr=False)
    """The request, as the agent puts it; may be empty."""
    active_transcript: tuple[ActiveEntry, ...] = field(default=(), repr=False)
    """What was said since the handoff before, the request included unless the user had said just that."""
    tools: tuple[HandoffTool, ...] = field(default=(), repr=False, compare=False)
    """The tools of the call (`connect(tools=...)`), on realtime v1, whose agent calls none itself."""
    steering: Steering = field(default_factory=Steering, repr=False, compare=False)
    """By which later requests come."""

    @property
    def input(self) -> str:
        """The request; where it is empty, the active transcript as text."""
        return delegation_input(self.input_transcript, self.active_transcript)

    @property
    def text(self) -> str:
        """All of it as one text for a model: `<realtime_delegation>` with `<input>` and `<transcript_delta>`."""
        return delegation_text(self.input_transcript, self.active_transcript)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the result any more. A handler in a thread should look now and then."""
        return self.steering.is_cancelled

    def take_steering(self) -> tuple[HandoffRequest, ...]:
        """Return the requests that came since the handler began, or last took some. From any thread."""
        return self.steering.take()

    async def next_steering(self) -> HandoffRequest:
        """Wait for a further request and take it. Cancelling it loses none. In the call's event loop only."""
        return await self.steering.next()


HandoffAnswer: TypeAlias = str | Iterator[str] | AsyncIterable[str] | None
"""What a handler answers: one text, nothing, or several texts as they come."""


class HandoffHandler(Protocol):
    """A function, coroutine function, generator or async generator function, or an object that is called like one.

    What is not async runs in a thread of its own. An object that is an async context manager is entered before the call
    is dialled, and left when it is over.
    """

    def __call__(self, request: HandoffRequest, /) -> HandoffAnswer | Awaitable[HandoffAnswer]: ...
