"""Speaker: a sink that plays audio on a device."""

from __future__ import annotations

from typing import ClassVar

from rtc_client.audio.devices.playback_buffer import PlaybackBuffer
from rtc_client.audio.devices.portaudio import StreamCallback
from rtc_client.audio.devices.reopening_device import ReopeningDevice
from rtc_client.audio.devices.reports import DeviceRole
from rtc_client.audio.devices.selection import Direction
from rtc_client.audio.frames import PcmFrame
from rtc_client.audio.sinks.base import Tap


class Speaker(ReopeningDevice):
    """Plays what it is given on a loudspeaker or headphones: a sink (extra `devices`).

    `device` is an index, or a part of the name that only one has; the default device for None. It is opened at its
    native rate, the same sound on one or two channels. Ahead of a frame lie about 5 ms, more where our process is late
    now and then; the clock of the device may go as it likes. `tap` gets every frame and the time at which it will be
    heard.

    `open` raises ConfigError when there is no such device, or PortAudio is not installed. A device that is busy,
    stops, or is pulled out does not end the call: what is written meanwhile is not heard, and counted in
    `dropped_samples`; it is told and opened again as that of a `Microphone`.
    """

    role: ClassVar[DeviceRole] = "speaker"
    _direction: ClassVar[Direction] = "output"

    def __init__(self, device: int | str | None = None, *, tap: Tap | None = None) -> None:
        super().__init__(device)
        self.tap = tap
        self._buffer: PlaybackBuffer | None = None
        self._dropped_before = 0
        self._played = 0
        self._heard_s: float | None = None

    def write(self, frame: PcmFrame) -> None:
        buffer = self._buffer
        if buffer is None:
            self._dropped_before += len(frame.samples)
            self._heard_s = None
        else:
            self._heard_s = buffer.write(frame, self._now_s())
        if self.tap is not None:
            self.tap(frame, self._heard_s)

    def drop(self) -> int:
        """Let nothing more of what was written be heard but a fade of 5 ms; return how many samples that silences.

        What the device has taken already is heard: some 10 ms. They count in `dropped_samples`.
        """
        return 0 if self._buffer is None else self._buffer.drop()

    @property
    def heard_s(self) -> float | None:
        """When the first sample of the frame that was written last will be heard, monotonic seconds.

        As the device tells it, smoothed: good to a few milliseconds. None while there is no device.
        """
        return self._heard_s

    @property
    def played_samples(self) -> int:
        """The place of the sample that is heard now, on the count of `PcmFrame.position_samples`."""
        if self._buffer is not None:
            self._played = max(self._played, self._buffer.played_samples(self._now_s()))
        return self._played

    @property
    def queued_samples(self) -> int:
        """How much was written and not taken by the device yet, in samples at `SAMPLE_RATE_HZ`."""
        return 0 if self._buffer is None else self._buffer.queued_samples

    @property
    def dropped_samples(self) -> int:
        """Samples, at `SAMPLE_RATE_HZ`, that were written and never heard."""
        return self._dropped_before + (0 if self._buffer is None else self._buffer.dropped_samples)

    def _prepare(self, rate_hz: int, channels: int) -> StreamCallback:
        self._lost()
        self._buffer = PlaybackBuffer(rate_hz, self._counts)
        return self._buffer.fill

    def _lost(self) -> None:
        """Count what was on its way as not heard, and from now on everything."""
        if self._buffer is not None:
            self.drop()
            self._played, self._dropped_before, self._buffer = self.played_samples, self.dropped_samples, None

    @property
    def _drift(self) -> float:
        return 0.0 if self._buffer is None else self._buffer.drift
