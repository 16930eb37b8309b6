"""Sinks that need no task: none, a numpy array, several at once."""

from __future__ import annotations

from contextlib import AsyncExitStack

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.sinks.base import Sink, TimedSink
from rtc_client.audio.sinks.callback import CallbackSink
from rtc_client.audio.sinks.wav_file import WavSink
from rtc_client.errors import ConfigError

__all__ = ["CallbackSink", "NullSink", "NumpySink", "Sink", "TeeSink", "WavSink"]


class NullSink:
    """Forgets everything; any number of calls may share one."""

    async def open(self) -> None: ...

    def write(self, frame: PcmFrame) -> None: ...

    async def aclose(self) -> None: ...


class NumpySink(SingleUse):
    """Keeps the samples in memory, 48 kB a second, up to `max_s`.

    What comes after that is not kept but counted in `dropped_samples`, so that index `i` always is position `i`.

    Raises:
        ConfigError: If `max_s` is not positive.
    """

    def __init__(self, max_s: float = 3600.0) -> None:
        super().__init__()
        if not max_s > 0:
            raise ConfigError(f"a recording of at most {max_s:g} s holds nothing: give a positive number of seconds")
        self._max_samples = round(min(max_s, 1e9) * SAMPLE_RATE_HZ)
        self._pcm = bytearray()
        self.dropped_samples = 0

    def write(self, frame: PcmFrame) -> None:
        room_samples = self._max_samples - len(self._pcm) // 2
        self._pcm += frame.samples[:room_samples].tobytes()
        self.dropped_samples += max(0, len(frame.samples) - room_samples)

    @property
    def samples(self) -> Samples:
        """A copy of what was kept so far, during and after the call: int16, shape `(n_samples,)`."""
        return np.frombuffer(self._pcm, dtype=np.int16).copy()


class TeeSink(SingleUse):
    """Hands every frame to several sinks, in the order given; each gets it, also when one before it raises."""

    def __init__(self, *sinks: Sink) -> None:
        super().__init__()
        self.sinks = sinks
        """Those that it was made with."""
        self._stack = AsyncExitStack()

    def write(self, frame: PcmFrame) -> None:
        first: Exception | None = None
        for sink in self.sinks:
            try:
                sink.write(frame)
            except Exception as error:  # noqa: BLE001  (raised below, when every sink has its frame)
                first = first or error
        if first is not None:
            raise first

    async def _open(self) -> None:
        for sink in self.sinks:
            self._stack.push_async_callback(sink.aclose)
        for sink in self.sinks:
            await sink.open()

    async def _close(self) -> None:
        await self._stack.aclose()


def players(sink: Sink) -> tuple[TimedSink, ...]:
    """Return the devices among what a sink hands its frames to: those that play, and know what is heard when."""
    if isinstance(sink, TeeSink):
        return tuple(player for one in sink.sinks for player in players(one))
    return (sink,) if isinstance(sink, TimedSink) else ()
