"""IngressGuard: checks every datagram before it enters a call, and drops and counts what does not belong.

No authentication is possible at this point; the guard keeps away what ends or floods the libraries after it
(aiortc.md sections 4 and 9): empty and oversized datagrams, STUN that cannot be parsed, and DTLS or RTP
from an address that neither answered a check of ours nor sent one that proves it knows this call's ICE password.
The latter comes first: a peer may begin DTLS when its own check was answered, a moment before ours is.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aioice.ice import Connection, StunProtocol

from rtc_client.clock import Clock
from rtc_client.peer import aiortc_internals

log = logging.getLogger(__name__)

MAX_DATAGRAM_BYTES: Final = 1_500
MAX_QUEUED: Final = 512
"""Datagrams that may wait for DTLS: ten seconds of audio. Beyond it the newest are dropped."""
MAX_PROVEN: Final = 32
"""Addresses of a peer that are remembered; one with more of them must answer our checks there."""


class IngressGuard:
    """Stands before every socket of one ICE agent."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._checked: tuple[str, int] | None = None
        self._proven: set[tuple[str, int]] = set()
        self.speaker: Any = None
        """The whole address that RTP came from last; known to be the peer's."""
        self._is_installed = False
        self._accept = aiortc_internals.gate_data(connection, self._refuse)
        self.dropped: Counter[str] = Counter()
        self.last_datagram_s: float | None = None
        """When the peer last sent anything, monotonic seconds: any datagram from an address that is known to be its."""
        self.on_media: Callable[[bytes, float], None] | None = None
        """Takes RTP and RTCP from the peer past DTLS, once the fast path is up."""
        self.last_dtls_s: float | None = None
        """When the peer last sent a DTLS record, monotonic seconds."""

    def install(self) -> None:
        """Take the place of `datagram_received` on every socket; call it before the offer leaves.

        What came before that, while candidates were gathered, cannot have been the peer's and was dropped.
        """
        aiortc_internals.guard_datagrams(self._connection, self._wrap, self._prove)
        self._is_installed = True

    def admits(self, address: Any) -> bool:
        """Return whether media may come from this whole address, and expect it from there from now on if it may."""
        if not self._is_known((address[0], address[1])):
            return False
        self.speaker = address
        return True

    def count(self, why: str) -> None:
        """Count something dropped; the first of each kind is logged."""
        self.dropped[why] += 1
        if self.dropped[why] == 1:
            log.debug("datagram dropped", extra={"why": why})

    def _wrap(self, protocol: StunProtocol) -> Callable[[bytes, Any], None]:
        handle_stun = protocol.datagram_received
        connection, now = self._connection, self._clock.now_s

        def datagram_received(data: bytes, addr: Any) -> None:
            take = self.on_media
            if (
                take is not None
                and addr == self.speaker
                and 2 <= len(data) <= MAX_DATAGRAM_BYTES
                and 128 <= data[0] <= 191
            ):
                self.last_datagram_s = now_s = now()
                try:
                    take(data, now_s)
                except Exception:  # in a socket's callback nobody else would see it
                    log.exception("a packet could not be taken")
                    self.count("failed_rtp")
                return
            n_bytes = len(data)
            if not 2 <= n_bytes <= MAX_DATAGRAM_BYTES:
                self.count("empty" if n_bytes < 2 else "oversized")
                return
            first = data[0]
            address = (addr[0], addr[1])
            if first < 4:
                try:
                    handle_stun(data, addr)
                except Exception:  # noqa: BLE001 - a hostile datagram may raise anything in aioice's parser
                    self.count("malformed_stun")
                    return
                if self._is_known(address):
                    self.last_datagram_s = self._clock.now_s()
                return
            if not (20 <= first <= 63 or 128 <= first <= 191):
                self.count("unknown")
            elif not self._is_known(address):
                self.count("unchecked_source")
            elif take is not None and first >= 128 and self.admits(addr):
                datagram_received(data, addr)  # by the short way above, as from now on
            elif aiortc_internals.queued_datagrams(connection) >= MAX_QUEUED:
                self.count("overflow")
            else:
                self.last_datagram_s = now_s = self._clock.now_s()
                if first <= 63:
                    self.last_dtls_s = now_s
                self._accept(data, 1)

        return datagram_received

    def _refuse(self) -> None:
        """Count what would have reached DTLS without passing the guard: aioice hands on all that is not STUN to it."""
        self.count("malformed_stun" if self._is_installed else "early")

    def _prove(self, address: tuple[str, int]) -> None:
        if len(self._proven) < MAX_PROVEN:
            self._proven.add(address)

    def _is_known(self, address: tuple[str, int]) -> bool:
        if address == self._checked or address in self._proven:
            return True
        if aiortc_internals.is_checked(self._connection, address):
            self._checked = address
            return True
        return False
