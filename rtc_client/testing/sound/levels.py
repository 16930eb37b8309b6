"""Levels of one voice, frame by frame: the last moments for a live view, the whole for a report."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

from rtc_client.audio.frames import FRAME_S
from rtc_client.audio.pcm import FLOOR_DBFS, is_voiced

_RECENT_FRAMES: Final = 15
_STALE_S: Final = 0.3
"""A voice of which nothing came for so long is silent."""


class FrameLevels:
    """Levels of frames of 20 ms. All times are seconds of one clock."""

    def __init__(self) -> None:
        self.n_frames = 0
        self.n_voiced = 0
        self.first_at_s: float | None = None
        self.voiced_at_s: float | None = None
        """When the first frame came that was loud enough to be a voice."""
        self.last_voiced_at_s: float | None = None
        self._power = 0.0
        self._recent: deque[float] = deque(maxlen=_RECENT_FRAMES)
        self._last_at_s = 0.0

    def add(self, level_dbfs: float, at_s: float) -> None:
        """Take the level of one frame."""
        power = 0.0 if level_dbfs <= FLOOR_DBFS else 10 ** (level_dbfs / 10)
        self.n_frames += 1
        self._power += power
        self._recent.append(power)
        self._last_at_s = at_s
        if self.first_at_s is None:
            self.first_at_s = at_s
        if is_voiced(level_dbfs):
            self.n_voiced += 1
            self.last_voiced_at_s = at_s
            if self.voiced_at_s is None:
                self.voiced_at_s = at_s

    @property
    def seconds(self) -> float:
        """Sound counted so far."""
        return self.n_frames * FRAME_S

    @property
    def voiced_s(self) -> float:
        """Of it what was loud enough to be a voice."""
        return self.n_voiced * FRAME_S

    @property
    def level_dbfs(self) -> float:
        """RMS level of all frames, relative to full scale."""
        return _dbfs(self._power, self.n_frames)

    def recent_dbfs(self, now_s: float) -> float:
        """Return the RMS level of the last 0.3 s."""
        if now_s - self._last_at_s > _STALE_S:
            return FLOOR_DBFS
        return _dbfs(sum(self._recent), len(self._recent))


def _dbfs(power: float, n_frames: int) -> float:
    return FLOOR_DBFS if n_frames == 0 or power <= 0 else max(FLOOR_DBFS, 10 * math.log10(power / n_frames))
