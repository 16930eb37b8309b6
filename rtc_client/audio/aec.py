"""The echo canceller: our filter and suppressor, then WebRTC's noise suppression and gain control by pywebrtc-audio.

Only this file knows that package. Its own canceller, AEC3, is not used: see tests/bench/README.md, "Echo", for figures.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Final

from rtc_client.audio.echo_filter import EchoFilter
from rtc_client.audio.echo_settings import EchoSettings
from rtc_client.audio.echo_suppressor import EchoSuppressor
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

if TYPE_CHECKING:
    from pywebrtc_audio import AudioProcessor

INSTALL: Final = 'pip install "rtc-client[aec]"'


def is_usable(settings: EchoSettings) -> bool:
    """Return whether what mode `aec` needs with these settings is installed; it is not loaded."""
    return not _needs_extra(settings) or importlib.util.find_spec("pywebrtc_audio") is not None


class EchoCanceller:
    """Subtracts what is played from what is captured, both 24 kHz; for one call and one thread.

    It finds out by itself how much later the echo comes, up to half a second, and adapts within seconds, even while
    both speak. The caller comes out 10 ms later, 17 ms with noise suppression.

    Raises:
        ConfigError: Noise suppression or gain control is wanted, and the extra `aec` is not installed, or does not load
            on this machine.
    """

    def __init__(self, settings: EchoSettings) -> None:
        self._filter = EchoFilter()
        self._suppressor = EchoSuppressor()
        self._processor = _processor(settings) if _needs_extra(settings) else None

    def process(self, near: Samples, far: Samples) -> Samples:
        """Return the caller without the agent: int16, shape `(FRAME_SAMPLES,)`, as both arguments.

        `near` is what was captured; `far` what was played meanwhile, or up to half a second before, never after.
        """
        caller = self._suppressor.process(self._filter.process(near, far))
        return caller if self._processor is None else self._processor.process(caller)


def _needs_extra(settings: EchoSettings) -> bool:
    return settings.noise_suppression or settings.gain_control


def _processor(settings: EchoSettings) -> AudioProcessor:
    try:
        from pywebrtc_audio import AudioProcessor
    except ModuleNotFoundError as error:
        raise ConfigError(f"echo mode aec needs the extra aec: {INSTALL}, or choose half-duplex") from error
    except ImportError as error:
        raise ConfigError("the extra aec does not load on this machine: choose echo mode half-duplex") from error
    return AudioProcessor(
        sample_rate=SAMPLE_RATE_HZ,
        high_pass_filter=True,
        noise_suppression=settings.noise_suppression,
        auto_gain_control=settings.gain_control,
    )
