"""Reads audio files of any format that PyAV knows. It blocks, so call it in a thread."""

from __future__ import annotations

import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import av
import numpy as np
from av.container import InputContainer
from av.error import FFmpegError

from rtc_client.audio.files.wav import WavWriter, reason, write_wav
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import to_mono_int16
from rtc_client.audio.resample import Resampler
from rtc_client.errors import AudioFileUnreadable, ConfigError

__all__ = ["AudioFileReader", "WavWriter", "read_audio", "write_wav"]

_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 2


def read_audio(path: Path | str) -> Samples:
    """Return a whole file as int16, shape `(n_samples,)`, mono, at `SAMPLE_RATE_HZ`.

    An hour is 173 MB: for long files use `AudioFileReader`.

    Raises:
        AudioFileUnreadable: If it is missing, no file, unreadable, not audio, damaged, or holds no samples.
    """
    with AudioFileReader(path) as reader:
        return np.concatenate(list(reader))


class AudioFileReader:
    """Decodes one file block by block, so that memory does not grow with its length.

    Open it, take blocks until there are none, close it; or use it as a context manager and iterate. All methods
    block. They may be called from any thread: they wait for each other, and `close` ends the reader for good.
    Channels are averaged, whatever the layout. Packets that do not decode are left out and counted.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.damaged_packets = 0
        self._lock = threading.Lock()
        self._container: InputContainer | None = None
        self._blocks: Iterator[Samples] = iter(())
        self._first: Samples | None = None
        self._closed = False

    def open(self) -> None:
        """Open the file and decode its first block.

        Raises:
            AudioFileUnreadable: As `read_audio`. Nothing stays open then.
            ValueError: If the reader was closed before.
        """
        with self._lock:
            if self._closed:
                raise ValueError("this reader is closed")
            self._container = _open_container(self.path)
            try:
                self._blocks = self._decode(self._container)
                self._first = next(self._blocks, None)
                if self._first is None:
                    raise AudioFileUnreadable(f"{self.path} holds no audio that can be decoded")
            except BaseException:
                self._close()
                raise

    def read_block(self) -> Samples | None:
        """Return the next block, about half a second, int16 mono at `SAMPLE_RATE_HZ`; None at the end.

        Raises:
            AudioFileUnreadable: If the file is damaged from here on.
        """
        with self._lock:
            block, self._first = self._first, None
            return block if block is not None else next(self._blocks, None)

    def close(self) -> None:
        """Let go of the file. Safe at any time and any number of times; a block being decoded is waited for."""
        with self._lock:
            self._close()

    def __iter__(self) -> Iterator[Samples]:
        while (block := self.read_block()) is not None:
            yield block

    def __enter__(self) -> Self:
        self.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _close(self) -> None:
        self._closed = True
        self._blocks, self._first = iter(()), None
        if self._container is not None:
            self._container.close()
            self._container = None

    def _decode(self, container: InputContainer) -> Iterator[Samples]:
        """Yield blocks of at least `_BLOCK_SAMPLES`, the last one shorter and never empty."""
        pending: list[Samples] = []
        n_pending = 0
        for block in self._resampled(container):
            pending.append(block)
            n_pending += len(block)
            if n_pending >= _BLOCK_SAMPLES:
                yield np.concatenate(pending)
                pending, n_pending = [], 0
        if n_pending:
            yield np.concatenate(pending)

    def _resampled(self, container: InputContainer) -> Iterator[Samples]:
        resampler: Resampler | None = None
        mix = _Mix()
        for frame in self._frames(container):
            # A chained stream may change its rate midway.
            if resampler is None or resampler.from_hz != frame.sample_rate:
                if resampler is not None:
                    yield resampler.flush()
                resampler = self._resampler_from(frame.sample_rate)
            try:
                mono = mix.mono(frame)
            except FFmpegError as error:
                channels = frame.layout.nb_channels
                raise AudioFileUnreadable(f"{self.path} has {channels} channels that cannot be mixed down") from error
            yield resampler.push(mono)
        if resampler is not None:
            yield resampler.flush()

    def _resampler_from(self, from_hz: int) -> Resampler:
        try:
            return Resampler(from_hz)
        except ConfigError as error:
            raise AudioFileUnreadable(f"{self.path} cannot be used: {error}") from error

    def _frames(self, container: InputContainer) -> Iterator[av.AudioFrame]:
        stream = container.streams.audio[0]
        try:
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except FFmpegError:
                    self.damaged_packets += 1
                    continue
                yield from frames
        except (FFmpegError, OSError) as error:
            raise AudioFileUnreadable(f"{self.path} is damaged: {reason(error)}") from error


def _open_container(path: Path) -> InputContainer:
    try:
        status = path.stat()
        mode = status.st_mode
        if stat.S_ISDIR(mode):
            raise AudioFileUnreadable(f"{path} is a folder, not an audio file")
        if not stat.S_ISREG(mode):
            raise AudioFileUnreadable(f"{path} is not a regular file")
        if status.st_size == 0:
            raise AudioFileUnreadable(f"{path} is empty")
        with path.open("rb"):
            pass
        # The "file:" protocol keeps names with a colon from being taken for URLs, and playlists from reaching out.
        # Tags in odd encodings are no reason to refuse the sound.
        container = av.open(f"file:{path.absolute()}", metadata_errors="ignore")
    except FileNotFoundError as error:
        raise AudioFileUnreadable(f"{path} does not exist") from error
    except FFmpegError as error:
        raise AudioFileUnreadable(f"{path} is not an audio file: {reason(error)}") from error
    except (OSError, ValueError) as error:
        raise AudioFileUnreadable(f"{path} cannot be read: {reason(error)}") from error
    if not container.streams.audio:
        container.close()
        raise AudioFileUnreadable(f"{path} has no audio stream")
    return container


class _Mix:
    """Averages the channels of decoded frames of any format.

    swresample would add the channels of float formats up to +3 dB, and clip. More than two channels go through its
    stereo downmix first, which knows what each of them is.
    """

    def __init__(self) -> None:
        self._shape: tuple[str, str, int] | None = None
        self._to_int16 = av.AudioResampler(format="s16")

    def mono(self, frame: av.AudioFrame) -> Samples:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if shape != self._shape:
            # It takes frames of one shape only; at an equal rate it holds nothing back.
            layout = "stereo" if frame.layout.nb_channels > 2 else frame.layout
            self._to_int16 = av.AudioResampler(format="s16", layout=layout, rate=frame.sample_rate)
            self._shape = shape
        frame.pts = None
        (packed,) = self._to_int16.resample(frame)
        return to_mono_int16(packed.to_ndarray().reshape(-1, packed.layout.nb_channels))
