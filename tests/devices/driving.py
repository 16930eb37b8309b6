"""Devices driven by the real clockwork, without a call: what they bring, what they play, what they report."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeVar

import numpy as np

from rtc_client import DeviceRecord, Microphone, PcmFrame, Speaker
from rtc_client.audio.devices.reports import DeviceReport, reporting_to
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.ticker import ticker
from rtc_client.testing.sound.measures import locate

PULSE_S: Final = 0.002
PULSE_AMPLITUDE: Final = 20_000
FAINTEST: Final = 4_000


Report = TypeVar("Report", bound=DeviceReport)


class Desk:
    """Takes what devices report."""

    def __init__(self) -> None:
        self.reports: list[DeviceReport] = []
        self._told = asyncio.Event()
        self.records: list[Callable[[], DeviceRecord]] = []

    def opened(self, record: Callable[[], DeviceRecord]) -> None:
        self.records.append(record)

    def report(self, report: DeviceReport) -> None:
        self.reports.append(report)
        self._told.set()

    def of(self, kind: type[Report]) -> list[Report]:
        """Return the reports of a kind."""
        return [report for report in self.reports if isinstance(report, kind)]

    async def until(self, kind: type[Report], n: int = 1, limit_s: float = 20.0) -> Report:
        """Return the first report of a kind, once there are `n`."""
        async with asyncio.timeout(limit_s):
            while len(found := self.of(kind)) < n:
                self._told.clear()
                await self._told.wait()
        return found[0]


class Driven:
    """A microphone and a speaker, either or both, in the clockwork."""

    def __init__(self, microphone: Microphone | None, speaker: Speaker | None, said: Samples | None) -> None:
        self.desk = Desk()
        self.microphone, self.speaker = microphone, speaker
        self._said = np.zeros(0, dtype=np.int16) if said is None else said
        self._frames: list[Samples] = []
        self.n_ticks = 0
        self._ticked = asyncio.Event()
        self.pulses: list[tuple[float, float]] = []
        """When each pulse was written, and when it was said that it would be heard."""
        self.caught: list[tuple[float, float]] = []
        """When each pulse was read, and when it was said that it had been captured."""
        self.errors: list[Exception] = []

    @property
    def samples(self) -> Samples:
        """What the microphone brought, silence where it brought nothing."""
        return np.concatenate([*self._frames, SILENCE])

    def tick(self, index: int) -> None:
        self.n_ticks += 1
        self._ticked.set()
        if self.speaker is not None:
            self._write(self.speaker, index)
        if self.microphone is not None:
            self._read(self.microphone)

    def _write(self, speaker: Speaker, index: int) -> None:
        start = index * FRAME_SAMPLES
        piece = self._said[start : start + FRAME_SAMPLES]
        frame = np.pad(piece, (0, FRAME_SAMPLES - len(piece)))
        speaker.write(PcmFrame(frame, start))
        first = _first_loud(frame)
        if first is not None and speaker.heard_s is not None:
            self.pulses.append((time.monotonic(), speaker.heard_s + first / SAMPLE_RATE_HZ))

    def _read(self, microphone: Microphone) -> None:
        frame = microphone.read()
        self._frames.append(SILENCE if frame is None else frame)
        first = None if frame is None else _first_loud(frame)
        now_s = time.monotonic()
        is_rest = bool(self.caught) and now_s - self.caught[-1][0] < 0.05
        if first is not None and microphone.captured_s is not None and not is_rest:
            self.caught.append((now_s, microphone.captured_s + first / SAMPLE_RATE_HZ))

    async def reach(self, n_ticks: int) -> None:
        """Return once so many ticks have been."""
        async with asyncio.timeout(n_ticks * 0.02 + 10):
            while self.n_ticks < n_ticks:
                self._ticked.clear()
                await self._ticked.wait()


@asynccontextmanager
async def driven(
    microphone: Microphone | None = None, speaker: Speaker | None = None, said: Samples | None = None
) -> AsyncIterator[Driven]:
    """Open devices and let them tick while the block runs; `said` goes to the speaker from the first tick on."""
    both = Driven(microphone, speaker, said)
    devices = [device for device in (speaker, microphone) if device is not None]
    ticket = None
    try:
        with reporting_to(both.desk):
            for device in devices:
                await device.open()
        ticket = ticker().add(both.tick, on_error=both.errors.append)
        yield both
    finally:
        if ticket is not None:
            ticket.remove()
        for device in devices:
            await device.aclose()
    assert both.errors == []


def pulses(n: int, every_s: float, first_s: float = 1.0) -> Samples:
    """Return silence with short pulses in it, at odd places within their frames."""
    said = np.zeros(round((first_s + n * every_s + 0.5) * SAMPLE_RATE_HZ), dtype=np.int16)
    for k in range(n):
        start = round((first_s + k * every_s) * SAMPLE_RATE_HZ) + (k * 97) % (FRAME_SAMPLES - 60)
        said[start : start + round(PULSE_S * SAMPLE_RATE_HZ)] = PULSE_AMPLITUDE
    return said


def _first_loud(frame: Samples) -> int | None:
    loud = np.flatnonzero(np.abs(frame) > FAINTEST)
    return int(loud[0]) if len(loud) else None


def likenesses(said: Samples, heard: Samples, at_s: float, piece_s: float = 0.1) -> list[float]:
    """Return how alike each loud piece of `said` is to what was heard within 0.2 s of its place; it began at `at_s`.

    1 is for the same. The pieces are short, for a device's clock is made up for by up to half a percent, which a
    correlation over whole words feels, and no ear does.
    """
    n, reach = round(piece_s * SAMPLE_RATE_HZ), SAMPLE_RATE_HZ // 5
    begin = round(at_s * SAMPLE_RATE_HZ)
    padded = np.pad(heard.astype(np.float64), (reach, reach + len(said)))
    pieces = said[: len(said) // n * n].reshape(-1, n).astype(np.float64)
    loudest = float((pieces**2).sum(axis=1).max())
    found = []
    for index, piece in enumerate(pieces):
        if float(piece @ piece) < 0.05 * loudest:
            continue
        around = padded[begin + index * n : begin + (index + 1) * n + 2 * reach]
        energy = np.convolve(around**2, np.ones(n), "valid")
        alike = np.correlate(around, piece, "valid") / np.sqrt(np.maximum(energy, 1.0) * float(piece @ piece))
        found.append(float(alike.max()))
    return found


def assert_arrived(said: Samples, heard: Samples) -> None:
    """Assert that two thirds of what was said came through devices; a busy machine may lose some of it on the way."""
    alike = likenesses(said, heard, locate(said, heard).at_ms / 1000)
    assert sum(one >= 0.8 for one in alike) >= len(alike) * 2 / 3, [round(one, 2) for one in alike]
