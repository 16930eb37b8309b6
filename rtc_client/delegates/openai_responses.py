"""OpenAIResponsesHandoff: a model behind OpenAI's Responses API. The only file that uses the official SDK.

What is kept of earlier turns is `history.py`'s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from rtc_client.delegates.handoff_request import HandoffRequest, Progress
from rtc_client.delegates.handoff_tool import HandoffTool
from rtc_client.delegates.history import History, Item, resendable, since_compaction, text_of, tool_output, user_message
from rtc_client.delegates.runner import run_anywhere
from rtc_client.errors import ConfigError, HandoffFailed
from rtc_client.protocol.wire.codec import dump_json, load_json

if TYPE_CHECKING:
    from openai import AsyncOpenAI

INSTRUCTIONS: Final = (
    "You do the work behind a voice agent. Each message is what it asks of you, with what was said in the call since "
    "it last asked. Answer briefly and in plain sentences: the agent reads your answer and speaks it in its own words."
)
"""What the model is told to be, unless it is told otherwise."""
MAX_ROUNDS: Final = 32
"""Responses for one request: after each the model has called tools, or more was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DelegateTool:
    """A function that the model may call."""

    name: str
    description: str
    """What it does, for the model."""
    parameters: Mapping[str, object]
    """JSON Schema of the arguments, an object."""
    run: Callable[[Mapping[str, Any]], str | Awaitable[str]] = field(repr=False)
    """Called with the arguments, not checked against the schema; in a thread if it is not async. What it raises is told
    to the model by name, and it goes on."""


