"""DeviceReports: turns what a call's microphone and speaker report into events and figures."""

from __future__ import annotations

from collections.abc import Callable

from rtc_client.audio.devices.reports import DeviceRecord, DeviceReport
from rtc_client.call.events.local_events import LocalEvent


class DeviceReports:
    """Takes the reports of a call's devices; `notify` gets each of them."""

    def __init__(self, notify: Callable[[LocalEvent], None]) -> None:
        self._notify = notify
        self._records: list[Callable[[], DeviceRecord]] = []

    def opened(self, record: Callable[[], DeviceRecord]) -> None:
        self._records.append(record)

    def report(self, report: DeviceReport) -> None:
        self._notify(report)

    @property
    def records(self) -> tuple[DeviceRecord, ...]:
        """How each device fared so far."""
        return tuple(record() for record in self._records)
