"""One frozen type per client event, checked when it is made: a fault is an `InvalidCommand` before anything is sent.

The wire names are those of the 11 client events of the GA API and of v1's own `conversation.handoff.append`
(protocol.md section 6); `codec.dump_command` writes them. Rules of validity are in `command_rules.py`.
"""

from __future__ import annotations

import base64
from typing import Literal, TypeAlias

from rtc_client.errors import CommandFault, ConfigError, InvalidCommand
from rtc_client.protocol.wire import command_rules as checks
from rtc_client.protocol.wire.items import Item
from rtc_client.protocol.wire.model import Model, Tagged
from rtc_client.protocol.wire.responses import ResponseParameters
from rtc_client.protocol.wire.session import SessionSettings
from rtc_client.protocol.wire.sessions import RealtimeSession, TranscriptionSession


class _Command(Tagged, frozen=True, kw_only=True):
    event_id: str | None = None
    """A name for this command; an error event about it repeats it."""


class UpdateSession(Model, frozen=True, kw_only=True):
    """Tell the server the session settings (`session.update`).

    `SessionSettings` are those of realtime v1, always the first frame of its sideband; the others are partial
    updates of realtime v2: what they do not name stays as it is.
    """

    settings: SessionSettings | RealtimeSession | TranscriptionSession
    event_id: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.settings, RealtimeSession | TranscriptionSession):
            checks.check_session(self.settings)


class CreateMessage(Model, frozen=True, kw_only=True):
    """Add a text message to the conversation (`conversation.item.create`). An empty text is sent too."""

    text: str
    role: Literal["user", "developer", "assistant"] = "user"
    event_id: str | None = None

    def __post_init__(self) -> None:
        check_text("the text of a message", self.text)


class CreateItem(_Command, frozen=True, kw_only=True, tag="conversation.item.create"):
    """Add an item to the conversation: behind `previous_item_id`, first for `root`, last when None."""

    item: Item
    previous_item_id: str | None = None

    def __post_init__(self) -> None:
        checks.check_item(self.item)


class RetrieveItem(_Command, frozen=True, kw_only=True, tag="conversation.item.retrieve"):
    """Ask for an item as the server has it; `ItemRetrieved` answers."""

    item_id: str

    def __post_init__(self) -> None:
        checks.check_id("item_id", self.item_id)


class DeleteItem(_Command, frozen=True, kw_only=True, tag="conversation.item.delete"):
    """Take an item out of the conversation; `ItemDeleted` answers."""

    item_id: str

    def __post_init__(self) -> None:
        checks.check_id("item_id", self.item_id)


class TruncateItem(_Command, frozen=True, kw_only=True, tag="conversation.item.truncate"):
    """Cut an item of the agent's speech at what was really heard; `ItemTruncated` answers."""

    item_id: str
    content_index: int
    """Which part of its content, usually 0."""
    audio_end_ms: int
    """How much was heard, milliseconds from its beginning; more than there is makes an error event."""

    def __post_init__(self) -> None:
        checks.check_id("item_id", self.item_id)
        checks.check_number("content_index", self.content_index, at_least=0)
        checks.check_number("audio_end_ms", self.audio_end_ms, at_least=0)


class AppendAudio(_Command, frozen=True, kw_only=True, tag="input_audio_buffer.append"):
    """Append to the caller's audio; a call with media sends its voice by RTP instead."""

    audio: str
    """Base64 of the audio in the session's input format, at most 15 MiB when decoded."""

    def __post_init__(self) -> None:
        checks.check_audio(self.audio)

    @classmethod
    def from_pcm16(cls, samples: bytes | bytearray | memoryview, *, event_id: str | None = None) -> AppendAudio:
        """Return the command for samples: int16 little-endian, mono, 24 kHz."""
        if len(samples) > checks.MAX_AUDIO_BYTES:
            raise checks.too_long(len(samples))
        return cls(audio=base64.b64encode(samples).decode(), event_id=event_id)


class CommitAudio(_Command, frozen=True, kw_only=True, tag="input_audio_buffer.commit"):
    """Make what was appended an item of the conversation; `InputAudioCommitted` answers."""


class ClearAudio(_Command, frozen=True, kw_only=True, tag="input_audio_buffer.clear"):
    """Throw away what was appended and not committed; `InputAudioCleared` answers."""


class ClearOutputAudio(_Command, frozen=True, kw_only=True, tag="output_audio_buffer.clear"):
    """Stop what the agent is saying (WebRTC and SIP only); `OutputAudioCleared` answers."""


class CreateResponse(_Command, frozen=True, kw_only=True, tag="response.create"):
    """Have the agent respond now; `response` says what is different from the session."""

    response: ResponseParameters | None = None

    def __post_init__(self) -> None:
        if self.response is not None:
            checks.check_response(self.response)


class CancelResponse(_Command, frozen=True, kw_only=True, tag="response.cancel"):
    """End a response: the one that is named, else the one that is under way."""

    response_id: str | None = None


class AppendHandoffOutput(_Command, frozen=True, kw_only=True, tag="conversation.handoff.append"):
    """Add output of a handoff (protocol.md section 9); `handoff_id` is `codex` for output that answers none."""

    handoff_id: str
    output_text: str
    """What the agent is told."""

    def __post_init__(self) -> None:
        check_text("the id of a handoff", self.handoff_id)
        check_text("the output of a handoff", self.output_text)


Command: TypeAlias = (
    UpdateSession
    | CreateMessage
    | CreateItem
    | RetrieveItem
    | DeleteItem
    | TruncateItem
    | AppendAudio
    | CommitAudio
    | ClearAudio
    | ClearOutputAudio
    | CreateResponse
    | CancelResponse
    | AppendHandoffOutput
)
"""What `Call.send` takes."""


def check_proven(raw: dict[str, object]) -> None:
    """Raise unless a realtime v1 call is known to take the client event `raw` (protocol.md sections 1.5 and 6).

    Known are `session.update` of a `quicksilver` session, `conversation.item.create` of a message,
    `input_audio_buffer.append` and `conversation.handoff.append`: all that the reference client sends.

    Raises:
        InvalidCommand: Saying so, with the fault `UNPROVEN`.
    """
    match raw:
        case {"type": "session.update", "session": {"type": "quicksilver"}, **more}:
            pass
        case {"type": "conversation.item.create", "item": {"type": "message"}, **more}:
            pass
        case {"type": "input_audio_buffer.append", "audio": _, **more}:
            pass
        case {"type": "conversation.handoff.append", "handoff_id": _, "output_text": _, **more}:
            pass
        case _:
            raise _unproven(_named(raw))
    if more:
        raise _unproven(f"the key {min(more)[:64]!r} in {_named(raw)}")


def check_text(name: str, text: str) -> None:
    """Raise unless `text` can be sent: JSON travels as UTF-8, which has no lone surrogates.

    Raises:
        ConfigError: `name` is what the message calls the text; the text itself is not repeated.
    """
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(f"{name} holds a lone surrogate, which is not text that can be sent as UTF-8") from None


def _unproven(what: str) -> InvalidCommand:
    return InvalidCommand(
        CommandFault.UNPROVEN,
        f"realtime v1 is not known to take {what}: the reference client never sends it, and a server may answer with "
        "an error, or not at all; pass allow_unproven=True to send it all the same",
    )


def _named(raw: dict[str, object]) -> str:
    name = str(raw.get("type"))[:64]
    match raw:
        case {"session": {"type": str(kind)}} | {"item": {"type": str(kind)}}:
            return f"{name!r} of type {kind[:64]!r}"
    return repr(name)
