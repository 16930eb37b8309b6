"""Writes FLAC files (RFC 9639) in pieces; FFmpeg makes the frames. It blocks, so call it in a thread."""

from __future__ import annotations

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO, Final, Literal

import av
import numpy as np

from rtc_client.audio.files.wav import reason
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import AudioFileUnreadable

_HEADER: Final = b"fLaC\x80\x00\x00\x22"
"""The marker, and the head of the one block of metadata: STREAMINFO, 34 bytes."""
_TOTAL_AT: Final = 13
"""The count of samples is the last 36 bits of these five bytes of STREAMINFO."""
_MAX_TOTAL: Final = 2**36 - 1
_TIME_BASE: Final = Fraction(1, SAMPLE_RATE_HZ)


class FlacWriter:
    """Writes a 16-bit FLAC file of one or two `channels` at `SAMPLE_RATE_HZ` that is playable at any moment.

    Every frame of about 0.1 s is handed to the system when it is full, and the header is brought up to date with every
    `flush`. All methods block; not for two threads at once. The folder must exist; a file of that name is replaced.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
    """

    def __init__(self, path: Path | str, *, channels: Literal[1, 2] = 1) -> None:
        self.path = Path(path)
        self.channels = channels
        self._layout = "mono" if channels == 1 else "stereo"
        codec = av.CodecContext.create("flac", "w")
        codec.sample_rate, codec.layout, codec.format = SAMPLE_RATE_HZ, self._layout, "s16"
        codec.time_base = _TIME_BASE
        codec.open()
        self._codec = codec
        self._waiting = np.zeros((0, channels), dtype=np.int16)
        self._n_encoded = self._claimed_samples = 0
        self._n_bytes = 0
        self._is_cut = False
        try:
            self._file: BinaryIO = self.path.open("wb", buffering=0)
            try:
                self._write(_HEADER + self._stream_info(0))
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error

    def append(self, samples: Samples) -> None:
        """Add samples (int16, shape `(n_samples,)`, of two channels `(n_samples, 2)`) at the end.

        Raises:
            OSError: If the system refuses, for example because the disk is full.
        """
        self._waiting = np.concatenate((self._waiting, samples.reshape(-1, self.channels)))
        size = self._codec.frame_size
        while len(self._waiting) >= size:
            block, self._waiting = self._waiting[:size], self._waiting[size:]
            self._encode(block)

    def flush(self) -> None:
        """Bring the header up to date.

        Raises:
            OSError: If the system refuses.
        """
        if self._claimed_samples != self._n_encoded:
            self._claim(self._stream_info(self._n_encoded))
            self._claimed_samples = self._n_encoded

    def close(self) -> None:
        """Write the rest, bring the header up to date, and close the file. Safe to call twice.

        Raises:
            OSError: If the system refuses; the file is closed all the same.
        """
        if self._file.closed:
            return
        try:
            if self._is_cut:  # what comes after a frame that could not be written would be out of place
                self.flush()
                return
            if len(self._waiting):
                self._encode(self._waiting)
            for packet in self._codec.encode(None):
                self._write(bytes(packet))
            # The encoder has put the count of all samples, and their checksum, into it.
            self._claim(self._codec.extradata or self._stream_info(self._n_encoded))
        finally:
            self._file.close()

    def _encode(self, block: Samples) -> None:
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(block).reshape(1, -1), format="s16", layout=self._layout
        )
        frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE_HZ, _TIME_BASE, self._n_encoded
        for packet in self._codec.encode(frame):
            self._write(bytes(packet))
        self._n_encoded += len(block)

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            self._is_cut = True
            with suppress(OSError):  # no half frame is left behind, if that can be helped
                self._file.truncate(self._file.seek(self._n_bytes))
            raise
        self._n_bytes += len(data)

    def _claim(self, stream_info: bytes) -> None:
        self._file.seek(len(_HEADER))
        self._file.write(stream_info)
        self._file.seek(0, 2)

    def _stream_info(self, n_samples: int) -> bytes:
        info = bytearray(self._codec.extradata or b"")
        number = int.from_bytes(info[_TOTAL_AT : _TOTAL_AT + 5], "big") & ~_MAX_TOTAL
        info[_TOTAL_AT : _TOTAL_AT + 5] = (number | min(n_samples, _MAX_TOTAL)).to_bytes(5, "big")
        return bytes(info)
