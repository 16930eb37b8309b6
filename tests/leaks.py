"""A pytest plugin: a test that leaves something behind fails, and is told what.

Looked at after every test, sync or async:

- tasks still pending when the loop is about to be closed (a moment later they would be cancelled, and look tidy);
- what reached the loop's default exception handler: "Task exception was never retrieved", "Task was destroyed but it
  is pending", exceptions in callbacks and transports;
- threads still alive after the loop was closed, with which its default executor ends;
- sockets, files and pipes still open after that.

Exceptions in `__del__`, unclosed resources and dead threads are pytest's own to report: with warnings as errors they
fail the test too, because garbage is collected here, while the test can still be blamed for it.

A test that has failed by itself is not asked: its traceback keeps everything alive. Every test has a loop of its own
(pyproject.toml sets it so); a loop shared by a module would be looked at when it is closed, at no one's expense.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import stat
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

GRACE_S: Final = 0.2
GRACE_TURNS: Final = 20
"""How long, and how many turns of the loop at least, things may take to end by themselves after the test."""

THREAD_GRACE_S: Final = 1.0

TOLERATED_FILES: Final = frozenset(
    {
        "/dev/random",  # OpenSSL opens these once for the whole process
        "/dev/urandom",
    }
)

# No thread is tolerated. The two that one meets here both end in time: an executor's `asyncio_0` with its loop, and
# aiortc's `audio-decoder` with its receiver; where one is still alive, something was really not closed.

_Context = dict[str, Any]
_failed = pytest.StashKey[bool]()
_module: Path | None = None
_loops_of_failed_tests: set[asyncio.AbstractEventLoop] = set()
"""Kept for good: a weak reference would be gone before the garbage of such a loop complains."""


class _Observation:
    """What one test leaves behind, gathered from its first fixture to its last."""

    def __init__(self) -> None:
        self.leaks: list[str] = []
        self.loops: set[asyncio.AbstractEventLoop] = set()
        self._files_before = _open_files()
        self._threads_before = set(threading.enumerate())

    def look_at_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give what is ending a moment to end; then note every task that is still pending."""
        self.loops.add(loop)
        deadline_s = time.monotonic() + GRACE_S
        turns = 0
        while (pending := asyncio.all_tasks(loop)) or self._has_new_connections():
            if turns >= GRACE_TURNS and time.monotonic() >= deadline_s:
                break
            del pending  # a task that only garbage keeps alive must be collectable
            if turns == GRACE_TURNS // 2:
                gc.collect()
            loop.run_until_complete(asyncio.sleep(0.002))
            turns += 1
        self.leaks += [_describe_task(task) for task in pending]

    def note_unhandled(self, loop: asyncio.AbstractEventLoop, context: _Context) -> None:
        """Note what reached the exception handler of a loop, unless the loop is that of a failed test."""
        if loop in _loops_of_failed_tests:
            return
        text = f"reported to the event loop: {context.get('message', 'an exception')}"
        if (exception := context.get("exception")) is not None:
            text += f": {exception!r}"
        culprits = [f"{key} {context[key]!r}" for key in ("task", "future", "handle", "transport") if key in context]
        self.leaks.append(", ".join([text, *culprits]))

    def look_at_process(self) -> None:
        """Collect garbage, and note the threads and files that were not there before the test."""
        gc.collect()
        deadline_s = time.monotonic() + THREAD_GRACE_S
        for thread in self._new_threads():
            thread.join(max(0.0, deadline_s - time.monotonic()))
        self.leaks += [f"thread {thread.name!r}" for thread in self._new_threads()]
        deadline_s = time.monotonic() + GRACE_S
        while (opened := self._new_files()) and time.monotonic() < deadline_s:
            gc.collect()
            time.sleep(0.01)
        self.leaks += [_describe_file(fd, target) for fd, target in opened]

    def _new_threads(self) -> list[threading.Thread]:
        return [thread for thread in threading.enumerate() if thread not in self._threads_before]

    def _new_files(self) -> list[tuple[int, str]]:
        now = _open_files()
        more = Counter(now.values()) - Counter(self._files_before.values())
        new: list[tuple[int, str]] = []
        for fd, target in sorted(now.items()):
            if more[target] > 0 and self._files_before.get(fd) != target and target not in TOLERATED_FILES:
                more[target] -= 1
                new.append((fd, target))
        return new

    def _has_new_connections(self) -> bool:
        # A loop keeps a pair of unix sockets and an epoll for itself, so only network sockets are a reason to wait.
        return any(
            target.startswith("socket:") and not _socket_text(fd).startswith("unix") for fd, target in self._new_files()
        )


