"""Handoffs: runs the handler for each request of the agent, and sends its texts as output.

One handler is at work at a time; what a further request does is `HandoffSettings.while_busy`. Handlers are tasks of the
call's supervisor, but nothing that one raises ends the call.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, suppress
from dataclasses import dataclass
from typing import Any, Final

from rtc_client.call.events.local_events import CallEvent, HandoffEnded, HandoffFate, HandoffOutcome, HandoffReceived
from rtc_client.clock import Clock
from rtc_client.config import CallConfig, HandoffSettings
from rtc_client.delegates.handoff_request import HandoffHandler, HandoffRequest, Progress
from rtc_client.delegates.handoff_tool import HandoffTool
from rtc_client.delegates.runner import Runner
from rtc_client.errors import CallClosed, HandoffFailed, RtcClientError
from rtc_client.protocol.delegation.background_agent import V2Replies
from rtc_client.protocol.delegation.handoff import ActiveTranscript, HandoffReplies, V1Replies
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.commands import Command

log = logging.getLogger(__name__)

MAX_WAITING: Final = 16
"""Requests that wait their turn; further ones are refused, and the model is told so."""
MAX_RECORDS: Final = 1_000
"""Handoffs that the result tells of, the latest."""
_REFUSED: Final = "The task was not begun: too many others are waiting."


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffRecord:
    """One request of the agent and what became of it, without a word that was said."""

    handoff_id: str
    at_s: float
    """When it came, in seconds since the call connected."""
    fate: HandoffFate
    """Whether it was begun at once, waited, or reached the handler that was at work."""
    outcome: HandoffOutcome | None = None
    """How its handler ended; None if it has not, or never began."""
    duration_s: float | None = None
    """How long its handler was at work, in seconds."""
    n_outputs: int = 0
    """How many texts were sent."""


@dataclass(slots=True)
class _Record:
    handoff_id: str
    at_s: float
    fate: HandoffFate
    run: _Run | None = None

    def frozen(self) -> HandoffRecord:
        run = self.run
        return HandoffRecord(
            handoff_id=self.handoff_id,
            at_s=round(self.at_s, 3),
            fate=self.fate,
            outcome=None if run is None else run.outcome,
            duration_s=None if run is None or run.outcome is None else round(run.duration_s, 3),
            n_outputs=0 if run is None else run.n_outputs,
        )


@dataclass(slots=True, eq=False)
class _Run:
    """A handler at work on a request."""

    request: HandoffRequest
    replies_to: str
    """The handoff that its output answers: another than the request's once it was steered."""
    began_s: float
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    outcome: HandoffOutcome | None = None
    duration_s: float = 0.0
    n_outputs: int = 0


