"""How much of the agent the caller's microphone lets through, and what it does to the caller: modes in synthetic rooms.

Everything is computed, nothing is played: the agent's speech through a room (tests/audio/room.py), the caller over it,
the same control as in a call.
"""

from __future__ import annotations

import importlib.util
import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.echo import canceller as aec
from rtc_client.audio.echo.config import EchoSettings
from rtc_client.audio.echo.control import EchoControl
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import level_dbfs
from tests.audio.room import Room, Signal, agent_speech, caller_speech, captured, frames
from tests.bench import speech

MODES: Final = {
    "headphones": EchoSettings(mode="headphones"),
    "half-duplex": EchoSettings(mode="half-duplex"),
    "aec": EchoSettings(mode="aec", noise_suppression=False),
    "aec, noise suppression": EchoSettings(mode="aec"),
    "aec, both switches": EchoSettings(mode="aec", gain_control=True),
}
ROOMS: Final = (
    Room(level_db=-6, delay_s=0.04),
    Room(level_db=-12, delay_s=0.04),
    Room(level_db=-12, delay_s=0.2),
    Room(level_db=-12, delay_s=0.4),
    Room(level_db=-12, delay_s=0.1, rt60_s=0.6),
    Room(level_db=-20, delay_s=0.1),
)
SETTLED_S: Final = 3.0
"""What comes before is not counted: a canceller has to learn the room first."""
HEARD_DBFS: Final = -60.0
_CALLER_DBFS: Final = -26.0
_MARGIN_FRAMES: Final = 15
_STEP: Final = SAMPLE_RATE_HZ // 200
_MAX_LAG: Final = SAMPLE_RATE_HZ // 25


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One mode in one room."""

    mode: str
    level_db: float
    """Of the echo, relative to what is played."""
    delay_ms: int
    rt60_s: float
    return_loss_db: float
    """By how much the agent is weaker behind the control, where only the agent speaks."""
    left_dbfs: float
    """What is left of the agent there."""
    stoi_before: float
    """How well the caller can be understood where both speak, as captured; NaN where pystoi is not installed."""
    stoi: float
    """The same behind the control."""
    likeness_before: float
    """How well the loudness of what is captured follows that of the caller where both speak: 1 for the same."""
    likeness: float
    """The same behind the control."""
    through_percent: float
    """Of the frames in which both speak, those whose level is at most 6 dB below that of the caller."""
    is_warned: bool
    """Whether it was told that the agent hears itself."""
    cost_us: float
    """Median for 20 ms."""


def measure(seconds: float, *, recorded: bool, say: Callable[[str], None]) -> list[Row]:
    """Return a row for each mode in each room; `recorded` lets a recorded reader be the caller."""
    played = agent_speech(seconds)
    said = _turns(seconds, recorded=recorded)
    rows = []
    for room in ROOMS:
        for name, settings in MODES.items():
            if settings.mode == "aec" and not aec.is_installed():
                continue
            say(f"{name}, echo {room.level_db:g} dB, {room.delay_s * 1000:.0f} ms late")
            rows.append(_row(name, settings, room, played, said))
    return rows


def _turns(seconds: float, *, recorded: bool) -> Samples:
    """Return the caller: speaking over the agent, then silent for 2 s, and so on."""
    if not recorded:
        return caller_speech(seconds, level_db=_CALLER_DBFS, pause_s=2.0)
    parts = [part for one in speech.utterances() for part in (one, np.zeros(2 * SAMPLE_RATE_HZ, dtype=np.int16))]
    whole = np.concatenate(parts).astype(np.float64)
    whole = np.resize(whole, round(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES * FRAME_SAMPLES)
    return captured(whole * 10 ** ((_CALLER_DBFS - level_dbfs(speech.utterances()[0])) / 20))


def _row(name: str, settings: EchoSettings, room: Room, played: Samples, said: Samples) -> Row:
    echo = room.echo_of(played)
    near = captured(echo, said, room.noise(len(played)))
    control = EchoControl(settings)
    out, costs_us, is_warned = [], [], False
    for pair in zip(frames(near), frames(played), strict=True):
        began = time.perf_counter()
        out.append(control.process(*pair))
        is_warned |= control.poll() is not None
        costs_us.append((time.perf_counter() - began) * 1e6)
    passed = np.concatenate(out)
    alone, both = _who_speaks(echo, said)
    later = _lag(passed, said)
    before, after = _heard(said, near, both, 0), _heard(said, passed, both, later)
    return Row(
        mode=name,
        level_db=room.level_db,
        delay_ms=round(room.delay_s * 1000),
        rt60_s=room.rt60_s,
        return_loss_db=round(level_dbfs(near[alone]) - level_dbfs(passed[alone]), 1),
        left_dbfs=round(level_dbfs(passed[alone]), 1),
        stoi_before=_stoi(*before),
        stoi=_stoi(*after),
        likeness_before=_likeness(*before),
        likeness=_likeness(*after),
        through_percent=_through_percent(*after),
        is_warned=is_warned,
        cost_us=round(statistics.median(costs_us), 1),
    )


def _who_speaks(echo: Signal, said: Samples) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return, by sample, where only the agent is heard, and where both are, once everything has settled."""
    caller = np.array([level_dbfs(frame) > HEARD_DBFS for frame in frames(said)])
    agent = np.array([level_dbfs(frame) > HEARD_DBFS for frame in frames(captured(echo))])
    near_by = np.convolve(caller, np.ones(2 * _MARGIN_FRAMES + 1), "same") > 0
    settled = np.arange(len(caller)) * FRAME_SAMPLES >= SETTLED_S * SAMPLE_RATE_HZ
    alone, both = agent & ~near_by & settled, agent & caller & settled
    return np.repeat(alone, FRAME_SAMPLES), np.repeat(both, FRAME_SAMPLES)


