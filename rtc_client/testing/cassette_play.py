"""Carries out what a tape says is due, on the sideband of one call; deciding it is `cassette_tape.py`'s."""

from __future__ import annotations

from typing import assert_never

from rtc_client.testing.cassette_tape import CloseSideband, EndCall, Tape, TellFrame
from rtc_client.testing.event_leg import EventLeg
from rtc_client.testing.events import parse_object


async def play(tape: Tape, leg: EventLeg, now_s: float) -> bool:
    """Do what is due; return whether the call is to be ended by the server."""
    for act in tape.tick(now_s):
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
