"""PlaybackBuffer: turns 20 ms frames into a loudspeaker's callbacks and tells when each is heard.

Time is passed in. `fill` belongs to the thread of the device, everything else to that of the event loop.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.devices.clock_drift import QUIET, FillControl, RecentPeak, StreamClock
from rtc_client.audio.devices.ring_buffer import RingCounts, SampleRing
from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.audio.variable_resampler import VariableResampler, blended

CAPACITY_S: Final = 1.0
"""The agent's sound comes in real time: more than this waits only where a device does not play."""
MARGIN_S: Final = 0.002
"""What is kept beside what late ticks ask for; callbacks that come a little early need it."""
FIRST_LATENESS_S: Final = 0.003
SPARE_S: Final = 0.003
"""What is kept more at the beginning, until it is known how callbacks and ticks come."""
MAX_LATENESS_S: Final = 0.06
"""A tick that is later than this was a stall of the process, not something to have a buffer for."""
AFTER_UNDERRUN_S: Final = 0.005
"""By how much more is kept ready after it was not enough."""
MAX_LEAD_S: Final = 0.5
"""A device that claims to hold samples for longer than this is not believed."""
_FADE_S: Final = 0.005


class _Stamp(NamedTuple):
    """What a callback notes; replaced as a whole, so that the other thread never sees half of it."""

    at_s: float
    first: int
    """Place of the first sample that the device asked for, in its own stream."""
    first_s: float
    """When that one will be heard."""
    n_played: int
    n_read: int
    """Places in the streams of the device and of the ring where the next callback goes on."""


class _Piece(NamedTuple):
    """A frame on its way to the ear."""

    start: int
    end: int
    """Places in the ring."""
    position_samples: int
    n_samples: int
    """Where it lies in what was written."""
    heard_s: float


