"""Session settings and the two JSON shapes in which a v1 call sends them; no other wire message lives here."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, TypeAlias

JsonObject: TypeAlias = dict[str, object]

DEFAULT_MODEL: Final = "gpt-realtime-1.5"
V1_VOICES: Final = ("juniper", "maple", "spruce", "ember", "vale", "breeze", "arbor", "sol", "cove")
V1_DEFAULT_VOICE: Final = "cove"
V2_VOICES: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What the agent is told to be."""

    model: str = DEFAULT_MODEL
    voice: str = V1_DEFAULT_VOICE
    instructions: str = field(default="", repr=False)


def offered_session(settings: SessionSettings) -> JsonObject:
    """Return the session object that travels with the offer (wire-protocol.md section 1.1)."""
    return {
        "audio": _audio(settings),
        "type": "quicksilver",
        "model": settings.model,
        "instructions": settings.instructions,
    }


def updated_session(settings: SessionSettings) -> JsonObject:
    """Return the session object of the sideband's first frame, which names no model (section 1.5)."""
    return {"type": "quicksilver", "instructions": settings.instructions, "audio": _audio(settings)}


def _audio(settings: SessionSettings) -> JsonObject:
    return {
        "input": {"format": {"type": "audio/pcm", "rate": 24_000}},
        "output": {"voice": settings.voice},
    }
