"""Session settings, and the JSON shapes in which a call sends them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

JsonObject: TypeAlias = dict[str, object]
Version: TypeAlias = Literal["v1", "v2"]
"""The dialect of realtime: v1 is `quicksilver`, v2 the published API."""
Mode: TypeAlias = Literal["conversation", "transcription"]
"""Whether an agent answers, or what is said is only written down."""
OutputModality: TypeAlias = Literal["audio", "text"]

DEFAULT_MODEL: Final = "gpt-realtime-1.5"
DEFAULT_TRANSCRIPTION_MODEL: Final = "gpt-4o-mini-transcribe"
V1_VOICES: Final = ("juniper", "maple", "spruce", "ember", "vale", "breeze", "arbor", "sol", "cove")
V1_DEFAULT_VOICE: Final = "cove"
V2_VOICES: Final = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
V2_DEFAULT_VOICE: Final = "marin"
VOICES: Final = {"v1": V1_VOICES, "v2": V2_VOICES}
DEFAULT_VOICES: Final = {"v1": V1_DEFAULT_VOICE, "v2": V2_DEFAULT_VOICE}

_SILENCE_MS: Final = 500
"""How long the caller is silent before the server takes a turn to be over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What the agent is told to be."""

    model: str = DEFAULT_MODEL
    voice: str = V1_DEFAULT_VOICE
    instructions: str = field(default="", repr=False)
    version: Version = "v1"
    """The dialect."""
    mode: Mode = "conversation"
    """Whether the agent talks, or only writes down what it hears."""
    output_modality: OutputModality = "audio"
    """Whether the agent speaks or writes."""
    transcription_model: str = DEFAULT_TRANSCRIPTION_MODEL
    """Which model writes down what is heard."""
    tools: tuple[JsonObject, ...] = field(default=(), repr=False)
    """Functions that a v2 session offers its agent."""


def offered_session(settings: SessionSettings) -> JsonObject:
    """Return the session object that travels with the offer (protocol.md section 1.1)."""
    return {
        "audio": _audio(settings),
        "type": "quicksilver",
        "model": settings.model,
        "instructions": settings.instructions,
    }


def updated_session(settings: SessionSettings) -> JsonObject:
    """Return the session object of a websocket's first frame, which names no model (sections 1.5 and 10)."""
    if settings.version == "v1":
        return {"type": "quicksilver", "instructions": settings.instructions, "audio": _audio(settings)}
    if settings.mode == "transcription":
        return {"type": "transcription", "audio": {"input": _input(settings)}}
    turn_detection = {
        "type": "server_vad",
        "interrupt_response": True,
        "create_response": True,
        "silence_duration_ms": _SILENCE_MS,
    }
    heard = {"noise_reduction": {"type": "near_field"}, **_input(settings), "turn_detection": turn_detection}
    return {
        "type": "realtime",
        "instructions": settings.instructions,
        "output_modalities": [settings.output_modality],
        "audio": {"input": heard, "output": {"format": _pcm(), "voice": settings.voice}},
        "tools": list(settings.tools),
        "tool_choice": "auto",
    }


def _audio(settings: SessionSettings) -> JsonObject:
    return {"input": {"format": _pcm()}, "output": {"voice": settings.voice}}


def _input(settings: SessionSettings) -> JsonObject:
    return {"format": _pcm(), "transcription": {"model": settings.transcription_model}}


def _pcm() -> JsonObject:
    return {"type": "audio/pcm", "rate": 24_000}
