"""SIP calls of a fake answerer, as far as REST knows them: they ring, and are accepted, rejected or referred."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from rtc_client.testing.wire.server_events import JsonObject


class SipState(Enum):
    """What has become of a SIP call."""

    RINGING = "it waits to be accepted or rejected"
    ACCEPTED = "it was accepted"
    REJECTED = "it was declined"
    REFERRED = "it was transferred"
    HUNG_UP = "it was hung up"


@dataclass(slots=True, eq=False)
class SipCall:
    """A SIP call that came in for the program under test."""

    call_id: str
    state: SipState = SipState.RINGING
    """What has become of it."""
    session: JsonObject | None = field(default=None, repr=False)
    """The session it was accepted with."""
    status_code: int | None = None
    """The SIP status it was declined with."""
    target_uri: str | None = field(default=None, repr=False)
    """Where it was transferred to."""
