"""CallStats: the media path of a running call, by the names of W3C's webrtc-stats where it has them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from rtc_client.audio.playout.jitter_buffer import JitterBuffer
from rtc_client.peer.counters import PeerCounters

_NAMES: Final = {
    "packets_sent": "packetsSent",
    "bytes_sent": "bytesSent",
    "bit_rate_sent": "bitRateSent",
    "packets_discarded_on_send": "packetsDiscardedOnSend",
    "packets_received": "packetsReceived",
    "bytes_received": "bytesReceived",
    "bit_rate_received": "bitRateReceived",
    "packets_lost": "packetsLost",
    "packets_discarded": "packetsDiscarded",
    "jitter_s": "jitter",
    "total_samples_received": "totalSamplesReceived",
    "concealed_samples": "concealedSamples",
    "silent_concealed_samples": "silentConcealedSamples",
    "concealment_events": "concealmentEvents",
    "inserted_samples": "insertedSamplesForDeceleration",
    "removed_samples": "removedSamplesForAcceleration",
    "jitter_buffer_delay_s": "jitterBufferDelay",
    "jitter_buffer_target_delay_s": "jitterBufferTargetDelay",
    "jitter_buffer_emitted_count": "jitterBufferEmittedCount",
    "fec_packets_used": "fecPacketsUsed",
    "duplicated_packets": "duplicatedPackets",
    "late_packets": "latePackets",
    "current_delay_s": "currentDelay",
    "target_delay_s": "targetDelay",
    "remote_packets_lost": "remotePacketsLost",
    "remote_fraction_lost": "remoteFractionLost",
    "round_trip_time_s": "roundTripTime",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallStats:
    """One snapshot. Bytes are of payloads; samples are of 24 kHz; sums grow from the start of the call.

    Of a call over a websocket, packets are messages with sound, bytes are of PCM, and `packets_discarded_on_send` are
    messages that were dropped because the connection did not keep up; what only RTP can tell stays 0 or None.
    """

    at_s: float
    """Seconds since audio could flow."""
    packets_sent: int
    """RTP packets."""
    bytes_sent: int
    """Of payload."""
    bit_rate_sent: float
    """Bits of payload per second, over the last whole second; over the call so far when that is shorter."""
    packets_discarded_on_send: int
    """Packets that the system would not take (no route, a full buffer); on the fast path."""
    packets_received: int
    """RTP packets."""
    bytes_received: int
    """Of payload."""
    bit_rate_received: float
    """Bits of payload per second, as `bit_rate_sent`."""
    packets_lost: int
    """Packets that never came (RFC 3550 appendix A.3)."""
    packets_discarded: int
    """Packets that came and were not played: late, malformed, or more than is held."""
    jitter_s: float
    """Interarrival jitter (RFC 3550 section 6.4.1), in seconds as the standard has it."""
    total_samples_received: int
    """Samples handed to playout, concealed ones among them."""
    concealed_samples: int
    """Samples that were made up for lost or late packets."""
    silent_concealed_samples: int
    """Those of them that were silence."""
    concealment_events: int
    """How often playout began to conceal."""
    inserted_samples: int
    """Samples by which sound was stretched, to let the delay grow."""
    removed_samples: int
    """Samples by which sound was shortened, to let the delay shrink."""
    jitter_buffer_delay_s: float
    """Sum over all samples of the time between arrival and turn; divide by `jitter_buffer_emitted_count`."""
    jitter_buffer_target_delay_s: float
    """Sum over all samples of the delay that was aimed at; divide by `jitter_buffer_emitted_count`."""
    jitter_buffer_emitted_count: int
    """Samples that came out of the jitter buffer."""
    fec_packets_used: int
    """Lost packets that were played from the copy in the next one."""
    duplicated_packets: int
    """Packets that had come before."""
    late_packets: int
    """Packets that came after their turn."""
    current_delay_s: float
    """Delay of what is played now over the fastest recent packet."""
    target_delay_s: float
    """The delay that is aimed at now."""
    remote_packets_lost: int | None
    """Lost on the way to the agent; None before its first report."""
    remote_fraction_lost: float
    """How much of what we sent lately was lost, 0 to 1."""
    round_trip_time_s: float | None
    """The latest by RTCP; None before the far side has reported."""

    def as_dict(self) -> dict[str, float | int | None]:
        """Return the values under the names of W3C's webrtc-stats, and `at_s`."""
        return {"at_s": self.at_s, **{theirs: getattr(self, ours) for ours, theirs in _NAMES.items()}}


def snapshot(
    peer: PeerCounters,
    jitter: JitterBuffer,
    *,
    at_s: float,
    total_samples: int,
    since: CallStats | None = None,
    rates_of: CallStats | None = None,
) -> CallStats:
    """Return the state of the media path at `at_s`, with the bit rates since the snapshot `since`, or of `rates_of`."""
    counters = jitter.counters
    if rates_of is not None:
        bit_rate_sent, bit_rate_received = rates_of.bit_rate_sent, rates_of.bit_rate_received
    else:
        span_s = at_s - (since.at_s if since is not None else 0.0)
        sent = peer.bytes_sent - (since.bytes_sent if since is not None else 0)
        received = peer.bytes_received - (since.bytes_received if since is not None else 0)
        bit_rate_sent = round(8 * sent / span_s, 1) if span_s > 0 else 0.0
        bit_rate_received = round(8 * received / span_s, 1) if span_s > 0 else 0.0
    return CallStats(
        at_s=round(at_s, 3),
        packets_sent=peer.packets_sent,
        bytes_sent=peer.bytes_sent,
        bit_rate_sent=bit_rate_sent,
        packets_discarded_on_send=peer.packets_discarded_on_send,
        packets_received=peer.packets_received,
        bytes_received=peer.bytes_received,
        bit_rate_received=bit_rate_received,
        packets_lost=peer.packets_lost,
        packets_discarded=counters.discarded,
        jitter_s=round(peer.jitter_s, 6),
        total_samples_received=total_samples,
        concealed_samples=counters.concealed_samples,
        silent_concealed_samples=counters.silent_concealed_samples,
        concealment_events=counters.concealment_events,
        inserted_samples=counters.inserted_samples,
        removed_samples=counters.removed_samples,
        jitter_buffer_delay_s=round(counters.delay_s, 3),
        jitter_buffer_target_delay_s=round(counters.target_delay_s, 3),
        jitter_buffer_emitted_count=counters.emitted_samples,
        fec_packets_used=counters.recovered_by_fec,
        duplicated_packets=counters.duplicated,
        late_packets=counters.late,
        current_delay_s=round(jitter.current_delay_s, 4),
        target_delay_s=round(jitter.target_delay_s, 4),
        remote_packets_lost=peer.packets_lost_sent,
        remote_fraction_lost=round(peer.fraction_lost, 4),
        round_trip_time_s=peer.round_trip_s,
    )
