"""ReceiveBuffer: the place of the datagram in hand, one for all calls of a thread, so that it stays in the cache."""

from __future__ import annotations

import threading
from typing import Final

from rtc_client.peer import aiortc_internals
from rtc_client.peer.ingress_guard import MAX_DATAGRAM_BYTES

_READ_BYTES: Final = MAX_DATAGRAM_BYTES + 4
"""More than a datagram may have, so that one that is too long shows."""


class ReceiveBuffer:
    """A buffer, and what it looks like to the socket, to libsrtp and to us."""

    __slots__ = ("buffers", "native", "packet", "view")

    def __init__(self) -> None:
        self.packet = bytearray(_READ_BYTES)
        self.buffers = [self.packet]
        self.view = memoryview(self.packet)
        self.native = aiortc_internals.native_buffer(self.packet)


class _OfThread(threading.local):
    def __init__(self) -> None:
        self.inbox = ReceiveBuffer()


_of_thread = _OfThread()


def inbox_of_thread() -> ReceiveBuffer:
    """Return the inbox of the calling thread; what lies in it is dealt with before the thread does anything else."""
    return _of_thread.inbox
