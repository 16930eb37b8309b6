"""Known speech, and where it lies in what was recorded: by normalised correlation, not by length or loudness."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtc_client import SAMPLE_RATE_HZ
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import Samples
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH

AGENT: Final = read_audio(AGENT_SPEECH)
CALLER: Final = read_audio(CALLER_SPEECH)

SAME: Final = 0.9
"""Speech that went through Opus at 40 kbit/s still correlates better than this with what was spoken."""


_PIECE_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 10
_SLACK_SAMPLES: Final = SAMPLE_RATE_HZ // 4
"""How far a piece may be moved: playout inserts and removes a few milliseconds at a time where the network wavers."""
_QUIET_RATIO: Final = 0.05


class Found(NamedTuple):
    """Where a recording resembles what is looked for most."""

    at_s: float
    likeness: float
    """Normalised correlation of its pieces, louder ones counting more; 1.0 for the same samples at any loudness."""


def locate(wanted: Samples, recording: Samples) -> Found:
    """Return where `wanted` lies in `recording`, and how alike they are there; both int16, mono, 24 kHz.

    Both are compared in pieces of 0.3 s, each where it fits best near its place, so that a pitch period more or less
    between two words does not make them other words.
    """
    if len(recording) < len(wanted) - _SLACK_SAMPLES:
        return Found(0.0, 0.0)
    sound = recording.astype(np.float64)
    starts = range(0, max(1, len(wanted) - _PIECE_SAMPLES // 2), _PIECE_SAMPLES)
    pieces = [(start, wanted[start : start + _PIECE_SAMPLES].astype(np.float64)) for start in starts]
    loudest = max(float(piece @ piece) for _, piece in pieces)
    loud = [(start, piece) for start, piece in pieces if float(piece @ piece) > _QUIET_RATIO * loudest]
    anchor, pattern = max(loud, key=lambda entry: float(entry[1] @ entry[1]))
    origin = _best_place(pattern, sound)[0] - anchor
    places: list[int] = []
    total = likeness = 0.0
    for start, piece in loud:
        first = max(0, origin + start - _SLACK_SAMPLES)
        place, alike = _best_place(piece, sound[first : origin + start + len(piece) + _SLACK_SAMPLES])
        places.append(first + place - start)
        total += float(piece @ piece)
        likeness += alike * float(piece @ piece)
    return Found(places[0] / SAMPLE_RATE_HZ, likeness / total)


def _best_place(pattern: NDArray[Any], sound: NDArray[Any]) -> tuple[int, float]:
    if len(sound) < len(pattern):
        return 0, 0.0
    n_fft = 1 << (len(pattern) + len(sound)).bit_length()
    product = np.fft.rfft(sound, n_fft) * np.conj(np.fft.rfft(pattern, n_fft))
    correlation = np.fft.irfft(product, n_fft)[: len(sound) - len(pattern) + 1]
    energy = np.concatenate(([0.0], np.cumsum(sound**2)))
    windows = np.maximum(energy[len(pattern) :] - energy[: -len(pattern)], 1.0)
    likeness: NDArray[Any] = correlation / np.sqrt(windows * float(pattern @ pattern))
    best = int(np.argmax(likeness))
    return best, float(likeness[best])


def seconds(samples: Samples) -> float:
    """Return how long a recording is."""
    return len(samples) / SAMPLE_RATE_HZ


def cut(samples: Samples, start_s: float, end_s: float) -> Samples:
    """Return the part of a recording between two times."""
    return samples[round(start_s * SAMPLE_RATE_HZ) : round(end_s * SAMPLE_RATE_HZ)]


AGENT_WORDS: Final = cut(AGENT, 0.1, 1.3)
"""Short pieces of the two samples, for calls in which a whole sentence would only take time."""
CALLER_WORDS: Final = cut(CALLER, 0.1, 1.3)
