"""Arithmetic on samples in memory: levels, and conversion to mono int16."""

from __future__ import annotations

import math
from array import array
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

FULL_SCALE: Final = 32_768
"""The amplitude that 0 dBFS refers to."""

FLOOR_DBFS: Final = -100.0
"""Level of digital silence. One least significant bit, all the time, is -90.3 dBFS."""

VOICED_DBFS: Final = -50.0
"""At or above this level we take it that somebody speaks.

Close speech lies between -35 and -15 dBFS; Opus comfort noise and a quiet room lie below -60.
"""

_MAX_CHANNELS: Final = 8
_MAX_RECENT: Final = 16
"""Blocks that a meter keeps before it looks which of them are still recent: adding one has to be cheap."""
_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ * 40 // 1000
_VOICED_MEAN_SQUARE: Final = (FULL_SCALE * 10 ** (VOICED_DBFS / 20)) ** 2


def level_dbfs(samples: Samples) -> float:
    """Return the RMS level relative to full scale, between `FLOOR_DBFS` and 0.

    A full-scale square wave is 0 dBFS, a full-scale sine -3.01. No samples at all are `FLOOR_DBFS`.
    """
    return _to_dbfs(energy_of(samples), len(samples))


def energy_of(samples: Samples) -> float:
    """Return the sum of squares: 0 for digital silence alone."""
    # float64 holds it exactly up to 2**53, which is 8 million samples at full scale.
    amplitude = samples.astype(np.float64)
    return float(amplitude.dot(amplitude))


def is_voiced(level_dbfs: float) -> bool:
    """Return whether a level is high enough to be a voice; the threshold is `VOICED_DBFS`."""
    return level_dbfs >= VOICED_DBFS


def is_voiced_mean_square(mean_square: float) -> bool:
    """Return the same by the mean of the squares of the samples."""
    return mean_square >= _VOICED_MEAN_SQUARE


def is_digital_silence(samples: Samples) -> bool:
    """Return whether all samples are 0."""
    # Sound mostly shows at once, and numpy takes its time to look at all.
    return not (len(samples) and samples.item(0)) and not samples.any()


class LevelMeter:
    """Levels of a stream: of all of it so far, and of its last moments.

    `window_s` is the length of the short window, counted in samples and in whole blocks. Squares are summed over blocks
    of 40 ms: what numpy costs for one call, it costs for two frames of 20 ms.
    """

    def __init__(self, window_s: float = 0.3) -> None:
        self._window_samples = max(1, round(window_s * SAMPLE_RATE_HZ))
        self._total_energy = 0.0
        self._total_samples = 0
        # Energy and number of samples of each block, in turns: the numbers of a list would lie all over the memory.
        self._recent = array("d")
        self._block: Samples | None = None
        self._n_waiting = 0

    def add(self, samples: Samples) -> float | None:
        """Count samples: int16, shape `(n_samples,)`; they are copied.

        Return the mean square of a block that they make full, None if they make none full.
        """
        block = self._block
        if block is None:
            block = self._block = np.empty(_BLOCK_SAMPLES, dtype=np.int16)
        n_samples, n_waiting = len(samples), self._n_waiting
        end = n_waiting + n_samples
        if end > _BLOCK_SAMPLES:
            self._settle()
            energy = energy_of(samples)
            self._count(energy, n_samples)
            return energy / n_samples
        block[n_waiting:end] = samples
        self._n_waiting = end
        return self._settle() / _BLOCK_SAMPLES if end == _BLOCK_SAMPLES else None

    def _settle(self) -> float:
        """Sum up what waits; return its energy."""
        n_samples, self._n_waiting = self._n_waiting, 0
        if self._block is None or n_samples == 0:
            return 0.0
        energy = energy_of(self._block[:n_samples])
        self._count(energy, n_samples)
        return energy

    def _count(self, energy: float, n_samples: int) -> None:
        self._total_energy += energy
        self._total_samples += n_samples
        recent = self._recent
        recent.append(energy)
        recent.append(n_samples)
        if len(recent) > 2 * _MAX_RECENT:
            _, _, n_blocks = self._sum_recent()
            del recent[: len(recent) - 2 * n_blocks]

    @property
    def n_samples(self) -> int:
        """Samples counted so far."""
        return self._total_samples + self._n_waiting

    @property
    def level_dbfs(self) -> float:
        """RMS level of the whole stream so far; `FLOOR_DBFS` before the first sample."""
        self._settle()
        return _to_dbfs(self._total_energy, self._total_samples)

    @property
    def recent_dbfs(self) -> float:
        """RMS level of the short window, for a live view; `FLOOR_DBFS` before the first sample."""
        self._settle()
        energy, n_samples, _ = self._sum_recent()
        return _to_dbfs(energy, n_samples)

    def _sum_recent(self) -> tuple[float, int, int]:
        """Return energy and samples of the short window, and how many blocks make it up."""
        energy, n_samples, n_blocks = 0.0, 0, 0
        newest_first = self._recent[::-1]
        for block_samples, block_energy in zip(newest_first[::2], newest_first[1::2], strict=True):
            if n_samples >= self._window_samples:
                break
            energy += block_energy
            n_samples += int(block_samples)
            n_blocks += 1
        return energy, n_samples, n_blocks


