"""Base64 PCM16 both ways: decodes deltas of the agent's audio, and cuts a program's samples into pieces."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator
from typing import Final

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.resample import MAX_RATE_HZ, MIN_RATE_HZ, Resampler
from rtc_client.errors import CommandFault, InvalidCommand

MAX_CHANNELS: Final = 8


_NONE: Final[Samples] = np.zeros(0, dtype=np.int16)


class DeltaDecoder:
    """Makes samples of a stream of deltas. What is no sound is left out and counted in `malformed`."""

    def __init__(self) -> None:
        self._rest = b""
        self._resampler: Resampler | None = None
        self.malformed = 0

    def decode(self, text: str, sample_rate_hz: int = SAMPLE_RATE_HZ, channels: int = 1) -> Samples:
        """Return the sound of one delta at `SAMPLE_RATE_HZ`: int16, shape `(n_samples,)`, mono, possibly empty.

        Its channels are averaged. A sample that is cut in two is put together with the next delta.
        """
        try:
            pcm = self._rest + base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            pcm = b""
        if not pcm or not 1 <= channels <= MAX_CHANNELS or not MIN_RATE_HZ <= sample_rate_hz <= MAX_RATE_HZ:
            self.malformed += 1
            return _NONE
        whole = len(pcm) - len(pcm) % (2 * channels)
        self._rest = pcm[whole:]
        samples: Samples = np.frombuffer(pcm[:whole], dtype="<i2").astype(np.int16, copy=False)
        if channels > 1:
            samples = samples.reshape(-1, channels).mean(axis=1).astype(np.int16)
        return self._resampled(samples, sample_rate_hz)

    def flush(self) -> Samples:
        """Return what a filter still holds: the stream pauses, or another begins."""
        self._rest = b""
        resampler, self._resampler = self._resampler, None
        return _NONE if resampler is None else resampler.flush()

    def _resampled(self, samples: Samples, sample_rate_hz: int) -> Samples:
        if self._resampler is not None and self._resampler.from_hz != sample_rate_hz:
            return np.concatenate((self.flush(), self._resampled(samples, sample_rate_hz)))
        if sample_rate_hz == SAMPLE_RATE_HZ:
            return samples
        if self._resampler is None:
            self._resampler = Resampler(sample_rate_hz)
        return self._resampler.push(samples)


class DeltaEncoder:
    """Gathers frames and gives them out as text, `frames` at a time."""

    def __init__(self, frames: int) -> None:
        self._frames = frames
        self._pcm = bytearray()
        self._n_waiting = 0

    def push(self, samples: Samples) -> str | None:
        """Take a frame: int16, shape `(n_samples,)`; return base64 of little-endian PCM, None until enough is there."""
        self._pcm += samples.astype("<i2", copy=False).tobytes()
        self._n_waiting += 1
        if self._n_waiting < self._frames:
            return None
        text = base64.b64encode(self._pcm).decode("ascii")
        self._pcm.clear()
        self._n_waiting = 0
        return text


PIECE_BYTES: Final = 2 * 10 * SAMPLE_RATE_HZ
"""Ten seconds a piece: far below what one command may hold, so that nothing after it waits long."""


def pcm16_pieces(samples: Samples | bytes | bytearray | memoryview) -> Iterator[bytes]:
    """Yield samples as bytes (int16 little-endian), `PIECE_BYTES` at a time; nothing for no samples.

    Args:
        samples: int16, shape `(n_samples,)`, mono, 24 kHz; or the bytes of that, little-endian.

    Raises:
        InvalidCommand: They are of another type or shape, or the last sample is cut in two; before anything is yielded.
    """
    if isinstance(samples, np.ndarray):
        if samples.dtype.newbyteorder("=") != np.int16 or samples.ndim != 1:
            raise _misshapen(f"an array of {samples.dtype} and of shape {samples.shape}")
        data = samples.astype("<i2", copy=False).tobytes()
    elif isinstance(samples, bytes | bytearray | memoryview):
        data = bytes(samples)
        if len(data) % 2:
            raise _misshapen(f"{len(data)} bytes, which is half a sample too many")
    else:
        raise _misshapen(type(samples).__name__)
    return (data[start : start + PIECE_BYTES] for start in range(0, len(data), PIECE_BYTES))


def _misshapen(what: str) -> InvalidCommand:
    return InvalidCommand(
        CommandFault.AUDIO_SHAPE,
        f"audio is int16 samples of shape (n_samples,), mono, 24 kHz, or their bytes, not {what}",
    )
