"""Resamples a stream, or a whole array, to our rate."""

from __future__ import annotations

from typing import Final

import av
import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

MIN_RATE_HZ: Final = 1_000
MAX_RATE_HZ: Final = 768_000


class Resampler:
    """Turns a stream of mono int16 samples at `from_hz` into the same stream at `SAMPLE_RATE_HZ`.

    What has come out after `flush` is as long as what went in, to within half a sample, and a sound stays where
    it was in time. In between, output lags the input by the filter's few milliseconds. Not for two threads at once.

    Raises:
        ConfigError: If `from_hz` is not a sample rate.
    """

    def __init__(self, from_hz: int) -> None:
        if not MIN_RATE_HZ <= from_hz <= MAX_RATE_HZ or int(from_hz) != from_hz:
            raise ConfigError(
                f"{from_hz} Hz is not a sample rate: give a whole number from {MIN_RATE_HZ} to {MAX_RATE_HZ}"
            )
        self.from_hz = int(from_hz)
        self._in_samples = 0
        self._out_samples = 0
        self._graph = _new_graph()

    def push(self, samples: Samples) -> Samples:
        """Take a block of any length and return what is ready: int16, shape `(n_samples,)`, possibly empty."""
        if self.from_hz == SAMPLE_RATE_HZ or len(samples) == 0:
            return samples
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples)[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = self.from_hz
        self._in_samples += len(samples)
        out = _joined(self._graph.resample(frame))
        self._out_samples += len(out)
        return out

    def flush(self) -> Samples:
        """Return what the filter still holds, and be ready for a new stream."""
        due_samples = max(0, resampled_length(self._in_samples, self.from_hz) - self._out_samples)
        rest = _joined(self._graph.resample(None)) if self._in_samples else _joined([])
        self._graph = _new_graph()
        self._in_samples = self._out_samples = 0
        # The filter rounds its tail its own way; the length is ours to keep.
        return np.pad(rest[:due_samples], (0, due_samples - len(rest[:due_samples])))


def resample(samples: Samples, from_hz: int) -> Samples:
    """Return the whole array at `SAMPLE_RATE_HZ`: int16, shape `(n_samples,)`, of the same duration.

    Raises:
        ConfigError: If `from_hz` is not a sample rate.
    """
    resampler = Resampler(from_hz)
    return np.concatenate((resampler.push(samples), resampler.flush()))


def resampled_length(n_samples: int, from_hz: int) -> int:
    """Return how many samples at `SAMPLE_RATE_HZ` last as long as `n_samples` at `from_hz`, rounded half up."""
    return (2 * n_samples * SAMPLE_RATE_HZ + from_hz) // (2 * from_hz)


def _new_graph() -> av.AudioResampler:
    return av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)


def _joined(frames: list[av.AudioFrame]) -> Samples:
    blocks = [frame.to_ndarray()[0] for frame in frames]
    return np.concatenate(blocks).astype(np.int16, copy=False) if blocks else np.zeros(0, dtype=np.int16)
