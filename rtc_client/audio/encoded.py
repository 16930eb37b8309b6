"""Sound encoded all at once, into packets of 20 ms, as clips are made of. What is spoken live is encoded elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rtc_client.audio.frames import FRAME_SAMPLES, Samples
from rtc_client.audio.opus import OpusEncoder, Signal


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


def packets(samples: Samples, encoding: ClipEncoding) -> tuple[tuple[bytes, ...], int]:
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
