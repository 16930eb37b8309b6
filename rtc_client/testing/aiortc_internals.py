"""The private parts of aiortc 1.16 and aioice 0.13 that the fake answerer uses, each in one function.

Nothing else of this room touches a name with an underscore of theirs. What these seams repair was measured: a
connection dies from one empty or oversized datagram, a `close()` during connecting leaves a task behind, an exception
while connecting is lost, and 127.0.0.1 is never gathered.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Coroutine
from typing import Any, Final, Literal, TypeAlias

from aioice import Candidate, Connection
from aioice.ice import StunProtocol
from aiortc import RTCDtlsTransport, RTCIceTransport, RTCPeerConnection

log = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
Interfaces: TypeAlias = Literal["loopback", "all"]

MAX_DATAGRAM_BYTES: Final = 1_500
"""pylibsrtp raises on longer ones, and aiortc does not catch that."""
MAX_QUEUED_DATAGRAMS: Final = 1_024
CLOSE_LIMIT_S: Final = 1.0

_PARSE_ERRORS: Final = (struct.error, IndexError, KeyError, ValueError, AttributeError, AssertionError, TypeError)


class Gate:
    """What every datagram of one peer passes, in both directions. Counts them; shut, it lets nothing through."""

    def __init__(self) -> None:
        self.is_shut = False
        self.is_dtls_blocked = False
        self.n_rtp_received = 0
        self.n_dropped = 0

    def guard(self, protocol: StunProtocol, connection: Connection) -> None:
        """Stand before one UDP socket of an ICE connection."""
        receive, send_data, send_stun = protocol.datagram_received, protocol.send_data, protocol.send_stun

        def datagram_received(data: bytes | str, addr: tuple[Any, ...]) -> None:
            if self._stops(data):
                return
            is_sized = isinstance(data, bytes) and 1 < len(data) <= MAX_DATAGRAM_BYTES
            if not is_sized or connection._queue.qsize() >= MAX_QUEUED_DATAGRAMS:
                self.n_dropped += 1
                return
            self.n_rtp_received += is_rtp(data)
            try:
                receive(data, addr)
            except _PARSE_ERRORS:
                self.n_dropped += 1

        async def send_data_unless_shut(data: bytes, addr: tuple[str, int]) -> None:
            if not self._stops(data):
                await send_data(data, addr)

        def send_stun_unless_shut(message: Any, addr: tuple[str, int]) -> None:
            if not self.is_shut:
                send_stun(message, addr)

        protocol.datagram_received = datagram_received  # type: ignore[method-assign]
        protocol.send_data = send_data_unless_shut  # type: ignore[method-assign]
        protocol.send_stun = send_stun_unless_shut  # type: ignore[method-assign]

    def _stops(self, data: bytes | str) -> bool:
        # RFC 7983: the first byte of DTLS lies at 20..63.
        is_dtls = isinstance(data, bytes) and len(data) > 0 and 20 <= data[0] <= 63
        return self.is_shut or (self.is_dtls_blocked and is_dtls)


def is_rtp(data: bytes | str) -> bool:
    """Return whether a datagram is RTP, and not RTCP."""
    # RFC 5761 section 4: RTCP packet types lie at 192..223 of the second byte.
    return isinstance(data, bytes) and 127 < data[0] < 192 and not 192 <= data[1] <= 223


def confine(transport: RTCIceTransport, gate: Gate, interfaces: Interfaces) -> None:
    """Make an ICE transport, before it gathers, use the loopback address (and, with "all", the others) and the gate.

    aioice asks `get_component_candidates` with the addresses of all interfaces but the loopback one; the answer of an
    answerer for tests shall hold the loopback address and nothing of the machine's network.
    """
    connection = transport._connection
    gather, query_consent = connection.get_component_candidates, connection.query_consent

    async def gather_here(component: int, addresses: list[str]) -> list[Candidate]:
        others = addresses if interfaces == "all" else []
        candidates = await gather(component, [*others, LOOPBACK])
        for protocol in connection._protocols:
            gate.guard(protocol, connection)
        return candidates

    async def query_consent_unless_closed() -> None:
        # connect() starts this also when close() ran meanwhile, and then nobody ever ends it.
        if not connection._closing:
            await query_consent()

    connection.get_component_candidates = gather_here  # type: ignore[method-assign,assignment]
    connection.query_consent = query_consent_unless_closed  # type: ignore[method-assign]


def stop_asking_consent(transport: RTCIceTransport) -> None:
    """Let the transport live on with nobody answering it; without this it closes itself after 30 s."""
    task = transport._connection._query_consent_task
    if task is not None:
        task.cancel()


def ask_consent_again(transport: RTCIceTransport) -> None:
    """Take up what `stop_asking_consent` has ended, if it has."""
    connection = transport._connection
    task = connection._query_consent_task
    if task is not None and (task.cancelled() or task.cancelling()) and not connection._closing:
        connection._query_consent_task = asyncio.create_task(connection.query_consent())


class Connecting:
    """The tasks in which a peer connection connects: aiortc starts them, forgets them, and loses their exceptions."""

    def __init__(self, peer: RTCPeerConnection) -> None:
        self.failure: Exception | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        connect = peer._RTCPeerConnection__connect  # type: ignore[attr-defined]
        peer._RTCPeerConnection__connect = lambda: self._run(connect())  # type: ignore[attr-defined]

    async def _run(self, connecting: Coroutine[Any, Any, None]) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine always runs in one
        self._tasks.add(task)
        try:
            await connecting
        except Exception as failure:  # noqa: BLE001 - the outermost frame of that task
            self.failure = failure
            log.debug("the peer failed to connect", extra={"failure": type(failure).__name__})
        finally:
            self._tasks.discard(task)

    def tasks(self) -> set[asyncio.Task[Any]]:
        """Those still running."""
        return set(self._tasks)


def ice_transports(peer: RTCPeerConnection) -> list[RTCIceTransport]:
    """Return the ICE transports of a peer, each once."""
    return list({id(dtls.transport): dtls.transport for dtls in _dtls_transports(peer)}.values())


def _dtls_transports(peer: RTCPeerConnection) -> list[RTCDtlsTransport]:
    found = [transceiver.receiver.transport for transceiver in peer.getTransceivers()]
    if peer.sctp is not None:
        found.append(peer.sctp.transport)
    return list({id(dtls): dtls for dtls in found}.values())


async def close_peer(peer: RTCPeerConnection, connecting: Connecting) -> None:
    """Close a peer connection and everything it started, within twice `CLOSE_LIMIT_S`.

    Never to be cancelled (a cancelled `close()` of aiortc makes every later one wait for ever): run it in a task of
    its own and shield it.
    """
    dtls_transports, transports = _dtls_transports(peer), ice_transports(peer)
    readers = {dtls._task for dtls in dtls_transports if dtls._task is not None}
    protocols = [protocol for transport in transports for protocol in transport._connection._protocols]
    # What still connects would start senders, receivers and their threads behind the back of `close()`.
    if still_connecting := connecting.tasks():
        for task in still_connecting:
            task.cancel()
        await asyncio.wait(still_connecting, timeout=0.2)
    closing = asyncio.create_task(peer.close(), name="answerer-peer-close")
    await asyncio.wait({closing}, timeout=CLOSE_LIMIT_S)
    if not closing.done():
        # It may only be slow, on a busy machine; without sockets it ends if it can. `_settle` cancels it if it cannot.
        log.warning("a peer did not close in time and is torn down")
        for transport in transports:
            transport._connection._nominated.clear()
        for protocol in protocols:
            protocol.transport.abort()
    await _settle({closing, *connecting.tasks(), *readers})


async def _settle(tasks: set[asyncio.Future[Any]]) -> None:
    """Wait for tasks to end, cancel those that do not, and take their exceptions."""
    if not tasks:
        return
    ended, late = await asyncio.wait(tasks, timeout=CLOSE_LIMIT_S)
    for task in late:
        task.cancel()
    if late:
        ended |= (await asyncio.wait(late, timeout=0.2))[0]
    for task in ended:
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.debug("a task of the peer failed", extra={"failure": type(failure).__name__})
