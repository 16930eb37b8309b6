"""AgentScript: what the agent of a fake call says and when, as frozen values.

An `AgentScript` is the short form; `scenario.py` has the long one, with messages, expectations and faults.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from rtc_client.audio.frames import Samples
from rtc_client.testing.sound.vad import VadSettings
from rtc_client.testing.wire.json_patterns import Pattern, check_pattern


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A steady sine.

    Raises:
        ValueError: It cannot be played: no frequency between 0 and half the sample rate, no time, or too loud.
    """

    frequency_hz: float = 440.0
    duration_s: float = 1.0
    level_dbfs: float = -20.0
    """RMS relative to full scale; a sine cannot be louder than -3.02."""

    def __post_init__(self) -> None:
        if not 0 < self.frequency_hz < 12_000:
            raise ValueError("need 0 < frequency_hz < 12000")
        if self.duration_s <= 0:
            raise ValueError("need duration_s > 0")
        if self.level_dbfs > -3.02:
            raise ValueError("a sine above -3.02 dBFS would clip")


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording: any audio file, or int16 samples of shape `(n_samples,)`, mono, 24 kHz."""

    audio: Path | str | Samples = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """The caller's own sound, given back.

    Raises:
        ValueError: A time is out of range.
    """

    delay_s: float = 0.2
    """How long after it was heard, seconds."""
    duration_s: float | None = None
    """How long to give back sound, seconds; None for the rest of the call."""

    def __post_init__(self) -> None:
        if not 0 <= self.delay_s <= 30:
            raise ValueError("need 0 <= delay_s <= 30")
        if self.duration_s is not None and self.duration_s <= 0:
            raise ValueError("need duration_s > 0")


Voice: TypeAlias = Tone | Clip | Echo
"""What the agent's turn sounds like."""


Pause: TypeAlias = float | tuple[float, float]
"""Seconds; of two numbers a time between them is drawn by the scenario's seed."""


@dataclass(frozen=True, slots=True)
class AtTime:
    """Begin `at_s` seconds after media connected, and not before the previous turn is over."""

    at_s: float

    def __post_init__(self) -> None:
        check_seconds("at_s", self.at_s)


@dataclass(frozen=True, slots=True)
class AfterCaller:
    """Begin once the caller has spoken and then stopped (`hearing` says when that is), and `pause_s` have passed."""

    pause_s: Pause = 0.0
    within_s: float | None = None
    """How long to wait for that; None for as long as the call lasts."""

    def __post_init__(self) -> None:
        check_pause(self.pause_s)
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True)
class AfterMessage:
    """Begin `pause_s` seconds after a message of the client that fits a pattern (`testing/wire/json_patterns.py`)."""

    message: Pattern = field(repr=False)
    pause_s: Pause = 0.0
    within_s: float | None = None
    """How long to wait for it; None for as long as the call lasts."""

    def __post_init__(self) -> None:
        check_pattern(self.message)
        check_pause(self.pause_s)
        check_limit(self.within_s)


@dataclass(frozen=True, slots=True)
class AfterPrevious:
    """Begin `pause_s` seconds after the previous turn; the first turn counts from media connected."""

    pause_s: Pause = 0.0

    def __post_init__(self) -> None:
        check_pause(self.pause_s)


When: TypeAlias = AtTime | AfterCaller | AfterMessage | AfterPrevious
"""What a turn or a step waits for."""


def check_seconds(name: str, value: float) -> None:
    """Raise ValueError unless `value` is a number of seconds, 0 or more and less than a day."""
    if isinstance(value, bool) or not 0 <= value < 86_400:
        raise ValueError(f"need 0 <= {name} < 86400, in seconds")


def check_limit(value: float | None, name: str = "within_s") -> None:
    """Raise ValueError unless `value` is a limit in seconds, or None."""
    if value is not None:
        check_seconds(name, value)


def check_pause(pause_s: Pause) -> None:
    """Raise ValueError unless `pause_s` is a time, or a shortest and a longest one."""
    if isinstance(pause_s, tuple):
        if len(pause_s) != 2:
            raise ValueError("need a pause_s of one number, or of two: the shortest and the longest")
        shortest_s, longest_s = pause_s
        check_seconds("pause_s", shortest_s)
        check_seconds("pause_s", longest_s)
        if shortest_s > longest_s:
            raise ValueError("need a pause_s whose first number is not the greater one")
    else:
        check_seconds("pause_s", pause_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """One turn of the agent: its sound, its words, and when it begins."""

    voice: Voice | None = None
    """None: the words alone, all at once."""
    text: str = field(default="", repr=False)
    """Sent as transcript deltas spread over the voice, then as one final. Empty: no events."""
    when: When = AfterPrevious()
    wait: bool = True
    """Whether what comes next waits for the end of this turn."""


def is_endless(turn: object) -> bool:
    """Return whether nothing can come after a turn: an echo without end that is waited for."""
    return isinstance(turn, SpokenTurn) and turn.wait and isinstance(turn.voice, Echo) and turn.voice.duration_s is None


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentScript:
    """Everything the agent does in one call. The default agent is silent.

    Raises:
        ValueError: A time is negative, or a day or more.
    """

    turns: Sequence[SpokenTurn] = ()
    """Spoken in this order."""
    caller_text: str | Sequence[str] | None = field(default=None, repr=False)
    """What the agent "understands" of the caller: one text for each time the caller speaks."""
    reply_to_text: SpokenTurn | None = None
    """Spoken for each text the caller sends; its `when` is not used."""
    silence: Literal["send", "nothing"] = "send"
    """Between turns: send silent packets, or nothing at all."""
    hang_up_after_s: float | None = None
    """Hang up this long after media connected."""
    hang_up_when_done: bool = False
    """Hang up when all turns (and the replies asked for) are spoken."""
    hearing: VadSettings = field(default_factory=VadSettings)

    def __post_init__(self) -> None:
        if any(is_endless(turn) for turn in self.turns[:-1]):
            raise ValueError("an echo without duration_s never ends, so it must be the last turn")

    @property
    def caller_texts(self) -> tuple[str, ...]:
        """The texts of the caller's turns, in order."""
        if self.caller_text is None:
            return ()
        return (self.caller_text,) if isinstance(self.caller_text, str) else tuple(self.caller_text)
