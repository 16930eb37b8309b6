"""The echo canceller: WebRTC's audio processing by pywebrtc-audio. Only this file knows that package."""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np

from rtc_client.audio.echo_settings import EchoSettings
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

INSTALL: Final = 'pip install "rtc-client[aec]"'


def is_installed() -> bool:
    """Return whether the extra `aec` is there; it is not loaded."""
    return importlib.util.find_spec("pywebrtc_audio") is not None


class EchoCanceller:
    """Subtracts what is played from what is captured, both 24 kHz; for one call and one thread.

    It finds out by itself how much later the echo comes, up to half a second, and adapts within a second. The caller
    comes out 9 ms later, 15 ms with noise suppression.

    Raises:
        ConfigError: The extra `aec` is not installed, or does not load on this machine.
    """

    def __init__(self, settings: EchoSettings) -> None:
        try:
            from pywebrtc_audio import AudioProcessor
        except ModuleNotFoundError as error:
            raise ConfigError(f"echo mode aec needs the extra aec: {INSTALL}, or choose half-duplex") from error
        except ImportError as error:
            raise ConfigError("the extra aec does not load on this machine: choose echo mode half-duplex") from error
        self._processor = AudioProcessor(
            sample_rate=SAMPLE_RATE_HZ,
            echo_cancellation=True,
            noise_suppression=settings.noise_suppression,
            auto_gain_control=settings.gain_control,
        )

    def process(self, near: Samples, far: Samples) -> Samples:
        """Return the caller without the agent: int16, shape `(n_samples,)`, as both arguments; whole periods of 10 ms.

        `near` is what was captured; `far` what was played meanwhile, or up to half a second before, never after.
        """
        return self._processor.process(np.ascontiguousarray(near), np.ascontiguousarray(far))
