"""One realistic event for each name on the wire: what the tests of the codec and `scripts/bench events` decode.

The GA ones have the fields of the public reference; `test_official_types.py` has the official SDK judge them. Those of
realtime v1 have the fields of protocol.md section 7.
"""

from __future__ import annotations

from typing import Any, Final, TypeAlias

Sample: TypeAlias = dict[str, Any]

ITEM_ID, RESPONSE_ID = "item_C9G8pEcEN9o3yQkmRhKhu", "resp_C9G8p7IH2WxLbkgPNouYL"

PCM: Final = {"type": "audio/pcm", "rate": 24_000}
FUNCTION: Final = {
    "type": "function",
    "name": "opening_hours",
    "description": "When a museum is open.",
    "parameters": {"type": "object", "properties": {"day": {"type": "string"}}, "required": ["day"]},
}
MCP: Final = {
    "type": "mcp",
    "server_label": "deepwiki",
    "server_url": "https://mcp.example.com/sse",
    "allowed_tools": ["ask"],
    "require_approval": {"always": {"tool_names": ["ask"]}, "never": {"read_only": True}},
}
VAD: Final = {
    "type": "server_vad",
    "threshold": 0.5,
    "prefix_padding_ms": 300,
    "silence_duration_ms": 200,
    "idle_timeout_ms": None,
    "create_response": True,
    "interrupt_response": True,
}
SESSION: Final = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_C9G5QPteg4UIbotdKLoYQ",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "You are the desk of a museum. Be brief.",
    "tools": [FUNCTION, MCP],
    "tool_choice": "auto",
    "max_output_tokens": "inf",
    "tracing": {"workflow_name": "desk", "group_id": "g", "metadata": {"line": 1}},
    "truncation": {"type": "retention_ratio", "retention_ratio": 0.8, "token_limits": {"post_instructions": 8000}},
    "prompt": {"id": "pmpt_1", "version": "2", "variables": {"day": "Sunday"}},
    "expires_at": 1_756_324_625,
    "audio": {
        "input": {
            "format": PCM,
            "transcription": {"model": "gpt-4o-transcribe", "language": "en"},
            "noise_reduction": {"type": "near_field"},
            "turn_detection": VAD,
        },
        "output": {"format": PCM, "voice": "marin", "speed": 1.0},
    },
    "include": ["item.input_audio_transcription.logprobs"],
}
TRANSCRIPTION_SESSION: Final = {
    "type": "transcription",
    "object": "realtime.transcription_session",
    "id": "sess_2",
    "expires_at": 0,
    "audio": {"input": {"format": PCM, "transcription": {"model": "whisper-1"}, "turn_detection": None}},
}

