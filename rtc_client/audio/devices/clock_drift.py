"""Follows the drift between a sound card's clock and ours: how fast to resample, how much to keep. Pure.

A ring between a device and the 20 ms tick fills or empties by the difference of their clocks, some 10 to 200 parts per
million. `FillControl` says by how much faster or slower it should be emptied, `RecentPeak` how uneven both sides are
again and again, which is what has to be kept ready, and `StreamClock` when a sample passed the device.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from rtc_client.audio.frames import FRAME_S

MAX_DEVIATION: Final = 0.005
"""A change of pitch by half a percent is a twelfth of a semitone: nobody hears it."""
_SLOWER_PER_S: Final = 0.4
"""By how much slower to go for each second too little, which may soon be silence: 0.2 % for 5 ms."""
_FASTER_PER_S: Final = 0.2
"""By how much faster to go for each second too much, which is only delay: 0.1 % for 5 ms."""
_LEARNING_PER_S2: Final = 0.0025
"""How fast a deviation that is always needed is learnt: less than a quarter of the square of the lower rate, so that
it does not swing."""
_MAX_DRIFT: Final = 0.001
"""Clocks of sound cards are off by less."""
_WINDOW_TICKS: Final = 16
"""Levels are looked at over 0.3 s: single ticks are late, and callbacks come in bursts."""
_FAR_S: Final = 0.06
"""What lies further off than this is not drift: it is cut, for at half a percent it would take 12 s or more."""
_LASTING_TICKS: Final = 40
"""So long it must last: making up for a stall of the process takes up to 25 ticks (`ticker.CATCH_UP_TICKS`)."""
_PAUSE_S: Final = 0.005
"""More than this that is too much for as long is cut in the next pause, where nobody hears it."""
QUIET: Final = 64
"""Samples up to this, -54 dBFS, are a pause."""


class FillControl:
    """Steers the level of a ring to a target, told of both at every tick.

    `lowest` says which end of a window of levels counts: the lowest or the highest.
    """

    def __init__(self, *, lowest: bool) -> None:
        self._end = min if lowest else max
        self._errors_s: deque[float] = deque(maxlen=_WINDOW_TICKS)
        self._far_ticks = 0
        self._high_ticks = 0
        self._drift = 0.0
        self.surplus_s = 0.0
        """What should be cut now because it is far too much; 0 where going faster is enough."""
        self.pause_surplus_s = 0.0
        """What should be cut now if this is a pause."""

    def update(self, level_s: float, target_s: float) -> float:
        """Take note of a level; return the deviation from the nominal speed, at most `MAX_DEVIATION` either way."""
        error_s = level_s - target_s
        self._errors_s.append(error_s)
        self._far_ticks = self._far_ticks + 1 if error_s > _FAR_S else 0
        self.surplus_s = error_s if self._far_ticks >= _LASTING_TICKS else 0.0
        self._high_ticks = self._high_ticks + 1 if error_s > _PAUSE_S else 0
        self.pause_surplus_s = min(self._errors_s) if self._high_ticks >= _LASTING_TICKS else 0.0
        error_s = self._end(self._errors_s)
        if abs(error_s) < _FAR_S:
            drift = self._drift + _LEARNING_PER_S2 * FRAME_S * error_s
            self._drift = max(-_MAX_DRIFT, min(_MAX_DRIFT, drift))
        deviation = self._drift + error_s * (_FASTER_PER_S if error_s > 0 else _SLOWER_PER_S)
        return max(-MAX_DEVIATION, min(MAX_DEVIATION, deviation))

    @property
    def drift(self) -> float:
        """The deviation that is always needed, as far as it has been learnt."""
        return self._drift

    def lower(self, by_s: float) -> None:
        """Take note that so much was taken away: the levels so far would have been lower by that."""
        self._errors_s = deque((error_s - by_s for error_s in self._errors_s), maxlen=_WINDOW_TICKS)

    def reset(self) -> None:
        """Forget the levels so far, not the drift: the ring was filled or emptied at once."""
        self._errors_s.clear()
        self._far_ticks = self._high_ticks = 0
        self.surplus_s = self.pause_surplus_s = 0.0


class RecentPeak:
    """What values reach more than once in a while, of which older ones count for less: half after `half_life_s`.

    One that stands alone counts only as far as another before it: always to have something ready for it would be a
    delay for good against one short hole now and then, and if it made a hole, `raise_by` is told.
    """

    def __init__(self, value: float, *, ceiling: float, half_life_s: float = 10.0) -> None:
        self._peak = value
        self._highest = value
        self._ceiling = ceiling
        self._half_life_s = half_life_s
        self._at_s: float | None = None

    def add(self, value: float, now_s: float) -> float:
        """Take note of a value and return the peak, at most `ceiling`."""
        if self._at_s is not None and now_s > self._at_s:
            share = 0.5 ** ((now_s - self._at_s) / self._half_life_s)
            self._peak *= share
            self._highest *= share
        self._at_s = now_s
        self._peak = min(self._ceiling, max(self._peak, min(value, self._highest)))
        self._highest = max(self._highest, value)
        return self._peak

    def raise_by(self, value: float) -> None:
        """Take note that the peak was not enough."""
        self._peak = min(self._ceiling, self._peak + value)


class StreamClock:
    """When each sample of a stream passes the device, out of stamps that jitter (a delay-locked loop of second order).

    Adriaensen, "Using a DLL to filter time", 2005: the error of a stamp corrects phase and speed, each by a little.
    """

    _PHASE_GAIN: Final = 0.05
    _SPEED_GAIN: Final = 0.001
    _LOST_S: Final = 0.05
    """A stamp further off than this is no jitter: the stream was interrupted, and starts again there."""
    _MAX_SPEED_ERROR: Final = 0.002

    def __init__(self, rate_hz: int) -> None:
        self._nominal_s = 1 / rate_hz
        self._sample_s = self._nominal_s
        self._position = 0.0
        self._at_s = 0.0
        self._is_set = False

    def stamp(self, position: float, at_s: float) -> None:
        """Take note that sample `position` passed the device at about `at_s`, monotonic seconds."""
        error_s = at_s - self.time_of(position)
        if not self._is_set or abs(error_s) > self._LOST_S:
            self._position, self._at_s, self._is_set = position, at_s, True
            return
        advance = position - self._position
        if advance <= 0:
            return
        self._at_s = self.time_of(position) + self._PHASE_GAIN * error_s
        self._position = position
        slowest, fastest = (self._nominal_s * (1 + sign * self._MAX_SPEED_ERROR) for sign in (-1, 1))
        self._sample_s = max(slowest, min(fastest, self._sample_s + self._SPEED_GAIN * error_s / advance))

    def time_of(self, position: float) -> float:
        """Return when a sample passes the device, monotonic seconds; only after the first stamp."""
        return self._at_s + (position - self._position) * self._sample_s
