"""Server events about what the agent says and does, one frozen type each.

Names of fields are those of the GA API (openai-python, `types/realtime`, read on 3.52). Two names share a type where
they are one fact in realtime v1 (protocol.md section 7).
"""

from __future__ import annotations

from msgspec import field

from rtc_client.protocol.wire.events_base import KnownEvent
from rtc_client.protocol.wire.items import ContentPart, Item
from rtc_client.protocol.wire.responses import Response


class _ResponseEvent(KnownEvent, frozen=True, kw_only=True):
    response: Response

    @property
    def response_id(self) -> str | None:
        """The server's name for the response."""
        return self.response.id


class ResponseCreated(_ResponseEvent, frozen=True, kw_only=True):
    """The agent begins a response (`response.created`)."""


class ResponseDone(_ResponseEvent, frozen=True, kw_only=True):
    """A response is over, however it ended; it has all of its output and its usage (`response.done`)."""


class ResponseCancelled(KnownEvent, frozen=True, kw_only=True):
    """A response was cancelled; older servers say so (`response.cancelled`)."""

    response: Response | None = None
    cancelled_id: str | None = field(name="response_id", default=None)
    """Its id, where the response itself is not told."""

    @property
    def response_id(self) -> str | None:
        """The server's name for the response."""
        return self.cancelled_id if self.response is None else self.response.id


class _OfItem(KnownEvent, frozen=True, kw_only=True):
    response_id: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    """Which output of its response."""


class _OfPart(_OfItem, frozen=True, kw_only=True):
    content_index: int | None = None
    """Which part of the item's content."""


class _OutputItemEvent(KnownEvent, frozen=True, kw_only=True):
    item: Item
    response_id: str | None = None
    output_index: int | None = None

    @property
    def item_id(self) -> str | None:
        """The item's name in the conversation."""
        return self.item.id


class OutputItemAdded(_OutputItemEvent, frozen=True, kw_only=True):
    """A response begins an item (`response.output_item.added`)."""


class OutputItemDone(_OutputItemEvent, frozen=True, kw_only=True):
    """An item of a response is over (`response.output_item.done`)."""


class ContentPartAdded(_OfPart, frozen=True, kw_only=True):
    """A response begins a part of an item's content (`response.content_part.added`)."""

    part: ContentPart


class ContentPartDone(_OfPart, frozen=True, kw_only=True):
    """A part of an item's content is over (`response.content_part.done`)."""

    part: ContentPart


class AgentTranscriptDelta(_OfPart, frozen=True, kw_only=True):
    """A piece of what the agent says, spoken or written; `type` tells which.

    `conversation.output_transcript.delta` in v1, `response.output_audio_transcript.delta` and
    `response.output_text.delta` in v1 and GA.
    """

    delta: str
    obfuscation: str | None = None
    """Padding that hides how long the delta is."""


class AgentTranscriptDone(_OfPart, frozen=True, kw_only=True):
    """The settled text of what the agent said in one turn (`response.output_audio_transcript.done`)."""

    transcript: str


class AgentTranscriptClosed(KnownEvent, frozen=True, kw_only=True):
    """`conversation.output_transcript.done` of v1, which the reference client ignores; it settles no text."""

    transcript: str | None = None


class AgentTextDone(_OfPart, frozen=True, kw_only=True):
    """The settled text of what the agent wrote (`response.output_text.done`)."""

    text: str


class ResponseAudioDelta(_OfPart, frozen=True, kw_only=True):
    """Agent audio of GA beside the media path, in the session's output format (`response.output_audio.delta`).

    A WebRTC call hears the agent by RTP instead.
    """

    audio_base64: str = field(name="delta")
    """Base64; with the usual format of int16 little-endian samples, mono, 24 kHz."""
    obfuscation: str | None = None


class ResponseAudioDone(_OfPart, frozen=True, kw_only=True):
    """The agent's audio of one part is over (`response.output_audio.done`)."""


class FunctionArgumentsDelta(_OfItem, frozen=True, kw_only=True):
    """A piece of the arguments of a function call (`response.function_call_arguments.delta`)."""

    delta: str
    call_id: str | None = None
    obfuscation: str | None = None


class FunctionArgumentsDone(_OfItem, frozen=True, kw_only=True):
    """The arguments of a function call (`response.function_call_arguments.done`)."""

    arguments: str
    """JSON, as far as the model wrote any."""
    call_id: str | None = None
    name: str | None = None


class McpArgumentsDelta(_OfItem, frozen=True, kw_only=True):
    """A piece of the arguments of a call of an MCP tool (`response.mcp_call_arguments.delta`)."""

    delta: str
    obfuscation: str | None = None


class McpArgumentsDone(_OfItem, frozen=True, kw_only=True):
    """The arguments of a call of an MCP tool (`response.mcp_call_arguments.done`)."""

    arguments: str


class McpCallInProgress(_OfItem, frozen=True, kw_only=True):
    """A tool of an MCP server is being called (`response.mcp_call.in_progress`)."""


class McpCallCompleted(_OfItem, frozen=True, kw_only=True):
    """A tool of an MCP server has answered (`response.mcp_call.completed`)."""


class McpCallFailed(_OfItem, frozen=True, kw_only=True):
    """A call of an MCP tool failed (`response.mcp_call.failed`)."""


class _McpListEvent(KnownEvent, frozen=True, kw_only=True):
    item_id: str | None = None


class McpListToolsInProgress(_McpListEvent, frozen=True, kw_only=True):
    """An MCP server is being asked for its tools (`mcp_list_tools.in_progress`)."""


class McpListToolsCompleted(_McpListEvent, frozen=True, kw_only=True):
    """An MCP server has told its tools (`mcp_list_tools.completed`)."""


class McpListToolsFailed(_McpListEvent, frozen=True, kw_only=True):
    """An MCP server has not told its tools (`mcp_list_tools.failed`)."""
