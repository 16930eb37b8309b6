"""Samples that a program gives by hand become bytes for the wire; nothing is sent or kept here."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import CommandFault, InvalidCommand

PIECE_BYTES: Final = 2 * 10 * SAMPLE_RATE_HZ
"""Ten seconds a piece: far below what one command may hold, so that nothing behind it waits long."""


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
