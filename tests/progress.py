"""A pytest plugin: one line that says how far a run is, which file it is in, and how long it will still take.

`--progress` switches it on, in place of a dot per test. On a terminal the line is drawn anew every second; elsewhere a
new one is written every ten. How long each test took is kept from run to run, so that the first tests are no measure
of the others.
"""

from __future__ import annotations

import sys
import time
from typing import Final

import pytest

EVERY_S: Final = 10.0
EVERY_ON_TERMINAL_S: Final = 1.0
_CACHE: Final = "progress/durations"
_CLEAR: Final = "\r\x1b[K"


class Estimate:
    """How long a run will still take; pure. Times are seconds of one clock."""

    def __init__(self, took_s: dict[str, float], began_s: float) -> None:
        """`took_s` is what tests took in earlier runs; one that is not in it counts as their mean."""
        self._took_s, self._began_s = took_s, began_s
        self._mean_s = sum(took_s.values()) / len(took_s) if took_s else 1.0
        self._left: dict[str, float] = {}
        self._total_s, self.n_tests = 0.0, 0

    def expect(self, names: list[str]) -> None:
        """These tests will run."""
        self._left = {name: self._took_s.get(name, self._mean_s) for name in names}
        self._total_s, self.n_tests = sum(self._left.values()), len(names)

    def done(self, name: str) -> None:
        """A test is over."""
        self._left.pop(name, None)

    @property
    def n_done(self) -> int:
        """How many tests are over."""
        return self.n_tests - len(self._left)

    def left_s(self, now_s: float) -> float | None:
        """Return how long the rest will take at the pace so far; None while there is none."""
        left_s = sum(self._left.values())
        done_s = self._total_s - left_s
        return None if done_s <= 0 else (now_s - self._began_s) * left_s / done_s

    def line(self, name: str, now_s: float) -> str:
        """Return the line."""
        left_s = self.left_s(now_s)
        left = "" if left_s is None else f", about {minutes(left_s)} left"
        passed = minutes(now_s - self._began_s)
        return f"{self.n_done:,} of {self.n_tests:,} tests after {passed}{left}: {name.partition('::')[0]}"


def minutes(seconds: float) -> str:
    """Return a time as minutes and seconds."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class _Progress:
    """Draws the line as the reports come."""

    def __init__(self, config: pytest.Config) -> None:
        self._cache: pytest.Cache | None = getattr(config, "cache", None)  # -p no:cacheprovider
        self._took_s: dict[str, float] = {} if self._cache is None else self._cache.get(_CACHE, {})
        self._estimate = Estimate(self._took_s, time.monotonic())
        self._is_terminal = sys.stdout.isatty()
        self._drawn_s = time.monotonic()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.items:  # xdist's controller collects none
            self._estimate.expect([item.nodeid for item in session.items])

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._estimate.expect(ids)

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        return ("passed" if report.when == "call" else "", "", "") if report.passed else None

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        name = report.nodeid
        self._took_s[name] = report.duration + (self._took_s.get(name, 0.0) if report.when != "setup" else 0.0)
        if report.when != "teardown":
            return
        self._estimate.done(name)
        now_s = time.monotonic()
        if now_s - self._drawn_s < (EVERY_ON_TERMINAL_S if self._is_terminal else EVERY_S):
            return
        self._drawn_s = now_s
        line = self._estimate.line(name, now_s)
        sys.stdout.write(f"{_CLEAR}{line}" if self._is_terminal else f"{line}\n")
        sys.stdout.flush()

    def pytest_sessionfinish(self) -> None:
        if self._is_terminal:
            sys.stdout.write(_CLEAR)
        if self._cache is not None:
            self._cache.set(_CACHE, self._took_s)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch."""
    parser.addoption("--progress", action="store_true", help="a line that says how far the run is, for a dot per test")


def pytest_configure(config: pytest.Config) -> None:
    """Draw the line in the process that the user looks at; a worker of xdist has none."""
    if config.getoption("--progress") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Progress(config), "progress-line")
