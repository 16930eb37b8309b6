"""A first-in first-out buffer of samples that are cut into frames on the way out. For one thread."""

from __future__ import annotations

from collections import deque

import numpy as np

from rtc_client.audio.frames import FRAME_SAMPLES, Samples


class SampleBuffer:
    """Holds blocks of any length in order; its length is the number of samples. Its bound is kept by its owner."""

    def __init__(self) -> None:
        self._blocks: deque[Samples] = deque()
        self._n_samples = 0
        self.padding_samples = 0
        """With how much silence the frame taken last was filled up."""

    def __len__(self) -> int:
        return self._n_samples

    def append(self, samples: Samples) -> None:
        """Add a block, which must not be changed any more: int16, shape `(n_samples,)`."""
        if len(samples):
            self._blocks.append(samples)
            self._n_samples += len(samples)

    def take_frame(self, *, pad: bool = False) -> Samples | None:
        """Return the next `FRAME_SAMPLES` samples, or None if there are fewer.

        With `pad` a rest that is shorter is filled up with silence.
        """
        if self._n_samples >= FRAME_SAMPLES:
            return self._take(FRAME_SAMPLES)
        if not pad or self._n_samples == 0:
            return None
        rest = self._take(self._n_samples)
        self.padding_samples = FRAME_SAMPLES - len(rest)
        return np.pad(rest, (0, self.padding_samples))

    def drop_oldest(self, n_samples: int) -> int:
        """Throw away up to `n_samples` from the front; return how many."""
        n_dropped = min(n_samples, self._n_samples)
        if n_dropped > 0:
            self._take(n_dropped)
        return max(0, n_dropped)

    def clear(self) -> None:
        """Throw everything away."""
        self._blocks.clear()
        self._n_samples = 0

    def _take(self, n_samples: int) -> Samples:
        self._n_samples -= n_samples
        first = self._blocks[0]
        if len(first) > n_samples:
            self._blocks[0] = first[n_samples:]
            return first[:n_samples]
        parts = []
        while n_samples:
            block = self._blocks.popleft()
            if len(block) > n_samples:
                self._blocks.appendleft(block[n_samples:])
                block = block[:n_samples]
            parts.append(block)
            n_samples -= len(block)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
