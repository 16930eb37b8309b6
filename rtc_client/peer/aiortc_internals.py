"""Every private name of aiortc and aioice that this library touches, in one file, each with what it relies on.

Both packages are pinned in pyproject.toml; `check_seams` says in one sentence which name has moved when they are not,
and `check_fast_seams` what the fast path misses, which then falls back.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Final, cast

from aioice.ice import CandidatePair, Connection, StunProtocol
from aioice.stun import Class, Message, Method, TransactionFailed
from aiortc import RTCPeerConnection
from aiortc.clock import current_ntp_time
from aiortc.rtcdtlstransport import RTCCertificate, RTCDtlsTransport
from aiortc.rtcicetransport import RTCIceTransport
from aiortc.rtcrtpreceiver import RTCRtpReceiver, StreamStatistics
from aiortc.rtcrtpsender import RTCRtpSender
from aiortc.rtcrtptransceiver import RTCRtpTransceiver
from aiortc.rtp import RtcpByePacket, RtpPacket
from pylibsrtp import Error as SrtpError
from pylibsrtp import Policy, Session

from rtc_client.clock import age_s
from rtc_client.errors import RtcClientError

try:
    from pylibsrtp._binding import ffi, lib
except ImportError:  # without it there is no fast path, and a call all the same
    ffi = lib = None

_CONNECT: Final = "_RTCPeerConnection__connect"
_CNAME: Final = "_RTCPeerConnection__cname"
_CERTIFICATES: Final = "_RTCPeerConnection__certificates"
_CIPHERS: Final = (
    b"ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-SHA:ECDHE-ECDSA-AES256-SHA:"
    b"ECDHE-RSA-AES128-GCM-SHA256:ECDHE-RSA-CHACHA20-POLY1305"
)
"""aiortc's own, and behind them two for peers with an RSA certificate."""
_READ_BYTES: Final = 2_048
_READING: Final = ("_add_reader", "_remove_reader")
_SO_TIMESTAMPNS: Final = 35
"""Of Linux, on all machines with a time of 64 bits; Python has no name for it."""
_TIMESPEC: Final = struct.Struct("@qq")
NOTES_BYTES: Final = socket.CMSG_SPACE(_TIMESPEC.size)
"""Room for what comes with a datagram."""
_PARSE_ERRORS: Final = (ValueError, IndexError, KeyError, struct.error)


class AiortcMismatch(RtcClientError):
    """The installed aiortc or aioice is not one that this library knows."""


def check_seams(pc: RTCPeerConnection, receiver: RTCRtpReceiver) -> None:
    """Raise unless every private name used below exists on a fresh peer connection.

    Raises:
        AiortcMismatch: With the installed versions and the name that is missing.
    """
    dtls = receiver.transport
    connection = ice_connection(dtls.transport)
    wanted: list[tuple[object, tuple[str, ...]]] = [
        (pc, (_CONNECT, _CERTIFICATES)),
        (RTCCertificate, ("_create_ssl_context",)),
        (dtls, ("_handle_rtcp_data", "_handle_rtp_data")),
        (receiver, ("_handle_rtp_packet", "_handle_rtcp_packet")),
        (
            connection,
            (
                "_check_list",
                "_nominated",
                "_protocols",
                "_queue",
                "_closing",
                "_query_consent_task",
                "query_consent",
                "get_component_candidates",
                "data_received",
            ),
        ),
    ]
    missing = [name for owner, names in wanted for name in names if not hasattr(owner, name)]
    # Its base class has a `datagram_received` too.
    missing += [name for name in ("datagram_received", "send_stun") if name not in vars(StunProtocol)]
    if missing:
        raise AiortcMismatch(
            f"aiortc {version('aiortc')} with aioice {version('aioice')} has no {missing[0]} any more: "
            "install the versions that pyproject.toml names"
        )


def ice_connection(ice: RTCIceTransport) -> Connection:
    """Return aioice's agent below aiortc's ICE transport; relies on `RTCIceTransport._connection`."""
    connection = getattr(ice, "_connection", None)
    if not isinstance(connection, Connection):
        raise AiortcMismatch("aiortc's ICE transport has no aioice connection any more")
    return connection


