"""EntryStore: the drafts of one transcript, their order, and the bound on their number."""

from __future__ import annotations

from collections import OrderedDict
from typing import Final, TypeVar

from rtc_client.protocol.transcript.entry_draft import EntryDraft, Part, Speech
from rtc_client.protocol.transcript.item_order import Link, in_order
from rtc_client.protocol.transcript.transcript import Role

MAX_CHARS: Final = 1_000_000
"""An hour of fast speech is about 60,000 characters. What exceeds this bound is counted, not kept."""
_RECORD_CHARS: Final = 64
"""What a record or a part counts for beside its text, so that a flood of tiny ones has a bound too."""
MAX_REMEMBERED: Final = 8_192
"""Event ids, responses and beginnings of speech that are remembered; the oldest are forgotten."""
MAX_ID_CHARS: Final = 256
"""Ids longer than this are none."""

T = TypeVar("T")


class EntryStore:
    """Records by number and by item."""

    def __init__(self) -> None:
        self.dropped_chars = 0
        """Characters that exceeded the bound."""
        self.items: dict[str, EntryDraft] = {}
        self._chars = 0
        self._n_begun = 0
        self._records: dict[int, EntryDraft] = {}
        self._speech: OrderedDict[str, Speech] = OrderedDict()
        self._unclaimed_speech: Speech | None = None
        """The caller's, for which no words have come yet."""
        self._order: list[tuple[EntryDraft, int]] | None = None
        self._ends: dict[str, tuple[EntryDraft, EntryDraft]] = {}

    def begin(self, role: Role | None, at_ms: int) -> EntryDraft | None:
        """Return a new record without an id; None when there is no room."""
        if not self.fits(_RECORD_CHARS):
            return None
        self._n_begun += 1
        record = self._records[self._n_begun] = EntryDraft(number=self._n_begun, at_ms=at_ms, role=role)
        self._order = None
        return record

    def begin_loose(self, role: Role, at_ms: int) -> EntryDraft | None:
        """Return a record for words without an id; the caller's began when we were told that its speech did."""
        speech = self._unclaimed_speech if role == "caller" else None
        began_ms = at_ms if speech is None or speech.at_ms is None else min(at_ms, speech.at_ms)
        record = self.begin(role, began_ms)
        if record is not None and speech is not None:
            record.speech, self._unclaimed_speech = speech, None
        return record

    def drop(self, record: EntryDraft) -> None:
        """Take a record away, and its text."""
        self.fits(-record.n_chars - _RECORD_CHARS * max(1, len(record.parts)))
        del self._records[record.number]
        self._order = None

    def fits(self, n_chars: int) -> bool:
        """Take room for so many characters, or give it back if negative; return False, and count, if there is none."""
        if n_chars > 0 and self._chars + n_chars > MAX_CHARS:
            self.dropped_chars += n_chars
            return False
        self._chars += n_chars
        return True

    def part(self, record: EntryDraft, index: int) -> Part | None:
        """Return a content part of a record, a new one if need be; None when there is no room."""
        if index not in record.parts and record.parts and not self.fits(_RECORD_CHARS):
            return None
        return record.part(index)

    def item(self, item_id: str | None, at_ms: int, response_id: str | None = None) -> EntryDraft | None:
        """Return the record of an item, a new one if need be; None without a usable id, or without room."""
        if not item_id or len(item_id) > MAX_ID_CHARS:
            return None
        record = self.items.get(item_id)
        if record is None:
            record = self.begin(None, at_ms)
            if record is None:
                return None
            self.name(record, item_id)
        self.began(record, at_ms)
        if response_id and record.response_id is None and len(response_id) <= MAX_ID_CHARS:
            record.response_id = response_id
            self._order = None
        return record

    def name(self, record: EntryDraft, item_id: str) -> None:
        """Give a record the id of its item."""
        record.item_id = item_id
        self.items[item_id] = record
        self._order = None
        if (speech := self._speech.get(item_id)) is not None:
            self._heard(record, speech)

    def link(self, record: EntryDraft, previous_item_id: str | None) -> None:
        """Take note of the item before a record's; the first that is told counts."""
        if previous_item_id and record.previous_item_id is None and len(previous_item_id) <= MAX_ID_CHARS:
            record.previous_item_id = previous_item_id
            self._order = None

    def began(self, record: EntryDraft, at_ms: int) -> None:
        """Take note of a sign of a record; the first counts."""
        if at_ms < record.at_ms:
            record.at_ms = at_ms
            self._order = None

    def speech_started(self, item_id: str | None, at_ms: int, audio_start_ms: int | None) -> None:
        """Take note that the caller began to speak: the item, or else the caller's next words, began then."""
        speech = self._speech_of(item_id)
        speech.at_ms = at_ms if speech.at_ms is None else min(speech.at_ms, at_ms)
        speech.audio_start_ms = audio_start_ms
        self._unclaimed_speech = speech
        if (record := self.items.get(item_id or "")) is not None:
            self._heard(record, speech)

    def speech_stopped(self, item_id: str | None, audio_end_ms: int | None) -> None:
        """Take note of where the caller's speech ended."""
        speech = self._speech_of(item_id) if item_id else self._unclaimed_speech
        if speech is not None:
            speech.audio_end_ms = audio_end_ms
            if (record := self.items.get(item_id or "")) is not None:
                record.speech = speech

    def placed(self) -> list[tuple[EntryDraft, int]]:
        """Return the records in order, and when each began at the latest, milliseconds since the call connected."""
        if self._order is None:
            links = (Link(r, r.number, r.at_ms, r.item_id, r.previous_item_id) for r in self._records.values())
            self._order = [(placed.value, placed.at_ms) for placed in in_order(links)]
            self._ends.clear()
            for record, _ in self._order:
                if record.response_id is not None and record.role == "agent":
                    first, _ = self._ends.get(record.response_id, (record, record))
                    self._ends[record.response_id] = first, record
        return self._order

    def is_first_and_last(self, record: EntryDraft) -> tuple[bool, bool]:
        """Return whether an entry is the first of its response, and whether it is the last."""
        first, last = self._ends.get(record.response_id or "", (None, None))
        return record is first, record is last

    def _speech_of(self, item_id: str | None) -> Speech:
        return recalled(self._speech, item_id[:MAX_ID_CHARS], Speech()) if item_id else Speech()

    def _heard(self, record: EntryDraft, speech: Speech) -> None:
        record.speech = speech
        if speech.at_ms is not None:
            self.began(record, speech.at_ms)
        if speech is self._unclaimed_speech:
            self._unclaimed_speech = None


def recalled(memory: OrderedDict[str, T], name: str, new: T) -> T:
    """Return what is remembered under a name, `new` if nothing is; the oldest is forgotten where there is too much."""
    kept = memory.setdefault(name, new)
    if len(memory) > MAX_REMEMBERED:
        memory.popitem(last=False)
    return kept
