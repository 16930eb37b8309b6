"""Equipped: what a call is given before it is entered, so that its agent can ask for something. The rest is `Call`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

from rtc_client.call.engine import Engine
from rtc_client.call.typed_tool import DEFAULT_LIMIT_S, TypedTool
from rtc_client.delegates.request import HandoffHandler
from rtc_client.errors import CallClosed, ConfigError
from rtc_client.protocol.state import CallState

Handler = TypeVar("Handler", bound=HandoffHandler)
Function = TypeVar("Function", bound=Callable[..., object])


class ToolDecorator:
    """What `call.tool` is: a decorator of the functions that an agent may call. Made by the call."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @overload
    def __call__(self, function: Function, /) -> Function: ...

    @overload
    def __call__(
        self,
        function: None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        respond: bool = True,
        limit_s: float = DEFAULT_LIMIT_S,
    ) -> Callable[[Function], Function]: ...

    def __call__(
        self,
        function: Callable[..., object] | None = None,
        /,
        *,
        name: str | None = None,
        description: str | None = None,
        respond: bool = True,
        limit_s: float = DEFAULT_LIMIT_S,
    ) -> object:
        """Give the call a tool, and return its function. What the settings mean says `TypedTool`.

        Raises:
            CallClosed: The call was entered already.
            ConfigError: A model could not call it, or its name is taken.
        """
        if self._engine.state is not CallState.IDLE:
            raise CallClosed("a tool is given to a call before it is entered")

        def add(function: Function) -> Function:
            tool = TypedTool(function, name=name, description=description, respond=respond, limit_s=limit_s)
            self._engine.tools.add(tool)
            return function

        return add if function is None else add(function)


class Equipped:
    """The part of a `Call` that takes a handler of handoffs, and tools."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def on_handoff(self, handler: Handler) -> Handler:
        """Let `handler` do what the agent asks for, and return it: a decorator, before the call is entered.

        It is called with a `HandoffRequest`. It may be a function, a generator, or async; or an object that is called
        like one, such as `CommandHandoff`, which is entered and left with the call if it is an async context manager.
        Each text that it returns or yields is sent to the agent. What is not async runs in a thread. It is cancelled
        after `config.handoffs.limit_s` and when the call ends. An exception is told to the agent in words, those of
        `HandoffFailed` as they are, and to `events()` as `HandoffEnded`; the call goes on.

        Raises:
            CallClosed: The call was entered already.
            ConfigError: It has a handler, or asks for no sideband, by which requests come.
        """
        if self._engine.state is not CallState.IDLE:
            raise CallClosed("a handoff handler is given to a call before it is entered")
        if self._engine.handoffs.handler is not None:
            raise ConfigError("a call has one handoff handler: give it to connect() or to on_handoff()")
        if self._engine.config.sideband == "off":
            raise ConfigError(
                'requests come by the sideband: a handoff handler needs another policy than sideband="off"'
            )
        self._engine.handoffs.handler = handler
        return handler

    @property
    def tool(self) -> ToolDecorator:
        """Lets the agent call a typed function: `@call.tool` or `@call.tool(respond=False)`.

        It is for a call that was not entered yet. Which functions can be tools, and what the settings mean, says
        `TypedTool`. On realtime v2 (`transport="websocket"`) the agent calls it itself, gets the result, and speaks. On
        v1 it stands in `HandoffRequest.tools`, for the handler. Several may be at work; each is a task of the call,
        cancelled after its limit and when the call ends, and told of by `ToolCallEnded` and `result.tool_calls`. What
        a tool raises is told to the model in words, and the call goes on.
        """
        return ToolDecorator(self._engine)
