"""Audio in a session or a response: formats, turn detection, transcription, noise reduction, voice. Values only.

Field names are those of the GA API (openai-python, `types/realtime`), read on 3.52.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from rtc_client.protocol.wire.model import UNSET, Model, Tagged, UnsetType


class PcmFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcm", omit_defaults=False):
    """PCM: int16 little-endian, mono."""

    rate: int = 24_000
    """Samples per second; the API has 24,000 only."""


class PcmuFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcmu"):
    """G.711 μ-law, 8 kHz, mono."""


class PcmaFormat(Tagged, frozen=True, kw_only=True, tag="audio/pcma"):
    """G.711 A-law, 8 kHz, mono."""


AudioFormat: TypeAlias = PcmFormat | PcmuFormat | PcmaFormat
"""How samples are written on the wire."""


class ServerVad(Tagged, frozen=True, kw_only=True, tag="server_vad"):
    """Turn detection by loudness. What is None is left to the server."""

    threshold: float | None = None
    """How loud speech must be, 0 to 1; the server's own is 0.5."""
    prefix_padding_ms: int | None = None
    """How much audio from before the speech belongs to it, milliseconds; the server's own is 300."""
    silence_duration_ms: int | None = None
    """How long a silence ends a turn, milliseconds; the server's own is 500."""
    idle_timeout_ms: int | None = None
    """After how long a silence the agent speaks unasked, milliseconds."""
    create_response: bool | None = None
    """Whether the end of a turn creates a response."""
    interrupt_response: bool | None = None
    """Whether the start of a turn cancels the response that is being spoken."""


class SemanticVad(Tagged, frozen=True, kw_only=True, tag="semantic_vad"):
    """Turn detection by what is said. What is None is left to the server."""

    eagerness: Literal["low", "medium", "high", "auto"] | None = None
    """How soon a turn counts as ended."""
    create_response: bool | None = None
    """Whether the end of a turn creates a response."""
    interrupt_response: bool | None = None
    """Whether the start of a turn cancels the response that is being spoken."""


TurnDetection: TypeAlias = ServerVad | SemanticVad
"""How the server detects the end of a turn of the caller."""


class TranscriptionSettings(Model, frozen=True, kw_only=True):
    """How the caller's speech becomes text."""

    model: str | None = None
    language: str | None = None
    """ISO-639-1, such as `en`."""
    languages: tuple[str, ...] | None = None
    """Languages it may be, ISO-639-1."""
    prompt: str | None = None
    """Text that guides the model."""
    keywords: tuple[str, ...] | None = None
    """Words that guide the model."""
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long the model waits before it settles on text."""


class NoiseReduction(Model, frozen=True, kw_only=True):
    """Filters the caller's audio before it is transcribed and its turns are detected."""

    type: Literal["near_field", "far_field"] | None = None
    """`near_field` for a headset, `far_field` for a microphone in the room."""
    strength: float | None = None
    """How strong it filters, as a number on the scale of the service."""


class VoiceReference(Model, frozen=True, kw_only=True):
    """A voice of one's own, by its id."""

    id: str


class AudioInputSettings(Model, frozen=True, kw_only=True):
    """What the caller's audio is and what is done with it.

    Turn detection, transcription and noise reduction stay as they are when `UNSET`, and are turned off by None.
    """

    format: AudioFormat | None = None
    noise_reduction: NoiseReduction | UnsetType | None = UNSET
    transcription: TranscriptionSettings | UnsetType | None = UNSET
    turn_detection: TurnDetection | UnsetType | None = UNSET


class AudioOutputSettings(Model, frozen=True, kw_only=True):
    """How the agent speaks."""

    format: AudioFormat | None = None
    voice: str | VoiceReference | None = None
    """A name such as `marin`, or a voice of one's own."""
    speed: float | None = None
    """Ratio to the usual speed, 0.25 to 1.5."""


class AudioSettings(Model, frozen=True, kw_only=True):
    """Audio both ways."""

    input: AudioInputSettings | None = None
    output: AudioOutputSettings | None = None
