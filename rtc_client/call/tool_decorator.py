"""ToolDecorator: what `call.tool` is."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, overload

from rtc_client.call.engine import Engine
from rtc_client.call.tools.typed_tool import DEFAULT_LIMIT_S, TypedTool
from rtc_client.errors import CallClosed
from rtc_client.protocol.call_state import CallState

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
