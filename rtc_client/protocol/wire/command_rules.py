"""What makes a command valid; each fault is an `InvalidCommand` that says what to change."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Final

from rtc_client.errors import CommandFault, InvalidCommand
from rtc_client.protocol.wire.audio_settings import (
    AudioFormat,
    AudioInputSettings,
    AudioOutputSettings,
    PcmFormat,
    ServerVad,
)
from rtc_client.protocol.wire.items import Item, ItemReference, MessageItem
from rtc_client.protocol.wire.model import UnknownModel
from rtc_client.protocol.wire.responses import InputItem, ResponseParameters
from rtc_client.protocol.wire.sessions import RealtimeSession, RetentionRatio, TranscriptionSession
from rtc_client.protocol.wire.tools import McpTool, Tool

MAX_AUDIO_BYTES: Final = 15 * 2**20
"""What one `input_audio_buffer.append` may hold, decoded."""

_BASE64: Final = re.compile(r"[A-Za-z0-9+/]*={0,2}")


def check_audio(audio: object) -> None:
    """Raise unless `audio` is base64 of at most 15 MiB; it is not decoded."""
    if not isinstance(audio, str) or len(audio) % 4 or not _BASE64.fullmatch(audio):
        raise InvalidCommand(
            CommandFault.AUDIO_NOT_BASE64,
            "the audio is not base64: it takes A-Z, a-z, 0-9, + and /, a length that is a multiple of four, and at "
            "most two = at its end",
        )
    n_bytes = len(audio) // 4 * 3 - audio[-2:].count("=")
    if n_bytes > MAX_AUDIO_BYTES:
        raise too_long(n_bytes)


def too_long(n_bytes: int) -> InvalidCommand:
    """Return the error for more audio than one command may hold."""
    text = f"one append takes at most {MAX_AUDIO_BYTES} bytes of audio, not {n_bytes}: send it in pieces"
    return InvalidCommand(CommandFault.AUDIO_TOO_LONG, text)


def check_session(session: RealtimeSession | TranscriptionSession) -> None:
    """Raise unless a session of realtime v2 can be asked for."""
    if session.audio is not None:
        _check_input(session.audio.input)
    if isinstance(session, TranscriptionSession):
        return
    if session.audio is not None:
        _check_output(session.audio.output)
    _check_modalities(session.output_modalities)
    _check_temperature(session.temperature)
    _check_tools(session.tools or ())
    _check_max_tokens(session.max_output_tokens)
    if isinstance(session.truncation, RetentionRatio):
        check_number("retention_ratio", session.truncation.retention_ratio, at_least=0, at_most=1)


def check_response(response: ResponseParameters) -> None:
    """Raise unless a response can be asked for with these parameters."""
    check_format(response.input_audio_format)
    if response.audio is not None:
        _check_input(response.audio.input)
        _check_output(response.audio.output)
        nested = None if response.audio.input is None else response.audio.input.format
        if nested is not None and response.input_audio_format not in (None, nested):
            raise InvalidCommand(
                CommandFault.FORMAT_CONFLICT,
                "input_audio_format and audio.input.format name the same thing and differ: leave out the first",
            )
    _check_modalities(response.output_modalities)
    _check_temperature(response.temperature)
    _check_tools(response.tools or ())
    _check_max_tokens(response.max_output_tokens)
    for item in response.input or ():
        check_item(item)


def check_item(item: Item | InputItem) -> None:
    """Raise unless an item can be sent."""
    parts = item.content if isinstance(item, MessageItem) else ()
    if isinstance(item, UnknownModel) or any(isinstance(part, UnknownModel) for part in parts):
        raise InvalidCommand(
            CommandFault.UNKNOWN_KIND, "an item or a part of a kind that is not known cannot be sent: use send_raw"
        )
    if isinstance(item, ItemReference):
        check_id("the id of an item reference", item.id)


def check_tool(tool: Tool) -> None:
    """Raise unless a tool can be offered."""
    if isinstance(tool, UnknownModel):
        raise InvalidCommand(CommandFault.UNKNOWN_KIND, "a tool of a kind that is not known cannot be sent")
    if isinstance(tool, McpTool) and not (tool.server_url or tool.connector_id):
        raise InvalidCommand(
            CommandFault.MCP_ADDRESS, "an MCP tool needs a server_url or a connector_id, so that it can be found"
        )


def check_format(audio_format: AudioFormat | None) -> None:
    """Raise unless PCM is at 24 kHz; the other formats have no rate."""
    if isinstance(audio_format, PcmFormat) and audio_format.rate != 24_000:
        raise InvalidCommand(CommandFault.PCM_RATE, f"PCM has a rate of 24000 here, not {audio_format.rate!r}")


def check_id(name: str, value: object) -> None:
    """Raise unless an id is a text that is not empty."""
    if not isinstance(value, str) or not value:
        raise InvalidCommand(CommandFault.EMPTY_ID, f"{name} must name something: it is empty")


def check_number(name: str, value: object, *, at_least: float, at_most: float = math.inf) -> None:
    """Raise unless a number, if there is one, lies between two others, both included."""
    if value is None:
        return
    if not isinstance(value, int | float) or isinstance(value, bool) or not at_least <= value <= at_most:
        limits = f"{at_least:g} or more" if at_most == math.inf else f"{at_least:g} to {at_most:g}"
        raise InvalidCommand(CommandFault.OUT_OF_RANGE, f"{name} must be {limits}")


def _check_input(audio: AudioInputSettings | None) -> None:
    if audio is None:
        return
    check_format(audio.format)
    if isinstance(audio.turn_detection, ServerVad):
        vad = audio.turn_detection
        check_number("threshold", vad.threshold, at_least=0, at_most=1)
        for name in ("prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms"):
            check_number(name, getattr(vad, name), at_least=0)


def _check_output(audio: AudioOutputSettings | None) -> None:
    if audio is not None:
        check_format(audio.format)
        check_number("speed", audio.speed, at_least=0.25, at_most=1.5)


def _check_modalities(modalities: object) -> None:
    if modalities is not None and modalities not in (("audio",), ("text",), ["audio"], ["text"]):
        raise InvalidCommand(
            CommandFault.MODALITIES,
            "output_modalities must be one of audio and text, not both and not none: an audio response has its "
            "transcript anyway",
        )


def _check_temperature(temperature: float | None) -> None:
    try:
        check_number("temperature", temperature, at_least=0, at_most=2)
    except InvalidCommand as error:
        raise InvalidCommand(CommandFault.TEMPERATURE, str(error)) from None


def _check_max_tokens(limit: int | str | None) -> None:
    if limit != "inf":
        check_number("max_output_tokens", limit, at_least=1)


def _check_tools(tools: Iterable[Tool]) -> None:
    for tool in tools:
        check_tool(tool)
