"""Sources made of other sources: one after the other, all at once, louder or softer.

Nothing here waits, and nothing is kept but what is left of a frame.
"""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_SAMPLES, Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import FLOOR_DBFS, FULL_SCALE
from rtc_client.audio.sample_buffer import SampleBuffer
from rtc_client.audio.sources.base import EchoAware, Source, captured_s_of, echo_dbfs_of
from rtc_client.errors import ConfigError

__all__ = ["EchoAware", "GainSource", "MixSource", "SequenceSource"]


MAX_GAIN_DB: Final = 40.0


class _Composed(SingleUse):
    """Several sources that are opened together, closed in reverse, and have one owner."""

    def __init__(self, sources: tuple[Source, ...]) -> None:
        super().__init__()
        if not sources:
            raise ConfigError(f"a {type(self).__name__} is made of other sources: give it one at least")
        if len({id(source) for source in sources}) < len(sources):
            raise ConfigError(f"a {type(self).__name__} cannot have the same source twice: make another one")
        self._sources = sources
        self._stack = AsyncExitStack()

    @property
    def sources(self) -> tuple[Source, ...]:
        """Those that it was made of."""
        return self._sources

    async def _open(self) -> None:
        for source in self._sources:
            self._stack.push_async_callback(source.aclose)
            await source.open()

    async def _close(self) -> None:
        await self._stack.aclose()


class SequenceSource(_Composed):
    """Speaks its sources one after another, without a gap: a greeting from a file, then the microphone.

    Whatever is to come is opened at the beginning, so that a file that cannot be used is known before the call. The
    first sample of a source follows the last one of the source before it, not the silence that fills up a frame. A
    live source (one with an attribute `is_live` that is true, such as a microphone) is not delayed by that: what it
    captures while another is said goes, to the last sample.

    Raises:
        ConfigError: If it is given no source, or one of them twice.
    """

    def __init__(self, *sources: Source) -> None:
        super().__init__(sources)
        self._index = 0
        self._rest = SampleBuffer()
        self._n_skipped = 0

    @property
    def current(self) -> Source:
        """The source that is being said."""
        return self._sources[self._index]

    @property
    def echo_dbfs(self) -> float:
        """See `EchoAware`."""
        return echo_dbfs_of(self.current)

    @property
    def captured_s(self) -> float | None:
        """See `TimedSource`."""
        return captured_s_of(self.current)

    def read(self) -> Samples | None:
        frame = self._read_current()
        for source in self._sources[self._index + 1 :]:
            if getattr(source, "is_live", False):
                source.read()  # nobody hears it yet
        return frame

    def _read_current(self) -> Samples | None:
        while True:
            source = self.current
            frame = source.read()
            if frame is None:
                if not source.ended:
                    return None
            else:
                n_padding: int = getattr(source, "padding_samples", 0) if source.ended else 0
                if not (n_padding or self._n_skipped or len(self._rest)):
                    return frame
                self._rest.append(frame[self._n_skipped : len(frame) - n_padding])
                self._n_skipped = 0
            if len(self._rest) >= FRAME_SAMPLES:
                return self._rest.take_frame()
            if source.ended and not self._go_on():
                return self._rest.take_frame(pad=True)

    @property
    def ended(self) -> bool:
        return len(self._rest) == 0 and all(source.ended for source in self._sources[self._index :])

    @property
    def padding_samples(self) -> int:
        """With how much silence the last frame was filled up; 0 before it was read."""
        return self._rest.padding_samples or int(getattr(self.current, "padding_samples", 0))

    def _go_on(self) -> bool:
        """Let the next source speak; return whether there is one."""
        if self._index + 1 == len(self._sources):
            return False
        self._index += 1
        self._n_skipped = len(self._rest) if getattr(self.current, "is_live", False) else 0
        return True


