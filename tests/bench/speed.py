"""`scripts/bench answerer`: what a test with the fake answerer takes, where nothing is spoken.

Our own client calls it, in this process and on one loop, as in a test. A call is from the offer to the end of the
hang-up, a test has an answerer of its own around it.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

from rtc_client import CallConfig, NullSink, SilenceSource, connect
from rtc_client.testing import FakeAnswerer

_IMPORTS = {
    "plugin_import_ms": ("pytest", "rtc_client.testing.pytest_plugin"),
    "fixture_import_ms": ("rtc_client", "rtc_client.testing.answerer"),
}
"""What is imported: when pytest starts, beside pytest itself; when a fixture is first used."""


async def place_call(answerer: FakeAnswerer) -> None:
    """Call, and hang up as soon as the call is up."""
    config = CallConfig(api_key="any-key", base_url=answerer.base_url)
    async with connect(config, source=SilenceSource(), sink=NullSink()) as call:
        await call.hangup()


async def run_test() -> None:
    """Do what a test does, with its answerer's start and end."""
    async with FakeAnswerer() as answerer:
        await place_call(answerer)
        await answerer.calls[0].ended()
    if answerer.violations:
        raise RuntimeError(f"our client broke the protocol: {answerer.violations}")


async def start() -> None:
    """Start an answerer and end it."""
    async with FakeAnswerer():
        pass


async def measure(*, repeat: int, n_at_once: int) -> dict[str, float]:
    """Return times in ms: of the first, and then best and median of `repeat`."""
    found: dict[str, float] = {}
    for name, once in (("start", start), ("test", run_test)):
        first_ms, *others_ms = [await _timed_ms(once) for _ in range(1 + repeat)]
        found |= {f"{name}_first_ms": first_ms, **_summary(name, others_ms)}
    async with FakeAnswerer() as answerer:
        calls_ms = [await _timed_ms(lambda: place_call(answerer)) for _ in range(repeat)]
        found |= _summary("call", calls_ms)

        async def at_once() -> None:
            await asyncio.gather(*(place_call(answerer) for _ in range(n_at_once)))

        found[f"{n_at_once}_calls_at_once_ms"] = await _timed_ms(at_once)
        if len(answerer.calls) != repeat + n_at_once or answerer.violations:
            raise RuntimeError("not every call was answered in order")
    for name, (before, module) in _IMPORTS.items():
        found[name] = min(_import_ms(before, module) for _ in range(5))
    return {name: round(value, 1) for name, value in found.items()}


async def _timed_ms(once: Callable[[], Awaitable[None]]) -> float:
    began_s = time.perf_counter()
    await once()
    return (time.perf_counter() - began_s) * 1000


def _summary(name: str, times_ms: list[float]) -> dict[str, float]:
    return {f"{name}_best_ms": min(times_ms), f"{name}_median_ms": statistics.median(times_ms)}


def _import_ms(before: str, module: str) -> float:
    script = (
        f"import time, {before}; began_s = time.perf_counter(); import {module}; print(time.perf_counter() - began_s)"
    )
    finished = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    return float(finished.stdout) * 1000
