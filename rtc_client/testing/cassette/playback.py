"""Sends what a tape says is due, on the sideband of one call."""

from __future__ import annotations

from typing import Protocol, assert_never

from rtc_client.testing.cassette.tape import CloseSideband, EndCall, Tape, TellFrame
from rtc_client.testing.wire.server_events import JsonObject, parse_object


class Leg(Protocol):
    """What a tape needs of an `EventLeg`."""

    def hold(self, event: JsonObject | str | bytes) -> None:
        """Let an event go out as soon as it can."""
        ...

    async def flush(self) -> None:
        """Send what is held."""
        ...

    async def close(self, code: int) -> None:
        """Close the sideband."""
        ...

    def drop(self) -> None:
        """Abort its connection."""
        ...


async def play(tape: Tape, leg: Leg, now_s: float, *, frames_only: bool = False) -> bool:
    """Do what is due, as `Tape.tick` tells it; return whether the call is to be ended by the server."""
    for act in tape.tick(now_s, frames_only=frames_only):
        match act:
            case TellFrame(frame):
                event = parse_object(frame) if isinstance(frame, str) else None
                leg.hold(frame if event is None else event)
            case CloseSideband(code):
                await leg.flush()
                if code is None:
                    leg.drop()
                else:
                    await leg.close(code)
            case EndCall():
                await leg.flush()
                return True
            case _:
                assert_never(act)
    await leg.flush()
    return False
