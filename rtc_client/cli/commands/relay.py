"""`rtc-client relay`: a bad network between any client and any answerer, as a program of its own."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final, TypeVar
from urllib.parse import urlsplit

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rtc_client.cli.commands.parsing import set_up_logging
from rtc_client.cli.console.stdio import print_error, print_line
from rtc_client.cli.exit_status import INTERNAL_ERROR, USAGE
from rtc_client.cli.signals import on_signals
from rtc_client.errors import ConfigError
from rtc_client.testing.network.http_proxy import RelayProxy, is_loopback
from rtc_client.testing.network.udp_relay import Impairment, LinkCounters, Network

_REFRESH_S: Final = 0.5
_ROWS: Final = 12

T = TypeVar("T", int, float)


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayOptions:
    """The options as they were given; texts hold one value, or two parted by a slash."""

    to: str
    port: int
    host: str
    seed: int
    loss: str
    burst: str
    delay: str
    jitter: str
    keep_order: bool
    reorder: str
    duplicate: str
    bit_rate: str | None
    queue: str
    blackouts: tuple[str, ...]
    figures_s: float | None
    allow_insecure: bool
    quiet: bool


def run_relay(options: RelayOptions, *, verbose: bool) -> int:
    """Relay calls until a signal or a `POST /_shutdown` comes; return the exit status, 0 for the latter."""
    set_up_logging(verbose=verbose)
    try:
        return asyncio.run(_serve(options, network_of(options)))
    except ConfigError as error:
        print_error(f"rtc-client: {error}")
    except OSError as error:
        print_error(f"rtc-client: cannot listen at {options.host} port {options.port}: {error.strerror}")
    return USAGE


def network_of(options: RelayOptions) -> Network:
    """Return the network that the options describe.

    Raises:
        ConfigError: If one of them is not understood, or describes what cannot be.
    """
    blackouts = tuple(_blackout(text) for text in options.blackouts)
    kbit = (None, None) if options.bit_rate is None else _both("--bit-rate", options.bit_rate, float)
    loss, burst = _both("--loss", options.loss, float), _both("--burst", options.burst, int)
    delay, jitter = _both("--delay", options.delay, float), _both("--jitter", options.jitter, float)
    reorder, duplicate = _both("--reorder", options.reorder, float), _both("--duplicate", options.duplicate, float)
    queue = _both("--queue", options.queue, float)

    def way(n: int) -> Impairment:
        rate = kbit[n]
        return Impairment(
            loss_ratio=loss[n] / 100,
            losses_in_a_row=burst[n],
            delay_s=delay[n] / 1000,
            jitter_s=jitter[n] / 1000,
            keeps_order=options.keep_order,
            reorder_ratio=reorder[n] / 100,
            duplicate_ratio=duplicate[n] / 100,
            bit_rate=None if rate is None else rate * 1000,
            queue_s=queue[n] / 1000,
            blackouts=blackouts,
        )

    try:
        return Network(to_agent=way(0), to_caller=way(1), seed=options.seed)
    except ValueError as error:
        raise ConfigError(f"there is no such network: {error}") from None


def _both(option: str, text: str, kind: Callable[[str], T]) -> tuple[T, T]:
    """Return the values for both directions of an option like `5` or `5/2`."""
    up, slash, down = text.partition("/")
    try:
        values = kind(up), kind(down if slash else up)
    except ValueError:
        values = None
    if values is None or not all(math.isfinite(value) for value in values):
        raise ConfigError(f"{option} {text} is not understood: need one number, or two as UP/DOWN")
    return values


def _blackout(text: str) -> tuple[float, float]:
    at, _, duration = text.partition(":")
    try:
        return float(at), float(duration)
    except ValueError:
        raise ConfigError(f"--blackout {text} is not understood: need AT:FOR, both in seconds, as in 5:2") from None


async def _serve(options: RelayOptions, network: Network) -> int:
    try:
        proxy = RelayProxy(options.to, network, host=options.host, port=options.port)
    except ValueError as error:
        raise ConfigError(f"--to: {error}") from None
    parts = urlsplit(options.to)
    if parts.scheme == "http" and not is_loopback(parts.hostname or "") and not options.allow_insecure:
        raise ConfigError("--to: plain http would send the callers' keys readable: use https, or --allow-insecure")
    stopped = asyncio.Event()
    with on_signals(stopped.set) as signalled:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(proxy)
            ready = {"base_url": proxy.base_url, "to": options.to, "port": proxy.port, "seed": options.seed}
            if print_line(json.dumps(ready), 0) != 0:
                print_error("rtc-client: nobody can be told where the relay is")
                return INTERNAL_ERROR
            tasks: set[asyncio.Task[object]] = {asyncio.create_task(proxy.shutdown_asked.wait(), name="relay-shutdown")}
            if options.figures_s is not None:
                tasks.add(asyncio.create_task(_print_figures(proxy, options.figures_s), name="relay-figures"))
            console = Console(stderr=True)
            if console.is_terminal and not options.quiet:
                live = stack.enter_context(Live(console=console, refresh_per_second=4, transient=True))
                tasks.add(asyncio.create_task(_show(proxy, live), name="relay-view"))
            for task in tasks:
                task.add_done_callback(lambda _: stopped.set())
            await stopped.wait()
            for task in tasks:
                task.cancel()
            for outcome in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(outcome, Exception):
                    raise outcome
        return 0 if signalled.status is None else signalled.status


async def _print_figures(proxy: RelayProxy, every_s: float) -> None:
    """Print a line each time, until nobody reads them any more."""
    while print_line(json.dumps(proxy.report()), 0) == 0:  # noqa: ASYNC110 - time passing is all there is to wait for
        await asyncio.sleep(every_s)


async def _show(proxy: RelayProxy, live: Live) -> None:
    while True:
        live.update(_picture(proxy), refresh=True)
        await asyncio.sleep(_REFRESH_S)


def _picture(proxy: RelayProxy) -> Table:
    table = Table(title=f"relay at {proxy.base_url}", title_justify="left", caption="Ctrl-C ends it")
    for name in ("call", "way", "packets", "lost", "twice", "held back", "too many", "in blackouts", "kB"):
        table.add_column(name, justify="left" if name in ("call", "way") else "right")
    for call in [*proxy.calls][-_ROWS:]:
        style = "dim" if call.relay.is_closed else ""
        for way, lane in (("to agent", call.relay.to_agent), ("to caller", call.relay.to_caller)):
            table.add_row(call.call_id[:16] if way == "to agent" else "", way, *_cells(lane.counters), style=style)
    return table


def _cells(counters: LinkCounters) -> tuple[str, ...]:
    share = counters.rtp_lost / max(1, counters.rtp_packets)
    return (
        str(counters.rtp_packets),
        f"{counters.rtp_lost} ({share:.1%})",
        str(counters.rtp_duplicated),
        str(counters.rtp_held_back),
        str(counters.overflowed),
        str(counters.blacked_out),
        f"{counters.octets / 1000:.0f}",
    )
