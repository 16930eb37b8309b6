"""A microphone and a speaker whose every block and frame is noted, and what pulses that go round them tell.

    written ──▶ Speaker ──▶ taken ──▶ PortAudio, sound server, PortAudio ──▶ brought ──▶ Microphone ──▶ read

What lies between `taken` and `brought` is the devices' own, the rest is ours. All places are on one clock. A block
counts as handed over sample by sample: what a device asks for at once, or brings at once, is ours, for we choose how
long a block is.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import psutil
from numpy.typing import NDArray

from rtc_client import DeviceRecord, Microphone, PcmFrame, Speaker
from rtc_client.audio.devices.portaudio import StreamCallback
from rtc_client.audio.frames import FRAME_S, SAMPLE_RATE_HZ, Samples
from tests.bench.stations import Passage, Station, followed
from tests.devices.sound_server import SoundServer

SETTLE_S: Final = 3.0
"""What is learnt at the beginning is no delay of later."""
GOAL_MS: Final = 30.0
MICROPHONE: Final = "desk_microphone"
SPEAKER: Final = "loop_speaker"


class TimedMicrophone(Microphone):
    """A microphone whose blocks and frames are noted."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.brought = Station(0)
        self.read_out = Station(SAMPLE_RATE_HZ)
        self.callback_us = array("f")

    def read(self) -> Samples | None:
        frame = super().read()
        if frame is not None:
            self.read_out.note(frame, time.monotonic())
        return frame

    def _prepare(self, rate_hz: int, channels: int) -> StreamCallback:
        take, station, costs = super()._prepare(rate_hz, channels), self.brought, self.callback_us
        station.rate_hz = rate_hz
        station.begin_again()

        def timed(block: NDArray[np.int16], age_s: float, now_s: float) -> None:
            began_ns = time.thread_time_ns()
            take(block, age_s, now_s)
            costs.append((time.thread_time_ns() - began_ns) / 1000)
            station.note(block[:, 0], now_s)

        return timed


class TimedSpeaker(Speaker):
    """A speaker whose frames and blocks are noted."""

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self.written = Station(SAMPLE_RATE_HZ)
        self.taken = Station(0)
        self.callback_us = array("f")

    def write(self, frame: PcmFrame) -> None:
        self.written.note(frame.samples, time.monotonic())
        super().write(frame)

    def _prepare(self, rate_hz: int, channels: int) -> StreamCallback:
        fill, station, costs = super()._prepare(rate_hz, channels), self.taken, self.callback_us
        station.rate_hz = rate_hz
        station.begin_again()

        def timed(block: NDArray[np.int16], lead_s: float, now_s: float) -> None:
            began_ns = time.thread_time_ns()
            fill(block, lead_s, now_s)
            costs.append((time.thread_time_ns() - began_ns) / 1000)
            station.note(block[:, 0], now_s)

        return timed


@dataclass(frozen=True, slots=True, kw_only=True)
class Lap:
    """One pulse all the way round, each part in milliseconds."""

    at_s: float
    to_device_ms: float
    """From the frame's first sample being written to its being due at the device: added by us."""
    device_ms: float
    """From being due at the device to being captured by it: the two devices' own, and the room between them."""
    to_encoder_ms: float
    """From the frame's first sample being captured to the frame being read: added by us, 20 ms of it the frame."""
    slip_samples: int
    """By how many samples of the device it came later, on the way between both devices, than the pulse before."""


def laps_of(paths: Iterable[Sequence[Passage]]) -> list[Lap]:
    """Return a lap for each pulse that passed `written`, `taken`, `brought` and `read_out`."""
    laps: list[Lap] = []
    last: int | None = None
    last_epochs: tuple[int, int] | None = None
    for written, taken, brought, read in paths:
        gap, epochs = brought.position - taken.position, (taken.epoch, brought.epoch)
        slip = gap - last if last is not None and epochs == last_epochs else 0
        last, last_epochs = gap, epochs
        laps.append(
            Lap(
                at_s=written.at_s,
                to_device_ms=1000 * (taken.due_s - written.due_s),
                device_ms=1000 * (brought.captured_s - taken.due_s),
                to_encoder_ms=1000 * (read.at_s - (brought.captured_s - read.offset_s)),
                slip_samples=slip,
            )
        )
    return laps


@dataclass(slots=True)
class Loop:
    """Both devices, and the pulses that went round."""

    microphone: TimedMicrophone
    speaker: TimedSpeaker
    _passages: tuple[list[Passage], ...] = field(default_factory=lambda: ([], [], [], []))

    def collect(self) -> None:
        """Take in what passed; now and then, so that little is kept."""
        places = (self.speaker.written, self.speaker.taken, self.microphone.brought, self.microphone.read_out)
        for station, passages in zip(places, self._passages, strict=True):
            passages.extend(station.passages())

    def laps(self) -> list[Lap]:
        """Return the laps of all pulses that came round."""
        written, *others = self._passages
        return laps_of(followed(written, *others))

    @property
    def n_written(self) -> int:
        """How many pulses set out."""
        return len(self._passages[0])


def spread_ms(values: Sequence[float]) -> dict[str, float]:
    """Return the median, the 95th percentile and the highest."""
    if not values:
        return {}
    in_order = sorted(values)
    picked = {
        "median": statistics.median(in_order),
        "p95": in_order[min(len(in_order) - 1, round(0.95 * len(in_order)))],
        "max": in_order[-1],
    }
    return {name: round(value, 2) for name, value in picked.items()}


def summary(loop: Loop, laps: Sequence[Lap], records: Sequence[DeviceRecord]) -> dict[str, Any]:
    """Return the figures of a loop."""
    return {
        "pulses": len(laps),
        "frame_ms": 1000 * FRAME_S,
        "goal_ms": GOAL_MS,
        "capture_to_encoder_ms": spread_ms([lap.to_encoder_ms for lap in laps]),
        "frame_to_device_ms": spread_ms([lap.to_device_ms for lap in laps]),
        "devices_own_ms": spread_ms([lap.device_ms for lap in laps]),
        "devices_own_as_they_say_ms": round(1000 * sum(record.device_latency_s for record in records), 1),
        "callback_us": {
            "microphone": spread_ms(loop.microphone.callback_us),
            "speaker": spread_ms(loop.speaker.callback_us),
        },
        "slips_samples": [lap.slip_samples for lap in laps if lap.slip_samples],
        "devices": [_told(record) for record in records],
    }


def _told(record: DeviceRecord) -> dict[str, Any]:
    names = ("role", "sample_rate_hz", "device_latency_s", "xruns", "underruns", "overflows", "skipped_s", "drift_ppm")
    return {name: getattr(record, name) for name in names}


@contextmanager
def sound_server() -> Iterator[SoundServer]:
    """Run a private sound server, which PortAudio finds in this process from now on.

    Raises:
        NoSoundServer: It cannot be had here.
    """
    with tempfile.TemporaryDirectory(prefix="bench-devices-") as folder:
        server = SoundServer(Path(folder))
        try:
            os.environ.update(server.environment)
            yield server
        finally:
            server.stop()


def used(server: SoundServer) -> dict[str, float]:
    """Return the processor time so far of this thread, the whole process, and the sound server; and the time."""
    times = psutil.Process(server.pid).cpu_times()
    return {
        "tick": time.thread_time(),
        "process": time.process_time(),
        "server": times.user + times.system,
        "at": time.monotonic(),
    }
