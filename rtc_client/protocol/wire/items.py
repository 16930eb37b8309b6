"""Items of a conversation and the parts of their content, as we send and as we receive them.

Field names are those of the GA API (openai-python, `types/realtime`), read on 3.52.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from rtc_client.protocol.wire.model import JsonObject, Model, Tagged, UnknownModel

MessageRole: TypeAlias = Literal["user", "developer", "system", "assistant"]


class InputText(Tagged, frozen=True, kw_only=True, tag="input_text"):
    """Text of the caller, of the developer or of the system."""

    text: str


class InputAudio(Tagged, frozen=True, kw_only=True, tag="input_audio"):
    """Speech of the caller."""

    audio: str | None = None
    """Base64 of the audio, in the session's input format; the server leaves it out."""
    transcript: str | None = None


class InputImage(Tagged, frozen=True, kw_only=True, tag="input_image"):
    """An image of the caller's."""

    image_url: str | None = None
    """A data URL, `data:image/png;base64,…` or jpeg."""
    detail: Literal["auto", "low", "high"] | None = None


class OutputText(Tagged, frozen=True, kw_only=True, tag="output_text"):
    """Text of the agent."""

    text: str | None = None


class OutputAudio(Tagged, frozen=True, kw_only=True, tag="output_audio"):
    """Speech of the agent."""

    audio: str | None = None
    """Base64 of the audio, in the session's output format; the server leaves it out."""
    transcript: str | None = None


class TextPart(Tagged, frozen=True, kw_only=True, tag="text"):
    """Text, as `response.content_part.*` names it."""

    text: str | None = None


class AudioPart(Tagged, frozen=True, kw_only=True, tag="audio"):
    """Speech, as `response.content_part.*` names it."""

    audio: str | None = None
    """Base64."""
    transcript: str | None = None


ContentPart: TypeAlias = (
    InputText | InputAudio | InputImage | OutputText | OutputAudio | TextPart | AudioPart | UnknownModel
)
"""What a message, or a response, is made of."""


class _Item(Tagged, frozen=True, kw_only=True):
    id: str | None = None
    """Its name in the conversation; the server gives one where we do not."""
    object: str | None = None
    """`realtime.item`, from the server."""
    status: str | None = None
    """`completed`, `incomplete` or `in_progress`, from the server."""


class MessageItem(_Item, frozen=True, kw_only=True, tag="message"):
    """Something said or written."""

    role: MessageRole
    content: tuple[ContentPart, ...] = ()


class FunctionCallItem(_Item, frozen=True, kw_only=True, tag="function_call"):
    """The agent asks us to run a function; `call_id` is what the answer must name."""

    name: str
    arguments: str
    """JSON, as far as the model wrote any."""
    call_id: str | None = None


class FunctionCallOutputItem(_Item, frozen=True, kw_only=True, tag="function_call_output"):
    """What a function gave back."""

    call_id: str
    output: str


class McpProtocolError(Tagged, frozen=True, kw_only=True, tag="protocol_error"):
    """An MCP server broke the protocol."""

    code: int | None = None
    message: str | None = None


class McpToolError(Tagged, frozen=True, kw_only=True, tag="tool_execution_error"):
    """A tool of an MCP server failed."""

    message: str | None = None


class McpHttpError(Tagged, frozen=True, kw_only=True, tag="http_error"):
    """An MCP server answered with an HTTP error."""

    code: int | None = None
    """The HTTP status."""
    message: str | None = None


McpError: TypeAlias = McpProtocolError | McpToolError | McpHttpError | UnknownModel
"""Why a call of an MCP tool failed."""


class McpCallItem(_Item, frozen=True, kw_only=True, tag="mcp_call"):
    """A call of a tool of an MCP server, which the agent's side made."""

    name: str
    server_label: str
    arguments: str | None = None
    approval_request_id: str | None = None
    output: str | None = None
    error: McpError | None = None


class McpToolDefinition(Model, frozen=True, kw_only=True):
    """A tool that an MCP server has."""

    name: str
    input_schema: JsonObject | None = None
    """JSON Schema of its arguments."""
    description: str | None = None
    """Its description for the model."""
    annotations: JsonObject | None = None
    """What the server adds for people."""


class McpListToolsItem(_Item, frozen=True, kw_only=True, tag="mcp_list_tools"):
    """The tools that an MCP server has."""

    server_label: str
    tools: tuple[McpToolDefinition, ...] = ()


class McpApprovalRequestItem(_Item, frozen=True, kw_only=True, tag="mcp_approval_request"):
    """A tool of an MCP server may only be called if we approve."""

    name: str
    server_label: str
    arguments: str | None = None


class McpApprovalResponseItem(_Item, frozen=True, kw_only=True, tag="mcp_approval_response"):
    """Our approval of such a call, or our refusal."""

    approval_request_id: str
    approve: bool
    reason: str | None = None


class ItemReference(Tagged, frozen=True, kw_only=True, tag="item_reference"):
    """An item of the conversation, named in the input of a response."""

    id: str


Item: TypeAlias = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpCallItem
    | McpListToolsItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | UnknownModel
)
"""What a conversation is made of."""
