"""Microphone: a source that captures audio from a device."""

from __future__ import annotations

from typing import ClassVar, Final

from rtc_client.audio.devices.capture_buffer import CaptureBuffer
from rtc_client.audio.devices.portaudio import StreamCallback
from rtc_client.audio.devices.reopening_device import ReopeningDevice
from rtc_client.audio.devices.reports import DeviceRole
from rtc_client.audio.devices.selection import Direction
from rtc_client.audio.frames import Samples


class Microphone(ReopeningDevice):
    """Says what a microphone captures, endlessly: a source (extra `devices`).

    `device` is an index, or a part of the name that only one has; the default device for None. It is opened at its
    native rate with one or two channels, which are averaged. A frame leaves when it is full and its newest sample is
    about 7 ms old, more where callbacks come in bursts; the clock of the device may go as it likes.

    `open` raises ConfigError when there is no such device, or PortAudio is not installed. A device that is busy,
    stops, or is pulled out does not end the call: `read` returns None meanwhile, it is told by `Call.events`
    (`DeviceLost`, `DeviceRestored`, `DeviceGlitched`) and in `result.devices`, and it is opened again as soon as it can
    be, looked for after 0.5 s, then after twice as long each time up to 8 s.
    """

    role: ClassVar[DeviceRole] = "microphone"
    _direction: ClassVar[Direction] = "input"
    ended: Final = False
    is_live: Final = True
    """What it gives is of now; behind another source it is not delayed (`SequenceSource`)."""

    def __init__(self, device: int | str | None = None) -> None:
        super().__init__(device)
        self._buffer: CaptureBuffer | None = None
        self._captured_s: float | None = None

    def read(self) -> Samples | None:
        buffer = self._buffer
        frame = None if buffer is None else buffer.read(self._now_s())
        self._captured_s = None if buffer is None or frame is None else buffer.captured_s
        return frame

    @property
    def captured_s(self) -> float | None:
        """When the first sample of the frame that `read` returned last was captured, monotonic seconds; None for none.

        As the device tells it, smoothed: good to a few milliseconds.
        """
        return self._captured_s

    @property
    def level_s(self) -> float:
        """How much was captured and not read yet, in seconds."""
        return 0.0 if self._buffer is None else self._buffer.level_s(self._now_s())

    def _prepare(self, rate_hz: int, channels: int) -> StreamCallback:
        self._buffer = CaptureBuffer(rate_hz, channels, self._counts)
        return self._buffer.take

    def _lost(self) -> None:
        self._buffer = None

    @property
    def _drift(self) -> float:
        return 0.0 if self._buffer is None else self._buffer.drift
