"""Waits for responses and replies: who waits, for how long, and what is raised.

Which response is whose is decided in `protocol/turns/response_matching.py`; when a request leaves, by the call's one
sequencer (`protocol/turns/response_queue.py`).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any, Final

from rtc_client.errors import CommandRefused, ResponseFailed, ResponseTimeout
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.transcript import TranscriptEntry
from rtc_client.protocol.turns.response_matching import FinishedResponse, ResponseMatcher, create_response
from rtc_client.protocol.turns.response_queue import is_already_active
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.commands import CreateResponse
from rtc_client.protocol.wire.fast_frames import asked_response
from rtc_client.protocol.wire.responses import ResponseParameters

MAX_WAITING: Final = 32
"""Requests that are under way or wait their turn; who asks for more waits for room."""
SETTLE_S: Final = 2.0
"""How long a settled text is waited for once the server has said that a turn is over; then the pieces are the text."""
_LATEST: Final = 64
"""Entries at the end of the transcript in which a reply is looked for."""


class Responses:
    """The responses of one call, told of every event of the server and of every frame that left."""

    def __init__(
        self,
        scribe: TranscriptBuilder,
        *,
        is_sequenced: bool,
        withdraw: Callable[[str], None],
        secrets: Callable[[], Iterable[str]],
    ) -> None:
        """With `is_sequenced`, a request that a running response keeps out leaves again; `withdraw` gives one up."""
        self._scribe, self._is_sequenced, self._withdraw = scribe, is_sequenced, withdraw
        self._secrets = secrets
        self._asked = ResponseMatcher()
        self._waiting: dict[str, asyncio.Future[FinishedResponse]] = {}
        self._leaving: dict[str, asyncio.Future[int]] = {}
        self._room = asyncio.Semaphore(MAX_WAITING)
        self._turn = asyncio.Lock()
        self._news = asyncio.Event()
        self._closed_number = -1
        """The latest entry when the server last said that a turn, or a response, is over."""
        self._error: Exception | None = None
        self.is_turn_open = False
        """Whether the agent's words are coming, and have not settled."""
        self._has_caller_spoken = False

    @property
    def active_id(self) -> str | None:
        """The response that is under way; None for none, or where the dialect tells of none."""
        return self._asked.active_id

    def is_given_up(self, event_id: str | None) -> bool:
        """Return whether a request is one of ours for whose response nobody waits any more."""
        return event_id is not None and self._asked.is_ours(event_id) and not self._asked.is_awaited(event_id)

    def awaited_as(self, event_id: str | None) -> str | None:
        """Return the id if somebody waits for the response to this request, else None."""
        return event_id if event_id is not None and self._asked.is_awaited(event_id) else None

    def cut(self) -> None:
        """The agent was cut short: what the caller says from now on comes after that."""
        self._has_caller_spoken = False

    def begins_anew(self, event: ev.ServerEvent, *, is_quiet: bool) -> bool:
        """Return whether an event, which was not told of yet, begins another turn of the agent's.

        `is_quiet` says that the agent is not heard now: then words that come after the caller's are of another turn,
        although the turn that was cut never settled.
        """
        match event:
            case ev.ResponseCreated() | ev.OutputAudioStarted():
                return True
            case ev.AgentTranscriptDelta(delta=piece):
                return bool(piece) and (not self.is_turn_open or (is_quiet and self._has_caller_spoken))
            case _:
                return False

    async def respond(
        self, parameters: ResponseParameters, send: Callable[[CreateResponse], Awaitable[None]], limit_s: float
    ) -> FinishedResponse:
        """Ask for a response and return what it came to.

        Raises:
            CommandRefused: The server answered the request with an error.
            ResponseTimeout: It was not over within `limit_s` seconds.
            RtcClientError: The call, or its sideband, ended.

        Given up, the request does not leave if it has not yet; a response that is under way goes on.
        """
        async with _limited("the end of the response", limit_s):
            return await self._finished(parameters, send)

    async def reply(
        self,
        say: Callable[[], Awaitable[str]],
        send: Callable[[CreateResponse], Awaitable[None]] | None,
        limit_s: float,
    ) -> str:
        """Say something, have the agent respond, and return the words of the reply. One reply is waited for at a time.

        Args:
            say: Puts the text where it will be sent; returns its frame.
            send: Puts a request where it will be sent; None where the agent responds by itself.
            limit_s: How long that may take in all, seconds.

        Raises:
            ResponseFailed: The response ended as failed or cancelled.
            CommandRefused, ResponseTimeout, RtcClientError: As `respond`.
        """
        async with _limited("the reply", limit_s), self._turn:
            if send is None:
                after = await self._left(say)
            else:
                after = self._latest_number()
                await say()
                finished = await self._finished(ResponseParameters(), send)
                if finished.status in ("failed", "cancelled"):
                    raise ResponseFailed(finished.status, finished.reason, text=finished.words)
                if finished.words:
                    return finished.words
            return await self._next_reply(after)

    def on_event(self, event: ev.ServerEvent) -> None:
        """Take an event of the server; the transcript has it already."""
        match event:
            case ev.ResponseCreated():
                self._asked.created(event)
            case ev.ResponseDone() | ev.ResponseCancelled():
                self._ended(event)
            case ev.ErrorEvent():
                self._refused(event)
            case ev.AgentTranscriptDelta(delta=piece):
                self.is_turn_open = self.is_turn_open or bool(piece)
            case ev.AgentTranscriptDone() | ev.AgentTextDone():
                self.is_turn_open = False
            case ev.CallerTranscriptDelta() | ev.CallerTranscriptDone():
                self._has_caller_spoken = True
            case ev.AgentTranscriptClosed():
                self.is_turn_open = False
                self._closed_number = self._latest_number()
            case _:
                return
        self._wake()

    def on_sent(self, frame: str) -> None:
        """Take note of a frame that left."""
        if (leaving := self._leaving.get(frame)) is not None and not leaving.done():
            leaving.set_result(self._latest_number())
        if self._waiting and (asked := asked_response(frame)) is not None and asked[0] is not None:
            self._asked.sent(asked[0])

    def end(self, error: Exception) -> None:
        """There will be no more responses: whoever waits gets `error`."""
        if self._error is None:
            self._error = error
            futures: list[asyncio.Future[Any]] = [*self._waiting.values(), *self._leaving.values()]
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            self._wake()

    async def _finished(
        self, parameters: ResponseParameters, send: Callable[[CreateResponse], Awaitable[None]]
    ) -> FinishedResponse:
        event_id = self._asked.ask()
        finished: asyncio.Future[FinishedResponse] = asyncio.get_running_loop().create_future()
        try:
            command = create_response(parameters, event_id)
            async with self._room:
                self._waiting[event_id] = finished
                await send(command)
                return await finished
        finally:
            self._asked.forget(event_id)
            self._waiting.pop(event_id, None)
            self._withdraw(event_id)
            _forget(finished)

    async def _left(self, say: Callable[[], Awaitable[str]]) -> int:
        """Say something; return the number of the latest entry when it left."""
        left: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        frame = await say()
        self._leaving[frame] = left
        try:
            return await left
        finally:
            del self._leaving[frame]
            _forget(left)

    async def _next_reply(self, after: int) -> str:
        """Return the text of the first turn of the agent's that begins behind entry `after`, once it has settled."""
        while True:
            if self._error is not None:
                raise self._error
            entry = self._reply_after(after)
            if entry is not None and entry.final:
                return entry.text
            is_closed = entry is not None and entry.number <= self._closed_number
            try:
                async with asyncio.timeout(SETTLE_S if is_closed else None):
                    await self._news.wait()
            except TimeoutError:
                return "" if entry is None else entry.text

    def _reply_after(self, after: int) -> TranscriptEntry | None:
        entries = (e for e in self._scribe.latest(_LATEST) if e.role == "agent" and not e.written and e.text)
        return min((e for e in entries if e.number > after), key=lambda e: e.number, default=None)

    def _latest_number(self) -> int:
        return max((entry.number for entry in self._scribe.latest(_LATEST)), default=-1)

    def _ended(self, event: ev.ResponseDone | ev.ResponseCancelled) -> None:
        self.is_turn_open = False
        self._closed_number = self._latest_number()
        event_id, finished = self._asked.ended(event)
        waiting = self._waiting.get(event_id or "")
        if waiting is None or waiting.done():
            return
        if not finished.words and finished.id is not None:
            entries = (e for e in self._scribe.entries if e.role == "agent" and e.response_id == finished.id)
            words = "\n".join(entry.text for entry in entries)
            is_written = event.response is not None and event.response.output_modalities == ("text",)
            finished = replace(finished, text=words) if is_written else replace(finished, transcript=words)
        waiting.set_result(finished)

    def _refused(self, event: ev.ErrorEvent) -> None:
        event_id = self._asked.refused(event, is_kept=self._is_sequenced and is_already_active(event))
        waiting = self._waiting.get(event_id or "")
        if waiting is not None and not waiting.done():
            message = one_line(event.message, self._secrets())
            error = CommandRefused(message, code=event.code, error_type=event.error_type, param=event.param)
            waiting.set_exception(error)

    def _wake(self) -> None:
        self._news.set()
        self._news = asyncio.Event()


@asynccontextmanager
async def _limited(what: str, limit_s: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(limit_s):
            yield
    except TimeoutError:
        raise ResponseTimeout(what, limit_s) from None


def _forget(future: asyncio.Future[FinishedResponse] | asyncio.Future[int]) -> None:
    """Nobody waits for it: what it holds is not to be complained of."""
    if not future.cancel() and not future.cancelled():
        future.exception()
