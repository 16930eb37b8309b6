"""CaptureBuffer: turns a microphone's callbacks into 20 ms frames and tells when each was captured.

Time is passed in. `take` belongs to the thread of the device, everything else to that of the event loop.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.devices.clock_drift import QUIET, FillControl, RecentPeak, StreamClock
from rtc_client.audio.devices.ring_buffer import RingCounts, SampleRing, mixed_down
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.variable_resampler import VariableResampler, blended, ending

CAPACITY_S: Final = 1.0
"""What a stall of our process may hold up without loss, and more than is made up for (`ticker.CATCH_UP_TICKS`)."""
MARGIN_S: Final = 0.001
"""What is kept beside what the unevenness of the callbacks asks for."""
FIRST_GAP_S: Final = 0.006
SPARE_S: Final = 0.002
"""What is kept more at the beginning, until it is known how late ticks are."""
MAX_GAP_S: Final = 0.06
"""Unevenness beyond this is a failure, not something to have a buffer for."""
AFTER_UNDERRUN_S: Final = 0.005
"""By how much more is kept ready after it was not enough."""
MAX_LEAD_S: Final = 0.25
"""A device that claims to hold samples for longer than this is not believed."""


class _Stamp(NamedTuple):
    """What a callback notes; replaced as a whole, so that the other thread never sees half of it."""

    at_s: float
    n_written: int
    n_lost: int
    first: int
    """Place of the first sample of the block in the stream of the device."""
    first_s: float
    """When that one was captured."""


class CaptureBuffer:
    """Takes what a device captures at `rate_hz`, in blocks of any size, and gives it out 20 ms at a time.

    After each frame the buffer keeps as much ready as callbacks were apart recently, and no more: with callbacks every
    5 ms the newest sample of a frame is 7 ms old.
    """

    def __init__(self, rate_hz: int, channels: int, counts: RingCounts | None = None) -> None:
        self.counts = counts or RingCounts()
        self._rate_hz = rate_hz
        self._ring = SampleRing(round(CAPACITY_S * rate_hz), channels)
        self._scratch = np.zeros((self._ring.capacity, channels), dtype=np.int16)
        # Written by the callback.
        self._stamp: _Stamp | None = None
        self._n_captured = 0
        self._n_lost = 0
        self._max_gap_s = 0.0
        # Written by the tick.
        self._resampler = VariableResampler(rate_hz, SAMPLE_RATE_HZ)
        self._control = FillControl(lowest=True)
        self._clock = StreamClock(rate_hz)
        self._gap = RecentPeak(FIRST_GAP_S, ceiling=MAX_GAP_S)
        self._is_flowing = False
        self._tail = 0
        self.captured_s: float | None = None
        """When the first sample of the frame that `read` returned last was captured, monotonic seconds."""

    # In the thread of the device.

    def take(self, frames: NDArray[np.int16], age_s: float, now_s: float) -> None:
        """Take a block, int16 of shape `(n, channels)`, whose first sample was captured `age_s` before `now_s`.

        Never waits; what finds no room is lost and counted.
        """
        last = self._stamp
        if last is not None and (gap_s := now_s - last.at_s) > self._max_gap_s:
            self._max_gap_s = gap_s
        n_lost = len(frames) - self._ring.write(frames)
        if n_lost:
            self._n_lost += n_lost
            self.counts.overflows += 1
        first_s = now_s - min(max(age_s, 0.0), MAX_LEAD_S)
        self._stamp = _Stamp(now_s, self._ring.n_written, self._n_lost, self._n_captured, first_s)
        self._n_captured += len(frames)

    # In the thread of the event loop.

    @property
    def drift(self) -> float:
        """By how much the clock of the device is faster than ours, as learnt so far: 0.0001 for 100 ppm."""
        return self._control.drift

    def level_s(self, now_s: float) -> float:
        """Return how much was captured and not read yet, delivered or not, in seconds."""
        stamp = self._stamp
        if stamp is None:
            return 0.0
        return (stamp.n_written - self._ring.n_read) / self._rate_hz + min(now_s - stamp.at_s, MAX_GAP_S)

    def read(self, now_s: float) -> Samples | None:
        """Return the next frame, int16 of shape `(FRAME_SAMPLES,)`; None when there is none."""
        stamp = self._stamp
        if stamp is None:
            return None
        target_s = self._learn(stamp, now_s) + MARGIN_S
        rest_s = self.level_s(now_s) - FRAME_S
        was_flowing = self._is_flowing
        if was_flowing:
            self._resampler.deviation = self._control.update(rest_s, target_s)
            surplus_s = self._control.surplus_s or self._in_pause(self._control.pause_surplus_s)
        elif rest_s >= target_s + SPARE_S:
            self._is_flowing, surplus_s = True, rest_s - target_s - SPARE_S
        else:
            return None
        if surplus_s > 0:
            self._skip(round(surplus_s * self._rate_hz), was_flowing=was_flowing)
        n_needed = self._resampler.needed(FRAME_SAMPLES)
        if len(self._ring) < n_needed:
            return self._run_dry(now_s, is_delivering=now_s - stamp.at_s < MAX_GAP_S)
        place = self._resampler.position + stamp.n_lost
        self.captured_s = self._clock.time_of(place)
        frame = self._resampler.pull(self._taken(n_needed), FRAME_SAMPLES)
        if surplus_s > 0 or not was_flowing:
            frame = blended(self._tail, frame)
        self._tail = int(frame[-1])
        return frame

    def _learn(self, stamp: _Stamp, now_s: float) -> float:
        """Take in what the callbacks noted since the last tick; return how far apart they were recently, in seconds."""
        self._clock.stamp(stamp.first, stamp.first_s)
        gap_s, self._max_gap_s = max(self._max_gap_s, now_s - stamp.at_s), 0.0
        return self._gap.add(gap_s if gap_s < MAX_GAP_S else 0.0, now_s)

    def _in_pause(self, surplus_s: float) -> float:
        """Return what is too much if that, and the 20 ms after it, are a pause; 0 if something would be missed."""
        n = round((surplus_s + FRAME_S) * self._rate_hz)
        return surplus_s if surplus_s and self._ring.peak(n) <= QUIET else 0.0

    def _taken(self, n: int) -> Samples:
        self._ring.read_into(self._scratch[:n])
        return mixed_down(self._scratch[:n])

    def _skip(self, n: int, *, was_flowing: bool) -> None:
        n_skipped = self._ring.skip(n)
        self._resampler.jump(n_skipped)
        self._control.reset()
        if was_flowing:
            self.counts.skipped_s += n_skipped / self._rate_hz

    def _run_dry(self, now_s: float, *, is_delivering: bool) -> Samples | None:
        """End what was said without a click, and keep more ready from now on."""
        self._is_flowing = False
        if is_delivering:
            self.counts.underruns += 1
            self._gap.raise_by(AFTER_UNDERRUN_S)
        self._control.reset()
        tail, self._tail = self._tail, 0
        return ending(tail) if tail else None
