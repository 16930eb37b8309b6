"""OutputGate: mutes the rest of an interrupted turn until the agent starts a new one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rtc_client.audio.frames import SILENCE, Samples
from rtc_client.audio.pcm import is_voiced, level_dbfs

PAUSE_FRAMES: Final = 30
"""0.6 s of silence of an agent who gave way to the caller: longer than the pauses between words."""
OPEN_PAUSE_FRAMES: Final = 60
"""1.2 s, where the last word of its turn has not come: longer than most pauses between sentences."""
GIVES_WAY_FRAMES: Final = 50
"""Who falls silent while the caller speaks, or 1 s later at most, gives way; a server takes a second to decide it."""
QUIET_FRAMES: Final = 15
LONG_PAUSE_FRAMES: Final = 100
"""2 s of silence are longer than the pauses within a turn, whoever speaks."""
NOISE_FRAMES: Final = 33
"""What our own ear takes for speech, with 0.3 s after it, when it is shorter than 0.4 s: a cough, a chair."""


class OutputGate:
    """Replaces what the agent says by silence, from `begin` until it starts a new turn.

    Where events tell of that, `end` is called. Else silence has to tell it, and by its length alone a pause within a
    turn cannot be told from one between two. But who is interrupted and gives way falls silent while the other speaks,
    or soon after, and does not go on before they have finished: 0.6 s of such a silence end the turn, or 1.2 s while
    more of its words may come. An agent that talks on takes its breath elsewhere, and it takes 2 s of any silence. So
    an agent that starts a new turn is heard, although no event says so, and one that talks on is not heard again
    between two sentences; unless it talks on because there was nothing but a noise: then it is heard again after its
    next pause.
    """

    def __init__(self) -> None:
        self.on_dropped: Callable[[], object] = lambda: None
        """Told, once for each `begin`, when the first sound is not heard that would have been."""
        self.is_turn_open: Callable[[], bool] = lambda: False
        """Tells whether more words may come of the turn that is not heard."""
        self.is_caller_speaking = False
        """Whether the caller is, as far as anybody tells."""
        self.is_doubtful = False
        """Whether nobody but our own ear has told that the caller speaks; to be set behind `begin`."""
        self._after_caller_frames = self._caller_frames = 0
        self._quiet_frames = 0
        self._has_dropped = False
        self.is_on = False
        self.dropped_samples = 0
        """Samples with a voice in them that were not heard, of the whole call."""

    def begin(self) -> None:
        """The agent is to be heard no more, for the caller speaks."""
        self.is_on, self._has_dropped, self.is_doubtful = True, False, False
        self._quiet_frames = self._after_caller_frames = self._caller_frames = 0

    @property
    def is_quiet(self) -> bool:
        """Whether there is nothing to be kept away just now: a pause, at least between two words."""
        return self._quiet_frames >= QUIET_FRAMES

    def end(self) -> None:
        """The agent starts a new turn."""
        self.is_on = False

    def drop(self, samples: Samples) -> None:
        """Take sound that will not be played: int16, shape `(n_samples,)`."""
        self._quiet_frames = 0
        if not len(samples):
            return
        self.dropped_samples += len(samples)
        if not self._has_dropped:
            self._has_dropped = True
            self.on_dropped()

    def filtered(self, samples: Samples) -> Samples:
        """Return silence for a frame that was to be played: int16, shape `(n_samples,)`, at most 20 ms."""
        self._after_caller_frames = 0 if self.is_caller_speaking else self._after_caller_frames + 1
        self._caller_frames += self.is_caller_speaking
        if is_voiced(level_dbfs(samples)):
            self.drop(samples)
        else:
            self._quiet_frames += 1
            self.is_on = not self._is_over
        return SILENCE[: len(samples)]

    @property
    def _is_over(self) -> bool:
        if self.is_caller_speaking:
            needed_frames = LONG_PAUSE_FRAMES
        elif self.is_doubtful and self._caller_frames < NOISE_FRAMES:
            needed_frames = PAUSE_FRAMES
        elif self._after_caller_frames - self._quiet_frames > GIVES_WAY_FRAMES:
            needed_frames = LONG_PAUSE_FRAMES
        else:
            needed_frames = OPEN_PAUSE_FRAMES if self.is_turn_open() else PAUSE_FRAMES
        return self._quiet_frames >= needed_frames
