"""PcmFrame: 20 ms of PCM, the one shape in which samples move through this library, and its rate.

Everything between a file (or a device, or an array) and the Opus codec is mono, int16, 24 kHz:
the rate of the realtime session (protocol.md section 1.1), in blocks of 20 ms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

SAMPLE_RATE_HZ: Final = 24_000
"""Samples a second of all sound between file and codec."""
PTIME_MS: Final = 20
FRAME_S: Final = PTIME_MS / 1000
FRAME_SAMPLES: Final = SAMPLE_RATE_HZ * PTIME_MS // 1000
"""Samples in 20 ms."""

Samples: TypeAlias = NDArray[np.int16]
"""int16, shape `(n_samples,)`, mono."""

SILENCE: Final[Samples] = np.zeros(FRAME_SAMPLES, dtype=np.int16)
SILENCE.flags.writeable = False


@dataclass(frozen=True, slots=True, eq=False)
class PcmFrame:
    """A block of samples and where it lies in its stream."""

    samples: Samples
    """int16, shape `(n_samples,)`, mono, at `SAMPLE_RATE_HZ`."""
    position_samples: int
    """Offset of the first sample from the start of the stream."""

    @property
    def end_samples(self) -> int:
        """Offset of the first sample behind this frame."""
        return self.position_samples + len(self.samples)

    def __repr__(self) -> str:
        return f"PcmFrame(position_samples={self.position_samples}, n_samples={len(self.samples)})"
