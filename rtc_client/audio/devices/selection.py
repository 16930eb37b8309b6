"""Selects a sound device from a list by name, number or default. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from rtc_client.errors import ConfigError

Direction: TypeAlias = Literal["input", "output"]

MAX_CHANNELS: Final = 2
"""A voice needs no more; sound servers claim to have 32 or 64."""

_NAMES: Final[dict[Direction, str]] = {"input": "microphone", "output": "speaker"}


class DeviceUnavailable(Exception):
    """A device cannot be opened now, and perhaps later; `is_busy` when another program has it.

    It never leaves this library: a call goes on without its device.
    """

    def __init__(self, message: str, *, is_busy: bool) -> None:
        super().__init__(message)
        self.is_busy = is_busy


@dataclass(frozen=True, slots=True, kw_only=True)
class AudioDevice:
    """A sound device, as PortAudio tells it."""

    index: int
    """PortAudio's number for it; it may be another one in the next process."""
    name: str
    host_api: str
    """By which of the system's interfaces: `ALSA`, `Core Audio`, …"""
    input_channels: int
    """How many it can capture; 0 for a device that captures nothing."""
    output_channels: int
    """How many it can play; 0 for a device that plays nothing."""
    sample_rate_hz: int
    """Its native rate."""
    is_default_input: bool
    is_default_output: bool

    def channels(self, direction: Direction) -> int:
        """Return how many channels it has in a `direction`, `input` or `output`; 0 for none."""
        return self.input_channels if direction == "input" else self.output_channels

    def is_default(self, direction: Direction) -> bool:
        """Return whether it is what is used in a `direction`, `input` or `output`, when no device is named."""
        return self.is_default_input if direction == "input" else self.is_default_output


def chosen(direction: Direction, wanted: int | str | None, devices: Sequence[AudioDevice]) -> AudioDevice:
    """Return which of `devices` is meant, as `find_device` does."""
    kind = _NAMES[direction]
    usable = [device for device in devices if device.channels(direction)]
    if not usable:
        raise ConfigError(
            f"this machine has no {kind}: connect one, or where there is a sound server, give it to ALSA "
            "(apt install libasound2-plugins)"
        )
    there_is = "; ".join(f"{device.index} {device.name}" for device in usable)
    if wanted is None:
        found = [device for device in usable if device.is_default(direction)] or usable[:1]
    elif isinstance(wanted, int) or wanted.strip().isdecimal():
        found = [device for device in usable if device.index == int(wanted)]
    else:
        name = wanted.strip().casefold()
        found = [device for device in usable if name in device.name.casefold()]
        found = [device for device in found if device.name.casefold() == name][:1] or found
    if not found:
        unlisted = "what another program keeps to itself is not listed"
        raise ConfigError(f"there is no {kind} {wanted!r}: choose one of {there_is} ({unlisted})")
    if len(found) > 1:
        names = "; ".join(f"{device.index} {device.name}" for device in found)
        raise ConfigError(f"{kind} {wanted!r} may be any of {names}: give the index, or more of the name")
    return found[0]


def channels_of(device: AudioDevice, direction: Direction) -> int:
    """Return with how many channels a device is opened."""
    return min(MAX_CHANNELS, device.channels(direction))
