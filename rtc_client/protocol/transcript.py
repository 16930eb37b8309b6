"""Deltas and settled texts become ordered entries of who said what; nothing here knows a wire name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal["caller", "agent"]

MAX_CHARS: Final = 1_000_000
"""An hour of fast speech is about 60,000 characters. What exceeds this bound is counted, not kept."""
_ENTRY_CHARS: Final = 64
"""What an entry counts for beside its text, so that a flood of tiny ones has a bound too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """What one voice said without the other coming between."""

    role: Role
    text: str = field(repr=False)
    final: bool
    """Whether the text has settled; a text that is not final may still be growing, or its end never came."""
    at_ms: int
    """When its first piece arrived, milliseconds from the instant the call connected: position 0 of its recordings."""


@dataclass(slots=True)
class _Growing:
    role: Role
    pieces: list[str]
    final: bool
    at_ms: int


class Transcript:
    """Entries in the order in which their first pieces arrived.

    Pieces of one voice are joined until the other voice speaks (wire-protocol.md section 9). A settled text
    replaces every unsettled piece of its voice, so pieces split by an interjection become one entry again;
    and once a voice has settled, what the other said before it has settled too: realtime v1 has no event
    that ends an agent's text.
    """

    def __init__(self) -> None:
        self._entries: list[_Growing] = []
        self._n_settled = 0
        """Entries before this index are all final."""
        self._chars = 0
        self.dropped_chars = 0

    @property
    def entries(self) -> Sequence[TranscriptEntry]:
        """The entries so far: a copy, which never changes."""
        return self.latest(len(self._entries))

    def latest(self, n_entries: int) -> Sequence[TranscriptEntry]:
        """The last `n_entries` entries, a copy."""
        entries = self._entries[-n_entries:] if n_entries else []
        return tuple(
            TranscriptEntry(role=e.role, text="".join(e.pieces), final=e.final, at_ms=e.at_ms) for e in entries
        )

    def add_delta(self, role: Role, delta: str, at_ms: int) -> None:
        """Append a piece of text to what `role` is saying."""
        last = self._entries[-1] if self._entries else None
        if last is not None and last.role == role and not last.final:
            if delta and self._fits(len(delta)):
                last.pieces.append(delta)
        elif delta and self._fits(len(delta) + _ENTRY_CHARS):
            self._entries.append(_Growing(role, [delta], final=False, at_ms=at_ms))

    def settle(self, role: Role, text: str, at_ms: int) -> None:
        """Set the whole text of what `role` said in the turn that is now over."""
        unsettled = self._entries[self._n_settled :]
        replaced = [e for e in unsettled if e.role == role and not e.final]
        self._chars -= sum(len(piece) for e in replaced for piece in e.pieces) + _ENTRY_CHARS * len(replaced)
        first = unsettled.index(replaced[0]) if replaced else len(unsettled)
        for entry in unsettled[:first]:
            entry.final = True
        kept = [e for e in unsettled if e.final or e.role != role]
        if text and self._fits(len(text) + _ENTRY_CHARS):
            at_ms = replaced[0].at_ms if replaced else at_ms
            kept.insert(first, _Growing(role, [text], final=True, at_ms=at_ms))
        self._entries[self._n_settled :] = kept
        while self._n_settled < len(self._entries) and self._entries[self._n_settled].final:
            self._n_settled += 1

    def _fits(self, n_chars: int) -> bool:
        if self._chars + n_chars > MAX_CHARS:
            self.dropped_chars += n_chars
            return False
        self._chars += n_chars
        return True
