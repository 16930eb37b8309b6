"""Events that the client itself raises, one frozen type each, in the same stream as the server's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rtc_client.audio.devices.reports import DeviceGlitched, DeviceLost, DeviceRestored
from rtc_client.audio.echo.warning import EchoDetected
from rtc_client.delegates.handoff_request import HandoffRequest
from rtc_client.protocol.call_state import End
from rtc_client.protocol.wire.events import ServerEvent


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


HandoffFate: TypeAlias = Literal["started", "steering", "queued", "unhandled", "empty", "refused"]
"""What became of a request at once: a handler began; it went to the one at work; it waits its turn; there is no
handler; nothing is asked; too many are waiting."""
HandoffOutcome: TypeAlias = Literal["answered", "failed", "timed_out", "replaced", "cancelled"]
"""How a handler ended: of itself, by an exception, by its time limit, by a newer request, or with the call."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffReceived:
    """The agent asked for something: the same as `HandoffRequested`, with the active transcript."""

    request: HandoffRequest
    fate: HandoffFate
    """Whether it is begun at once, waits, or reaches the handler that is at work."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffEnded:
    """A handler is done with a request; the call goes on, however that was."""

    handoff_id: str
    outcome: HandoffOutcome
    """How it ended."""
    duration_s: float
    n_outputs: int
    """How many texts were sent."""
    error: Exception | None = field(default=None, repr=False)
    """What the handler raised. Not shown: it may hold anything."""


ToolOutcome: TypeAlias = Literal["answered", "invalid", "failed", "timed_out", "cancelled", "refused"]
"""How a call of a tool ended: by its result, by arguments that do not fit, by an exception, by its time limit, with the
call (or the handler that made it), or at once, for too many others were waiting."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolCallEnded:
    """A tool is done, and the model was told; the call goes on, however that was."""

    tool_call_id: str
    name: str
    outcome: ToolOutcome
    """`answered`, or what kept it from that."""
    duration_s: float
    """From when it was called, waiting for its turn included, in seconds."""
    error: Exception | None = field(default=None, repr=False)
    """What the tool raised. Not shown: it may hold anything."""


BargeInTeller: TypeAlias = Literal["server", "local", "program"]
"""Who said that the caller speaks: the server's event, our own ear, or the program (`Call.barge_in`)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BargedIn:
    """The agent was cut short, because the caller began to speak."""

    by: BargeInTeller
    """Who said so: the server, our own ear (`local`), or the program."""
    discarded_s: float
    """How much of what it says was at hand already, and is not heard any more, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEnded:
    """The recording of the call could not go on, mostly for want of room on the disk; the call does."""

    at_s: float
    """Where in the recording, in seconds; what was recorded before can be played."""
    message: str
    """What the system said."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallEnded:
    """The last event of every call."""

    end: End


LocalEvent: TypeAlias = (
    MediaConnected
    | NoAudioYet
    | SidebandJoined
    | SidebandLost
    | SidebandAbandoned
    | HandoffReceived
    | HandoffEnded
    | DeviceLost
    | DeviceRestored
    | DeviceGlitched
    | EchoDetected
    | ToolCallEnded
    | BargedIn
    | RecordingEnded
    | CallEnded
)
CallEvent: TypeAlias = ServerEvent | LocalEvent
"""What `Call.events` yields: the server's events and our own notices."""
