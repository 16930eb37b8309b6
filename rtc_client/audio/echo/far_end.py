"""FarEndReference: what a loudspeaker plays, by the time at which it is heard.

What devices tell of time is good to a few milliseconds and moves a little from frame to frame, but an echo canceller
has to have its reference sample by sample. So sound that goes on is taken to go on, and sound that is read one frame
after the other is read without a gap; only what lies further off than `SLACK_S` is believed to have moved.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples

CAPACITY_S: Final = 2.0
"""Older sound is forgotten: no echo is so late."""
SLACK_S: Final = 0.01
"""Times that differ by less than this from what follows from the frame before are taken to be inexact."""
MAX_LEAD_S: Final = 0.04
"""By how much earlier than it is heard a sound is given to an echo canceller, if it is known so early.

A canceller cannot find an echo that comes before its cause; so much may devices be mistaken about their delays.
"""

_SLACK_SAMPLES: Final = round(SLACK_S * SAMPLE_RATE_HZ)


class FarEndReference:
    """The last `CAPACITY_S` of what was, or is about to be, heard; for the thread of the event loop."""

    def __init__(self) -> None:
        self._ring = np.zeros(round(CAPACITY_S * SAMPLE_RATE_HZ), dtype=np.int16)
        self._origin_s: float | None = None
        self._end = 0
        """The place after the last sample that is known, in samples since the origin."""
        self._read_end: int | None = None
        self._lead = round(MAX_LEAD_S * SAMPLE_RATE_HZ)
        self.jumps = 0
        """How often what was read did not go on where the frame before had ended."""

    def tap(self, frame: PcmFrame, heard_s: float | None) -> None:
        """Take a frame as a `TimedSink` tells of it; one that is never heard is none."""
        if heard_s is not None:
            self.add(frame.samples, heard_s)

    def add(self, samples: Samples, heard_s: float) -> None:
        """Take samples, int16 of shape `(n_samples,)` and less than a second, of which the first is heard at `heard_s`.

        That is monotonic seconds. What was told earlier of the same time, and later, is not played: it was dropped.
        """
        if self._origin_s is None:
            self._origin_s = heard_s
        place = self._place(heard_s)
        if abs(place - self._end) > _SLACK_SAMPLES:
            self._move_end(place)
        self._write(samples)

    def read(self, captured_s: float, n_samples: int) -> Samples:
        """Return what is heard from a moment after `captured_s` on: int16, shape `(n_samples,)`, silence where nothing.

        The moment is `lead_s`. Frame by frame it is one stream without gaps, as long as the times allow it.
        """
        if self._origin_s is None:
            return SILENCE if n_samples == len(SILENCE) else np.zeros(n_samples, dtype=np.int16)
        wanted = self._place(captured_s) + self._lead
        begin = self._read_end
        if begin is None or abs(wanted - begin) > _SLACK_SAMPLES:
            self.jumps += begin is not None
            begin = wanted
        if 0 < (missing := begin + n_samples - self._end) <= self._lead:
            # It is not known so early; from now on less is asked for.
            self._lead -= missing
            begin -= missing
        self._read_end = begin + n_samples
        return self._cut(begin, n_samples)

    @property
    def lead_s(self) -> float:
        """By how much earlier than it is heard a sound is returned by `read`, in seconds."""
        return self._lead / SAMPLE_RATE_HZ

    def _place(self, at_s: float) -> int:
        return math.floor((at_s - (self._origin_s or 0.0)) * SAMPLE_RATE_HZ + 0.5)

    def _move_end(self, place: int) -> None:
        """Let what is known end at `place`: with silence up to it, or without what was to come after it."""
        n_silent = min(place - self._end, len(self._ring))
        self._end = place - max(0, n_silent)
        if n_silent > 0:
            self._write(np.zeros(n_silent, dtype=np.int16))

    def _write(self, samples: Samples) -> None:
        n, size = len(samples), len(self._ring)
        start = self._end % size
        first = min(n, size - start)
        self._ring[start : start + first] = samples[:first]
        self._ring[: n - first] = samples[first:]
        self._end += n

    def _cut(self, begin: int, n: int) -> Samples:
        size = len(self._ring)
        known = max(begin, self._end - size), min(begin + n, self._end)
        start = begin % size
        if known == (begin, begin + n) and start + n <= size:
            return self._ring[start : start + n].copy()
        cut = np.zeros(n, dtype=np.int16)
        if known[0] < known[1]:
            places = np.arange(*known)
            cut[places - begin] = self._ring[places % size]
        return cut