def _lag(passed: Samples, said: Samples) -> int:
    """Return how many samples later the caller comes out."""
    n_fft = 1 << (2 * len(said) - 1).bit_length()
    spectrum = np.fft.rfft(passed.astype(np.float64), n_fft) * np.conj(np.fft.rfft(said.astype(np.float64), n_fft))
    return int(np.argmax(np.fft.irfft(spectrum)[:_MAX_LAG]))


def _heard(said: Samples, passed: Samples, where: NDArray[np.bool_], later: int) -> tuple[Signal, Signal]:
    n = len(said) - later
    return said[:n][where[:n]].astype(np.float64), passed[later:][where[:n]].astype(np.float64)


def _stoi(said: Signal, passed: Signal) -> float:
    if importlib.util.find_spec("pystoi") is None:
        return math.nan
    from pystoi import stoi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may find too little speech to be sure
        return round(float(stoi(said, passed, SAMPLE_RATE_HZ)), 3)


def _likeness(said: Signal, passed: Signal) -> float:
    first, second = (_loudness(signal, _STEP) for signal in (said, passed))
    return round(float(np.corrcoef(first, second)[0, 1]), 3)


def _through_percent(said: Signal, passed: Signal) -> float:
    first, second = (_loudness(signal, FRAME_SAMPLES) for signal in (said, passed))
    return round(100 * float(np.mean(second >= 0.5 * first)), 1)


def _loudness(signal: Signal, step: int) -> Signal:
    n = len(signal) // step
    loudness: Signal = np.sqrt(np.mean(signal[: n * step].reshape(n, step) ** 2, axis=1))
    return loudness


def as_json(rows: Iterable[Row]) -> list[dict[str, object]]:
    """Return what `--json` prints; what was not measured is null."""
    return [
        {key: None if isinstance(value, float) and math.isnan(value) else value for key, value in asdict(row).items()}
        for row in rows
    ]


def table(rows: Sequence[Row]) -> str:
    """Return a table in Markdown."""
    lines = [
        "| echo dB / ms / RT60 s | mode | return loss dB | left dBFS | STOI as captured, after | likeness as captured, "
        "after | caller let through | warned | µs per 20 ms |",
        "| " + " | ".join(["---"] * 9) + " |",
    ]
    for row in rows:
        lines.append(
            f"| {row.level_db:g}/{row.delay_ms}/{row.rt60_s:g} | {row.mode} | {row.return_loss_db:.1f} "
            f"| {row.left_dbfs:.1f} | {row.stoi_before:.2f}, {row.stoi:.2f} "
            f"| {row.likeness_before:.2f}, {row.likeness:.2f} | {row.through_percent:.0f} % "
            f"| {'yes' if row.is_warned else 'no'} | {row.cost_us:.0f} |"
        )
    return "\n".join(lines)
