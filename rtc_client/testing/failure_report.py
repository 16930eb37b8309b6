"""The report of a failed test: the wire, the violations, and what was heard. Text only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from rtc_client.testing.answerer import FakeAnswerer
from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.saved_audio import SavedAudio
from rtc_client.testing.scenario.verdict import ScenarioFailed
from rtc_client.testing.sound.measures import describe
from rtc_client.testing.wire.record import Violation
from rtc_client.testing.wire.wire_log import WireEntry

MAX_LINES: Final = 60
"""Of the wire of one answerer; the last are the ones that matter."""
MAX_CHARACTERS: Final = 200
"""Of one line."""

_ARROWS: Final = {"c2s": "→", "s2c": "←"}


def sections(answerers: Sequence[FakeAnswerer], shelf: SavedAudio, *, violations: bool) -> list[tuple[str, str]]:
    """Return titles and texts, `violations` among them; sound that was heard is saved.

    Keys are in none of it, what was said may be.
    """
    told: list[tuple[str, str]] = []
    for number, answerer in enumerate(answerers, start=1):
        title = "fake answerer" if len(answerers) == 1 else f"fake answerer {number}"
        told.append((f"{title}: on the wire", wire_text(answerer)))
        if violations and answerer.violations:
            told.append((f"{title}: violations of the protocol", violations_text(answerer.violations)))
        if answerer.calls:
            told.append((f"{title}: calls", "\n".join(_call_text(call, shelf) for call in answerer.calls)))
    return told


def violations_text(violations: Sequence[Violation]) -> str:
    """Return one line for each violation, with its section of the protocol."""
    return "\n".join(f"[{one.section}] {one.message} ({one.call_id or 'no call'})" for one in violations)


def scenario_text(answerer: FakeAnswerer, *, is_over: bool) -> str:
    """Return why the scenario was not met; empty if it was, or if calls go on and it may yet be (unless `is_over`)."""
    if not is_over and not (answerer.calls and all(call.state == "ended" for call in answerer.calls)):
        return ""
    try:
        answerer.check()
    except ScenarioFailed as failure:
        return str(failure)
    return ""


def wire_text(answerer: FakeAnswerer) -> str:
    """Return the last lines of what went over the wire: → what a client sent, ← what it got."""
    entries = answerer.wire
    lines = [_cut(_wire_line(entry)) for entry in entries[-MAX_LINES:]]
    if len(entries) > len(lines):
        lines.insert(0, f"… {len(entries) - len(lines)} before these")
    return "\n".join(lines) or "nothing: nobody has called"


def _wire_line(entry: WireEntry) -> str:
    fields = entry.fields
    match entry.kind:
        case "http_request" | "ws_open":
            what = f"{fields.get('method', 'GET')} {fields.get('target')}"
            what += " (sideband)" if entry.kind == "ws_open" else ""
        case "http_response":
            what = f"{fields.get('status')} {_first_line(fields.get('body'))}"
        case "ws_accept":
            what = "101 (sideband)"
        case "ws_text":
            what = str(fields.get("text"))
        case "ws_binary":
            what = f"{fields.get('n_bytes')} bytes, binary"
        case "ws_close":
            what = f"close frame {fields.get('code')} {fields.get('reason')}"
        case "tcp_close":
            what = "connection closed without a word"
        case kind:
            assert_never(kind)
    return f"{entry.at_s:8.3f} s {_ARROWS[entry.direction]} {what}"


def _call_text(call: AnsweredCall, shelf: SavedAudio) -> str:
    heard = call.heard
    ended = "" if call.ended_by is None else f" ({call.ended_by.value})"
    lines = [
        f"{call.call_id}: {call.state}{ended}",
        f"  packets of the caller {call.packets_received}, of the agent {call.packets_sent}",
        f"  the caller was heard: {describe(heard)}",
    ]
    if len(heard) and (path := shelf.put("caller", heard)) is not None:
        lines.append(f"  saved: {path}")
    return "\n".join(lines)


def _first_line(body: object) -> str:
    return str(body).partition("\n")[0].strip() if body else ""


def _cut(line: str) -> str:
    return line if len(line) <= MAX_CHARACTERS else f"{line[:MAX_CHARACTERS]}… ({len(line)} characters)"
