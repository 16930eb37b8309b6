"""TypedTool: a Python function that an agent, or the model behind a handoff, may call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from rtc_client.errors import ConfigError
from rtc_client.protocol.delegation.background_agent import BACKGROUND_AGENT, REMAIN_SILENT
from rtc_client.protocol.delegation.tool_schema import ToolSchema, read_signature
from rtc_client.protocol.wire.tools import FunctionTool

DEFAULT_LIMIT_S: Final = 30.0


class TypedTool:
    """A function with what a model is told about it.

    The schema of its arguments is made from its signature: the types of msgspec (numbers, text, `Literal`, enums,
    `Optional`, containers, dataclasses, `msgspec.Struct`, `Annotated[int, msgspec.Meta(ge=1)]`, …), and those of
    pydantic. What has a default may be left out. The description is the docstring, that of a parameter its entry below
    `Args:`. A parameter of the type `ToolContext` gets that, and no model hears of it.

    Args:
        function: Sync or async; what is not async runs in a thread. What it returns is told to the model as JSON; what
            it raises, as `{"error": …}`: the words of `ToolFailed`, of another exception only the name.
        name: The function's own when None; 1 to 64 of a-z, A-Z, 0-9, _ and -.
        description: When and how to call it; that of the docstring when None.
        respond: Whether the agent is to speak when the result is there (realtime v2), once after the last result where
            one response calls several tools. Without it the agent knows the result, and says nothing of it until it
            speaks for another reason.
        limit_s: It is given up after this long, in seconds, and the model is told so; waiting for its turn counts.

    Raises:
        ConfigError: A model could not call it: by its name, or because JSON Schema has no word for a type.
    """

    def __init__(
        self,
        function: Callable[..., object],
        *,
        name: str | None = None,
        description: str | None = None,
        respond: bool = True,
        limit_s: float = DEFAULT_LIMIT_S,
    ) -> None:
        if not callable(function):
            raise ConfigError(f"a tool is a function, not of the type {type(function).__name__}")
        if not 0 < limit_s < 86_400:
            raise ConfigError("the time limit of a tool must be more than 0 seconds and less than a day")
        self._signature: ToolSchema = read_signature(function, name=name, description=description)
        if self.name in (BACKGROUND_AGENT, REMAIN_SILENT):
            raise ConfigError(f"every session has a tool {self.name} of its own: pass another name")
        self.function = function
        self.respond = respond
        self.limit_s = limit_s

    def __repr__(self) -> str:
        return f"TypedTool(name={self.name!r}, respond={self.respond}, limit_s={self.limit_s:g})"

    @property
    def name(self) -> str:
        """What a model calls it."""
        return self._signature.name

    @property
    def description(self) -> str:
        """When and how to call it, in words for a model; may be empty."""
        return self._signature.description

    @property
    def parameters(self) -> dict[str, object]:
        """JSON Schema (2020-12) of its arguments, an object."""
        return self._signature.parameters

    @property
    def definition(self) -> FunctionTool:
        """What a session is told about it."""
        return FunctionTool(name=self.name, description=self.description or None, parameters=self.parameters)

    def arguments(self, text: str, context: object = None) -> dict[str, Any]:
        """Return the keyword arguments in JSON that a model wrote, and the context where the function wants it.

        Raises:
            InvalidArguments: They do not fit; in words for the model.
        """
        return self._signature.arguments(text) | dict.fromkeys(self._signature.given, context)
