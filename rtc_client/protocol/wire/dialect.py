"""Which transport speaks which version of realtime, and what each version has."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias, get_args

from rtc_client.errors import ConfigError
from rtc_client.protocol.wire.session import DEFAULT_VOICES, VOICES, Mode, OutputModality

Transport: TypeAlias = Literal["webrtc", "websocket"]

_OTHER: Final = {"v1": "v2", "v2": "v1"}


def version_of(transport: str, version: str | None) -> str:
    """Return the version that a call speaks: the one asked for, or that of its transport.

    Raises:
        ConfigError: There is no such version or transport, or not on this transport (protocol.md section 2).
    """
    if transport not in get_args(Transport):
        raise ConfigError("the transport must be one of webrtc, websocket")
    if version is None:
        return "v1" if transport == "webrtc" else "v2"
    if transport == "webrtc" and version != "v1":
        raise ConfigError(
            f"AVAS realtime calls require realtime v1: leave the version out or set it to v1, not {version!r} "
            "(realtime v2 needs the websocket transport)"
        )
    if version not in VOICES:
        raise ConfigError(f"the version must be one of {', '.join(VOICES)}, not {version!r}")
    return version


def check_mode(version: str, mode: str, modality: str) -> None:
    """Raise unless a version can do this.

    Raises:
        ConfigError: With a sentence that says what would work.
    """
    if modality not in get_args(OutputModality):
        raise ConfigError(f"the output modality must be one of audio, text, not {modality!r}")
    if version == "v1" and modality != "audio":
        raise ConfigError(f"realtime v1 has audio output only: set the output modality to audio, not {modality!r}")
    if mode not in get_args(Mode):
        raise ConfigError("the mode must be one of conversation, transcription")
    if version == "v1" and mode != "conversation":
        raise ConfigError("realtime v1 has conversations only: a transcription needs transport websocket, version v2")


def voice_of(version: str, voice: str | None) -> str:
    """Return the agent's voice: the one asked for, or the version's default.

    Raises:
        ConfigError: The version has no such voice.
    """
    if voice is None:
        return DEFAULT_VOICES[version]
    if voice not in VOICES[version]:
        other = _OTHER[version]
        is_theirs = voice in VOICES[other]
        belongs = f"belongs to realtime {other}" if is_theirs else f"is not a voice of realtime {version}"
        raise ConfigError(f"the voice {voice!r} {belongs}; a {version} call has: {', '.join(VOICES[version])}")
    return voice
