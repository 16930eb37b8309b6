"""A lock-free ring of samples between one writing and one reading thread.

Each of its two counts is changed by one thread only, after the samples that it speaks of were copied, and is read
whole by the other: Python stores an attribute in one step. So neither thread ever waits for the other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import Samples


@dataclass(slots=True)
class RingCounts:
    """What went wrong between a device and us; each count is changed by one thread only."""

    underruns: int = 0
    """How often nothing was ready in time."""
    overflows: int = 0
    """How many blocks found no room."""
    skipped_s: float = 0.0
    """Sound that was cut because it had become too old, in seconds."""


class SampleRing:
    """Holds up to `capacity` sample frames of `channels` channels each, all of it allocated here."""

    def __init__(self, capacity: int, channels: int = 1) -> None:
        self._frames: NDArray[np.int16] = np.zeros((capacity, channels), dtype=np.int16)
        self.capacity = capacity
        self.n_written = 0
        """Sample frames ever written; changed by the writer alone."""
        self.n_read = 0
        """Sample frames ever read or skipped; changed by the reader alone."""

    def __len__(self) -> int:
        return self.n_written - self.n_read

    def write(self, frames: NDArray[np.int16]) -> int:
        """Copy sample frames, int16 of shape `(n, channels)` or `(n, 1)`; return how many found room, the first ones.

        For the writing thread.
        """
        n = min(len(frames), self.capacity - len(self))
        start = self.n_written % self.capacity
        first = min(n, self.capacity - start)
        self._frames[start : start + first] = frames[:first]
        self._frames[: n - first] = frames[first:n]
        self.n_written += n
        return n

    def read_into(self, out: NDArray[np.int16]) -> int:
        """Copy what is there into the front of `out`, int16 of shape `(n, channels)`; return how many sample frames.

        A ring of one channel fills all channels of `out`. For the reading thread.
        """
        n = min(len(out), len(self))
        start = self.n_read % self.capacity
        first = min(n, self.capacity - start)
        out[:first] = self._frames[start : start + first]
        out[first:n] = self._frames[: n - first]
        self.n_read += n
        return n

    def peak(self, n: int) -> int:
        """Return the greatest amplitude among the `n` oldest sample frames. For the reading thread."""
        places = np.arange(self.n_read, self.n_read + min(n, len(self))) % self.capacity
        return int(np.abs(self._frames[places].astype(np.int32)).max(initial=0))

    def skip(self, n: int) -> int:
        """Throw away up to `n` of the oldest sample frames; return how many. For the reading thread."""
        n = max(0, min(n, len(self)))
        self.n_read += n
        return n


def mixed_down(frames: NDArray[np.int16]) -> Samples:
    """Return the mean of the channels: int16, shape `(n,)`, from int16 of shape `(n, channels)`."""
    if frames.shape[1] == 1:
        return frames[:, 0]
    total = frames.sum(axis=1, dtype=np.int32)
    mixed: Samples = (total // frames.shape[1]).astype(np.int16)
    return mixed
