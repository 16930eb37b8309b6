"""A sound card that is not there: it calls back on a clock that is off by some ppm, in bursts, a little late. Pure.

With it goes what hears whether sound that passed it is still one unbroken tone.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.devices.capture_buffer import CaptureBuffer
from rtc_client.audio.devices.playback_buffer import PlaybackBuffer
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame, Samples

TONE_HZ: Final = 1_000.0
AMPLITUDE: Final = 10_000.0
_WINDOW: Final = 4_096
_SKIRT_HZ: Final = 150.0


class Card:
    """When callbacks come, and how many samples each brings or takes."""

    def __init__(
        self, ppm: float, rate_hz: int = 48_000, block_s: float = 0.005, burst: int = 1, seed: int = 1
    ) -> None:
        self.rate_hz = rate_hz
        self.true_hz = rate_hz * (1 + ppm * 1e-6)
        self.n_block = round(block_s * rate_hz)
        self._burst = burst
        self._random = random.Random(seed)
        self._n_blocks = 0
        self._late_s = 0.0

    def until(self, now_s: float) -> Iterator[tuple[int, float, float]]:
        """Yield the first sample of each block that is due, when that one passes the device, and when it is called."""
        while True:
            n_done = self._n_blocks // self._burst * self._burst + self._burst
            due_s = n_done * self.n_block / self.true_hz
            if self._n_blocks % self._burst == 0:
                self._late_s = self._random.random() * 0.0005
            if due_s + self._late_s > now_s:
                return
            first = self._n_blocks * self.n_block
            self._n_blocks += 1
            yield first, first / self.true_hz, due_s + self._late_s


def ticks(minutes: float, seed: int = 2) -> Iterator[tuple[int, float]]:
    """Yield every tick and when it comes: on a grid of 20 ms, and now and then up to 3 ms late."""
    late = random.Random(seed)
    for index in range(round(minutes * 60 / FRAME_S)):
        yield index, 0.0137 + index * FRAME_S + (late.random() * 0.003 if late.random() < 0.1 else 0.0002)


def tone(places: NDArray[np.float64], rate_hz: float) -> Samples:
    """Return a tone at these places of a stream: int16, of their shape."""
    samples: Samples = np.rint(AMPLITUDE * np.sin(2 * np.pi * TONE_HZ * places / rate_hz)).astype(np.int16)
    return samples


class Captured:
    """What a microphone on such a card brings, and the level of the ring behind each frame."""

    def __init__(self, card: Card, minutes: float) -> None:
        self.buffer = CaptureBuffer(card.rate_hz, 1)
        frames: list[Samples] = []
        self.levels_s: list[float] = []
        self.ages_s: list[float] = []
        self.n_missing = 0
        heard = tone(np.arange(round((60 * minutes + 1) * card.rate_hz), dtype=np.float64), card.true_hz)[:, np.newaxis]
        for _, now_s in ticks(minutes):
            for first, first_s, called_s in card.until(now_s):
                self.buffer.take(heard[first : first + card.n_block], called_s - first_s, called_s)
            frame = self.buffer.read(now_s)
            if frame is None:
                self.n_missing += 1
                continue
            frames.append(frame)
            captured_s = self.buffer.captured_s
            assert captured_s is not None
            self.levels_s.append(self.buffer.level_s(now_s))
            self.ages_s.append(now_s - captured_s)
        self.samples = np.concatenate(frames)


class Played:
    """What a speaker on such a card lets be heard, and the level of the ring before each frame."""

    def __init__(self, card: Card, minutes: float) -> None:
        self.buffer = PlaybackBuffer(card.rate_hz)
        self.levels_s: list[float] = []
        self.waits_s: list[float] = []
        blocks: list[Samples] = []
        said = tone(np.arange(round(60 * minutes * SAMPLE_RATE_HZ), dtype=np.float64), SAMPLE_RATE_HZ)
        for index, now_s in ticks(minutes):
            for _, first_s, called_s in card.until(now_s):
                out = np.empty((card.n_block, 1), dtype=np.int16)
                # What it takes now is heard one burst later.
                self.buffer.fill(out, first_s + 0.02 - called_s, called_s)
                blocks.append(out[:, 0])
            start = index * FRAME_SAMPLES
            self.levels_s.append(self.buffer.level_s(now_s))
            heard_s = self.buffer.write(PcmFrame(said[start : start + FRAME_SAMPLES], start), now_s)
            if heard_s is not None:
                self.waits_s.append(heard_s - now_s)
        self.samples = np.concatenate(blocks)


def noise_db(samples: Samples, rate_hz: int) -> NDArray[np.float64]:
    """Return, for each window of 4096 samples, the power that is not of the tone, in dB of the whole: a click shows."""
    n = len(samples) // _WINDOW
    windows = samples[: n * _WINDOW].reshape(n, _WINDOW) * np.blackman(_WINDOW)
    power = np.abs(np.fft.rfft(windows, axis=1)) ** 2
    hz = np.fft.rfftfreq(_WINDOW, 1 / rate_hz)
    beside = power[:, np.abs(hz - TONE_HZ) > _SKIRT_HZ].sum(axis=1)
    ratio: NDArray[np.float64] = 10 * np.log10(beside / power.sum(axis=1))
    return ratio
