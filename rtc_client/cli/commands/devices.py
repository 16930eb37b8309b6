"""`rtc-client devices`: which microphones and speakers there are, what they can do, and what they hear."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from rich.console import Console
from rich.live import Live
from rich.table import Table

from rtc_client.audio.devices.microphone import Microphone
from rtc_client.audio.devices.portaudio import FIND_LIMIT_S, in_thread, list_devices, usable_rates
from rtc_client.audio.devices.selection import AudioDevice, DeviceUnavailable, Direction
from rtc_client.audio.pcm import LevelMeter, is_voiced
from rtc_client.audio.ticker import ticker
from rtc_client.cli.commands.parsing import set_up_logging
from rtc_client.cli.console import stdio as streams
from rtc_client.cli.exit_status import COMPLETED, status_of
from rtc_client.cli.signals import on_signals
from rtc_client.errors import ConfigError

_REFRESH_S: Final = 0.1
_LINE_S: Final = 1.0
_BAR_CELLS: Final = 30
_BAR_FLOOR_DBFS: Final = -60.0
_DIRECTIONS: Final[tuple[Direction, ...]] = ("input", "output")


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicesOptions:
    """The options of the command, as they were typed."""

    meter: bool
    meter_for_s: float | None
    json: bool


@dataclass(slots=True)
class _Row:
    """One device in one direction."""

    device: AudioDevice
    direction: Direction
    rates_hz: tuple[int, ...]
    level: LevelMeter | None = None
    fault: str | None = None

    def as_dict(self) -> dict[str, Any]:
        device, level = self.device, self.level
        return {
            "index": device.index,
            "name": device.name,
            "direction": self.direction,
            "channels": device.channels(self.direction),
            "sample_rate_hz": device.sample_rate_hz,
            "is_default": device.is_default(self.direction),
            "usable_rates_hz": list(self.rates_hz),
            "host_api": device.host_api,
            "level_dbfs": round(level.level_dbfs, 1) if level is not None and level.n_samples else None,
        }

    def cells(self) -> list[str]:
        device = self.device
        rates = " ".join(f"{rate_hz / 1000:g}" for rate_hz in self.rates_hz) or "none opens"
        default = "default" if device.is_default(self.direction) else ""
        channels = str(device.channels(self.direction))
        return [str(device.index), device.name, self.direction, channels, str(device.sample_rate_hz), default, rates]


def run_devices(options: DevicesOptions, *, verbose: bool) -> int:
    """Print what there is, and with `--meter` what it hears, until it is interrupted; return the exit status."""
    streams.hush_libraries()
    set_up_logging(verbose=verbose)
    rows: list[_Row] = []
    error, status = None, COMPLETED
    try:
        devices = asyncio.run(_found())
        rows = [_Row(one, way, usable_rates(one, way)) for one in devices for way in _DIRECTIONS if one.channels(way)]
        if not options.json:
            _print_table(rows)
        if options.meter:
            asyncio.run(_meter([row for row in rows if row.direction == "input" and row.rates_hz], options))
    except ConfigError as failure:
        error, status = failure, status_of(failure)
        streams.print_error(f"rtc-client: {failure}")
    if options.json:
        told = None if error is None else {"type": type(error).__name__, "message": str(error)}
        found = {"exit_status": status, "devices": [row.as_dict() for row in rows], "error": told}
        return streams.print_line(json.dumps(found), status)
    return status


async def _found() -> tuple[AudioDevice, ...]:
    """Return every device; a sound server that hangs is a ConfigError, in time."""
    try:
        return await in_thread(list_devices, "devices-find", limit_s=FIND_LIMIT_S)
    except DeviceUnavailable as error:
        raise ConfigError(f"no device can be looked for: {error}; restart its sound server") from error


def _print_table(rows: Sequence[_Row]) -> None:
    if not rows:
        streams.print_line(
            "no sound device; where there is a sound server, ALSA needs libasound2-plugins to reach it", 0
        )
        return
    table = Table(box=None, pad_edge=False)
    for heading in ("", "name", "direction", "channels", "Hz", "", "opens at kHz"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row.cells())
    Console().print(table)


async def _meter(rows: Sequence[_Row], options: DevicesOptions) -> None:
    """Listen to all inputs at once until a signal comes, or for as long as was asked for."""
    is_over = asyncio.Event()
    async with AsyncExitStack() as stack:
        stages = []
        for row in rows:
            microphone = Microphone(row.device.index)
            try:
                await microphone.open()
            except ConfigError as error:
                row.fault = str(error)
                continue
            stack.push_async_callback(microphone.aclose)
            row.level = LevelMeter()
            stages.append(partial(_listen, microphone, row))
        if not stages:
            raise ConfigError("no microphone can be opened: see rtc-client devices")
        ticket = ticker().add(*stages, on_error=lambda _: is_over.set())
        stack.callback(ticket.remove)
        with on_signals(is_over.set):
            await _show(rows, options, is_over)


def _listen(microphone: Microphone, row: _Row, index: int) -> None:
    frame = microphone.read()
    if frame is not None and row.level is not None:
        row.level.add(frame)
    row.fault = "does not answer" if microphone.record().losses and frame is None else None


async def _show(rows: Sequence[_Row], options: DevicesOptions, is_over: asyncio.Event) -> None:
    console = Console(stderr=True)
    try:
        async with asyncio.timeout(options.meter_for_s):
            if options.json:
                await is_over.wait()
            elif console.is_terminal:
                with Live(console=console, refresh_per_second=10, transient=True) as live:
                    await _repeat(lambda: live.update(_bars(rows), refresh=True), _REFRESH_S, is_over)
            else:
                await _repeat(lambda: streams.print_error(_line(rows)), _LINE_S, is_over)
    except TimeoutError:
        pass


async def _repeat(show: Callable[[], None], every_s: float, is_over: asyncio.Event) -> None:
    while not is_over.is_set():
        show()
        await asyncio.sleep(every_s)


def _bars(rows: Sequence[_Row]) -> Table:
    grid = Table.grid(padding=(0, 1))
    for row in rows:
        level_dbfs = row.level.recent_dbfs if row.level is not None else _BAR_FLOOR_DBFS
        filled = round(_BAR_CELLS * max(0.0, 1 - level_dbfs / _BAR_FLOOR_DBFS))
        grid.add_row(row.device.name, "█" * filled + "░" * (_BAR_CELLS - filled), _reading(row))
    return grid


def _line(rows: Sequence[_Row]) -> str:
    return "; ".join(f"{row.device.name}: {_reading(row)}" for row in rows)


def _reading(row: _Row) -> str:
    if row.fault is not None or row.level is None:
        return row.fault or "not open"
    level_dbfs = row.level.recent_dbfs
    return f"{level_dbfs:.0f} dBFS" if is_voiced(level_dbfs) else "silent"
