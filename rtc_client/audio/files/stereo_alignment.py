"""StereoAligner: puts the pieces of two voices where they belong on one clock, side by side. Pure."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from rtc_client.audio.frames import FRAME_SAMPLES, PTIME_MS, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE, VOICED_DBFS

CALLER, AGENT = 0, 1
"""The voices by their channels: left and right."""

PATIENCE_SAMPLES: Final = SAMPLE_RATE_HZ * 6 // 10
"""How long to wait for the slower voice; the slowest path hands over 0.42 s late."""
_ROOM_SAMPLES: Final = 4 * SAMPLE_RATE_HZ
_NOTHING: Final[Samples] = np.zeros((SAMPLE_RATE_HZ, 2), dtype=np.int16)

_MAX_LEVELS: Final = 24 * 3600 * 50
"""A day of 20 ms; what comes later has no captions of its own making."""
_FLOOR_DB: Final = 100
_NOISE_PERCENTILE: Final = 5
_ABOVE_NOISE_DB: Final = 8
_LOUDEST_NOISE_DBFS: Final = -40.0
_PAUSE_FRAMES: Final = 10
"""Shorter pauses are within a word or between two."""


class StereoAligner:
    """Takes what each voice said, anywhere from its own end on, and gives out all that is settled.

    Silence is where nothing was put. What would lie before the end of its own track is left out, and so is what comes
    more than `PATIENCE_SAMPLES` behind the other voice; both count in `late_samples`. Memory does not grow with gaps.
    """

    def __init__(self) -> None:
        self._room: Samples = np.zeros((_ROOM_SAMPLES, 2), dtype=np.int16)
        self._start = 0
        self._ends = [0, 0]
        self._settled: list[Samples] = []
        self.late_samples = 0

    @property
    def end_samples(self) -> int:
        """Where the longer track ends."""
        return max(self._ends)

    def put(self, voice: int, position_samples: int, samples: Samples) -> None:
        """Put what a voice said at a position: int16, shape `(n_samples,)`."""
        n_late = max(0, max(self._ends[voice], self._start) - position_samples)
        if n_late:
            self.late_samples += min(n_late, len(samples))
            samples, position_samples = samples[n_late:], position_samples + n_late
        if len(samples) == 0:
            return
        end = position_samples + len(samples)
        if end > self._start + _ROOM_SAMPLES:
            self._settle(position_samples - PATIENCE_SAMPLES)
        for at in range(0, len(samples), SAMPLE_RATE_HZ):
            part = samples[at : at + SAMPLE_RATE_HZ]
            first = position_samples + at
            if first + len(part) > self._start + _ROOM_SAMPLES:
                self._settle(first - PATIENCE_SAMPLES)
            self._room[first - self._start : first - self._start + len(part), voice] = part
            self._ends[voice] = first + len(part)

    def take(self) -> list[Samples]:
        """Return blocks of what is settled since the last time: int16, shape `(n, 2)`, caller and agent."""
        self._settle(max(min(self._ends), max(self._ends) - PATIENCE_SAMPLES))
        settled, self._settled = self._settled, []
        return settled

    def finish(self, end_samples: int) -> list[Samples]:
        """Return the rest, up to the end of the longer track and at least to `end_samples`."""
        self._settle(max(self.end_samples, end_samples))
        return self.take()

    def _settle(self, until_samples: int) -> None:
        while (n := until_samples - self._start) > 0:
            if self._start >= self.end_samples:
                n = min(n, len(_NOTHING))
                self._settled.append(_NOTHING[:n])
            else:
                n = min(n, _ROOM_SAMPLES, self.end_samples - self._start)
                self._settled.append(self._room[:n].copy())
                self._room[:-n] = self._room[n:]
                self._room[-n:] = 0
            self._start += n


class Loudness:
    """The level of one voice, 20 ms by 20 ms, of which can be said where it speaks."""

    def __init__(self) -> None:
        self._levels = bytearray()
        self._rest: Samples = np.zeros(0, dtype=np.int16)

    def add(self, samples: Samples) -> None:
        """Take the next samples: int16, shape `(n_samples,)`."""
        samples = np.concatenate((self._rest, samples))
        n_frames = len(samples) // FRAME_SAMPLES
        self._rest = samples[n_frames * FRAME_SAMPLES :]
        if len(self._levels) + n_frames <= _MAX_LEVELS:
            frames = samples[: n_frames * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES).astype(np.float32) / FULL_SCALE
            dbfs = 10 * np.log10(np.mean(frames**2, axis=1) + 10 ** (-_FLOOR_DB / 10))
            self._levels += np.clip(dbfs + _FLOOR_DB, 0, _FLOOR_DB).astype(np.uint8).tobytes()

    def speech_ms(self) -> list[tuple[int, int]]:
        """Return where it speaks, from and to in milliseconds: louder than a voice must be, and than its own noise."""
        dbfs = np.frombuffer(bytes(self._levels), dtype=np.uint8).astype(np.int16) - _FLOOR_DB
        noisy = dbfs[dbfs > 10 - _FLOOR_DB]
        if len(noisy) == 0:
            return []
        noise_dbfs = float(np.percentile(noisy, _NOISE_PERCENTILE))
        threshold_dbfs = max(VOICED_DBFS, min(noise_dbfs, _LOUDEST_NOISE_DBFS) + _ABOVE_NOISE_DB)
        spans: list[tuple[int, int]] = []
        voiced = np.flatnonzero(dbfs >= threshold_dbfs)
        for run in np.split(voiced, np.flatnonzero(np.diff(voiced) > _PAUSE_FRAMES) + 1):
            if len(run):
                spans.append((int(run[0]) * PTIME_MS, int(run[-1] + 1) * PTIME_MS))
        return spans


class Origin:
    """When position 0 was, monotonic seconds: known by the clockwork, which may be late but never early."""

    def __init__(self) -> None:
        self.at_s = float("inf")

    def see(self, position_samples: int, now_s: float) -> None:
        """Take note that this position is due now."""
        self.at_s = min(self.at_s, now_s - position_samples / SAMPLE_RATE_HZ)


class HeldBack:
    """What a loudspeaker was given last: it may still be dropped before it is heard, and is silence then."""

    FRAMES: Final = 10
    """0.2 s: more than waits for any device."""

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, Samples]] = deque()

    def push(self, position_samples: int, samples: Samples) -> tuple[int, Samples] | None:
        """Take the next piece, int16 of shape `(n_samples,)`; return one that is heard by now, None for none."""
        self._pieces.append((position_samples, samples))
        return self._pieces.popleft() if len(self._pieces) > self.FRAMES else None

    def drop(self, n_samples: int) -> None:
        """Let so much of what came last be silence."""
        for index in range(len(self._pieces) - 1, -1, -1):
            if n_samples <= 0:
                return
            position, samples = self._pieces[index]
            n_heard = max(0, len(samples) - n_samples)
            n_samples -= len(samples)
            self._pieces[index] = position, np.pad(samples[:n_heard], (0, len(samples) - n_heard))

    def rest(self) -> list[tuple[int, Samples]]:
        """Return what is left: all of it was heard."""
        pieces = list(self._pieces)
        self._pieces.clear()
        return pieces


class Shift:
    """By how much the sound at a device lies apart from its turn on the clock of the call.

    Devices tell it to a few milliseconds, so it stays as it was first told until it is off by more than
    `TOLERANCE_SAMPLES` in the mean: sound must not be cut, or torn apart, by an error of measurement.
    """

    TOLERANCE_SAMPLES: Final = SAMPLE_RATE_HZ // 100
    _MEMORY: Final = 0.9

    def __init__(self) -> None:
        self._shift: int | None = None
        self._error = 0.0

    def of(self, position_samples: int, at_samples: float | None) -> int:
        """Return where what has its turn at a position belongs; `at_samples` is where the device says, None unknown."""
        if at_samples is None:
            return position_samples + (self._shift or 0)
        told = at_samples - position_samples
        if self._shift is None:
            self._shift = round(told)
        self._error = self._MEMORY * self._error + (1 - self._MEMORY) * (told - self._shift)
        if abs(self._error) > self.TOLERANCE_SAMPLES:
            self._shift, self._error = round(told), 0.0
        return position_samples + self._shift
