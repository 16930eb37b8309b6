"""The echo canceller: WebRTC's audio processing out of LiveKit's SDK. Only this file knows that package.

The SDK carries the whole of WebRTC; only its `AudioProcessingModule` is used, which starts four native threads that
sleep, and takes 22 MB.
"""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np

from rtc_client.audio.echo_settings import EchoSettings
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

INSTALL: Final = 'pip install "rtc-client[aec]"'
_BLOCK: Final = SAMPLE_RATE_HZ // 100
"""WebRTC takes 10 ms at a time."""


def is_installed() -> bool:
    """Return whether the extra `aec` is there; nothing is loaded."""
    try:
        return importlib.util.find_spec("livekit.rtc") is not None
    except ModuleNotFoundError:
        return False


class EchoCanceller:
    """Subtracts what is played from what is captured, both 24 kHz; for one call and one thread. Making it takes 70 ms.

    It finds out by itself how much later the echo comes, up to half a second, and adapts within a second. The caller
    comes out about 10 ms later, 16 ms with noise suppression.

    Raises:
        ConfigError: The extra `aec` is not installed, or does not load on this machine.
    """

    def __init__(self, settings: EchoSettings) -> None:
        try:
            from livekit.rtc import AudioFrame
            from livekit.rtc.apm import AudioProcessingModule
        except ModuleNotFoundError as error:
            raise ConfigError(f"echo mode aec needs the extra aec: {INSTALL}, or choose half-duplex") from error
        except OSError as error:
            raise ConfigError("the extra aec does not load on this machine: choose echo mode half-duplex") from error
        self._apm = AudioProcessingModule(
            echo_cancellation=True,
            noise_suppression=settings.noise_suppression,
            auto_gain_control=settings.gain_control,
            # What is below speech, and no echo canceller's business.
            high_pass_filter=True,
        )
        self._near = np.zeros(_BLOCK, dtype=np.int16)
        self._far = np.zeros(_BLOCK, dtype=np.int16)
        # They share the memory of the arrays, and are processed where they lie.
        self._near_frame = AudioFrame(self._near.data, SAMPLE_RATE_HZ, 1, _BLOCK)
        self._far_frame = AudioFrame(self._far.data, SAMPLE_RATE_HZ, 1, _BLOCK)

    def process(self, near: Samples, far: Samples) -> Samples:
        """Return the caller without the agent: int16, shape `(FRAME_SAMPLES,)`, as both arguments.

        `near` is what was captured; `far` what was played meanwhile, or up to half a second before, never after.
        """
        out = np.empty(FRAME_SAMPLES, dtype=np.int16)
        for start in range(0, FRAME_SAMPLES, _BLOCK):
            block = slice(start, start + _BLOCK)
            self._far[:] = far[block]
            self._near[:] = near[block]
            self._apm.process_reverse_stream(self._far_frame)
            self._apm.process_stream(self._near_frame)
            out[block] = self._near
        return out
