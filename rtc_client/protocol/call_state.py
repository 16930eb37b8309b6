"""The state of a call: its states, its inputs, the transition table, and how a call ends.

Everything that decides in which state a call is stands in this file; media and sideband have their own
health and only feed inputs into it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final, Literal, TypeAlias

EndedBy: TypeAlias = Literal["caller", "server", "network", "program"]
"""Who ended the call: our side's wish, the far side, the world between, or our own machinery."""


class CallState(StrEnum):
    """Where a call is between dialling and its end."""

    IDLE = "idle"
    GATHERING = "gathering"
    OFFERING = "offering"
    CONNECTING = "connecting"
    ACTIVE = "active"
    CLOSING = "closing"
    ENDED = "ended"


class Input(Enum):
    """What can move a call from one state to another."""

    DIALED = auto()
    SOCKET_DIALED = auto()
    """Dialled over a websocket: there is nothing to gather and to offer."""
    OFFER_READY = auto()
    ANSWER_APPLIED = auto()
    MEDIA_CONNECTED = auto()
    END_DECIDED = auto()
    CLOSED = auto()


class EndReason(StrEnum):
    """Why a call ended."""

    HANGUP = "hangup"
    SOURCE_ENDED = "source_ended"
    MAX_DURATION = "max_duration"
    INTERRUPTED = "interrupted"
    REMOTE_HANGUP = "remote_hangup"
    REFUSED = "refused"
    NO_MEDIA = "no_media"
    LOST = "lost"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """How a call ended."""

    reason: EndReason
    by: EndedBy
    """Who ended it."""
    detail: str = ""
    """One sentence for people; empty when the reason says it all."""


_S = CallState
TRANSITIONS: Final[Mapping[tuple[CallState, Input], CallState]] = {
    (_S.IDLE, Input.DIALED): _S.GATHERING,
    (_S.IDLE, Input.SOCKET_DIALED): _S.CONNECTING,
    (_S.GATHERING, Input.OFFER_READY): _S.OFFERING,
    (_S.OFFERING, Input.ANSWER_APPLIED): _S.CONNECTING,
    (_S.CONNECTING, Input.MEDIA_CONNECTED): _S.ACTIVE,
    (_S.IDLE, Input.END_DECIDED): _S.CLOSING,
    (_S.GATHERING, Input.END_DECIDED): _S.CLOSING,
    (_S.OFFERING, Input.END_DECIDED): _S.CLOSING,
    (_S.CONNECTING, Input.END_DECIDED): _S.CLOSING,
    (_S.ACTIVE, Input.END_DECIDED): _S.CLOSING,
    (_S.CLOSING, Input.CLOSED): _S.ENDED,
}
"""Anything absent from this table is not a transition and changes nothing."""


def next_state(state: CallState, happened: Input) -> CallState | None:
    """Return the state that `happened` leads to, None when it leads nowhere from `state`."""
    return TRANSITIONS.get((state, happened))
