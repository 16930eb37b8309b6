"""Keeping the agent's sound as the packets it came in, undecoded. Sinks of samples are in sinks.py."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol, runtime_checkable

from rtc_client.audio.ogg import OggOpusWriter
from rtc_client.audio.packets import CLOCK_RATE_HZ, OpusError
from rtc_client.audio.saved import SavedFile

_SAVED_SAMPLES: Final = CLOCK_RATE_HZ
_SAVED_PACKETS: Final = 50
"""How much is gathered before a thread is asked to write it: a second, which is so many packets of 20 ms."""


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


class OggRecorder(SavedFile[OggOpusWriter, tuple[bytes, int]]):
    """Writes an Ogg/Opus file of the packets as they are, over what was there; its folder must exist.

    Sound lies where it belongs, with gaps concealed or silent (`packets.fillers`). What is no Opus, or would lie
    before what is already there, is left out and counted in `discarded_packets`.

    A thread writes it, a second of sound at a time, and the file is playable at any moment: a process that is killed
    loses about the last second of sound. A disk that refuses, or falls `MAX_BEHIND_PACKETS` behind, is an OSError
    from `write_packet` or `aclose`: a recording with holes would lie.
    """

    MAX_BEHIND_PACKETS: Final = 3_000
    """A minute, in packets of 20 ms."""

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.discarded_packets = 0

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        self._tell()
        self._check_open()
        self._unsaved.append((payload, position_samples))
        gathered_samples = position_samples - self._unsaved[0][1]
        if gathered_samples < _SAVED_SAMPLES and len(self._unsaved) < _SAVED_PACKETS:
            return
        if len(self._unsaved) > self.MAX_BEHIND_PACKETS:
            self._fail(TimeoutError(f"the disk of {self.path} is more than {self.MAX_BEHIND_PACKETS} packets behind"))
            self._tell()
        self._save_soon()

    def _create(self) -> OggOpusWriter:
        return OggOpusWriter(self.path)

    def _write(self, writer: OggOpusWriter, items: list[tuple[bytes, int]]) -> None:
        for payload, position_samples in items:
            try:
                is_written = writer.write(payload, position_samples)
            except OpusError:
                is_written = False
            if not is_written:
                self.discarded_packets += 1
        writer.flush()