SAID: Final = "On Sunday we open at ten."
MESSAGE: Final = {
    "id": ITEM_ID,
    "object": "realtime.item",
    "type": "message",
    "status": "completed",
    "role": "assistant",
    "content": [{"type": "output_audio", "transcript": SAID}, {"type": "output_text", "text": "Ten."}],
}
ITEMS: Final[list[Sample]] = [
    MESSAGE,
    {
        "id": "item_u",
        "type": "message",
        "role": "user",
        "status": "completed",
        "content": [
            {"type": "input_audio", "transcript": "When do you open?"},
            {"type": "input_text", "text": "On Sunday, please."},
            {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
        ],
    },
    {"id": "item_s", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be kind."}]},
    {
        "id": "item_f",
        "object": "realtime.item",
        "type": "function_call",
        "status": "completed",
        "name": "opening_hours",
        "call_id": "call_1",
        "arguments": '{"day":"Sunday"}',
    },
    {"id": "item_o", "type": "function_call_output", "call_id": "call_1", "output": '{"opens":"10:00"}'},
    {
        "id": "mcp_1",
        "type": "mcp_call",
        "server_label": "deepwiki",
        "name": "ask",
        "arguments": "{}",
        "approval_request_id": "mcpr_1",
        "error": {"type": "http_error", "code": 503, "message": "unavailable"},
    },
    {
        "id": "mcpl_1",
        "type": "mcp_list_tools",
        "server_label": "deepwiki",
        "tools": [{"name": "ask", "description": "Asks.", "input_schema": {"type": "object"}, "annotations": {}}],
    },
    {"id": "mcpr_1", "type": "mcp_approval_request", "server_label": "deepwiki", "name": "ask", "arguments": "{}"},
    {
        "id": "mcpa_1",
        "type": "mcp_approval_response",
        "approval_request_id": "mcpr_1",
        "approve": False,
        "reason": "not now",
    },
]
USAGE: Final = {
    "total_tokens": 253,
    "input_tokens": 132,
    "output_tokens": 121,
    "input_token_details": {
        "text_tokens": 119,
        "audio_tokens": 13,
        "image_tokens": 0,
        "cached_tokens": 64,
        "cached_tokens_details": {"text_tokens": 64, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 30, "audio_tokens": 91},
}
RESPONSE: Final = {
    "object": "realtime.response",
    "id": RESPONSE_ID,
    "status": "in_progress",
    "status_details": None,
    "output": [],
    "conversation_id": "conv_1",
    "output_modalities": ["audio"],
    "max_output_tokens": "inf",
    "audio": {"output": {"format": PCM, "voice": "marin"}},
    "usage": None,
    "metadata": None,
}
FAILED: Final = {
    "type": "failed",
    "error": {"type": "server_error", "code": "internal", "message": "try again"},
}
LOGPROBS: Final = [{"token": "Hel", "logprob": -0.12, "bytes": [72, 101, 108]}]

_PART: Final = {"response_id": RESPONSE_ID, "item_id": ITEM_ID, "output_index": 0, "content_index": 0}
_OF_ITEM: Final = {"response_id": RESPONSE_ID, "item_id": ITEM_ID, "output_index": 0}
_HEARD: Final = "conversation.item.input_audio_transcription."
_SPOKEN: Final = {"item_id": "item_u", "content_index": 0}


def _sample(name: str, /, **fields: Any) -> Sample:
    return {"type": name, "event_id": "event_C9G8mqI3IucaojlVKE8Cs", **fields}


_ERROR: Final = {
    "type": "invalid_request_error",
    "code": "invalid_event",
    "message": "The 'type' field is missing.",
    "param": None,
    "event_id": "event_567",
}

GA: Final[list[Sample]] = [
    _sample("error", error=_ERROR),
    _sample("session.created", session=SESSION),
    _sample("session.updated", session=SESSION),
    _sample("conversation.created", conversation={"id": "conv_1", "object": "realtime.conversation"}),
    _sample("conversation.item.created", previous_item_id=None, item=ITEMS[1]),
    _sample("conversation.item.added", previous_item_id="item_u", item=MESSAGE),
    _sample("conversation.item.done", previous_item_id="item_u", item=MESSAGE),
    _sample("conversation.item.retrieved", item=ITEMS[1]),
    _sample("conversation.item.deleted", item_id="item_u"),
    _sample("conversation.item.truncated", item_id=ITEM_ID, content_index=0, audio_end_ms=1500),
    _sample(f"{_HEARD}delta", **_SPOKEN, delta="Hel", logprobs=LOGPROBS),
    _sample(f"{_HEARD}segment", **_SPOKEN, text="hello", id="seg_1", speaker="A", start=0.0, end=0.4),
    _sample(
        f"{_HEARD}failed", **_SPOKEN, error={"type": "t", "code": "audio_unintelligible", "message": "m", "param": None}
    ),
    _sample(
        f"{_HEARD}completed",
        **_SPOKEN,
        transcript="Hello.",
        logprobs=LOGPROBS,
        languages=[{"code": "en"}],
        usage={
            "type": "tokens",
            "total_tokens": 48,
            "input_tokens": 38,
            "output_tokens": 10,
            "input_token_details": {"text_tokens": 10, "audio_tokens": 28},
        },
    ),
    _sample("input_audio_buffer.committed", previous_item_id=None, item_id="item_u"),
    _sample("input_audio_buffer.cleared"),
    _sample("input_audio_buffer.speech_started", audio_start_ms=1000, item_id="item_u"),
    _sample("input_audio_buffer.speech_stopped", audio_end_ms=2000, item_id="item_u"),
    _sample("input_audio_buffer.timeout_triggered", audio_start_ms=13_216, audio_end_ms=19_232, item_id="item_u"),
    {"type": "input_audio_buffer.dtmf_event_received", "event": "9", "received_at": 1_763_605_109},
    _sample("output_audio_buffer.started", response_id=RESPONSE_ID),
    _sample("output_audio_buffer.stopped", response_id=RESPONSE_ID),
    _sample("output_audio_buffer.cleared", response_id=RESPONSE_ID),
    _sample("response.created", response=RESPONSE),
    _sample("response.done", response=RESPONSE | {"status": "completed", "output": ITEMS, "usage": USAGE}),
    _sample("response.output_item.added", response_id=RESPONSE_ID, output_index=0, item=ITEMS[3]),
    _sample("response.output_item.done", response_id=RESPONSE_ID, output_index=0, item=MESSAGE),
    _sample("response.content_part.added", **_PART, part={"type": "audio", "transcript": ""}),
    _sample("response.content_part.done", **_PART, part={"type": "text", "text": "Ten."}),
    _sample("response.output_text.delta", **_PART, delta="Te"),
    _sample("response.output_text.done", **_PART, text="Ten."),
    _sample("response.output_audio_transcript.delta", **_PART, delta="On Sunday"),
    _sample("response.output_audio_transcript.done", **_PART, transcript=SAID),
    _sample("response.output_audio.delta", **_PART, delta="AQIDBAUGBwg="),
    _sample("response.output_audio.done", **_PART),
    _sample("response.function_call_arguments.delta", **_OF_ITEM, call_id="call_1", delta='{"day"'),
    _sample(
        "response.function_call_arguments.done",
        **_OF_ITEM,
        call_id="call_1",
        name="opening_hours",
        arguments='{"day":"Sunday"}',
    ),
    _sample("response.mcp_call_arguments.delta", **_OF_ITEM, delta="{", obfuscation="aK3"),
    _sample("response.mcp_call_arguments.done", **_OF_ITEM, arguments="{}"),
    _sample("response.mcp_call.in_progress", item_id="mcp_1", output_index=0),
    _sample("response.mcp_call.completed", item_id="mcp_1", output_index=0),
    _sample("response.mcp_call.failed", item_id="mcp_1", output_index=0),
    _sample("mcp_list_tools.in_progress", item_id="mcpl_1"),
    _sample("mcp_list_tools.completed", item_id="mcpl_1"),
    _sample("mcp_list_tools.failed", item_id="mcpl_1"),
    _sample(
        "rate_limits.updated",
        rate_limits=[
            {"name": "requests", "limit": 1000, "remaining": 999, "reset_seconds": 60},
            {"name": "tokens", "limit": 50_000, "remaining": 49_950, "reset_seconds": 0.5},
        ],
    ),
]
"""One event for each name that the official SDK has a type for."""

BEYOND: Final[list[Sample]] = [
    _sample("response.cancelled", response=RESPONSE | {"status": "cancelled"}),
    {"type": "conversation.input_transcript.delta", "delta": "Hel"},
    {"type": "conversation.input_transcript.turn_marked", "transcript": "Hello."},
    {"type": "conversation.input_transcript.done", "transcript": "Hello."},
    {"type": "conversation.output_transcript.delta", "delta": "On Sunday"},
    {"type": "conversation.output_transcript.done", "transcript": SAID},
    {
        "type": "conversation.output_audio.delta",
        "data": "AQI=",
        "sample_rate": 24_000,
        "num_channels": 1,
        "samples_per_channel": 1,
    },
    {
        "type": "conversation.handoff.requested",
        "handoff_id": "handoff_1",
        "item_id": "item_1",
        "input_transcript": "please do it",
    },
]
"""`response.cancelled`, which only older servers send, and realtime v1's own."""

SAMPLES: Final = {sample["type"]: sample for sample in (*GA, *BEYOND)}

VARIANTS: Final[list[Sample]] = [
    _sample("session.updated", session=TRANSCRIPTION_SESSION),
    {"type": "session.updated", "session": {"id": "sess_remote", "instructions": "x"}},
    {"type": "session.updated", "session": {"id": "s", "type": "quicksilver", "audio": {"output": {"voice": "cove"}}}},
    *(_sample("conversation.item.added", item=item) for item in ITEMS),
    _sample("response.done", response=RESPONSE | {"status": "failed", "status_details": FAILED}),
    _sample(f"{_HEARD}completed", **_SPOKEN, transcript="t", usage={"type": "duration", "seconds": 1.5}),
    {"type": "error", "message": "flat boom"},
    {"type": "response.cancelled", "response_id": RESPONSE_ID},
]
"""Other shapes of the same names."""
