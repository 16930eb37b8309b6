"""TranscriptBuilder: makes a transcript of pieces of text, settled texts and items.

Two kinds of entries come about. Those of an item know what they are: pieces and texts find them by the item's id, in
any order and any number of times, and the chain of items says where they stand. Loose ones (realtime v1) are told apart
only by who spoke when, see `loose.py`. What comes under both kinds of names is one entry.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rtc_client.protocol.transcript.entries_without_id import EntriesWithoutId
from rtc_client.protocol.transcript.entry_draft import EntryDraft, alike
from rtc_client.protocol.transcript.entry_store import MAX_ID_CHARS, EntryStore, recalled
from rtc_client.protocol.transcript.transcript import Role, Transcript, TranscriptEntry

_MAX_SENT: Final = 64


@dataclass(slots=True, eq=False)
class _Response:
    audio_start_ms: int | None = None
    audio_end_ms: int | None = None
    is_cut: bool = False
    is_cleared: bool = False
    """Whether its sound was thrown away before all of it was heard."""


class TranscriptBuilder:
    """Writes down one call. Nothing it is told raises, whatever it is.

    Times are in milliseconds since the call connected. `item_id` and `response_id` are None where the dialect has none.
    """

    def __init__(self) -> None:
        self._ledger = EntryStore()
        self._loose = EntriesWithoutId(self._ledger)
        self._sent: list[EntryDraft] = []
        """Texts sent without an id, whose items the server may still report."""
        self._open_items: dict[Role, EntryDraft] = {}
        """The items to which pieces came last."""
        self._awaited: deque[EntryDraft] = deque()
        """The caller's items, in the order in which the server reported them, from the first that waits for its words.
        """
        self._last_word: EntryDraft | None = None
        """The entry that settled, while nothing else was said since."""
        self._responses: OrderedDict[str, _Response] = OrderedDict()
        self._event_ids: OrderedDict[str, None] = OrderedDict()
        self._is_ended = False

    @property
    def dropped_chars(self) -> int:
        """Characters that exceeded the bound (`ledger.MAX_CHARS`)."""
        return self._ledger.dropped_chars

    @property
    def entries(self) -> Transcript:
        """The entries so far."""
        return self.latest(len(self._ledger.placed()))

    def latest(self, n_entries: int) -> Transcript:
        """The last `n_entries` entries."""
        found: list[TranscriptEntry] = []
        for record, at_ms in reversed(self._ledger.placed()):
            if len(found) >= n_entries:
                break
            if (entry := self._entry(record, at_ms)) is not None:
                found.append(entry)
        return Transcript(reversed(found))

    def is_new(self, event_id: str | None) -> bool:
        """Return whether an event has not come before, and remember it; one without an id is always new."""
        if not event_id or len(event_id) > MAX_ID_CHARS:
            return True
        if event_id in self._event_ids:
            return False
        recalled(self._event_ids, event_id, None)
        return True

    # Texts.

    def delta(
        self,
        role: Role,
        piece: str,
        at_ms: int,
        *,
        item_id: str | None = None,
        response_id: str | None = None,
        part: int = 0,
        name: str = "",
    ) -> None:
        """Append a piece of text to what `role` is saying. The same words under two `name`s count once."""
        record = self._said(role, item_id, at_ms, response_id)
        if record is None and item_id is not None:
            self._ledger.dropped_chars += len(piece)
            return
        if record is None:
            record = self._item_of_words(role, piece, name)
            if record is None:
                if self._loose.delta(role, piece, at_ms, name):
                    self._last_word = None
                return
            part = max(record.parts, default=0)
        elif not record.parts:
            self._adopt_loose(record, part, piece)
        into = self._ledger.part(record, part)
        if into is None or into.is_settled:
            return
        self._open_items[role] = record
        if (piece := into.news(name, piece)) and self._ledger.fits(len(piece)):
            into.append(name, piece, at_ms)
            self._last_word = None

    def settle(
        self,
        role: Role,
        text: str,
        at_ms: int,
        *,
        item_id: str | None = None,
        response_id: str | None = None,
        part: int = 0,
        is_repeat: bool = False,
    ) -> None:
        """Set the whole text of what `role` said. Said again it changes nothing; an empty one takes the entry away.

        `is_repeat`: what an item says of itself counts only where there was no last word, and none without an id.
        """
        if is_repeat and (self._loose.has(role) or self._is_settled(item_id, part)):
            return
        last = self._last_word
        is_repeated = last is not None and last.role == role and last.text == text
        record = self._said(role, item_id, at_ms, response_id)
        if record is None and item_id is not None:
            self._ledger.dropped_chars += len(text)
            return
        if record is None:
            if is_repeated:
                return
            record = self._item_of_words(role, text)
            if record is None:
                self._last_word = self._loose.settle(role, text, at_ms)
                return
            part = max(record.parts, default=0)
        elif not record.parts:
            if is_repeated and last is not None and last.item_id is None:
                self._move(last, record, part)
            else:
                self._adopt_loose(record, part, text)
        self._settle_part(record, part, text, at_ms)
        self._last_word = record

    def written(
        self, role: Role, text: str, at_ms: int, *, item_id: str | None = None, previous_item_id: str | None = None
    ) -> None:
        """Add what was sent as text. Told again with its id, by the server, it is the same entry and gets its place."""
        record: EntryDraft | None = None
        if item_id is not None and item_id not in self._ledger.items:
            record = next((r for r in self._sent if r.role == role and r.text == text), None)
            if record is not None and len(item_id) <= MAX_ID_CHARS:
                self._sent.remove(record)
                self._ledger.name(record, item_id)
        if item_id is None:
            record = self._ledger.begin(role, at_ms)
            if record is not None:
                self._sent = [*self._sent, record][-_MAX_SENT:]
        elif record is None:
            record = self._said(role, item_id, at_ms)
        if record is None:
            self._ledger.dropped_chars += len(text)
            return
        self.item_added(item_id, at_ms, previous_item_id=previous_item_id)
        record.is_written = True
        if not record.is_settled:
            self._settle_part(record, 0, text, at_ms)

    # Items.

    def item_added(
        self,
        item_id: str | None,
        at_ms: int,
        *,
        role: Role | None = None,
        previous_item_id: str | None = None,
        response_id: str | None = None,
        is_awaited: bool = False,
    ) -> None:
        """Place an item in the chain. With a `role` and `is_awaited`, something was said whose text is still to come.

        Items that nobody says (tool calls, a developer's messages) are reported too, without a role: they are links.
        """
        record = self._ledger.item(item_id, at_ms, response_id)
        if record is None:
            return
        self._ledger.link(record, previous_item_id)
        record.role = record.role or role
        if is_awaited and not record.is_awaited:
            record.is_awaited = True
            self._awaited.append(record)

    def item_done(self, item_id: str | None, at_ms: int, *, is_complete: bool) -> None:
        """Take note that the agent adds nothing more to an item, and whether that is all it meant to say."""
        record = self._ledger.item(item_id, at_ms)
        if record is not None:
            record.is_over = True
            record.is_complete |= is_complete

    def failed(self, item_id: str | None, at_ms: int) -> None:
        """Take note that the text of what the caller said in an item will not come."""
        record = self._said("caller", item_id, at_ms)
        if record is not None:
            record.is_failed = True

    def truncated(self, item_id: str | None, heard_ms: int, at_ms: int) -> None:
        """Take note that the agent was cut short in an item after `heard_ms` of its sound."""
        record = self._said("agent", item_id, at_ms)
        if record is not None:
            record.cut(heard_ms)

    def interrupted(
        self,
        at_ms: int,
        *,
        item_id: str | None = None,
        heard_ms: int | None = None,
        heard_since: Callable[[int], int | None] = lambda at_ms: None,
    ) -> None:
        """Take note that we cut the agent short ourselves: in an item, or in what it said last when None.

        `heard_ms` says how much of its sound was heard; else `heard_since` is asked when the agent was first heard from
        the time on at which the entry began, and that is where its sound begins.
        """
        record = self._said("agent", item_id, at_ms)
        if record is None and item_id is None:
            said = (record for record, _ in reversed(self._ledger.placed()) if record.role == "agent")
            record = next((record for record in said if record.n_chars and not record.is_written), None)
        if record is not None:
            is_open = record.item_id is None and record.is_open
            if heard_ms is None and not record.is_cut and (since_ms := heard_since(record.at_ms)) is not None:
                heard_ms = at_ms - since_ms
            if record.told_chars is None:
                record.told_chars = record.n_chars
            record.cut(heard_ms)
            # What still comes of a loose turn is of that turn, heard or not; its settled text tells where it ends.
            record.is_over = not is_open

    # Sound.

    def sound(self, item_id: str | None, n_ms: float, at_ms: int) -> None:
        """Take note that so much of the agent's sound came for an item."""
        record = self._said("agent", item_id, at_ms)
        if record is not None:
            record.sound_ms += max(0.0, n_ms)

    def speech_started(self, item_id: str | None, at_ms: int, *, audio_start_ms: int | None = None) -> None:
        """Take note that the caller began to speak: the item, or else the caller's next words, began then."""
        self._ledger.speech_started(item_id, at_ms, audio_start_ms)

    def speech_stopped(self, item_id: str | None, *, audio_end_ms: int | None = None) -> None:
        """Take note of where the caller's speech ended."""
        self._ledger.speech_stopped(item_id, audio_end_ms)

    def played(self, item_id: str | None, *, start_ms: int | None = None, end_ms: int | None = None) -> None:
        """Take note that we began to play an item of the agent's, or played the last of it, there in the recording."""
        if (record := self._ledger.items.get(item_id or "")) is not None:
            first_ms, last_ms = record.played_ms
            record.played_ms = start_ms if first_ms is None else first_ms, last_ms if end_ms is None else end_ms

    def response_heard(
        self, response_id: str | None, *, start_ms: int | None = None, end_ms: int | None = None
    ) -> None:
        """Take note of where the sound of a response begins, or ends, in the recording."""
        if (response := self._response(response_id)) is not None:
            response.audio_start_ms = start_ms if response.audio_start_ms is None else response.audio_start_ms
            response.audio_end_ms = end_ms if response.audio_end_ms is None else response.audio_end_ms

    def response_cut(self, response_id: str | None, *, is_cleared: bool = False) -> None:
        """Take note that a response was cancelled, and with it what the agent is saying without an id.

        What was complete before is not cut by that; but the end of it is, if the sound was cleared.
        """
        if (response := self._response(response_id)) is not None:
            response.is_cut = True
            response.is_cleared |= is_cleared
        if (speaking := self._loose.open("agent")) is not None:
            speaking.cut(None)

    def end(self) -> None:
        """Take note that the call is over: what has not settled by now never arrived, unless it comes after all."""
        self._is_ended = True

    # How it is kept.

    def _said(self, role: Role, item_id: str | None, at_ms: int, response_id: str | None = None) -> EntryDraft | None:
        """Return the record of an item that somebody says; None without an id."""
        record = self._ledger.item(item_id, at_ms, response_id)
        if record is not None:
            record.role = record.role or role
        return record

    def _settle_part(self, record: EntryDraft, index: int, text: str, at_ms: int) -> None:
        part = self._ledger.part(record, index)
        if part is not None:
            self._ledger.fits(-part.n_chars)
            part.settle(text if self._ledger.fits(len(text)) else "", at_ms)

    def _item_of_words(self, role: Role, words: str, name: str | None = None) -> EntryDraft | None:
        """Return the item that words without an id are of: what was said last, or what waits longest for its words."""
        record = self._open_items.get(role)
        if record is not None and record.is_open and record.parts:
            part = record.parts[max(record.parts)]
            if part.is_told_by(name) or (part.n_chars and alike(part.text, words)):
                return record
        while self._awaited and (self._awaited[0].is_failed or not self._awaited[0].is_open):
            self._awaited.popleft()
        return self._awaited[0] if self._awaited and role == "caller" else None

    def _is_settled(self, item_id: str | None, part: int) -> bool:
        record = self._ledger.items.get(item_id or "")
        return record is not None and part in record.parts and record.parts[part].is_settled

    def _adopt_loose(self, record: EntryDraft, index: int, text: str) -> None:
        """Make the words that came without an id those of an item, when its own first words are the same."""
        loose = None if record.role is None else self._loose.open(record.role)
        if loose is not None and loose.n_chars and alike(loose.text, text):
            self._move(loose, record, index)

    def _move(self, loose: EntryDraft, record: EntryDraft, index: int) -> None:
        record.parts = {index: loose.part(0)}
        loose.parts = {}
        self._loose.remove(loose)
        self._ledger.began(record, loose.at_ms)

    def _response(self, response_id: str | None) -> _Response | None:
        return None if not response_id else recalled(self._responses, response_id[:MAX_ID_CHARS], _Response())

    # How it is shown.

    def _is_cut_with(self, record: EntryDraft, response: _Response | None) -> bool:
        if response is None or not response.is_cut:
            return False
        return not record.is_complete or (response.is_cleared and self._ledger.is_first_and_last(record)[1])

    def _sound_of(self, record: EntryDraft, response: _Response | None) -> tuple[int | None, int | None]:
        """Return where the sound of an entry begins and ends in the recording, as far as that is known."""
        if record.speech is not None:
            return record.speech.audio_start_ms, record.speech.audio_end_ms
        if response is None or record.played_ms[0] is not None:
            return record.played_ms
        is_first, is_last = self._ledger.is_first_and_last(record)
        start_ms = response.audio_start_ms if is_first else None
        end_ms = response.audio_end_ms if is_last else None
        if end_ms is None and start_ms is not None and record.heard_ms is not None:
            end_ms = start_ms + record.heard_ms
        return start_ms, end_ms

    def _entry(self, record: EntryDraft, at_ms: int) -> TranscriptEntry | None:
        text = record.text
        is_missed = (record.is_awaited or record.is_failed) and not record.is_settled
        if record.role is None or not (text or is_missed):
            return None
        response = self._responses.get(record.response_id or "")
        is_cut = record.is_cut or self._is_cut_with(record, response)
        is_final = record.is_settled or ((record.is_over or is_cut) and bool(text))
        start_ms, end_ms = self._sound_of(record, response)
        return TranscriptEntry(
            role=record.role,
            text=text,
            final=is_final,
            at_ms=at_ms,
            end_ms=max(at_ms, record.changed_ms),
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=record.item_id,
            response_id=record.response_id,
            written=record.is_written,
            interrupted=is_cut,
            heard_ms=record.heard_ms,
            heard_chars=record.heard_chars,
            never_arrived=not is_final and (record.is_failed or self._is_ended),
            number=record.number,
        )
