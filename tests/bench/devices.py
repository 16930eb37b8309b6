"""`bench devices`: what `Microphone` and `Speaker` add to the delay, what they lose, and what they cost.

How it is told what is ours and what the devices': device_loop.py. A whole call on them: device_call.py.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final

import numpy as np

from rtc_client import DeviceRecord, Microphone, PcmFrame, Speaker
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES
from rtc_client.audio.ticker import ticker
from tests.bench.device_loop import (
    GOAL_MS,
    MICROPHONE,
    SETTLE_S,
    SPEAKER,
    Loop,
    TimedMicrophone,
    TimedSpeaker,
    summary,
    used,
)
from tests.bench.stations import pulses
from tests.devices.sound_server import SoundServer

EVERY_S: Final = 0.5
_UNTOLD: Final = ("role", "device_latency_s")

Progress = Callable[[str], None]


async def measure(server: SoundServer, seconds: float, say: Progress) -> dict[str, Any]:
    """Return what both devices add, lose and cost, without a call around them."""
    say(f"pulses round the loop, {seconds:.0f} s")
    loop = Loop(TimedMicrophone(MICROPHONE), TimedSpeaker(SPEAKER))
    said = pulses(60.0, EVERY_S).reshape(-1, FRAME_SAMPLES)

    def tick(index: int) -> None:
        loop.speaker.write(PcmFrame(said[index % len(said)], index * FRAME_SAMPLES))
        loop.microphone.read()

    records, _ = await _run([loop.speaker, loop.microphone], tick, SETTLE_S + seconds, server, loop.collect)
    start_s = loop.laps()[0].at_s + SETTLE_S if loop.laps() else 0.0
    found = summary(loop, [lap for lap in loop.laps() if lap.at_s > start_s], records)
    window_s = max(2.0, seconds / 4)
    say(f"what each costs, 3 windows of {window_s:.0f} s")
    found["cpu_percent"] = await _costs(server, window_s)
    return found


async def _run(
    devices: Sequence[Microphone | Speaker],
    tick: Callable[[int], object],
    seconds: float,
    server: SoundServer,
    every_second: Callable[[], None] = lambda: None,
) -> tuple[list[DeviceRecord], dict[str, float]]:
    """Let devices tick for so long; return how they fared, and what the process used meanwhile, in seconds."""
    errors: list[Exception] = []
    async with AsyncExitStack() as stack:
        for device in devices:
            await device.open()
            stack.push_async_callback(device.aclose)
        ticket = ticker().add(lambda index: (tick(index), None)[1], on_error=errors.append)
        stack.callback(ticket.remove)
        await asyncio.sleep(0.5)
        before = used(server)
        end_s = time.monotonic() + seconds
        while (left_s := end_s - time.monotonic()) > 0:
            await asyncio.sleep(min(1.0, left_s))
            every_second()
        after = used(server)
        await asyncio.sleep(0.5)
        every_second()
        if errors:
            raise errors[0]
        return [device.record() for device in devices], {name: after[name] - before[name] for name in after}


async def _costs(server: SoundServer, window_s: float) -> dict[str, dict[str, float]]:
    """Return what each device adds, in percent of a core: to our tick, by its threads here, to the server."""
    frame = np.zeros(FRAME_SAMPLES, dtype=np.int16)
    frame[:] = pulses(FRAME_S, FRAME_S)
    microphone, speaker = Microphone(MICROPHONE), Speaker(SPEAKER)

    def write(index: int) -> None:
        speaker.write(PcmFrame(frame, index * FRAME_SAMPLES))

    async def share(devices: Sequence[Microphone | Speaker], tick: Callable[[int], object]) -> dict[str, float]:
        _, spent = await _run(devices, tick, window_s, server)
        return {
            "tick": 100 * spent["tick"] / spent["at"],
            "its_threads": 100 * (spent["process"] - spent["tick"]) / spent["at"],
            "sound_server": 100 * spent["server"] / spent["at"],
        }

    base = await share([], lambda index: None)
    shares = {
        "microphone": await share([microphone], lambda index: microphone.read()),
        "speaker": await share([speaker], write),
    }
    return {
        kind: {name: round(max(0.0, value - base[name]), 2) for name, value in one.items()}
        for kind, one in shares.items()
    }


def table(found: dict[str, Any]) -> str:
    """Return the figures for people, in Markdown."""
    lines = ["| from, to | whose | median ms | 95 % ms | max ms | goal ms |", "| --- | --- | --- | --- | --- | --- |"]
    rows = (
        ("captured, encoder", "ours, 20 of it the frame", "capture_to_encoder_ms", f"{GOAL_MS:g}"),
        ("decoded frame, device", "ours", "frame_to_device_ms", f"{GOAL_MS:g}"),
        ("device, room, device", "PortAudio's and the sound server's", "devices_own_ms", ""),
    )
    for what, whose, name, goal in rows:
        spread = found[name]
        cells = [f"{spread[key]:.1f}" if key in spread else "" for key in ("median", "p95", "max")]
        lines.append(f"| {what} | {whose} | {' | '.join(cells)} | {goal} |")
    lines += ["", f"{found['pulses']} pulses; the devices say that they hold {found['devices_own_as_they_say_ms']} ms"]
    for record in found["devices"]:
        told = ", ".join(f"{value} {name}" for name, value in record.items() if name not in _UNTOLD)
        lines.append(f"{record['role']}: {told}")
    for role, costs in found["callback_us"].items():
        told = f"{costs['median']} µs of its thread, 95 % {costs['p95']}, max {costs['max']}"
        lines.append(f"{role}, one callback: {told}")
    for role, shares in found.get("cpu_percent", {}).items():
        parts = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in shares.items())
        lines.append(f"{role}, % of a core: {parts}")
    if found["slips_samples"]:
        lines.append(f"samples that were lost or made up between the devices: {found['slips_samples']}")
    return "\n".join(lines)
