"""The far side of a benchmarked call: aiortc's peer as the answerer, with its media on the fast path as well.

It must not be what is measured, so it costs as little as the client does. Signaling is not here.
"""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Callable
from typing import Any, Final

from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription

from rtc_client.clock import MonotonicClock
from rtc_client.peer import aiortc_internals
from rtc_client.peer.fastpath import FastPath, PacketReader, PacketWriter
from rtc_client.peer.ingress_guard import IngressGuard
from rtc_client.peer.tracks import CallerTrack
from rtc_client.protocol.sdp import with_opus_fmtp
from rtc_client.testing.aiortc_internals import Connecting, Gate, close_peer, confine, is_rtp
from rtc_client.testing.network.udp_relay import Network, Relay
from rtc_client.testing.wire.sdp_text import with_dead_candidates

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("qq")

Stamped = Callable[[bytes, int], None]
"""Told each RTP packet as it came and the kernel's time of its arrival, nanoseconds of the wall clock."""


class FarSide:
    """One call's far side. `aclose` must be called."""

    def __init__(
        self,
        *,
        write: PacketWriter,
        read: PacketReader,
        network: Network | None = None,
        stamped: Stamped | None = None,
        on_connected: Callable[[], None] = lambda: None,
    ) -> None:
        self._clock = MonotonicClock()
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connecting = Connecting(self._pc)
        self._write, self._read = write, read
        self._stamped = stamped
        self._on_connected = on_connected
        self._fast: FastPath | None = None
        self.relay = None if network is None else Relay(network)

    async def answer(self, offer_sdp: str) -> str:
        """Return the answer to an offer; from here on the far side is reachable, by way of its relay if it has one."""
        pc = self._pc
        sdp = offer_sdp if self.relay is None else with_dead_candidates(offer_sdp)
        await pc.setRemoteDescription(RTCSessionDescription(sdp=sdp, type="offer"))
        pc.addTrack(CallerTrack(self._clock))  # never has anything to say
        (self._transceiver,) = pc.getTransceivers()
        dtls = self._transceiver.receiver.transport
        connection = aiortc_internals.ice_connection(dtls.transport)
        self._guard = IngressGuard(connection, self._clock)
        confine(dtls.transport, Gate(), "loopback")
        await pc.setLocalDescription(await pc.createAnswer())
        self._guard.install()
        if self._stamped is not None:
            for protocol in connection._protocols:
                _stamp_arrivals(protocol, self._stamped)
        dtls.on("statechange", self._on_state)
        answer = with_opus_fmtp(pc.localDescription.sdp)
        return answer if self.relay is None else self.relay.answer_by_way_of(answer)

    def tick(self, index: int) -> None:
        """Send what is due in period `index`."""
        if self._fast is not None:
            now_s = self._clock.now_s()
            self._fast.receive(now_s)
            self._fast.prepare(index)
            self._fast.send(now_s)

    def fraction_lost(self) -> float:
        """Return how much of what was sent got lost lately, 0 to 1, by the client's reports."""
        return 0.0 if self._fast is None else self._fast.reports.remote_fraction_lost

    async def aclose(self) -> None:
        """Close everything."""
        if self._fast is not None:
            self._fast.stop()
            self._fast = None
        await asyncio.shield(asyncio.create_task(close_peer(self._pc, self._connecting)))
        if self.relay is not None:
            self.relay.close()

    def _on_state(self) -> None:
        transceiver = self._transceiver
        if transceiver.receiver.transport.state != "connected" or self._fast is not None:
            return
        types = aiortc_internals.negotiated_payload_types(transceiver)
        self._fast = FastPath(
            aiortc_internals.Media(self._pc, transceiver.sender, transceiver.receiver, types),
            self._guard,
            write=self._write,
            read=self._read,
            rng=random.Random(),
            failed=_raise,
            polls=self._stamped is None,
        )
        self._fast.start()
        self._on_connected()


def _raise(error: Exception) -> None:
    raise error


def _stamp_arrivals(protocol: Any, stamped: Stamped) -> None:
    """Read the socket of an ICE protocol past asyncio's transport, with the kernel's time of each datagram."""
    loop: Any = asyncio.get_running_loop()
    shared = protocol.transport.get_extra_info("socket")
    reader = socket.fromfd(shared.fileno(), shared.family, shared.type)
    reader.setblocking(False)
    reader.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def read() -> None:
        while True:
            try:
                datagram, notes, _, address = reader.recvmsg(2_048, 64)
            except OSError:
                return
            if is_rtp(datagram) and notes:
                seconds, nanoseconds = _TIMESPEC.unpack_from(notes[0][2])
                stamped(datagram, seconds * 1_000_000_000 + nanoseconds)
            protocol.datagram_received(datagram, address)

    close = protocol.transport.close

    def close_both() -> None:
        close()
        reader.close()

    protocol.transport.close = close_both
    loop._remove_reader(shared.fileno())
    loop._add_reader(shared.fileno(), read)
