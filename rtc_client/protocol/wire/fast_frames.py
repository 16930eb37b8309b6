"""Builds and recognises the frequent messages of a websocket call without a JSON pass."""

from __future__ import annotations

from typing import Final

from rtc_client.protocol.wire.codec import load_json

APPEND_AUDIO: Final = '{"type":"input_audio_buffer.append","audio":"'

_SOUND: Final = {
    "input_audio_buffer.append": ("audio",),
    "response.output_audio.delta": ("delta",),
    "conversation.output_audio.delta": ("delta", "data"),
}


def append_audio(audio_base64: str) -> str:
    """Return the frame that appends sound to what the caller says; fifty a second may be made of it."""
    return f'{APPEND_AUDIO}{audio_base64}"}}'


def appended_bytes(frame: str) -> int | None:
    """Return how many bytes of sound a frame of `append_audio` holds, None for another frame."""
    if not frame.startswith(APPEND_AUDIO):
        return None
    n_chars = len(frame) - len(APPEND_AUDIO) - 2
    return n_chars // 4 * 3 - frame.count("=", len(frame) - 4)


def asked_response(frame: str) -> tuple[str | None] | None:
    """Return the `event_id` (or None) of a frame that, however it is written, asks for a response; None for another."""
    if '"response.create"' not in frame:
        return None
    match load_json(frame):
        case {"type": "response.create", "event_id": str(event_id)}:
            return (event_id,)
        case {"type": "response.create"}:
            return (None,)
        case _:
            return None


def without_sound(event: object) -> object:
    """Return an event, as JSON values, with its length in the place of sound: an hour of that is half a gigabyte."""
    match event:
        case {"type": str(name)} if isinstance(event, dict) and name in _SOUND:
            return {key: _length(value) if key in _SOUND[name] else value for key, value in event.items()}
        case _:
            return event


def _length(value: object) -> object:
    return f"[{len(value)} characters]" if isinstance(value, str) else value
