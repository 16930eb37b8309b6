"""Ticker: one 20 ms clock for all calls of an event loop.

A wake-up of the loop costs as much as three packets, so calls share their timers: up to `CALLS_PER_PHASE` stand in one
phase. More are spread over up to four phases, 5 ms apart, so that the work of many (an encoder takes 150 µs) does not
come in one burst. A call keeps its phase, and so its own even 20 ms grid, for life.

What a call does in a tick comes in stages, and the first stage of all calls comes before the second of any: the same
code for many calls in a row stays in the processor's caches, which saves a call about a twelfth.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Final
from weakref import WeakKeyDictionary

from rtc_client.audio.frames import FRAME_S

log = logging.getLogger(__name__)

N_PHASES: Final = 4
CALLS_PER_PHASE: Final = 24
"""Phases are opened one after the other: calls that tick together wake the process, and its caches, once."""
CATCH_UP_TICKS: Final = 25
"""After a stall of the process at most half a second is made up for, as much as a jitter buffer holds; older ticks are
skipped."""

CATCH_UP_STEP_S: Final = FRAME_S / 2
"""A stall is made up for at twice the speed, not at once: what the far side, or another task, held up meanwhile comes
no faster."""


class Ticket:
    """One call's place in the clockwork.

    Each of `stages` is called every 20 ms with the number of periods since it was added, from 0. The number grows by
    one, except after a stall of the process, when it skips what is not made up for. An exception of one takes the
    call out and is told to `on_error`; the other calls go on.
    """

    def __init__(self, stages: tuple[Callable[[int], None], ...], on_error: Callable[[Exception], None]) -> None:
        self.stages = stages
        self.on_error = on_error
        self.first_period = 0
        self.phase: _Phase | None = None

    def remove(self) -> None:
        """Take the call out: not one more tick. Safe to call twice, and from within a tick."""
        if self.phase is not None:
            self.phase.remove(self)
            self.phase = None


class Ticker:
    """The clockwork of one event loop; `ticker` finds it."""

    def __init__(self) -> None:
        start_s = asyncio.get_running_loop().time()
        self._phases = [_Phase(start_s + k * FRAME_S / N_PHASES) for k in range(N_PHASES)]

    def add(self, *stages: Callable[[int], None], on_error: Callable[[Exception], None]) -> Ticket:
        """Let the stages be called every 20 ms from now on, for the first time within 20 ms."""
        n_calls = sum(len(phase.tickets) for phase in self._phases)
        opened = self._phases[: min(N_PHASES, 1 + n_calls // CALLS_PER_PHASE)]
        ticket = Ticket(stages, on_error)
        min(opened, key=lambda phase: len(phase.tickets)).add(ticket)
        return ticket


class _Phase:
    """The calls that tick together. It keeps no loop: the table of tickers must not keep loops alive."""

    def __init__(self, origin_s: float) -> None:
        self._origin_s = origin_s
        self._period = 0
        self._timer: asyncio.TimerHandle | None = None
        self._is_firing = False
        self._is_skipping = False
        self.tickets: list[Ticket] = []
        self._rounds: list[list[tuple[Ticket, Callable[[int], None]]]] = []

    def add(self, ticket: Ticket) -> None:
        if self._timer is None and not self._is_firing:
            loop = asyncio.get_running_loop()
            now_s = loop.time()
            self._period = self._periods_until(now_s) + 1
            self._arm(loop, now_s - FRAME_S)
        ticket.first_period = self._period
        ticket.phase = self
        self._set_tickets([*self.tickets, ticket])

    def remove(self, ticket: Ticket) -> None:
        self._set_tickets([t for t in self.tickets if t is not ticket])
        if not self.tickets and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_tickets(self, tickets: list[Ticket]) -> None:
        # New lists: a tick may be iterating over the old ones.
        self.tickets = tickets
        n_rounds = max((len(ticket.stages) for ticket in tickets), default=0)
        self._rounds = [[(t, t.stages[k]) for t in tickets if k < len(t.stages)] for k in range(n_rounds)]

    def _periods_until(self, now_s: float) -> int:
        return math.floor((now_s - self._origin_s) / FRAME_S)

    def _arm(self, loop: asyncio.AbstractEventLoop, last_s: float) -> None:
        due_s = self._origin_s + self._period * FRAME_S
        self._timer = loop.call_at(max(due_s, last_s + CATCH_UP_STEP_S), self._fire)

    def _fire(self) -> None:
        """Tick once. What a stall left behind follows step by step, each after what has been received meanwhile.

        A burst would ask for what came during the stall before it is read: a turn of the loop takes one datagram off
        each socket.
        """
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        behind = self._periods_until(now_s) - self._period
        if behind > CATCH_UP_TICKS:
            n_skipped = behind - CATCH_UP_TICKS
            if not self._is_skipping:
                skipped_ms = round(n_skipped * FRAME_S * 1000)
                log.warning("the process stalled, audio is skipped", extra={"skipped_ms": skipped_ms})
            self._is_skipping = True
            self._period += n_skipped
        elif behind <= 0:
            self._is_skipping = False
        self._timer = None
        self._is_firing = True
        try:
            self._tick_all()
        finally:
            self._is_firing = False
            if self.tickets:
                self._arm(loop, now_s)

    def _tick_all(self) -> None:
        period = self._period
        self._period += 1
        for one_round in self._rounds:
            for ticket, stage in one_round:
                if ticket.phase is None:
                    continue
                try:
                    stage(period - ticket.first_period)
                except Exception as error:  # noqa: BLE001 - one call's failure must not stop the clock of the others
                    ticket.remove()
                    ticket.on_error(error)


_tickers: WeakKeyDictionary[asyncio.AbstractEventLoop, Ticker] = WeakKeyDictionary()


def ticker() -> Ticker:
    """Return the clockwork of the running event loop, made at first use."""
    loop = asyncio.get_running_loop()
    found = _tickers.get(loop)
    if found is None:
        found = _tickers[loop] = Ticker()
    return found
