"""Tape: plays a cassette as the server of one call: what is due when, and whether the client is the recorded one. Pure.

The tape runs from the instant media connects (from the first join, if the recorded call had no media). It stops where
the recorded client joined or sent something, until this client has done so too; the voice may run on for `GRACE_S`, so
that a client a little later than the recorded one hears no gap. All times are seconds of one clock.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, is_dtx
from rtc_client.cassette.cassette import Cassette, Sound, WireEvent
from rtc_client.cassette.comparison import Facts, frame_name, shape_facts
from rtc_client.cassette.redaction import CALL_ID, SESSION_ID
from rtc_client.errors import CassetteUnusable
from rtc_client.testing.cassette.recording import frame_text
from rtc_client.testing.wire.record import Violation

SECTION: Final = "cassette"
"""Stands where other violations have a section of the protocol notes."""
GRACE_S: Final = 0.2
REACTION_S: Final = 0.25
"""What the server said so soon after a message of the client answers it: it comes as soon when the client is early."""
_AT_ONCE_S: Final = 0.02
"""So soon an answer comes with the message itself: the next tick of 20 ms would be too late."""
_EARLY_S: Final = 0.01
"""Half a packet: packets of 20 ms are asked for by a clock of 20 ms that beats against the recorded one."""


@dataclass(frozen=True, slots=True)
class TellFrame:
    """Send this frame."""

    frame: str | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CloseSideband:
    """Close the sideband with this code, or abort its TCP connection."""

    code: int | None


@dataclass(frozen=True, slots=True)
class EndCall:
    """End the call."""


TapeAct: TypeAlias = TellFrame | CloseSideband | EndCall


@dataclass(frozen=True, slots=True)
class _Due:
    at_s: float
    n_gates: int
    """How much of what the client does has to be done before."""
    act: TapeAct
    reaction_s: float | None = None
    """How soon after the last of that it comes, if it is an answer."""


def check_replayable(cassette: Cassette) -> None:
    """Return if a cassette can be replayed.

    Raises:
        CassetteUnusable: If the recorded offer got no answer.
    """
    if cassette.answer_sdp is None:
        raise CassetteUnusable("the cassette holds a call that was not answered: there is nothing to replay")


class Tape:
    """One cassette in one call."""

    def __init__(self, cassette: Cassette, call_id: str, session_id: str) -> None:
        """`call_id` and `session_id` take the places of the recorded ones."""
        self._names = {CALL_ID: call_id, SESSION_ID: session_id}
        self._is_media_recorded = cassette.media_connected_s is not None
        joined_s = next((one.at_s for one in cassette.happenings if one.kind == "ws_open"), 0.0)
        self._zero_s = joined_s if cassette.media_connected_s is None else cassette.media_connected_s
        self._gates: list[WireEvent] = []
        self._due: deque[_Due] = deque()
        self._is_left = False
        for one in cassette.happenings:
            self._take(one, cassette)
        if cassette.ended_by == "server" and cassette.ended_s is not None:
            self._due.append(_Due(cassette.ended_s - self._zero_s, len(self._gates), EndCall()))
        self._n_passed = 0
        self._passed_at_s = 0.0
        self._n_messages = 0
        self._started_at_s: float | None = None
        self._shift_s = 0.0
        self._voice = _voice(cassette.agent, self._zero_s)

    def media_connected(self, now_s: float) -> None:
        """Media has connected: the tape runs, unless media never did in the recorded call."""
        if self._is_media_recorded:
            self._started_at_s = now_s

    def joined(self, now_s: float) -> None:
        """The client has joined a sideband."""
        if not self._is_media_recorded and self._started_at_s is None:
            self._started_at_s = now_s
        if self._next_gate() is not None and self._gates[self._n_passed].kind == "ws_open":
            self._pass(now_s)

    def client_sent(self, frame: str | bytes, now_s: float) -> list[Violation]:
        """Take a frame of the client; return where it is not the recorded one."""
        self._n_messages += 1
        gates = [gate for gate in self._gates if gate.is_frame]
        if self._n_messages > len(gates):
            return [Violation(SECTION, f"message {self._n_messages}: the recorded client has sent no more")]
        recorded = gates[self._n_messages - 1]
        while self._n_passed < len(self._gates):
            is_it = self._gates[self._n_passed] is recorded
            self._pass(now_s)
            if is_it:
                break
        return [Violation(SECTION, text) for text in _misfits(self._n_messages, frame, recorded)]

    def tick(self, now_s: float, *, frames_only: bool = False) -> list[TapeAct]:
        """Return what is due, in order; each once. With `frames_only` no further than to the first that is no frame."""
        position_s = self._position_s(now_s)
        acts: list[TapeAct] = []
        while self._due and self._is_due(self._due[0], position_s, now_s):
            if frames_only and not isinstance(self._due[0].act, TellFrame):
                break
            acts.append(self._due.popleft().act)
        return acts

    def next_packet(self, now_s: float) -> bytes | None:
        """Return the packet of the agent's voice that is due, if one is; ask once in 20 ms."""
        if self._started_at_s is None:
            return None
        position_s = self._position_s(now_s)
        if (gate := self._next_gate()) is not None:
            position_s = min(position_s, gate.at_s - self._zero_s + GRACE_S)
        while self._voice and self._voice[0][0] <= position_s + _EARLY_S:
            _, packet = self._voice.popleft()
            if not is_dtx(packet):
                return packet
        return None

    def ended(self, *, by_client: bool) -> list[Violation]:
        """Return what a client that has ended the call itself has left undone."""
        left = [gate for gate in self._gates if gate.is_frame][self._n_messages :]
        if not left or not by_client:
            return []
        names = ", ".join(frame_name(one) for one in left[:5])
        return [Violation(SECTION, f"the client has ended the call without what was recorded: {names}")]

    def _is_due(self, due: _Due, position_s: float, now_s: float) -> bool:
        if due.n_gates > self._n_passed:
            return False
        is_answered = due.n_gates == self._n_passed and due.reaction_s is not None
        return due.at_s <= position_s or (is_answered and now_s - self._passed_at_s >= (due.reaction_s or 0.0))

    def _take(self, one: WireEvent, cassette: Cassette) -> None:
        if one.direction == "c2s":
            if one.is_frame or one.kind == "ws_open":
                self._gates.append(one)
            self._is_left = one.kind in ("ws_close", "tcp_close")
            return
        at_s, act = one.at_s - self._zero_s, self._act(one)
        # How a sideband closes when the client has left it, or the call is over, is no act of the server's own.
        is_over = self._is_left or (cassette.ended_s is not None and one.at_s >= cassette.ended_s)
        if act is not None and not (isinstance(act, CloseSideband) and is_over):
            soon_s = REACTION_S + 1 if not self._gates else one.at_s - self._gates[-1].at_s
            reaction_s = max(0.0, soon_s - _AT_ONCE_S) if soon_s <= REACTION_S else None
            self._due.append(_Due(at_s, len(self._gates), act, reaction_s))

    def _act(self, one: WireEvent) -> TapeAct | None:
        fields = one.fields
        match one.kind:
            case "ws_text" if "event" in fields:
                return TellFrame(self._named(frame_text(fields["event"])))
            case "ws_text":
                return TellFrame(self._named(str(fields.get("text", ""))))
            case "ws_binary":
                return TellFrame(base64.b64decode(str(fields.get("base64", ""))))
            case "ws_close":
                code = fields.get("code")
                return CloseSideband(code if isinstance(code, int) else 1000)
            case "tcp_close":
                return CloseSideband(None)
            case _:
                return None

    def _named(self, text: str) -> str:
        for placeholder, name in self._names.items():
            text = text.replace(placeholder, name)
        return text

    def _next_gate(self) -> WireEvent | None:
        return self._gates[self._n_passed] if self._n_passed < len(self._gates) else None

    def _pass(self, now_s: float) -> None:
        gate_s = self._gates[self._n_passed].at_s - self._zero_s
        self._n_passed += 1
        self._passed_at_s = now_s
        if self._started_at_s is not None:
            self._shift_s += max(0.0, self._position_s(now_s) - gate_s - GRACE_S)

    def _position_s(self, now_s: float) -> float:
        """Return how far the tape would be if nothing had to be waited for; before media connects it is at 0."""
        return 0.0 if self._started_at_s is None else now_s - self._started_at_s - self._shift_s


