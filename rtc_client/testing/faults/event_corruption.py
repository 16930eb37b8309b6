"""EventCorrupter: spoils the events of one call on their way out, as its faults say. Pure."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final, assert_never

from rtc_client.testing.faults.effects import SpoilEvents
from rtc_client.testing.faults.faults import Fault
from rtc_client.testing.wire import server_events as events

GROUP: Final = 3
"""Events that change places with each other."""
HELD_LIMIT_S: Final = 0.2
"""An event waits no longer than this for others to change places with."""

UNKNOWN_EVENT: Final = '{"type":"session.exploded","detail":1}'
BINARY_FRAME: Final = b"\x00\x01\xfe\xff"

_Frame = str | bytes


@dataclass(slots=True)
class _Group:
    rng: random.Random
    frames: list[_Frame] = field(default_factory=list)
    since_s: float = 0.0


class EventCorrupter:
    """One call's events between their making and their sending."""

    def __init__(self) -> None:
        self._groups: dict[Fault, _Group] = {}
        self._n_named = 0

    def spoil(self, frame: str, faults: Sequence[Fault], now_s: float) -> list[_Frame]:
        """Return what is sent in the place of an event, now; with `reorder` that may be nothing yet."""
        frames: list[_Frame] = [frame]
        for fault in faults:
            if isinstance(effect := fault.effect, SpoilEvents):
                fault.met()
                if effect.how == "reorder":
                    frames = self._reorder(fault, effect.number, frames, now_s)
                elif effect.how == "duplicate":
                    frames = [copy for one in frames for copy in [self._named(one)] * effect.number]
                else:
                    frames = [spoilt for one in frames for spoilt in _spoil(one, effect)]
        return frames

    def overdue(self, faults: Sequence[Fault], now_s: float) -> list[_Frame]:
        """Return the events that waited long enough for others, or whose fault has ended; the last comes first."""
        frames: list[_Frame] = []
        for fault, group in list(self._groups.items()):
            if fault not in faults or now_s - group.since_s >= HELD_LIMIT_S:
                frames += reversed(group.frames)
                group.frames.clear()
            if fault not in faults:
                del self._groups[fault]
        return frames

    def _named(self, frame: _Frame) -> _Frame:
        """Return an event with an id: by that the copies of it are known, as those of a real server are."""
        event = events.parse_object(frame) if isinstance(frame, str) else None
        if event is None or "event_id" in event:
            return frame
        self._n_named += 1
        return events.dump({**event, "event_id": f"event_{self._n_named}"})

    def _reorder(self, fault: Fault, seed: int, frames: list[_Frame], now_s: float) -> list[_Frame]:
        group = self._groups.setdefault(fault, _Group(random.Random(seed)))
        if not group.frames:
            group.since_s = now_s
        group.frames += frames
        out: list[_Frame] = []
        while len(group.frames) >= GROUP:
            # The first order is the one they have.
            order = group.rng.choice(list(permutations(range(GROUP)))[1:])
            out += [group.frames[n] for n in order]
            del group.frames[:GROUP]
        return out


def _spoil(frame: _Frame, effect: SpoilEvents) -> list[_Frame]:
    match effect.how:
        case "malformed":
            return [frame[: len(frame) // 2], frame]
        case "unknown":
            return [UNKNOWN_EVENT, frame]
        case "binary":
            return [BINARY_FRAME, frame]
        case "huge":
            return [huge_event(effect.number), frame]
        case "reorder" | "duplicate":
            return [frame]
        case how:
            assert_never(how)


def huge_event(n_bytes: int) -> str:
    """Return a well-formed event of so many bytes: an item that was added."""
    empty = json.dumps({"type": "conversation.item.added", "item": {"id": "huge", "text": ""}}, separators=(",", ":"))
    return f"{empty[:-3]}{'x' * (n_bytes - len(empty))}{empty[-3:]}"
