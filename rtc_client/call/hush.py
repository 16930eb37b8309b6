"""Hush: the agent is not heard until it begins anew. For barge-ins of which no server can be told. No time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rtc_client.audio.frames import SILENCE, Samples
from rtc_client.audio.pcm import is_voiced, level_dbfs

PAUSE_FRAMES: Final = 30
"""0.6 s of silence end it: longer than the pauses between words, shorter than those between turns."""


class Hush:
    """Puts silence in the place of what the agent says, from `begin` to the first of: `end`, a pause of 0.6 s."""

    def __init__(self) -> None:
        self.on_dropped: Callable[[], object] = lambda: None
        """Told, once for each `begin`, when the first sound is not heard that would have been."""
        self._quiet_frames = 0
        self._has_dropped = False
        self.is_on = False
        self.dropped_samples = 0
        """Samples with a voice in them that were not heard, of the whole call."""

    def begin(self) -> None:
        """The agent is to be heard no more."""
        self.is_on, self._has_dropped, self._quiet_frames = True, False, 0

    def end(self) -> None:
        """The agent begins anew."""
        self.is_on = False

    def drop(self, samples: Samples) -> None:
        """Take sound that will not be played: int16, shape `(n_samples,)`."""
        self._quiet_frames = 0
        if not len(samples):
            return
        self.dropped_samples += len(samples)
        if not self._has_dropped:
            self._has_dropped = True
            self.on_dropped()

    def filtered(self, samples: Samples) -> Samples:
        """Return silence for a frame that was to be played: int16, shape `(n_samples,)`, at most 20 ms."""
        if is_voiced(level_dbfs(samples)):
            self.drop(samples)
        else:
            self._quiet_frames += 1
            self.is_on = self._quiet_frames < PAUSE_FRAMES
        return SILENCE[: len(samples)]