def gather_with(connection: Connection, *, loopback: bool, timeout_s: float) -> set[asyncio.Task[Any]]:
    """Make gathering end after `timeout_s` with what it has, and let it offer 127.0.0.1 for a call within this machine.

    Returns the set in which the gathering stands while it runs. It is not cancelled with whoever waits for it, for
    then aioice would forget the sockets it has just opened; `stop_gathering` ends it.

    Relies on `Connection.gather_candidates` calling `self.get_component_candidates(component=, addresses=)`, which
    leaves out loopback addresses and has its own time limit.
    """
    original = connection.get_component_candidates
    running: set[asyncio.Task[Any]] = set()

    async def get_component_candidates(component: int, addresses: list[str]) -> Any:
        extra = ["127.0.0.1"] if loopback and "127.0.0.1" not in addresses else []
        gathering = asyncio.create_task(
            original(component, addresses + extra, max(1, int(timeout_s))), name="peer-gather"
        )
        running.add(gathering)
        gathering.add_done_callback(running.discard)
        return await asyncio.shield(gathering)

    connection.get_component_candidates = get_component_candidates  # type: ignore[method-assign, assignment]
    return running


def stop_gathering(connection: Connection) -> None:
    """Let gathering end soon: every request to a STUN server counts as refused, those to come as well.

    Relies on `StunProtocol.transactions`, and on requests going through `protocol.request`.
    """
    refusal = Message(message_method=Method.BINDING, message_class=Class.ERROR)

    async def refuse(*_: Any, **__: Any) -> Any:
        raise TransactionFailed(refusal)

    for protocol in connection._protocols:
        protocol.request = refuse  # type: ignore[method-assign]
        for transaction in list(protocol.transactions.values()):
            transaction.response_received(refusal, ("", 0))


def gate_data(connection: Connection, refuse: Callable[[], None]) -> Callable[[bytes, int], None]:
    """Return the way to hand a datagram on to DTLS, and close it to everybody else, who meets `refuse`.

    Relies on `StunProtocol.datagram_received` calling `self.receiver.data_received` for all that is not STUN.
    """
    data_received = connection.data_received
    connection.data_received = lambda data, component: refuse()  # type: ignore[method-assign]
    return data_received


def guard_datagrams(
    connection: Connection,
    wrap: Callable[[StunProtocol], Callable[[bytes, Any], None]],
    on_proof: Callable[[tuple[str, int]], None],
) -> None:
    """Put `wrap(protocol)` in place of `datagram_received` of every socket; call it when gathering is done.

    `on_proof` is told each address to which a check is answered with success: it knows this call's ICE password.

    Relies on asyncio (and aioice's TURN transport) looking the method up on the instance for each datagram, and on
    `Connection.request_received` answering through `protocol.send_stun`. asyncio makes room for 256 kB before it reads
    a datagram, by the transport's `max_size`; a little more than is let in will do. Other transports stay as they are.
    """
    for protocol in connection._protocols:
        with suppress(AttributeError):
            protocol.transport.max_size = _READ_BYTES  # type: ignore[attr-defined]
        protocol.datagram_received = wrap(protocol)  # type: ignore[method-assign, assignment]
        protocol.send_stun = _noting_success(protocol.send_stun, on_proof)  # type: ignore[method-assign, assignment]


def _noting_success(
    send_stun: Callable[[Message, tuple[str, int]], None], on_proof: Callable[[tuple[str, int]], None]
) -> Callable[[Message, tuple[str, int]], None]:
    def send_stun_and_note(message: Message, addr: tuple[str, int]) -> None:
        if message.message_class is Class.RESPONSE:
            on_proof(addr)
        send_stun(message, addr)

    return send_stun_and_note


def has_pair(connection: Connection) -> bool:
    """Return whether ICE has any pair of candidates to check so far (relies on `_check_list`)."""
    return bool(connection._check_list)


