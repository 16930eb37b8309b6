"""CallbackSink: hands the agent's audio to a function, in a background task."""

from __future__ import annotations

import asyncio
import inspect
from collections import deque
from collections.abc import Awaitable, Callable

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.errors import ConfigError


class CallbackSink(SingleUse):
    """Calls back with every frame.

    A plain function is called from within `write`, so it must not block; what it raises, `write` raises. A coroutine
    function is awaited, frame after frame, by one task, from a queue of `capacity_s`; when it falls behind further
    than that, the oldest frames are dropped and counted in `dropped_samples`. What it raises comes out of the next
    `write` or of `aclose`, and it is not called again.

    `aclose` waits until the queue has been worked off; cancelling it cancels the callback and drops the rest.

    Raises:
        ConfigError: If the capacity is not positive.
    """

    def __init__(
        self, callback: Callable[[PcmFrame], object] | Callable[[PcmFrame], Awaitable[object]], capacity_s: float = 5.0
    ) -> None:
        super().__init__()
        if not capacity_s > 0:
            raise ConfigError(f"a queue of {capacity_s:g} s holds nothing: give a positive number of seconds")
        self._callback = callback
        self._is_async = _is_coroutine_function(callback)
        self._capacity_samples = max(FRAME_SAMPLES, round(min(capacity_s, 1e9) * SAMPLE_RATE_HZ))
        self._queue: deque[PcmFrame] = deque()
        self._queued_samples = 0
        self._wake = asyncio.Event()
        self._worker: asyncio.Task[None] | None = None
        self._is_abandoned = False
        self._failure = _Failure()
        self.dropped_samples = 0

    def write(self, frame: PcmFrame) -> None:
        self._failure.tell()
        if not self._is_async:
            result = self._callback(frame)
            if inspect.iscoroutine(result):
                result.close()
                raise TypeError("the callback of a CallbackSink returned a coroutine: make it an `async def` itself")
            return
        self._queue.append(frame)
        self._queued_samples += len(frame.samples)
        while self._queued_samples > self._capacity_samples:
            self.dropped_samples += len(self._take().samples)
        self._wake.set()

    async def aclose(self) -> None:
        try:
            await super().aclose()
        except asyncio.CancelledError:
            self._is_abandoned = True
            if self._worker is not None:
                self._worker.cancel()
            raise

    async def _open(self) -> None:
        if self._is_async:
            self._worker = asyncio.create_task(self._deliver(), name="CallbackSink-deliver")

    async def _close(self) -> None:
        if self._worker is not None:
            self._wake.set()
            await asyncio.wait([self._worker])
        while self._queue:
            self.dropped_samples += len(self._take().samples)
        self._failure.tell_once()

    async def _deliver(self) -> None:
        try:
            while self._queue or self._closing is None:
                if self._queue:
                    result = self._callback(self._take())
                    if inspect.isawaitable(result):
                        await result
                else:
                    self._wake.clear()
                    await self._wake.wait()
        except asyncio.CancelledError as error:
            if self._is_abandoned:
                raise
            # Something the callback awaits was cancelled. It will not go on, and the call must know.
            self._failure.keep(RuntimeError("the callback of this sink was cancelled"), error)
        except Exception as error:  # noqa: BLE001  (the task's outermost frame; `write` raises it into the call)
            self._failure.keep(error)

    def _take(self) -> PcmFrame:
        frame = self._queue.popleft()
        self._queued_samples -= len(frame.samples)
        return frame


class _Failure:
    """The first error of a task, kept until someone who can end the call asks for it."""

    def __init__(self) -> None:
        self._error: Exception | None = None
        self._is_told = False

    def __bool__(self) -> bool:
        return self._error is not None

    def keep(self, error: Exception, cause: BaseException | None = None) -> None:
        if self._error is None:
            self._error = error
            error.__cause__ = cause or error.__cause__

    def tell(self) -> None:
        if self._error is not None:
            self._is_told = True
            raise self._error

    def tell_once(self) -> None:
        if not self._is_told:
            self.tell()


def _is_coroutine_function(callback: Callable[[PcmFrame], object]) -> bool:
    return inspect.iscoroutinefunction(callback) or inspect.iscoroutinefunction(type(callback).__call__)
