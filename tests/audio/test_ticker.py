"""Promises of the clockwork: an even 20 ms for every call, whatever the others do and however the process stalls.

In real time: `test_a_call_ticks_every_20_ms_on_one_grid_and_counts`, `test_a_short_stall_loses_nothing`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
import weakref
from collections.abc import Callable
from itertools import pairwise

import pytest

from rtc_client.audio.ticker import CALLS_PER_PHASE, CATCH_UP_TICKS, N_PHASES, Ticker, Ticket, ticker

FRAME_S = 0.02


class Ticks:
    """A call that notes its ticks, and is waited for."""

    def __init__(self, on_tick: Callable[[int], None] | None = None) -> None:
        self.indices: list[int] = []
        self.at_s: list[float] = []
        self.errors: list[Exception] = []
        self._on_tick = on_tick
        self._news = asyncio.Event()

    def tick(self, index: int) -> None:
        self.indices.append(index)
        self.at_s.append(time.monotonic())
        self._news.set()
        if self._on_tick is not None:
            self._on_tick(index)

    def join(self, clockwork: Ticker | None = None) -> Ticket:
        return (clockwork or ticker()).add(self.tick, on_error=self.errors.append)

    async def reach(self, n_ticks: int) -> None:
        async with asyncio.timeout(5):
            while len(self.indices) < n_ticks:
                self._news.clear()
                await self._news.wait()


def _timers() -> int:
    """Return how many timers of the clockwork the running loop still has."""
    scheduled = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
    return sum("_Phase" in repr(handle) for handle in scheduled if not handle.cancelled())


@pytest.mark.both_clocks
async def test_a_call_ticks_every_20_ms_on_one_grid_and_counts() -> None:
    """The indices count from 0 without a gap, and tick n is never before its place on a grid that does not drift."""
    call = Ticks()
    added_s = time.monotonic()
    ticket = call.join()

    await call.reach(25)
    ticket.remove()

    assert call.indices == list(range(25))
    assert call.at_s[0] - added_s < FRAME_S + 0.015
    places_s = [at_s - n * FRAME_S for n, at_s in enumerate(call.at_s)]
    assert min(places_s) > max(places_s) - 0.05
    # Lateness is not carried on: the last places are as early as the first.
    assert min(places_s[-8:]) < min(places_s[:8]) + 0.01


async def test_few_calls_share_a_phase_and_many_are_spread_over_four() -> None:
    """As many as share a phase tick at once; of four times as many, each of four phases has its share, 5 ms apart."""
    clockwork = Ticker()
    few = [Ticks() for _ in range(CALLS_PER_PHASE)]
    tickets = [call.join(clockwork) for call in few]
    assert len({ticket.phase for ticket in tickets}) == 1
    assert _timers() == 1

    many = [Ticks() for _ in range((N_PHASES - 1) * CALLS_PER_PHASE)]
    tickets += [call.join(clockwork) for call in many]
    phases = [ticket.phase for ticket in tickets]
    for call in few + many:
        await call.reach(3)
    for ticket in tickets:
        ticket.remove()

    assert len(set(phases)) == _timers() + N_PHASES == N_PHASES
    assert max(phases.count(phase) for phase in phases) <= CALLS_PER_PHASE * 3 // 2
    origins_s = sorted({phase._origin_s for phase in phases if phase is not None})
    assert [b - a for a, b in pairwise(origins_s)] == pytest.approx([FRAME_S / N_PHASES] * 3)


async def test_of_a_stall_half_a_second_is_made_up_for_and_the_rest_skipped(caplog: pytest.LogCaptureFixture) -> None:
    """A loop blocked for 0.7 s: half a second follows at twice the speed, the rest never comes, and the log says so."""
    call = Ticks()
    ticket = call.join()
    await call.reach(3)

    time.sleep(0.7)  # noqa: ASYNC251 - the stall
    resumed_s = time.monotonic()
    await call.reach(3 + 1 + CATCH_UP_TICKS)
    caught_up_s = time.monotonic() - resumed_s
    await call.reach(3 + 1 + 4 * CATCH_UP_TICKS)
    ticket.remove()

    steps = [b - a for a, b in pairwise(call.indices)]
    assert 0.2 < caught_up_s < 0.8
    assert [step for step in steps if step != 1] == [max(steps)]
    assert 8 <= max(steps) <= 12
    (said,) = [r for r in caplog.records if r.levelno >= logging.WARNING and r.name == "rtc_client.audio.ticker"]
    assert said.__dict__["skipped_ms"] == (max(steps) - 1) * 20
    # Back on the old grid: over the stall, index and time agree.
    assert call.at_s[-1] - call.at_s[0] == pytest.approx(call.indices[-1] * FRAME_S, abs=0.05)


@pytest.mark.both_clocks
async def test_a_short_stall_loses_nothing() -> None:
    """After 70 ms every tick that was due follows, and none is left out."""
    call = Ticks()
    ticket = call.join()
    await call.reach(2)

    time.sleep(0.07)  # noqa: ASYNC251 - the stall
    await call.reach(12)
    ticket.remove()

    assert call.indices == list(range(12))


async def test_what_came_during_a_stall_is_read_before_its_tick() -> None:
    """Between two ticks that are made up for there is time for the datagrams that waited."""
    arrived = 0
    seen: list[int] = []

    class _Count(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: object) -> None:
            nonlocal arrived
            arrived += 1

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(_Count, local_addr=("127.0.0.1", 0))
    call = Ticks(lambda index: seen.append(arrived))
    ticket = call.join()
    await call.reach(1)
    for _ in range(5):
        transport.sendto(b"x", transport.get_extra_info("sockname"))

    time.sleep(0.1)  # noqa: ASYNC251 - the stall
    await call.reach(7)
    ticket.remove()
    transport.close()

    assert seen[-1] == 5
    assert seen[3] == 5


async def test_a_failing_tick_ends_its_own_call_only() -> None:
    """The call whose tick raises is told of it once and ticks no more; the others do not miss one."""

    def fail(index: int) -> None:
        if index == 2:
            raise ValueError("mine")

    failing, other, last = Ticks(fail), Ticks(), Ticks()
    tickets = [call.join() for call in (other, failing, last)]

    await other.reach(8)
    await last.reach(8)
    for ticket in tickets:
        ticket.remove()

    assert failing.indices == [0, 1, 2]
    assert [str(error) for error in failing.errors] == ["mine"]
    assert other.indices[:8] == last.indices[:8] == list(range(8))
    assert other.errors == last.errors == []


async def test_a_listener_that_fails_does_not_stop_the_clock() -> None:
    """Even if what is told of a failed tick raises itself, the other calls go on."""
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: reported.append(context["exception"]))

    def fail(_: object) -> None:
        raise ValueError

    ticker().add(fail, on_error=fail)
    other = Ticks()
    ticket = other.join()

    await other.reach(5)
    ticket.remove()

    assert [type(error) for error in reported] == [ValueError]


async def test_a_call_may_leave_and_join_from_within_a_tick() -> None:
    """A call removed in its own or another's tick gets not one more, and one added there starts at 0."""
    joined = Ticks()

    def leave_and_join(index: int) -> None:
        if index == 2:
            first.remove()
            second.remove()
            tickets.append(joined.join())

    leaving, left = Ticks(leave_and_join), Ticks()
    tickets: list[Ticket] = []
    first = leaving.join()
    second = left.join()

    await joined.reach(4)
    first.remove()
    for ticket in tickets:
        ticket.remove()

    assert leaving.indices == [0, 1, 2]
    assert left.indices == [0, 1]
    assert joined.indices == [0, 1, 2, 3]
    assert min(b - a for a, b in pairwise(joined.at_s)) > 0.004


async def test_without_calls_there_is_no_timer() -> None:
    """The last call to leave takes the timer along, and the next one starts it again."""
    call = Ticks()
    ticket = call.join()
    assert _timers() == 1

    ticket.remove()
    ticket.remove()
    assert _timers() == 0

    again = call.join()
    await call.reach(2)
    again.remove()
    assert _timers() == 0
    assert call.indices == [0, 1]


def test_no_loop_is_kept_alive() -> None:
    """A loop that ran calls is forgotten with its clockwork when it is closed."""

    async def run() -> None:
        call = Ticks()
        ticket = call.join()
        await call.reach(2)
        ticket.remove()

    loop = asyncio.new_event_loop()  # a Runner's loop is kept by the leak checks
    loop.run_until_complete(run())
    loop.close()
    known = weakref.ref(loop)
    del loop

    gc.collect()
    assert known() is None