def _voice(sound: Sound | None, zero_s: float) -> deque[tuple[float, bytes]]:
    """Return the packets with their places on the tape."""
    voice: deque[tuple[float, bytes]] = deque()
    at_s = 0.0 if sound is None else sound.begins_s - zero_s
    for packet, n_samples in () if sound is None else sound.packets:
        voice.append((at_s, packet))
        at_s += n_samples / CLOCK_RATE_HZ
    return voice


def _misfits(number: int, frame: str | bytes, recorded: WireEvent) -> list[str]:
    name = frame_name(recorded)
    if isinstance(frame, bytes) or recorded.kind == "ws_binary":
        if isinstance(frame, bytes) and recorded.kind == "ws_binary":
            return []
        return [f"message {number}: it is not the recorded one, {name}"]
    try:
        event = json.loads(frame)
    except (ValueError, RecursionError):
        event = None
    kind = event.get("type") if isinstance(event, dict) else None
    if isinstance(recorded.fields.get("event"), dict) and kind != name:
        return [f"message {number}: it is not the recorded one, {name}"]
    ours, theirs = shape_facts(event), shape_facts(recorded.fields.get("event"))
    paths = [path for path in dict.fromkeys([*theirs, *ours]) if ours.get(path) != theirs.get(path)]
    return [f"message {number} ({name}): {_told(path, ours, theirs)}" for path in paths]


def _told(path: str, ours: Facts, theirs: Facts) -> str:
    if path not in ours:
        return f"{path} is missing"
    if path not in theirs:
        return "it has a key that the recorded one has not"
    return f"{path} is not as recorded"
