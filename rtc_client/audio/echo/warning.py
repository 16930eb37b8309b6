"""Detects once that the agent is heard in the caller's microphone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtc_client.audio.echo.config import ActiveEchoMode
from rtc_client.audio.echo.detector import EchoDetector
from rtc_client.audio.pcm import FULL_SCALE, VOICED_DBFS

LOOK_FRAMES: Final = 15
"""It is looked every 300 ms, and only while the agent speaks."""
MIN_ACTIVITY: Final = 0.3
"""Share of the last second in which the agent has to speak."""
MIN_ENVELOPE: Final = 0.25
"""Where the loudness of the input follows that of the output less than this, the samples are not looked at."""
MIN_SHARPNESS: Final = 12.0
"""See `EchoMatch.sharpness`: two voices stay below 6.5, two of the same synthesizer below 10.5."""
MIN_LEVEL_DBFS: Final = VOICED_DBFS
"""An echo below this is not taken for a voice by anybody."""
N_MATCHES: Final = 6
"""So many in a row have to find the same delay: no coincidence, no canceller that is still learning, and no half
second in which a caller broke through and the echo with them."""
SAME_DELAY_S: Final = 0.005
_ACTIVE_MEAN_SQUARE: Final = (FULL_SCALE * 10 ** (VOICED_DBFS / 20)) ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class EchoDetected:
    """Our own output is heard in our input: the agent hears itself, and may answer or interrupt itself. Told once."""

    mode: ActiveEchoMode
    """What is done about it, and was not enough."""
    delay_s: float
    """Of the echo behind what is played, as far as the devices tell it."""
    level_dbfs: float
    """Of the echo."""

    @property
    def cure(self) -> str:
        """What helps, in a few words."""
        return "use headphones" if self.mode == "aec" else "use headphones, or echo mode aec (--echo aec)"


class EchoWarning:
    """Looks for the output in the input until it is found."""

    def __init__(self, trace: EchoDetector, mode: ActiveEchoMode) -> None:
        self._trace = trace
        self._mode = mode
        self._n_matches = 0
        self._delay_s = 0.0
        self.is_told = False

    def poll(self) -> EchoDetected | None:
        """Call it after each frame; return what is found, once."""
        trace = self._trace
        if self.is_told or trace.n_frames % LOOK_FRAMES or trace.far_activity(_ACTIVE_MEAN_SQUARE) < MIN_ACTIVITY:
            return None
        if trace.envelope_match() < MIN_ENVELOPE:
            self._n_matches = 0
            return None
        match = trace.match()
        if match.sharpness < MIN_SHARPNESS or match.level_dbfs < MIN_LEVEL_DBFS:
            self._n_matches = 0
            return None
        is_same = abs(match.delay_s - self._delay_s) < SAME_DELAY_S
        self._n_matches = self._n_matches + 1 if is_same else 1
        self._delay_s = match.delay_s
        if self._n_matches < N_MATCHES:
            return None
        self.is_told = True
        return EchoDetected(mode=self._mode, delay_s=match.delay_s, level_dbfs=round(match.level_dbfs, 1))
