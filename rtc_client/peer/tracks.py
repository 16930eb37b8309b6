"""The track that aiortc's sender reads the caller's audio from: samples, packets or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fractions import Fraction
from typing import Any, Final

import av
import numpy as np
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError
from av.packet import Packet
from av.stream import Stream
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.clock import Clock

_TIME_BASE: Final = Fraction(1, SAMPLE_RATE_HZ)


_CATCH_UP_FRAMES: Final = 5
"""After a stall of the process, at most 100 ms are sent at once; what is older was never spoken."""


_TAPS: Final = 47


_n = np.arange(_TAPS) - _TAPS // 2


# Windowed-sinc half-band low-pass: flat to 10 kHz, more than 60 dB down from 14 kHz, 0.48 ms of delay.
_LOW_PASS: Final = (0.5 * np.sinc(0.5 * _n) * np.kaiser(_TAPS, 6.0)).astype(np.float32)


class HalfRate:
    """48 kHz interleaved stereo in, 24 kHz mono out: exactly half as many samples, block by block, without seams."""

    def __init__(self) -> None:
        self._history = np.zeros(_TAPS - 1, dtype=np.float32)

    def push(self, stereo: NDArray[Any]) -> Samples:
        """Return int16, shape `(n,)`, for int16, shape `(1, 4 n)`: `2 n` interleaved stereo samples."""
        mono = stereo.reshape(-1, 2).sum(axis=1, dtype=np.float32)
        mono *= 0.5
        block = np.concatenate((self._history, mono))
        self._history = block[-(_TAPS - 1) :]
        low = np.convolve(block, _LOW_PASS, mode="valid")[::2]
        return np.clip(np.rint(low), -32_768, 32_767).astype(np.int16)


class CallerTrack(MediaStreamTrack):
    """Speaks from the moment `speak_frames` or `speak_packets` is called; without either it never has anything to say.

    Paced by the monotonic clock, 20 ms from the first time on. What it asks must not raise.
    """

    kind = "audio"

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._next_frame: Callable[[int], Samples] | None = None
        self._next_packet: Callable[[int], bytes] | None = None
        self._chosen = asyncio.Event()
        self._start_s: float | None = None
        self._n_frames = 0

    def speak_frames(self, next_frame: Callable[[int], Samples]) -> None:
        """Ask `next_frame(position_samples)` every 20 ms for `FRAME_SAMPLES` samples; aiortc encodes them."""
        self._next_frame = next_frame
        self._chosen.set()

    def speak_packets(self, next_packet: Callable[[int], bytes]) -> None:
        """Ask `next_packet(index)` every 20 ms for an Opus packet; an empty one is not sent."""
        self._next_packet = next_packet
        self._chosen.set()

    async def recv(self) -> av.AudioFrame | Packet[Stream]:
        """Return what is due next, when it is due. Cancelling it loses no frame."""
        await self._chosen.wait()
        while self.readyState == "live":
            index = await self._next_period()
            if self._next_frame is not None:
                return _stereo_frame(self._next_frame(index * FRAME_SAMPLES), index)
            if self._next_packet is not None and (payload := self._next_packet(index)):
                packet: Packet[Stream] = Packet(payload)
                packet.pts = index * FRAME_SAMPLES
                packet.time_base = _TIME_BASE
                return packet
        raise MediaStreamError

    async def _next_period(self) -> int:
        now_s = self._clock.now_s()
        if self._start_s is None:
            self._start_s = now_s
        due = int((now_s - self._start_s) / FRAME_S)
        if due - self._n_frames > _CATCH_UP_FRAMES:
            self._n_frames = due
        await self._clock.sleep_until(self._start_s + self._n_frames * FRAME_S)
        index = self._n_frames
        self._n_frames += 1
        return index


def _stereo_frame(samples: Samples, index: int) -> av.AudioFrame:
    # aiortc encodes stereo, and FFmpeg's way from mono to stereo would take 3 dB away.
    frame = av.AudioFrame.from_ndarray(np.repeat(samples, 2).reshape(1, -1), format="s16", layout="stereo")
    frame.sample_rate = SAMPLE_RATE_HZ
    frame.time_base = _TIME_BASE
    frame.pts = index * FRAME_SAMPLES
    return frame