class MixSource(_Composed):
    """Speaks all its sources at the same time; it ends with the last of them.

    One that has nothing ready is silent meanwhile. What exceeds full scale is clipped, and counted in
    `clipped_samples`: give loud sources less gain (`GainSource`).

    Raises:
        ConfigError: If it is given no source, or one of them twice.
    """

    def __init__(self, *sources: Source) -> None:
        super().__init__(sources)
        self.clipped_samples = 0

    def read(self) -> Samples | None:
        frames = [frame for source in self._sources if (frame := source.read()) is not None]
        if len(frames) <= 1:
            return frames[0] if frames else None
        mixed, n_clipped = mix(frames)
        self.clipped_samples += n_clipped
        return mixed

    @property
    def ended(self) -> bool:
        return all(source.ended for source in self._sources)

    @property
    def echo_dbfs(self) -> float:
        """See `EchoAware`."""
        return max(echo_dbfs_of(source) for source in self._sources)

    @property
    def captured_s(self) -> float | None:
        """See `TimedSource`; that of the first source that was captured."""
        return next((at_s for source in self._sources if (at_s := captured_s_of(source)) is not None), None)


class GainSource(_Composed):
    """Speaks a source `gain_db` louder, or softer; -inf is silence. What exceeds full scale is clipped.

    `gain_db` may be changed at any time, by the thread of the event loop; it moves there within 20 ms, without a click.

    Raises:
        ConfigError: If the gain is more than `MAX_GAIN_DB`, or no number.
    """

    def __init__(self, source: Source, gain_db: float = 0.0) -> None:
        super().__init__((source,))
        self._source = source
        self.gain_db = gain_db
        self._fader = Fader(_factor(gain_db))

    @property
    def gain_db(self) -> float:
        """By how many decibels it is louder."""
        return self._gain_db

    @gain_db.setter
    def gain_db(self, gain_db: float) -> None:
        if not gain_db <= MAX_GAIN_DB:
            raise ConfigError(f"a gain of {gain_db:g} dB is too much: choose {MAX_GAIN_DB:g} dB or less")
        self._gain_db = gain_db

    def read(self) -> Samples | None:
        frame = self._source.read()
        return None if frame is None else self._fader.faded(frame, _factor(self._gain_db))

    @property
    def ended(self) -> bool:
        return self._source.ended

    @property
    def is_live(self) -> bool:
        """Whether its source is; see `SequenceSource`."""
        return bool(getattr(self._source, "is_live", False))

    @property
    def padding_samples(self) -> int:
        """With how much silence the last frame was filled up; 0 before it was read."""
        return getattr(self._source, "padding_samples", 0)

    @property
    def echo_dbfs(self) -> float:
        """See `EchoAware`."""
        return max(FLOOR_DBFS, echo_dbfs_of(self._source) + self._gain_db)

    @property
    def captured_s(self) -> float | None:
        """See `TimedSource`."""
        return captured_s_of(self._source)


class Fader:
    """A factor that samples are multiplied by, which never jumps: it moves evenly within one block."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        """Where it is."""

    def faded(self, samples: Samples, factor: float) -> Samples:
        """Return samples, int16 of shape `(n_samples,)`, on whose way it moves to `factor`; clipped at full scale."""
        start, self.factor = self.factor, factor
        if start == factor == 1.0:
            return samples
        return clipped(samples * np.linspace(start, factor, len(samples) + 1)[1:])[0]


def mix(frames: list[Samples]) -> tuple[Samples, int]:
    """Return the sum of frames of one length, int16 of shape `(n_samples,)`, and how many samples had to be clipped."""
    return clipped(np.asarray(np.sum(frames, axis=0, dtype=np.float64)))


def clipped(samples: NDArray[Any]) -> tuple[Samples, int]:
    """Return samples as int16, and how many of them exceeded full scale."""
    rounded = np.rint(samples)
    within = np.clip(rounded, -FULL_SCALE, FULL_SCALE - 1)
    return within.astype(np.int16), int(np.count_nonzero(within != rounded))


def _factor(gain_db: float) -> float:
    return 0.0 if gain_db == -math.inf else float(10 ** (gain_db / 20))