class PlaybackBuffer:
    """Takes 20 ms frames and plays them on a device at `rate_hz`, which asks for blocks of any size.

    The ring holds as much ahead of each frame as ticks were late recently, and no more: 5 ms on a quiet machine.
    """

    def __init__(self, rate_hz: int, counts: RingCounts | None = None) -> None:
        self.counts = counts or RingCounts()
        self._rate_hz = rate_hz
        self._ring = SampleRing(round(CAPACITY_S * rate_hz))
        # Written by the callback.
        self._stamp: _Stamp | None = None
        self._n_played = 0
        self._last = 0
        self._is_dry = True
        # Written by the tick.
        self._drop_before = 0
        self._resampler = VariableResampler(SAMPLE_RATE_HZ, rate_hz)
        self._control = FillControl(lowest=False)
        self._clock = StreamClock(rate_hz)
        self._lateness = RecentPeak(FIRST_LATENESS_S, ceiling=MAX_LATENESS_S)
        self._due_s: float | None = None
        self._n_underruns_seen = self.counts.underruns
        self._pieces: deque[_Piece] = deque()
        self.written_samples = 0
        """The place after the last sample that was written, at `SAMPLE_RATE_HZ`."""
        self.dropped_samples = 0
        """Samples, at `SAMPLE_RATE_HZ`, that were written and will never be heard."""
        fall = np.linspace(1, 0, max(1, round(_FADE_S * rate_hz)), dtype=np.float32)
        self._fall: NDArray[np.float32] = fall[:, np.newaxis]
        self._rise: NDArray[np.float32] = fall[::-1, np.newaxis]

    # In the thread of the device.

    def fill(self, out: NDArray[np.int16], lead_s: float, now_s: float) -> None:
        """Fill `out`, int16 of shape `(n, channels)`, whose first sample will be heard `lead_s` after `now_s`.

        Never waits; where nothing is ready there is silence, and no click before it.
        """
        ring = self._ring
        n_dropped = min(self._drop_before, ring.n_written) - ring.n_read
        n = self._drop(out, n_dropped) if n_dropped > 0 else 0
        n_got = ring.read_into(out[n:])
        if n_got:
            if n_dropped > 0:
                _scale(out[n : n + n_got], self._rise)
            n += n_got
            self._is_dry = False
            self._last = int(out[n - 1, 0])
        if n < len(out):
            if not self._is_dry:
                self._is_dry = True
                self.counts.underruns += 1
            out[n:] = self._last
            _scale(out[n:], self._fall)
            out[n + len(self._fall) :] = 0
            self._last = 0
        first, self._n_played = self._n_played, self._n_played + len(out)
        first_s = now_s + min(max(lead_s, 0.0), MAX_LEAD_S)
        self._stamp = _Stamp(now_s, first, first_s, self._n_played, ring.n_read)

    def _drop(self, out: NDArray[np.int16], n_dropped: int) -> int:
        """Let the beginning of what is dropped die away in `out`, skip the rest; return how much of `out` is used."""
        n = self._ring.read_into(out[: min(len(self._fall), n_dropped)])
        _scale(out[:n], self._fall)
        self._ring.skip(n_dropped - n)
        self._last, self._is_dry = 0, True
        return n

    # In the thread of the event loop.

    @property
    def drift(self) -> float:
        """By how much the clock of the device is faster than ours, as learnt so far: 0.0001 for 100 ppm."""
        return -self._control.drift

    @property
    def queued_samples(self) -> int:
        """How much was written and not taken by the device yet, in samples at `SAMPLE_RATE_HZ`."""
        return self._unheard(max(self._ring.n_read, self._drop_before))

    def level_s(self, now_s: float) -> float:
        """Return how much the device has left to play off the ring, in seconds; less than 0 where it is late."""
        stamp = self._stamp
        if stamp is None:
            return 0.0
        level = self._ring.n_written - max(stamp.n_read, self._drop_before)
        return level / self._rate_hz - min(now_s - stamp.at_s, MAX_LATENESS_S)

    def played_samples(self, now_s: float) -> int:
        """Return the place of the sample that is heard at `now_s`, in samples at `SAMPLE_RATE_HZ`."""
        place = 0
        for piece in self._pieces:
            if piece.heard_s > now_s:
                break
            n = min(piece.n_samples, round((now_s - piece.heard_s) * SAMPLE_RATE_HZ))
            place = piece.position_samples + n
        return place

    def write(self, frame: PcmFrame, now_s: float) -> float | None:
        """Take the next frame; return when its first sample will be heard, monotonic seconds.

        None where the device does not play: then the frame is dropped, and counted.
        """
        self.written_samples = frame.end_samples
        stamp = self._stamp
        if stamp is None:
            self.dropped_samples += len(frame.samples)
            return None
        samples = frame.samples
        target_s = self._learn(stamp, now_s, len(samples) / SAMPLE_RATE_HZ) + MARGIN_S
        begins = max(stamp.n_read, self._drop_before)
        if self._is_dry and self._ring.n_written == begins:
            self._lead_in(target_s + SPARE_S + min(now_s - stamp.at_s, MAX_LATENESS_S))
            samples = blended(0, samples)
        else:
            self._resampler.deviation = self._control.update(self.level_s(now_s), target_s)
            if self._control.surplus_s:
                self.counts.skipped_s += self._control.surplus_s
                self._cut(begins + round(self._control.surplus_s * self._rate_hz))
            elif self._control.pause_surplus_s and np.abs(samples.astype(np.int32)).max(initial=0) <= QUIET:
                samples = self._shortened(samples)
        n_cut = len(frame.samples) - len(samples)
        start = self._ring.n_written
        made = self._resampler.push(samples)
        heard_s: float = self._heard_s(stamp, start) - self._resampler.delay_s
        n_written = self._ring.write(made[:, np.newaxis])
        n_samples = round(len(samples) * n_written / max(1, len(made)))
        self.dropped_samples += len(frame.samples) - n_samples
        if n_written:
            self._pieces.append(_Piece(start, start + n_written, frame.position_samples + n_cut, n_samples, heard_s))
        while self._pieces and self._pieces[0].heard_s < now_s - 1:
            self._pieces.popleft()
        return heard_s - n_cut / SAMPLE_RATE_HZ if n_written else None

    def drop(self) -> int:
        """Let nothing more of what was written be heard but a fade of 5 ms; return how many samples that silences."""
        n_before = self.dropped_samples
        self._cut(self._ring.n_written)
        self._resampler = VariableResampler(SAMPLE_RATE_HZ, self._rate_hz)
        return self.dropped_samples - n_before

    def _learn(self, stamp: _Stamp, now_s: float, length_s: float) -> float:
        """Take in what happened since the last tick; return how late ticks were recently, in seconds."""
        self._clock.stamp(stamp.first, stamp.first_s)
        lateness_s = 0.0 if self._due_s is None else now_s - self._due_s
        self._due_s = now_s + length_s
        n_new = self.counts.underruns - self._n_underruns_seen
        self._n_underruns_seen += n_new
        if lateness_s > MAX_LATENESS_S:
            return self._lateness.add(0.0, now_s)
        if n_new:
            self._lateness.raise_by(AFTER_UNDERRUN_S)
        return self._lateness.add(lateness_s, now_s)

    def _shortened(self, samples: Samples) -> Samples:
        """Return a pause without what is too much, but never less than half of it."""
        n_cut = min(round(self._control.pause_surplus_s * SAMPLE_RATE_HZ), len(samples) // 2)
        self.counts.skipped_s += n_cut / SAMPLE_RATE_HZ
        self._control.lower(n_cut / SAMPLE_RATE_HZ)
        return samples[n_cut:]

    def _lead_in(self, length_s: float) -> None:
        self._ring.write(np.zeros((round(length_s * self._rate_hz), 1), dtype=np.int16))
        self._control.reset()

    def _heard_s(self, stamp: _Stamp, place: int) -> float:
        return self._clock.time_of(place - max(stamp.n_read, self._drop_before) + stamp.n_played)

    def _cut(self, before: int) -> None:
        """Drop what lies in the ring before a place, and count what of it was not played."""
        before = min(before, self._ring.n_written)
        unheard = self._unheard(max(self._ring.n_read, self._drop_before))
        self._drop_before = max(before, self._drop_before)
        self.dropped_samples += unheard - self._unheard(self._drop_before)
        self._pieces = deque(piece for piece in self._pieces if piece.start < self._ring.n_read or piece.end > before)
        self._control.reset()

    def _unheard(self, place: int) -> int:
        """Return how many samples of what was written lie after a place in the ring."""
        n = 0
        for piece in self._pieces:
            if piece.end > place:
                share = (piece.end - max(place, piece.start)) / (piece.end - piece.start)
                n += round(share * piece.n_samples)
        return n


def _scale(samples: NDArray[np.int16], ramp: NDArray[np.float32]) -> None:
    """Multiply the beginning of some samples, of shape `(n, channels)`, by a ramp, steeper for a shorter block."""
    n = len(samples)
    if 0 < n < len(ramp):
        ramp = ramp[np.arange(n) * (len(ramp) - 1) // max(1, n - 1)]
    samples[: len(ramp)] = samples[: len(ramp)] * ramp[: len(samples)]