def is_checked(connection: Connection, address: tuple[str, int]) -> bool:
    """Return whether ICE has had an authenticated answer from `address` (relies on `_check_list`, `_nominated`)."""
    if any(pair.remote_addr == address for pair in connection._nominated.values()):
        return True
    return any(
        pair.state is CandidatePair.State.SUCCEEDED and pair.remote_addr == address for pair in connection._check_list
    )


def queued_datagrams(connection: Connection) -> int:
    """Return how many datagrams wait for DTLS; aioice's queue has no bound of its own."""
    return connection._queue.qsize()


def survive_malformed(dtls: RTCDtlsTransport, count: Callable[[str], None]) -> None:
    """Keep RTP and RTCP that cannot be parsed from ending the transport.

    Relies on `_recv_next` calling these two through the instance; they catch ValueError only, their parsers raise
    more (aiortc.md section 4).
    """
    handle_rtcp, handle_rtp = dtls._handle_rtcp_data, dtls._handle_rtp_data

    async def handle_rtcp_data(data: bytes) -> None:
        try:
            await handle_rtcp(data)
        except _PARSE_ERRORS:
            count("malformed_rtcp")

    async def handle_rtp_data(data: bytes, arrival_time_ms: int) -> None:
        try:
            await handle_rtp(data, arrival_time_ms)
        except _PARSE_ERRORS:
            count("malformed_rtp")

    dtls._handle_rtcp_data = handle_rtcp_data  # type: ignore[method-assign]
    dtls._handle_rtp_data = handle_rtp_data  # type: ignore[method-assign]


def tap_rtp(
    receiver: RTCRtpReceiver,
    on_packet: Callable[[int], None],
    on_bye: Callable[[int], None],
    count: Callable[[str], None],
) -> None:
    """Tell `on_packet` the payload size of each authenticated RTP packet, and keep what mutes aiortc away from it.

    An empty payload ends its decoder for good, and a BYE ends the track while packets may still come
    (aiortc.md sections 1b, 1c). Relies on the transport calling both methods through the instance.
    """
    handle_rtp, handle_rtcp = receiver._handle_rtp_packet, receiver._handle_rtcp_packet

    async def handle_rtp_packet(packet: RtpPacket, arrival_time_ms: int) -> None:
        on_packet(len(packet.payload))
        if packet.payload:
            await handle_rtp(packet, arrival_time_ms)
        else:
            count("empty_rtp")

    async def handle_rtcp_packet(packet: Any) -> None:
        if isinstance(packet, RtcpByePacket):
            count("rtcp_bye")
            for ssrc in packet.sources:
                on_bye(ssrc)
        else:
            await handle_rtcp(packet)

    receiver._handle_rtp_packet = handle_rtp_packet  # type: ignore[method-assign]
    receiver._handle_rtcp_packet = handle_rtcp_packet  # type: ignore[method-assign]


def own_connect(pc: RTCPeerConnection, on_error: Callable[[Exception], None]) -> set[asyncio.Task[Any]]:
    """Return the set in which aiortc's connect tasks stand while they run, so that somebody can wait for them.

    Relies on the descriptions calling `self.__connect()` inside `ensure_future` and dropping the task: an
    exception of it, say of a DTLS assertion, would be seen by nobody.
    """
    running: set[asyncio.Task[Any]] = set()
    connect: Callable[[], Awaitable[None]] = getattr(pc, _CONNECT)

    async def owned_connect() -> None:
        task = cast("asyncio.Task[Any]", asyncio.current_task())  # ensure_future made it
        running.add(task)
        task.set_name("peer-connect")
        try:
            await connect()
        except Exception as error:  # noqa: BLE001 - the outermost frame of a task that nobody else awaits
            on_error(error)
        finally:
            running.discard(task)

    setattr(pc, _CONNECT, owned_connect)
    return running


