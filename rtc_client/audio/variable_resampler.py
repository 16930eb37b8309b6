"""VariableResampler: resamples by a ratio that may change at any time without a click.

Bandlimited interpolation (Smith, "Digital Audio Resampling"): each output sample is the input around its place,
weighted by a windowed sinc that is looked up in a table. Places are counted, so that it is always known which instant
of the input an output sample is.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import SAMPLE_RATE_HZ, SILENCE, Samples

_CROSSINGS: Final = 16
"""Zero crossings of the sinc on each side, at the lower of both rates: 0.7 ms at 24 kHz."""
_PHASES: Final = 256
"""Places between two input samples in the table; between them it is interpolated, which errs by less than -90 dB."""
_CUTOFF: Final = 0.91
"""Of the lower of both Nyquist frequencies; the rest is the slope of the filter."""
_KAISER_BETA: Final = 8.0

_Floats = NDArray[np.float32]


class VariableResampler:
    """Turns mono int16 samples at `from_hz` into samples at `to_hz`, faster or slower by `deviation`.

    Its output lags by `delay_s`. Not for two threads at once.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        self._nominal = from_hz / to_hz
        self._table = _table(from_hz, to_hz)
        self._taps: int = self._table.shape[1]
        half = self._taps // 2
        self.delay_s: float = half / from_hz
        # What was not used up yet, before it the silence that the first output sample looks back at.
        self._input: _Floats = np.zeros(half - 1, dtype=np.float32)
        self._offset = 0.0
        """Where the window of the next output sample begins in `_input`; its fraction is the phase."""
        self._n_before: int = 1 - half
        """Input samples ever taken, less those in `_input`: the place of `_input[0]`, 0 being the first ever."""
        self.deviation = 0.0
        """How much faster than nominal the input is used up: 0.001 for a thousandth."""

    @property
    def position(self) -> float:
        """The place in the input, in samples since the first ever, that the next output sample is of."""
        return self._n_before + self._offset + self._taps // 2 - 1

    def needed(self, n_out: int) -> int:
        """Return how many more input samples `pull(n_out)` has to be given."""
        last = int(self._offset + (n_out - 1) * self._step) + self._taps
        return max(0, last - len(self._input))

    def pull(self, samples: Samples, n_out: int) -> Samples:
        """Take `needed(n_out)` input samples and return `n_out` output samples: int16, shape `(n_out,)`."""
        self._take(samples)
        return self._make(n_out)

    def push(self, samples: Samples) -> Samples:
        """Take input samples and return all output samples that can be made: int16, shape `(n,)`, `n` may be 0."""
        self._take(samples)
        room = len(self._input) - self._taps - self._offset
        return self._make(int(room / self._step) + 1 if room >= 0 else 0)

    def jump(self, n_in: int) -> None:
        """Take note that `n_in` input samples were left out before the next ones."""
        self._n_before += n_in

    @property
    def _step(self) -> float:
        return self._nominal * (1 + self.deviation)

    def _take(self, samples: Samples) -> None:
        used = min(int(self._offset), len(self._input))
        self._input = np.concatenate((self._input[used:], samples), dtype=np.float32)
        self._offset -= used
        self._n_before += used

    def _make(self, n_out: int) -> Samples:
        if n_out <= 0:
            return np.zeros(0, dtype=np.int16)
        places = self._offset + self._step * np.arange(n_out)
        starts = places.astype(np.intp)
        phases = (places - starts) * _PHASES
        rows = phases.astype(np.intp)
        between = (phases - rows).astype(np.float32)[:, np.newaxis]
        windows = np.lib.stride_tricks.sliding_window_view(self._input, self._taps)[starts]
        low = np.einsum("ij,ij->i", windows, self._table[rows])
        high = np.einsum("ij,ij->i", windows, self._table[rows + 1])
        out = low + between[:, 0] * (high - low)
        self._offset = float(places[-1]) + self._step
        made: Samples = np.clip(np.rint(out), -32_768, 32_767).astype(np.int16)
        return made


@lru_cache(maxsize=16)
def _table(from_hz: int, to_hz: int) -> _Floats:
    """Return the weights by phase: shape `(_PHASES + 1, n_taps)`, each row adding up to 1."""
    bandwidth = min(1.0, to_hz / from_hz)
    half = int(np.ceil(_CROSSINGS / bandwidth))
    # Row r is for a place r / _PHASES behind tap `half - 1`.
    distance = np.arange(1 - half, half + 1)[np.newaxis, :] - np.arange(_PHASES + 1)[:, np.newaxis] / _PHASES
    window = np.i0(_KAISER_BETA * np.sqrt(np.clip(1 - (distance / half) ** 2, 0, 1))) / np.i0(_KAISER_BETA)
    weights = np.sinc(distance * bandwidth * _CUTOFF) * window
    table: _Floats = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    table.flags.writeable = False
    return table


FADE_SAMPLES: Final = SAMPLE_RATE_HZ * 5 // 1000
_RISE: Final = np.linspace(0, 1, FADE_SAMPLES, endpoint=False, dtype=np.float32)
_FALL: Final = 1 - _RISE


def blended(tail: int, frame: Samples) -> Samples:
    """Return `frame` as it goes on without a click after a sample `tail` that it does not follow on.

    It is int16 at `SAMPLE_RATE_HZ`, and so is the result; within 5 ms the one dies away and the other rises.
    """
    smooth = frame.copy()
    smooth[:FADE_SAMPLES] = tail * _FALL + frame[:FADE_SAMPLES] * _RISE
    return smooth


def ending(tail: int) -> Samples:
    """Return 20 ms in which a sample `tail` dies away: int16, shape `(FRAME_SAMPLES,)`."""
    return blended(tail, SILENCE)
