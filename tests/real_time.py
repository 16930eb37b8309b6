"""A pytest plugin for tests marked `real_time`: they measure the machine, and a late machine is not their failure.

While such a test runs, three things are measured: how late its event loop runs its timers, how late the 20 ms ticker
ticks, and how long this process and its children wait for a processor. The first two may be the test's own fault (a
callback that takes too long); only the third is the machine's. So a failure counts as the machine's when somebody
waited at least `LATE_S` for a processor within a tenth of a second. Then the test is taken again, up to
`MAX_RETAKES` times. If the machine was late each time, and programs that are not of this run took `OTHERS_SHARE` of a
processor each time, the test is reported as skipped, with the lateness. A failure on a machine that was not late, or
that only this run kept busy, is a failure. More than `MAX_SKIPPED` skips fail the run.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from _pytest.runner import runtestprotocol

from rtc_client.audio import ticker as pacing
from rtc_client.audio.frames import FRAME_S

LATE_S: Final = 0.02
"""One frame of audio."""
WINDOW_S: Final = 0.1
OTHERS_SHARE: Final = 0.2
"""Of one processor: what a machine's own services take is less, and one busy program takes more."""
MAX_RETAKES: Final = 3
MAX_SKIPPED: Final = 5
PROTOCOL_LIMIT_S: Final = 240
"""Limit of a test with all its retakes; each of the waits in it has a limit of its own."""

RETAKEN: Final = "machine was late, taken again"
SKIPPED: Final = "machine was late, skipped"

_monotonic = time.monotonic


