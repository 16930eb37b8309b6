"""ResidualEchoSuppressor: turns down the frequencies at which the filter leaves an echo. Pure.

A Wiener filter: at a frequency at which as much is captured as echo may be left, nearly nothing passes; at one at
which the caller is louder, nearly everything. Gains follow the signal from one 10 ms to the next (Ephraim and Malah,
1984), so that what is left does not tinkle.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from rtc_client.audio.echo.adaptive_filter import BLOCK_SAMPLES, N_BINS, Left, Real
from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import FULL_SCALE

DELAY_SAMPLES: Final = BLOCK_SAMPLES // 2
"""10 ms: what comes out is so much later."""
_OVER: Final = np.float32(4.0)
"""The echo is taken to be 6 dB stronger than it is believed to be."""
_LEAST_GAIN: Final = np.float32(10 ** (-30 / 20))
_MEMORY: Final = np.float32(0.8)
_SPREAD: Final = np.full(3, 1 / 3, dtype=np.float32)
"""Powers are looked at together with those of both neighbours."""
_N_BINS: Final = DELAY_SAMPLES + 1


class ResidualEchoSuppressor:
    """Takes blocks of 20 ms and gives them out `DELAY_SAMPLES` later; for one call."""

    def __init__(self) -> None:
        self._window = np.sqrt(np.hanning(2 * DELAY_SAMPLES + 1)[:-1]).astype(np.float32)
        self._before: Real = np.zeros(DELAY_SAMPLES, dtype=np.float32)
        self._tail: Real = np.zeros(DELAY_SAMPLES, dtype=np.float32)
        self._echo: Real = np.zeros(_N_BINS, dtype=np.float32)
        self._clear: Real = np.zeros(_N_BINS, dtype=np.float32)
        """How far the caller stood out from the echo, as it was let through."""

    def process(self, left: Left) -> Samples:
        """Return a block without what echo may be left in it: int16, shape `(BLOCK_SAMPLES,)`."""
        # Half as many bins, of a window with half the energy.
        echo: Real = 0.5 * left.echo[:N_BINS:2]
        out = np.empty(BLOCK_SAMPLES, dtype=np.float32)
        halves = np.split(left.rest, 2), np.split(out, 2), (0.5 * (self._echo + echo), echo)
        for rest, half, meanwhile in zip(*halves, strict=True):
            half[:] = self._half(rest, meanwhile)
        self._echo = echo
        rounded: Samples = np.clip(np.rint(out), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
        return rounded

    def _half(self, rest: Real, echo: Real) -> Real:
        spectrum = np.fft.rfft(self._window * np.concatenate((self._before, rest))).astype(np.complex64)
        self._before = rest
        power = np.convolve(spectrum.real**2 + spectrum.imag**2, _SPREAD, "same")
        over = power / (_OVER * np.convolve(echo, _SPREAD, "same") + 1e-6)
        clear = _MEMORY * self._clear + (1 - _MEMORY) * np.maximum(over - 1, 0)
        gain = np.maximum(clear / (1 + clear), _LEAST_GAIN)
        self._clear = gain * gain * over
        windowed = np.fft.irfft(gain * spectrum).astype(np.float32) * self._window
        out: Real = self._tail + windowed[:DELAY_SAMPLES]
        self._tail = windowed[DELAY_SAMPLES:]
        return out
