"""Which end of a call an exception means, and how the parts of a call are closed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from rtc_client.errors import (
    AnswererUnreachable,
    CallLost,
    MediaError,
    RtcClientError,
    SidebandError,
    SignalingError,
)
from rtc_client.protocol.call_state import End, EndedBy, EndReason

log = logging.getLogger(__name__)


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


async def awaited(task: asyncio.Task[None]) -> None:
    """Return when a task is over; cancelled, it is."""
    await task


async def settle(parts: list[Coroutine[Any, Any, object]], limit_s: float) -> None:
    """Run all parts to their end, none of which can keep another from its own; after `limit_s` they are cancelled."""
    tasks = [asyncio.create_task(part, name="call-close-part") for part in parts]
    await asyncio.wait(tasks, timeout=limit_s)
    for task in tasks:
        if not task.done():
            log.warning("a part of the call did not close in time")
            task.cancel()
        elif not task.cancelled() and (error := task.exception()) is not None:
            log.warning("a part of the call failed to close", exc_info=error)
