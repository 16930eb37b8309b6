"""Router: parses each message of the server once, counts it, and hands it to transcript, log and wire log."""

from __future__ import annotations

import base64
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from rtc_client.call.events.event_log import EventLog
from rtc_client.call.events.local_events import SidebandJoined, SidebandLost
from rtc_client.clock import Clock
from rtc_client.errors import SidebandClosed
from rtc_client.protocol.call_timeline import CallTimeline, Milestone
from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.from_events import add_event, note_sent
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire.codec import load_json, parse_binary, parse_event

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class WireMessage:
    """One frame of the sideband as it was on the wire."""

    at_s: float
    """Seconds since the call was dialled."""
    direction: Literal["in", "out"]
    event: object = field(repr=False)
    """The JSON value; the text itself when it is not JSON; `{"binary_base64": …}` for a binary frame."""


WireLog: TypeAlias = Callable[[WireMessage], None]


class Router:
    """Listens to the sideband of one call.

    `on_event` gets every event of the server, `on_sent` every text that left,
    `on_fatal` of an error event that ends the call, and why.
    """

    def __init__(
        self,
        timeline: CallTimeline,
        feed: EventLog,
        *,
        clock: Clock,
        wire_log: WireLog | None,
        on_event: Callable[[ev.ServerEvent], None],
        on_sent: Callable[[str], None],
        on_fatal: Callable[[ev.ErrorEvent, str], None],
    ) -> None:
        self._timeline = timeline
        self._feed = feed
        self._clock = clock
        self._wire_log = wire_log
        self._on_event, self._on_sent = on_event, on_sent
        self._on_fatal = on_fatal
        self.scribe = TranscriptBuilder()
        """Writes the transcript."""
        self.counts: Counter[str] = Counter(unknown=0)
        self.joined = False
        """Whether the sideband is up right now."""

    def on_joined(self, *, again: bool) -> None:
        self.joined = True
        self._timeline.mark(Milestone.SIDEBAND_JOINED, self._clock.now_s())
        self._feed.append(SidebandJoined(again=again))

    def on_lost(self, error: SidebandClosed) -> None:
        self.joined = False
        self._feed.append(SidebandLost(code=error.code))

    def on_sent(self, text: str) -> None:
        self._record("out", text)
        note_sent(self.scribe, text, self._at_ms())
        self._on_sent(text)

    def on_message(self, data: str | bytes) -> ev.ServerEvent:
        event = parse_event(data) if isinstance(data, str) else parse_binary(data)
        if isinstance(event, ev.UnknownEvent):
            self.counts["unknown"] += 1
        else:
            self.counts[event.type] += 1
        self._record("in", data, event.raw)
        add_event(self.scribe, event, self._at_ms())
        self._feed.append(event, len(data))
        self._on_event(event)
        if isinstance(event, ev.ErrorEvent) and (reason := ev.fatal_reason(event)) is not None:
            self._on_fatal(event, reason)
        return event

    def on_interrupted(self, item_id: str, heard_ms: int) -> None:
        """Take note that we played no more of an item of the agent's, and how much of it was heard."""
        self.scribe.interrupted(self._at_ms(), item_id=item_id, heard_ms=heard_ms)

    def on_silenced(self, voiced_since: Callable[[float], float | None]) -> None:
        """Take note that we played no more of what the agent said last.

        `voiced_since` tells when it was first heard from a time on, both monotonic seconds; None if it was not.
        """
        connected_s = self._timeline.at_s(Milestone.DTLS_CONNECTED) or 0.0

        def heard_since(at_ms: int) -> int | None:
            began_s = voiced_since(connected_s + at_ms / 1000)
            return None if began_s is None else round((began_s - connected_s) * 1000)

        self.scribe.interrupted(self._at_ms(), heard_since=heard_since)

    def _at_ms(self) -> int:
        return round(self._timeline.since_s(Milestone.DTLS_CONNECTED, self._clock.now_s()) * 1000)

    def _record(self, direction: Literal["in", "out"], data: str | bytes, value: object = None) -> None:
        if self._wire_log is None:
            return
        if isinstance(data, bytes):
            value = {"binary_base64": base64.b64encode(data).decode()}
        elif value is None:
            try:
                value = load_json(data)
            except ValueError:
                value = data
        at_s = round(self._timeline.since_s(Milestone.DIALED, self._clock.now_s()), 4)
        self._wire_log(WireMessage(at_s=at_s, direction=direction, event=value))
