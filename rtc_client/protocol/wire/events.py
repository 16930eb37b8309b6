"""Every server event by one name, and which errors end a call.

An event of a known name and shape is a `KnownEvent`, with `type`, `event_id` and `raw`; anything else that arrives is
an `UnknownEvent`, which keeps what was on the wire.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from rtc_client.protocol.wire.events_base import KnownEvent, ServerEvent, UnknownEvent
from rtc_client.protocol.wire.events_conversation import (
    CallerTranscriptClosed,
    CallerTranscriptDelta,
    CallerTranscriptDone,
    CallerTranscriptFailed,
    CallerTranscriptSegment,
    ConversationCreated,
    DtmfReceived,
    ErrorEvent,
    HandoffRequested,
    InputAudioCleared,
    InputAudioCommitted,
    InputTimeoutTriggered,
    ItemAdded,
    ItemCreated,
    ItemDeleted,
    ItemDone,
    ItemRetrieved,
    ItemTruncated,
    OutputAudioCleared,
    OutputAudioDelta,
    OutputAudioStarted,
    OutputAudioStopped,
    RateLimitsUpdated,
    SessionCreated,
    SessionUpdated,
    SpeechStarted,
    SpeechStopped,
)
from rtc_client.protocol.wire.events_response import (
    AgentTextDone,
    AgentTranscriptClosed,
    AgentTranscriptDelta,
    AgentTranscriptDone,
    ContentPartAdded,
    ContentPartDone,
    FunctionArgumentsDelta,
    FunctionArgumentsDone,
    McpArgumentsDelta,
    McpArgumentsDone,
    McpCallCompleted,
    McpCallFailed,
    McpCallInProgress,
    McpListToolsCompleted,
    McpListToolsFailed,
    McpListToolsInProgress,
    OutputItemAdded,
    OutputItemDone,
    ResponseAudioDelta,
    ResponseAudioDone,
    ResponseCancelled,
    ResponseCreated,
    ResponseDone,
)
from rtc_client.protocol.wire.model import RawEvent

__all__ = [
    "AgentTextDone",
    "AgentTranscriptClosed",
    "AgentTranscriptDelta",
    "AgentTranscriptDone",
    "CallerTranscriptClosed",
    "CallerTranscriptDelta",
    "CallerTranscriptDone",
    "CallerTranscriptFailed",
    "CallerTranscriptSegment",
    "ContentPartAdded",
    "ContentPartDone",
    "ConversationCreated",
    "DtmfReceived",
    "ErrorEvent",
    "FunctionArgumentsDelta",
    "FunctionArgumentsDone",
    "HandoffRequested",
    "InputAudioCleared",
    "InputAudioCommitted",
    "InputTimeoutTriggered",
    "ItemAdded",
    "ItemCreated",
    "ItemDeleted",
    "ItemDone",
    "ItemRetrieved",
    "ItemTruncated",
    "KnownEvent",
    "McpArgumentsDelta",
    "McpArgumentsDone",
    "McpCallCompleted",
    "McpCallFailed",
    "McpCallInProgress",
    "McpListToolsCompleted",
    "McpListToolsFailed",
    "McpListToolsInProgress",
    "OutputAudioCleared",
    "OutputAudioDelta",
    "OutputAudioStarted",
    "OutputAudioStopped",
    "OutputItemAdded",
    "OutputItemDone",
    "RateLimitsUpdated",
    "RawEvent",
    "ResponseAudioDelta",
    "ResponseAudioDone",
    "ResponseCancelled",
    "ResponseCreated",
    "ResponseDone",
    "ServerEvent",
    "SessionCreated",
    "SessionUpdated",
    "SpeechStarted",
    "SpeechStopped",
    "UnknownEvent",
    "fatal_reason",
]

_FATAL: Final[Mapping[str, str]] = {
    "session_expired": "session expired",
    "authentication_error": "authentication failed",
    "invalid_authentication": "authentication failed",
    "invalid_api_key": "authentication failed",
    "insufficient_quota": "insufficient quota",
    "call_not_found": "call not found",
    "call_id_not_found": "call not found",
}


def fatal_reason(event: ErrorEvent) -> str | None:
    """Return why this error ends the call, None when the call goes on (the rule; the reference client ends on all)."""
    return _FATAL.get(event.code or "") or _FATAL.get(event.error_type or "")
