"""Leaves a spoken message with an agent, and tells whether it was confirmed."""

from collections.abc import Callable
from dataclasses import dataclass

from rtc_client import CallConfig, NumpySink, RtcClientError, Source, connect


@dataclass(frozen=True)
class Receipt:
    """What came of a message."""

    is_confirmed: bool
    words: str
    sound: NumpySink


async def leave_message(config: CallConfig, message: Source) -> Receipt:
    """Speak the message, and return what the agent said to it."""
    sound = NumpySink()
    async with connect(config, source=message, sink=sound) as call:
        result = await call.wait_ended()
    words = " ".join(entry.text for entry in result.transcript if entry.role == "agent")
    return Receipt("noted" in words, words, sound)


async def leave_message_at_last(config: CallConfig, new_message: Callable[[], Source]) -> Receipt | None:
    """Try again once when the call does not come about; None when that fails too."""
    for _ in range(2):
        try:
            return await leave_message(config, new_message())
        except RtcClientError:
            continue
    return None
