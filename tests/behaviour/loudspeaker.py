"""A loudspeaker of no device, which keeps when it was given what: what a barge-in and a goodbye are measured by."""

from __future__ import annotations

import math
import time

import numpy as np

from rtc_client import PcmFrame
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import is_voiced, level_dbfs
from rtc_client.audio.sinks.base import Tap


class Loudspeaker(SingleUse):
    """Plays `queue_s` behind what is written to it, as a device does."""

    def __init__(self, queue_s: float = 0.04) -> None:
        super().__init__()
        self.tap: Tap | None = None
        self.queue_samples = round(24_000 * queue_s)
        self.frames: list[tuple[float, PcmFrame]] = []
        """What was written, and when, monotonic seconds."""
        self.drops: list[float] = []
        """When it was told to be silent, monotonic seconds."""
        self._kept_from = 0

    def write(self, frame: PcmFrame) -> None:
        self.frames.append((time.monotonic(), frame))

    def drop(self) -> int:
        self.drops.append(time.monotonic())
        n_samples = self.queued_samples
        self._kept_from = self._written
        return n_samples

    @property
    def heard_s(self) -> float | None:
        return time.monotonic() + self.queue_samples / 24_000

    @property
    def queued_samples(self) -> int:
        return min(self.queue_samples, self._written - self._kept_from)

    @property
    def played_samples(self) -> int:
        return self._written - self.queued_samples

    @property
    def _written(self) -> int:
        return self.frames[-1][1].end_samples if self.frames else 0

    @property
    def voiced(self) -> list[float]:
        """When it was given sound that is no silence, monotonic seconds."""
        return [at_s for at_s, frame in self.frames if is_voiced(level_dbfs(frame.samples))]

    def last_voiced_s(self, before_s: float = math.inf) -> float:
        """Return when it was given sound last, before a time."""
        return max(at_s for at_s in self.voiced if at_s < before_s)

    @property
    def samples(self) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
        """Everything that was written."""
        return np.concatenate([frame.samples for _, frame in self.frames])
