"""Recordings that the command has written."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np

from rtc_client.audio.frames import Samples


def recorded(path: Path) -> Samples:
    """Return what a WAV file holds."""
    with wave.open(str(path)) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (24_000, 1, 2)
        return np.frombuffer(recording.readframes(recording.getnframes()), dtype=np.int16)
