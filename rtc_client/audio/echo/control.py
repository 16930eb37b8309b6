"""EchoCancelledSource: a microphone in which its own agent is not heard, by a canceller or half duplex.

Everything happens in the tick that reads the source; nothing waits, and what is kept is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, Protocol

from rtc_client.audio.echo.canceller import EchoCanceller, is_installed
from rtc_client.audio.echo.config import ActiveEchoMode, EchoSettings
from rtc_client.audio.echo.detector import EchoDetector
from rtc_client.audio.echo.far_end import FarEndReference
from rtc_client.audio.echo.half_duplex import HANGOVER_FRAMES, Ducking
from rtc_client.audio.echo.warning import EchoDetected, EchoWarning
from rtc_client.audio.frames import Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import FLOOR_DBFS, level_dbfs
from rtc_client.audio.sources.base import Source

LEAST_RETURN_LOSS_DB: Final = 20.0
"""By so much mode `aec` makes an echo weaker before it has adapted; 35 to 50 dB then."""


class CapturingSource(Source, Protocol):
    """A source that knows when its sound was captured."""

    @property
    def captured_s(self) -> float | None:
        """When the first sample of what `read` returned last was captured, monotonic seconds; None for never."""
        ...


def chosen_mode(settings: EchoSettings) -> ActiveEchoMode:
    """Return the mode that `settings` come to on this machine."""
    if settings.mode == "auto":
        return "aec" if is_installed() else "half-duplex"
    return settings.mode


class EchoControl:
    """What is done about the echo of one call, 20 ms at a time; pure in samples. Making it may load a library.

    Raises:
        ConfigError: Mode `aec`, and its extra cannot be used.
    """

    def __init__(self, settings: EchoSettings) -> None:
        self.mode: ActiveEchoMode = chosen_mode(settings)
        self._left = EchoDetector()
        self._warning = EchoWarning(self._left, self.mode)
        self._canceller = EchoCanceller(settings) if self.mode == "aec" else None
        self._trace = EchoDetector()
        self._far_dbfs: deque[float] = deque(maxlen=HANGOVER_FRAMES)
        self.ducking = (
            Ducking(self._trace, break_through=settings.break_through) if self.mode == "half-duplex" else None
        )
        """What half duplex does; None in the other modes."""

    def process(self, near: Samples, far: Samples, *, is_hold: bool = False) -> Samples:
        """Return what is said of what was captured: int16, shape `(FRAME_SAMPLES,)`, as both arguments.

        `far` is what is heard meanwhile, or a moment later, as `FarEndReference.read` returns it; with `is_hold` it is
        not the agent but the hold sound.
        """
        if self._canceller is not None:
            self._far_dbfs.append(level_dbfs(far))
            near = self._canceller.process(near, far)
        elif self.ducking is not None:
            near = self.ducking.process(near, *self._trace.add(near, far), is_hold=is_hold)
            if is_hold:
                return near  # let through, echo and all
        if not self._warning.is_told:
            self._left.add(near, far)
        return near

    @property
    def echo_dbfs(self) -> float:
        """Up to which level what `process` returned last may be the echo; `FLOOR_DBFS` for none.

        With headphones nobody looks. Of `aec` it is what is left in the first second, before it has adapted.
        """
        if self.ducking is not None:
            return self.ducking.echo_dbfs
        loudest = max(self._far_dbfs, default=FLOOR_DBFS)
        return max(FLOOR_DBFS, loudest - LEAST_RETURN_LOSS_DB) if self._canceller is not None else FLOOR_DBFS

    def poll(self) -> EchoDetected | None:
        """Return that our own output is heard in what `process` returned, once; call it after each frame."""
        return self._warning.poll()


class EchoCancelledSource(SingleUse):
    """Says what `source` captures, without what is played: a source, whose sound may stand behind other sources.

    Only frames that were captured are processed, those at which `source.captured_s` is a time; others pass as they are.
    `played` has to be told what is heard, and when. `on_heard` is told once if our own output is heard all the same.
    While `is_hold` returns true, what is heard is no voice, and half duplex lets the caller speak.
    Opening and closing it opens and closes `source`.

    `open` raises ConfigError when the mode is `aec` and its extra cannot be used.
    """

    is_live: Final = True
    """It is not held up by a source that is said before it (`SequenceSource`)."""

    def __init__(
        self,
        source: CapturingSource,
        played: FarEndReference,
        settings: EchoSettings | None = None,
        *,
        on_heard: Callable[[EchoDetected], None] | None = None,
        is_hold: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__()
        self._source = source
        self._played = played
        self._settings = settings or EchoSettings()
        self._on_heard = on_heard
        self._is_hold = is_hold
        self._control: EchoControl | None = None

    @property
    def mode(self) -> ActiveEchoMode | None:
        """What is done about the echo; None before `open`."""
        return None if self._control is None else self._control.mode

    @property
    def captured_s(self) -> float | None:
        """When the first sample of the frame that `read` returned last was captured, as `source` tells it."""
        return self._source.captured_s

    @property
    def echo_dbfs(self) -> float:
        """Up to which level the frame that `read` returned last may be the agent's echo; `FLOOR_DBFS` for none."""
        return FLOOR_DBFS if self._control is None else self._control.echo_dbfs

    @property
    def ended(self) -> bool:
        return self._source.ended

    def read(self) -> Samples | None:
        frame = self._source.read()
        captured_s, control = self._source.captured_s, self._control
        if frame is None or captured_s is None or control is None:
            return frame
        is_hold = self._is_hold is not None and self._is_hold()
        frame = control.process(frame, self._played.read(captured_s, len(frame)), is_hold=is_hold)
        if (heard := control.poll()) is not None and self._on_heard is not None:
            self._on_heard(replace(heard, delay_s=round(heard.delay_s - self._played.lead_s, 4)))
        return frame

    async def _open(self) -> None:
        self._control = await asyncio.to_thread(EchoControl, self._settings)
        await self._source.open()

    async def _close(self) -> None:
        await self._source.aclose()
