"""Which end an exception means for a call; what ends it otherwise is the engine's to say."""

from __future__ import annotations

from rtc_client.errors import (
    AnswererUnreachable,
    CallLost,
    MediaError,
    RtcClientError,
    SidebandError,
    SignalingError,
)
from rtc_client.protocol.state import End, EndedBy, EndReason


def end_of(error: BaseException) -> End:
    """Return the end that an exception means for a call."""
    match error:
        case AnswererUnreachable():
            return ended(EndReason.REFUSED, "network", str(error))
        case SignalingError() | SidebandError():
            return ended(EndReason.REFUSED, "server", str(error))
        case MediaError():
            return ended(EndReason.NO_MEDIA, "network", str(error))
        case CallLost():
            return ended(EndReason.LOST, "network", str(error))
        case RtcClientError():
            return ended(EndReason.FAILED, "program", str(error))
        case Exception():
            return ended(EndReason.FAILED, "program", type(error).__name__)
        case _:
            return ended(EndReason.INTERRUPTED, "caller")


def ended(reason: EndReason, by: EndedBy, detail: str = "") -> End:
    """Return an end."""
    return End(reason=reason, by=by, detail=detail)
