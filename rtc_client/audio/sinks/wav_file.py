"""WavSink: the agent's audio in a WAV file, written by a background task."""

from __future__ import annotations

import numpy as np

from rtc_client.audio.files.background_writer import BackgroundWriter
from rtc_client.audio.files.wav import WavWriter
from rtc_client.audio.frames import SAMPLE_RATE_HZ, PcmFrame, Samples


class WavSink(BackgroundWriter[WavWriter, Samples]):
    """Writes a 16-bit mono WAV file at `SAMPLE_RATE_HZ`, over what was there; its folder must exist.

    A thread writes it, a second of sound at a time, and the file is playable at any moment: a process that is killed
    loses about the last second. A disk that refuses, or falls a minute behind (`MAX_BEHIND` frames), is an OSError from
    `write` or `aclose`: a recording with holes would lie.
    """

    def write(self, frame: PcmFrame) -> None:
        self._gather(frame.samples, frame.end_samples / SAMPLE_RATE_HZ)

    def _create(self) -> WavWriter:
        return WavWriter(self.path)

    def _write(self, writer: WavWriter, items: list[Samples]) -> None:
        writer.append(np.concatenate(items))
