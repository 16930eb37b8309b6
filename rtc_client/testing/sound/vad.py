"""Voice activity detection from the levels of frames. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

_GAP_S: Final = 0.1
"""Frames further apart than this, in seconds, are not one stretch of sound."""


class SpeechEdge(Enum):
    """The caller began to speak, or has stopped."""

    STARTED = "started"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class VadSettings:
    """When sound counts as speech. The two thresholds differ, so that a wavering level does not flap.

    Raises:
        ValueError: The thresholds are the wrong way round, or a time is negative.
    """

    start_dbfs: float = -42.0
    """Speech starts above this level."""
    stop_dbfs: float = -48.0
    """Speech goes on above this level."""
    start_s: float = 0.06
    """Sound must last this long before it is speech: a click is none."""
    silence_s: float = 0.6
    """Speech has stopped after this long below `stop_dbfs`, or without any frame."""

    def __post_init__(self) -> None:
        if self.stop_dbfs > self.start_dbfs:
            raise ValueError("need stop_dbfs <= start_dbfs")
        if self.start_s < 0 or self.silence_s <= 0:
            raise ValueError("need start_s >= 0 and silence_s > 0")


class VoiceActivity:
    """Energy detector with hysteresis. Feed it levels with `hear`, ask it for edges with `poll`."""

    def __init__(self, settings: VadSettings) -> None:
        self._settings = settings
        self._loud_since_s: float | None = None
        self._heard_at_s = float("-inf")
        self._loud_at_s = float("-inf")
        self._is_speech = False
        self._is_told = False

    @property
    def is_speaking(self) -> bool:
        """Whether a start has been told and its stop has not."""
        return self._is_told

    def hear(self, level_dbfs: float, now_s: float) -> None:
        """Take the level of one frame that arrived at `now_s`, in monotonic seconds."""
        has_gap = now_s - self._heard_at_s > _GAP_S
        self._heard_at_s = now_s
        if self._is_speech:
            if level_dbfs >= self._settings.stop_dbfs:
                self._loud_at_s = now_s
            return
        if level_dbfs < self._settings.start_dbfs:
            self._loud_since_s = None
            return
        if self._loud_since_s is None or has_gap:
            self._loud_since_s = now_s
        if now_s - self._loud_since_s >= self._settings.start_s:
            self._is_speech = True
            self._loud_at_s = now_s

    def poll(self, now_s: float) -> SpeechEdge | None:
        """Return the next edge up to `now_s`, if there is one that was not returned before."""
        if self._is_speech and not self._is_told:
            self._is_told = True
            return SpeechEdge.STARTED
        if self._is_told and now_s - self._loud_at_s >= self._settings.silence_s:
            self._is_speech = self._is_told = False
            self._loud_since_s = None
            return SpeechEdge.STOPPED
        return None
