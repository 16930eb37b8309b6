"""ToolFollowUp: when to request a response after the results of tool calls were sent. Pure.

A response may call several tools; the agent is asked once, after the last of their results. To ask after each of them
would have it speak several times, first of half of the results.

So it is with tools of MCP servers, which the service calls by itself, once approved: it does so after the response,
puts the result into the conversation, and leaves it to the client to ask for words about it (openai-ruby's
examples/realtime/mcp_approval.rb, openai-dotnet's tests/Realtime/RealtimeToolTests.cs). About one that was denied too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeVar

from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.items import Item, McpApprovalRequestItem, McpCallItem

T = TypeVar("T")

MAX_OPEN: Final = 64
"""Responses that have begun and not ended, and those whose calls are at work; the oldest are forgotten."""
_UNNAMED: Final = ""
"""The response of calls of which nobody says whose they are."""


@dataclass(slots=True)
class _Calls:
    at_work: set[str] = field(default_factory=set)
    is_wanted: bool = False
    """Whether one of the results is to be spoken of."""


class ToolFollowUp:
    """The responses that call something. What calls are named by must be unique among them."""

    def __init__(self) -> None:
        self._open: dict[str, None] = {}
        self._calling: dict[str, _Calls] = {}
        self._response_of: dict[str, str] = {}
        self._mcp: dict[str, str] = {}
        """The responses of announced MCP calls, and of requests to approve one, by the ids of their items."""
        self.servers: set[str] = set()
        """The labels of the MCP servers whose results are to be spoken of."""

    def on_event(self, event: ev.ServerEvent) -> bool:
        """Take note of responses, and of calls of MCP tools; return whether the agent is to be asked now."""
        match event:
            case ev.ResponseCreated():
                _remember(self._open, event.response_id or _UNNAMED, None)
            case ev.ResponseDone() | ev.ResponseCancelled():
                key = event.response_id or _UNNAMED
                self._open.pop(key, None)
                return self._is_due(key)
            case ev.OutputItemAdded(item=item) | ev.OutputItemDone(item=item):
                self._announced(item, event.response_id)
            case ev.ItemAdded(item=item) | ev.ItemDone(item=item):
                self._announced(item, None)
            case ev.McpCallInProgress(item_id=str(item_id)) if item_id in self._mcp:
                self.called(item_id, self._mcp[item_id])
            case ev.McpCallCompleted(item_id=str(item_id)) | ev.McpCallFailed(item_id=str(item_id)):
                if (caller := self._mcp.pop(item_id, None)) is not None:
                    self.called(item_id, caller)
                    return self.answered(item_id)
            case _:
                pass
        return False

    def denied(self, request_id: str) -> bool:
        """Take note that an MCP call is not made after all; return whether the agent is to be asked now."""
        key = self._mcp.pop(request_id, None)
        if key is None:
            return False
        self._calls(key).is_wanted = True
        return self._is_due(key)

    def called(self, call: str, response_id: str | None = None) -> None:
        """Take note of a call that is at work; without a response's id it is one of the response that began last.

        Told again it changes nothing.
        """
        if call in self._response_of:
            return
        self._response_of[call] = key = self._key(response_id)
        self._calls(key).at_work.add(call)

    def answered(self, call: str, *, is_wanted: bool = True) -> bool:
        """Take note that a call is no longer at work, and whether the agent is to speak of it.

        Returns whether it is to be asked now.
        """
        key = self._response_of.pop(call, None)
        if key is None:
            return False
        calls = self._calling[key]
        calls.at_work.discard(call)
        calls.is_wanted |= is_wanted
        return self._is_due(key)

    def _announced(self, item: Item, response_id: str | None) -> None:
        if not isinstance(item, McpCallItem | McpApprovalRequestItem) or item.server_label not in self.servers:
            return
        if item.id is not None and item.id not in self._mcp:
            _remember(self._mcp, item.id, self._key(response_id))

    def _calls(self, key: str) -> _Calls:
        calls = self._calling.setdefault(key, _Calls())
        if len(self._calling) > MAX_OPEN:
            for forgotten in self._calling.pop(next(iter(self._calling))).at_work:
                del self._response_of[forgotten]
        return calls

    def _key(self, response_id: str | None) -> str:
        return response_id or next(reversed(self._open), _UNNAMED)

    def _is_due(self, key: str) -> bool:
        calls = self._calling.get(key)
        if calls is None or calls.at_work or key in self._open:
            return False
        del self._calling[key]
        return calls.is_wanted


def _remember(known: dict[str, T], key: str, value: T) -> None:
    known[key] = value
    if len(known) > MAX_OPEN:
        del known[next(iter(known))]
