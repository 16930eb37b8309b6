"""Writes WAV files, whole or in pieces, playable at any moment. It blocks, so call it in a thread."""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import AudioFileUnreadable

_HEADER: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
_MAX_DATA_BYTES: Final = 0xFFFF_FFFF - _HEADER.size


def write_wav(path: Path | str, samples: Samples) -> None:
    """Write samples (int16, shape `(n_samples,)`, at `SAMPLE_RATE_HZ`) as a WAV file, over what was there.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
    """
    with WavWriter(path) as writer:
        writer.append(samples)


class WavWriter:
    """Writes a 16-bit WAV file of one or two `channels` at `SAMPLE_RATE_HZ` that is playable at any moment.

    The sizes in its header are brought up to date with every second of sound, and with every `flush`, after that sound
    was handed to the system: a process that is killed leaves a valid file short of at most a second. All methods block;
    not for two threads at once. The folder must exist; a file of that name is replaced.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
    """

    def __init__(self, path: Path | str, *, channels: Literal[1, 2] = 1) -> None:
        self.path = Path(path)
        self.channels = channels
        self.n_samples = 0
        """Of each channel."""
        self._claimed_samples = 0
        try:
            self._file: BinaryIO = self.path.open("wb", buffering=0)
        except OSError as error:
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error
        try:
            self._file.write(_header(0, channels))
        except OSError as error:
            self._file.close()
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error

    def append(self, samples: Samples) -> None:
        """Add samples (int16, shape `(n_samples,)`, of two channels `(n_samples, 2)`) at the end.

        Raises:
            OSError: If the system refuses, for example because the disk is full.
        """
        data = memoryview(samples.astype("<i2", copy=False).tobytes())
        while data:
            data = data[self._file.write(data) :]
        self.n_samples += len(samples)
        if self.n_samples - self._claimed_samples >= SAMPLE_RATE_HZ:
            self.flush()

    def flush(self) -> None:
        """Bring the header up to date.

        Raises:
            OSError: If the system refuses.
        """
        if self._claimed_samples != self.n_samples:
            self._file.seek(0)
            self._file.write(_header(self.n_samples, self.channels))
            self._file.seek(0, 2)
            self._claimed_samples = self.n_samples

    def close(self) -> None:
        """Bring the header up to date and close the file. Safe to call twice.

        Raises:
            OSError: If the system refuses; the file is closed all the same.
        """
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def _header(n_samples: int, channels: int) -> bytes:
    # The sizes have 32 bits; beyond a day of one channel they stay at their highest, and players read that far.
    step_bytes = 2 * channels
    data_bytes = min(step_bytes * n_samples, _MAX_DATA_BYTES // step_bytes * step_bytes)
    form = (b"fmt ", 16, 1, channels, SAMPLE_RATE_HZ, step_bytes * SAMPLE_RATE_HZ, step_bytes, 16)
    return _HEADER.pack(b"RIFF", data_bytes + _HEADER.size - 8, b"WAVE", *form, b"data", data_bytes)


def reason(error: Exception) -> str:
    """Return what an error of the system or of PyAV says, without its file name and number."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