@pytest.fixture(autouse=True)
def leak_checks(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves something behind. First of the test's fixtures, so that it is torn down last."""
    observation = _Observation()
    request.node.stash[_failed] = False  # it may be taken again
    close_runner = asyncio.Runner.close
    handle_exception = asyncio.BaseEventLoop.default_exception_handler

    def close(runner: asyncio.Runner) -> None:
        with contextlib.suppress(RuntimeError):  # it is closed already
            loop = runner.get_loop()
            if not loop.is_closed():
                observation.look_at_loop(loop)
        close_runner(runner)

    def default_exception_handler(loop: asyncio.BaseEventLoop, context: _Context) -> None:
        observation.note_unhandled(loop, context)
        handle_exception(loop, context)

    with pytest.MonkeyPatch.context() as patch:
        # pytest-asyncio and asyncio.run both end a loop by Runner.close, the last moment at which its tasks are seen.
        patch.setattr(asyncio.Runner, "close", close)
        patch.setattr(asyncio.BaseEventLoop, "default_exception_handler", default_exception_handler)
        yield
        observation.look_at_process()

    if request.node.stash.get(_failed, False):
        _loops_of_failed_tests.update(observation.loops)
    elif observation.leaks:
        pytest.fail("this test left something behind:\n  " + "\n  ".join(observation.leaks), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Remember that a test has failed by itself."""
    report: pytest.TestReport = yield  # type: ignore[assignment]
    if report.failed:
        item.stash[_failed] = True
    return report  # type: ignore[return-value]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Hide what outlives a module from the garbage collector: it would be walked after every test, in 0.1 s each."""
    global _module  # noqa: PLW0603 - one test runs at a time
    if item.path != _module:
        _module = item.path
        gc.collect()
        gc.freeze()


def _describe_task(task: asyncio.Task[Any]) -> str:
    coroutine = task.get_coro()
    name = getattr(coroutine, "__qualname__", repr(coroutine))
    where = "".join(f", at {frame.f_code.co_filename}:{frame.f_lineno}" for frame in task.get_stack(limit=1))
    return f"task {task.get_name()!r} still pending: {name}{where}"


def _open_files() -> dict[int, str]:
    """Return the target of every open file descriptor, as in `/proc/self/fd`: `socket:[8151]`, `/dev/null`, …"""
    targets = {}
    # Without pathlib: twice as fast, and asked for twice in each test.
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # the descriptor by which the folder itself was read is gone
            targets[int(name)] = os.readlink(f"/proc/self/fd/{name}")  # noqa: PTH115
    return targets


def _describe_file(fd: int, target: str) -> str:
    if target.startswith("socket:"):
        return f"socket {_socket_text(fd)} (descriptor {fd})"
    return f"file {target} (descriptor {fd})"


def _socket_text(fd: int) -> str:
    """Return what kind of socket it is and whom it connects, `tcp listening on 127.0.0.1:80`."""
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return "gone"
        copy = socket.socket(fileno=os.dup(fd))
    except OSError:
        return "gone"
    with copy:
        if copy.family == socket.AF_UNIX:
            return f"unix {copy.getsockname() or '(unnamed)'}"
        kind = {socket.SOCK_STREAM: "tcp", socket.SOCK_DGRAM: "udp"}.get(copy.type, str(copy.type))
        here = _address(copy.getsockname)
        if kind == "tcp" and copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            return f"{kind} listening on {here}"
        return f"{kind} from {here} to {_address(copy.getpeername)}"


def _address(get: Callable[[], Any]) -> str:
    try:
        host, port = get()[:2]
    except OSError:
        return "nowhere"
    return f"{host}:{port}"
