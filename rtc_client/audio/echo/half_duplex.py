"""Half duplex: turns the microphone down while the agent is heard, so that it does not hear itself. Pure.

*Attack*: within the 20 ms in which the agent's sound begins, over 5 ms; the reference is ahead of the echo. *Hangover*:
240 ms after its end, for the reverberation, and an echo that comes later than devices say; then the microphone comes
back over 60 ms.

A caller who speaks up breaks through. How loud the echo is at its loudest is learned from the call itself, beginning
with "as loud as what is played", so that in the first seconds it takes more. Whoever is 8 dB louder than that for
100 ms out of 120 is let through, and for half a second more. It may be the echo, after somebody has turned up the
volume: so what was played is looked for in what is heard, and where it is found, the echo is known to be so loud.

What is heard while the agent is at work (`audio/sources/hold_sound.py`) turns nothing down: it goes on for long, and
who waits may speak.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from rtc_client.audio.echo.detector import EchoDetector
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, FULL_SCALE

DUCKED_DB: Final = -40.0
"""What is left of the microphone: less than what a voice activity detector takes for one."""
ATTACK_S: Final = 0.005
HANGOVER_FRAMES: Final = 12
RELEASE_FRAMES: Final = 3
HEARD_DBFS: Final = -55.0
"""From this level on, what is played is heard."""

LOUDER_DB: Final = 8.0
"""By how much a caller has to be louder than the loudest echo."""
LOUDER_FRAMES: Final = 5
"""How many of the last `LOUDER_WINDOW_FRAMES` frames have to be."""
LOUDER_WINDOW_FRAMES: Final = 6
LOUD_DBFS: Final = -45.0
"""A caller below this level does not speak up."""
THROUGH_FRAMES: Final = 25
ECHO_SHARPNESS: Final = 8.0
"""See `EchoMatch.sharpness`, here of a third of a second."""
_MATCH_S: Final = 0.32

_FIRST_COUPLING_DB: Final = 0.0
_EARLY_FRAMES: Final = 100
_EARLY_STEP_DB: Final = 2.0
_STEP_DB: Final = 0.5
_CREEP_DB: Final = 0.1
"""What is learned in 20 ms while the caller is let through, so that an echo is not taken for one for long."""
_QUANTILE: Final = 0.9
"""The coupling is the level of the echo against what is played that only a tenth of all frames exceed."""


def _mean_square(dbfs: float) -> float:
    return float((FULL_SCALE * 10 ** (dbfs / 20)) ** 2)


_DUCKED: Final = float(10 ** (DUCKED_DB / 20))
_HEARD: Final = _mean_square(HEARD_DBFS)
_LOUD: Final = _mean_square(LOUD_DBFS)


class Ducking:
    """Half duplex for one call, 20 ms at a time. `trace` has got the frames already."""

    def __init__(self, trace: EchoDetector, *, break_through: bool = True) -> None:
        self._trace = trace
        self._break_through = break_through
        self._far_squares: deque[float] = deque(maxlen=HANGOVER_FRAMES)
        self._hold_squares: deque[float] = deque(maxlen=HANGOVER_FRAMES)
        self._louder: deque[bool] = deque(maxlen=LOUDER_WINDOW_FRAMES)
        self._gain = 1.0
        self._n_learned = 0
        self._n_through = 0
        self.coupling_db = _FIRST_COUPLING_DB
        """How loud the echo is expected to be at most, relative to what is played."""
        self.ducked_frames = 0
        self.breaks_through = 0
        """How often the caller broke through."""

    @property
    def is_through(self) -> bool:
        """Whether the caller is let through although the agent is heard."""
        return self._n_through > 0

    @property
    def echo_dbfs(self) -> float:
        """Up to which level the frame that `process` returned last may be the echo; `FLOOR_DBFS` for none."""
        loudest, hold = max(self._far_squares, default=0.0), max(self._hold_squares, default=0.0)
        if max(loudest, hold) < _HEARD:
            return FLOOR_DBFS
        is_open = loudest < _HEARD or self.is_through
        return _dbfs(max(loudest, hold)) + self.coupling_db + (0.0 if is_open else DUCKED_DB)

    def process(self, near: Samples, near_square: float, far_square: float, *, is_hold: bool = False) -> Samples:
        """Return what is let through of the microphone's frame: int16, shape `(FRAME_SAMPLES,)`.

        The squares are the means of the squares of `near` and of what is heard meanwhile. With `is_hold` that is not
        the agent.
        """
        self._far_squares.append(0.0 if is_hold else far_square)
        self._hold_squares.append(far_square if is_hold else 0.0)
        loudest = max(self._far_squares)
        if loudest < _HEARD:
            self._n_through = 0
            self._louder.clear()
            return self._faded(near, min(1.0, self._gain + 1 / RELEASE_FRAMES))
        if self._break_through:
            self._listen(near_square, loudest)
        if self._n_through:
            self._n_through -= 1
            return self._faded(near, 1.0)
        self.ducked_frames += 1
        return self._faded(near, _DUCKED)

    def _listen(self, near_square: float, loudest: float) -> None:
        """Tell the caller from the echo by how loud it is, and learn how loud the echo is."""
        over_db = 10 * float(np.log10(max(near_square, 1e-3) / loudest)) - self.coupling_db
        self._louder.append(over_db > LOUDER_DB and near_square >= _LOUD)
        if sum(self._louder) >= LOUDER_FRAMES:
            if self.is_through or not self._is_echo():
                self.breaks_through += not self.is_through
                self._n_through = THROUGH_FRAMES
            else:
                self.coupling_db += max(0.0, over_db)
                self._louder.clear()
        self._learn(over_db)

    def _learn(self, over_db: float) -> None:
        """Take in how loud the echo was in one frame, unless that was the caller."""
        if self.is_through:
            self.coupling_db += _CREEP_DB if over_db > 0 else 0.0
        elif over_db <= LOUDER_DB:
            step_db = _EARLY_STEP_DB if self._n_learned < _EARLY_FRAMES else _STEP_DB
            self._n_learned += 1
            self.coupling_db += step_db * (_QUANTILE if over_db > 0 else _QUANTILE - 1)

    def _is_echo(self) -> bool:
        return self._trace.match(_MATCH_S).sharpness >= ECHO_SHARPNESS

    def _faded(self, near: Samples, gain: float) -> Samples:
        before, self._gain = self._gain, gain
        if before == gain:
            return near if gain == 1.0 else _scaled(near, gain)
        n_fade = round(ATTACK_S * SAMPLE_RATE_HZ) if gain < before else FRAME_SAMPLES
        gains = np.full(FRAME_SAMPLES, gain, dtype=np.float32)
        gains[:n_fade] = np.linspace(before, gain, n_fade, dtype=np.float32)
        return _scaled(near, gains)


def _dbfs(mean_square: float) -> float:
    return max(FLOOR_DBFS, 10 * float(np.log10(max(mean_square, 1e-9))) - 20 * float(np.log10(FULL_SCALE)))


def _scaled(near: Samples, gain: float | np.ndarray[tuple[int], np.dtype[np.float32]]) -> Samples:
    scaled: Samples = np.rint(near * np.float32(gain) if isinstance(gain, float) else near * gain).astype(np.int16)
    return scaled
