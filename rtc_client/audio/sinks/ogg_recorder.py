"""OggRecorder: keeps the agent's packets as they came, in an Ogg Opus file."""

from __future__ import annotations

from pathlib import Path

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, OpusError
from rtc_client.audio.files.background_writer import BackgroundWriter
from rtc_client.audio.files.ogg_opus import OggOpusWriter


class OggRecorder(BackgroundWriter[OggOpusWriter, tuple[bytes, int]]):
    """Writes an Ogg/Opus file of the packets as they are, over what was there; its folder must exist.

    Sound lies where it belongs, with gaps concealed or silent (`packets.fillers`). What is no Opus, or would lie
    before what is already there, is left out and counted in `discarded_packets`.

    A thread writes it, a second of sound at a time, and the file is playable at any moment: a process that is killed
    loses about the last second of sound. A disk that refuses, or falls a minute behind (`MAX_BEHIND` packets), is an
    OSError from `write_packet` or `aclose`: a recording with holes would lie.
    """

    def __init__(self, path: Path | str) -> None:
        super().__init__(path)
        self.discarded_packets = 0

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        self._gather((payload, position_samples), position_samples / CLOCK_RATE_HZ)

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
