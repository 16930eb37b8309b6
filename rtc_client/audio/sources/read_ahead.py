"""Sources that a task fills ahead of the call: a file, an async iterator."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from rtc_client.audio.files.reader import AudioFileReader
from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.audio.lifecycle import SingleUse, cancel_and_wait
from rtc_client.audio.pcm import to_mono_int16
from rtc_client.audio.resample import Resampler
from rtc_client.audio.sample_buffer import SampleBuffer
from rtc_client.errors import ConfigError


class ReadAheadSource(SingleUse, ABC):
    """A buffer, and the one task that fills it whenever less than `enough_samples` are in it.

    `read` and `ended` belong to the thread of the event loop.
    """

    def __init__(self, enough_samples: int) -> None:
        super().__init__()
        self._enough_samples = enough_samples
        self._buffer = SampleBuffer()
        self._has_room = asyncio.Event()
        self._pump: asyncio.Task[None] | None = None
        self._is_filled = False
        self._error: BaseException | None = None

    def read(self) -> Samples | None:
        """Return the next `FRAME_SAMPLES` samples, or None when none are ready, or will ever be. Never blocks.

        What the producer raised is raised here, after everything that it had produced before.
        """
        frame = self._buffer.take_frame(pad=self._is_filled)
        if len(self._buffer) < self._enough_samples:
            self._has_room.set()
        if frame is None and self._error is not None:
            raise self._error
        return frame

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more."""
        return self._is_filled and self._error is None and len(self._buffer) == 0

    @property
    def padding_samples(self) -> int:
        """With how much silence the last frame was filled up; 0 before it was read."""
        return self._buffer.padding_samples

    @abstractmethod
    async def _fill(self) -> None:
        """Put samples into the buffer until there are no more, calling `_room` after each block."""

    def _start_pump(self) -> None:
        self._pump = asyncio.create_task(self._run(), name=f"{type(self).__name__}-pump")

    async def _run(self) -> None:
        try:
            await self._fill()
        except asyncio.CancelledError as error:
            if self._closing is not None:
                raise
            # Something the producer itself awaits was cancelled. It will not go on, and the call must know.
            self._error = RuntimeError("the producer of this source was cancelled")
            self._error.__cause__ = error
        except Exception as error:  # noqa: BLE001  (the task's outermost frame; `read` raises it into the call)
            self._error = error
        finally:
            self._is_filled = True

    async def _room(self) -> None:
        while len(self._buffer) >= self._enough_samples:
            self._has_room.clear()
            await self._has_room.wait()

    async def _stop_pump(self) -> None:
        if self._pump is not None:
            await cancel_and_wait(self._pump)
        self._buffer.clear()
        self._is_filled = True


class FileSource(ReadAheadSource):
    """Speaks an audio file, whatever PyAV reads of any rate and length; it is decoded a second or two ahead.

    `open` raises AudioFileUnreadable for a file that cannot be used, and leaves the first half second ready to read.
    A file that turns out to be damaged later raises the same from `read`. Decoding runs in a thread, half a second
    of sound at a time; `aclose` waits for the one under way.
    """

    _ENOUGH_SAMPLES: Final = SAMPLE_RATE_HZ * 3 // 2

    def __init__(self, path: Path | str) -> None:
        super().__init__(self._ENOUGH_SAMPLES)
        self.path = Path(path)
        self._reader = AudioFileReader(path)

    async def _open(self) -> None:
        self._buffer.append(await asyncio.to_thread(self._read_first))
        if self._closing is None:
            self._start_pump()

    async def _close(self) -> None:
        await self._stop_pump()
        if self._opened:
            await asyncio.to_thread(self._reader.close)

    async def _fill(self) -> None:
        await self._room()
        while (block := await asyncio.to_thread(self._reader.read_block)) is not None:
            self._buffer.append(block)
            await self._room()

    def _read_first(self) -> Samples:
        self._reader.open()
        block = self._reader.read_block()
        if block is None:
            raise ValueError("this reader is closed")
        return block


class IteratorSource(ReadAheadSource):
    """Speaks what an async iterator yields: PcmFrames, or arrays as `to_mono_int16` takes them, of any length.

    `sample_rate_hz` is that of the arrays; a PcmFrame is at `SAMPLE_RATE_HZ` by definition. The iterator is asked
    for more while less than a second is buffered, so memory is bounded by a second and one block. Blocks are copied.
    An exception of the iterator comes out of `read`. `aclose` cancels the task that waits for the iterator, and then
    closes the iterator if it can be closed (an async generator runs its `finally`); what that raises, it raises.
    """

    def __init__(self, iterator: AsyncIterable[PcmFrame | NDArray[Any]], sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
        super().__init__(SAMPLE_RATE_HZ)
        self._iterator = aiter(iterator)
        self._resampler = Resampler(sample_rate_hz)

    async def _open(self) -> None:
        self._start_pump()

    async def _close(self) -> None:
        await self._stop_pump()
        close_iterator = getattr(self._iterator, "aclose", None)
        if close_iterator is not None:
            await close_iterator()

    async def _fill(self) -> None:
        async for block in self._iterator:
            if self._closing is not None:
                return  # the iterator swallowed our cancellation
            self._take(block)
            await self._room()
        self._buffer.append(self._resampler.flush())

    def _take(self, block: PcmFrame | NDArray[Any]) -> None:
        if isinstance(block, PcmFrame):
            if self._resampler.from_hz != SAMPLE_RATE_HZ:
                raise ConfigError(f"a PcmFrame is at {SAMPLE_RATE_HZ} Hz: yield arrays, or leave out sample_rate_hz")
            samples = block.samples
        elif getattr(block, "size", None) == 0:
            return  # a pause, not an error
        else:
            samples = to_mono_int16(block)
        self._buffer.append(self._resampler.push(samples.copy()))
