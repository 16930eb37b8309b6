"""EntryDraft: one entry of a transcript while it grows."""

from __future__ import annotations

from dataclasses import dataclass, field

from rtc_client.protocol.transcript.transcript import Role


class Part:
    """The text of one content part: pieces until it settles, then what it settled on."""

    __slots__ = ("_pieces", "_told", "changed_ms", "is_settled", "n_chars")

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._told: dict[str, int] = {}
        """How far each of the names under which pieces come has told the text."""
        self.n_chars = 0
        self.is_settled = False
        self.changed_ms = 0
        """When it settled; before that, when the last piece came."""

    @property
    def text(self) -> str:
        """All of it so far."""
        if len(self._pieces) > 1:
            self._pieces = ["".join(self._pieces)]
        return self._pieces[0] if self._pieces else ""

    def news(self, name: str, piece: str) -> str:
        """Return what of a piece is new: all, unless another name has told the same words already."""
        told = self._told.get(name, 0 if self._told else self.n_chars)
        if told == self.n_chars:
            return piece
        known = self.text[told:]
        if known.startswith(piece):
            self._told[name] = told + len(piece)
            return ""
        return piece.removeprefix(known)

    def is_told_by(self, name: str | None) -> bool:
        """Return whether pieces tell the same words under this name, or, for None, under several."""
        return len(self._told) > 1 if name is None else name in self._told

    def append(self, name: str, piece: str, at_ms: int) -> None:
        """Add new text."""
        self._pieces.append(piece)
        self.changed_ms = max(at_ms, self.changed_ms)
        self.n_chars += len(piece)
        self._told[name] = self.n_chars

    def settle(self, text: str, at_ms: int) -> None:
        """Replace everything by the text that is the last word."""
        is_same = self.is_settled and self.text == text
        self.changed_ms = min(at_ms, self.changed_ms) if is_same else at_ms
        self._pieces, self._told = [text], {}
        self.n_chars = len(text)
        self.is_settled = True


def alike(one: str, other: str) -> bool:
    """Return whether one text begins with the other."""
    return one.startswith(other) or other.startswith(one)


@dataclass(slots=True, eq=False)
class Speech:
    """A stretch of the caller's speech as the server heard it."""

    at_ms: int | None = None
    """When we were told that it began."""
    audio_start_ms: int | None = None
    """Where it begins and ends in what was sent."""
    audio_end_ms: int | None = None


@dataclass(slots=True, eq=False, kw_only=True)
class EntryDraft:
    """One entry, or an item that nobody says: a link of the chain. Times in milliseconds since the call connected."""

    number: int
    at_ms: int
    role: Role | None = None
    """None: nobody says it, or it is not known yet who."""
    item_id: str | None = None
    previous_item_id: str | None = None
    response_id: str | None = None
    parts: dict[int, Part] = field(default_factory=dict, repr=False)
    is_over: bool = False
    """Whether no more text will come, settled or not."""
    is_soft: bool = False
    """Whether it is over only because the other voice settled after it: its own last word may still come."""
    is_written: bool = False
    is_awaited: bool = False
    """Whether something was said, although no word of it has come yet."""
    is_failed: bool = False
    is_complete: bool = False
    """Whether the agent said all it meant to say."""
    is_cut: bool = False
    heard_ms: int | None = None
    told_chars: int | None = None
    """How much of the text had come when we cut it."""
    sound_ms: float = 0.0
    """How much sound came for it."""
    speech: Speech | None = None
    played_ms: tuple[int | None, int | None] = (None, None)
    """Where we played its sound."""

    @property
    def text(self) -> str:
        """What it says, over all its parts."""
        if len(self.parts) == 1:
            return next(iter(self.parts.values())).text
        return "".join(part.text for _, part in sorted(self.parts.items()))

    @property
    def n_chars(self) -> int:
        """How long `text` is."""
        return sum(part.n_chars for part in self.parts.values())

    @property
    def is_settled(self) -> bool:
        """Whether every part has had its last word."""
        return bool(self.parts) and all(part.is_settled for part in self.parts.values())

    @property
    def is_open(self) -> bool:
        """Whether it may still grow."""
        return not self.is_over and not self.is_settled

    def part(self, index: int) -> Part:
        """Return a content part, a new one if there is none yet."""
        part = self.parts.get(index)
        if part is None:
            part = self.parts[index] = Part()
        return part

    @property
    def changed_ms(self) -> int:
        """When its text last changed; when it began, if there is none."""
        return max((part.changed_ms for part in self.parts.values()), default=self.at_ms)

    @property
    def heard_chars(self) -> int | None:
        """How much of the text was heard, cut back to whole words: as much of it as of its sound. None if unknown.

        Where nobody tells how much sound there was of it, words that had not come when it was cut were not heard.
        """
        text, heard_ms = self.text, self.heard_ms
        if heard_ms is not None and (heard_ms == 0 or self.sound_ms > 0):
            n_chars = round(len(text) * min(1.0, heard_ms / (self.sound_ms or 1)))
        elif self.told_chars is not None and self.told_chars < len(text):
            n_chars = self.told_chars
        else:
            return None
        if n_chars < len(text) and not text[n_chars].isspace():
            n_chars = text.rfind(" ", 0, n_chars) + 1
        return n_chars

    def cut(self, heard_ms: int | None) -> None:
        """Take note that the agent was cut short, after so much of the sound if that is known."""
        self.is_cut = self.is_over = True
        if heard_ms is not None:
            heard_ms = max(0, heard_ms)
            self.heard_ms = heard_ms if self.heard_ms is None else min(heard_ms, self.heard_ms)

    def take_cut(self, other: EntryDraft, n_chars: int) -> None:
        """Be cut as another record was, whose text becomes this one's from `n_chars` on."""
        self.cut(None if other.heard_ms is None else other.heard_ms + other.at_ms - self.at_ms)
        if self.told_chars is None and other.told_chars is not None:
            self.told_chars = n_chars + other.told_chars
