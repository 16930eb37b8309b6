"""Announcements: plays a file or a source into a running call beside its own source, one at a time."""

from __future__ import annotations

import asyncio

from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, Samples
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.mixer import Fader, mix
from rtc_client.audio.variable_resampler import ending
from rtc_client.errors import CallClosed, RtcClientError, SourceFailed


class Insertion:
    """One source on its way into the call. What it raises ends it, not the call."""

    def __init__(self, source: Source, *, mixed: bool) -> None:
        self._source = source
        self._tail = 0
        self.mixed = mixed
        self.is_over = False
        self.error: Exception | None = None
        """Why it ended before its end; None if it did not."""
        self.ended = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether there is not even a last sound of it that dies away."""
        return self.is_over and not self._tail

    def next_frame(self) -> Samples | None:
        """Return the next 20 ms: int16, shape `(FRAME_SAMPLES,)`; None when there is nothing. Never raises."""
        if self.is_over:
            tail, self._tail = self._tail, 0
            return ending(tail) if tail else None
        try:
            frame = self._source.read()
            has_ended = self._source.ended
            if frame is not None and (frame.shape != (FRAME_SAMPLES,) or frame.dtype != SILENCE.dtype):
                raise TypeError(f"a frame must be int16 and of shape {(FRAME_SAMPLES,)}")
        except Exception as error:  # noqa: BLE001 - a user's source may raise anything; who plays it is told
            self.stop(error)
            return None
        if frame is not None:
            self._tail = int(frame[-1])
        if has_ended:
            self._tail = 0
            self.stop()
        return frame

    def stop(self, error: Exception | None = None) -> None:
        """Say no more of it; what was said last dies away within a frame."""
        if not self.is_over:
            self.is_over, self.error = True, error
            self.ended.set()


class Announcements:
    """The insertions of one call, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._turn = asyncio.Lock()
        self._own = Fader()
        self._current: Insertion | None = None
        self._is_over = False

    @property
    def is_playing(self) -> bool:
        """Whether something is being said."""
        return self._current is not None

    async def play(self, source: Source, *, mixed: bool) -> None:
        """Say a source to its end, behind those that are being said; see `Call.play`."""
        try:
            async with self._turn:
                current = Insertion(source, mixed=mixed)
                self._check_open()
                await source.open()
                self._check_open()
                self._current = current
                try:
                    await current.ended.wait()
                finally:
                    current.stop()
        finally:
            await source.aclose()
        if isinstance(current.error, RtcClientError):
            raise current.error
        if current.error is not None:
            raise SourceFailed(f"the source failed: {type(current.error).__name__}") from current.error

    def over(self, own: Samples) -> Samples:
        """Return the 20 ms to say where the call's own source says `own`: int16, shape `(FRAME_SAMPLES,)`."""
        current = self._current
        factor = 1.0 if current is None or current.mixed or current.is_over else 0.0
        if own is SILENCE:
            self._own.factor = factor
        else:
            own = self._own.faded(own, factor)
        if current is None:
            return own
        frame = current.next_frame()
        if current.is_done:
            self._current = None
        if frame is None:
            return own
        return frame if own is SILENCE else mix([own, frame])[0]

    def end(self) -> None:
        """The call is over: whoever waits is told."""
        self._is_over = True
        if self._current is not None:
            self._current.stop(CallClosed("the call is over"))

    def _check_open(self) -> None:
        if self._is_over:
            raise CallClosed("the call is over")
