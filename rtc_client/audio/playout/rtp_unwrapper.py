"""RtpUnwrapper: gives each RTP packet its place in one unbroken count of sequence numbers and timestamps.

RTP numbers packets with 16 bits and their sound with 32, from random starts, and a sender may start again at any time:
with another SSRC, another numbering, another clock. So each packet is given a *number* (packets counted, without wrap)
and a *position* (sound counted in units of 1/48000 s, without wrap), and whoever plays them never sees a seam.

While a stream goes on, both follow from the differences to the newest packet so far (RFC 3550 appendix A.1). What that
would place wrongly is told by the *lateness* of a packet, its transit time less that of the fastest one lately:
a packet that is half a second late and goes on where the last one ended was not held up, its sender has paused; and
nothing comes early. So the stream is **joined** again, the packet being next in number and its place being now, when

* the SSRC is another one;
* the timestamp stood still over a pause, jumped, or went back, while the number went on;
* the number went back, while the timestamp went on: a sender that has started to count again.

A packet that is old in both may be far late, or the first one of a sender that has started again. Only its successor
can tell (RFC 3550's probation): it is dropped, and if the very next packet follows on it, that one joins. So does the
second one of an SSRC that has just been replaced, for stragglers of the old stream come singly.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ

MAX_LATENESS_S: Final = 0.5
"""A packet later than this is not late but on another clock; what the network held up for longer is past use."""

_MAX_EARLINESS_S: Final = 0.06
"""Three packets: more cannot be made up by a clock or a network; only a timestamp that jumps gets so far ahead."""

_PAUSE_S: Final = 0.2
"""Later than this, a packet with the marker comes after a pause in which the timestamp stood still."""

_STRAGGLER_S: Final = 0.2
"""How long packets of a replaced SSRC may still arrive."""


class MediaPacket(NamedTuple):
    """What playout needs of an RTP packet."""

    ssrc: int
    sequence: int
    """Sequence number, 16 bits."""
    timestamp: int
    """RTP timestamp of the first sample, 32 bits, in units of 1/48000 s whatever the rate of the sound (RFC 7587)."""
    marker: bool
    """Set by a sender on the first packet after a pause."""
    payload: bytes
    """One Opus packet; empty if it was padding only."""


class Place(NamedTuple):
    """Where a packet belongs."""

    number: int
    """One more than that of the packet sent before it, without wrap."""
    position: int
    """Units of 1/48000 s from any origin, without wrap."""
    is_joined: bool
    """Whether the stream started again with it, so that its audio does not go on from the one before."""


class RtpUnwrapper:
    """Gives every packet its place. All times are monotonic seconds of one clock."""

    def __init__(self) -> None:
        self._ssrc: int | None = None
        self._old_ssrc: int | None = None
        self._joined_s = 0.0
        self._suspect: MediaPacket | None = None
        # The newest packet so far, and where it is.
        self._sequence = 0
        self._timestamp = 0
        self._number = 0
        self._position = 0
        self._end = 0

    @property
    def ssrc(self) -> int | None:
        """The SSRC that is being received; None before the first packet."""
        return self._ssrc

    def number_of(self, packet: MediaPacket) -> int | None:
        """Return the number of a packet without sound, whose timestamp may be anything; None if it is of no use."""
        steps = _signed(packet.sequence - self._sequence, 16)
        return self._number + steps if packet.ssrc == self._ssrc and abs(steps) < 1000 else None

    def unwrap(self, packet: MediaPacket, n_units: int, fastest_s: float, now_s: float) -> Place | None:
        """Return where a packet with `n_units` of sound belongs; None if it is of no use.

        `fastest_s` is the lowest transit time lately: `now_s` less the position in seconds.
        """
        ssrc, sequence, timestamp, _, _ = packet
        if ssrc != self._ssrc:
            return self._place_other(packet, n_units, fastest_s, now_s)
        # Differences as the shorter way round.
        steps = ((sequence - self._sequence + 0x8000) & 0xFFFF) - 0x8000
        advance = ((timestamp - self._timestamp + 0x8000_0000) & 0xFFFF_FFFF) - 0x8000_0000
        position = self._position + advance
        lateness_s = now_s - position / CLOCK_RATE_HZ - fastest_s
        if steps > 0:
            if advance > 0 and (
                -_MAX_EARLINESS_S < lateness_s < _PAUSE_S
                or self._is_plausible(packet, steps, advance, n_units, lateness_s)
            ):
                return self._accept(packet, n_units, self._number + steps, position)
            return self._join(packet, n_units, fastest_s, now_s)
        if lateness_s < MAX_LATENESS_S:
            if advance > 0:  # the sender counts packets from a new start, and its audio goes on
                return self._join(packet, n_units, fastest_s, now_s)
            return Place(self._number + steps, position, is_joined=False)
        return self._place_suspect(packet, n_units, fastest_s, now_s)

    def _is_plausible(self, packet: MediaPacket, steps: int, advance: int, n_units: int, lateness_s: float) -> bool:
        if lateness_s > MAX_LATENESS_S:
            return False
        if packet.marker and lateness_s > _PAUSE_S:
            return False
        # Ahead of time, but as its number says: a jam that dissolves, and earlier packets were late.
        return lateness_s > -_MAX_EARLINESS_S or advance <= steps * n_units

    def _place_other(self, packet: MediaPacket, n_units: int, fastest_s: float, now_s: float) -> Place | None:
        if packet.ssrc == self._old_ssrc and now_s - self._joined_s < _STRAGGLER_S:
            return self._place_suspect(packet, n_units, fastest_s, now_s)
        return self._join(packet, n_units, fastest_s, now_s)

    def _place_suspect(self, packet: MediaPacket, n_units: int, fastest_s: float, now_s: float) -> Place | None:
        first, self._suspect = self._suspect, packet
        if (
            first is not None
            and first.ssrc == packet.ssrc
            and _signed(packet.sequence - first.sequence, 16) == 1
            and 0 < _signed(packet.timestamp - first.timestamp, 32) <= CLOCK_RATE_HZ
        ):
            return self._join(packet, n_units, fastest_s, now_s)
        return None

    def _join(self, packet: MediaPacket, n_units: int, fastest_s: float, now_s: float) -> Place:
        """Go on with this packet, as one that was as fast as the fastest."""
        is_first = self._ssrc is None
        if packet.ssrc != self._ssrc:
            self._old_ssrc, self._ssrc = self._ssrc, packet.ssrc
            self._joined_s = now_s
        position = 0 if is_first else max(self._end, round((now_s - fastest_s) * CLOCK_RATE_HZ))
        return self._accept(packet, n_units, self._number + 1, position)._replace(is_joined=not is_first)

    def _accept(self, packet: MediaPacket, n_units: int, number: int, position: int) -> Place:
        _, self._sequence, self._timestamp, _, _ = packet
        self._number, self._position = number, position
        self._end = max(self._end, position + n_units)
        self._suspect = None
        return Place(number, position, is_joined=False)


def _signed(difference: int, n_bits: int) -> int:
    """Return the difference of two counters of `n_bits` as the shorter way round."""
    half = 1 << (n_bits - 1)
    return ((difference + half) & ((1 << n_bits) - 1)) - half