def accept_rsa(pc: RTCPeerConnection) -> None:
    """Let the far side's certificate be an RSA one also where it is the DTLS server, as GStreamer's is.

    Which certificate it is, its fingerprint in the answer decides, not its kind. Relies on the DTLS transport calling
    `_create_ssl_context` on the one certificate of the peer connection.
    """
    (certificate,) = getattr(pc, _CERTIFICATES)
    create_ssl_context = certificate._create_ssl_context

    def create_ssl_context_for_all(srtp_profiles: Any) -> Any:
        context = create_ssl_context(srtp_profiles)
        context.set_cipher_list(_CIPHERS)
        return context

    certificate._create_ssl_context = create_ssl_context_for_all


def no_orphan_consent(connection: Connection) -> None:
    """Keep consent checks from starting on an agent that was closed while it was connecting.

    Relies on `connect()` starting `self.query_consent()` as its last act, closed meanwhile or not.
    """
    query_consent = connection.query_consent

    async def query_consent_unless_closing() -> None:
        if not connection._closing:
            await query_consent()

    connection.query_consent = query_consent_unless_closing  # type: ignore[method-assign]


def abandon(connection: Connection) -> None:
    """Close the sockets and stop the consent task without waiting: the last resort when a close hangs.

    Relies on `_nominated`, without which whoever still sends meets the ConnectionError that it expects.
    """
    if connection._query_consent_task is not None:
        connection._query_consent_task.cancel()
    connection._nominated.clear()
    for protocol in connection._protocols:
        protocol.transport.abort()


# --- the fast path -------------------------------------------------------------------------------------------------


class Media:
    """What the fast path shares with aiortc: SRTP sessions, the nominated pair, and the name in our reports.

    Relies on `RTCDtlsTransport._rx_srtp` and `._tx_srtp` holding pylibsrtp sessions whose `_srtp[0]` is the session of
    libsrtp, on `Connection._nominated`, and on the mangled `__cname` of the peer connection, which its SDP tells.
    """

    def __init__(
        self, pc: RTCPeerConnection, sender: RTCRtpSender, receiver: RTCRtpReceiver, payload_types: Sequence[int]
    ) -> None:
        self._sender = sender
        self._receiver = receiver
        self._dtls = receiver.transport
        self._connection = ice_connection(self._dtls.transport)
        self.payload_type = payload_types[0]
        self.payload_types = frozenset(payload_types)
        self.ssrc: int = sender._ssrc
        self.cname: str = getattr(pc, _CNAME)

    def rest(self) -> None:
        """Let aiortc's decoder thread and its two tasks of reports end as soon as they begin; its track ends, too.

        To be called before the sender and the receiver start. Relies on `decoder_worker` ending at the first None in
        the receiver's `__decoder_queue`, on both starting `self._run_rtcp()` as their task of reports, and on their
        `stop` waiting for the mangled events `__rtcp_started` and `__rtcp_exited` alone.
        """
        cast("Any", self._receiver)._RTCRtpReceiver__decoder_queue.put(None)
        for part in (self._sender, self._receiver):
            part._run_rtcp = partial(_no_reports, part)  # type: ignore[method-assign]

    def srtp_in(self) -> Any:
        """Return libsrtp's session for what arrives; it lives as long as the DTLS transport, which is held here."""
        return self._dtls._rx_srtp._srtp[0]

    def srtp_out(self) -> Any:
        """Return libsrtp's session for what leaves."""
        return self._dtls._tx_srtp._srtp[0]

    def nominated(self) -> dict[int, CandidatePair]:
        """Return where the pair that is nominated now always stands, under 1, if there is one."""
        return self._connection._nominated


async def _no_reports(part: RTCRtpSender | RTCRtpReceiver) -> None:
    for event in ("rtcp_started", "rtcp_exited"):
        getattr(part, f"_{type(part).__name__}__{event}").set()


def ntp_time() -> int:
    """Return the time of the wall clock as reports tell it: seconds since 1900 in 32 bits, and 32 after the point."""
    return current_ntp_time()


