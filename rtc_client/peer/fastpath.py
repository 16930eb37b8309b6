"""FastPath: once DTLS is up, moves RTP between the socket and the call without aiortc's packet machinery.

aiortc keeps offer and answer, ICE, DTLS, consent and the close. Per packet it costs more than Opus itself, and its
reports cost an eighth of what then remains, so they are ours, too (`rtcp.py`). What is shared with it, the SRTP
sessions and the nominated pair, is reached through `aiortc_internals`.

Per packet in: unprotect in place, one header unpack, two checks. Per packet out: three header fields written into a
prebuilt packet, protect in place, one send. Nothing is allocated on the way out.
"""

from __future__ import annotations

import asyncio
import random
import struct
from collections.abc import Callable
from typing import Final, Protocol

from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.peer import aiortc_internals
from rtc_client.peer.ingress_guard import MAX_DATAGRAM_BYTES, IngressGuard
from rtc_client.peer.receive_buffer import inbox_of_thread
from rtc_client.peer.rtcp import MalformedRtcp, ReceivedStream, Reports, is_rtcp

MAX_RTP_PAYLOAD_BYTES: Final = 1_300
"""The room that a `PacketWriter` has: the longest Opus packet of 20 ms, 1,276 bytes, and a little padding."""
MAX_STREAMS: Final = 8
"""SSRCs of one peer that are told apart; RTP of further ones is dropped and counted, until one has fallen silent."""
STREAM_IS_OVER_S: Final = 5.0
"""A stream that is silent for so long makes room for another: a peer may begin a new one with every turn it speaks."""

_HEADER: Final = struct.Struct("!BBHII")
_TAIL: Final = struct.Struct("!BHI")
_HEADER_BYTES: Final = 12
_MAX_AT_ONCE: Final = 256
"""Datagrams that are taken in one go, about as many as a socket holds."""
_FLOOD: Final = 32
"""More than half a second of audio at once is none, but a flood."""
_FLOOD_POLL_S: Final = 0.002
"""How soon is looked again while it lasts."""
_TRAILER_BYTES: Final = 144
"""What protection may add, at most (SRTP_MAX_TRAILER_LEN of libsrtp)."""
_CLOCK_TICKS: Final = 960
"""RTP timestamp units of 20 ms (RFC 7587 section 4.1)."""
_REPORT_EVERY: Final = (25, 75)
"""Periods between two reports, at random (RFC 3550 section 6.2): once a second, so that our loss is soon known there,
and theirs here, and more redundancy is sent where it is needed."""


class PacketWriter(Protocol):
    """Writes the payload of one 20 ms period into a buffer."""

    def __call__(self, index: int, out: bytearray, offset: int) -> int:
        """Write the payload of period `index` at byte `offset`; return its length, 0 for nothing to send.

        It may be `MAX_RTP_PAYLOAD_BYTES` long.
        """
        ...


class PacketReader(Protocol):
    """Takes the packets that arrive."""

    def __call__(self, packet: MediaPacket, now_s: float) -> None:
        """Take one authenticated RTP packet of the negotiated payload type; the payload may be empty (padding)."""
        ...


