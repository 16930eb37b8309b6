"""Reads `mic[:NAME]` and `speaker[:NAME]` where a command takes the name of a file."""

from __future__ import annotations

from rtc_client.audio.devices.microphone import Microphone
from rtc_client.audio.devices.speaker import Speaker
from rtc_client.errors import ConfigError


def means_device(name: str) -> bool:
    """Return whether a name means a microphone or a speaker, not a file."""
    return _is_for("mic", name) or _is_for("speaker", name)


def microphone_named(name: str) -> Microphone | None:
    """Return the microphone that `mic`, `mic:NAME` or `mic:INDEX` means; None for any other name.

    Raises:
        ConfigError: There is nothing after the colon.
    """
    return Microphone(_device(name)) if _is_for("mic", name) else None


def speaker_named(name: str) -> Speaker | None:
    """Return the speaker that `speaker`, `speaker:NAME` or `speaker:INDEX` means; None for any other name.

    Raises:
        ConfigError: There is nothing after the colon.
    """
    return Speaker(_device(name)) if _is_for("speaker", name) else None


def _is_for(kind: str, name: str) -> bool:
    return name == kind or name.startswith(f"{kind}:")


def _device(name: str) -> str | None:
    kind, colon, device = name.partition(":")
    if colon and not device.strip():
        raise ConfigError(f"{name} names no device: give {kind} alone, or see rtc-client devices")
    return device.strip() if colon else None
