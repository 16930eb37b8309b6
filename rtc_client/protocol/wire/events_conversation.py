"""Server events about the session, the conversation and the caller, one frozen type each.

Names of fields are those of the GA API (openai-python, `types/realtime`, read on 3.52), except where realtime v1
(protocol.md section 7) came first. Two names share a type where they are one fact.
"""

from __future__ import annotations

from typing import Annotated, Final

from msgspec import Meta, field

from rtc_client.protocol.wire.events_base import KnownEvent
from rtc_client.protocol.wire.items import Item
from rtc_client.protocol.wire.model import JsonObject
from rtc_client.protocol.wire.responses import DetectedLanguage, ErrorDetail, LogProb, RateLimit, TranscriptionUsage
from rtc_client.protocol.wire.sessions import Session

_U32: Final = Meta(ge=0, lt=2**32)
_U16: Final = Meta(ge=0, lt=2**16)


class _SessionEvent(KnownEvent, frozen=True, kw_only=True):
    session: Session
    """The settings as the server has them; `RealtimeSession` also where it does not say of which kind they are."""

    @property
    def session_id(self) -> str | None:
        """The server's name for the session."""
        return self.session.id


class SessionCreated(_SessionEvent, frozen=True, kw_only=True):
    """There is a session, with settings that may still be the server's own (`session.created`)."""


class SessionUpdated(_SessionEvent, frozen=True, kw_only=True):
    """The server took over session settings (`session.updated`)."""


class ConversationCreated(KnownEvent, frozen=True, kw_only=True):
    """There is a conversation (`conversation.created`)."""

    conversation: JsonObject

    @property
    def conversation_id(self) -> str | None:
        """The server's name for the conversation."""
        value = self.conversation.get("id")
        return value if isinstance(value, str) else None


class _ItemEvent(KnownEvent, frozen=True, kw_only=True):
    item: Item
    """An `UnknownModel` where it is of no known kind."""
    previous_item_id: str | None = None
    """The item it stands behind."""

    @property
    def item_id(self) -> str | None:
        """The item's name in the conversation."""
        return self.item.id


class ItemCreated(_ItemEvent, frozen=True, kw_only=True):
    """An item joined the conversation; older servers say so (`conversation.item.created`)."""


class ItemAdded(_ItemEvent, frozen=True, kw_only=True):
    """An item joined the conversation, perhaps still without all of its content (`conversation.item.added`)."""


class ItemDone(_ItemEvent, frozen=True, kw_only=True):
    """An item of the conversation is complete (`conversation.item.done`)."""


class ItemRetrieved(_ItemEvent, frozen=True, kw_only=True):
    """An item that was asked for by `RetrieveItem` (`conversation.item.retrieved`)."""


class ItemDeleted(KnownEvent, frozen=True, kw_only=True):
    """An item left the conversation (`conversation.item.deleted`)."""

    item_id: str | None = None


class ItemTruncated(KnownEvent, frozen=True, kw_only=True):
    """An item of the agent's speech was cut at what was heard (`conversation.item.truncated`)."""

    item_id: str | None = None
    content_index: int | None = None
    audio_end_ms: int | None = None
    """How much of it is left, milliseconds."""


class InputAudioCommitted(KnownEvent, frozen=True, kw_only=True):
    """What the caller said became an item (`input_audio_buffer.committed`)."""

    item_id: str | None = None
    previous_item_id: str | None = None


class InputAudioCleared(KnownEvent, frozen=True, kw_only=True):
    """What was appended and not committed was thrown away (`input_audio_buffer.cleared`)."""


class SpeechStarted(KnownEvent, frozen=True, kw_only=True):
    """The server's VAD heard the caller begin to speak (`input_audio_buffer.speech_started`)."""

    item_id: str | None = None
    """The item that the speech will become."""
    audio_start_ms: int | None = None
    """Start of the speech, milliseconds from the first input sample, with the padding before it."""


class SpeechStopped(KnownEvent, frozen=True, kw_only=True):
    """The server's VAD heard the caller cease to speak (`input_audio_buffer.speech_stopped`)."""

    item_id: str | None = None
    audio_end_ms: int | None = None
    """End of the speech, milliseconds from the first input sample."""


class InputTimeoutTriggered(KnownEvent, frozen=True, kw_only=True):
    """The caller was silent for the idle timeout, so the agent speaks (`input_audio_buffer.timeout_triggered`)."""

    item_id: str | None = None
    audio_start_ms: int | None = None
    """Milliseconds from the first input sample."""
    audio_end_ms: int | None = None
    """Milliseconds from the first input sample."""


