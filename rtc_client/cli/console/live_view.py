"""The live view of a call: drawn on a terminal, plain lines where there is none.

On a terminal the keys of `controls.py` are at hand as long as the view is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rtc_client.audio.devices.reports import DeviceGlitched, DeviceLost, DeviceRestored
from rtc_client.audio.echo.warning import EchoDetected
from rtc_client.audio.pcm import LevelMeter, is_voiced
from rtc_client.call.call import Call
from rtc_client.call.events.local_events import (
    BargedIn,
    CallEvent,
    HandoffEnded,
    HandoffReceived,
    MediaConnected,
    NoAudioYet,
    RecordingEnded,
    SidebandAbandoned,
    SidebandLost,
)
from rtc_client.call.media.stats import CallStats
from rtc_client.cli.console.controls import Controls
from rtc_client.cli.console.stdio import print_error
from rtc_client.cli.console.terminal import keys_to
from rtc_client.errors import RtcClientError
from rtc_client.protocol.call_state import CallState
from rtc_client.protocol.redact import printable
from rtc_client.protocol.transcript.transcript import TranscriptEntry

_REFRESH_S: Final = 0.1
_BAR_CELLS: Final = 30
_LINE_CHARS: Final = 200
"""The end of what is being typed is seen."""
_BAR_FLOOR_DBFS: Final = -60.0
_COLOURS: Final = {"caller": "cyan", "agent": "green"}
_STATE_COLOURS: Final = {CallState.ACTIVE: "green", CallState.CLOSING: "yellow", CallState.ENDED: "dim"}
_WARNINGS: Final = (EchoDetected, DeviceLost, DeviceRestored, RecordingEnded)


@asynccontextmanager
async def watching(call: Call, controls: Controls, *, quiet: bool) -> AsyncIterator[None]:
    """Show `call` on stderr while the block runs: live on a terminal, with keys; else a line per thing that happens."""
    console = Console(stderr=True)
    if quiet:
        yield
    elif console.is_terminal:
        with (
            Live(console=console, refresh_per_second=4, transient=True) as live,
            keys_to(controls.take) as has_keys,
        ):
            shown = controls if has_keys else None
            async with _beside(_refresh(call, shown, live)), _beside(_print_warnings(call, live.console)):
                yield
            live.update(_picture(call, shown), refresh=True)
    else:
        async with _beside(_print_lines(call)):
            yield


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name="view")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _refresh(call: Call, controls: Controls | None, live: Live) -> None:
    while True:
        live.update(_picture(call, controls), refresh=True)
        await asyncio.sleep(_REFRESH_S)


def _picture(call: Call, controls: Controls | None) -> RenderableType:
    minutes, seconds = divmod(int(call.elapsed_s), 60)
    head = Text.assemble(
        (f" {call.state} ", f"bold {_STATE_COLOURS.get(call.state, 'yellow')}"),
        f" {minutes}:{seconds:02d} ",
        (f" events {'on' if call.sideband_joined else 'off'} ", "dim"),
        (" muted ", "bold red") if call.muted else "",
        (" talking ", "bold green") if controls is not None and controls.is_talking else "",
    )
    grid = Table.grid(padding=(0, 1))
    caller, agent = call.levels
    grid.add_row(*_level_row("caller", caller))
    grid.add_row(*_level_row("agent", agent))
    network = Text(_network(call.stats_history), style="dim")
    words = Table.grid(padding=(0, 1))
    for entry in call.latest_words(8):
        style = _COLOURS[entry.role]
        text = Text(entry.as_words() or "…", style="" if entry.final else "italic")
        words.add_row(Text(entry.role, style=f"bold {style}"), text)
    below = [] if controls is None else _typed(controls)
    return Panel(
        Group(head, Text(), grid, network, Text(), words, *below),
        title=call.call_id or ("dialling" if call.elapsed_s == 0 else "call"),
        subtitle="Ctrl-C hangs up" if controls is None else controls.help,
    )


def _typed(controls: Controls) -> list[Text]:
    if controls.line is not None:
        return [Text(), Text.assemble(("say ", "bold cyan"), controls.line.text[-_LINE_CHARS:], ("▏", "bold"))]
    return [Text(), Text(printable(controls.note), style="yellow")] if controls.note else []


def _level_row(name: str, meter: LevelMeter) -> tuple[Text, Text, Text]:
    level_dbfs = meter.recent_dbfs
    filled = round(_BAR_CELLS * max(0.0, 1 - level_dbfs / _BAR_FLOOR_DBFS))
    bar = Text.assemble(("█" * filled, _COLOURS[name]), ("░" * (_BAR_CELLS - filled), "dim"))
    reading = f"{level_dbfs:4.0f} dBFS" if is_voiced(level_dbfs) else "  silent"
    return Text(name, style=f"bold {_COLOURS[name]}"), bar, Text(reading, style="dim")


def _network(history: Sequence[CallStats]) -> str:
    if not history:
        return "network"
    now = history[-1]
    trip = "" if now.round_trip_time_s is None else f"round trip {now.round_trip_time_s * 1000:.0f} ms, "
    lost = now.packets_lost / max(1, now.packets_received + now.packets_lost)
    rate = f"{now.bit_rate_received / 1000:.0f} kb/s"
    return f"network {trip}{lost:.1%} lost, delay {now.current_delay_s * 1000:.0f} ms, {rate}"


async def _print_lines(call: Call) -> None:
    printed: set[int] = set()
    # How the call ends is told by the report and the error line.
    with suppress(RtcClientError):
        async for event in call.events():
            for line in (_line(call, event), *_settled(call.latest_words(16), printed)):
                if line is not None:
                    print_error(line)


async def _print_warnings(call: Call, console: Console) -> None:
    """Print above the live view what its reader can do something about, and cannot see in it."""
    with suppress(RtcClientError):
        async for event in call.events():
            if isinstance(event, _WARNINGS) and (line := _line(call, event)) is not None:
                console.print(Text(line, style="bold yellow"))


def _line(call: Call, event: CallEvent) -> str | None:
    match event:
        case MediaConnected():
            return f"connected: call {call.call_id}" if call.call_id else "connected"
        case NoAudioYet(after_s=after_s):
            return f"no audio from the agent in the first {after_s:g} s; the call goes on"
        case SidebandLost(code=code):
            return f"sideband lost (close code {code}); joining again"
        case SidebandAbandoned(message=message):
            return f"going on without events: {message}"
        case BargedIn(by=by, discarded_s=discarded_s):
            return f"the caller spoke ({by}): {discarded_s:.2f} s of the agent were not heard"
        case HandoffReceived(request=request, fate=fate):
            return f"handoff {printable(request.handoff_id)}: {fate}"
        case HandoffEnded(handoff_id=handoff_id, outcome=outcome, duration_s=duration_s):
            return f"handoff {printable(handoff_id)}: {outcome.replace('_', ' ')} after {duration_s:.1f} s"
        case DeviceLost(message=message):
            return f"{message}; the call goes on, and it is tried again"
        case DeviceRestored(role=role, name=name, silent_s=silent_s):
            return f"the {role} {name} is back after {silent_s:.1f} s"
        case DeviceGlitched(role=role, xruns=xruns, underruns=underruns):
            return f"the {role} stuttered: {xruns} xruns, {underruns} underruns"
        case RecordingEnded(at_s=at_s, message=message):
            return f"the recording ended after {at_s:.1f} s, {message}; the call goes on"
        case EchoDetected(cure=cure):
            return f"the agent hears itself: {cure}"
        case _:
            return None


def _settled(entries: Sequence[TranscriptEntry], printed: set[int]) -> list[str]:
    lines = []
    for entry in entries:
        if entry.final and entry.number not in printed:
            printed.add(entry.number)
            lines.append(f"{entry.role}: {entry.as_words()}")
    return lines
