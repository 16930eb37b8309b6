"""Transcript: what was said in a call, entries in order, and their exports."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Final, Literal, TypeAlias

from rtc_client.protocol.redact import printable
from rtc_client.protocol.transcript.webvtt import Cue, webvtt

Role: TypeAlias = Literal["caller", "agent"]

_MISSING: Final = "[never arrived]"


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """What one voice said in one turn.

    Every time is in milliseconds from the instant the call connected, which is position 0 of its recordings.
    """

    role: Role
    text: str = field(repr=False)
    """Empty for a turn of the caller whose text has not come yet, or never came."""
    final: bool
    """Whether the text has settled; a text that is not final may still be growing, or its end never came."""
    at_ms: int
    """When the first sign of it came: the server heard speech begin, or sent the first piece of text."""
    end_ms: int = 0
    """When its text settled; for one that has not, when its last piece came."""
    audio_start_ms: int | None = None
    """Where its sound begins in the recording, None where the server did not say."""
    audio_end_ms: int | None = None
    """Where its sound ends in the recording, None where the server did not say."""
    item_id: str | None = None
    """The server's name for the item; realtime v1 mostly has none."""
    response_id: str | None = None
    written: bool = False
    """Whether it was sent as text (`call.say`), not spoken: there is nothing of it in the recordings."""
    interrupted: bool = False
    """Whether the agent was cut short, so that the caller did not hear all of the text."""
    heard_ms: int | None = None
    """How much of an interrupted entry's sound was heard; None where nobody said. On realtime v1 it is what was heard
    from the entry's first word on."""
    heard_chars: int | None = None
    """How much of an interrupted entry's text was heard: an estimate by the length of its sound, and where that is not
    known, as on realtime v1, no more than had come by then. None if unknown."""
    never_arrived: bool = False
    """Whether its text, or the end of it, never came: transcription failed, or the call ended first."""
    number: int = field(default=0, compare=False)
    """Counts the entries of a call as they come up; an entry keeps its number while it grows and finds its place."""

    @property
    def unheard_text(self) -> str:
        """What the caller did not hear, as far as that is known."""
        return "" if self.heard_chars is None else self.text[self.heard_chars :]

    @property
    def starts_ms(self) -> int:
        """Where its sound begins if that is known, else when the first sign of it came."""
        return self.at_ms if self.audio_start_ms is None else self.audio_start_ms

    @property
    def stops_ms(self) -> int:
        """Where its sound ends if that is known, else when its text settled; never before it starts."""
        return max(self.starts_ms, self.end_ms if self.audio_end_ms is None else self.audio_end_ms)

    def as_json(self) -> dict[str, object]:
        """Return the fields as plain data."""
        return asdict(self)

    def as_words(self) -> str:
        """Return the text on one line, with what is wrong with it in square brackets; empty while there is none yet."""
        words = printable(self.text)
        if self.interrupted:
            unheard = printable(self.unheard_text)
            heard = printable(self.text[: self.heard_chars]) if unheard else words
            words = f"{heard} [not heard: {unheard}]" if unheard else f"{words} [interrupted]"
        if self.never_arrived:
            words = f"{words} {_MISSING}"
        return words.strip()


class Transcript(tuple[TranscriptEntry, ...]):
    """The entries of a call in the order in which they belong: a copy, which never changes.

    It is a tuple of `TranscriptEntry`. The order is that of the server's items (`previous_item_id`) where it names
    them; everything else stands where the first sign of it came. Begin times (`at_ms`) never go back.
    """

    __slots__ = ()

    @property
    def spoken(self) -> Transcript:
        """The entries without what was only written (`call.say`)."""
        return Transcript(entry for entry in self if not entry.written)

    def as_text(self) -> str:
        """Return one line for each entry: minutes and seconds, the voice, the text; empty for no entries."""
        return "".join(f"{_clock(e.at_ms)} {e.role + ':':<7} {e.as_words()}\n" for e in self)

    def as_json(self) -> list[dict[str, object]]:
        """Return the entries as plain data: one object with the fields of `TranscriptEntry` for each."""
        return [entry.as_json() for entry in self]

    def as_webvtt(self) -> str:
        """Return captions for a recording of the call, in WebVTT, with voices `Caller` and `Agent`.

        Cues stand in order of time, and those of one voice never overlap. What was written is not in the sound, so it
        is not among them.
        """
        return webvtt(
            [
                Cue(voice=e.role.capitalize(), text=e.as_words(), start_ms=e.starts_ms, end_ms=e.stops_ms)
                for e in self.spoken
                if e.as_words()
            ]
        )


def _clock(ms: int) -> str:
    minutes, seconds = divmod(ms // 1000, 60)
    return f"{minutes:02d}:{seconds:02d}"
