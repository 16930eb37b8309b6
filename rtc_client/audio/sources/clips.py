"""Clips: speech that is encoded once, kept as packets, and played by any number of calls."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder, OpusError, Signal
from rtc_client.audio.codecs.opus_packet import UNITS_PER_SAMPLE, frame_bounds
from rtc_client.audio.files.ogg_opus import OggOpusWriter, read_stream
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.files.wav import reason
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import to_mono_int16
from rtc_client.audio.resample import resample
from rtc_client.audio.sources.base import PacketSource
from rtc_client.errors import AudioFileUnreadable, ConfigError

__all__ = ["ClipEncoding", "ClipSource", "OpusClip", "PacketSource"]


_KEY: Final = "RTC_CLIENT_CLIP"


_KEY_VERSION: Final = 1
"""To be raised when the same sound and settings come to be encoded otherwise."""


_PACKET_SAMPLES: Final = FRAME_SAMPLES * UNITS_PER_SAMPLE


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipEncoding:
    """How a clip is encoded; as `OpusEncoder`, but slower and better, for it is done once.

    A clip cannot follow the loss of a call, so it carries FEC for `loss_ratio` from the start; 0 leaves it out.
    """

    bit_rate: int = 32_000
    """Bits per second."""
    complexity: int = 10
    """0 to 10: quality for processor time."""
    loss_ratio: float = 0.05
    """The loss that the FEC in it is made for, 0 to 1."""
    signal: Signal = "voice"
    """What the encoder is told to expect: voice, music, or anything."""


def _encode(samples: Samples, encoding: ClipEncoding) -> tuple[tuple[bytes, ...], int]:
    """Return the packets of int16 samples, shape `(n_samples,)`, and by how many samples they come out late.

    The last packet is filled up with silence, and there are enough of them for every sample to come out.

    Raises:
        ConfigError: If a setting is out of its range.
        OpusUnavailable: If no usable libopus is found.
    """
    encoder = OpusEncoder(
        bit_rate=encoding.bit_rate,
        complexity=encoding.complexity,
        fec=encoding.loss_ratio > 0,
        loss_ratio=encoding.loss_ratio,
        signal=encoding.signal,
    )
    late_samples = encoder.lookahead_samples
    rest_samples = late_samples + -(len(samples) + late_samples) % FRAME_SAMPLES
    frames = np.pad(samples, (0, rest_samples)).reshape(-1, FRAME_SAMPLES)
    return tuple(encoder.encode(frame) for frame in frames), late_samples


class OpusClip:
    """Speech as packets of 20 ms each; it never changes, so any number of calls and threads may share one.

    Made by `from_file`, `from_array` and `load`, which block: from a coroutine, call them by `asyncio.to_thread`.
    """

    def __init__(self, packets: tuple[bytes, ...], n_samples: int, lookahead_samples: int, key: str) -> None:
        self.packets: Final = packets
        self.n_samples: Final = n_samples
        """How long the sound is that was encoded, at `SAMPLE_RATE_HZ`; it comes `lookahead_samples` late."""
        self.lookahead_samples: Final = lookahead_samples
        """By how much the sound comes late, at `SAMPLE_RATE_HZ`."""
        self._key = key

    @classmethod
    def from_file(
        cls, path: Path | str, *, cache: Path | str | None = None, encoding: ClipEncoding | None = None
    ) -> Self:
        """Return a clip of any file that `read_audio` takes, encoded, or from `cache` if that is of the same kind.

        `cache` names an Ogg/Opus file for the clip to be kept in. It is used if it was made from the same content with
        the same encoding, and else made again, over a clip that was there, but over nothing else.

        Raises:
            AudioFileUnreadable: If the file cannot be used, or the cache cannot be written.
            ConfigError: If a setting is out of its range, or `cache` is a file of something else.
            OpusUnavailable: If it is to be encoded, and no usable libopus is found.
        """
        path, encoding = Path(path), encoding or ClipEncoding()
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise AudioFileUnreadable(f"{path} cannot be read: {reason(error)}") from error
        if cache is not None and Path(cache).exists() and path.samefile(cache):
            raise ConfigError(f"{path} cannot be the cache of itself: name another file")
        return cls._cached(cache, _key_of("file", digest, encoding), lambda: read_audio(path), encoding)

    @classmethod
    def from_array(
        cls,
        samples: NDArray[Any],
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        *,
        cache: Path | str | None = None,
        encoding: ClipEncoding | None = None,
    ) -> Self:
        """Return a clip of `samples`, an array as `to_mono_int16` takes it, of any rate; for `cache` see `from_file`.

        Raises:
            ConfigError: If the array or the rate is not understood, and as `from_file`.
        """
        encoding = encoding or ClipEncoding()
        mono = to_mono_int16(samples)
        digest = hashlib.sha256(mono.tobytes()).hexdigest()
        key = _key_of(f"array {sample_rate_hz}", digest, encoding)
        return cls._cached(cache, key, lambda: resample(mono, sample_rate_hz), encoding)

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Return the clip in an Ogg/Opus file, as `save` wrote it, or anyone: mono or stereo, in packets of 20 ms.

        Raises:
            AudioFileUnreadable: If it is no such file, or has no packet, or others than of 20 ms.
        """
        stream = read_stream(path)
        try:
            for payload, _ in stream.packets:
                frame_bounds(payload)
        except OpusError as error:
            raise AudioFileUnreadable(f"{path} is damaged: {error}") from error
        if {n_samples for _, n_samples in stream.packets} != {_PACKET_SAMPLES}:
            raise AudioFileUnreadable(f"{path} is not in packets of 20 ms: read it by OpusClip.from_file")
        return cls(
            tuple(payload for payload, _ in stream.packets),
            stream.n_samples // UNITS_PER_SAMPLE,
            stream.pre_skip_samples // UNITS_PER_SAMPLE,
            stream.comments.get(_KEY, "") if stream.is_whole else "",
        )

    def save(self, path: Path | str) -> None:
        """Write the clip as an Ogg/Opus file, over what was there; whoever reads it meanwhile gets the old or the new.

        Raises:
            AudioFileUnreadable: If it cannot be written; what was there still is.
        """
        path = Path(path)
        unfinished = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}")
        try:
            writer = OggOpusWriter(
                unfinished, pre_skip_samples=UNITS_PER_SAMPLE * self.lookahead_samples, comments={_KEY: self._key}
            )
            with writer:
                for payload in self.packets:
                    writer.write(payload)
                writer.close(UNITS_PER_SAMPLE * (self.lookahead_samples + self.n_samples))
            unfinished.replace(path)
        except OSError as error:
            raise AudioFileUnreadable(f"{path} cannot be written: {reason(error)}") from error
        finally:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    @property
    def n_frames(self) -> int:
        """How many packets it has, of 20 ms each."""
        return len(self.packets)

    @property
    def duration_s(self) -> float:
        """How long it takes to play."""
        return len(self.packets) * FRAME_S

    def packet(self, i: int) -> bytes:
        """Return packet `i`, from 0.

        Raises:
            IndexError: If there are not so many.
        """
        return self.packets[i]

    def __repr__(self) -> str:
        return f"OpusClip(n_frames={self.n_frames}, duration_s={self.duration_s:.2f})"

    @classmethod
    def _cached(
        cls, cache: Path | str | None, key: str, samples: Callable[[], Samples], encoding: ClipEncoding
    ) -> Self:
        if cache is not None:
            _check_replaceable(Path(cache))
            with suppress(AudioFileUnreadable):
                kept = cls.load(cache)
                if kept._key == key:
                    return kept
        sound = samples()
        packets, lookahead_samples = _encode(sound, encoding)
        clip = cls(packets, len(sound), lookahead_samples, key)
        if cache is not None:
            clip.save(cache)
        return clip


