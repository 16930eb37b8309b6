"""Device events (lost, restored, glitched), and how a call subscribes to them.

A device stands behind whatever sources and sinks its user put around it, so it does not hand its reports through them:
the call says who listens (`reporting_to`) while it opens its sources and sinks, and a device remembers that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, Protocol, TypeAlias

DeviceRole: TypeAlias = Literal["microphone", "speaker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLost:
    """A device stopped, or is busy or not there when it is opened; there is silence while it is tried again."""

    role: DeviceRole
    name: str
    is_busy: bool
    """Whether another program has it."""
    message: str
    retry_s: float
    """Wait before the next try, seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRestored:
    """A device that was lost works again."""

    role: DeviceRole
    name: str
    silent_s: float
    """How long it was gone, in seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceGlitched:
    """Samples were lost at a device: too late for it, or too late for us. Told at most once a second."""

    role: DeviceRole
    name: str
    xruns: int
    """How many more the device itself reports."""
    underruns: int
    """How many times more we had nothing ready, or it had not."""


DeviceReport: TypeAlias = DeviceLost | DeviceRestored | DeviceGlitched


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """One device in one call, up to now."""

    role: DeviceRole
    name: str
    sample_rate_hz: int
    channels: int
    """With how many it was opened."""
    device_latency_s: float
    """What the device itself holds, or held when it was open last, as it says; 0 if it never was."""
    xruns: int = 0
    """How often the device said that samples were lost."""
    underruns: int = 0
    """How often nothing was ready in time, on the way between the device and us."""
    overflows: int = 0
    """How often there was no room for what was captured, because our process stood still."""
    skipped_s: float = 0.0
    """Sound that was cut because it had become too old."""
    losses: int = 0
    """How often the device went away."""
    silent_s: float = 0.0
    """For how long it was not there, in seconds."""
    drift_ppm: float = 0.0
    """By how much the clock of the device is faster than ours, in parts per million; it takes minutes to learn."""


class Reporter(Protocol):
    """Who listens to the devices of a call."""

    def opened(self, record: Callable[[], DeviceRecord]) -> None:
        """Take note of a device; `record` tells at any time how it fared."""
        ...

    def report(self, report: DeviceReport) -> None:
        """Take note of what befell it. In the thread of the event loop; does not raise."""
        ...


_reporter: ContextVar[Reporter | None] = ContextVar("rtc_client_device_reporter", default=None)


@contextmanager
def reporting_to(reporter: Reporter) -> Iterator[None]:
    """Let every device that is opened in this block, in this task or one that it starts, report to `reporter`."""
    token = _reporter.set(reporter)
    try:
        yield
    finally:
        _reporter.reset(token)


def current_reporter() -> Reporter | None:
    """Return who listens to what is opened here; None where nobody does."""
    return _reporter.get()
