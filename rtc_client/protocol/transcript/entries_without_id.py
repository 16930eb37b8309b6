"""EntriesWithoutId: tells words without an item id (realtime v1) apart by who spoke when (protocol.md section 9)."""

from __future__ import annotations

from bisect import insort
from typing import Final

from rtc_client.protocol.transcript.entry_draft import EntryDraft
from rtc_client.protocol.transcript.entry_store import EntryStore
from rtc_client.protocol.transcript.transcript import Role

_MAX_SOFT: Final = 8
"""Interjections of the other voice that one turn survives."""
_OTHER: Final[dict[Role, Role]] = {"caller": "agent", "agent": "caller"}


class EntriesWithoutId:
    """Pieces of one voice are joined until the other voice speaks.

    A settled text replaces every unsettled piece of its voice, so pieces split by an interjection become one entry
    again; and once a voice has settled, what the other said before it is over too: realtime v1 has no event that ends
    an agent's text. Should it come all the same, it replaces what was over only for that reason.
    """

    def __init__(self, ledger: EntryStore) -> None:
        self._ledger = ledger
        self._said: dict[Role, list[EntryDraft]] = {"caller": [], "agent": []}
        """Those of each voice, by when they began; the ones that may still grow are the last."""

    def open(self, role: Role) -> EntryDraft | None:
        """Return what a voice is saying."""
        said = self._said[role]
        return said[-1] if said and said[-1].is_open else None

    def has(self, role: Role) -> bool:
        """Return whether a voice has entries of this kind."""
        return bool(self._said[role])

    def delta(self, role: Role, piece: str, at_ms: int, name: str) -> bool:
        """Append a piece; return whether it said anything new."""
        record = self.open(role)
        others = self._said[_OTHER[role]]
        if record is not None and others and _key(others[-1]) > _key(record):
            record = None
        if record is not None:
            piece = record.part(0).news(name, piece)
        if not piece or (record is None and (record := self._begin(role, at_ms)) is None):
            return False
        if not self._ledger.fits(len(piece)):
            if not record.n_chars:
                self.remove(record)
            return False
        record.part(0).append(name, piece, at_ms)
        return True

    def settle(self, role: Role, text: str, at_ms: int) -> EntryDraft | None:
        """Set the whole text of the turn that is now over; return its entry, None if nothing was said."""
        replaced = self._replaced(role, text)
        first = replaced[0] if replaced else self._begin(role, at_ms) if text else None
        n_before = 0
        for record in replaced:
            if first is not None and record is not first and record.is_cut:
                first.take_cut(record, n_before)
            n_before += record.n_chars
        self._ledger.fits(-n_before)
        for record in replaced:
            record.parts.clear()
        if first is None:
            return None
        self._end_other(role, first)
        is_kept = bool(text) and self._ledger.fits(len(text))
        for record in replaced[1:] if is_kept else replaced or [first]:
            self.remove(record)
        if not is_kept:
            return None
        first.part(0).settle(text, at_ms)
        first.is_over, first.is_soft = True, False
        return first

    def remove(self, record: EntryDraft) -> None:
        """Take an entry away: it is no entry, or one of an item that has an id after all."""
        if record.role is not None:
            self._said[record.role].remove(record)
        self._ledger.drop(record)

    def _begin(self, role: Role, at_ms: int) -> EntryDraft | None:
        record = self._ledger.begin_loose(role, at_ms)
        if record is not None:
            insort(self._said[role], record, key=_key)
        return record

    def _replaced(self, role: Role, text: str) -> list[EntryDraft]:
        """Return what a settled text stands for: all that is unsettled, and what is over softly if it repeats that."""
        unsettled: list[EntryDraft] = []
        soft: list[EntryDraft] = []
        for record in reversed(self._said[role]):
            if not record.is_over:
                unsettled.append(record)
            elif record.is_soft and len(soft) < _MAX_SOFT:
                soft.append(record)
            else:
                break
        unsettled.reverse()
        soft.reverse()
        wanted = _squeezed(text)
        while soft:
            told = _squeezed("".join(record.text for record in [*soft, *unsettled]))
            if told == wanted or (unsettled and wanted.startswith(told)):
                break
            del soft[0]
        return [*soft, *unsettled]

    def _end_other(self, role: Role, settled: EntryDraft) -> None:
        for record in reversed(self._said[_OTHER[role]]):
            if _key(record) > _key(settled):
                continue
            if record.is_over:
                break
            record.is_over = record.is_soft = True


def _key(record: EntryDraft) -> tuple[int, int]:
    return record.at_ms, record.number


def _squeezed(text: str) -> str:
    return "".join(text.split())
