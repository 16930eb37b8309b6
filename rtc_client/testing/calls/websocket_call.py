"""What is different in a call over a websocket (section 10): its audio, its judge, and v2's names for v1's events."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

from rtc_client.clock import Clock
from rtc_client.testing.calls.websocket_media import DirectPeer
from rtc_client.testing.calls.websocket_rules import DirectJudge
from rtc_client.testing.sound.vad import VadSettings
from rtc_client.testing.wire.server_events import JsonObject, parse_object

_APPEND: Final = '{"type":"input_audio_buffer.append"'
_BACKEND: Final = "[BACKEND] "
_V2_NAMES: Final = {
    "conversation.output_transcript.delta": "response.output_audio_transcript.delta",
    "conversation.input_transcript.delta": "conversation.item.input_audio_transcription.delta",
    "conversation.input_transcript.turn_marked": "conversation.item.input_audio_transcription.completed",
}


class Direct:
    """The part of a call that its transport makes different."""

    def __init__(
        self,
        clock: Clock,
        *,
        is_v1: bool,
        hearing: VadSettings,
        on_connected: Callable[[], None],
        on_heard: Callable[[float, float], None],
        lost_s: Callable[[float, float], float],
    ) -> None:
        self.is_v1 = is_v1
        self._handoff_id = ""
        self.peer = DirectPeer(clock=clock, is_v1=is_v1, hearing=hearing, on_connected=on_connected, on_heard=on_heard)
        self.judge = DirectJudge(self.peer.track, clock.now_s, is_v1=is_v1, lost_s=lost_s)

    @property
    def session_type(self) -> str:
        """What the server calls the session."""
        if self.is_v1:
            return "quicksilver"
        return "transcription" if self.judge.is_transcription else "realtime"

    def took_sound(self, frame: str) -> bool:
        """Take a frame if it is well-formed sound, which is too much to be kept; return whether it was."""
        if not frame.startswith(_APPEND) or self.judge.later_frame(frame):
            return False
        message = parse_object(frame)
        return message is not None and self.peer.take(message)

    def understood(self, message: JsonObject) -> list[JsonObject]:
        """Return a message of the client's, and on v2 what it would be on v1, so that one scenario serves both."""
        match message:
            case {"item": {"role": "user", "content": [{"text": str(text)}]}} if text.startswith(_BACKEND):
                output = {"handoff_id": self._handoff_id, "output_text": text.removeprefix(_BACKEND)}
                return [message, {"type": "conversation.handoff.append", **output}]
            case _:
                return [message]

    def named(self, event: JsonObject | str | bytes) -> JsonObject | str | bytes:
        """Return an event of the agent's as this version of realtime has it."""
        if self.is_v1 or not isinstance(event, dict):
            return event
        kind = event.get("type")
        if kind == "conversation.handoff.requested":
            self._handoff_id = str(event["handoff_id"])
            arguments = json.dumps({"prompt": event["input_transcript"]}, ensure_ascii=False)
            item = {"id": event["item_id"], "type": "function_call", "name": "background_agent"}
            return {
                "type": "conversation.item.done",
                "item": item | {"call_id": event["handoff_id"], "arguments": arguments},
            }
        if kind in ("response.output_audio_transcript.done", "conversation.output_transcript.delta"):
            event = event | {"item_id": self.peer.track.item_id, "output_index": 0, "content_index": 0}
        return event | {"type": _V2_NAMES.get(str(kind), kind)}
