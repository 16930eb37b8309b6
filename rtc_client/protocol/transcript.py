"""Deltas and settled texts become ordered entries of who said what; nothing here knows a wire name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias

Role: TypeAlias = Literal["caller", "agent"]

MAX_CHARS: Final = 4_000_000
"""An hour of fast speech is about 60,000 characters; what exceeds this bound is counted, not kept."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptEntry:
    """What one voice said without the other coming between."""

    role: Role
    text: str = field(repr=False)
    final: bool
    """Whether the text has settled; a text that is not final may still be growing, or its end never came."""
    at_ms: int
    """When its first piece arrived, milliseconds from the start of the call."""


class Transcript:
    """Entries in the order in which their first pieces arrived.

    Pieces of one voice are joined until the other voice speaks (wire-protocol.md section 9). A settled text
    replaces every unsettled piece of its voice, so pieces split by an interjection become one entry again;
    and once a voice has settled, what the other said before it has settled too: realtime v1 has no event
    that ends an agent's text.
    """

    def __init__(self) -> None:
        self._entries: list[TranscriptEntry] = []
        self._chars = 0
        self.dropped_chars = 0

    @property
    def entries(self) -> Sequence[TranscriptEntry]:
        """The entries so far; the caller may keep the list, which never changes under it."""
        return tuple(self._entries)

    def add_delta(self, role: Role, delta: str, at_ms: int) -> None:
        """Append a piece of text to what `role` is saying."""
        if not delta or not self._fits(len(delta)):
            return
        last = self._entries[-1] if self._entries else None
        if last is not None and last.role == role and not last.final:
            self._entries[-1] = replace(last, text=last.text + delta)
        else:
            self._entries.append(TranscriptEntry(role=role, text=delta, final=False, at_ms=at_ms))

    def settle(self, role: Role, text: str, at_ms: int) -> None:
        """Set the whole text of what `role` said in the turn that is now over."""
        pieces = [i for i, e in enumerate(self._entries) if e.role == role and not e.final]
        self._chars -= sum(len(self._entries[i].text) for i in pieces)
        if not self._fits(len(text)):
            text = ""
        first = pieces[0] if pieces else len(self._entries)
        start_ms = self._entries[first].at_ms if pieces else at_ms
        self._entries = [e for i, e in enumerate(self._entries) if i not in pieces]
        if text:
            self._entries.insert(first, TranscriptEntry(role=role, text=text, final=True, at_ms=start_ms))
        for i, entry in enumerate(self._entries[:first]):
            if not entry.final:
                self._entries[i] = replace(entry, final=True)

    def _fits(self, n_chars: int) -> bool:
        if self._chars + n_chars > MAX_CHARS:
            self.dropped_chars += n_chars
            return False
        self._chars += n_chars
        return True
