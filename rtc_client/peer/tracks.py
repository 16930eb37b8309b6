"""The two tracks of a call: what is spoken, paced every 20 ms, and what is heard, brought to 24 kHz mono."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.clock import Clock

_TIME_BASE: Final = Fraction(1, SAMPLE_RATE_HZ)
_CATCH_UP_FRAMES: Final = 5
"""After a stall of the process, at most 100 ms are sent at once; what is older was never spoken."""


class CallerTrack(MediaStreamTrack):
    """Sends one frame every 20 ms of the monotonic clock, from the first time it is asked.

    `next_frame(position_samples)` must return `FRAME_SAMPLES` samples and must not raise.
    """

    kind = "audio"

    def __init__(self, next_frame: Callable[[int], Samples], clock: Clock) -> None:
        super().__init__()
        self._next_frame = next_frame
        self._clock = clock
        self._start_s: float | None = None
        self._n_frames = 0

    async def recv(self) -> av.AudioFrame:
        """Return the next 20 ms, when they are due. Cancelling it loses no frame."""
        if self.readyState != "live":
            raise MediaStreamError
        now_s = self._clock.now_s()
        if self._start_s is None:
            self._start_s = now_s
        due = int((now_s - self._start_s) / FRAME_S)
        if due - self._n_frames > _CATCH_UP_FRAMES:
            self._n_frames = due
        await self._clock.sleep_until(self._start_s + self._n_frames * FRAME_S)
        position_samples = self._n_frames * FRAME_SAMPLES
        self._n_frames += 1
        samples = self._next_frame(position_samples)
        # aiortc encodes stereo, and FFmpeg's way from mono to stereo would take 3 dB away.
        frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
        frame.sample_rate = SAMPLE_RATE_HZ
        frame.time_base = _TIME_BASE
        frame.pts = position_samples
        return frame