class DtmfReceived(KnownEvent, frozen=True, kw_only=True):
    """A key was pressed on the caller's telephone (SIP only; `input_audio_buffer.dtmf_event_received`)."""

    event: str
    """The key: 0 to 9, *, #, A to D."""
    received_at: int | None = None
    """When, seconds of Unix time."""


class _OutputBufferEvent(KnownEvent, frozen=True, kw_only=True):
    response_id: str | None = None


class OutputAudioStarted(_OutputBufferEvent, frozen=True, kw_only=True):
    """The agent's speech began to leave the server (WebRTC and SIP; `output_audio_buffer.started`)."""


class OutputAudioStopped(_OutputBufferEvent, frozen=True, kw_only=True):
    """All of the agent's speech has left the server (WebRTC and SIP; `output_audio_buffer.stopped`)."""


class OutputAudioCleared(_OutputBufferEvent, frozen=True, kw_only=True):
    """What the agent had still to say was thrown away (WebRTC and SIP; `output_audio_buffer.cleared`)."""


class OutputAudioDelta(KnownEvent, frozen=True, kw_only=True):
    """Agent audio of realtime v1 beside the media path (`conversation.output_audio.delta`).

    A WebRTC call hears the agent by RTP instead.
    """

    audio_base64: str = field(name="delta")
    """Base64 of int16 little-endian samples."""
    sample_rate_hz: Annotated[int, _U32] = field(name="sample_rate")
    channels: Annotated[int, _U16]
    """How many; samples are interleaved."""
    samples_per_channel: Annotated[int, _U32] | None = None
    """How many samples, per channel."""


class CallerTranscriptDelta(KnownEvent, frozen=True, kw_only=True):
    """A piece of what the caller said.

    `conversation.input_transcript.delta` in v1, `conversation.item.input_audio_transcription.delta` in v1 and GA.
    """

    delta: str
    item_id: str | None = None
    content_index: int | None = None
    logprobs: tuple[LogProb, ...] | None = None
    obfuscation: str | None = None
    """Padding that hides how long the delta is."""


class CallerTranscriptDone(KnownEvent, frozen=True, kw_only=True):
    """The settled text of what the caller said in one turn.

    `conversation.input_transcript.turn_marked` in v1, `conversation.item.input_audio_transcription.completed` in v1
    and GA.
    """

    transcript: str
    item_id: str | None = None
    content_index: int | None = None
    logprobs: tuple[LogProb, ...] | None = None
    languages: tuple[DetectedLanguage, ...] | None = None
    usage: TranscriptionUsage | None = None


class CallerTranscriptSegment(KnownEvent, frozen=True, kw_only=True):
    """What one speaker said (`conversation.item.input_audio_transcription.segment`)."""

    text: str
    id: str | None = None
    item_id: str | None = None
    content_index: int | None = None
    speaker: str | None = None
    start: float | None = None
    """Seconds from the beginning of the item."""
    end: float | None = None
    """Seconds from the beginning of the item."""


class CallerTranscriptFailed(KnownEvent, frozen=True, kw_only=True):
    """The caller's speech could not be transcribed (`conversation.item.input_audio_transcription.failed`)."""

    item_id: str | None = None
    content_index: int | None = None
    error: ErrorDetail | None = None


class CallerTranscriptClosed(KnownEvent, frozen=True, kw_only=True):
    """`conversation.input_transcript.done` of v1, which the reference client ignores; it settles no text."""

    transcript: str | None = None


class HandoffRequested(KnownEvent, frozen=True, kw_only=True):
    """The agent asks us to do something for it (v1; `conversation.handoff.requested`, protocol.md section 9)."""

    handoff_id: str
    item_id: str
    input_transcript: str


class RateLimitsUpdated(KnownEvent, frozen=True, kw_only=True):
    """What may still be used (`rate_limits.updated`)."""

    rate_limits: tuple[RateLimit, ...]


class ErrorEvent(KnownEvent, frozen=True, kw_only=True):
    """The server reports an error; only a few codes end the call, see `fatal_reason`."""

    message: str
    code: str | None = None
    error_type: str | None = None
    """Of which kind it is, such as `invalid_request_error`."""
    param: str | None = None
    """The parameter it is about."""
    client_event_id: str | None = None
    """The `event_id` of the command it is about."""
