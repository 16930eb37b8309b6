"""Inserts or removes a little audio where nobody hears it.

Speech repeats itself: a vowel is the same wave some 80 to 400 times a second, and silence is like any other silence. So
one *pitch period* can be left out, or played twice, if the seam is made by fading from the sound to the same sound one
period away (pitch-synchronous overlap-add; NetEQ's time_stretch.cc does the same). The period is the lag at which the
sound is most like itself, by normalised correlation, 1.0 being the same wave. Where nothing is said, any lag will do.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples

MIN_LAG_SAMPLES: Final = SAMPLE_RATE_HZ * 25 // 10_000
"""2.5 ms, the period of a voice of 400 Hz."""
MAX_LAG_SAMPLES: Final = SAMPLE_RATE_HZ * 15 // 1000
"""15 ms, that of a voice of 67 Hz."""

_WINDOW_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""10 ms of sound are compared, at least one period of most voices."""

QUIET_RMS: Final = 32_768 * 10 ** (-50 / 20)
"""-50 dBFS: what is below is a room, not a voice (`pcm.VOICED_DBFS`)."""

_RISE: Final = ((np.arange(MAX_LAG_SAMPLES) + 0.5) / MAX_LAG_SAMPLES).astype(np.float32)


def is_quiet(samples: Samples) -> bool:
    """Return whether nobody speaks in these samples: no stretch of 5 ms is louder than `QUIET_RMS`."""
    n_blocks = max(1, len(samples) // 120)
    blocks = samples[: n_blocks * 120].astype(np.float32).reshape(n_blocks, -1)
    return bool(np.einsum("ij,ij->i", blocks, blocks).max(initial=0.0) < QUIET_RMS**2 * blocks.shape[1])


def remove(samples: Samples, max_samples: int, min_likeness: float) -> Samples:
    """Return the samples without one period at their beginning; the same ones if none is like enough, or short enough.

    int16, shape `(n_samples,)`, 20 ms or more. `min_likeness` is the correlation that is asked for, -1 to 1.
    """
    max_lag = min(MAX_LAG_SAMPLES, max_samples, len(samples) // 2)
    if max_lag < MIN_LAG_SAMPLES:
        return samples
    place, likeness = _most_alike(samples[:_WINDOW_SAMPLES], samples[MIN_LAG_SAMPLES : max_lag + _WINDOW_SAMPLES])
    return samples if likeness < min_likeness else remove_quiet(samples, place + MIN_LAG_SAMPLES)


def insert(history: Samples, samples: Samples, min_likeness: float) -> Samples:
    """Return the samples with the last period before them once more; the same ones if it is not like enough.

    `history` is what was heard right before: int16, shape `(n_samples,)`, 15 ms or more; `samples` 15 ms or more.
    """
    searched = np.concatenate((history[len(history) - MAX_LAG_SAMPLES :], samples[:_WINDOW_SAMPLES]))
    # The last window that is compared lies one shortest period before the samples.
    place, likeness = _most_alike(
        samples[:_WINDOW_SAMPLES], searched[: MAX_LAG_SAMPLES - MIN_LAG_SAMPLES + _WINDOW_SAMPLES]
    )
    return samples if likeness < min_likeness else insert_quiet(history, samples, MAX_LAG_SAMPLES - place)


def remove_quiet(samples: Samples, n_samples: int) -> Samples:
    """Return the samples without that many at their beginning; at most half of them are taken."""
    lag = min(MAX_LAG_SAMPLES, n_samples, len(samples) // 2)
    return np.concatenate((fade(samples[:lag], samples[lag : 2 * lag]), samples[2 * lag :]))


def insert_quiet(history: Samples, samples: Samples, n_samples: int) -> Samples:
    """Return the samples with that many of the last before them once more, at most 15 ms."""
    lag = min(MAX_LAG_SAMPLES, n_samples)
    return np.concatenate((fade(samples[:lag], history[len(history) - lag :]), samples))


def fade(old: Samples, new: Samples) -> Samples:
    """Return the sound going over from one to the other, both int16, shape `(n_samples,)`, of one length."""
    n_samples = len(old)
    if n_samples == MAX_LAG_SAMPLES:
        rise = _RISE
    else:
        rise = ((np.arange(n_samples, dtype=np.float32) + 0.5) / max(1, n_samples)).astype(np.float32)
    faded: Samples = np.rint(old + (new.astype(np.float32) - old) * rise).astype(np.int16)
    return faded


def _most_alike(window: Samples, searched: Samples) -> tuple[int, float]:
    """Return where in `searched` the window is found best, and how well: the normalised correlation, -1 to 1."""
    template: NDArray[np.float32] = window.astype(np.float32)
    wave: NDArray[np.float32] = searched.astype(np.float32)
    products = np.correlate(wave, template, "valid")
    sums = np.concatenate((np.zeros(1), np.cumsum(wave.astype(np.float64) ** 2)))
    energies = sums[len(window) :] - sums[: len(sums) - len(window)]
    own_energy = float(template @ template)
    likeness = products / np.sqrt(np.maximum(energies * own_energy, 1.0))
    place = int(np.argmax(likeness))
    return place, float(likeness[place])
