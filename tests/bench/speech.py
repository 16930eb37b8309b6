"""What is spoken in the benchmarks: recorded speech where it is installed, else the samples that are shipped."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE, level_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH

RECORDINGS: Final = Path("/usr/share/pocketsphinx/test/data/librivox")
"""Where Debian's `pocketsphinx-testdata` puts a reading from LibriVox, 16 kHz."""
_LEVEL_DBFS: Final = -23.0
_PEAK: Final = 0.9 * FULL_SCALE
_NOISE_PEAK: Final = 4
"""Of the noise below the speech, -80 dBFS, as of a quiet room: digital silence is not encoded."""


def has_recordings() -> bool:
    """Return whether human speech is there."""
    return any(RECORDINGS.glob("*.wav"))


def utterances() -> list[Samples]:
    """Return sentences: int16, shape `(n_samples,)`, 24 kHz, all equally loud."""
    files = sorted(RECORDINGS.glob("*.wav")) if has_recordings() else [Path(CALLER_SPEECH), Path(AGENT_SPEECH)]
    return [_levelled(read_audio(path)) for path in files]


def endless_speech(min_s: float = 20.0) -> Samples:
    """Return speech of whole periods of 20 ms to be played in a circle, without pauses that would cost nothing."""
    spoken: list[Samples] = []
    sentences = utterances()
    while sum(map(len, spoken)) < min_s * SAMPLE_RATE_HZ:
        spoken.append(sentences[len(spoken) % len(sentences)])
    whole = np.concatenate(spoken)
    whole = whole[: len(whole) // FRAME_SAMPLES * FRAME_SAMPLES].astype(np.int32)
    whole += np.random.default_rng(1).integers(-_NOISE_PEAK, _NOISE_PEAK + 1, len(whole))
    return np.clip(whole, -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def _levelled(samples: Samples) -> Samples:
    gain = 10 ** ((_LEVEL_DBFS - level_dbfs(samples)) / 20)
    gain = min(gain, _PEAK / max(1, int(np.abs(samples.astype(np.int32)).max())))
    levelled: Samples = np.rint(samples * gain).astype(np.int16)
    return levelled


class EndlessSource:
    """Speaks samples in a circle."""

    ended = False

    def __init__(self, samples: Samples) -> None:
        self._samples = samples
        self._at = 0

    async def open(self) -> None: ...

    def read(self) -> Samples:
        frame = self._samples[self._at : self._at + FRAME_SAMPLES]
        self._at = (self._at + FRAME_SAMPLES) % len(self._samples)
        return frame

    async def aclose(self) -> None: ...
