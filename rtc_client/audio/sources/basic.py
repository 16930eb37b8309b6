"""Sources that need no task: silence, a tone, an array, samples that a program pushes."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import FULL_SCALE, to_mono_int16
from rtc_client.audio.resample import Resampler, resample
from rtc_client.audio.sample_buffer import SampleBuffer
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.read_ahead import FileSource, IteratorSource
from rtc_client.errors import ConfigError

__all__ = [
    "ArraySource",
    "FileSource",
    "IteratorSource",
    "PushSource",
    "SilenceSource",
    "Source",
    "ToneSource",
]


LOUDEST_TONE_DBFS: Final = -3.1
"""A sine cannot be louder without clipping; its peak is 3.01 dB above its level."""


class SilenceSource:
    """Says nothing, endlessly; any number of calls may share one."""

    ended: Final = False

    async def open(self) -> None: ...

    def read(self) -> Samples:
        return SILENCE

    async def aclose(self) -> None: ...


class ToneSource(SingleUse):
    """A sine of `frequency_hz` at `level_dbfs` (RMS), endless unless `duration_s` is given. Its phase never jumps.

    Raises:
        ConfigError: If the frequency is not between 0 and half the sample rate, the level would clip, or the
            duration is not positive.
    """

    def __init__(self, frequency_hz: float, level_dbfs: float = -20.0, duration_s: float | None = None) -> None:
        super().__init__()
        if not 0 < frequency_hz < SAMPLE_RATE_HZ / 2:
            raise ConfigError(
                f"a tone of {frequency_hz:g} Hz cannot be played: choose more than 0 and less than "
                f"{SAMPLE_RATE_HZ // 2} Hz"
            )
        if not level_dbfs <= LOUDEST_TONE_DBFS:
            raise ConfigError(f"a tone at {level_dbfs:g} dBFS would clip: choose {LOUDEST_TONE_DBFS} dBFS or less")
        if duration_s is not None and not 0 < duration_s < math.inf:
            raise ConfigError(f"a tone cannot last {duration_s:g} s: give a positive number, or None for no end")
        self._cycles_per_sample = frequency_hz / SAMPLE_RATE_HZ
        self._amplitude = FULL_SCALE * math.sqrt(2) * 10 ** (level_dbfs / 20)
        self._phase_cycles = 0.0
        self._left_samples = None if duration_s is None else round(duration_s * SAMPLE_RATE_HZ)
        self.padding_samples = 0
        """With how much silence the last frame was filled up; 0 before it was read."""

    def read(self) -> Samples | None:
        if self.ended:
            return None
        cycles = self._phase_cycles + self._cycles_per_sample * np.arange(FRAME_SAMPLES)
        self._phase_cycles = (self._phase_cycles + self._cycles_per_sample * FRAME_SAMPLES) % 1.0
        frame: Samples = np.rint(self._amplitude * np.sin(2 * np.pi * cycles)).astype(np.int16)
        if self._left_samples is not None:
            frame[self._left_samples :] = 0
            self.padding_samples = max(0, FRAME_SAMPLES - self._left_samples)
            self._left_samples = max(0, self._left_samples - FRAME_SAMPLES)
        return frame

    @property
    def ended(self) -> bool:
        return self._left_samples == 0


class ArraySource(SingleUse):
    """Speaks `samples`, an array as `to_mono_int16` takes it, of any sample rate; it is copied.

    Raises:
        ConfigError: If the array or the rate is not understood.
    """

    def __init__(self, samples: NDArray[Any], sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
        super().__init__()
        Resampler(sample_rate_hz)  # refuses a rate that is none, here rather than while the call is set up
        self._sample_rate_hz = sample_rate_hz
        self._samples = to_mono_int16(samples).copy()
        self._buffer = SampleBuffer()
        self._is_ready = False

    def read(self) -> Samples | None:
        return self._buffer.take_frame(pad=True)

    @property
    def ended(self) -> bool:
        return self._is_ready and len(self._buffer) == 0

    @property
    def padding_samples(self) -> int:
        """With how much silence the last frame was filled up; 0 before it was read."""
        return self._buffer.padding_samples

    async def _open(self) -> None:
        samples = self._samples
        if self._sample_rate_hz != SAMPLE_RATE_HZ:
            samples = await asyncio.to_thread(resample, samples, self._sample_rate_hz)
        self._buffer.append(samples)
        self._is_ready = True

    async def _close(self) -> None:
        self._buffer.clear()
        self._is_ready = True


class PushSource(SingleUse):
    """Speaks what is pushed into it, for programs that have their own idea of when there is sound.

    Holds up to `capacity_s`; beyond that the oldest samples are dropped, because late sound is worthless, and counted
    in `dropped_samples`. `push` and `finish` may be called from any thread and before `open`; they never wait.

    Raises:
        ConfigError: If the capacity is not positive or the rate is not understood.
    """

    def __init__(self, capacity_s: float = 5.0, sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
        super().__init__()
        if not FRAME_SAMPLES <= capacity_s * SAMPLE_RATE_HZ < math.inf:
            raise ConfigError(f"a capacity of {capacity_s:g} s does not hold one frame of {FRAME_S:g} s")
        self._capacity_samples = round(capacity_s * SAMPLE_RATE_HZ)
        self._resampler = Resampler(sample_rate_hz)
        self._lock = threading.Lock()
        self._buffer = SampleBuffer()
        self._is_finished = False
        self.dropped_samples = 0
        """Samples, at `SAMPLE_RATE_HZ`, that were pushed and will never be heard."""

    def push(self, samples: NDArray[Any]) -> int:
        """Add samples, as `to_mono_int16` takes them (none is allowed too); return how many had to be dropped for them.

        They are copied. After `aclose` everything is dropped; a call may end while another thread is pushing.

        Raises:
            ConfigError: If the array is not understood.
            ValueError: After `finish`.
        """
        mono = to_mono_int16(samples).copy() if getattr(samples, "size", None) != 0 else SILENCE[:0]
        with self._lock:
            if self._is_finished and self._closing is None:
                raise ValueError("push() after finish()")
            return self._add(self._resampler.push(mono))

    def finish(self) -> None:
        """Say that nothing will be pushed any more: the source ends when all of it has been read."""
        with self._lock:
            if not self._is_finished:
                self._is_finished = True
                self._add(self._resampler.flush())

    def read(self) -> Samples | None:
        with self._lock:
            return self._buffer.take_frame(pad=self._is_finished)

    @property
    def ended(self) -> bool:
        with self._lock:
            return self._is_finished and len(self._buffer) == 0

    @property
    def padding_samples(self) -> int:
        """With how much silence the last frame was filled up; 0 before it was read."""
        with self._lock:
            return self._buffer.padding_samples

    async def _close(self) -> None:
        with self._lock:
            self._is_finished = True
            self.dropped_samples += self._buffer.drop_oldest(len(self._buffer))

    def _add(self, samples: Samples) -> int:
        self._buffer.append(samples)
        room_samples = self._capacity_samples if self._closing is None else 0
        n_dropped = self._buffer.drop_oldest(len(self._buffer) - room_samples)
        self.dropped_samples += n_dropped
        return n_dropped
