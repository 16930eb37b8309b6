"""SIGINT, SIGTERM, SIGHUP: the first ends the call in good order, the second ends the process at once.

Of a terminal that is closed the kernel tells by SIGHUP, and the shell often by another one: that is no second signal.
Who was started by `nohup` is not told.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rtc_client.cli.console.terminal import restore
from rtc_client.cli.exit_status import INTERRUPTED, TERMINAL_CLOSED, TERMINATED

_STATUS = {signal.SIGINT: INTERRUPTED, signal.SIGTERM: TERMINATED, signal.SIGHUP: TERMINAL_CLOSED}


@dataclass(slots=True)
class Signalled:
    """Which signal came, as an exit status; None for none."""

    status: int | None = None


@contextmanager
def on_signals(stop: Callable[[], object]) -> Iterator[Signalled]:
    """Call `stop` at the first signal while the block runs; a second one does not wait for anything."""
    loop = asyncio.get_running_loop()
    signalled = Signalled()
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in _STATUS if not (is_nohup and number is signal.SIGHUP)]

    def received(number: signal.Signals) -> None:
        if signalled.status is not None:
            if number is signal.SIGHUP:
                return
            restore()
            os._exit(_STATUS[number])
        signalled.status = _STATUS[number]
        stop()

    for number in numbers:
        loop.add_signal_handler(number, received, number)
    try:
        yield signalled
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
