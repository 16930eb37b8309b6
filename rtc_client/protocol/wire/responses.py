"""Responses: what one is asked with, what it was, what it used; rate limits, errors, log probabilities. Values only.

Field names are those of the GA API (openai-python, `types/realtime`), read on 3.52.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec.structs import force_setattr

from rtc_client.protocol.wire.audio_settings import AudioFormat, AudioInputSettings, AudioOutputSettings
from rtc_client.protocol.wire.items import (
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    ItemReference,
    McpApprovalRequestItem,
    McpApprovalResponseItem,
    McpCallItem,
    McpListToolsItem,
    MessageItem,
)
from rtc_client.protocol.wire.model import JsonObject, Model
from rtc_client.protocol.wire.sessions import MaxTokens, Modality, PromptReference, Reasoning
from rtc_client.protocol.wire.tools import Tool, ToolChoice

InputItem: TypeAlias = (
    MessageItem
    | FunctionCallItem
    | FunctionCallOutputItem
    | McpCallItem
    | McpListToolsItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | ItemReference
)


class ResponseAudio(Model, frozen=True, kw_only=True):
    """Audio of one response."""

    input: AudioInputSettings | None = None
    """Only for servers that know it: GA has output here, and nothing else."""
    output: AudioOutputSettings | None = None


class ResponseParameters(Model, frozen=True, kw_only=True):
    """What a response is asked with; what is None is as the session has it."""

    instructions: str | None = None
    output_modalities: tuple[Modality, ...] | Modality | None = None
    """Audio or text, one of them; always a list on the wire."""
    conversation: Literal["auto", "none"] | None = None
    """`none`: the response stays outside the conversation."""
    input: tuple[InputItem, ...] | None = None
    """What the response is to, in place of the conversation."""
    audio: ResponseAudio | None = None
    input_audio_format: AudioFormat | None = None
    """The beta's name of `audio.input.format`, which it must not contradict."""
    tools: tuple[Tool, ...] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: MaxTokens | None = None
    temperature: float | None = None
    """0 to 2; GA has dropped it, older models know it."""
    metadata: JsonObject | None = None
    """At most 16 pairs; comes back with the response, which tells responses apart."""
    prompt: PromptReference | None = None
    reasoning: Reasoning | None = None

    def __post_init__(self) -> None:
        if isinstance(self.output_modalities, str):
            force_setattr(self, "output_modalities", (self.output_modalities,))


class ErrorDetail(Model, frozen=True, kw_only=True):
    """What went wrong, in the server's words."""

    type: str | None = None
    code: str | None = None
    message: str | None = None
    param: str | None = None
    """The parameter it is about."""
    event_id: str | None = None
    """The client event it is about."""


class ResponseStatusDetails(Model, frozen=True, kw_only=True):
    """Why a response ended as it did."""

    type: str | None = None
    reason: str | None = None
    """`turn_detected`, `client_cancelled`, `max_output_tokens` or `content_filter`."""
    error: ErrorDetail | None = None


class CachedTokens(Model, frozen=True, kw_only=True):
    """Cached tokens, by what they stand for."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None


class InputTokens(Model, frozen=True, kw_only=True):
    """Tokens that went in, by what they stand for; the cached ones are among them."""

    text_tokens: int | None = None
    audio_tokens: int | None = None
    image_tokens: int | None = None
    cached_tokens: int | None = None
    cached_tokens_details: CachedTokens | None = None


class OutputTokens(Model, frozen=True, kw_only=True):
    """Tokens that came out, by what they stand for."""

    text_tokens: int | None = None
    audio_tokens: int | None = None


class Usage(Model, frozen=True, kw_only=True):
    """What a response used, in tokens."""

    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None
    output_token_details: OutputTokens | None = None


class TranscriptionUsage(Model, frozen=True, kw_only=True):
    """What a transcription used: tokens or seconds, as `type` says (`tokens`, `duration`)."""

    type: str | None = None
    total_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    input_token_details: InputTokens | None = None
    seconds: float | None = None
    """Length of the audio, seconds."""


class Response(Model, frozen=True, kw_only=True):
    """What the agent generates for one turn."""

    id: str | None = None
    object: str | None = None
    conversation_id: str | None = None
    status: str | None = None
    """`in_progress`, `completed`, `cancelled`, `failed` or `incomplete`."""
    status_details: ResponseStatusDetails | None = None
    output: tuple[Item, ...] = ()
    output_modalities: tuple[str, ...] | None = None
    """Whether it is spoken or written."""
    audio: ResponseAudio | None = None
    max_output_tokens: MaxTokens | None = None
    metadata: JsonObject | None = None
    usage: Usage | None = None


class RateLimit(Model, frozen=True, kw_only=True):
    """How much may still be used."""

    name: str | None = None
    """`requests` or `tokens`."""
    limit: int | None = None
    """How many tokens or requests there are in all."""
    remaining: int | None = None
    """How many of them are left."""
    reset_seconds: float | None = None
    """When the limit is whole again, seconds from now."""


class LogProb(Model, frozen=True, kw_only=True):
    """How sure the transcription is of a token."""

    token: str
    logprob: float
    """The logarithm of its probability."""
    bytes: tuple[int, ...] | None = None
    """The token in UTF-8."""


class DetectedLanguage(Model, frozen=True, kw_only=True):
    """A language that was heard."""

    code: str
    """ISO-639-1, such as `en`."""
