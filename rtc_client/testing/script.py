"""What the agent of a fake call does, as frozen values; who does it, and how, is elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

from rtc_client.audio.frames import Samples
from rtc_client.testing.vad import VadSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Tone:
    """A steady sine."""

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
    """The caller's own sound, given back."""

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


@dataclass(frozen=True, slots=True)
class AtTime:
    """Begin `at_s` seconds after media connected, and not before the previous turn is over."""

    at_s: float


@dataclass(frozen=True, slots=True)
class AfterCaller:
    """Begin once the caller has spoken and then stopped (`AgentScript.hearing` says when that is)."""


@dataclass(frozen=True, slots=True)
class AfterPrevious:
    """Begin `pause_s` seconds after the previous turn; the first turn counts from media connected."""

    pause_s: float = 0.0


When: TypeAlias = AtTime | AfterCaller | AfterPrevious


@dataclass(frozen=True, slots=True, kw_only=True)
class SpokenTurn:
    """One turn of the agent: its sound, its words, and when it begins."""

    voice: Voice | None = None
    """None: the words alone, all at once."""
    text: str = field(default="", repr=False)
    """Sent as transcript deltas spread over the voice, then as one final. Empty: no events."""
    when: When = AfterPrevious()


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentScript:
    """Everything the agent does in one call. The default agent is silent."""

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
        endless = [turn for turn in self.turns[:-1] if isinstance(turn.voice, Echo) and turn.voice.duration_s is None]
        if endless:
            raise ValueError("an echo without duration_s never ends, so it must be the last turn")

    @property
    def caller_texts(self) -> tuple[str, ...]:
        """The texts of the caller's turns, in order."""
        if self.caller_text is None:
            return ()
        return (self.caller_text,) if isinstance(self.caller_text, str) else tuple(self.caller_text)
