"""Tools that a model may call, and which it must: functions of ours and MCP servers. Values only.

Field names are those of the GA API (openai-python, `types/realtime`), read on 3.52.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from rtc_client.protocol.wire.model import JsonObject, Model, Tagged, UnknownModel


class FunctionTool(Tagged, frozen=True, kw_only=True, tag="function"):
    """A function that we run."""

    name: str
    description: str | None = None
    """When and how to call it, in words for the model."""
    parameters: JsonObject | None = None
    """JSON Schema of its arguments."""


class ToolFilter(Model, frozen=True, kw_only=True):
    """Some tools of an MCP server."""

    tool_names: tuple[str, ...] | None = None
    """Those of these names."""
    read_only: bool | None = None
    """Whether the tool is annotated as one that changes nothing."""


class ApprovalFilter(Model, frozen=True, kw_only=True):
    """Which tools of an MCP server need our approval, and which do not."""

    always: ToolFilter | None = None
    never: ToolFilter | None = None


class McpTool(Tagged, frozen=True, kw_only=True, tag="mcp"):
    """A server of tools, which the agent's side calls itself; it needs a `server_url` or a `connector_id`."""

    server_label: str
    """What the server is called in calls of its tools."""
    server_url: str | None = None
    connector_id: str | None = None
    """A connector that the service runs, such as `connector_gmail`."""
    tunnel_id: str | None = None
    """A tunnel to the server, by its id."""
    allowed_tools: tuple[str, ...] | ToolFilter | None = None
    """Which of its tools may be called; all when None."""
    allowed_callers: tuple[Literal["direct", "programmatic"], ...] | None = None
    authorization: str | None = None
    """OAuth access token for the server; never shown."""
    headers: dict[str, str] | None = None
    """HTTP headers for the server; never shown."""
    require_approval: Literal["always", "never"] | ApprovalFilter | None = None
    server_description: str | None = None
    """Its description for the model."""
    defer_loading: bool | None = None


Tool: TypeAlias = FunctionTool | McpTool | UnknownModel
"""What a model may use."""


class FunctionChoice(Tagged, frozen=True, kw_only=True, tag="function"):
    """The model must call this function."""

    name: str


class McpChoice(Tagged, frozen=True, kw_only=True, tag="mcp"):
    """The model must call a tool of this MCP server."""

    server_label: str
    name: str | None = None
    """The tool; any of the server when None."""


ToolChoice: TypeAlias = Literal["none", "auto", "required"] | FunctionChoice | McpChoice
