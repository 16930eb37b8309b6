"""What a peer tells and asks whoever uses it, and what it counts; nothing is done here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from rtc_client.audio.frames import Samples
from rtc_client.peer.fastpath import PacketReader, PacketWriter


@dataclass(slots=True)
class PeerCounters:
    """What went over the media path so far."""

    packets_sent: int = 0
    bytes_sent: int = 0
    packets_lost_sent: int | None = None
    """Lost on the way to the peer, by its receiver reports; None before the first."""
    packets_discarded_on_send: int = 0
    """Which the system would not take; on the fast path."""
    packets_received: int = 0
    bytes_received: int = 0
    packets_lost: int = 0
    jitter_s: float = 0.0
    """Interarrival jitter of what is received, seconds (RFC 3550 section 6.4.1)."""
    round_trip_s: float | None = None
    """Round-trip time, seconds, by the peer's receiver reports; None before the first."""
    fraction_lost: float = 0.0
    """How much of what we sent was lost lately, 0 to 1, by the same reports."""
    dropped: dict[str, int] = field(default_factory=dict)
    """Datagrams and packets kept away from the libraries, by reason."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerListener:
    """Where a peer's news go; each is called on the event loop and must not block.

    What one of them raises ends nothing by itself: `connected` and `watch` raise it.
    """

    ice_completed: Callable[[], None]
    first_rtp: Callable[[], None]
    next_packet: PacketWriter
    """Asked every 20 ms for the Opus packet that is sent; on the fast path and the packet path."""
    packet: PacketReader
    """Given every RTP packet; on the fast path and the packet path."""
    stream_ended: Callable[[int], None]
    """Told of an SSRC that says goodbye (RTCP BYE)."""
    next_frame: Callable[[int], Samples]
    """Asked every 20 ms, with the position in samples since media began, for the frame sent; on the plain path."""
    heard: Callable[[Samples, int], None]
    """Given every decoded block and its RTP time in samples, from an arbitrary origin; on the plain path."""