def to_mono_int16(array: NDArray[Any]) -> Samples:
    """Return the same sound as int16, shape `(n_samples,)`.

    Takes int16, int32 (full scale 2**31), float32 and float64 (full scale 1.0) of shape `(n_samples,)` or
    `(n_samples, n_channels)`; channels are averaged, and what exceeds full scale is clipped. A mono int16 array
    comes back as it is, not copied.

    Raises:
        ConfigError: If the array is of another kind or shape, is empty, or holds NaN or infinity.
    """
    mono = _check_shape(array)
    kind = (mono.dtype.kind, mono.dtype.itemsize)
    match kind:
        case ("i", 2) | ("i", 4):
            scale = 1.0 if kind == ("i", 2) else 1 / 65_536
        case ("f", 4) | ("f", 8):
            scale = float(FULL_SCALE)
            if not np.isfinite(mono).all():
                raise ConfigError("audio samples hold NaN or infinity: replace them (for example by 0.0) first")
        case _:
            raise ConfigError(
                f"audio samples of type {mono.dtype} are not understood: "
                "convert them to int16, int32, float32 or float64 first"
            )
    if kind == ("i", 2) and mono.ndim == 1:
        return mono.astype(np.int16, copy=False)
    amplitude = mono.astype(np.float64)
    if amplitude.ndim == 2:
        amplitude = amplitude.mean(axis=1)
    amplitude *= scale
    return np.clip(np.rint(amplitude), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _check_shape(array: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(array, np.ndarray):
        raise ConfigError(
            f"audio samples must be a numpy array, not {type(array).__name__}; "
            "raw 16-bit PCM becomes one by np.frombuffer(pcm, dtype=np.int16)"
        )
    if array.ndim not in (1, 2):
        raise ConfigError(
            f"an audio array of shape {array.shape} is not understood: pass (n_samples,) or (n_samples, n_channels)"
        )
    if array.size == 0:
        raise ConfigError(f"an audio array of shape {array.shape} holds no samples")
    if array.ndim == 1:
        return array
    if array.shape[1] > _MAX_CHANNELS:
        raise ConfigError(
            f"an audio array of shape {array.shape} would have {array.shape[1]} channels: "
            "pass (n_samples, n_channels), or transpose it"
        )
    return array[:, 0] if array.shape[1] == 1 else array


def _to_dbfs(energy: float, n_samples: int) -> float:
    if n_samples == 0 or energy <= 0:
        return FLOOR_DBFS
    return max(FLOOR_DBFS, 10 * math.log10(energy / n_samples) - 20 * math.log10(FULL_SCALE))
