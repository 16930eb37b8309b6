"""The audio of an agent's voices: a tone that is computed, a clip that is read, each once."""

from __future__ import annotations

import numpy as np

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.testing.scenario.scenario import Scenario
from rtc_client.testing.scenario.script import Clip, Echo, SpokenTurn, Tone, Voice


def tone_samples(tone: Tone) -> Samples:
    """Return the tone as int16 samples, mono, 24 kHz."""
    peak = 32_768 * np.sqrt(2) * 10 ** (tone.level_dbfs / 20)
    at_s = np.arange(round(tone.duration_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    sine = peak * np.sin(2 * np.pi * tone.frequency_hz * at_s)
    samples: Samples = np.clip(np.rint(sine), -32_768, 32_767).astype(np.int16)
    return samples


class VoiceBox:
    """Renders voices, and keeps what it rendered."""

    def __init__(self) -> None:
        self._rendered: dict[int, tuple[Voice, Samples]] = {}

    def warm_up(self, scenario: Scenario) -> None:
        """Render the voices of a scenario now, so that no call waits for a file."""
        for step in (*scenario.steps, *scenario.whenever):
            if isinstance(step, SpokenTurn) and step.voice is not None:
                self.duration_s(step.voice)

    def samples(self, voice: Tone | Clip) -> Samples:
        """Return the sound of a voice: int16, mono, 24 kHz.

        Raises:
            AudioFileUnreadable: If the file of a clip cannot be read.
        """
        # Keyed by identity (a clip may hold an array, which cannot be hashed); holding the voice keeps the id its own.
        if id(voice) not in self._rendered:
            self._rendered[id(voice)] = (voice, _render(voice))
        return self._rendered[id(voice)][1]

    def duration_s(self, voice: Voice) -> float | None:
        """Return how long a voice lasts, in seconds; None for an echo without end."""
        if isinstance(voice, Echo):
            return voice.duration_s
        return len(self.samples(voice)) / SAMPLE_RATE_HZ


def _render(voice: Tone | Clip) -> Samples:
    if isinstance(voice, Tone):
        return tone_samples(voice)
    if isinstance(voice.audio, np.ndarray):
        if voice.audio.dtype != np.int16 or voice.audio.ndim != 1:
            raise ValueError("a clip given as samples must be int16 of shape (n_samples,)")
        return voice.audio
    return read_audio(voice.audio)
