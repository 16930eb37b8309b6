"""The live page of a fake answerer: its HTML file, and what an open page has not been told yet."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Final

from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.server.faults import FaultMenu, menu
from rtc_client.testing.server.report import card, meter, violation_json
from rtc_client.testing.wire.record import Record
from rtc_client.testing.wire.server_events import JsonObject
from rtc_client.testing.wire.wire_log import WireEntry

TURNS_SHOWN: Final = 60
ENTRIES_AT_FIRST: Final = 400
ENTRIES_AT_ONCE: Final = 400
"""Of more wire entries between two ticks only the latest are shown; the report holds them all."""
SHOWN_CHARACTERS: Final = 4_000
"""Of a text or a body; the report holds more."""


class Page:
    """The file, and headers that let it run its own script and load nothing else."""

    def __init__(self) -> None:
        self.html = files("rtc_client.testing").joinpath("page.html").read_text(encoding="utf-8")
        self.headers = {
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            "Content-Security-Policy": "; ".join(
                (
                    "default-src 'none'",
                    "connect-src 'self'",
                    "img-src data:",
                    f"script-src {_hashes(self.html, 'script')}",
                    f"style-src {_hashes(self.html, 'style')}",
                    "base-uri 'none'",
                    "form-action 'none'",
                    "frame-ancestors 'none'",
                )
            ),
        }


def _hashes(html: str, tag: str) -> str:
    """Return what a content security policy calls the inline blocks of this kind."""
    blocks = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(b.encode()).digest()).decode()}'" for b in blocks)


class Feed:
    """What one open page has been told; `news` is the rest."""

    def __init__(self, calls: Sequence[AnsweredCall], record: Record, faults: FaultMenu) -> None:
        self._calls, self._record, self._faults = calls, record, faults
        self._cards: dict[str, JsonObject] = {}
        self._number = max(0, record.wire.last_number - ENTRIES_AT_FIRST)
        self._n_violations = -1
        self._head: JsonObject = {}
        self._running: list[JsonObject] | None = None

    def news(self) -> list[tuple[str, object]]:
        """Return the names and the contents of the events that bring the page up to date."""
        news: list[tuple[str, object]] = []
        if (head := self._new_head()) != self._head:
            self._head = head
            news.append(("head", head))
        if (running := self._faults.running()) != self._running:
            news.append(("faults", {"running": running} | ({"menu": menu()} if self._running is None else {})))
            self._running = running
        if changed := self._changed_cards():
            news.append(("calls", changed))
        if gone := self._cards.keys() - {call.call_id for call in self._calls}:
            for call_id in gone:
                del self._cards[call_id]
            news.append(("gone", sorted(gone)))
        now_s = self._record.wire.started_at_s + self._record.wire.now_s()
        if meters := {call.call_id: meter(call, now_s) for call in self._calls if call.ended_by is None}:
            news.append(("meters", meters))
        if entries := self._record.wire.since(self._number, ENTRIES_AT_ONCE):
            n_skipped = entries[0].number - self._number - 1
            self._number = entries[-1].number
            news.append(("wire", {"skipped": n_skipped, "entries": [_shown(entry) for entry in entries]}))
        if len(self._record.violations) != self._n_violations:
            self._n_violations = len(self._record.violations)
            strangers = [violation_json(one) for one in self._record.violations if one.call_id is None]
            news.append(("violations", {"total": self._n_violations, "of_no_call": strangers[-TURNS_SHOWN:]}))
        return news

    def _new_head(self) -> JsonObject:
        return {"up_s": int(self._record.wire.now_s())}

    def _changed_cards(self) -> list[object]:
        changed: list[JsonObject] = []
        for call in self._calls:
            told = self._cards.get(call.call_id)
            if told is not None and told["state"] == "ended" and self._is_as_told(call, told):
                continue
            if (new := card(call, self._record, TURNS_SHOWN)) != told:
                self._cards[call.call_id] = new
                changed.append(new)
        return [self._record.wire.scrubbed(one) for one in changed]

    def _is_as_told(self, call: AnsweredCall, told: JsonObject) -> bool:
        """Return whether an ended call is as it was told: only violations can still be added."""
        violations = told["violations"]
        return isinstance(violations, list) and len(violations) == len(self._record.violations_of(call.call_id))


def _shown(entry: WireEntry) -> JsonObject:
    """Return an entry with its long texts cut."""
    return {
        name: value[:SHOWN_CHARACTERS] + "…" if isinstance(value, str) and len(value) > SHOWN_CHARACTERS else value
        for name, value in entry.as_json().items()
    }
