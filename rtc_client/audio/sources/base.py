"""The protocols of sources: what the caller says, frame by frame."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import FLOOR_DBFS


class Source(Protocol):
    """What a call asks for 20 ms of sound, fifty times a second.

    A source serves one call. Except where a source says otherwise, all of it belongs to the thread of the event loop.
    """

    async def open(self) -> None:
        """Acquire what is needed to read. If it fails or is cancelled, everything is let go of again.

        Raises:
            ConfigError: If the source cannot work, AudioFileUnreadable if that is the fault of a file.
        """
        ...

    def read(self) -> Samples | None:
        """Return exactly `FRAME_SAMPLES` samples, or None when nothing is ready or nothing will come any more.

        Never blocks. The samples are not to be changed. Raises whatever the producer raised, once everything that
        it produced before has been read; from then on every read raises it.
        """
        ...

    @property
    def ended(self) -> bool:
        """Whether nothing will come any more; always False for endless sources.

        The last frame is filled up with silence. A source that failed has not ended: its `read` raises.
        """
        ...

    async def aclose(self) -> None:
        """Let go of everything. Safe at any time and any number of times; cancelling it stops only the waiting."""
        ...


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
class EchoAware(Protocol):
    """A source, a microphone beside a loudspeaker, that knows what of its sound is our own.

    It is not asked for by anything but the voice detection of a barge-in (`vad.py`).
    """

    @property
    def echo_dbfs(self) -> float:
        """Up to which level the frame that `read` returned last may be the agent's echo; `FLOOR_DBFS` for none."""
        ...


def echo_dbfs_of(source: Source) -> float:
    """Return the level up to which what a source read last may be echo; `FLOOR_DBFS` where it does not know."""
    return source.echo_dbfs if isinstance(source, EchoAware) else FLOOR_DBFS


def captured_s_of(source: Source) -> float | None:
    """Return when what a source read last was captured, monotonic seconds; None where it was not, or nobody knows."""
    return source.captured_s if isinstance(source, TimedSource) else None


@runtime_checkable
class PacketSource(Source, Protocol):
    """A source whose sound is encoded already: who sends packets takes them as they are, and need not encode."""

    def read_packet(self) -> bytes | None:
        """Return the next Opus packet, of exactly 20 ms, or None when nothing will come any more; in place of `read`.

        Never blocks.
        """
        ...
