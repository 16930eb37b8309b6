"""ReopeningDevice: opens a device, watches it, and opens it again after it was lost.

A device that cannot be found is an error before the call. One that is busy, stops, or is pulled out in its midst does
not end it: it is reported, there is silence, and it is opened again after growing waits.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import ClassVar, Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.devices.portaudio import (
    FIND_LIMIT_S,
    LATENCY_S,
    DeviceStream,
    StreamCallback,
    find_device,
    in_thread,
    look_again,
    open_stream,
)
from rtc_client.audio.devices.reports import (
    DeviceGlitched,
    DeviceLost,
    DeviceRecord,
    DeviceReport,
    DeviceRestored,
    DeviceRole,
    Reporter,
    current_reporter,
)
from rtc_client.audio.devices.ring_buffer import RingCounts
from rtc_client.audio.devices.selection import AudioDevice, DeviceUnavailable, Direction, channels_of
from rtc_client.audio.lifecycle import SingleUse, cancel_and_wait
from rtc_client.clock import MonotonicClock
from rtc_client.errors import ConfigError

WATCH_S: Final = 0.1
"""Interval between checks whether the device still works, seconds."""
GLITCH_S: Final = 1.0
"""Shortest interval between reports of glitches, seconds."""
SILENT_S: Final = 1.0
"""A device that has not called back for so long is lost."""
FIRST_SILENT_S: Final = 5.0
"""The same at first: a sound server may take its time to wake a device up, and calls back a few times before."""
AWAKE_BLOCKS: Final = 20
XRUNS_A_SECOND: Final = 10
"""A device that loses samples more often is asked to hold more: opening it again is a click as well."""
MAX_LATENCY_S: Final = 0.12
FIRST_RETRY_S: Final = 0.5
MAX_RETRY_S: Final = 8.0


class ReopeningDevice(SingleUse, ABC):
    """One device of a call; subclasses say what is done with its samples."""

    role: ClassVar[DeviceRole]
    _direction: ClassVar[Direction]

    def __init__(self, device: int | str | None) -> None:
        super().__init__()
        self._wanted = device
        self._counts = RingCounts()
        self._now_s: Callable[[], float] = MonotonicClock().now_s
        self._reporter: Reporter | None = None
        self._device: AudioDevice | None = None
        self._stream: DeviceStream | None = None
        self._watcher: asyncio.Task[None] | None = None
        self._latency_s = LATENCY_S
        self._device_latency_s = 0.0
        # Changed by the thread of the device: when it called back last, and how often it did.
        self._heard_of_s = 0.0
        self._n_blocks = 0
        self._lost_s: float | None = None
        self._silent_s = 0.0
        self._losses = 0
        self._xruns_before = 0
        self._told = (0, 0)
        self._told_s = 0.0

    @property
    def _known(self) -> AudioDevice:
        if self._device is None:
            raise ValueError(f"the {self.role} was not opened")
        return self._device

    @property
    def device(self) -> AudioDevice | None:
        """The device that was found; None before `open`."""
        return self._device

    def record(self) -> DeviceRecord:
        """Return how it fared so far. Only once it was opened."""
        gone_s = 0.0 if self._lost_s is None else self._now_s() - self._lost_s
        return DeviceRecord(
            role=self.role,
            name=self._known.name,
            sample_rate_hz=self._known.sample_rate_hz,
            channels=channels_of(self._known, self._direction),
            device_latency_s=round(self._device_latency_s, 4),
            xruns=self._xruns,
            losses=self._losses,
            silent_s=round(self._silent_s + gone_s, 3),
            underruns=self._counts.underruns,
            overflows=self._counts.overflows,
            skipped_s=round(self._counts.skipped_s, 3),
            drift_ppm=round(1e6 * self._drift, 1),
        )

    @abstractmethod
    def _prepare(self, rate_hz: int, channels: int) -> StreamCallback:
        """Be ready for a new stream, and return what its callbacks go to; there is no other stream."""

    @abstractmethod
    def _lost(self) -> None:
        """Take note that there is no stream any more."""

    @property
    @abstractmethod
    def _drift(self) -> float:
        """By how much the clock of the device is faster than ours, as learnt so far."""

    @property
    def _xruns(self) -> int:
        return self._xruns_before + (0 if self._stream is None else self._stream.n_xruns)

    async def _open(self) -> None:
        self._reporter = current_reporter()
        find = partial(find_device, self._direction, self._wanted)
        try:
            self._device = await in_thread(find, f"{self.role}-find", limit_s=FIND_LIMIT_S)
        except DeviceUnavailable as error:
            raise ConfigError(f"no {self.role} can be looked for: {error}; restart its sound server") from error
        try:
            await self._start(self._device)
        except DeviceUnavailable as error:
            self._lose(error, FIRST_RETRY_S)
        if self._reporter is not None:
            self._reporter.opened(self.record)
        if self._closing is None:
            self._watcher = asyncio.create_task(self._watch(), name=f"{self.role}-watch")

    async def _close(self) -> None:
        if self._watcher is not None:
            await cancel_and_wait(self._watcher)
        if self._lost_s is not None:
            self._silent_s += self._now_s() - self._lost_s
            self._lost_s = None
        await self._stop()

    async def _start(self, device: AudioDevice) -> None:
        take = self._prepare(device.sample_rate_hz, channels_of(device, self._direction))

        def called_back(block: NDArray[np.int16], distance_s: float, now_s: float) -> None:
            self._heard_of_s = now_s
            self._n_blocks += 1
            take(block, distance_s, now_s)

        self._heard_of_s, self._n_blocks = self._now_s(), 0
        self._stream = await in_thread(
            lambda: open_stream(device, self._direction, called_back, self._latency_s),
            f"{self.role}-open",
            undo=DeviceStream.close,
        )
        self._device_latency_s = self._stream.latency_s

    async def _stop(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._xruns_before += stream.n_xruns
            with suppress(DeviceUnavailable):  # it is left to itself
                await in_thread(stream.close, f"{self.role}-close")

    async def _watch(self) -> None:
        """Look after the device until it is cancelled."""
        while True:
            await asyncio.sleep(WATCH_S)
            if self._lost_s is None and not self._is_gone():
                if self._tell_glitches() > XRUNS_A_SECOND and self._latency_s < MAX_LATENCY_S:
                    await self._relax()
                continue
            if self._lost_s is None:
                self._lose(None, FIRST_RETRY_S)
                await self._stop()
                self._lost()
            await self._try_again()

    def _is_gone(self) -> bool:
        if self._stream is None or self._stream.is_over:
            return True
        limit_s = SILENT_S if self._n_blocks >= AWAKE_BLOCKS else FIRST_SILENT_S
        return self._now_s() - self._heard_of_s > limit_s

    async def _relax(self) -> None:
        """Open the device again and let it hold twice as much."""
        self._latency_s *= 2
        await self._stop()
        with suppress(DeviceUnavailable):  # then it is gone, which is noticed at the next look
            await self._start(self._known)

    async def _try_again(self) -> None:
        wait_s = FIRST_RETRY_S
        while True:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, MAX_RETRY_S)
            try:
                self._device = await in_thread(self._found_again, f"{self.role}-find")
                await self._start(self._device)
            except (DeviceUnavailable, ConfigError):
                continue
            break
        lost_s, self._lost_s = self._lost_s or self._now_s(), None
        silent_s = self._now_s() - lost_s
        self._silent_s += silent_s
        self._tell(DeviceRestored(role=self.role, name=self._known.name, silent_s=round(silent_s, 3)))

    def _found_again(self) -> AudioDevice:
        look_again()
        wanted = self._wanted
        # PortAudio gives out new indices when a device comes or goes.
        return find_device(self._direction, self._known.name if isinstance(wanted, int) else wanted)

    def _lose(self, error: DeviceUnavailable | None, retry_s: float) -> None:
        self._lost_s = self._now_s()
        self._losses += 1
        what = "stopped" if error is None else "is busy" if error.is_busy else "cannot be opened"
        self._tell(
            DeviceLost(
                role=self.role,
                name=self._known.name,
                is_busy=error is not None and error.is_busy,
                message=f"the {self.role} {self._known.name} {what}",
                retry_s=retry_s,
            )
        )

    def _tell_glitches(self) -> int:
        """Tell of new ones, once a second; return how many xruns were reported."""
        now = (self._xruns, self._counts.underruns)
        if now == self._told or self._now_s() - self._told_s < GLITCH_S:
            return 0
        more = [new - old for new, old in zip(now, self._told, strict=True)]
        self._told, self._told_s = now, self._now_s()
        self._tell(DeviceGlitched(role=self.role, name=self._known.name, xruns=more[0], underruns=more[1]))
        return more[0]

    def _tell(self, report: DeviceReport) -> None:
        if self._reporter is not None:
            self._reporter.report(report)