class Watch:
    """Measures the lateness of one test from `start` to `stop`. All results are the worst, in seconds."""

    def __init__(self) -> None:
        self.loop_s = self.ticker_s = self.waited_s = 0.0
        self._began_s, self._others_s = _monotonic(), others_s()
        self.others_share = 0.0
        """Processors that other programs kept busy meanwhile."""
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="lateness", daemon=True)

    def start(self) -> None:
        """Begin to measure, in a thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread."""
        self._is_over.set()
        self._thread.join()
        self.others_share = (others_s() - self._others_s) / max(0.001, _monotonic() - self._began_s)

    @property
    def was_late(self) -> bool:
        """Whether the machine was, whatever the test did."""
        return self.waited_s >= LATE_S

    @property
    def was_shared(self) -> bool:
        """Whether others kept the machine busy: what is late by this run's own doing excuses nothing."""
        return self.others_share >= OTHERS_SHARE

    def __str__(self) -> str:
        return (
            f"event loop {1000 * self.loop_s:.0f} ms late, ticker {1000 * self.ticker_s:.0f} ms, "
            f"processor awaited {1000 * self.waited_s:.0f} ms in {1000 * WINDOW_S:.0f} ms, "
            f"others took {100 * self.others_share:.0f} % of a processor"
        )

    def watch_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure how late a loop runs a timer of 20 ms, for as long as it lives."""

        def tick(due_s: float) -> None:
            now_s = loop.time()
            self.loop_s = max(self.loop_s, now_s - due_s)
            if not self._is_over.is_set():
                loop.call_later(FRAME_S, tick, now_s + FRAME_S)

        loop.call_later(FRAME_S, tick, loop.time() + FRAME_S)

    def _sample(self) -> None:
        before = waits_s()
        due_s = _monotonic() + WINDOW_S
        while not self._is_over.wait(max(0.0, due_s - _monotonic())):
            now = waits_s()
            # Where the kernel tells nothing of waits, this thread's own lateness stands for them.
            own_s = 0.0 if now else _monotonic() - due_s
            # One that is seen for the first time may have waited for long before.
            grown_s = [wait_s - before[thread] for thread, wait_s in now.items() if thread in before]
            self.waited_s = max(self.waited_s, own_s, *grown_s)
            before, due_s = now, _monotonic() + WINDOW_S


def waits_s() -> dict[int, float]:
    """Return how long each thread of this process and of its descendants has waited for a processor, in seconds."""
    found: dict[int, float] = {}
    left = [os.getpid()]
    while left:
        tasks = Path(f"/proc/{left.pop()}/task")
        try:
            threads = list(tasks.iterdir())
        except OSError:
            continue
        for thread in threads:
            try:
                found[int(thread.name)] = int((thread / "schedstat").read_bytes().split()[1]) / 1e9
                left += [int(pid) for pid in (thread / "children").read_bytes().split()]
            except OSError:
                continue
    return found


def others_s() -> float:
    """Return the processor time that programs outside this run have taken, in seconds, and what the host stole.

    The run is the process that was started first, and all its descendants: xdist's controller, or this process.
    """
    hertz = os.sysconf("SC_CLK_TCK")
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    idle, waiting_for_disk = fields[3], fields[4]
    root = os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()
    ours, left = 0, [root]
    while left:
        process = Path(f"/proc/{left.pop()}")
        try:
            ours += sum(int(ticks) for ticks in (process / "stat").read_text().rpartition(")")[2].split()[11:15])
            for task in (process / "task").iterdir():
                left += [int(pid) for pid in (task / "children").read_bytes().split()]
        except OSError:
            continue
    return (sum(fields) - idle - waiting_for_disk - ours) / hertz


_watch: Watch | None = None


def watched_loop() -> asyncio.AbstractEventLoop:
    """Make an event loop whose lateness is measured while a test is watched."""
    loop = asyncio.SelectorEventLoop()
    if _watch is not None:
        _watch.watch_loop(loop)
    return loop


@pytest.fixture(autouse=True)
def _watched_ticker() -> Iterator[None]:
    """Measure how late the ticks of calls are."""
    watch = _watch
    if watch is None:
        yield
        return
    fire = pacing._Phase._fire

    def timed_fire(phase: pacing._Phase) -> None:
        now_s = asyncio.get_running_loop().time()
        watch.ticker_s = max(watch.ticker_s, now_s - (phase._origin_s + phase._period * FRAME_S))
        fire(phase)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pacing._Phase, "_fire", timed_fire)
        yield


def pytest_configure(config: pytest.Config) -> None:
    """Make the marks known, and count what the workers report."""
    config.addinivalue_line("markers", "real_time(why): needs the machine's own clock; runs apart, one test per core")
    config.pluginmanager.register(_Tally(), "real-time-tally")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a test time for its retakes."""
    for item in items:
        if item.get_closest_marker("real_time") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(PROTOCOL_LIMIT_S))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> object:
    """Run a test that keeps real time, again while the machine spoils its result."""
    global _watch  # noqa: PLW0603 - one test runs at a time
    if item.get_closest_marker("real_time") is None:
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    notes: list[tuple[str, str]] = []
    reports: list[pytest.TestReport] = []
    is_shared = True
    for n_retakes in range(MAX_RETAKES + 1):
        _watch = watch = Watch()
        watch.start()
        try:
            reports = runtestprotocol(item, nextitem=nextitem, log=False)
        finally:
            watch.stop()
            _watch = None
        failed = [report for report in reports if report.failed]
        is_shared &= watch.was_shared
        if not failed or not watch.was_late or (n_retakes == MAX_RETAKES and not is_shared):
            break
        if n_retakes == MAX_RETAKES:
            notes.append((SKIPPED, str(watch)))
            _report_as_skipped(failed, watch)
            break
        notes.append((RETAKEN, str(watch)))
        _begin_again(item)
    reports[-1].user_properties += notes
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _begin_again(item: pytest.Item) -> None:
    assert isinstance(item, pytest.Function)
    item._initrequest()


def _report_as_skipped(failed: list[pytest.TestReport], watch: Watch) -> None:
    for report in failed:
        path, line, _ = report.location
        report.outcome = "skipped"
        report.longrepr = (path, line or 0, f"Skipped: the machine was late {MAX_RETAKES + 1} times: {watch}")


class _Tally:
    """Counts retakes and skips over all workers."""

    def __init__(self) -> None:
        self._noted: dict[str, list[str]] = {RETAKEN: [], SKIPPED: []}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, text in report.user_properties if report.when == "teardown" else ():
            if name in self._noted:
                self._noted[name].append(f"{report.nodeid}: {text}")

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if len(self._noted[SKIPPED]) > MAX_SKIPPED and not hasattr(session.config, "workerinput"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, noted in self._noted.items():
            if noted:
                terminalreporter.section(f"{name}: {len(noted)}")
            for line in noted:
                terminalreporter.write_line(line)
        if len(self._noted[SKIPPED]) > MAX_SKIPPED:
            terminalreporter.write_line(f"more than {MAX_SKIPPED} tests were skipped: this machine is too busy to tell")
