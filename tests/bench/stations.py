"""When a marked sound passes a place: blocks of samples and their times go in, passages of pulses come out. Pure.

A place is where blocks are handed over: a sink that gets frames, the callback of a device. Whoever hands over only
notes; looking for pulses in what was noted is done later, by somebody else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples

PULSE_S: Final = 0.016
_LOW_HZ: Final = 600.0
_HIGH_HZ: Final = 3_000.0
AMPLITUDE: Final = 16_000.0
_FAINTEST: Final = 1_000
_ALIKE: Final = 0.8
"""Speech codecs leave a pulse at 0.95 and more; half a pulse is below 0.75."""


@cache
def pulse(rate_hz: int) -> NDArray[np.float64]:
    """Return the mark: a short sweep that fades in and out, float64, of `PULSE_S` at `rate_hz`."""
    at_s = np.arange(round(PULSE_S * rate_hz)) / rate_hz
    phase = 2 * np.pi * (_LOW_HZ * at_s + (_HIGH_HZ - _LOW_HZ) / (2 * PULSE_S) * at_s**2)
    swept: NDArray[np.float64] = AMPLITUDE * np.sin(phase) * np.sin(np.pi * at_s / PULSE_S) ** 2
    return swept


def pulses(seconds: float, every_s: float) -> Samples:
    """Return silence with a pulse in it every so often, at another place within its frame each time."""
    said = np.zeros(round(seconds * SAMPLE_RATE_HZ), dtype=np.int16)
    mark = np.rint(pulse(SAMPLE_RATE_HZ)).astype(np.int16)
    for k in range(round(seconds / every_s)):
        start = round(k * every_s * SAMPLE_RATE_HZ) // FRAME_SAMPLES * FRAME_SAMPLES + k * 97 % FRAME_SAMPLES
        if start + len(mark) <= len(said):
            said[start : start + len(mark)] = mark
    return said


class _Block(NamedTuple):
    first: int
    at_s: float
    samples: Samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One pulse at one place."""

    at_s: float
    """When the block was handed over in which the pulse begins, monotonic seconds."""
    offset_s: float
    """How far behind the first sample of the block it begins."""
    block_s: float
    """How long the block is."""
    position: int
    """The sample at which it begins, of all that were handed over."""
    epoch: int
    """How often the place began anew before."""

    @property
    def due_s(self) -> float:
        """When its first sample is needed by whom the block was handed, if they hold nothing themselves."""
        return self.at_s + self.offset_s

    @property
    def captured_s(self) -> float:
        """When its first sample came to who handed the block over, if they hold nothing but the block."""
        return self.at_s - self.block_s + self.offset_s


class Station:
    """A place that pulses pass. `note` may be called in another thread than everything else."""

    def __init__(self, rate_hz: int) -> None:
        self.rate_hz = rate_hz
        self.n_samples = 0
        self.epoch = 0
        self._noted: deque[_Block | None] = deque()
        self._quiet: _Block | None = None
        self._hold = 0
        self._run: list[_Block] = []

    def begin_again(self) -> None:
        """Take note that what comes next does not follow on what was: the device was opened anew."""
        if self._hold > 0:
            self._noted.append(None)
        self.n_samples, self.epoch, self._quiet, self._hold = 0, self.epoch + 1, None, 0

    def note(self, samples: Samples, at_s: float) -> None:
        """Take note of a block, int16 of shape `(n,)`, handed over at `at_s`, monotonic seconds."""
        block = _Block(self.n_samples, at_s, samples)
        self.n_samples += len(samples)
        if len(samples) and max(int(samples.max()), -int(samples.min())) > _FAINTEST:
            if self._hold <= 0 and self._quiet is not None:
                self._noted.append(self._quiet)
            self._hold = round(2 * PULSE_S * self.rate_hz)
        if self._hold > 0:
            self._noted.append(_Block(block.first, at_s, samples.copy()))
            self._hold -= len(samples)
            if self._hold <= 0:
                self._noted.append(None)
            self._quiet = None
        else:
            self._quiet = _Block(block.first, at_s, samples.copy())

    def passages(self) -> list[Passage]:
        """Return the pulses that have passed since it was asked last."""
        found = []
        while self._noted:
            block = self._noted.popleft()
            if block is not None:
                self._run.append(block)
                continue
            run, self._run = self._run, []
            if (one := self._passage(run)) is not None:
                found.append(one)
        return found

    def _passage(self, run: Sequence[_Block]) -> Passage | None:
        sound = np.concatenate([block.samples for block in run]).astype(np.float64)
        mark = pulse(self.rate_hz)
        if len(sound) < len(mark):
            return None
        product = np.correlate(sound, mark, "valid")
        energy = np.convolve(sound**2, np.ones(len(mark)), "valid")
        alike = product / np.sqrt(np.maximum(energy, 1.0) * float(mark @ mark))
        # A mark that is whole is loud as well: an edge of it may be as alike, but is faint.
        best = int(np.argmax(product))
        if alike[best] < _ALIKE:
            return None
        position = run[0].first + best
        block = next(one for one in reversed(run) if one.first <= position)
        return Passage(
            at_s=block.at_s,
            offset_s=(position - block.first) / self.rate_hz,
            block_s=len(block.samples) / self.rate_hz,
            position=position,
            epoch=self.epoch,
        )


def followed(starts: Iterable[Passage], *others: Sequence[Passage], within_s: float = 0.4) -> list[list[Passage]]:
    """Return each pulse at all places in turn: those that passed all of them, each `within_s` of the place before."""
    whole = []
    for start in starts:
        path = [start]
        for place in others:
            last_s = path[-1].at_s
            later = [one for one in place if 0 <= one.at_s - last_s < within_s]
            if not later:
                break
            path.append(later[0])
        else:
            whole.append(path)
    return whole
