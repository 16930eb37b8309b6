"""PeerCallbacks: what a peer tells its user, and asks of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from rtc_client.audio.frames import Samples
from rtc_client.peer.fastpath import PacketReader, PacketWriter


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerCallbacks:
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