class FastPath:
    """RTP and RTCP of one call, both ways. `start` it when DTLS is connected, `stop` it before anything is closed."""

    __slots__ = (
        "_failed",
        "_first_rtp",
        "_flood_poll",
        "_guard",
        "_inbox",
        "_is_stopped",
        "_length",
        "_line",
        "_marked_payload_type",
        "_media",
        "_native_out",
        "_nominated",
        "_packet_out",
        "_payload_bytes",
        "_payload_type",
        "_payload_types",
        "_polls",
        "_previous_index",
        "_read",
        "_ready_bytes",
        "_report_at",
        "_rng",
        "_sequence",
        "_session_in",
        "_session_out",
        "_silent",
        "_stream_ended",
        "_streams",
        "_timestamp",
        "_view_out",
        "_write",
        "bytes_received",
        "bytes_sent",
        "packets_received",
        "packets_sent",
        "reports",
        "send_failures",
    )

    def __init__(
        self,
        media: aiortc_internals.Media,
        guard: IngressGuard,
        *,
        write: PacketWriter,
        read: PacketReader,
        rng: random.Random,
        failed: Callable[[Exception], None],
        stream_ended: Callable[[int], None] = lambda ssrc: None,
        first_rtp: Callable[[], None] = lambda: None,
        polls: bool = True,
    ) -> None:
        """`failed` gets what the callbacks raise.

        Without `polls` the loop goes on reading the socket, and each packet is taken when it comes.
        """
        self._polls = polls
        self._media = media
        self._guard = guard
        self._write = write
        self._read = read
        self._stream_ended, self._first_rtp, self._failed = stream_ended, first_rtp, failed
        self._rng = rng
        self._payload_types = media.payload_types
        self._session_in = media.srtp_in()
        self._session_out = media.srtp_out()
        self._inbox = inbox_of_thread()
        self._packet_out = bytearray(_HEADER_BYTES + MAX_RTP_PAYLOAD_BYTES + _TRAILER_BYTES)
        self._view_out = memoryview(self._packet_out)
        self._native_out = aiortc_internals.native_buffer(self._packet_out)
        self._length = aiortc_internals.native_int()
        self._nominated = media.nominated()
        self._payload_type, self._marked_payload_type = media.payload_type, media.payload_type | 0x80
        self._sequence = rng.randrange(2**15)
        self._timestamp = rng.randrange(2**32)
        self._previous_index = -1
        self._report_at = rng.randrange(*_REPORT_EVERY)
        self._ready_bytes = self._payload_bytes = 0
        self._silent = True
        self._is_stopped = False
        self._line: aiortc_internals.PairSocket | None = None
        self._flood_poll: asyncio.TimerHandle | None = None
        self.reports = Reports(media.ssrc, media.cname)
        self._streams = self.reports.streams
        self._write_head()
        self.packets_sent = 0
        self.bytes_sent = 0
        self.packets_received = 0
        self.bytes_received = 0
        self.send_failures = 0

    def start(self) -> None:
        """Take over from aiortc's packet machinery."""
        self._media.rest()
        self._guard.on_media = self._take_copy
        if (pair := self._nominated.get(1)) is not None:
            aiortc_internals.stamp(pair)

    def stop(self) -> None:
        """Say goodbye; from now on nothing is sent or received here. Safe to call twice."""
        if self._is_stopped:
            return
        self._is_stopped = True
        self._ready_bytes = 0
        self._guard.on_media = None
        if self.packets_sent:
            self._send_report(self.reports.goodbye())
        if self._flood_poll is not None:
            self._flood_poll.cancel()
        if self._line is not None:
            self._line.close()
            self._line = None

    def receive(self, now_s: float) -> None:
        """Take what has come; to be called before each `prepare`, and as often.

        A wake-up of the loop for each packet would cost as much as all that is done with it, and nothing is played
        between two ticks anyway. When it came, the kernel tells. What else came on that socket, checks of ICE and DTLS,
        is handed on.
        """
        if self._is_stopped:
            return
        line = self._current_line()
        if line is None or line.receive is None:
            return
        guard, inbox = self._guard, self._inbox
        buffers, packet = inbox.buffers, inbox.packet
        for n_taken in range(_MAX_AT_ONCE):
            try:
                n_bytes, notes, _, address = line.receive(buffers, aiortc_internals.NOTES_BYTES)
            except BlockingIOError:
                if n_taken < _FLOOD:
                    return
                break
            except OSError:  # an ICMP error of an earlier send
                continue
            is_media = 2 <= n_bytes <= MAX_DATAGRAM_BYTES and 128 <= packet[0] <= 191
            if is_media and (address == guard.speaker or guard.admits(address)):
                guard.last_datagram_s = now_s
                self._take(n_bytes, now_s - aiortc_internals.stamp_age_s(notes))
            else:
                line.hand_on(bytes(inbox.view[:n_bytes]), address)
            if line.receive is None:  # what came has ended the call
                return
        # In a flood the socket's buffer would be full, and voice lost, before the next tick.
        if self._flood_poll is None:
            self._flood_poll = asyncio.get_running_loop().call_later(_FLOOD_POLL_S, self._receive_again)

    def _receive_again(self) -> None:
        self._flood_poll = None
        self.receive(asyncio.get_running_loop().time())

    def prepare(self, index: int) -> None:
        """Make the packet of period `index`, if there is one, ready for `send`; to be called every 20 ms."""
        if self._is_stopped:
            return
        packet = self._packet_out
        n_bytes = self._write(index, packet, _HEADER_BYTES)
        self._timestamp = timestamp = (self._timestamp + _CLOCK_TICKS * (index - self._previous_index)) & 0xFFFFFFFF
        self._previous_index = index
        if n_bytes == 0 or self._is_stopped:
            self._silent = True
            return
        if n_bytes > MAX_RTP_PAYLOAD_BYTES:  # libsrtp would write beyond the buffer
            raise ValueError(f"a payload of {n_bytes} bytes is more than a packet may carry")
        # The first packet of a talkspurt is marked (RFC 3551 section 4.1).
        payload_type = self._marked_payload_type if self._silent else self._payload_type
        self._silent = False
        sequence = self._sequence
        _TAIL.pack_into(packet, 1, payload_type, sequence, timestamp)
        self._sequence = (sequence + 1) & 0xFFFF
        length = self._length
        length[0] = _HEADER_BYTES + n_bytes
        # The header of the next packet is written over this one: protection leaves the fixed part as it is.
        if aiortc_internals.srtp_protect(self._session_out, self._native_out, length) == 0:
            self._ready_bytes = length[0]
            self._payload_bytes = n_bytes
        else:
            self.send_failures += 1

    def send(self, now_s: float) -> None:
        """Send what `prepare` made ready, and a report if it is time for one.

        Between the two the other calls of the clockwork prepare theirs: packets that leave in a row wake the system,
        and whoever receives them, once. One by one, each behind 0.1 ms of Opus, they cost three times as much.
        """
        n_bytes = self._ready_bytes
        if n_bytes:
            self._ready_bytes = 0
            if self._send(n_bytes):
                self.packets_sent += 1
                self.bytes_sent += self._payload_bytes
            else:
                self.send_failures += 1
        index = self._previous_index
        if index >= self._report_at and not self._is_stopped:
            self._report_at = index + self._rng.randrange(*_REPORT_EVERY)
            self._send_report(
                self.reports.compound(
                    now_s=now_s,
                    ntp=aiortc_internals.ntp_time(),
                    rtp_timestamp=self._timestamp,
                    packets=self.packets_sent,
                    payload_bytes=self.bytes_sent,
                )
            )

    def _send_report(self, compound: bytes) -> None:
        n_bytes = len(compound)
        self._view_out[:n_bytes] = compound
        self._length[0] = n_bytes
        if aiortc_internals.srtcp_protect(self._session_out, self._native_out, self._length) == 0:
            self._send(self._length[0])
        self._write_head()

    def _write_head(self) -> None:
        _HEADER.pack_into(self._packet_out, 0, 0x80, self._payload_type, 0, 0, self._media.ssrc)

    def _send(self, n_bytes: int) -> bool:
        """Send the packet that lies ready; return False when the system would not take it, which loses it."""
        line = self._current_line()
        if line is None:
            return False
        try:
            line.send(self._view_out[:n_bytes], line.address)
        except OSError:
            return False
        return True

    def _current_line(self) -> aiortc_internals.PairSocket | None:
        """Return the way over the pair that is nominated now, None if there is none."""
        pair = self._nominated.get(1)
        line = self._line
        if line is None or line.pair is not pair:
            if line is not None:
                line.close()
            try:
                self._line = line = None if pair is None else aiortc_internals.PairSocket(pair, reads=self._polls)
            except OSError:  # its socket is closed already, or there is no descriptor left
                self._line = line = None
        return line

    def _forget_one(self, now_s: float) -> bool:
        """Make room for a new stream, if one has been silent for long; return whether there is room."""
        ssrc, stream = min(self._streams.items(), key=lambda item: item[1].last_s)
        if now_s - stream.last_s <= STREAM_IS_OVER_S:
            return False
        self.reports.forget(ssrc)
        return True

    def _take_copy(self, data: bytes, now_s: float) -> None:
        n_bytes = len(data)
        self._inbox.view[:n_bytes] = data
        self._take(n_bytes, now_s)

    def _take(self, n_bytes: int, now_s: float) -> None:
        """Take the datagram that lies in the buffer; it came at `now_s`."""
        inbox, length = self._inbox, self._length
        packet = inbox.packet
        length[0] = n_bytes
        if is_rtcp(packet):
            self._take_report(now_s)
            return
        status = aiortc_internals.srtp_unprotect(self._session_in, inbox.native, length)
        if status != 0:
            self._guard.count("replayed" if status in aiortc_internals.REPLAYS else "unauthentic")
            return
        n_bytes = length[0]
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
        if second & 0x7F not in self._payload_types:
            self._guard.count("other_payload_type")
            return
        start = _HEADER_BYTES
        if first != 0x80:
            start += 4 * (first & 0x0F)
            if first & 0x10:
                start += 4 + 4 * int.from_bytes(packet[start + 2 : start + 4])
            if first & 0x20:
                n_bytes -= packet[n_bytes - 1]
            if start > n_bytes:
                self._guard.count("malformed_rtp")
                return
        stream = self._streams.get(ssrc)
        if stream is None:
            if len(self._streams) >= MAX_STREAMS and not self._forget_one(now_s):
                self._guard.count("too_many_streams")
                return
            stream = self._streams[ssrc] = ReceivedStream(sequence, timestamp, now_s)
        stream.note(sequence, timestamp, now_s)
        self.packets_received += 1
        self.bytes_received += n_bytes - start
        payload = bytes(inbox.view[start:n_bytes])
        try:
            if self.packets_received == 1:
                self._first_rtp()
            self._read(MediaPacket(ssrc, sequence, timestamp, second > 0x7F, payload), now_s)
        except Exception as error:  # noqa: BLE001 - raised by whoever waits for the peer
            self._failed(error)

    def _take_report(self, now_s: float) -> None:
        status = aiortc_internals.srtcp_unprotect(self._session_in, self._inbox.native, self._length)
        if status != 0:
            self._guard.count("replayed" if status in aiortc_internals.REPLAYS else "unauthentic")
            return
        try:
            goodbyes = self.reports.read(bytes(self._inbox.view[: self._length[0]]), now_s)
        except MalformedRtcp:
            self._guard.count("malformed_rtcp")
            return
        for ssrc in goodbyes:
            self._guard.count("rtcp_bye")
            try:
                self._stream_ended(ssrc)
            except Exception as error:  # noqa: BLE001 - raised by whoever waits for the peer
                self._failed(error)
