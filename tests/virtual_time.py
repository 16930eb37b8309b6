"""A pytest plugin: the event loop of a test has a clock of its own, which passes only while nothing is left to do.

A whole call over loopback (HTTP, ICE, DTLS, SRTP, Opus, websocket) runs in such a loop unchanged: what one side sends
is in the other side's socket when the system call returns. So a loop that has no callback to run and no socket to read
can only be waiting for its next timer, and its clock is set to that timer at once. A call of ten seconds takes the
processor time it costs, and a busy machine delays nothing in it.

While a thread is at work, time passes as on the machine, because nobody can tell how long the work will take. A child
process is refused for the same reason. Two marks choose another clock:

- `real_time(why)`: the clock of the machine. `tests/real_time.py` runs these tests.
- `both_clocks`: the test runs twice, `[virtual]` and `[real]`. It is the real counterpart of the tests beside it.
- `programs`: the clock of the machine, for a test that starts programs and makes no promise about time.

A test in which virtual time passes has a real counterpart. The docstring of its module names it: "In real time: ...".
"""

from __future__ import annotations

import asyncio
import datetime
import os
import platform
import selectors
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor
from typing import Any, Final, TypeAlias

import aiortc.clock
import pytest

from rtc_client.clock import epoch_s
from rtc_client.peer import aiortc_internals
from tests.real_time import watched_loop

LoopFactory: TypeAlias = Callable[[], asyncio.AbstractEventLoop]

STEP_S: Final = 0.001
"""Real time between two looks whether a thread is still at work."""
SETTLE_S: Final = 0.00005
"""Real time in which a thread that waits for the interpreter's lock gets it, and is seen to run."""
UNNAMED_S: Final = 0.1
"""Time may pass for so long without a real counterpart: a few polls of a condition."""
COUNTERPART: Final = "In real time: "

_monotonic, _wall_s, _sleep = time.monotonic, epoch_s, time.sleep

platform.processor()  # the official SDK asks for it: the first time by a program


class VirtualClock:
    """Seconds since the machine started, as the machine's clock has them, until they are set to something later."""

    def __init__(self) -> None:
        self.began_s = self.now_s = _monotonic()
        self._epoch_s = _wall_s() - self.now_s

    def monotonic(self) -> float:
        """Stand in for `time.monotonic`."""
        return self.now_s

    def time(self) -> float:
        """Stand in for `time.time`."""
        return self._epoch_s + self.now_s

    def current_datetime(self) -> datetime.datetime:
        """Stand in for aiortc's reader of the wall clock."""
        return datetime.datetime.fromtimestamp(self.time(), datetime.UTC)


class _JumpingSelector(selectors.DefaultSelector):
    """Sets a clock to the next timer where another selector would wait for it."""

    def __init__(self, clock: VirtualClock, are_threads_at_work: Callable[[], bool]) -> None:
        super().__init__()
        self._clock, self._are_threads_at_work = clock, are_threads_at_work

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        events = super().select(0 if timeout is not None else None)
        if events or timeout is None or timeout <= 0:
            return events
        if self._are_threads_at_work():
            began_s = _monotonic()
            events = super().select(min(timeout, STEP_S))
            self._clock.now_s += min(timeout, _monotonic() - began_s)
        else:
            self._clock.now_s += timeout
        return events


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop on a virtual clock, which everything in the process reads until the loop is closed."""

    passed_s = 0.0
    """Time that passed in the loop that was closed last."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self._known_threads = set(threading.enumerate())
        self._n_jobs = 0
        self._status_files: dict[threading.Thread, int] = {}
        self._patch = pytest.MonkeyPatch()
        super().__init__(_JumpingSelector(self.clock, self._are_threads_at_work))
        self._patch.setattr(time, "monotonic", self.clock.monotonic)
        self._patch.setattr(time, "time", self.clock.time)
        self._patch.setattr(time, "sleep", self._sleep)
        self._patch.setattr(aiortc.clock, "current_datetime", self.clock.current_datetime)
        # The kernel stamps datagrams by the machine's clock.
        self._patch.setattr(aiortc_internals, "age_s", lambda *_: 0.0)
        self._patch.setattr(subprocess.Popen, "__init__", _refuse_process)

    def close(self) -> None:
        self._patch.undo()
        for file in self._status_files.values():
            os.close(file)
        VirtualTimeLoop.passed_s = self.clock.now_s - self.clock.began_s
        super().close()

    def time(self) -> float:
        return self.clock.now_s

    def _sleep(self, seconds: float) -> None:
        """Stand in for `time.sleep`: in the loop's thread it is a stall of the loop."""
        if threading.get_ident() == self._thread_id:  # type: ignore[attr-defined]
            self.clock.now_s += seconds
        else:
            _sleep(seconds)

    def run_in_executor(  # type: ignore[override]
        self, executor: Executor | None, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        job = super().run_in_executor(executor, func, *args)
        self._n_jobs += 1
        job.add_done_callback(self._job_done)
        return job

    def _job_done(self, _: asyncio.Future[Any]) -> None:
        self._n_jobs -= 1

    def _are_threads_at_work(self) -> bool:
        if self._n_jobs:
            return True
        if threading.active_count() <= len(self._known_threads):
            return False
        _sleep(SETTLE_S)
        return any(self._is_running(thread) for thread in threading.enumerate() if thread not in self._known_threads)

    def _is_running(self, thread: threading.Thread) -> bool:
        """Return whether a thread does anything but sleep in the kernel."""
        try:
            if (file := self._status_files.get(thread)) is None:
                file = os.open(f"/proc/self/task/{thread.native_id}/stat", os.O_RDONLY)
                self._status_files[thread] = file
            status = os.pread(file, 200, 0)
        except OSError:  # it has just ended
            return False
        return status.rpartition(b")")[2][1:2] != b"S"


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known."""
    config.addinivalue_line("markers", "both_clocks: runs on a virtual clock and on the machine's")
    config.addinivalue_line("markers", "programs: starts programs, and makes no promise about time")


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, LoopFactory]:
    """Choose the clock of a test."""
    if item.get_closest_marker("real_time"):
        return {"real": watched_loop}
    if item.get_closest_marker("programs"):
        return {"real": asyncio.SelectorEventLoop}
    if item.get_closest_marker("both_clocks"):
        return {"virtual": VirtualTimeLoop, "real": watched_loop}
    return {"virtual": VirtualTimeLoop}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests that `both_clocks` runs on the machine's clock."""
    for item in items:
        if item.get_closest_marker("both_clocks") and not _is_virtual(item):
            item.add_marker(pytest.mark.real_time("the counterpart of tests in virtual time"))


def _is_virtual(item: pytest.Item) -> bool:
    callspec = getattr(item, "callspec", None)
    return callspec is not None and VirtualTimeLoop in callspec.params.values()


@pytest.fixture(autouse=True)
def _named_counterpart(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test in virtual time of which nothing says where the same is seen in real time."""
    VirtualTimeLoop.passed_s = 0.0
    yield
    passed_s = VirtualTimeLoop.passed_s
    if passed_s > UNNAMED_S and COUNTERPART not in (request.module.__doc__ or ""):
        pytest.fail(f'{passed_s:.1f} s of virtual time passed: the module\'s docstring lacks "{COUNTERPART}test_..."')


def _refuse_process(_: object, args: object, **__: object) -> None:
    pytest.fail(f"a program has no virtual time ({args}): mark the test real_time or programs")
