"""Known speech, and where it lies in what was recorded: by normalised correlation, not by length or loudness."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtc_client import SAMPLE_RATE_HZ
from rtc_client.audio.assets import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.audio.files import read_audio
from rtc_client.audio.frames import Samples

AGENT: Final = read_audio(AGENT_SPEECH)
CALLER: Final = read_audio(CALLER_SPEECH)

SAME: Final = 0.9
"""Speech that went through Opus at 40 kbit/s still correlates better than this with what was spoken."""


class Found(NamedTuple):
    """Where a recording resembles what is looked for most."""

    at_s: float
    likeness: float
    """Normalised correlation; 1.0 for the same samples at any loudness."""


def locate(wanted: Samples, recording: Samples) -> Found:
    """Return where `wanted` lies in `recording`, and how alike they are there; both int16, mono, 24 kHz."""
    if len(recording) < len(wanted):
        return Found(0.0, 0.0)
    pattern, sound = wanted.astype(np.float64), recording.astype(np.float64)
    n_fft = 1 << (len(wanted) + len(recording)).bit_length()
    product = np.fft.rfft(sound, n_fft) * np.conj(np.fft.rfft(pattern, n_fft))
    correlation = np.fft.irfft(product, n_fft)[: len(sound) - len(pattern) + 1]
    energy = np.concatenate(([0.0], np.cumsum(sound**2)))
    windows = np.maximum(energy[len(pattern) :] - energy[: -len(pattern)], 1.0)
    likeness: NDArray[Any] = correlation / np.sqrt(windows * float(pattern @ pattern))
    best = int(np.argmax(likeness))
    return Found(best / SAMPLE_RATE_HZ, float(likeness[best]))


def seconds(samples: Samples) -> float:
    """Return how long a recording is."""
    return len(samples) / SAMPLE_RATE_HZ


def cut(samples: Samples, start_s: float, end_s: float) -> Samples:
    """Return the part of a recording between two times."""
    return samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]


AGENT_WORDS: Final = cut(AGENT, 0.1, 1.3)
"""Short pieces of the two samples, for calls in which a whole sentence would only take time."""
CALLER_WORDS: Final = cut(CALLER, 0.1, 1.3)
