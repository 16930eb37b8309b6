"""VoiceActivityDetector: when the caller starts and stops speaking, by the level of what is sent. Pure.

It is for stopping the agent at once where no server tells of speech; endpointing is the server's.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum
from typing import Final

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, FULL_SCALE

BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 100
"""10 ms: what is decided about."""
ONSET_BLOCKS: Final = 4
"""40 ms in a row: longer than a key stroke, short enough for a stop within 60 ms."""
HANGOVER_BLOCKS: Final = 30
"""0.3 s: longer than the closure of a plosive or a breath between two words."""
MARGIN_DB: Final = 10.0
"""How far above the noise speech is; the level of 10 ms of steady noise wavers by less than 2 dB."""
QUIETEST_SPEECH_DBFS: Final = -45.0
"""Close speech lies between -35 and -15 dBFS, and a television in the next room below this."""
QUIET_ROOM_DBFS: Final = -60.0
ECHO_MARGIN_DB: Final = 6.0
"""How far above what may be our own echo somebody has to speak."""

_WINDOW_BLOCKS: Final = 25
_N_WINDOWS: Final = 6
"""The noise is the least level of the last 1.5 s: nobody speaks that long without a gap between two syllables."""
_SMOOTHING_BLOCKS: Final = 3
_BAND: Final = slice(3, 41)
"""300 Hz to 4 kHz, in steps of 100 Hz: what carries speech, above hum and rumble, below most of a fan's hiss."""
_HANN: Final = np.hanning(BLOCK_SAMPLES + 1)[:-1]
_SCALE: Final = 2 / (BLOCK_SAMPLES * float(np.sum(_HANN**2)) * FULL_SCALE**2)


class SpeechEdge(Enum):
    """The caller began to speak, or has ceased."""

    STARTED = "started"
    STOPPED = "stopped"


class VoiceActivityDetector:
    """Tells the edges of speech in frames of 20 ms, or of any length.

    Speech is what is `MARGIN_DB` above the noise, and loud enough for 40 ms; it is over after 0.3 s below that. The
    noise is followed: what goes on for 1.5 s without a gap is noise, whatever it is. Digital silence is none.
    """

    def __init__(self) -> None:
        self._waiting: Samples = np.zeros(0, dtype=np.int16)
        self._recent: deque[float] = deque(maxlen=_SMOOTHING_BLOCKS)
        self._minima: deque[float] = deque(maxlen=_N_WINDOWS)
        self._minimum = 0.0
        self._n_in_window = 0
        self._n_loud = self._n_quiet = 0
        self.is_speaking = False

    @property
    def noise_dbfs(self) -> float:
        """The level of the noise between 300 Hz and 4 kHz; a quiet room's until a quarter of a second was heard."""
        known = self._minima or [QUIET_ROOM_DBFS]
        return min([*known, self._minimum]) if self._n_in_window else min(known)

    def push(self, samples: Samples, echo_dbfs: float = FLOOR_DBFS) -> SpeechEdge | None:
        """Take what is said: int16, shape `(n_samples,)`; return the last edge in it, None for none.

        `echo_dbfs` is the level up to which it may be our own echo: below that, and a little above, nobody speaks.
        """
        edge: SpeechEdge | None = None
        waiting = np.concatenate([self._waiting, samples]) if len(self._waiting) else samples
        n_blocks = len(waiting) // BLOCK_SAMPLES
        for k in range(n_blocks):
            block = waiting[k * BLOCK_SAMPLES : (k + 1) * BLOCK_SAMPLES]
            edge = self._take(voice_dbfs(block), echo_dbfs) or edge
        self._waiting = waiting[n_blocks * BLOCK_SAMPLES :].copy()
        return edge

    def _take(self, voice_dbfs: float, echo_dbfs: float) -> SpeechEdge | None:
        is_loud = voice_dbfs >= max(QUIETEST_SPEECH_DBFS, self.noise_dbfs + MARGIN_DB, echo_dbfs + ECHO_MARGIN_DB)
        if echo_dbfs <= FLOOR_DBFS < voice_dbfs:
            self._learn(voice_dbfs)
        self._n_loud = self._n_loud + 1 if is_loud else 0
        self._n_quiet = 0 if is_loud else self._n_quiet + 1
        if not self.is_speaking and self._n_loud >= ONSET_BLOCKS:
            self.is_speaking = True
            return SpeechEdge.STARTED
        if self.is_speaking and self._n_quiet >= HANGOVER_BLOCKS:
            self.is_speaking = False
            return SpeechEdge.STOPPED
        return None

    def _learn(self, dbfs: float) -> None:
        self._recent.append(dbfs)
        smooth_dbfs = sum(self._recent) / len(self._recent)
        self._minimum = smooth_dbfs if self._n_in_window == 0 else min(self._minimum, smooth_dbfs)
        self._n_in_window += 1
        if self._n_in_window == _WINDOW_BLOCKS:
            self._minima.append(self._minimum)
            self._n_in_window = 0


def voice_dbfs(block: Samples) -> float:
    """Return the level of what carries speech in `BLOCK_SAMPLES` samples, int16; at least `FLOOR_DBFS`."""
    spectrum = np.fft.rfft(block * _HANN)[_BAND]
    mean_square = _SCALE * float(np.vdot(spectrum, spectrum).real)
    return max(FLOOR_DBFS, 10 * math.log10(mean_square)) if mean_square else FLOOR_DBFS
