"""EchoDetector: compares what microphone and loudspeaker did recently, and finds the one in the other. Pure.

Both are kept at a quarter of the sample rate: whose voice it is lies below 3 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE

Trace: TypeAlias = NDArray[np.float32]
"""Full scale 32768, at `TRACE_RATE_HZ`."""

_DECIMATION: Final = 4
TRACE_RATE_HZ: Final = SAMPLE_RATE_HZ // _DECIMATION
MAX_DELAY_S: Final = 0.5
"""An echo that comes later is not looked for."""
WINDOW_S: Final = 1.0
"""Longest stretch of the microphone that is looked at."""
_LOWEST_HZ: Final = 200.0
_HIGHEST_HZ: Final = 2_600.0
_FRAME: Final = FRAME_SAMPLES // _DECIMATION
_SIZE: Final = round((WINDOW_S + MAX_DELAY_S) * TRACE_RATE_HZ)
_N_FRAMES: Final = _SIZE // _FRAME
_WINDOW_FRAMES: Final = round(WINDOW_S * TRACE_RATE_HZ) // _FRAME


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoMatch:
    """How much of what was played is in what was captured, at the delay at which it fits best."""

    delay_s: float
    """Of what was captured behind what was played."""
    share: float
    """Normalised correlation at that delay: 1 for the same sound, 0 for sounds that have nothing to do with each other.

    A room makes it less: reverberation is not at one delay.
    """
    sharpness: float
    """How far the best delay stands out from the others, where every pitch counts the same: its height over their RMS.

    Two voices that have nothing to do with each other reach 4 to 6, two of one synthesizer at times 10; an echo that is
    the loudest thing heard reaches 20 to 40.
    """
    level_dbfs: float
    """Of that part of what was captured."""


class EchoDetector:
    """The last `WINDOW_S + MAX_DELAY_S` of both; takes two frames of 20 ms at a time."""

    def __init__(self) -> None:
        self._near: Trace = np.zeros(2 * _SIZE, dtype=np.float32)
        self._far: Trace = np.zeros(2 * _SIZE, dtype=np.float32)
        self._near_squares: Trace = np.zeros(2 * _N_FRAMES, dtype=np.float32)
        self._far_squares: Trace = np.zeros(2 * _N_FRAMES, dtype=np.float32)
        self._at = 0
        self.n_frames = 0

    def add(self, near: Samples, far: Samples) -> tuple[float, float]:
        """Take what was captured and what was played meanwhile; return the mean square of each."""
        at = self._at
        squares = (
            _keep(self._near, self._near_squares, near, at),
            _keep(self._far, self._far_squares, far, at),
        )
        self._at = (at + 1) % _N_FRAMES
        self.n_frames += 1
        return squares

    def far_activity(self, floor: float) -> float:
        """Return the share of the last window in which the mean square of what was played is at least `floor`."""
        return float(np.mean(self._newest(self._far_squares, _WINDOW_FRAMES) >= floor))

    def envelope_match(self) -> float:
        """Return how well the loudness of what was captured follows that of what was played, at the best delay."""
        near = np.sqrt(self._newest(self._near_squares, _WINDOW_FRAMES))
        far = np.sqrt(self._newest(self._far_squares, _N_FRAMES))
        near = near - near.mean()
        windows = np.lib.stride_tricks.sliding_window_view(far, _WINDOW_FRAMES)
        centred = windows - windows.mean(axis=1, keepdims=True)
        norms = np.sqrt(np.einsum("ij,ij->i", centred, centred) * near.dot(near))
        return float(np.max(centred @ near / np.maximum(norms, 1e-3)))

    def match(self, window_s: float = WINDOW_S) -> EchoMatch:
        """Look for what was played in the last `window_s` of what was captured."""
        n_near = round(window_s * TRACE_RATE_HZ)
        n_far = n_near + round(MAX_DELAY_S * TRACE_RATE_HZ)
        near, far = self._newest(self._near, n_near, _FRAME), self._newest(self._far, n_far, _FRAME)
        n_fft = 1 << (n_far - 1).bit_length()
        hz = np.fft.rfftfreq(n_fft, 1 / TRACE_RATE_HZ)
        band = (hz >= _LOWEST_HZ) & (hz <= _HIGHEST_HZ)
        cross = np.fft.rfft(far, n_fft) * np.conj(np.fft.rfft(near * np.hanning(n_near), n_fft)) * band
        # Place k: what was captured fits best on what was played from k on, so it is n_far - n_near - k late.
        n_places = n_far - n_near + 1
        whitened = np.fft.irfft(cross / (np.abs(cross) + 1e-3), n_fft)[:n_places]
        k = int(np.argmax(np.abs(whitened)))
        others = float(np.sqrt(np.mean(whitened**2)))
        share = _share(near, far[k : k + n_near])
        square = float(near.dot(near)) / n_near * share**2
        return EchoMatch(
            delay_s=(n_places - 1 - k) / TRACE_RATE_HZ,
            share=share,
            sharpness=float(abs(whitened[k])) / others if others > 0 else 0.0,
            level_dbfs=10 * float(np.log10(max(square, 1e-6) / FULL_SCALE**2)),
        )

    def _newest(self, trace: Trace, n: int, per_frame: int = 1) -> Trace:
        end = (self._at + _N_FRAMES) * per_frame
        return trace[end - n : end]


def _keep(trace: Trace, squares: Trace, frame: Samples, at: int) -> float:
    """Keep a frame twice, half a buffer apart, so that the newest are always found in one piece."""
    small = frame.reshape(_FRAME, _DECIMATION).mean(axis=1, dtype=np.float32)
    square = float(small.dot(small)) / _FRAME
    for index in (at, at + _N_FRAMES):
        trace[index * _FRAME : (index + 1) * _FRAME] = small
        squares[index] = square
    return square


def _share(near: Trace, far: Trace) -> float:
    norm = float(np.sqrt(near.dot(near) * far.dot(far)))
    return abs(float(near.dot(far))) / norm if norm > 1e-3 else 0.0
