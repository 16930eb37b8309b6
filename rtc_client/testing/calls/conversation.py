"""Who said what in one call, put together from the events on its sideband (protocol.md section 7). Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

from rtc_client.testing.wire.server_events import JsonObject, text_of

MAX_ENTRIES: Final = 1_000

_PIECES: Final = {
    "conversation.input_transcript.delta": "caller",
    "conversation.item.input_audio_transcription.delta": "caller",
    "conversation.output_transcript.delta": "agent",
    "response.output_text.delta": "agent",
    "response.output_audio_transcript.delta": "agent",
}
_FINALS: Final = {
    "conversation.input_transcript.turn_marked": "caller",
    "conversation.item.input_audio_transcription.completed": "caller",
    "response.output_audio_transcript.done": "agent",
}


@dataclass(slots=True)
class Said:
    """One turn of one of the two."""

    role: str
    by: Literal["voice", "text"]
    at_s: float
    """When it began, seconds since the answerer started."""
    text: str = field(repr=False)
    is_final: bool = False

    def as_json(self) -> JsonObject:
        """Return the entry as the report holds it."""
        return {
            "role": self.role,
            "by": self.by,
            "at_s": round(self.at_s, 3),
            "final": self.is_final,
            "text": self.text,
        }


class Conversation:
    """The transcript so far. Beyond `MAX_ENTRIES` turns nothing is added."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self.entries: list[Said] = []
        self._now_s = now_s
        self._open: dict[str, Said] = {}

    def sent(self, event: JsonObject) -> None:
        """Take an event that was sent to the client."""
        kind = str(event.get("type"))
        if (role := _PIECES.get(kind)) is not None:
            said = self._open.get(role) or self._begin(role)
            said.text += str(event.get("delta", ""))
        elif (role := _FINALS.get(kind)) is not None:
            said = self._open.get(role) or self._begin(role)
            said.text, said.is_final = str(event.get("transcript", "")), True
            del self._open[role]

    def received(self, frame: JsonObject) -> None:
        """Take a frame of the client: the text it gave the agent, if any."""
        if (text := text_of(frame)) is not None:
            self._add(Said("caller", "text", self._now_s(), text, is_final=True))

    def _begin(self, role: str) -> Said:
        self._open[role] = said = Said(role, "voice", self._now_s(), "")
        self._add(said)
        return said

    def _add(self, said: Said) -> None:
        if len(self.entries) < MAX_ENTRIES:
            self.entries.append(said)
