"""A network and a listener in virtual time: what becomes of a list of packets. No sockets, no event loop, no clock.

Everything random comes from a seed, so that a run can be had again.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, packet_samples
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.playout.config import JitterCounters
from rtc_client.audio.playout.jitter_buffer import JitterBuffer, JitterConfig
from rtc_client.audio.playout.renderer import Decoder, Renderer
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.audio.playout.slots import PartKind, PlayoutSlot

SPEECH = bytes([0x78]) + bytes(60)
"""A packet of 20 ms, hybrid, without FEC; what it sounds like matters to nobody who does not decode it."""
SPEECH_WITH_FEC = bytes([0x78, 0x40]) + bytes(59)
"""The same, said to carry the packet before it."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A packet and when it was sent, in monotonic seconds of the listener's clock."""

    at_s: float
    packet: MediaPacket


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """Loses, delays and reorders: every packet takes `link_s` and up to `jitter_s`, each value as likely."""

    loss_ratio: float = 0.0
    losses_in_a_row: int = 1
    jitter_s: float = 0.0
    link_s: float = 0.020
    duplicate_ratio: float = 0.0

    def carry(self, sent: Iterable[Sent], seed: int) -> list[Sent]:
        """Return what arrives and when, in the order of arrival."""
        rng = random.Random(seed)
        arrivals = []
        n_to_lose = 0
        for at_s, packet in ((one.at_s, one.packet) for one in sent):
            if n_to_lose == 0 and rng.random() < self.loss_ratio / self.losses_in_a_row:
                n_to_lose = self.losses_in_a_row
            if n_to_lose:
                n_to_lose -= 1
                continue
            n_copies = 2 if rng.random() < self.duplicate_ratio else 1
            arrivals += [Sent(at_s + self.link_s + rng.uniform(0, self.jitter_s), packet) for _ in range(n_copies)]
        return sorted(arrivals, key=lambda arrival: arrival.at_s)


def stream(
    payloads: Iterable[bytes],
    *,
    start_s: float = 0.0,
    ssrc: int = 1,
    sequence: int = 65_500,
    timestamp: int = 4_294_900_000,
    drift_ppm: float = 0.0,
) -> list[Sent]:
    """Return the packets of a sender whose clock is `drift_ppm` fast; both counters wrap soon. An empty one is a pause.

    A pause (DTX) takes time, and no number.
    """
    sent: list[Sent] = []
    n_units = 0
    for payload in payloads:
        if payload:
            at_s = start_s + n_units / CLOCK_RATE_HZ / (1 + drift_ppm / 1e6)
            packet = MediaPacket(
                ssrc, (sequence + len(sent)) & 0xFFFF, (timestamp + n_units) & 0xFFFFFFFF, False, payload
            )
            sent.append(Sent(at_s, packet))
        n_units += packet_samples(payload) if payload else 960
    return sent


@dataclass(slots=True)
class Heard:
    """What a listener heard, one entry in each list per pop."""

    counters: JitterCounters
    slots: list[PlayoutSlot] = field(default_factory=list)
    delays_s: list[float] = field(default_factory=list)
    targets_s: list[float] = field(default_factory=list)
    held_packets: list[int] = field(default_factory=list)
    frames: list[Samples] = field(default_factory=list)

    @property
    def samples(self) -> Samples:
        """All of it: int16, shape `(n_samples,)`, mono; the first one at the first pop."""
        return np.concatenate(self.frames)

    @property
    def kinds(self) -> list[set[PartKind]]:
        """What each slot was made of."""
        return [{part.kind for part in slot.parts} for slot in self.slots]

    @property
    def unrecovered_ratio(self) -> float:
        """Share of the slots since the first packet in which something was concealed."""
        first = next(i for i, kinds in enumerate(self.kinds) if PartKind.DECODE in kinds)
        return self.counters.concealed_slots / (len(self.slots) - first)

    def longest_run_ms(self, *wanted: PartKind) -> int:
        """Return the longest run of slots made of nothing but these, between the first and the last decoded slot."""
        decoded = [i for i, kinds in enumerate(self.kinds) if PartKind.DECODE in kinds]
        longest = run = 0
        for kinds in self.kinds[decoded[0] : decoded[-1]]:
            run = run + 1 if kinds and kinds <= set(wanted) else 0
            longest = max(longest, run)
        return longest * 20


def listen(
    arrivals: Sequence[Sent],
    *,
    start_s: float = 0.0,
    duration_s: float | None = None,
    decoder: Decoder | None = None,
    config: JitterConfig | None = None,
    seed_buffer: JitterBuffer | None = None,
) -> Heard:
    """Play what arrives, by one pop every 20 ms from `start_s` on, until half a second after the last arrival.

    Without a decoder nothing is rendered, and sound is stretched by up to 5 ms a slot whenever it is asked for.
    """
    buffer = seed_buffer or JitterBuffer(config)
    renderer = Renderer(decoder) if decoder else None
    heard = Heard(buffer.counters)
    if duration_s is None:
        duration_s = (arrivals[-1].at_s if arrivals else start_s) + 0.5 - start_s
    n_arrived = rest_samples = 0
    for n_pops in range(round(duration_s / FRAME_S)):
        now_s = start_s + n_pops * FRAME_S
        while n_arrived < len(arrivals) and arrivals[n_arrived].at_s <= now_s:
            buffer.push(arrivals[n_arrived].packet, arrivals[n_arrived].at_s)
            n_arrived += 1
        slot = buffer.pop(now_s)
        if renderer:
            heard.frames.append(renderer.render(slot))
        else:
            rest_samples += sum(part.n_samples for part in slot.parts) - FRAME_SAMPLES
            lowest = -min(_GRANTED_SAMPLES, rest_samples)
            slot.stretched_samples = max(lowest, min(_GRANTED_SAMPLES, slot.stretch_samples))
            rest_samples += slot.stretched_samples
        heard.slots.append(slot)
        heard.delays_s.append(buffer.current_delay_s)
        heard.targets_s.append(buffer.target_delay_s)
        heard.held_packets.append(buffer.held_packets)
    return heard


_GRANTED_SAMPLES = SAMPLE_RATE_HZ * 5 // 1000
