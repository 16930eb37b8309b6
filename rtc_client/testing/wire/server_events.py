"""The server events of realtime v1 that a scripted agent sends (protocol.md section 7), as plain JSON objects.

Written from the protocol alone: nothing here is shared with the client's codec, so the two can disagree.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final, TypeAlias

JsonObject: TypeAlias = dict[str, object]

ANSWER_PREFIX: Final = '"Agent Final Message":\n\n'
"""Before every message of a handoff's turn, quotes included (protocol.md section 9)."""


def dump(event: JsonObject) -> str:
    """Return the text of a frame: compact JSON, non-ASCII unescaped."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False)


def parse_object(text: str) -> JsonObject | None:
    """Return the JSON object in `text`, or None if it holds anything else."""
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def session_updated(session_id: str, session: Mapping[str, object] | None = None) -> JsonObject:
    """The server has applied a `session.update`, or changed the session itself: `session` is what it tells of it."""
    return {"type": "session.updated", "session": {"id": session_id, "type": "quicksilver", **(session or {})}}


def handoff_requested(handoff_id: str, item_id: str, input_transcript: str) -> JsonObject:
    """The agent hands a task over (section 9)."""
    return {
        "type": "conversation.handoff.requested",
        "handoff_id": handoff_id,
        "item_id": item_id,
        "input_transcript": input_transcript,
    }


def agent_said_piece(delta: str) -> JsonObject:
    """A piece of the agent's transcript."""
    return {"type": "conversation.output_transcript.delta", "delta": delta}


def agent_said(transcript: str) -> JsonObject:
    """The settled transcript of one turn of the agent."""
    return {"type": "response.output_audio_transcript.done", "transcript": transcript}


def caller_said_piece(delta: str) -> JsonObject:
    """A piece of the caller's transcript."""
    return {"type": "conversation.input_transcript.delta", "delta": delta}


def caller_said(transcript: str) -> JsonObject:
    """The settled transcript of one turn of the caller."""
    return {"type": "conversation.input_transcript.turn_marked", "transcript": transcript}


def requested_handoff(frame: str) -> str | None:
    """Return the id of the handoff that a frame to the client requests, if it does."""
    if '"conversation.handoff.requested"' not in frame:
        return None
    match parse_object(frame):
        case {"type": "conversation.handoff.requested", "handoff_id": str() as handoff_id}:
            return handoff_id
        case _:
            return None


def text_of(frame: JsonObject) -> str | None:
    """Return the text a `conversation.item.create` gives the agent on the caller's behalf, if it is one."""
    item = frame.get("item")
    if frame.get("type") != "conversation.item.create" or not isinstance(item, dict) or item.get("role") != "user":
        return None
    content = item.get("content")
    first = content[0] if isinstance(content, list) and content else None
    text = first.get("text") if isinstance(first, dict) else None
    return text if isinstance(text, str) else None
