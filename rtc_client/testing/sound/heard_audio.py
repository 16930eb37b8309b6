"""What the answerer heard of a caller: samples placed by their timestamp, in bounded memory, and echoes of them."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SILENCE, Samples
from rtc_client.audio.resample import Resampler, resample

CLOCK_RATE_HZ: Final = 48_000
"""Opus is decoded at the rate of its RTP clock (RFC 7587)."""
HEARD_LIMIT_S: Final = 600
_JUMP_S: Final = 30
"""A timestamp further off than this is a new stream: its sound goes behind what was heard so far."""


class HeardAudio:
    """Samples of a stream at 48 kHz, each where its timestamp says; holes are silence.

    Keeps the first `HEARD_LIMIT_S` seconds; what comes later is counted and dropped.
    """

    def __init__(self, limit_s: float = HEARD_LIMIT_S) -> None:
        self.n_frames = 0
        self.n_frames_dropped = 0
        self._limit_samples = round(limit_s * CLOCK_RATE_HZ)
        self._samples: Samples = np.zeros(CLOCK_RATE_HZ, dtype=np.int16)
        self._end = 0
        self._origin: int | None = None

    def place(self, timestamp: int, samples: Samples) -> None:
        """Take a decoded frame (int16, mono, 48 kHz) whose first sample has this RTP timestamp."""
        self.n_frames += 1
        if self._origin is None:
            self._origin = timestamp
        start = timestamp - self._origin
        if start < 0 or abs(start - self._end) > _JUMP_S * CLOCK_RATE_HZ:
            start, self._origin = self._end, timestamp - self._end
        end = start + len(samples)
        if end > self._limit_samples:
            self.n_frames_dropped += 1
            return
        if end > len(self._samples):
            more = max(end, min(2 * len(self._samples), self._limit_samples)) - len(self._samples)
            self._samples = np.concatenate((self._samples, np.zeros(more, dtype=np.int16)))
        self._samples[start:end] = samples
        self._end = max(self._end, end)

    def samples(self) -> Samples:
        """Return everything heard so far: int16, mono, 24 kHz."""
        return resample(self._samples[: self._end], CLOCK_RATE_HZ)


class EchoLine:
    """Delays the caller's sound and gives it back in frames of 20 ms at 24 kHz. Bounded by its delay.

    Frames are due one after the other, whenever each came: arrivals may waver by as much as the delay.
    """

    def __init__(self, delay_s: float) -> None:
        self._delay_s = delay_s
        self._resampler = Resampler(CLOCK_RATE_HZ)
        self._pending: Samples = np.zeros(0, dtype=np.int16)
        limit_frames = round(delay_s / FRAME_S) + 25
        self._frames: deque[tuple[float, Samples]] = deque(maxlen=limit_frames)
        self._next_due_s = float("-inf")

    def push(self, samples: Samples, now_s: float) -> None:
        """Take what was heard at `now_s`: int16, mono, 48 kHz."""
        self._pending = np.concatenate((self._pending, self._resampler.push(samples)))
        while len(self._pending) >= FRAME_SAMPLES:
            if not now_s <= self._next_due_s <= now_s + 2 * self._delay_s + FRAME_S:
                self._next_due_s = now_s + self._delay_s  # the first frame, or the first after a pause
            self._frames.append((self._next_due_s, self._pending[:FRAME_SAMPLES]))
            self._next_due_s += FRAME_S
            self._pending = self._pending[FRAME_SAMPLES:]

    def pop(self, now_s: float) -> Samples:
        """Return the frame that is due at `now_s`, or silence."""
        # Half a frame of tolerance: two clocks of 20 ms beat otherwise.
        if self._frames and self._frames[0][0] <= now_s + FRAME_S / 2:
            return self._frames.popleft()[1]
        return SILENCE
