"""Commands, and the text that each becomes on the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rtc_client import (
    AppendAudio,
    AppendHandoffOutput,
    CancelResponse,
    ClearAudio,
    ClearOutputAudio,
    Command,
    CommitAudio,
    CreateItem,
    CreateResponse,
    DeleteItem,
    InputText,
    ItemReference,
    MessageItem,
    RealtimeSession,
    ResponseParameters,
    RetrieveItem,
    TruncateItem,
    UpdateSession,
)

HELLO = MessageItem(role="user", content=(InputText(text="hello"),))


HELLO_JSON = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]}


SENT: list[tuple[Command, dict[str, Any]]] = [
    (
        UpdateSession(settings=RealtimeSession(instructions="Be brief.")),
        {"type": "session.update", "session": {"type": "realtime", "instructions": "Be brief."}},
    ),
    (AppendAudio(audio="AQID"), {"type": "input_audio_buffer.append", "audio": "AQID"}),
    (CommitAudio(), {"type": "input_audio_buffer.commit"}),
    (ClearAudio(), {"type": "input_audio_buffer.clear"}),
    (ClearOutputAudio(), {"type": "output_audio_buffer.clear"}),
    (
        CreateItem(item=HELLO, previous_item_id="root"),
        {"type": "conversation.item.create", "item": HELLO_JSON, "previous_item_id": "root"},
    ),
    (RetrieveItem(item_id="i"), {"type": "conversation.item.retrieve", "item_id": "i"}),
    (DeleteItem(item_id="i"), {"type": "conversation.item.delete", "item_id": "i"}),
    (
        TruncateItem(item_id="i", content_index=0, audio_end_ms=0),
        {"type": "conversation.item.truncate", "item_id": "i", "content_index": 0, "audio_end_ms": 0},
    ),
    (CreateResponse(), {"type": "response.create"}),
    (
        CreateResponse(response=ResponseParameters(output_modalities="text", input=(ItemReference(id="i"), HELLO))),
        {
            "type": "response.create",
            "response": {"output_modalities": ["text"], "input": [{"type": "item_reference", "id": "i"}, HELLO_JSON]},
        },
    ),
    (CancelResponse(response_id="r"), {"type": "response.cancel", "response_id": "r"}),
    (CancelResponse(), {"type": "response.cancel"}),
    (
        AppendHandoffOutput(handoff_id="h", output_text=""),
        {"type": "conversation.handoff.append", "handoff_id": "h", "output_text": ""},
    ),
]


def session(**settings: Any) -> Callable[[], Command]:
    return lambda: UpdateSession(settings=RealtimeSession(**settings))


def response(**parameters: Any) -> Callable[[], Command]:
    return lambda: CreateResponse(response=ResponseParameters(**parameters))
