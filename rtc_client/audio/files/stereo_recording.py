"""StereoRecording: the file of a recorded call, a voice per channel, as Opus, WAV or FLAC. It blocks."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, get_args

import numpy as np

from rtc_client.audio.codecs.opus import OpusEncoder
from rtc_client.audio.codecs.opus_packet import SILENT_STEREO_PACKET, UNITS_PER_SAMPLE
from rtc_client.audio.files.flac import FlacWriter
from rtc_client.audio.files.ogg_opus import OggOpusWriter
from rtc_client.audio.files.stereo_alignment import AGENT, CALLER, Loudness, StereoAligner
from rtc_client.audio.files.wav import WavWriter
from rtc_client.audio.frames import FRAME_SAMPLES, Samples

RecordingFormat: TypeAlias = Literal["ogg", "wav", "flac"]
FORMATS: Final[tuple[RecordingFormat, ...]] = get_args(RecordingFormat)

BIT_RATE: Final = 64_000
"""For both voices. From here on libopus codes the channels apart (CELT): none of one voice is heard in the other."""
_COMPLEXITY: Final = 5
_HANGOVER_FRAMES: Final = 5
"""Silence that is encoded after audio: it brings out the last samples."""


class StereoWriter(Protocol):
    """What writes the two channels."""

    def append(self, samples: Samples) -> None:
        """Add samples: int16, shape `(n_samples, 2)`. Raises OSError if the system refuses."""
        ...

    def flush(self) -> None:
        """Let what was added be readable. Raises OSError if the system refuses."""
        ...

    def close(self) -> None:
        """Finish the file. Raises OSError if the system refuses."""
        ...


class StereoOpusWriter:
    """Encodes two channels into an Ogg/Opus file that is playable at any moment; see `OggOpusWriter`.

    Position 0 of the sound is the first sample that players play. Silence of both voices is not encoded.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
        OpusUnavailable: If no usable libopus is found.
    """

    def __init__(self, path: Path | str) -> None:
        self._encoder = OpusEncoder(channels=2, bit_rate=BIT_RATE, complexity=_COMPLEXITY, fec=False, signal="music")
        self._lookahead = self._encoder.lookahead_samples
        self._writer = OggOpusWriter(path, channels=2, pre_skip_samples=self._lookahead * UNITS_PER_SAMPLE)
        self._waiting: Samples = np.zeros((0, 2), dtype=np.int16)
        self._n_samples = 0
        self._silent_frames = 0

    def append(self, samples: Samples) -> None:
        self._n_samples += len(samples)
        samples = np.concatenate((self._waiting, samples))
        n_whole = len(samples) // FRAME_SAMPLES * FRAME_SAMPLES
        self._waiting = samples[n_whole:]
        for start in range(0, n_whole, FRAME_SAMPLES):
            self._encode(samples[start : start + FRAME_SAMPLES])

    def flush(self) -> None:
        self._writer.flush()

    def close(self) -> None:
        end = self._n_samples + self._lookahead
        n_padding = -(len(self._waiting) + self._lookahead) % FRAME_SAMPLES + self._lookahead
        try:
            self.append(np.zeros((n_padding, 2), dtype=np.int16))
        finally:
            self._writer.close(end * UNITS_PER_SAMPLE)

    def _encode(self, frame: Samples) -> None:
        self._silent_frames = 0 if frame.any() else self._silent_frames + 1
        is_skipped = self._silent_frames > _HANGOVER_FRAMES
        self._writer.write(SILENT_STEREO_PACKET if is_skipped else self._encoder.encode(frame))


class StereoRecording:
    """One file of two channels, the caller left and the agent right, sample by sample on the clock of the call.

    It is playable at any moment, and holds what was put up to the last `save`, less what a format needs to fill a
    block (20 ms of Opus, 0.1 s of FLAC) and what the other voice may still add (`PATIENCE_SAMPLES` at most).

    Raises:
        AudioFileUnreadable: If the file cannot be created.
        OpusUnavailable: If it is to be Opus, and no usable libopus is found.
    """

    def __init__(self, path: Path | str, format: RecordingFormat) -> None:
        self._writer: StereoWriter = (
            StereoOpusWriter(path)
            if format == "ogg"
            else WavWriter(path, channels=2)
            if format == "wav"
            else FlacWriter(path, channels=2)
        )
        self._tracks = StereoAligner()
        self._loudness = (Loudness(), Loudness())

    def put(self, voice: int, position_samples: int, samples: Samples) -> None:
        """Put what a voice said (`CALLER` or `AGENT`) at a position: int16, shape `(n_samples,)`."""
        self._tracks.put(voice, position_samples, samples)

    def save(self) -> None:
        """Write what is settled.

        Raises:
            OSError: If the system refuses.
        """
        self._append(self._tracks.take())
        self._writer.flush()

    def close(self, end_samples: int | None) -> None:
        """Write the rest, silence up to `end_samples`, and close the file; of one that could not be saved, None.

        Raises:
            OSError: If the system refuses; the file is closed all the same.
        """
        try:
            if end_samples is not None:
                self._append(self._tracks.finish(end_samples))
        finally:
            self._writer.close()

    def speech_ms(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        """Return where the caller, and where the agent speaks, from and to in milliseconds."""
        return self._loudness[CALLER].speech_ms(), self._loudness[AGENT].speech_ms()

    def _append(self, blocks: list[Samples]) -> None:
        for block in blocks:
            self._writer.append(block)
            for voice, loudness in enumerate(self._loudness):
                loudness.add(block[:, voice])
