"""Applies the faults of media and session to one call."""

from __future__ import annotations

from collections.abc import Sequence

from rtc_client.testing.calls.event_leg import EventLeg
from rtc_client.testing.calls.webrtc_media import AnswererPeer
from rtc_client.testing.calls.websocket_media import DirectPeer
from rtc_client.testing.faults.effects import ERRORS, BlockDtls, ExpireSession, SendError, StopAudio, Vanish
from rtc_client.testing.faults.faults import Fault, Faults


class CallFaults:
    """Looks, each tick, which faults there are; what has ended is undone at the next one."""

    def __init__(self, sources: Sequence[Faults], peer: AnswererPeer | DirectPeer) -> None:
        self.has_expired = False
        """Whether the session has expired, and the call is to be ended."""
        self._sources = sources
        self._peer = peer
        self._met: set[Fault] = set()
        self._connected_at_s: float | None = None
        self._session_known_at_s: float | None = None
        self._is_gone = False

    def now(self) -> list[Fault]:
        """Return the faults there are."""
        return [fault for source in self._sources for fault in source.in_calls]

    def tick(self, event_leg: EventLeg, now_s: float) -> None:
        """Let the call meet them."""
        if self._peer.is_connected and self._connected_at_s is None:
            self._connected_at_s = now_s
        if event_leg.is_session_known and self._session_known_at_s is None:
            self._session_known_at_s = now_s
        is_dtls_blocked = is_audio_stopped = is_gone = False
        for fault in self.now():
            match fault.effect:
                case BlockDtls():
                    is_dtls_blocked = self._meets(fault)
                case Vanish():
                    is_gone = self._meets(fault)
                case StopAudio(for_s):
                    if for_s is None or self._connected_at_s is None or now_s < self._connected_at_s + for_s:
                        is_audio_stopped = self._meets(fault)
                case SendError(event) if fault not in self._met and self._session_known_at_s is not None:
                    self._meets(fault)
                    event_leg.hold(event)
                case ExpireSession(after_s) if self._has_lasted(after_s, now_s):
                    self._meets(fault)
                    self.has_expired = True
                    event_leg.hold(ERRORS["session_expired"])
                case _:
                    pass
        self._peer.gate.is_dtls_blocked = is_dtls_blocked
        self._peer.track.is_stopped = is_audio_stopped
        if is_gone != self._is_gone:
            self._is_gone = is_gone
            if is_gone:
                self._peer.vanish()
            else:
                self._peer.come_back()

    def _has_lasted(self, after_s: float, now_s: float) -> bool:
        known_at_s = self._session_known_at_s
        return not self.has_expired and known_at_s is not None and now_s >= known_at_s + after_s

    def _meets(self, fault: Fault) -> bool:
        if fault not in self._met:
            self._met.add(fault)
            fault.met()
        return True
