"""Writing WAV files, at once or bit by bit and playable at any moment. No event loop: callers choose the thread."""

from __future__ import annotations

import struct
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Self

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
    """Writes a 16-bit mono WAV file at `SAMPLE_RATE_HZ` that is playable at any moment.

    The sizes in its header are brought up to date with every second of sound, after that sound was handed to the
    system: a process that is killed leaves a valid file short of at most a second. All methods block; not for two
    threads at once. The folder must exist; a file of that name is replaced.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.n_samples = 0
        self._claimed_samples = 0
        try:
            self._file: BinaryIO = self.path.open("wb", buffering=0)
        except OSError as error:
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error
        try:
            self._file.write(_header(0))
        except OSError as error:
            self._file.close()
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error

    def append(self, samples: Samples) -> None:
        """Add samples (int16, shape `(n_samples,)`) at the end.

        Raises:
            OSError: If the system refuses, for example because the disk is full.
        """
        data = memoryview(samples.astype("<i2", copy=False).tobytes())
        while data:
            data = data[self._file.write(data) :]
        self.n_samples += len(samples)
        if self.n_samples - self._claimed_samples >= SAMPLE_RATE_HZ:
            self._claim()

    def close(self) -> None:
        """Bring the header up to date and close the file. Safe to call twice.

        Raises:
            OSError: If the system refuses; the file is closed all the same.
        """
        if self._file.closed:
            return
        try:
            if self._claimed_samples != self.n_samples:
                self._claim()
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _claim(self) -> None:
        self._file.seek(0)
        self._file.write(_header(self.n_samples))
        self._file.seek(0, 2)
        self._claimed_samples = self.n_samples


def _header(n_samples: int) -> bytes:
    # The sizes have 32 bits; beyond a day of sound they stay at their highest, and players read that far.
    data_bytes = min(2 * n_samples, _MAX_DATA_BYTES // 2 * 2)
    riff_bytes = data_bytes + _HEADER.size - 8
    return _HEADER.pack(
        b"RIFF", riff_bytes, b"WAVE", b"fmt ", 16, 1, 1, SAMPLE_RATE_HZ, 2 * SAMPLE_RATE_HZ, 2, 16, b"data", data_bytes
    )


def reason(error: Exception) -> str:
    """Return what an error of the system or of PyAV says, without its file name and number."""
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()
