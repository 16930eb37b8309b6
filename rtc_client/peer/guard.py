"""What may enter a call's sockets: every datagram passes here first, and what does not belong is dropped and counted.

No authentication is possible at this point; the guard keeps away what ends or floods the libraries behind it
(aiortc-limits.md sections 4 and 9): empty and oversized datagrams, STUN that cannot be parsed, and DTLS or RTP
from an address that ICE has not checked.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from aioice.ice import Connection, StunProtocol

from rtc_client.clock import Clock
from rtc_client.peer import seams

log = logging.getLogger(__name__)

MAX_DATAGRAM_BYTES: Final = 1_500
MAX_QUEUED: Final = 512
"""Datagrams that may wait for DTLS: ten seconds of audio. Beyond it the newest are dropped."""


class IngressGuard:
    """Stands before every socket of one ICE agent."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._checked: tuple[str, int] | None = None
        self.dropped: Counter[str] = Counter()
        self.last_datagram_s: float | None = None
        """When the peer last sent anything, monotonic seconds: any datagram from an address that ICE has checked."""
        self.last_dtls_s: float | None = None
        """When the peer last sent a DTLS record, monotonic seconds."""

    def install(self) -> None:
        """Take the place of `datagram_received` on every socket; call it before the offer leaves."""
        seams.guard_datagrams(self._connection, self._wrap)

    def count(self, why: str) -> None:
        """Count something dropped; the first of each kind is logged."""
        self.dropped[why] += 1
        if self.dropped[why] == 1:
            log.debug("datagram dropped", extra={"why": why})

    def _wrap(self, protocol: StunProtocol) -> Callable[[bytes, Any], None]:
        handle_stun = protocol.datagram_received
        connection = self._connection

        def datagram_received(data: bytes, addr: Any) -> None:
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
                if self._is_checked(address):
                    self.last_datagram_s = self._clock.now_s()
                return
            if not (20 <= first <= 63 or 128 <= first <= 191):
                self.count("unknown")
            elif not self._is_checked(address):
                self.count("unchecked_source")
            elif seams.queued_datagrams(connection) >= MAX_QUEUED:
                self.count("overflow")
            else:
                self.last_datagram_s = now_s = self._clock.now_s()
                if first <= 63:
                    self.last_dtls_s = now_s
                connection.data_received(data, 1)

        return datagram_received

    def _is_checked(self, address: tuple[str, int]) -> bool:
        if address == self._checked:
            return True
        if seams.is_checked(self._connection, address):
            self._checked = address
            return True
        return False
