"""ToolCalls: runs a function for each function call of the agent, and sends its result.

Each call runs once, as a task of the call's supervisor with a time limit; nothing that a tool raises ends the call. On
realtime v1 no function is called: the handler of a handoff gets the tools instead (`for_handler`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, TypeAlias

from rtc_client.call.events.local_events import CallEvent, ToolCallEnded, ToolOutcome
from rtc_client.call.tools.typed_tool import TypedTool
from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.delegates.handoff_tool import HandoffTool
from rtc_client.delegates.runner import Runner
from rtc_client.errors import CallClosed, ConfigError, InvalidArguments, RtcClientError
from rtc_client.protocol.delegation.background_agent import answered
from rtc_client.protocol.delegation.tool_schema import dump_result
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.turns.tool_follow_up import ToolFollowUp
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import dump_command, dump_json, load_json
from rtc_client.protocol.wire.command_rules import check_tool
from rtc_client.protocol.wire.commands import CreateResponse
from rtc_client.protocol.wire.items import FunctionCallItem
from rtc_client.protocol.wire.model import JsonObject, to_json
from rtc_client.protocol.wire.tools import FunctionTool, McpTool

log = logging.getLogger(__name__)

MAX_AT_ONCE: Final = 8
"""Tools that run at the same time; further calls wait their turn."""
MAX_CALLS: Final = 40
"""Calls that run or wait; further ones are refused, and the model is told so."""
MAX_RECORDS: Final = 1_000
"""Tool calls that the result tells of, the latest; of as many it is remembered that they were run."""

OfferedTool: TypeAlias = Callable[..., object] | TypedTool | FunctionTool | McpTool
"""What a call takes as a tool. Of a `FunctionTool` the calls are left to the program, which sees them in `events()`;
those of an MCP server's tools are made by the service, and the agent speaks of what came of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallRecord:
    """One call of a tool and what became of it, without its arguments and its result."""

    tool_call_id: str
    name: str
    at_s: float
    """When it came, in seconds since the call connected."""
    outcome: ToolOutcome | None = None
    """How it ended; None if it has not."""
    duration_s: float | None = None
    """How long it took, waiting for its turn included, in seconds."""


@dataclass(slots=True, eq=False)
class _Run:
    """A tool at work, or waiting for its turn."""

    tool: TypedTool
    tool_call_id: str
    at_s: float
    began_s: float
    tell: Callable[[str], None]
    """Takes the JSON that answers it."""
    is_cancelled: threading.Event = field(default_factory=threading.Event)
    task: asyncio.Task[None] | None = None
    timer: asyncio.TimerHandle | None = None
    outcome: ToolOutcome | None = None
    duration_s: float = 0.0

    @property
    def record(self) -> ToolCallRecord:
        return ToolCallRecord(
            tool_call_id=self.tool_call_id,
            name=self.tool.name,
            at_s=round(self.at_s, 3),
            outcome=self.outcome,
            duration_s=None if self.outcome is None else round(self.duration_s, 3),
        )


