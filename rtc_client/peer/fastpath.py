"""The fast path: once DTLS is up, RTP goes from the socket callback to the call, and from the clockwork to the socket.

aiortc keeps offer and answer, ICE, DTLS, consent, RTCP and the close; per packet it costs more than Opus itself
(performance.md section 3). What is shared with it, the SRTP sessions and the counters behind its reports, is
reached through `seams`.

Per packet in: unprotect in place, one header unpack, two checks. Per packet out: three header fields written into a
prebuilt packet, protect in place, one send. Nothing is allocated on the way out.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable
from typing import Final, Protocol

from rtc_client.peer import seams
from rtc_client.peer.guard import IngressGuard

MAX_PAYLOAD_BYTES: Final = 1_300
"""The room that a `PacketWriter` has: the longest Opus packet of 20 ms, 1,276 bytes, and a little padding."""
MAX_STREAMS: Final = 8
"""SSRCs of one peer that are told apart; RTP of further ones is dropped and counted, until one has fallen silent."""
STREAM_IS_OVER_S: Final = 5.0
"""A stream that is silent for so long makes room for another: a peer may begin a new one with every turn it speaks."""

_HEADER: Final = struct.Struct("!BBHII")
_TAIL: Final = struct.Struct("!BHI")
_HEADER_BYTES: Final = 12
_MAX_PACKET_BYTES: Final = 1_500
_TRAILER_BYTES: Final = 144
"""What protection may add, at most (SRTP_MAX_TRAILER_LEN of libsrtp)."""
_CLOCK_TICKS: Final = 960
"""RTP timestamp units of 20 ms (RFC 7587 section 4.1)."""
_REPORT_EVERY: Final = 16
"""Periods after which aiortc's next sender report is brought up to date, whether or not anything was sent in them."""


class PacketWriter(Protocol):
    """Writes the payload of one 20 ms period into a buffer."""

    def __call__(self, index: int, out: bytearray, offset: int) -> int:
        """Write the payload of period `index` at byte `offset`; return its length, 0 for nothing to send.

        It may be `MAX_PAYLOAD_BYTES` long.
        """
        ...


class PacketReader(Protocol):
    """Takes the packets that arrive."""

    def __call__(self, ssrc: int, sequence: int, timestamp: int, marker: bool, payload: bytes, now_s: float) -> None:
        """Take one authenticated RTP packet of the negotiated payload type; the payload may be empty (padding)."""
        ...


class FastPath:
    """RTP of one call, in both directions. `start` it when DTLS is connected, `stop` it before anything is closed."""

    def __init__(
        self,
        media: seams.Media,
        guard: IngressGuard,
        *,
        write: PacketWriter,
        read: PacketReader,
        rng: random.Random,
    ) -> None:
        self._media = media
        self._guard = guard
        self._write = write
        self._read = read
        self._payload_types = media.payload_types
        self._session_in = media.srtp_in()
        self._session_out = media.srtp_out()
        self._packet_in = bytearray(_MAX_PACKET_BYTES)
        self._packet_out = bytearray(_HEADER_BYTES + MAX_PAYLOAD_BYTES + _TRAILER_BYTES)
        self._view_in = memoryview(self._packet_in)
        self._view_out = memoryview(self._packet_out)
        self._native_in = seams.native_buffer(self._packet_in)
        self._native_out = seams.native_buffer(self._packet_out)
        self._length = seams.native_int()
        self._sequence = rng.randrange(2**15)
        self._timestamp = rng.randrange(2**32)
        self._previous_index = -1
        self._silent = True
        self._is_stopped = False
        self._out: seams.Outlet | None = None
        self._streams: dict[int, _Stream] = {}
        _HEADER.pack_into(self._packet_out, 0, 0x80, media.payload_type, 0, 0, media.ssrc)
        self.packets_sent = 0
        self.bytes_sent = 0
        self.send_failures = 0

    def start(self) -> None:
        """Take over from aiortc's packet machinery."""
        self._guard.on_rtp = self._receive
        self._media.rest_decoder()

    def stop(self) -> None:
        """Hand back: from now on nothing is sent or received here. Safe to call twice."""
        self._is_stopped = True
        self._guard.on_rtp = None
        if self._out is not None:
            self._out.close()
            self._out = None

    def tick(self, index: int) -> None:
        """Send what is due in period `index`; to be called every 20 ms."""
        packet = self._packet_out
        if self._is_stopped:
            return
        n_bytes = self._write(index, packet, _HEADER_BYTES)
        self._timestamp = (self._timestamp + _CLOCK_TICKS * (index - self._previous_index)) & 0xFFFFFFFF
        self._previous_index = index
        if index % _REPORT_EVERY == 0:
            self._media.report_sent(self.packets_sent, self.bytes_sent, self._timestamp)
        if n_bytes == 0 or self._is_stopped:
            self._silent = True
            return
        if n_bytes > MAX_PAYLOAD_BYTES:  # libsrtp would write beyond the buffer
            raise ValueError(f"a payload of {n_bytes} bytes is more than a packet may carry")
        marker = 0x80 if self._silent else 0  # the first packet of a talkspurt (RFC 3551 section 4.1)
        self._silent = False
        _TAIL.pack_into(packet, 1, self._media.payload_type | marker, self._sequence, self._timestamp)
        self._sequence = (self._sequence + 1) & 0xFFFF
        self._length[0] = _HEADER_BYTES + n_bytes
        if seams.srtp_protect(self._session_out, self._native_out, self._length) != 0:
            self.send_failures += 1
            return
        # The header of the next packet is written over this one: protection leaves the fixed part as it is.
        out = self._out
        if out is None or not out.is_current():
            out = self._follow()
        if out is None or not out.send(self._view_out[: self._length[0]]):
            self.send_failures += 1
            return
        self.packets_sent += 1
        self.bytes_sent += n_bytes

    def _follow(self) -> seams.Outlet | None:
        """Find the way out anew: the nominated pair has changed, or it is the first packet."""
        if self._out is not None:
            self._out.close()
        self._out = self._media.outlet()
        return self._out

    def _forget_one(self, now_s: float) -> bool:
        """Make room for a new stream, if one has been silent for long; return whether there is room."""
        ssrc, stream = min(self._streams.items(), key=lambda item: item[1].last_s)
        if now_s - stream.last_s <= STREAM_IS_OVER_S:
            return False
        del self._streams[ssrc]
        self._media.forget_stream(ssrc)
        return True

    def _receive(self, data: bytes, now_s: float) -> None:
        n_bytes = len(data)
        self._view_in[:n_bytes] = data
        self._length[0] = n_bytes
        status = seams.srtp_unprotect(self._session_in, self._native_in, self._length)
        if status != 0:
            self._guard.count("replayed" if status in seams.REPLAYS else "unauthentic")
            return
        n_bytes = self._length[0]
        packet = self._packet_in
        first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(packet)
        if second & 0x7F not in self._payload_types:
            self._guard.count("other_payload_type")
            return
        start = _HEADER_BYTES + 4 * (first & 0x0F)
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
            stream = self._streams[ssrc] = _Stream(self._media.received_stream(ssrc))
        stream.last_s = now_s
        stream.note(sequence, timestamp)
        self._read(ssrc, sequence, timestamp, second > 0x7F, bytes(self._view_in[start:n_bytes]), now_s)


class _Stream:
    """One SSRC of the peer."""

    __slots__ = ("last_s", "note")

    def __init__(self, note: Callable[[int, int], None]) -> None:
        self.note = note
        self.last_s = 0.0
        """When its last packet came, monotonic seconds."""
