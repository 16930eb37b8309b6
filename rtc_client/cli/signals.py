"""SIGINT and SIGTERM: the first ends the call in good order, the second ends the process at once."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rtc_client.cli.outcome import INTERRUPTED, TERMINATED
from rtc_client.cli.terminal import restore

_STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED}


@dataclass(slots=True)
class Signalled:
    """Which signal came, as an exit status; None for none."""

    status: int | None = None


@contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[Signalled]:
    """Call `stop` at the first SIGINT or SIGTERM while the block runs; a second one does not wait for anything."""
    loop = asyncio.get_running_loop()
    signalled = Signalled()

    def received(number: signal.Signals) -> None:
        if signalled.status is not None:
            restore()
            os._exit(_STATUS[number])
        signalled.status = _STATUS[number]
        stop()

    for number in _STATUS:
        loop.add_signal_handler(number, received, number)
    try:
        yield signalled
    finally:
        for number in _STATUS:
            loop.remove_signal_handler(number)
