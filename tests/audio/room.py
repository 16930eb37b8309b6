"""A room to test echo handling in: a loudspeaker, its sound delayed, filtered and reverberating; a microphone.

Everything is known: what was played, what of it the microphone hears, and what the caller says, each by itself.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE, level_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH

Signal: TypeAlias = NDArray[np.float64]
"""Samples before they are rounded: shape `(n_samples,)`, full scale 32768."""

PLAYED_DBFS: Final = -23.0
"""Level of the agent's speech as it is played."""
_LOW_HZ: Final = 250.0
_HIGH_HZ: Final = 7_000.0
"""Between these the loudspeaker of a laptop plays."""
_DIRECT_SHARE: Final = 0.7
"""Of the energy of an echo, what comes straight from the loudspeaker or off the table under it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """How a loudspeaker is heard by a microphone beside it."""

    level_db: float
    """Level of the echo, relative to what is played. A laptop at full volume reaches -6, a quiet one -25."""
    delay_s: float
    """From when a sample is said to be played until it is said to be captured, so with what devices tell wrongly."""
    rt60_s: float = 0.3
    """Until the reverberation is 60 dB weaker; a furnished room takes 0.3 to 0.5 s."""
    noise_dbfs: float = -70.0
    """Of the microphone and the room."""
    seed: int = 1

    def echo_of(self, played: Samples) -> Signal:
        """Return what the microphone hears of `played`, as long as it."""
        return _convolve(played.astype(np.float64), self.impulse_response())[: len(played)]

    def noise(self, n_samples: int) -> Signal:
        """Return what the microphone hears when nobody speaks."""
        amplitude = FULL_SCALE * 10 ** (self.noise_dbfs / 20)
        return np.random.default_rng(self.seed + 1).normal(0, amplitude, n_samples)

    def impulse_response(self) -> Signal:
        """Return the path from loudspeaker to microphone."""
        rng = np.random.default_rng(self.seed)
        n_tail = round(self.rt60_s * SAMPLE_RATE_HZ)
        tail = rng.normal(0, 1, n_tail) * 10 ** (-3 * np.arange(n_tail) / n_tail)
        tail *= np.sqrt((1 - _DIRECT_SHARE) / np.sum(tail**2))
        tail[0] += np.sqrt(_DIRECT_SHARE)
        spectrum = np.fft.rfft(tail, 2 * n_tail)
        hz = np.fft.rfftfreq(2 * n_tail, 1 / SAMPLE_RATE_HZ).astype(np.float64)
        spectrum *= _slope(hz, _LOW_HZ) * (1 - _slope(hz, _HIGH_HZ))
        # A circular filter would ring before its first sample; it is moved behind it.
        path = np.roll(np.fft.irfft(spectrum), _LEAD_IN)[: n_tail + _LEAD_IN]
        path *= 10 ** (self.level_db / 20) / np.sqrt(np.sum(path**2))
        n_before = round(self.delay_s * SAMPLE_RATE_HZ) - _LEAD_IN
        return np.concatenate((np.zeros(n_before), path)) if n_before >= 0 else path[-n_before:]


_LEAD_IN: Final = 48
"""2 ms, of which the delay is made shorter."""


def agent_speech(seconds: float, *, pause_s: float = 0.4) -> Samples:
    """Return the shipped agent over and over, with pauses: int16, whole periods."""
    return _repeated(AGENT_SPEECH, seconds, PLAYED_DBFS, pause_s)


def caller_speech(seconds: float, *, level_db: float = -26.0, pause_s: float = 0.4) -> Samples:
    """Return the shipped caller over and over, with pauses: int16, whole periods."""
    return _repeated(CALLER_SPEECH, seconds, level_db, pause_s)


def captured(*parts: Signal | Samples) -> Samples:
    """Return the sum of what a microphone hears, as it tells it."""
    total = np.sum([part.astype(np.float64) for part in parts], axis=0)
    clipped: Samples = np.clip(np.rint(total), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
    return clipped


def frames(samples: Samples) -> list[Samples]:
    """Return whole periods of 20 ms."""
    n_frames = len(samples) // FRAME_SAMPLES
    return list(samples[: n_frames * FRAME_SAMPLES].reshape(n_frames, FRAME_SAMPLES))


def _repeated(path: object, seconds: float, level_db: float, pause_s: float) -> Samples:
    spoken = read_audio(path)  # type: ignore[arg-type]
    gain = 10 ** ((level_db - level_dbfs(spoken)) / 20)
    once = np.concatenate((spoken * gain, np.zeros(round(pause_s * SAMPLE_RATE_HZ))))
    n_samples = round(seconds * SAMPLE_RATE_HZ) // FRAME_SAMPLES * FRAME_SAMPLES
    return captured(np.tile(once, -(-n_samples // len(once)))[:n_samples])


def _slope(hz: Signal, corner_hz: float) -> Signal:
    """Return 0 below the corner and 1 above it, of second order."""
    ratio = (hz / corner_hz) ** 4
    slope: Signal = ratio / (1 + ratio)
    return slope


def _convolve(signal: Signal, path: Signal) -> Signal:
    n_samples = len(signal) + len(path)
    n_fft = 1 << (n_samples - 1).bit_length()
    return np.fft.irfft(np.fft.rfft(signal, n_fft) * np.fft.rfft(path, n_fft))[:n_samples]
