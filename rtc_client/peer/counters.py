"""Counts what went over a call's media path, on the fast path or through aiortc."""

from __future__ import annotations

from dataclasses import dataclass, field

from aiortc import RTCRtpReceiver, RTCRtpSender

from rtc_client.peer import aiortc_internals
from rtc_client.peer.fastpath import FastPath


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

    def read_fast(self, fast: FastPath) -> None:
        """Take over what the fast path has counted; it is of this instant."""
        reports = fast.reports
        self.packets_sent, self.bytes_sent = fast.packets_sent, fast.bytes_sent
        self.packets_discarded_on_send = fast.send_failures
        self.packets_received, self.bytes_received = fast.packets_received, fast.bytes_received
        self.packets_lost, self.jitter_s = reports.lost, reports.jitter_s
        self.packets_lost_sent, self.fraction_lost = reports.remote_lost, reports.remote_fraction_lost
        self.round_trip_s = reports.round_trip_s

    async def ask_aiortc(self, sender: RTCRtpSender, receiver: RTCRtpReceiver) -> None:
        """Take over what aiortc knows; packets and bytes received are counted by whoever sees them."""
        for report in (await sender.getStats()).values():
            if report.type == "outbound-rtp":
                self.packets_sent, self.bytes_sent = report.packetsSent, report.bytesSent
            elif report.type == "remote-inbound-rtp":
                self.packets_lost_sent = max(0, report.packetsLost)
                self.round_trip_s = report.roundTripTime
                # aiortc hands on the byte of the report (RFC 3550 section 6.4.1).
                self.fraction_lost = report.fractionLost / 256
        self.packets_lost, self.jitter_s = aiortc_internals.inbound(receiver)