class Handoffs:
    """Listens to the events of a call and runs its handler.

    Args:
        settings: What a second request does, and how long a handler may take.
        replies: How the dialect reports the outcome.
        send: Puts a frame where it will be sent, waiting for room.
        start: Runs a coroutine as a task of the call.
        notify: Told what happens, for the call's events.
        elapsed_s: Seconds since the call connected.
        clock: Measures how long handlers take.
        secrets: What must not be in a message to the model.
        tools: Returns the tools that a handler may run.
    """

    def __init__(
        self,
        settings: HandoffSettings,
        replies: HandoffReplies,
        *,
        send: Callable[[str], Awaitable[None]],
        start: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        notify: Callable[[CallEvent], None],
        elapsed_s: Callable[[], float],
        clock: Clock,
        secrets: Iterable[str],
        tools: Callable[[], tuple[HandoffTool, ...]],
    ) -> None:
        self.handler: HandoffHandler | None = None
        self._settings = settings
        self.replies = replies
        self._send = send
        self._start = start
        self._notify = notify
        self._elapsed_s = elapsed_s
        self._clock = clock
        self._secrets = tuple(secrets)
        self._tools = tools
        self._runner = Runner()
        self._transcript = ActiveTranscript()
        self._records: deque[_Record] = deque(maxlen=MAX_RECORDS)
        self._waiting: deque[HandoffRequest] = deque()
        self._run: _Run | None = None
        self._latest_id = ""
        self._is_over = False
        self._idle_since_s: float | None = None

    @property
    def records(self) -> Sequence[HandoffRecord]:
        """Every request so far, in order; of a very long call the latest `MAX_RECORDS`."""
        return tuple(record.frozen() for record in self._records)

    @property
    def is_busy(self) -> bool:
        """Whether a handler is at work."""
        return self._run is not None

    def idle_s(self) -> float:
        """Return for how long no handler has been at work, in seconds; 0 while one is."""
        if self.is_busy:
            return 0.0
        return float("inf") if self._idle_since_s is None else self._clock.now_s() - self._idle_since_s

    def busy_s(self) -> float:
        """Return for how long the handler that is at work has been, in seconds; 0 while none is."""
        return 0.0 if self._run is None else self._clock.now_s() - self._run.began_s

    def knows(self, handoff_id: str) -> bool:
        """Return whether such a handoff was requested in this call."""
        return any(record.handoff_id == handoff_id for record in self._records)

    async def open(self, stack: AsyncExitStack) -> None:
        """Enter the handler, if it is a context manager, to be left with `stack`.

        Raises whatever it raises; ready handlers raise ConfigError when they cannot work.
        """
        if isinstance(self.handler, AbstractAsyncContextManager):
            await stack.enter_async_context(self.handler)

    def on_event(self, event: ev.ServerEvent) -> None:
        """Take note of what was said, or of what is asked."""
        match event:
            case ev.CallerTranscriptDelta(delta=delta):
                self._transcript.add_delta("user", delta)
            case ev.AgentTranscriptDelta(delta=delta):
                self._transcript.add_delta("assistant", delta)
            case ev.CallerTranscriptDone(transcript=text):
                self._transcript.settle("user", text)
            case ev.AgentTranscriptDone(transcript=text):
                self._transcript.settle("assistant", text)
            case ev.HandoffRequested():
                self._requested(
                    HandoffRequest(
                        handoff_id=event.handoff_id,
                        item_id=event.item_id,
                        input_transcript=event.input_transcript,
                        active_transcript=self._transcript.take(event.input_transcript),
                        tools=self._tools(),
                    )
                )
            case _:
                pass

    def end(self) -> None:
        """Cancel what is at work: the call is over. What waits its turn is forgotten."""
        self._is_over = True
        self._waiting.clear()
        if self._run is not None:
            self._cancel(self._run, "cancelled")

    # --- requests ---

    def _requested(self, request: HandoffRequest) -> None:
        if self._is_over:
            return
        self._latest_id = request.handoff_id
        fate = self._fate(request)
        record = _Record(request.handoff_id, self._elapsed_s(), fate)
        self._records.append(record)
        self._notify(HandoffReceived(request=request, fate=fate))
        match fate:
            case "started":
                if self._run is not None:
                    self._cancel(self._run, "replaced")
                self._begin(request, request.handoff_id)
            case "steering":
                self._tell(self.replies.steered(request.handoff_id))
            case "refused":
                self._tell(self.replies.output(request.handoff_id, _REFUSED, is_progress=False))
                self._tell(self.replies.declined(request.handoff_id))
            case "unhandled" | "empty":
                self._tell(self.replies.declined(request.handoff_id))
            case "queued":
                pass

    def _fate(self, request: HandoffRequest) -> HandoffFate:
        """Decide what becomes of a request; one that is to wait is put where it waits."""
        if self.handler is None:
            return "unhandled"
        if not request.input.strip():
            return "empty"
        run = self._run
        if run is None:
            return "started"
        match self._settings.while_busy:
            case "steer":
                if not run.request.steering.put(request):
                    return "refused"
                if self.replies.moves_to_latest:
                    run.replies_to = request.handoff_id
                return "steering"
            case "replace":
                return "started"
            case "queue":
                if len(self._waiting) >= MAX_WAITING:
                    return "refused"
                self._waiting.append(request)
                return "queued"

    # --- handlers ---

    def _begin(self, request: HandoffRequest, replies_to: str) -> None:
        run = self._run = _Run(request, replies_to, self._clock.now_s())
        for record in reversed(self._records):
            if record.handoff_id == request.handoff_id:
                record.run = run
                break
        run.timer = asyncio.get_running_loop().call_later(self._settings.limit_s, self._cancel, run, "timed_out")
        run.task = self._start(self._work(run), "call-handoff")

    async def _work(self, run: _Run) -> None:
        assert self.handler is not None  # noqa: S101 - _fate has looked
        try:
            async with aclosing(self._runner.texts(self.handler, run.request)) as texts:
                async for text in texts:
                    await self._say(run, text)
        except asyncio.CancelledError:
            self._finish(run, "cancelled")
            raise
        except CallClosed as error:
            self._finish(run, "cancelled", error)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything, and the call goes on
            self._finish(run, "failed", error, words=self._words(error))
        else:
            self._finish(run, "answered")

    async def _say(self, run: _Run, text: str) -> None:
        if run.outcome is not None:
            return  # it was cancelled, and does not obey
        commands = self.replies.output(run.replies_to, text, is_progress=isinstance(text, Progress))
        run.n_outputs += bool(commands)
        for command in commands:
            await self._send(dump_command(command))

    def _cancel(self, run: _Run, outcome: HandoffOutcome) -> None:
        """Give up a handler, without waiting until it has noticed."""
        run.request.steering.cancel()
        if run.task is not None:
            run.task.cancel()
        limit = f"The task was stopped: it took longer than {self._settings.limit_s:g} seconds."
        self._finish(run, outcome, words=limit if outcome == "timed_out" else "")

    def _finish(self, run: _Run, outcome: HandoffOutcome, error: Exception | None = None, *, words: str = "") -> None:
        if run.outcome is not None:
            return
        now_s = self._clock.now_s()
        run.outcome, run.duration_s = outcome, now_s - run.began_s
        if run.timer is not None:
            run.timer.cancel()
        log.info(
            "handoff ended",
            extra={
                "handoff_id": run.request.handoff_id,
                "outcome": outcome,
                "duration_ms": round(run.duration_s * 1e3),
            },
        )
        self._notify(
            HandoffEnded(
                handoff_id=run.request.handoff_id,
                outcome=outcome,
                duration_s=round(run.duration_s, 3),
                n_outputs=run.n_outputs,
                error=error,
            )
        )
        self._run, self._idle_since_s = None, now_s
        if self._is_over:
            return
        if words:
            self._tell(self.replies.output(run.replies_to, words, is_progress=False))
        self._tell(self._continue(run))

    def _continue(self, run: _Run) -> Sequence[Command]:
        """Begin what waits for a handler that is done; return what is to be said of the end of its turn."""
        untaken = deque(run.request.steering.take())
        if not untaken:
            if self._waiting:
                request = self._waiting.popleft()
                self._begin(request, request.handoff_id)
            return self.replies.finished(run.replies_to)
        request = untaken.popleft()
        for later in untaken:
            request.steering.put(later)
        self._begin(request, self._latest_id if self.replies.moves_to_latest else run.replies_to)
        return ()

    def _words(self, error: Exception) -> str:
        """Return what the model is told of a failure: the words of an exception of ours, of others only the name."""
        if isinstance(error, HandoffFailed):
            return one_line(str(error), self._secrets) or "The task failed."
        if isinstance(error, RtcClientError):
            return f"The task failed: {one_line(str(error), self._secrets)}."
        return f"The task failed by an internal error ({type(error).__name__})."

    def _tell(self, commands: Sequence[Command]) -> None:
        if commands:
            self._start(self._send_all(commands), "call-handoff-words")

    async def _send_all(self, commands: Sequence[Command]) -> None:
        with suppress(RtcClientError):  # there is no sideband any more: that is told elsewhere
            for command in commands:
                await self._send(dump_command(command))


def replies_of(config: CallConfig) -> HandoffReplies:
    """Return how a call reports the outcome of a handoff."""
    if config.version == "v2":
        return V2Replies(long_output=config.handoffs.long_output)
    return V1Replies(prefix=config.handoffs.prefix, long_output=config.handoffs.long_output)
