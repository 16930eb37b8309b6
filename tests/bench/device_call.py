"""`bench devices --call`: a call on both devices, looked at every second; the fake answerer is pulsing.py."""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psutil

from rtc_client import CallConfig, EchoSettings, connect
from rtc_client.audio.frames import SAMPLE_RATE_HZ
from tests.bench import devices
from tests.bench.device_loop import (
    MICROPHONE,
    SETTLE_S,
    SPEAKER,
    Lap,
    Loop,
    TimedMicrophone,
    TimedSpeaker,
    summary,
    used,
)
from tests.devices.sound_server import SoundServer

GROWTH_MS: Final = 10.0
"""By so much a median minute of the second half may be above that of the first: machines are not equally busy.

Clocks that are 200 ppm apart make 60 ms between the two."""
ONE_PLACE: Final = 2
"""By so many samples a pulse may seem to have moved."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A call at one moment."""

    at_s: float
    rss_mb: float
    microphone_ms: float
    """What was captured and not read yet."""
    speaker_ms: float
    """What was written and not taken by the device yet."""
    jitter_ms: float
    """The delay of the jitter buffer, which is the network's."""
    xruns: int
    underruns: int


async def hold(server: SoundServer, seconds: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Hold a call by both devices with a fake answerer, another process, whose pulses come back to it by the loop.

    Return how it fared, minute by minute.
    """
    loop = Loop(TimedMicrophone(MICROPHONE), TimedSpeaker(SPEAKER))
    looks: list[Look] = []
    process = psutil.Process()
    far = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.pulsing", str(seconds),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert far.stdin is not None
    assert far.stdout is not None
    try:
        base_url = (await asyncio.wait_for(far.stdout.readline(), 30)).decode().strip()
        # What the loop brings back is no caller to fall silent for, and nothing to cancel.
        config = CallConfig(
            api_key="bench",
            base_url=base_url,
            echo=EchoSettings(mode="headphones"),
            barge_in="off",
            max_duration_s=seconds + 60,
        )
        placed = connect(config, source=loop.microphone, sink=loop.speaker)
        async with placed:
            began_s = time.monotonic()
            before = used(server)
            while time.monotonic() - began_s < seconds:
                await asyncio.sleep(1)
                loop.collect()
                records = [loop.microphone.record(), loop.speaker.record()]
                looks.append(
                    Look(
                        at_s=time.monotonic() - began_s,
                        rss_mb=process.memory_info().rss / 2**20,
                        microphone_ms=1000 * loop.microphone.level_s,
                        speaker_ms=1000 * loop.speaker.queued_samples / SAMPLE_RATE_HZ,
                        jitter_ms=1000 * placed.stats().current_delay_s,
                        xruns=sum(record.xruns for record in records),
                        underruns=sum(record.underruns for record in records),
                    )
                )
                if len(looks) % 60 == 0:
                    look = looks[-1]
                    say(f"{look.at_s:.0f} s: {look.rss_mb:.1f} MB, {look.xruns} xruns, {look.underruns} underruns")
            spent = {name: value - before[name] for name, value in used(server).items()}
        far.stdin.close()
        heard = json.loads(await asyncio.wait_for(far.stdout.read(), 30))
        await far.wait()
    finally:
        if far.returncode is None:
            far.kill()
        await far.wait()
    laps = [lap for lap in loop.laps() if lap.at_s - began_s > SETTLE_S]
    return summary(loop, laps, placed.result.devices) | {
        "seconds": round(looks[-1].at_s),
        "process_cpu_percent": round(100 * spent["process"] / spent["at"], 2),
        "pulses_written": loop.n_written,
        "pulses_heard_by_the_agent": heard["pulses"],
        "end": str(placed.result.end),
        "minutes": minutes_of(looks, laps, began_s),
    }


def minutes_of(looks: Sequence[Look], laps: Sequence[Lap], began_s: float) -> list[dict[str, Any]]:
    """Return the means of each minute, and how many xruns and underruns were told of in it."""
    rows = []
    before = (0, 0)
    for minute in range(int(looks[-1].at_s // 60) + 1):
        seen = [look for look in looks if minute <= look.at_s / 60 < minute + 1]
        passed = [lap for lap in laps if minute <= (lap.at_s - began_s) / 60 < minute + 1]
        if not seen or len(passed) < 2:
            continue
        row: dict[str, Any] = {"minute": minute, "pulses": len(passed)}
        for name in ("rss_mb", "microphone_ms", "speaker_ms", "jitter_ms"):
            row[name] = round(statistics.mean(getattr(look, name) for look in seen), 1)
        for name in ("to_encoder_ms", "to_device_ms", "device_ms"):
            row[name] = round(statistics.mean(getattr(lap, name) for lap in passed), 1)
        row["slips"] = sum(abs(lap.slip_samples) > ONE_PLACE for lap in passed)
        now = (seen[-1].xruns, seen[-1].underruns)
        row["xruns"], row["underruns"] = (new - old for new, old in zip(now, before, strict=True))
        before = now
        rows.append(row)
    return rows


def complaints_of(found: dict[str, Any]) -> list[str]:
    """Return what was promised of a call and is not so."""
    rows = found["minutes"]
    complaints = []
    for name in ("to_encoder_ms", "to_device_ms"):
        middle = len(rows) // 2
        early, late = (sorted(row[name] for row in half) for half in (rows[:middle], rows[middle:]))
        if early and late[len(late) // 2] > early[len(early) // 2] + GROWTH_MS:
            complaints.append(f"{name} grew from {early[len(early) // 2]} to {late[len(late) // 2]}")
    n_slips, n_xruns = (sum(row[name] for row in rows) for name in ("slips", "xruns"))
    if n_slips > n_xruns:
        complaints.append(f"the devices lost samples {n_slips} times and said so {n_xruns} times")
    if found["pulses_heard_by_the_agent"] < 0.95 * found["pulses_written"]:
        complaints.append("not every pulse came back to the agent")
    return complaints


def table(found: dict[str, Any]) -> str:
    """Return the figures for people, in Markdown, minute by minute below those of the whole."""
    rows = found["minutes"]
    names = list(rows[0]) if rows else []
    lines = ["| " + " | ".join(name.replace("_", " ") for name in names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(str(row[name]) for name in names) + " |" for row in rows]
    came = f"{found['pulses_written']} pulses came, {found['pulses_heard_by_the_agent']} went back to the agent"
    return "\n".join([devices.table(found), "", *lines, "", f"{came}; {found['process_cpu_percent']} % of a core"])
