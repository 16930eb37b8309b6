"""Tones for sound devices."""

from __future__ import annotations

import numpy as np

from rtc_client import (
    ToneSource,
)
from rtc_client.audio.frames import Samples


def tone(frequency_hz: float, seconds: float) -> Samples:
    """Return a tone at -20 dBFS."""
    source = ToneSource(frequency_hz, duration_s=seconds)
    frames = []
    while (frame := source.read()) is not None:
        frames.append(frame)
    return np.concatenate(frames)
