"""Runs a handler of any kind and yields its texts; what is not async runs in a thread."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import inspect
import queue
import threading
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Iterator, Mapping
from functools import partial
from typing import Any, Final

from rtc_client.delegates.handoff_request import HandoffHandler, HandoffRequest
from rtc_client.errors import HandoffFailed

MAX_THREADS: Final = 8
"""Of one call. A thread cannot be stopped: those of abandoned handlers count until their function returns."""
_END: Final = object()


class Runner:
    """Runs the handlers of one call, or its tools."""

    def __init__(self, thread_name: str = "handoff-handler") -> None:
        self._thread_name = thread_name
        self._threads: set[threading.Thread] = set()

    async def texts(self, handler: HandoffHandler, request: HandoffRequest) -> AsyncGenerator[str]:
        """Yield each text of the handler when it is there.

        Raises whatever the handler raises, HandoffFailed if `MAX_THREADS` threads are busy, and TypeError if it
        answers with something that is no text.

        Closing or cancelling it ends an async handler by CancelledError or GeneratorExit. A handler in a thread goes
        on until its function returns, or its generator yields; what it answers then is dropped.
        """
        worker = None if _is_async(handler) else self._worker()
        try:
            answer: Any = handler(request) if worker is None else await worker.run(handler, request)
            if inspect.isawaitable(answer):
                answer = await answer
            async with contextlib.aclosing(_pieces(answer, worker)) as texts:
                async for text in texts:
                    if not isinstance(text, str):
                        raise TypeError(f"a handoff handler answers with text, not with {type(text).__name__}")
                    yield text
        finally:
            request.steering.cancel()
            if worker is not None:
                worker.stop()

    async def result(self, function: Callable[..., object], arguments: Mapping[str, object]) -> object:
        """Return what a function returns for these keyword arguments, as `texts` runs a handler.

        Raises whatever the function raises, and HandoffFailed if `MAX_THREADS` threads are busy.
        """
        worker = None if _is_async(function) else self._worker()
        try:
            result: Any = function(**arguments) if worker is None else await worker.run(partial(function, **arguments))
            return await result if inspect.isawaitable(result) else result
        finally:
            if worker is not None:
                worker.stop()

    def _worker(self) -> _Worker:
        self._threads = {thread for thread in self._threads if thread.is_alive()}
        if len(self._threads) >= MAX_THREADS:
            raise HandoffFailed("The task was not begun: earlier ones that were given up are still running.")
        worker = _Worker(self._thread_name)
        self._threads.add(worker.thread)
        return worker


async def run_anywhere(function: Callable[..., Any], *args: Any) -> Any:
    """Return what a function returns: in a thread, unless it is async. Cancelling it lets go of the thread."""
    if _is_async(function):
        return await function(*args)
    worker = _Worker()
    try:
        result = await worker.run(function, *args)
        return await result if inspect.isawaitable(result) else result
    finally:
        worker.stop()


def _is_async(function: Callable[..., Any]) -> bool:
    functions = (function, getattr(function, "__call__", None))  # noqa: B004 - of an object it is a method
    return any(inspect.iscoroutinefunction(f) or inspect.isasyncgenfunction(f) for f in functions)


async def _pieces(answer: Any, worker: _Worker | None) -> AsyncGenerator[Any]:
    """Yield the texts in whatever a handler has answered with."""
    if answer is None:
        return
    if isinstance(answer, AsyncIterable):
        texts = aiter(answer)
        try:
            async for text in texts:
                yield text
        finally:
            if hasattr(texts, "aclose"):
                await texts.aclose()
    elif isinstance(answer, Iterator):
        worker = worker or _Worker()
        try:
            while (text := await worker.run(next, answer, _END)) is not _END:
                yield text
        finally:
            worker.stop(last=getattr(answer, "close", None))
    else:
        yield answer


class _Worker:
    """One daemon thread that runs functions one after the other, in the context of whoever made it."""

    def __init__(self, name: str = "handoff-handler") -> None:
        self._loop = asyncio.get_running_loop()
        # At most three jobs: one that runs, the last, and the end.
        self._jobs: queue.SimpleQueue[tuple[Callable[[], Any], asyncio.Future[Any] | None] | None] = queue.SimpleQueue()
        self.thread = threading.Thread(
            target=contextvars.copy_context().run, args=(self._work,), name=name, daemon=True
        )
        self.thread.start()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return what a function returns, or raise what it raises. Cancelling it does not stop the function."""
        future: asyncio.Future[Any] = self._loop.create_future()
        self._jobs.put((lambda: function(*args), future))
        return await future

    def stop(self, last: Callable[[], Any] | None = None) -> None:
        """Let the thread end once it has run what it is running, and `last`. Safe to call twice."""
        if last is not None:
            self._jobs.put((last, None))
        self._jobs.put(None)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            function, future = job
            result: Any = None
            failure: BaseException | None = None
            try:
                result = function()
            except Exception as error:  # noqa: BLE001 - told to whoever waits for it
                failure = error
            except BaseException as error:  # noqa: BLE001 - SystemExit in a thread must not end the loop of the call
                failure = RuntimeError(f"the handler raised {type(error).__name__}")
            if future is not None:
                with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                    self._loop.call_soon_threadsafe(_settle, future, result, failure)


def _settle(future: asyncio.Future[Any], result: Any, failure: BaseException | None) -> None:
    if future.done():
        return
    if isinstance(failure, StopIteration):  # no future takes it
        failure = RuntimeError("the handler raised StopIteration")
    if failure is not None:
        future.set_exception(failure)
    else:
        future.set_result(result)
