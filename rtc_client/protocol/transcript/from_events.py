"""Tells a transcript what each event, and each sent command, means to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from rtc_client.protocol.delegation.background_agent import BACKEND_PREFIX, USER_PREFIX
from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.transcript import Role
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.commands import CreateItem
from rtc_client.protocol.wire.items import (
    AudioPart,
    ContentPart,
    InputAudio,
    InputText,
    Item,
    MessageItem,
    OutputAudio,
    OutputText,
    TextPart,
)

_VOICES: Final[dict[str, Role]] = {"user": "caller", "assistant": "agent"}
"""What a developer or the system says is nobody's words: such items are links of the chain and no more."""
_CREATES: Final = '"conversation.item.create"'
_BYTES_PER_MS: Final = 48
"""int16, mono, 24 kHz: the format of our sessions (protocol.md section 10)."""


def add_event(scribe: TranscriptBuilder, event: ev.ServerEvent, at_ms: int) -> None:
    """Tell `scribe` what the server sent `at_ms` after the call connected. An event that comes twice counts once.

    It is known again by its `event_id`. Pieces of text that have none are all new: nothing tells one that was sent
    again, after a rejoin for example, from "no, no". Such a text is doubled until it settles, and right from then on.
    """
    if not scribe.is_new(event.event_id):
        return
    for note in (_note_words, _note_items, _note_sound):
        if note(scribe, event, at_ms):
            return


def _note_words(scribe: TranscriptBuilder, event: ev.ServerEvent, at_ms: int) -> bool:
    match event:
        case ev.CallerTranscriptDelta(delta=piece, item_id=item_id, content_index=part):
            scribe.delta("caller", piece, at_ms, item_id=item_id, part=part or 0, name=event.type)
        case ev.CallerTranscriptDone(transcript=text, item_id=item_id, content_index=part):
            scribe.settle("caller", text, at_ms, item_id=item_id, part=part or 0)
        case ev.CallerTranscriptFailed(item_id=item_id):
            scribe.failed(item_id, at_ms)
        case ev.AgentTranscriptDelta(delta=piece, item_id=item_id, response_id=response_id, content_index=part):
            scribe.delta(
                "agent", piece, at_ms, item_id=item_id, response_id=response_id, part=part or 0, name=event.type
            )
        case ev.AgentTranscriptDone(transcript=text) | ev.AgentTextDone(text=text):
            _settle_agent(scribe, event, text, at_ms)
        case ev.ContentPartDone(item_id=str(), part=content) if words := _words(content):
            _settle_agent(scribe, event, words, at_ms, is_repeat=True)
        case _:
            return False
    return True


def _settle_agent(
    scribe: TranscriptBuilder,
    event: ev.AgentTranscriptDone | ev.AgentTextDone | ev.ContentPartDone,
    text: str,
    at_ms: int,
    *,
    is_repeat: bool = False,
) -> None:
    item_id, response_id, part = event.item_id, event.response_id, event.content_index or 0
    scribe.settle("agent", text, at_ms, item_id=item_id, response_id=response_id, part=part, is_repeat=is_repeat)


def _note_items(scribe: TranscriptBuilder, event: ev.ServerEvent, at_ms: int) -> bool:
    match event:
        case ev.ItemAdded() | ev.ItemCreated():
            _note_item(scribe, event.item, at_ms, previous_item_id=event.previous_item_id)
        case ev.ItemDone() | ev.ItemRetrieved():
            _note_item(scribe, event.item, at_ms, previous_item_id=event.previous_item_id, is_done=True)
        case ev.OutputItemAdded(item=item, response_id=response_id):
            _note_item(scribe, item, at_ms, response_id=response_id)
        case ev.OutputItemDone(item=item, response_id=response_id):
            _note_item(scribe, item, at_ms, response_id=response_id, is_done=True)
        case ev.InputAudioCommitted(item_id=item_id, previous_item_id=previous):
            scribe.item_added(item_id, at_ms, role="caller", previous_item_id=previous, is_awaited=True)
        case ev.ItemTruncated(item_id=item_id, audio_end_ms=heard_ms):
            scribe.interrupted(at_ms, item_id=item_id, heard_ms=heard_ms)
        case ev.ResponseDone(response=response):
            for item in response.output or ():
                _note_item(scribe, item, at_ms, response_id=response.id, is_done=True)
            if response.status == "cancelled":
                scribe.response_cut(response.id)
        case ev.ResponseCancelled(response_id=response_id):
            scribe.response_cut(response_id)
        case _:
            return False
    return True


