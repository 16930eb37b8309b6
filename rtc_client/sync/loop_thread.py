"""LoopThread: the thread and the event loop in which one call of a sync program runs.

Every call has a thread of its own, so that a callback which blocks (a sink, a wire log) holds up no other call, and
nothing is left of it when the call is over. One loop for all calls would be cheaper: with ten calls a call then takes
1.8 % of a processor instead of 2.9 %, and 1.1 MB instead of 1.2 MB. Who places hundreds of calls uses the async door.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import logging
import os
import threading
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from enum import Enum, auto
from functools import partial
from typing import Any, Final, TypeVar
from weakref import WeakSet

from rtc_client.errors import CallClosed, CallLost, WrongThread

log = logging.getLogger(__name__)

T = TypeVar("T")

_SETTLE_S: Final = 1.0
"""How long the last readers, and then the last threads, may take to end once the call is closed."""
_PLAIN_LIMIT_S: Final = 10.0
"""A plain method takes microseconds; if it does not, a callback blocks the call's thread."""


class _State(Enum):
    NEW = auto()
    RUNNING = auto()
    OVER = auto()


class LoopThread:
    """Runs coroutines and plain functions of one call in a thread of its own; all methods may be used by any thread.

    The thread begins with the first coroutine. `stop` ends it by `close`, which is given `close_s` seconds; so does
    the end of the interpreter. What is used after that, runs in a thread that lives as long as it takes.
    """

    def __init__(self, close: Callable[[], Coroutine[Any, Any, None]], close_s: float, what: str = "call") -> None:
        """`what` is said of it when something is wrong."""
        self._close = close
        self._close_s = close_s
        self._what = what
        self._pid = os.getpid()
        self._lock = threading.RLock()  # a finalizer may come in between
        self._state = _State.NEW
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._user = threading.current_thread()
        self._began = threading.Event()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.at_end: WeakSet[Any] = WeakSet()
        """What has an async `settle()`, called once the call is closed, and its loop still runs."""

    @property
    def is_forked(self) -> bool:
        """Whether this is a copy in a child process: the call itself went on in the parent."""
        return os.getpid() != self._pid

    @property
    def is_over(self) -> bool:
        """Whether it was told to end."""
        return self._state is _State.OVER

    def begin(self) -> None:
        """Note that this thread uses the call: the end of the interpreter waits for it, unless it is the main one."""
        self._user = threading.current_thread()

    def run(self, name: str, work: Callable[[], Awaitable[T]], timeout_s: float | None = None) -> T:
        """Return what `work` returns, and raise what it raises.

        Raises:
            TimeoutError: It took longer than `timeout_s` seconds, and is being cancelled.
            CallClosed: The call was closed meanwhile, or belongs to another process.
            WrongThread: This is the thread that would have to do it.

        KeyboardInterrupt cancels it, too.
        """
        return self.wait_for(name, self.submit(name, work), timeout_s)

    def wait_for(self, name: str, future: Future[T], timeout_s: float | None, *, keep: bool = False) -> T:
        """Return what was submitted, as `run` does; with `keep` it is not cancelled, and can be waited for again."""
        try:
            return future.result(timeout_s)
        except concurrent.futures.CancelledError:
            raise CallClosed(f"the {self._what} was closed while {name}() waited") from None
        except TimeoutError:
            if future.done() or not (keep or future.cancel()):
                return future.result()  # it is the work's own, or came at the last moment
            raise TimeoutError(f"{name}() took longer than {timeout_s:g} s") from None
        except BaseException:
            if not (keep or future.done()):
                future.cancel()
            raise
        finally:
            del future  # an exception must not keep itself alive

    def submit(self, name: str, work: Callable[[], Awaitable[T]]) -> Future[T]:
        """Have `work` begun in the background, and return what will tell its outcome."""
        if self.is_forked:
            raise CallClosed(
                f"this {self._what} belongs to the process that made it: after a fork, make one in the child"
            )
        if threading.current_thread() is self._thread:
            raise WrongThread(
                f"{name}() waits, and this is the thread that it waits for, which calls sinks, sources and logs back: "
                "call it from another thread, or leave it to the program"
            )

        future: Future[T] = Future()
        with self._lock:
            if self._state is _State.NEW:
                self._start()
            if self._state is _State.RUNNING and self._loop is not None:
                # The coroutine is made there, not here: Ctrl-C may come at any line of this thread.
                self._loop.call_soon_threadsafe(self._begin, name, work, future)
                return future
        _afterwards(_tell(work, future))
        return future

    def now(self, name: str, function: Callable[[], T]) -> T:
        """Return what a plain function returns that belongs to the call's thread.

        Raises:
            CallLost: The thread has been blocked for seconds.
            CallClosed: The call belongs to another process.
        """
        if threading.current_thread() is self._thread:
            return function()

        async def work() -> T:
            return function()

        if self._state is not _State.RUNNING and not self.is_forked:
            return function()
        future = self.submit(name, work)
        done, _ = concurrent.futures.wait([future], timeout=_PLAIN_LIMIT_S)
        if not done:
            future.cancel()
            raise CallLost("blocked", f"{name} had no answer within {_PLAIN_LIMIT_S:g} s: {_BLOCKED}")
        return self.wait_for(name, future, None)

    def leave(self, work: Callable[[], Awaitable[None]]) -> None:
        """Run the last coroutine, which closes the call, and return when the thread has ended, as `stop` does."""
        try:
            self.run("with", work, self._close_s + 2 * _SETTLE_S)
        except TimeoutError:
            self.abandon()
            raise self._left_open() from None
        except Exception:
            self.stop()
            raise
        except BaseException:
            # Ctrl-C once more: the rest goes on behind, and the end of the interpreter waits for it.
            self.abandon()
            raise
        self.stop()

    def abandon(self) -> None:
        """Have the call closed and the thread ended, without waiting for it."""
        if self.is_forked:
            return
        with self._lock:
            was, self._state = self._state, _State.OVER
            # Ctrl-C may have come while the thread began.
            if was is not _State.OVER and self._thread is not None and self._began.wait(_SETTLE_S):
                assert self._loop is not None  # noqa: S101 - set before `_began`
                self._loop.call_soon_threadsafe(self._stopping.set)

    def stop(self) -> None:
        """Close the call and return when its thread has ended; nothing happens if it has already.

        Raises:
            CallLost: It has not within its deadlines.
        """
        if self.is_forked:
            return
        self.abandon()
        if self._thread is not None:
            self._thread.join(self._close_s + 4 * _SETTLE_S)
            if self._thread.is_alive():
                raise self._left_open()

    def bid_farewell(self) -> None:
        """Let the interpreter end: wait for a call that another thread is using, close any other."""
        if self.is_forked:
            return
        user = self._user
        if self._thread is not None and not (user is threading.main_thread() or user.daemon):
            while user.is_alive() and self._thread.is_alive():
                self._thread.join(0.1)
        try:
            self.stop()
        except CallLost:
            log.exception("a %s was left open", self._what)

    def _left_open(self) -> CallLost:
        return CallLost("blocked", f"the {self._what} could not be closed, and may still be open: {_BLOCKED}")

    def _start(self) -> None:
        """Begin the thread; the lock is held. A daemon, for `bid_farewell` is asked before Python drops daemons."""
        self._thread = threading.Thread(target=self._work, name="rtc-call", daemon=True)
        _running.add(self)
        self._thread.start()
        self._began.wait()
        self._state = _State.RUNNING

    def _begin(self, name: str, work: Callable[[], Awaitable[T]], future: Future[T]) -> None:
        task = asyncio.get_running_loop().create_task(_tell(work, future), name=f"sync-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        future.add_done_callback(partial(_cancel, task))

    def _work(self) -> None:
        try:
            with asyncio.Runner() as runner:
                runner.run(self._main())
        finally:
            _running.discard(self)

    async def _main(self) -> None:
        self._loop = loop = asyncio.get_running_loop()
        pool = ThreadPoolExecutor(thread_name_prefix="rtc-call")
        loop.set_default_executor(pool)
        self._began.set()
        await self._stopping.wait()
        await self._close()
        for one in list(self.at_end):
            loop.create_task(one.settle(), name="sync-settle")  # noqa: RUF006 - waited for with all the others
        others = asyncio.all_tasks() - {asyncio.current_task()}
        if others:
            await asyncio.wait(others, timeout=_SETTLE_S)
        # Runner would wait for a thread that is blocked for good, too.
        ending = threading.Thread(target=pool.shutdown, daemon=True, name="rtc-call-pool")
        ending.start()
        ending.join(_SETTLE_S)
        if ending.is_alive():
            log.warning("a thread that the call has started is still busy")
            loop.set_default_executor(ThreadPoolExecutor())


_BLOCKED: Final = "its thread is blocked, by a callback of a sink, a source, a key or a log that does not return"

_running: WeakSet[LoopThread] = WeakSet()


async def _tell(work: Callable[[], Awaitable[T]], future: Future[T]) -> None:
    """Do it, and tell the thread that waits what came of it, unless that waits no more."""
    try:
        result = await work()
    except asyncio.CancelledError:
        future.cancel()
        raise
    except BaseException as error:  # noqa: BLE001 - raised in the thread that waits
        if future.set_running_or_notify_cancel():
            future.set_exception(error)
    else:
        if future.set_running_or_notify_cancel():
            future.set_result(result)


def _cancel(task: asyncio.Task[None], future: Future[T]) -> None:
    if future.cancelled() and not task.done():
        task.get_loop().call_soon_threadsafe(task.cancel)


def _afterwards(work: Coroutine[Any, Any, None]) -> None:
    """Do what is asked of a call that is over in a thread with a loop of its own: this one may have a loop already."""
    threading.Thread(target=asyncio.run, args=[work], name="rtc-call-afterwards", daemon=True).start()


def _leave_all() -> None:
    for one in list(_running):
        one.bid_farewell()


# Private, and where there is no such thing `atexit` has to do: at that time no thread can be started any more, so that
# the end of a recording may be missing.
_register: Callable[[Callable[[], None]], object] = getattr(threading, "_register_atexit", atexit.register)
_register(_leave_all)