class PairSocket:
    """The socket of one candidate pair, past asyncio's transport in both directions where that is plain UDP."""

    def __init__(self, pair: CandidatePair, *, reads: bool = True) -> None:
        """Take it over; without `reads` in the direction of sending only.

        Relies on the transports of asyncio's selector loop having `_read_ready`, and on that loop's `_add_reader` and
        `_remove_reader`. Where the loop is another, or the kernel stamps no datagrams, reading stays with the loop.

        Raises:
            OSError: Its socket is closed already, or there is no descriptor left.
        """
        self.pair = pair
        self.address = pair.remote_addr
        self.hand_on: Callable[[bytes, Any], None] = pair.protocol.datagram_received
        """Takes a datagram that is not for the one who reads."""
        self._transport: Any = pair.protocol.transport
        self._loop = cast("Any", asyncio.get_running_loop())
        self._socket: socket.socket | None = None
        self._shared: socket.socket | None = self._transport.get_extra_info("socket")
        self.send: Callable[[memoryview, Any], object] = _copying(self._transport.sendto)
        """Sends one datagram to `address`; an OSError means that the system would not take it."""
        self.receive: Callable[[list[bytearray], int], tuple[int, list[Any], int, Any]] | None = None
        """`recvmsg_into` of the socket, which stamps datagrams (see `stamp_age_s`); None where the loop reads."""
        if self._shared is None:  # a TURN transport has none
            return
        # The duplicate is ours to close; the socket itself stays aioice's.
        self._socket = own = socket.fromfd(self._shared.fileno(), self._shared.family, self._shared.type)
        own.setblocking(False)
        self.send = own.sendto
        if reads and all(hasattr(self._loop, name) for name in _READING) and hasattr(self._transport, "_read_ready"):
            if not stamp(pair):
                return
            self._loop._remove_reader(self._shared.fileno())
            self.receive = own.recvmsg_into

    def close(self) -> None:
        """Hand the socket back."""
        if self._socket is None or self._shared is None:
            return
        self._socket.close()
        if self.receive is not None and not self._transport.is_closing():
            self._loop._add_reader(self._shared.fileno(), self._transport._read_ready)
        self.receive = None


def stamp(pair: CandidatePair) -> bool:
    """Let the kernel note when each datagram comes from now on; return whether it will."""
    try:
        shared = cast("Any", pair.protocol.transport).get_extra_info("socket")
        shared.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    except (AttributeError, OSError):  # a TURN transport has no socket, and not every system stamps
        return False
    return True


def stamp_age_s(notes: list[Any]) -> float:
    """Return how long ago the kernel took a datagram that was received with these notes; 0 if they do not tell."""
    for level, kind, data in notes:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) == _TIMESPEC.size:
            return age_s(*_TIMESPEC.unpack(data))
    return 0.0


def _copying(send: Callable[[bytes, Any], object]) -> Callable[[memoryview, Any], object]:
    return lambda data, address: send(bytes(data), address)


def native_buffer(buffer: bytearray) -> Any:
    """Return libsrtp's view of `buffer`; it keeps the buffer alive and in its place."""
    return ffi.from_buffer("char[]", buffer)


def native_int() -> Any:
    """Return a place for a length that libsrtp reads and writes."""
    return ffi.new("int *")


def negotiated_payload_types(transceiver: RTCRtpTransceiver) -> list[int]:
    """Return the payload types both sides agreed on; relies on `RTCRtpTransceiver._codecs` after the answer."""
    return [codec.payloadType for codec in transceiver._codecs if codec.payloadType is not None]


def inbound(receiver: RTCRtpReceiver) -> tuple[int, float]:
    """Return how many packets of all streams never came, and the jitter of the last one in seconds.

    aiortc's `getStats` tells of the last stream only. Relies on the receiver's mangled `__remote_streams`.
    """
    streams: list[StreamStatistics] = list(getattr(receiver, "_RTCRtpReceiver__remote_streams", {}).values())
    return sum(max(0, stream.packets_lost) for stream in streams), streams[-1].jitter / 48_000 if streams else 0.0