class ClipSource(SingleUse):
    """Speaks a clip once, or for ever with `repeat`. A clip can be in many sources at the same time.

    `read` and `read_packet` both move on by one frame. Nothing is decoded unless `read` is called.
    """

    def __init__(self, clip: OpusClip, repeat: bool = False) -> None:
        super().__init__()
        self.clip: Final = clip
        self._repeat = repeat
        self._packets = clip.packets
        self._next = 0
        self._decoder: OpusDecoder | None = None

    def read_packet(self) -> bytes | None:
        if self._next >= len(self._packets):
            return None
        payload = self._packets[self._next]
        self._next += 1
        if self._repeat and self._next == len(self._packets):
            self._next = 0
        return payload

    def read(self) -> Samples | None:
        payload = self.read_packet()
        if payload is None:
            return None
        if self._decoder is None:
            self._decoder = OpusDecoder()
        return self._decoder.decode(payload)

    @property
    def ended(self) -> bool:
        return self._next >= len(self._packets)

    async def _close(self) -> None:
        self._packets = ()


def _key_of(kind: str, digest: str, encoding: ClipEncoding) -> str:
    return hashlib.sha256(f"{_KEY_VERSION} {kind} {digest} {encoding}".encode()).hexdigest()


def _check_replaceable(cache: Path) -> None:
    """Refuse a cache that is somebody's file: a mistaken argument must not cost a recording."""
    try:
        with cache.open("rb") as file:
            start = file.read(200)
    except FileNotFoundError:
        return
    except OSError as error:
        raise AudioFileUnreadable(f"{cache} cannot be read: {reason(error)}") from error
    if start and _KEY.encode() not in start:
        raise ConfigError(f"{cache} is no clip, and is not overwritten: name another file as the cache, or remove it")
