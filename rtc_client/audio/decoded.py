"""What aiortc's decoder hands out, 48 kHz stereo, brought to our 24 kHz mono; nothing is buffered or placed here."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import Samples

_TAPS: Final = 47
_n = np.arange(_TAPS) - _TAPS // 2
# Windowed-sinc half-band low-pass: flat to 10 kHz, more than 60 dB down from 14 kHz, 0.48 ms of delay.
_LOW_PASS: Final = (0.5 * np.sinc(0.5 * _n) * np.kaiser(_TAPS, 6.0)).astype(np.float32)


class HalfRate:
    """48 kHz interleaved stereo in, 24 kHz mono out: exactly half as many samples, block by block, without seams."""

    def __init__(self) -> None:
        self._history = np.zeros(_TAPS - 1, dtype=np.float32)

    def push(self, stereo: NDArray[Any]) -> Samples:
        """Return int16, shape `(n,)`, for int16, shape `(1, 4 n)`: `2 n` interleaved stereo samples."""
        mono = stereo.reshape(-1, 2).sum(axis=1, dtype=np.float32)
        mono *= 0.5
        block = np.concatenate((self._history, mono))
        self._history = block[-(_TAPS - 1) :]
        low = np.convolve(block, _LOW_PASS, mode="valid")[::2]
        return np.clip(np.rint(low), -32_768, 32_767).astype(np.int16)
