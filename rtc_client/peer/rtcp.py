"""RTCP of a call (RFC 3550 section 6): the reports we send, and the reports we read.

Values in, bytes out; nothing is protected, sent or received here, and no clock is read. aiortc's own reports cost an
eighth of a bot's call: two tasks, a queue, a dozen objects and two statistics for each.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import Final

CLOCK_RATE_HZ: Final = 48_000
"""The RTP clock of Opus (RFC 7587 section 4.1)."""

_SR, _RR, _SDES, _BYE = 200, 201, 202, 203
_VERSION: Final = 0x80
_HEADER: Final = struct.Struct("!BBH")
_SENDER_INFO: Final = struct.Struct("!QIII")
_BLOCK: Final = struct.Struct("!IB3sIIII")
_WORD: Final = struct.Struct("!I")
_MAX_BLOCKS: Final = 31
"""As many fit into the 5 bits that count them."""
_MAX_LOST: Final = 2**23 - 1
_SENT_KEPT: Final = 8
"""Sender reports of ours that an answer may still refer to."""


class MalformedRtcp(ValueError):
    """A compound packet breaks the format."""


class ReceivedStream:
    """One SSRC of the peer: how much of it came, and how evenly (RFC 3550 appendix A.1, A.3, A.8)."""

    __slots__ = (
        "_base",
        "_expected_before",
        "_highest",
        "_received_before",
        "_timestamp",
        "jitter_s",
        "last_s",
        "packets",
        "reported",
    )

    def __init__(self, sequence: int, timestamp: int, now_s: float) -> None:
        self._base = self._highest = sequence
        self._timestamp = timestamp
        self._expected_before = self._received_before = 0
        self.last_s = now_s
        """When its last packet came, monotonic seconds."""
        self.packets = 0
        self.jitter_s = 0.0
        """Interarrival jitter, seconds (section 6.4.1)."""
        self.reported: tuple[int, float] | None = None
        """The middle of the NTP time in the sender's last report, and when that came; None before."""

    def note(self, sequence: int, timestamp: int, now_s: float) -> None:
        """Count a packet."""
        self.packets += 1
        step = (sequence - self._highest) & 0xFFFF
        if 0 < step < 0x8000:
            self._highest += step
            apart = (((timestamp - self._timestamp) + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
            off_s = now_s - self.last_s - apart / CLOCK_RATE_HZ
            self.jitter_s += ((off_s if off_s >= 0 else -off_s) - self.jitter_s) / 16
            self._timestamp = timestamp
            self.last_s = now_s

    @property
    def lost(self) -> int:
        """How many packets never came; less than 0 if some came twice."""
        return self._highest - self._base + 1 - self.packets

    def block(self, ssrc: int, now_s: float) -> bytes:
        """Return its report block; the share that was lost is of the time since the block before."""
        expected = self._highest - self._base + 1
        n_expected, n_received = expected - self._expected_before, self.packets - self._received_before
        self._expected_before, self._received_before = expected, self.packets
        n_lost = max(0, n_expected - n_received)
        fraction = min(255, (n_lost << 8) // n_expected) if n_expected > 0 else 0
        lost = max(-_MAX_LOST - 1, min(_MAX_LOST, self.lost))
        middle, delay = 0, 0
        if self.reported is not None:
            middle, reported_s = self.reported
            delay = max(0, min(0xFFFF_FFFF, round((now_s - reported_s) * 65_536)))
        jitter = min(0xFFFF_FFFF, round(self.jitter_s * CLOCK_RATE_HZ))
        highest = self._highest & 0xFFFF_FFFF
        return _BLOCK.pack(ssrc, fraction, lost.to_bytes(3, signed=True), highest, jitter, middle, delay)


class Reports:
    """Both sides' reports on one call."""

    def __init__(self, ssrc: int, cname: str) -> None:
        self._ssrc = ssrc
        self._description = _description(ssrc, cname)
        self._sent: deque[tuple[int, float]] = deque(maxlen=_SENT_KEPT)
        self.streams: dict[int, ReceivedStream] = {}
        """The peer's streams that are reported on, by SSRC. Whoever adds to it sees to it that they stay few."""
        self._lost_before = 0
        self.round_trip_s: float | None = None
        """By the peer's last report that tells; None before."""
        self.remote_lost: int | None = None
        """How many of our packets never reached the peer; None before its first report."""
        self.remote_fraction_lost = 0.0
        """How much of what we sent between its last two reports, 0 to 1."""

    @property
    def lost(self) -> int:
        """How many packets of all streams ever never came."""
        return self._lost_before + sum(max(0, stream.lost) for stream in self.streams.values())

    @property
    def jitter_s(self) -> float:
        """Interarrival jitter of the stream that came last, seconds."""
        return max(self.streams.values(), key=lambda stream: stream.last_s).jitter_s if self.streams else 0.0

    def forget(self, ssrc: int) -> None:
        """Report on this stream no more."""
        self._lost_before += max(0, self.streams.pop(ssrc).lost)

    def compound(self, *, now_s: float, ntp: int, rtp_timestamp: int, packets: int, payload_bytes: int) -> bytes:
        """Return what is to be sent now: a report on what was sent, if anything was, and on what came, and our name.

        `ntp` and `rtp_timestamp` are of one instant: `now_s`.
        """
        blocks = [stream.block(ssrc, now_s) for ssrc, stream in list(self.streams.items())[:_MAX_BLOCKS]]
        body = _WORD.pack(self._ssrc)
        if packets:
            counts = (rtp_timestamp & 0xFFFF_FFFF, packets & 0xFFFF_FFFF, payload_bytes & 0xFFFF_FFFF)
            body += _SENDER_INFO.pack(ntp, *counts)
            self._sent.append(((ntp >> 16) & 0xFFFF_FFFF, now_s))
        return _packet(_SR if packets else _RR, len(blocks), body + b"".join(blocks)) + self._description

    def goodbye(self) -> bytes:
        """Return the last one: our stream is over (section 6.6)."""
        ssrc = _WORD.pack(self._ssrc)
        return _packet(_RR, 0, ssrc) + self._description + _packet(_BYE, 1, ssrc)

    def read(self, compound: bytes, now_s: float) -> list[int]:
        """Take what the peer reports; return the SSRCs that say goodbye. Kinds of no use to a voice call are skipped.

        Raises:
            MalformedRtcp: What came before the flaw has been taken.
        """
        goodbyes: list[int] = []
        at, end = 0, len(compound)
        while at < end:
            if end - at < 8:
                raise MalformedRtcp("a packet is cut short")
            first, kind, n_words = _HEADER.unpack_from(compound, at)
            start, at = at + 4, at + 4 + 4 * n_words
            if first >> 6 != 2 or at > end or n_words == 0:
                raise MalformedRtcp("a packet is not of version 2, or longer than what came")
            if kind in (_SR, _RR):
                self._read_report(compound[start:at], kind == _SR, first & 31, now_s)
            elif kind == _BYE:
                n_sources = min(first & 31, n_words)
                goodbyes += [ssrc for (ssrc,) in _WORD.iter_unpack(compound[start : start + 4 * n_sources])]
        return goodbyes

    def _read_report(self, body: bytes, is_sender: bool, n_blocks: int, now_s: float) -> None:
        at = 4 + (_SENDER_INFO.size if is_sender else 0)
        if len(body) < at + n_blocks * _BLOCK.size:
            raise MalformedRtcp("a report is shorter than its blocks")
        if is_sender:
            stream = self.streams.get(_WORD.unpack_from(body)[0])
            if stream is not None:
                ntp: int = _SENDER_INFO.unpack_from(body, 4)[0]
                stream.reported = ((ntp >> 16) & 0xFFFF_FFFF, now_s)
        for _ in range(n_blocks):
            ssrc, fraction, lost, _highest, _jitter, middle, delay = _BLOCK.unpack_from(body, at)
            at += _BLOCK.size
            if ssrc == self._ssrc:
                self.remote_lost = max(0, int.from_bytes(lost, signed=True))
                self.remote_fraction_lost = fraction / 256
                self._measure_round_trip(middle, delay / 65_536, now_s)

    def _measure_round_trip(self, middle: int, held_s: float, now_s: float) -> None:
        sent_s = next((sent_s for sent, sent_s in self._sent if sent == middle), None)
        if middle and sent_s is not None:
            self.round_trip_s = max(0.0, now_s - sent_s - held_s)


def is_rtcp(datagram: bytes | bytearray) -> bool:
    """Return whether a datagram of at least two bytes that may be RTP is RTCP (RFC 5761 section 4)."""
    return 192 <= datagram[1] <= 223


def _packet(kind: int, count: int, body: bytes) -> bytes:
    return _HEADER.pack(_VERSION | count, kind, len(body) // 4) + body


def _description(ssrc: int, cname: str) -> bytes:
    """Return our source description: its canonical name, a null, and zeros up to a whole word (section 6.5)."""
    name = cname.encode()[:255]
    chunk = _WORD.pack(ssrc) + bytes((1, len(name))) + name + b"\0"
    return _packet(_SDES, 1, chunk + bytes(-len(chunk) % 4))
