"""HoldSound: what the caller hears softly while they wait for something that takes a while.

When somebody waits is not decided here; samples come in, samples go out. No time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from rtc_client.audio.files.reader import AudioFileReader
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE, is_voiced, level_dbfs
from rtc_client.audio.sources.mixer import Fader, mix

MAX_FILE_S: Final = 300.0
"""Of a longer file so much is played again and again: 14 MB."""
FADE_S: Final = 0.3
PAUSE_S: Final = 0.6
"""Silence of the agent that is no pause between two words: then it comes back."""

_TONE_DBFS: Final = -38.0
_TONE_S: Final = 0.25
_ROUND_S: Final = 3.0


def comfort_tone() -> Samples:
    """Return three seconds to be played again and again: two soft notes and silence; int16, shape `(n_samples,)`."""
    n_samples = round(_TONE_S * SAMPLE_RATE_HZ)
    t = np.arange(n_samples) / SAMPLE_RATE_HZ
    notes = [np.sin(np.pi * t / _TONE_S) ** 2 * np.sin(2 * np.pi * hz * t) for hz in (440.0, 554.37)]
    loop = np.zeros(round(_ROUND_S * SAMPLE_RATE_HZ))
    loop[: 2 * n_samples] = np.concatenate(notes) * FULL_SCALE * 10 ** (_TONE_DBFS / 20) * 2
    tone: Samples = np.rint(loop).astype(np.int16)
    return tone


async def hold_loop(hold: Path | str) -> Samples:
    """Return what is played while somebody waits: `comfort_tone` for "tone", else what is in a file, to `MAX_FILE_S`.

    Raises:
        AudioFileUnreadable: The file cannot be used.
    """
    return comfort_tone() if hold == "tone" else await asyncio.to_thread(_first_minutes, Path(hold))


def _first_minutes(path: Path) -> Samples:
    blocks: list[Samples] = []
    room = round(MAX_FILE_S * SAMPLE_RATE_HZ)
    with AudioFileReader(path) as reader:
        for block in reader:
            blocks.append(block[:room])
            room -= len(blocks[-1])
            if room <= 0:
                break
    return np.concatenate(blocks)


class HoldSound:
    """Plays `loop` again and again while `is_wanted`, and fades away while the agent speaks."""

    def __init__(self, loop: Samples, is_wanted: Callable[[], bool]) -> None:
        self._loop = loop
        self._is_wanted = is_wanted
        self._fader = Fader(0.0)
        self._place = 0
        self._quiet_s = PAUSE_S

    @property
    def is_alone(self) -> bool:
        """Whether it is heard in what `under` returned last, and no voice."""
        return self._fader.factor > 0 and self._quiet_s > 0

    def under(self, samples: Samples) -> Samples:
        """Return what the agent says, int16 of shape `(n_samples,)`, with the sound under it."""
        n_samples = len(samples)
        is_wanted = self._is_wanted()
        if not n_samples or not (is_wanted or self._fader.factor):
            self._place, self._quiet_s = 0, PAUSE_S
            return samples
        length_s = n_samples / SAMPLE_RATE_HZ
        self._quiet_s = 0.0 if is_voiced(level_dbfs(samples)) else self._quiet_s + length_s
        step = length_s / FADE_S if is_wanted and self._quiet_s >= PAUSE_S else -length_s / FADE_S
        played = self._fader.faded(self._taken(n_samples), min(1.0, max(0.0, self._fader.factor + step)))
        return mix([samples, played])[0]

    def _taken(self, n_samples: int) -> Samples:
        places = np.arange(self._place, self._place + n_samples) % len(self._loop)
        self._place = (self._place + n_samples) % len(self._loop)
        return self._loop[places]