class OpenAIResponsesHandoff:
    """Asks a model, streaming, and sends each message of it when it is complete. It serves one call at a time.

    The model gets the request as `HandoffRequest.text`, after the turns before it in this call. It may call tools,
    those of the call (`HandoffRequest.tools`) among them; what else is asked while it is at work (`steer`) is put to it
    with the next response. What it marks as commentary is progress. Nothing is stored on the server (`store=False`).

    Needs the extra: `pip install rtc-client[openai]`.

    Args:
        model: Its name.
        instructions: Its instructions.
        tools: Functions that run here, and tools that run there, as mappings: `{"type": "web_search"}`.
        api_key: `OPENAI_API_KEY` if None.
        base_url: `OPENAI_BASE_URL` if None, else OpenAI's.
        history_tokens: Budget of the turns that are kept, about 4 bytes of JSON a token; beyond it the oldest go.
        compact: Let the server compact the history when it passes the budget, instead (`context_management`).
        options: Further arguments of `responses.create`: `{"reasoning": {"effort": "low"}}`. A reasoning model goes on
            where it was with `{"include": ["reasoning.encrypted_content"]}`.

    Raises:
        ConfigError: It has no model, or a history of no use; on entering the call, no key, no SDK, or another call.
    """

    def __init__(
        self,
        model: str,
        *,
        instructions: str = INSTRUCTIONS,
        tools: Sequence[DelegateTool | Mapping[str, object]] = (),
        api_key: str | None = None,
        base_url: str | None = None,
        history_tokens: int = 50_000,
        compact: bool = False,
        options: Mapping[str, object] | None = None,
    ) -> None:
        if not model:
            raise ConfigError("an OpenAIResponsesHandoff needs the name of a model")
        if history_tokens < 1_000:
            raise ConfigError("a history has room for 1000 tokens at least")
        self._functions = {tool.name: tool for tool in tools if isinstance(tool, DelegateTool)}
        self._api_key = api_key
        self._base_url = base_url
        self._history = History(history_tokens, is_compacted=compact)
        self._client: AsyncOpenAI | None = None
        self._arguments: dict[str, Any] = {"model": model, "store": False, "stream": True}
        if instructions:
            self._arguments["instructions"] = instructions
        self._tools = [_described(tool) for tool in tools]
        if compact:
            self._arguments["context_management"] = [{"type": "compaction", "compact_threshold": history_tokens}]
        self._arguments |= options or {}

    async def __aenter__(self) -> OpenAIResponsesHandoff:
        """Make the client; nothing is sent.

        Raises:
            ConfigError: The SDK is not installed, there is no key, or another call uses this object.
        """
        if self._client is not None:
            raise ConfigError("an OpenAIResponsesHandoff serves one call at a time: make another")
        try:
            import openai
        except ImportError as error:
            raise ConfigError("the official SDK is not installed: pip install rtc-client[openai]") from error
        try:
            self._client = openai.AsyncOpenAI(api_key=self._api_key, base_url=self._base_url)
        except openai.OpenAIError as error:
            raise ConfigError("the model needs a key: set OPENAI_API_KEY, or pass api_key") from error
        return self

    async def __aexit__(self, *error: object) -> None:
        """Close the client, and forget what was said."""
        self._history.clear()
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def __call__(self, request: HandoffRequest) -> AsyncGenerator[str]:
        """Yield the messages of the model.

        Raises:
            HandoffFailed: The model cannot be reached, fails, breaks off, or calls tools without end.

        Cancelling it closes the connection; the turn is forgotten.
        """
        turn = [user_message(request.text)]
        for _ in range(MAX_ROUNDS):
            calls: list[Item] = []
            async with aclosing(self._response(turn, request.tools)) as items:
                async for item in items:
                    if item.get("type") == "function_call":
                        calls.append(item)
                    if (kept := resendable(item)) is not None:
                        turn.append(kept)
                    if item.get("type") == "message":
                        text = text_of(item)
                        yield Progress(text) if item.get("phase") == "commentary" else text
            for call in calls:
                turn.append(tool_output(call["call_id"], await self._run(call, request.tools)))
            steering = [user_message(more.text) for more in request.take_steering()]
            turn += steering
            if not calls and not steering:
                self._history.add(turn)
                return
        raise HandoffFailed("The task was given up: the model called tools again and again.")

    async def _response(self, turn: Sequence[Item], tools: Sequence[HandoffTool]) -> AsyncGenerator[Item]:
        """Yield each item of one response when it is complete."""
        import openai

        if self._client is None:
            raise ConfigError("an OpenAIResponsesHandoff works within a call, or within `async with`")
        given = since_compaction([*self._history.items, *turn])
        described = [*self._tools, *(_described(tool) for tool in tools if tool.name not in self._functions)]
        arguments = ({"tools": described} if described else {}) | self._arguments
        create: Any = self._client.responses.create  # its types are those of literals, not of what was received
        is_complete = False
        try:
            async with await create(input=given, **arguments) as stream:
                async for event in stream:
                    match event.type:
                        case "response.output_item.done":
                            yield event.item.to_dict(mode="json")
                        case "response.completed":
                            is_complete = True
                        case "response.incomplete":
                            reason = getattr(event.response.incomplete_details, "reason", None) or "unknown"
                            raise HandoffFailed(f"The model stopped before it was done ({reason}).")
                        case "response.failed":
                            code = getattr(event.response.error, "code", None) or "unknown"
                            raise HandoffFailed(f"The model failed ({code}).")
                        case "error":
                            raise HandoffFailed(f"The model failed ({event.code or 'unknown'}).")
                        case _:
                            pass
        except openai.APIStatusError as error:
            raise HandoffFailed(f"The model refused the request with HTTP {error.status_code}.") from error
        except openai.APIConnectionError as error:
            raise HandoffFailed("The model cannot be reached.") from error
        except openai.APIError as error:
            raise HandoffFailed(f"The model failed ({error.code or 'unknown'}).") from error
        if not is_complete:
            raise HandoffFailed("The model broke off.")

    async def _run(self, call: Item, tools: Sequence[HandoffTool]) -> str:
        """Return what a tool answers; of a failure its name, as JSON."""
        tool = ({one.name: one for one in tools} | self._functions).get(call["name"])
        if tool is None:
            return dump_json({"error": "there is no such tool"})
        try:
            arguments = load_json(call["arguments"] or "{}")
        except ValueError:
            return dump_json({"error": "the arguments are not JSON"})
        if not isinstance(arguments, dict):
            return dump_json({"error": "the arguments are no object"})
        try:
            return str(await run_anywhere(tool.run, arguments))
        except HandoffFailed as error:
            return dump_json({"error": str(error)})
        except Exception as error:  # noqa: BLE001 - a tool may raise anything, and the model goes on
            return dump_json({"error": f"it failed by an internal error ({type(error).__name__})"})


def _described(tool: DelegateTool | HandoffTool | Mapping[str, object]) -> Mapping[str, object]:
    if not isinstance(tool, DelegateTool | HandoffTool):
        return tool
    return {
        "type": "function",
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
        "strict": False,
    }
