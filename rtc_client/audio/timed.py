"""When sound was captured and when it is heard: what echo control, recordings and barge-in ask of a source or a sink.

Microphone and Speaker tell it; what stands before one, a mixer or an echo canceller, hands it on.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from rtc_client.audio.frames import PcmFrame

Tap: TypeAlias = Callable[[PcmFrame, float | None], None]
"""Told of every frame on its way to the ear, and when its first sample will be heard: monotonic seconds, None for
never. Called in the thread of the event loop; must neither wait nor raise."""


@runtime_checkable
class TimedSource(Protocol):
    """A source that knows when its sound was captured."""

    @property
    def captured_s(self) -> float | None:
        """When the first sample of the frame that `read` returned last was captured, monotonic seconds.

        None before the first frame, and where the frame holds nothing that was captured.
        """
        ...


@runtime_checkable
class TimedSink(Protocol):
    """A sink that plays, and knows when what it was given is heard."""

    tap: Tap | None
    """Told of every frame by `write`."""

    @property
    def heard_s(self) -> float | None:
        """When the first sample of the frame that was written last will be heard, monotonic seconds; None for never."""
        ...

    @property
    def queued_samples(self) -> int:
        """How much was written and is still to be played, in samples at `SAMPLE_RATE_HZ`."""
        ...

    @property
    def played_samples(self) -> int:
        """The place of the sample that is heard now, on the count of `PcmFrame.position_samples`."""
        ...

    def drop(self) -> int:
        """Let nothing more of what was written be heard; return how many samples that silences.

        What the device has taken already is heard: some 10 ms. A fade of 5 ms keeps it from clicking.
        """
        ...


def add_tap(player: TimedSink, tap: Tap) -> None:
    """Let `tap` be told of what is played too, after whoever is told already."""
    before = player.tap
    if before is None:
        player.tap = tap
        return

    def both(frame: PcmFrame, heard_s: float | None) -> None:
        before(frame, heard_s)
        tap(frame, heard_s)

    player.tap = both
