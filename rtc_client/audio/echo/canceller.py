"""The echo canceller: ours and WebRTC's side by side, then WebRTC's noise suppression and gain control.

Ours (`adaptive_filter.py`, `residual_suppressor.py`) leaves the caller nearly as they are, and less of the echo, in a
room that stays. WebRTC's AEC3, by pywebrtc-audio, turns the caller down with the echo, but follows clocks that run
apart and streams that stumble. Only this file knows that package. Figures: tests/bench/README.md, "Echo".
"""

from __future__ import annotations

import importlib.util
from typing import Final

import numpy as np

from rtc_client.audio.echo.adaptive_filter import AdaptiveEchoFilter
from rtc_client.audio.echo.config import EchoSettings
from rtc_client.audio.echo.residual_suppressor import DELAY_SAMPLES, ResidualEchoSuppressor
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

INSTALL: Final = 'pip install "rtc-client[aec]"'

WORSE: Final = 10.0
"""Ours is left for AEC3 when it leaves so much more energy: it has lost the echo; no caller is turned down so far."""
AS_GOOD: Final = 4.0
"""Ours is taken (again) when it leaves no more than so much more."""
_MEMORY: Final = 0.1
_FLOOR: Final = 10.0 * FRAME_SAMPLES
"""Energy of a frame, -80 dBFS, below which both have left nothing."""
_HEARD: Final = 60
_HANGOVER_FRAMES: Final = 15
_AEC3_DELAY_SAMPLES: Final = 223
"""How much later than it went in a caller comes out of AEC3; what comes out of ours is as late with a little more."""


def is_installed() -> bool:
    """Return whether the extra `aec` is there; it is not loaded."""
    return importlib.util.find_spec("pywebrtc_audio") is not None


class EchoCanceller:
    """Subtracts what is played from what is captured, both 24 kHz; for one call and one thread.

    It finds out by itself how much later the echo comes, up to half a second, and adapts within seconds, even while
    both speak. The caller comes out 10 ms later, 17 ms with noise suppression or gain control.

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
        self._filter = AdaptiveEchoFilter()
        self._suppressor = ResidualEchoSuppressor()
        self._aec3 = AudioProcessor(sample_rate=SAMPLE_RATE_HZ, echo_cancellation=True)
        self._late = np.zeros(DELAY_SAMPLES - _AEC3_DELAY_SAMPLES, dtype=np.int16)
        self._behind = (
            AudioProcessor(
                sample_rate=SAMPLE_RATE_HZ,
                high_pass_filter=True,
                noise_suppression=settings.noise_suppression,
                auto_gain_control=settings.gain_control,
            )
            if settings.noise_suppression or settings.gain_control
            else None
        )
        self._energies = np.ones(2)
        self._n_heard = 0
        self._is_ours = False

    def process(self, near: Samples, far: Samples) -> Samples:
        """Return the caller without the agent: int16, shape `(FRAME_SAMPLES,)`, as both arguments.

        `near` is what was captured; `far` what was played meanwhile, or up to half a second before, never after.
        """
        ours = self._suppressor.process(self._filter.process(near, far))
        theirs = np.concatenate((self._late, self._aec3.process(np.ascontiguousarray(near), np.ascontiguousarray(far))))
        theirs, self._late = theirs[:FRAME_SAMPLES], theirs[FRAME_SAMPLES:]
        was_ours = self._is_ours
        self._choose(ours, theirs, far)
        caller = ours if self._is_ours else theirs
        if was_ours is not self._is_ours:
            share = np.linspace(0, 1, FRAME_SAMPLES, dtype=np.float32)
            before = ours if was_ours else theirs
            caller = np.rint(before + share * (caller.astype(np.float32) - before)).astype(np.int16)
        return caller if self._behind is None else self._behind.process(caller)

    def _choose(self, ours: Samples, theirs: Samples, far: Samples) -> None:
        """Tell which of both is to be heard: ours, unless it leaves much more while the agent is heard."""
        self._n_heard = _HANGOVER_FRAMES if np.abs(far).max() > _HEARD else self._n_heard - 1
        if self._n_heard <= 0:
            return
        energies = [float(np.dot(samples, samples)) for samples in (ours.astype(np.float32), theirs.astype(np.float32))]
        self._energies += _MEMORY * (energies - self._energies)
        left_ours, left_theirs = self._energies + _FLOOR
        self._is_ours = bool(left_ours < (WORSE if self._is_ours else AS_GOOD) * left_theirs)