def _note_sound(scribe: TranscriptBuilder, event: ev.ServerEvent, at_ms: int) -> bool:
    match event:
        case ev.SpeechStarted(item_id=item_id, audio_start_ms=start_ms):
            scribe.speech_started(item_id, at_ms, audio_start_ms=start_ms)
        case ev.SpeechStopped(item_id=item_id, audio_end_ms=end_ms):
            scribe.speech_stopped(item_id, audio_end_ms=end_ms)
        case ev.ResponseAudioDelta(item_id=item_id, audio_base64=audio):
            scribe.sound(item_id, len(audio) * 3 / 4 / _BYTES_PER_MS, at_ms)
        case ev.OutputAudioStarted(response_id=response_id):
            scribe.response_heard(response_id, start_ms=at_ms)
        case ev.OutputAudioStopped(response_id=response_id):
            scribe.response_heard(response_id, end_ms=at_ms)
        case ev.OutputAudioCleared(response_id=response_id):
            scribe.response_heard(response_id, end_ms=at_ms)
            scribe.response_cut(response_id, is_cleared=True)
        case _:
            return False
    return True


def note_sent(scribe: TranscriptBuilder, frame: str, at_ms: int) -> None:
    """Tell `scribe` what was sent to the server: a message of the caller's, or in the agent's name, is an entry.

    What a developer tells the agent is not: nobody in the conversation said it.
    """
    if _CREATES not in frame:
        return
    try:
        command = msgspec.json.decode(frame, type=CreateItem)
    except (msgspec.DecodeError, RecursionError):
        return
    item = command.item
    if isinstance(item, MessageItem) and (role := _VOICES.get(item.role)) is not None:
        _note_written(scribe, role, _written(item.content), at_ms, item.id, None)


def _note_item(
    scribe: TranscriptBuilder,
    item: Item,
    at_ms: int,
    *,
    previous_item_id: str | None = None,
    response_id: str | None = None,
    is_done: bool = False,
) -> None:
    """Tell `scribe` of an item with an id, and of what it says of its own words."""
    if item.id is None:
        return
    role = _VOICES.get(item.role) if isinstance(item, MessageItem) else None
    content = item.content if isinstance(item, MessageItem) and role is not None else ()
    is_spoken = any(isinstance(part, InputAudio) for part in content)
    is_written = not is_spoken and (role == "caller" or (not is_done and response_id is None))
    if role is not None and is_written:
        # First, so that its item is known as the one that was sent.
        _note_written(scribe, role, _written(content), at_ms, item.id, previous_item_id)
    scribe.item_added(
        item.id, at_ms, role=role, previous_item_id=previous_item_id, response_id=response_id, is_awaited=is_spoken
    )
    for index, part in enumerate(content):
        if role is not None and not is_written and (text := _words(part)):
            scribe.settle(role, text, at_ms, item_id=item.id, part=index, is_repeat=True)
    if role == "agent" and is_done and isinstance(item, MessageItem):
        scribe.item_done(item.id, at_ms, is_complete=item.status == "completed")


def _note_written(
    scribe: TranscriptBuilder, role: Role, text: str, at_ms: int, item_id: str | None, previous_item_id: str | None
) -> None:
    # On realtime v2 what the background agent says is a message of the user too, and the user's is marked.
    if role == "caller" and text.startswith(BACKEND_PREFIX):
        return
    if text := text.removeprefix(USER_PREFIX if role == "caller" else ""):
        scribe.written(role, text, at_ms, item_id=item_id, previous_item_id=previous_item_id)


def _written(content: Sequence[ContentPart]) -> str:
    return "".join(part.text or "" for part in content if isinstance(part, InputText | OutputText | TextPart))


def _words(part: ContentPart) -> str | None:
    match part:
        case InputAudio() | OutputAudio() | AudioPart():
            return part.transcript
        case InputText() | OutputText() | TextPart():
            return part.text
        case _:
            return None
