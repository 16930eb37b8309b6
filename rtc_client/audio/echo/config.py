"""EchoSettings: how the caller's microphone is kept from picking up the agent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias, get_args

from rtc_client.errors import ConfigError

EchoMode: TypeAlias = Literal["auto", "headphones", "half-duplex", "aec"]
ActiveEchoMode: TypeAlias = Literal["headphones", "half-duplex", "aec"]

ECHO_MODES: Final[tuple[EchoMode, ...]] = get_args(EchoMode)


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoSettings:
    """What is done where the loudspeaker is heard by the microphone; where either is no device, nothing is done.

    Raises:
        ConfigError: There is no such mode.
    """

    mode: EchoMode = "auto"
    """`headphones`: nothing. `half-duplex`: the microphone is turned down while the agent is heard. `aec`: the agent is
    subtracted (extra `aec`). `auto`: `aec` where it is installed, else `half-duplex`."""
    noise_suppression: bool = True
    """Whether `aec` takes steady noise out of what the microphone hears."""
    gain_control: bool = False
    """Whether `aec` makes a distant or quiet caller louder; what is left of an echo as well."""
    break_through: bool = True
    """Whether a caller who is clearly louder than the expected echo is let through in `half-duplex`."""

    def __post_init__(self) -> None:
        if self.mode not in ECHO_MODES:
            raise ConfigError(f"the echo mode must be one of {', '.join(ECHO_MODES)}")
