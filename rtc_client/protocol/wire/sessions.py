"""Sessions of realtime v2 and of transcription, as a partial update and as the server tells them. Values only.

What a v1 call sends is in `session.py`. Field names are those of the GA API (openai-python, `types/realtime`), read
on 3.52; fields of the beta that GA renamed (`modalities`, `input_audio_format`, …) are not here.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec.structs import force_setattr

from rtc_client.protocol.wire.audio_settings import AudioInputSettings, AudioSettings
from rtc_client.protocol.wire.model import JsonObject, Model, Tagged
from rtc_client.protocol.wire.tools import Tool, ToolChoice

Modality: TypeAlias = Literal["audio", "text"]
MaxTokens: TypeAlias = int | Literal["inf"]


class PromptReference(Model, frozen=True, kw_only=True):
    """A prompt that is stored with the service."""

    id: str
    version: str | None = None
    """Which of its versions; the latest when None."""
    variables: JsonObject | None = None
    """What its variables stand for."""


class TracingSettings(Model, frozen=True, kw_only=True):
    """How the service's traces of this session are named."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: JsonObject | None = None


Tracing: TypeAlias = Literal["auto"] | TracingSettings


class TokenLimits(Model, frozen=True, kw_only=True):
    """How many tokens a conversation may hold."""

    post_instructions: int | None = None
    """Tokens after the instructions."""


class RetentionRatio(Tagged, frozen=True, kw_only=True, tag="retention_ratio"):
    """Cut a conversation that has become too long down to a part of it."""

    retention_ratio: float
    """How much of it stays, 0 to 1."""
    token_limits: TokenLimits | None = None


Truncation: TypeAlias = Literal["auto", "disabled"] | RetentionRatio


class Reasoning(Model, frozen=True, kw_only=True):
    """How much a reasoning model thinks."""

    effort: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None


class _Session(Tagged, frozen=True, kw_only=True):
    id: str | None = None
    """From the server."""
    object: str | None = None
    """From the server."""
    expires_at: int | None = None
    """When the session ends, seconds of Unix time, from the server."""
    include: tuple[str, ...] | None = None
    """What events carry beside the usual, such as `item.input_audio_transcription.logprobs`."""


class RealtimeSession(_Session, frozen=True, kw_only=True, tag="realtime"):
    """A conversation with an agent. Sent in `session.update`, it changes what it names and nothing else."""

    model: str | None = None
    """Fixed once the session is there."""
    instructions: str | None = None
    output_modalities: tuple[Modality, ...] | Modality | None = None
    """Audio or text, one of them; always a list on the wire."""
    audio: AudioSettings | None = None
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: float | None = None
    """0 to 2; GA has dropped it, older models know it."""
    prompt: PromptReference | None = None
    reasoning: Reasoning | None = None
    tracing: Tracing | None = None
    """Whether, and under which names, the service keeps a trace."""
    truncation: Truncation | None = None
    """What happens when the conversation outgrows the model's memory."""

    def __post_init__(self) -> None:
        if isinstance(self.output_modalities, str):
            force_setattr(self, "output_modalities", (self.output_modalities,))


class V1Session(RealtimeSession, frozen=True, kw_only=True, tag="quicksilver"):
    """A session of realtime v1, as the server tells it."""


class TranscriptionAudio(Model, frozen=True, kw_only=True):
    """Audio of a session that only transcribes: there is no output."""

    input: AudioInputSettings | None = None


class TranscriptionSession(_Session, frozen=True, kw_only=True, tag="transcription"):
    """A session that only transcribes what the caller says."""

    audio: TranscriptionAudio | None = None


Session: TypeAlias = RealtimeSession | V1Session | TranscriptionSession