def divert_packets(receiver: RTCRtpReceiver, take: Callable[[RtpPacket], None]) -> None:
    """Give every packet to `take` in place of aiortc's own jitter buffer, whose decoder then has nothing to do.

    Relies on the receiver's mangled `__jitter_buffer` having `add(packet)` return (whether to ask for a key frame,
    the frame to decode).
    """

    class Diversion:
        def add(self, packet: RtpPacket) -> tuple[bool, None]:
            take(packet)
            return False, None

    name = "_RTCRtpReceiver__jitter_buffer"
    if not hasattr(receiver, name):
        raise AiortcMismatch("aiortc's receiver has no jitter buffer of that name any more")
    setattr(receiver, name, Diversion())


def _reporting(owner: str) -> tuple[str, ...]:
    return "_run_rtcp", f"{owner}__rtcp_started", f"{owner}__rtcp_exited"


def check_fast_seams(pc: RTCPeerConnection, sender: RTCRtpSender, receiver: RTCRtpReceiver) -> None:
    """Raise unless everything that the fast path relies on is there, and libsrtp really works in place.

    Raises:
        AiortcMismatch: With what is not as expected.
    """
    wanted: list[tuple[object, tuple[str, ...]]] = [
        (pc, (_CNAME,)),
        (receiver, ("_RTCRtpReceiver__decoder_queue", *_reporting("_RTCRtpReceiver"))),
        (sender, ("_ssrc", *_reporting("_RTCRtpSender"))),
        (receiver.transport, ("_rx_srtp", "_tx_srtp")),
    ]
    missing = [name for owner, names in wanted for name in names if not hasattr(owner, name)]
    if missing:
        raise AiortcMismatch(f"aiortc {version('aiortc')} has no {missing[0]} any more")
    if not _srtp_works_in_place():
        raise AiortcMismatch(f"pylibsrtp {version('pylibsrtp')} does not protect packets in place any more")


@cache
def _srtp_works_in_place() -> bool:
    key = bytes(range(30))
    try:
        leaving = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_OUTBOUND))
        arriving = Session(Policy(key=key, ssrc_type=Policy.SSRC_ANY_INBOUND))
        plain = struct.pack("!BBHII", 0x80, 96, 1, 2, 3) + b"twenty bytes of load"
        buffer = bytearray(plain) + bytes(64)
        native, length = native_buffer(buffer), native_int()
        length[0] = len(plain)
        protected = srtp_protect(leaving._srtp[0], native, length) == 0 and buffer[12 : len(plain)] != plain[12:]
        sent = bytearray(buffer)
        restored = srtp_unprotect(arriving._srtp[0], native, length) == 0 and buffer[: length[0]] == plain
        buffer[:], length[0] = sent, len(plain) + _TAG_BYTES
        repeated = srtp_unprotect(arriving._srtp[0], native, length) in REPLAYS
        report = struct.pack("!BBHI", 0x80, 201, 1, 2)
        buffer[: len(report)], length[0] = report, len(report)
        protected = protected and srtcp_protect(leaving._srtp[0], native, length) == 0 and length[0] > len(report)
        restored = restored and srtcp_unprotect(arriving._srtp[0], native, length) == 0
        restored = restored and buffer[: length[0]] == report
    except (AttributeError, TypeError, SrtpError):
        return False
    return protected and restored and repeated


_TAG_BYTES: Final = 10
"""What the default profile, HMAC-SHA1-80, adds."""
REPLAYS: Final = frozenset({9, 10})
"""What `srtp_unprotect` says of a packet that came before, or is too old to tell (`srtp_err_status_replay_*`)."""
# Looked up once: these run for every packet. `check_fast_seams` refuses where they are not there.
srtp_protect = cast("Callable[[Any, Any, Any], int]", getattr(lib, "srtp_protect", None))
srtp_unprotect = cast("Callable[[Any, Any, Any], int]", getattr(lib, "srtp_unprotect", None))
srtcp_protect = cast("Callable[[Any, Any, Any], int]", getattr(lib, "srtp_protect_rtcp", None))
srtcp_unprotect = cast("Callable[[Any, Any, Any], int]", getattr(lib, "srtp_unprotect_rtcp", None))
