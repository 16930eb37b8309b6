"""Packets that a test makes itself, sent by a peer that is connected."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

import pylibsrtp
from aiortc.rtp import HeaderExtensionsMap, RtpPacket, is_rtcp

from rtc_client.config import MediaPath
from tests.peer.support import Pair, Told, a_pair

_NO_EXTENSIONS: Final = HeaderExtensionsMap()


class Sender:
    """Stands where the far side's packets leave, before they are encrypted, and may change them or send its own."""

    def __init__(self, pair: Pair) -> None:
        self._send: Callable[[bytes], Awaitable[None]] = pair.far.dtls._send_rtp
        self.change: Callable[[RtpPacket], list[RtpPacket]] = lambda packet: [packet]
        self.last: RtpPacket | None = None
        self.n_odd = 0
        """Packets sent by `send`."""
        pair.far.dtls._send_rtp = self._send_changed  # type: ignore[method-assign]

    async def send(self, data: bytes) -> None:
        """Send this as it is, encrypted like the rest; what libsrtp will not encrypt cannot come from anybody."""
        with suppress(pylibsrtp.Error):
            await self._send(data)
            self.n_odd += 1

    async def _send_changed(self, data: bytes) -> None:
        if is_rtcp(data):
            await self._send(data)
            return
        self.last = RtpPacket.parse(data, _NO_EXTENSIONS)
        for packet in self.change(self.last):
            await self._send(packet.serialize(_NO_EXTENSIONS))


@asynccontextmanager
async def talking(path: MediaPath = "fast") -> AsyncIterator[tuple[Pair, Sender]]:
    """Yield a pair whose far side is heard, and the hook in its sender; the call must be up at the end."""
    async with a_pair(told=Told(), path=path) as pair:
        await pair.connect()
        pair.talk()
        sender = Sender(pair)
        await pair.told.hears(0.3, within_s=5)
        yield pair, sender
        pair.near._raise_if_failed()
        assert pair.near._dtls.state == "connected"


def copy_of(packet: RtpPacket, *, payload: bytes | None = None, padding: int = 0) -> RtpPacket:
    made = RtpPacket(
        payload_type=packet.payload_type,
        sequence_number=packet.sequence_number,
        timestamp=packet.timestamp,
        marker=packet.marker,
        ssrc=packet.ssrc,
        payload=packet.payload if payload is None else payload,
    )
    made.padding_size = padding
    return made
