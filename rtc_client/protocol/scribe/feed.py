"""What each event, and each command that was sent, means to a transcript; the only file here that knows their names."""

from __future__ import annotations

from collections.abc import Mapping

from rtc_client.protocol import events as ev
from rtc_client.protocol.codec import load_json
from rtc_client.protocol.scribe.scribe import Scribe
from rtc_client.protocol.transcript import Role

_CREATES = "conversation.item.create"


def note_event(scribe: Scribe, event: ev.ServerEvent, at_ms: int) -> None:
    """Tell `scribe` what the server sent `at_ms` after the call connected. An event that comes twice counts once."""
    raw = event.raw
    if not isinstance(raw, Mapping) or not scribe.is_new(_text(raw, "event_id")):
        return
    item_id, response_id = _text(raw, "item_id"), _text(raw, "response_id")
    part = _number(raw, "content_index") or 0
    match event:
        case ev.CallerTranscriptDelta(delta=piece):
            scribe.delta("caller", piece, at_ms, item_id=item_id, part=part, name=event.type)
        case ev.CallerTranscriptDone(transcript=text):
            scribe.settle("caller", text, at_ms, item_id=item_id, part=part)
        case ev.AgentTranscriptDelta(delta=piece):
            scribe.delta("agent", piece, at_ms, item_id=item_id, response_id=response_id, part=part, name=event.type)
        case ev.AgentTranscriptDone(transcript=text):
            scribe.settle("agent", text, at_ms, item_id=item_id, response_id=response_id, part=part)
        case _:
            pass


def note_sent(scribe: Scribe, frame: str, at_ms: int) -> None:
    """Tell `scribe` what was sent to the server: a message of the caller's, or in the agent's name, is an entry.

    What a developer tells the agent is not: nobody in the conversation said it.
    """
    if _CREATES not in frame:
        return
    try:
        command = load_json(frame)
    except ValueError:
        return
    item = command.get("item") if isinstance(command, dict) and command.get("type") == _CREATES else None
    role = _role(item)
    if role is not None and isinstance(item, dict) and (text := _written_text(item)):
        scribe.written(role, text, at_ms, item_id=_text(item, "id"))


def _role(item: object) -> Role | None:
    match item:
        case {"type": "message", "role": "user"}:
            return "caller"
        case {"type": "message", "role": "assistant"}:
            return "agent"
        case _:
            return None


def _written_text(item: Mapping[str, object]) -> str:
    parts = item.get("content")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "".join(text for text in texts if isinstance(text, str))


def _text(raw: Mapping[str, object], name: str) -> str | None:
    value = raw.get(name)
    return value if isinstance(value, str) and value else None


def _number(raw: Mapping[str, object], name: str) -> int | None:
    value = raw.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None
