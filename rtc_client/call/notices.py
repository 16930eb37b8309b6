"""What happens to a call beside the server's events: one frozen type each, in the same stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from rtc_client.protocol.events import ServerEvent
from rtc_client.protocol.state import End


@dataclass(frozen=True, slots=True, kw_only=True)
class MediaConnected:
    """Audio can flow both ways; this instant is position 0 of both recordings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NoAudioYet:
    """Nothing was received from the agent for a while after connecting; it may be waiting for the caller to speak."""

    after_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SidebandJoined:
    """Events can flow; `again` after a sideband that was lost."""

    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SidebandLost:
    """The sideband broke and is being joined again; events sent meanwhile by the server are missing."""

    code: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SidebandAbandoned:
    """There will be no more events; the call goes on without them (policy `prefer`)."""

    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The last event of every call."""

    end: End


Notice: TypeAlias = MediaConnected | NoAudioYet | SidebandJoined | SidebandLost | SidebandAbandoned | CallEnded
CallEvent: TypeAlias = ServerEvent | Notice
