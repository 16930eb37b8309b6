"""The protocols of sinks: where the agent's audio goes, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

from rtc_client.audio.frames import PcmFrame

Tap: TypeAlias = Callable[[PcmFrame, float | None], None]
"""Told of every frame on its way to the ear, and when its first sample will be heard: monotonic seconds, None for
never. Called in the thread of the event loop; must neither wait nor raise."""


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
    """Let `tap` get what is played too, after the taps that are there."""
    before = player.tap
    if before is None:
        player.tap = tap
        return

    def both(frame: PcmFrame, heard_s: float | None) -> None:
        before(frame, heard_s)
        tap(frame, heard_s)

    player.tap = both


class Sink(Protocol):
    """What a call hands the agent's sound to. A sink serves one call, in the thread of its event loop."""

    async def open(self) -> None:
        """Acquire what is needed to write. If it fails or is cancelled, everything is let go of again.

        Raises:
            ConfigError: If the sink cannot work, AudioFileUnreadable if that is the fault of a file.
        """
        ...

    def write(self, frame: PcmFrame) -> None:
        """Take the next frame; never blocks. Only between `open` and `aclose`.

        Frames come in order and contiguous, gaps filled with silence; position 0 is the instant the call connected.
        They may be of any length, and their samples are not to be changed.

        Raises whatever kept an earlier frame from where it was meant to go.
        """
        ...

    async def aclose(self) -> None:
        """Finish: what was written arrives where it was meant to go. Safe at any time and any number of times.

        Raises what went wrong since the last `write`.
        """
        ...


@runtime_checkable
class PacketSink(Protocol):
    """What a call hands the agent's packets to. It serves one call, in the thread of its event loop."""

    async def open(self) -> None:
        """Acquire what is needed to write. If it fails or is cancelled, everything is let go of again.

        Raises:
            ConfigError: If the sink cannot work, AudioFileUnreadable if that is the fault of a file.
        """
        ...

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        """Take the next Opus packet, its `payload` as it came; never blocks. Only between `open` and `aclose`.

        `position_samples` says where its sound belongs, at 48 kHz; 0 is the instant the call connected. Packets come
        in order; where one is missing, none comes.

        Raises whatever kept an earlier packet from where it was meant to go.
        """
        ...

    async def aclose(self) -> None:
        """Finish: what was written arrives where it was meant to go. Safe at any time and any number of times.

        Raises what went wrong since the last `write_packet`.
        """
        ...