class ToolCalls:
    """Listens to the events of a call and runs its tools.

    Args:
        config: Which realtime the call speaks, and what must not be in a message to the model.
        send: Puts a frame where it will be sent, waiting for room.
        start: Runs a coroutine as a task of the call.
        notify: Told what happens, for the call's events.
        elapsed_s: Seconds since the call connected.
        clock: Measures how long tools take.
    """

    def __init__(
        self,
        config: CallConfig,
        *,
        send: Callable[[str], Awaitable[None]],
        start: Callable[[Coroutine[Any, Any, None], str], asyncio.Task[None]],
        notify: Callable[[CallEvent], None],
        elapsed_s: Callable[[], float],
        clock: Clock,
    ) -> None:
        self._config = config
        self._is_v2 = config.version == "v2"
        self._send = send
        self._start = start
        self._notify = notify
        self._elapsed_s = elapsed_s
        self._clock = clock
        self._tools: dict[str, TypedTool] = {}
        self._definitions: list[FunctionTool | McpTool] = []
        self._runner = Runner("tool")
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)
        self._runs: set[_Run] = set()
        self._records: deque[_Run] = deque(maxlen=MAX_RECORDS)
        self._known: dict[str, str] = {}
        """Names of the function calls that were announced, by their ids."""
        self._calling = ToolFollowUp()
        self._taken: dict[str, None] = {}
        """Ids of the function calls that are not to be run, or not again."""
        self._n_of_handler = 0
        self._is_over = False
        self._idle_since_s: float | None = None
        self.context: Callable[[str, threading.Event], object] = lambda tool_call_id, is_cancelled: None
        """Makes the `ToolContext` of a call of a tool."""

    @property
    def records(self) -> Sequence[ToolCallRecord]:
        """Every call of a tool so far, in order; of a very long call the latest `MAX_RECORDS`."""
        return tuple(run.record for run in self._records)

    def idle_s(self) -> float:
        """Return for how long no tool has been at work, in seconds; 0 while one is."""
        if self._runs:
            return 0.0
        return float("inf") if self._idle_since_s is None else self._clock.now_s() - self._idle_since_s

    # --- what there is ---

    def add(self, offered: OfferedTool) -> None:
        """Take a tool.

        Raises:
            ConfigError: It cannot be told to a model, or its name is taken.
        """
        tool: TypedTool | None = None
        match offered:
            case FunctionTool() | McpTool():
                check_tool(offered)
                definition: FunctionTool | McpTool = offered
            case _:
                tool = offered if isinstance(offered, TypedTool) else TypedTool(offered)
                definition = tool.definition
        name = _name(definition)
        if any(name == _name(other) for other in self._definitions):
            raise ConfigError(f"there are two tools {name!r} in this call: pass another name")
        self._definitions.append(definition)
        if isinstance(definition, McpTool):
            self._calling.servers.add(definition.server_label)
        if tool is not None:
            self._tools[name] = tool

    def definitions(self) -> list[JsonObject]:
        """Return what the session of a v2 call is told."""
        return [to_json(definition) for definition in self._definitions]

    def check(self, *, has_handler: bool) -> None:
        """Raise unless somebody can call the tools.

        Raises:
            ConfigError: Saying what the call needs for that.
        """
        if not self._definitions or (self._is_v2 and self._config.mode == "conversation"):
            return
        if self._is_v2:
            raise ConfigError("a transcription has no agent that could call a tool")
        if any(_name(one) not in self._tools for one in self._definitions):
            raise ConfigError(
                "realtime v1 calls no tools, and a handoff handler runs only functions: give MCP servers to it, or use "
                'transport="websocket"'
            )
        if not has_handler:
            raise ConfigError(
                "realtime v1 calls no tools: give the call a handoff handler, which gets them in its requests, or use "
                'transport="websocket"'
            )

    def for_handler(self) -> tuple[HandoffTool, ...]:
        """Return the tools for the handler of a handoff: on realtime v1, for on v2 the agent has them itself."""
        if self._is_v2:
            return ()
        loop = asyncio.get_running_loop()
        return tuple(
            HandoffTool(
                name=tool.name,
                description=tool.description,
                parameters=tool.parameters,
                start=partial(self._run_for_handler, tool),
                loop=loop,
            )
            for tool in self._tools.values()
        )

    # --- what happens ---

    def on_event(self, event: ev.ServerEvent) -> None:
        """Run a function that the agent calls, once, whichever event is the first to tell of it whole.

        Arguments that are done without their item being so may be those of a response that was broken off: they are
        taken if they fit, and else the item says what they are.
        """
        if self._calling.on_event(event):
            self._ask_to_speak()
        match event:
            case (
                ev.OutputItemAdded(item=FunctionCallItem(call_id=str(call_id), name=name))
                | ev.ItemAdded(item=FunctionCallItem(call_id=str(call_id), name=name))
            ):
                _remember(self._known, call_id, name)
            case ev.FunctionArgumentsDone(call_id=str(call_id), arguments=arguments):
                tool = self._tools.get(event.name or self._known.get(call_id, ""))
                if tool is not None and _fits(tool, arguments):
                    self._called(tool, call_id, arguments, event.response_id)
            case (
                ev.OutputItemDone(item=FunctionCallItem(call_id=str(call_id)) as item)
                | ev.ItemDone(item=FunctionCallItem(call_id=str(call_id)) as item)
            ):
                if item.name in self._tools and item.status in (None, "completed"):
                    response_id = event.response_id if isinstance(event, ev.OutputItemDone) else None
                    self._called(self._tools[item.name], call_id, item.arguments, response_id)
            case _:
                pass

    def denied(self, request_id: str) -> None:
        """Take note that the program refuses a call of an MCP tool, of which the agent is to speak."""
        if self._calling.denied(request_id):
            self._ask_to_speak()

    def on_sent(self, text: str) -> None:
        """Take note of a function call that the program put into the conversation: it was made in another one."""
        if not self._tools or '"function_call"' not in text:
            return
        match load_json(text):
            case {"type": "conversation.item.create", "item": {"type": "function_call", "call_id": str(call_id)}}:
                _remember(self._taken, call_id, None)
            case _:
                pass

    def end(self) -> None:
        """Cancel what is at work: the call is over."""
        self._is_over = True
        for run in tuple(self._runs):
            self._give_up(run, "cancelled")

    # --- running ---

    def _called(self, tool: TypedTool, tool_call_id: str, arguments: str, response_id: str | None) -> None:
        if self._is_over or tool_call_id in self._taken:
            return
        _remember(self._taken, tool_call_id, None)
        self._calling.called(tool_call_id, response_id)
        self._begin(tool, tool_call_id, arguments, lambda output: self._answer(tool, tool_call_id, output))

    async def _run_for_handler(self, tool: TypedTool, arguments: Mapping[str, object]) -> str:
        """Return the JSON that a handler's model is to be told. Cancelling it cancels the tool."""
        if self._is_over:
            raise CallClosed("the call is over")
        try:
            text = dump_json(arguments)
        except (TypeError, ValueError, RecursionError):
            raise ConfigError(f"the arguments of the tool {tool.name} hold what JSON cannot say") from None
        self._n_of_handler += 1
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def tell(output: str) -> None:
            if not future.done():
                future.set_result(output)

        run = self._begin(tool, f"tool_{self._n_of_handler}", text, tell)
        try:
            return await future
        except asyncio.CancelledError:
            self._give_up(run, "cancelled")
            raise

    def _begin(self, tool: TypedTool, tool_call_id: str, arguments: str, tell: Callable[[str], None]) -> _Run:
        run = _Run(tool, tool_call_id, self._elapsed_s(), self._clock.now_s(), tell)
        self._records.append(run)
        is_refused = len(self._runs) >= MAX_CALLS
        self._runs.add(run)
        if is_refused:
            self._finish(run, "refused", words="it was not begun: too many others are waiting")
            return run
        run.timer = asyncio.get_running_loop().call_later(tool.limit_s, self._give_up, run, "timed_out")
        run.task = self._start(self._work(run, arguments), "call-tool")
        return run

    async def _work(self, run: _Run, text: str) -> None:
        try:
            arguments = run.tool.arguments(text, self.context(run.tool_call_id, run.is_cancelled))
            async with self._slots:
                result = await self._runner.result(run.tool.function, arguments)
            output = dump_result(result)
        except asyncio.CancelledError:
            self._finish(run, "cancelled")
            raise
        except InvalidArguments as error:
            self._finish(run, "invalid", error, words=self._words(error))
        except Exception as error:  # noqa: BLE001 - a tool may raise anything, and the call goes on
            self._finish(run, "failed", error, words=self._words(error))
        else:
            self._finish(run, "answered", output=output)

    def _give_up(self, run: _Run, outcome: ToolOutcome) -> None:
        """Cancel a tool, without waiting until it has noticed."""
        if run.task is not None:
            run.task.cancel()
        limit = f"it was stopped: it took longer than {run.tool.limit_s:g} seconds"
        self._finish(run, outcome, words=limit if outcome == "timed_out" else "it was cancelled")

    def _finish(
        self, run: _Run, outcome: ToolOutcome, error: Exception | None = None, *, words: str = "", output: str = ""
    ) -> None:
        if run.outcome is not None:
            return
        now_s = self._clock.now_s()
        run.outcome, run.duration_s = outcome, now_s - run.began_s
        run.is_cancelled.set()
        if run.timer is not None:
            run.timer.cancel()
        self._runs.discard(run)
        self._idle_since_s = now_s
        ended = ToolCallEnded(
            tool_call_id=run.tool_call_id,
            name=run.tool.name,
            outcome=outcome,
            duration_s=round(run.duration_s, 3),
            error=error,
        )
        log.info("tool call ended", extra={"tool": ended.name, "outcome": outcome, "duration_s": ended.duration_s})
        self._notify(ended)
        run.tell(output or dump_json({"error": words or "it was cancelled"}))

    def _answer(self, tool: TypedTool, tool_call_id: str, output: str) -> None:
        if not self._is_over:
            self._start(self._send_answer(tool, tool_call_id, output), "call-tool-answer")

    async def _send_answer(self, tool: TypedTool, tool_call_id: str, output: str) -> None:
        with suppress(RtcClientError):  # the call has just ended
            await self._send(dump_command(answered(tool_call_id, output)))
            if self._calling.answered(tool_call_id, is_wanted=tool.respond):
                await self._send(dump_command(CreateResponse()))

    def _ask_to_speak(self) -> None:
        if not self._is_over:
            self._start(self._send_request(), "call-tool-answer")

    async def _send_request(self) -> None:
        with suppress(RtcClientError):  # the call has just ended
            await self._send(dump_command(CreateResponse()))

    def _words(self, error: Exception) -> str:
        """Return what the model is told of a failure: the words of an exception of ours, of others only the name."""
        if isinstance(error, RtcClientError):
            return one_line(str(error), self._config.secrets) or "it failed"
        return f"it failed by an internal error ({type(error).__name__})"


def _name(definition: FunctionTool | McpTool) -> str:
    return definition.name if isinstance(definition, FunctionTool) else definition.server_label


def _fits(tool: TypedTool, arguments: str) -> bool:
    try:
        tool.arguments(arguments)
    except InvalidArguments:
        return False
    return True


def _remember(ids: dict[str, Any], tool_call_id: str, value: Any) -> None:
    ids[tool_call_id] = value
    if len(ids) > MAX_RECORDS:
        del ids[next(iter(ids))]
