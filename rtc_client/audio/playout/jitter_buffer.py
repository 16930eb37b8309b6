"""JitterBuffer: takes packets as they arrive, and says every 20 ms what to render.

It is pulled: `pop` is called every 20 ms and always returns a slot, whatever has or has not arrived, so that loss never
stalls the output (the lesson of libwebrtc's NetEQ). It works on packets alone; if nobody renders, nothing is decoded.

**Order.** `rtp_unwrapper.py` gives each packet a number and a position that never wrap; the buffer plays along both.
All positions and durations in here are *units* of 1/48000 s, the RTP clock of Opus.

**Delay.** A packet is rendered `delay` after the fastest packet of the last seconds would have been rendered on
arrival. `target_delay.py` says how much is needed. As packets are taken every 20 ms, only steps of 20 ms help: the
delay is steered into the 20 ms above the target, with some hysteresis, by asking the renderer to insert or remove sound
(preemptive expand and accelerate, in NetEQ's words). The renderer does so where it is not heard and writes how much it
was into the slot; sound it holds beyond the slot is counted as `ahead`. Clocks that run apart are followed likewise.
While nothing is said (before the first packet, in a pause, after a long loss) the delay is free: the next packet waits
for the target, no more and no less.

**Holes.** A packet is missing when its turn has come and a later one is there. If the next packet carries a copy (FEC),
that is rendered, else the gap is concealed (PLC), faded after 80 ms and silent after 120. If nothing at all is there,
nobody knows yet whether packets are lost or late, so concealment runs without moving on; what comes then tells. If the
late packet comes, it is played and the delay has grown; if a later one, the time concealed is taken off the hole. A gap
in time without a gap in numbers is no loss but a pause of the sender (DTX): comfort noise, uncounted.

**Bounds.** No more than half a second of sound is held, and no more than 250 packets. Beyond that the oldest go, until
only the target delay is left: late sound is worth less than sound in time. They are counted as discarded. Whatever came
before, sound is back at most 0.24 s after packets flow again, which is the highest target and two slots; or 0.5 s, if a
sender starts again with the same SSRC and less than that behind, for its packets look late until it has caught up.
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

from rtc_client.audio.codecs.opus_packet import (
    CLOCK_RATE_HZ,
    SILENT_PACKET,
    UNITS_PER_SAMPLE,
    OpusError,
    frame_samples,
    has_fec,
    is_dtx,
    packet_samples,
)
from rtc_client.audio.frames import FRAME_SAMPLES
from rtc_client.audio.playout.config import JitterConfig, JitterCounters
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket, RtpUnwrapper
from rtc_client.audio.playout.slots import FADE_END_SAMPLES, Part, PartKind, PlayoutSlot, Urgency
from rtc_client.audio.playout.target_delay import TargetDelayEstimator

__all__ = [
    "JitterBuffer",
    "JitterConfig",
    "JitterCounters",
    "MediaPacket",
    "Part",
    "PartKind",
    "PlayoutSlot",
    "Urgency",
]

_SLOT_UNITS: Final = FRAME_SAMPLES * UNITS_PER_SAMPLE
_SLOT_S: Final = _SLOT_UNITS / CLOCK_RATE_HZ
_STEP_UNITS: Final = CLOCK_RATE_HZ // 400
"""2.5 ms: what Opus conceals is a multiple of it."""

_MAX_PACKETS: Final = 250
_SEEN_BITS: Final = 1024
"""How many packets back a duplicate is known as one: longer than `MAX_LATENESS_S` at any duration of packets."""

_COMFORT_UNITS: Final = CLOCK_RATE_HZ
"""A sender in DTX refreshes its comfort noise every 400 ms; after a second without, it has stopped."""

_SHORT_S: Final = 0.003
"""How far the delay may lie under the target: the target itself wavers by as much."""
_SPARE_S: Final = 0.008
"""How far it must lie over the 20 ms above the target to be shortened, so as not to be lengthened right after."""
_CALM_SPARE_S: Final = 0.003
"""The same while the target is the least there is: then it does not waver."""
_SPARE_FOR_S: Final = 0.5
"""And for how long: a target that has just fallen may rise again."""
_URGENT_S: Final = 0.060
"""Three slots over the target: a conversation feels it, so shortening is urgent."""


class _Held(NamedTuple):
    payload: bytes
    position: int
    n_units: int
    arrived_s: float
    is_joined: bool


class JitterBuffer:
    """Puts the packets of one received stream in order and in time. All times are monotonic seconds of one clock."""

    def __init__(self, config: JitterConfig | None = None) -> None:
        self._config = config or JitterConfig()
        self._capacity_units = int(self._config.capacity_s * CLOCK_RATE_HZ)
        self._unwrapper = RtpUnwrapper()
        self._target_delay = TargetDelayEstimator(self._config.margin_s)
        self._packets: dict[int, _Held] = {}
        self._empty: set[int] = set()
        self._newest_number = 0
        self._seen = 0
        # What comes next, and how much is handed out beyond the present.
        self._is_started = False
        self._is_flowing = False
        self._next_number = 0
        self._next_position = 0
        self._ahead_units = 0
        # The hole that is being bridged.
        self._idle_kind = PartKind.SILENCE
        self._idle_units = 0
        self._run_units = 0
        self._unplaced_units = 0
        self._packet_s = _SLOT_S
        self._may_pause = False
        self._has_ended = False
        self._spare_since_s: float | None = None
        self._is_short = False
        self._slot = PlayoutSlot([])
        self._delay_s = 0.0
        self._target_s = self._config.min_delay_s
        self.counters = JitterCounters()

    @property
    def target_delay_s(self) -> float:
        """The delay that is aimed for, seconds."""
        return self._target_s

    @property
    def current_delay_s(self) -> float:
        """The delay of what is rendered now over the fastest packet of the last seconds, seconds; 0 in silence."""
        return self._delay_s

    @property
    def held_packets(self) -> int:
        """Packets that wait for their turn."""
        return len(self._packets)

    # --- what comes in ---

    def push(self, packet: MediaPacket, now_s: float) -> None:
        """Take a packet that has arrived; whatever is in it, this neither raises nor lets anything grow."""
        counters = self.counters
        counters.received += 1
        payload = packet.payload
        if not payload:
            self._push_empty(packet)
            return
        try:
            n_units = _UNITS_BY_TOC[payload[0]] or packet_samples(payload)
        except OpusError:
            counters.discarded += 1
            return
        place = self._unwrapper.unwrap(packet, n_units, self._target_delay.fastest_s, now_s)
        if place is None:
            counters.late += 1
            counters.discarded += 1
            return
        number, position, is_joined = place
        if not self._is_new(number):
            counters.duplicated += 1
            return
        self._has_ended = False
        self._target_delay.add(now_s - position / CLOCK_RATE_HZ, now_s)
        if not self._is_started:
            if not self._packets or number < self._next_number:
                self._next_number, self._next_position = number, position
        elif number < self._next_number or position + n_units <= self._next_position:
            counters.late += 1
            counters.discarded += 1
            return
        self._packets[number] = _Held(payload, position, n_units, now_s, is_joined)
        if position - self._next_position > self._capacity_units or len(self._packets) > _MAX_PACKETS:
            self._discard_oldest()

    def end_stream(self, ssrc: int) -> None:
        """The sender has said goodbye (RTCP BYE): what follows is no loss. It may well go on; then so does this."""
        if ssrc == self._unwrapper.ssrc:
            self._has_ended = True

    def _push_empty(self, packet: MediaPacket) -> None:
        """A packet of padding takes a number and no time; only its number is known to be right."""
        number = self._unwrapper.number_of(packet)
        if number is not None and number >= self._next_number:
            if len(self._empty) >= _MAX_PACKETS:
                self._empty.clear()
            self._empty.add(number)

    def _is_new(self, number: int) -> bool:
        steps = number - self._newest_number
        if steps > 0:
            self._newest_number = number
            self._seen = ((self._seen << steps) | 1) & _SEEN_MASK if steps < _SEEN_BITS else 1
            return True
        bit = 1 << -steps if -steps < _SEEN_BITS else 0
        if self._seen & bit:
            return False
        self._seen |= bit
        return True

    def _discard_oldest(self) -> None:
        numbers = sorted(self._packets)
        newest = self._packets[numbers[-1]]
        end = newest.position + newest.n_units
        is_too_long = end - self._packets[numbers[0]].position > self._capacity_units
        if not is_too_long and len(numbers) <= _MAX_PACKETS:
            return
        keep_units = max(_SLOT_UNITS, round(self._target_s * CLOCK_RATE_HZ)) + newest.n_units
        for number in numbers[:-1]:
            if end - self._packets[number].position <= keep_units:
                break
            del self._packets[number]
            self.counters.discarded += 1
        first = min(self._packets)
        held = self._packets[first]
        self._packets[first] = held._replace(is_joined=True)
        self._next_number, self._next_position = first, held.position
        self._unplaced_units = 0

    # --- what goes out ---

    def pop(self, now_s: float) -> PlayoutSlot:
        """Return what to render for the next 20 ms; to be called every 20 ms, and always answered."""
        if self._slot.stretched_samples:
            self._count_stretch(self._slot.stretched_samples)
        parts: list[Part] = []
        while self._ahead_units < _SLOT_UNITS:
            parts.append(self._next_part(now_s))
        slot = self._slot = PlayoutSlot(parts)
        if self._is_flowing:
            self._steer(slot, now_s)
        else:
            self._delay_s = 0.0
        self._ahead_units -= _SLOT_UNITS
        return slot

    def _count_stretch(self, n_samples: int) -> None:
        if n_samples > 0:
            self.counters.inserted_samples += n_samples
        else:
            self.counters.removed_samples -= n_samples
        self._ahead_units = max(0, self._ahead_units + n_samples * UNITS_PER_SAMPLE)

    def _next_part(self, now_s: float) -> Part:
        held = self._packets.get(self._next_number)
        if held is not None and self._is_flowing and held.position <= self._next_position:
            return self._take(self._next_number, held, now_s)
        return self._bridge(now_s)

    def _take(self, number: int, held: _Held, now_s: float) -> Part:
        payload, position, n_units, arrived_s, is_joined = held
        del self._packets[number]
        follows_loss = False
        if number != self._next_number:
            follows_loss = self._n_missing(number) > 0
            self._empty = {empty for empty in self._empty if empty > number}
        self._target_delay.count_played(follows_recoverable_loss=follows_loss and has_fec(payload))
        n_samples = n_units // UNITS_PER_SAMPLE
        counters = self.counters
        counters.emitted_samples += n_samples
        counters.delay_s += (now_s - arrived_s + self._ahead_units / CLOCK_RATE_HZ) * n_samples
        counters.target_delay_s += self._target_s * n_samples
        self._next_number, self._next_position = number + 1, position + n_units
        self._ahead_units += n_units
        self._run_units = self._unplaced_units = 0
        self._packet_s = n_units / CLOCK_RATE_HZ
        self._may_pause = is_dtx(payload) or payload == SILENT_PACKET
        return Part(_DECODE, n_samples, payload, 0, is_joined)

    def _n_missing(self, number: int) -> int:
        """Return how many packets between the last one played and this one did not come."""
        n_empty = sum(1 for empty in self._empty if self._next_number <= empty < number)
        return number - self._next_number - n_empty

    def _bridge(self, now_s: float) -> Part:
        """Return what to render although the packet whose turn it is has not come."""
        if not self._packets:
            return self._bridge_until_something_comes()
        number = min(self._packets)
        held = self._packets[number]
        if not self._is_flowing:
            return self._resume(number, held, now_s)
        # What was concealed while nothing was there was this hole, or the beginning of it.
        gap_units = held.position - self._next_position
        placed_units = max(0, min(self._unplaced_units, gap_units))
        self._next_position += placed_units
        gap_units -= placed_units
        self._unplaced_units = 0
        if gap_units < _STEP_UNITS:
            return self._take(number, held, now_s)
        if self._n_missing(number) <= 0:
            self._idle(PartKind.COMFORT)
            return self._resume(number, held, now_s)
        copied_units = frame_samples(held.payload) if has_fec(held.payload) else 0
        if gap_units <= copied_units:
            self._next_position = held.position
            self._ahead_units += copied_units
            self._run_units = 0
            self.counters.recovered_by_fec += 1
            return Part(PartKind.FEC, copied_units // UNITS_PER_SAMPLE, held.payload)
        n_units = min(gap_units - copied_units, _SLOT_UNITS) // _STEP_UNITS * _STEP_UNITS or _STEP_UNITS
        self._next_position += n_units
        return self._conceal(n_units)

    def _bridge_until_something_comes(self) -> Part:
        if self._is_flowing:
            if not (self._has_ended or self._may_pause):
                self._unplaced_units += _SLOT_UNITS
                return self._conceal(_SLOT_UNITS)
            self._idle(PartKind.SILENCE if self._has_ended else PartKind.COMFORT)
        return self._wait()

    def _conceal(self, n_units: int) -> Part:
        run_samples = self._run_units // UNITS_PER_SAMPLE
        if run_samples >= FADE_END_SAMPLES:
            self._idle(PartKind.CONCEAL)
            return self._wait()
        n_samples = n_units // UNITS_PER_SAMPLE
        self._count_concealed(n_samples, is_first=self._run_units == 0)
        self._run_units += n_units
        self._ahead_units += n_units
        return Part(PartKind.CONCEAL, n_samples, b"", run_samples)

    def _count_concealed(self, n_samples: int, *, is_first: bool) -> None:
        self.counters.concealment_events += is_first
        self.counters.concealed_slots += 1
        self.counters.concealed_samples += n_samples

    def _idle(self, kind: PartKind) -> None:
        """Stop following the clock of the sender; `kind` is why: comfort, silence, or a loss that is not guessed on."""
        self._is_flowing = False
        self._idle_kind = kind
        self._idle_units = 0
        self._unplaced_units = self._run_units = 0

    def _wait(self) -> Part:
        self._ahead_units += _SLOT_UNITS
        self._idle_units += _SLOT_UNITS
        if self._idle_kind is PartKind.COMFORT and self._idle_units <= _COMFORT_UNITS:
            return Part(PartKind.COMFORT, FRAME_SAMPLES)
        if self._idle_kind is PartKind.CONCEAL:
            self._count_concealed(FRAME_SAMPLES, is_first=False)
            self.counters.silent_concealed_samples += FRAME_SAMPLES
        return Part(PartKind.SILENCE, FRAME_SAMPLES)

    def _resume(self, number: int, held: _Held, now_s: float) -> Part:
        """Begin to play, or go on waiting until the packet has waited for as long as the target says."""
        self._target_s = self._aim_s()
        if now_s - self._target_delay.fastest_s - held.position / CLOCK_RATE_HZ < self._target_s - _SHORT_S:
            return self._wait()
        self._is_started = self._is_flowing = True
        self._next_position = held.position
        return self._take(number, held, now_s)

    # --- how long it takes ---

    def _aim_s(self) -> float:
        needed_s, config = self._target_delay.needed_delay_s(self._packet_s), self._config
        if needed_s < config.min_delay_s:
            return config.min_delay_s
        return needed_s if needed_s < config.max_delay_s else config.max_delay_s

    def _steer(self, slot: PlayoutSlot, now_s: float) -> None:
        """Ask for sound to be inserted or removed if the delay is not within the 20 ms above the target."""
        self._target_s = target_s = self._aim_s()
        ahead_units = self._ahead_units
        # What is concealed on a guess is not behind the sender yet.
        behind_units = self._next_position + self._unplaced_units - ahead_units
        self._delay_s = delay_s = now_s - self._target_delay.fastest_s - behind_units / CLOCK_RATE_HZ
        # Packets are taken this much before their sound is due; it makes the way longer, but gives them no more time.
        rest_units = ahead_units % _SLOT_UNITS
        spare_s = delay_s - rest_units / CLOCK_RATE_HZ - target_s
        if self._run_units:
            return  # what is made up is not stretched
        enough_s = _CALM_SPARE_S if target_s <= self._config.min_delay_s else _SPARE_S
        is_spare = self._is_spare(spare_s, enough_s, now_s)
        # An insertion that was begun is ended: half of it would be delay, and no time for packets.
        self._is_short = spare_s < (0 if self._is_short else -_SHORT_S)
        n_steps = 0
        if self._is_short:
            n_steps = math.ceil(-spare_s / _SLOT_S)
            slot.urgency = Urgency.WHEN_UNHEARD
        elif is_spare:
            n_steps = -int((spare_s - enough_s) / _SLOT_S)
            slot.urgency = Urgency.NOW if spare_s > _URGENT_S else Urgency.WHEN_UNHEARD
            if ahead_units < 2 * _SLOT_UNITS:
                # To remove sound and still fill the slot takes the next packet too, if it is there.
                held = self._packets.get(self._next_number)
                if held is not None and held.position <= self._next_position:
                    slot.parts.append(self._take(self._next_number, held, now_s))
        slot.stretch_samples = (n_steps * _SLOT_UNITS - rest_units) // UNITS_PER_SAMPLE

    def _is_spare(self, spare_s: float, enough_s: float, now_s: float) -> bool:
        """Return whether the delay has been too long for a while, or is far too long."""
        if spare_s <= _SLOT_S + enough_s:
            self._spare_since_s = None
            return False
        if self._spare_since_s is None:
            self._spare_since_s = now_s
        return spare_s > _URGENT_S or now_s - self._spare_since_s >= _SPARE_FOR_S


# A packet of one or two frames tells its duration by its first byte; of more, by its second (RFC 6716 section 3.2).
_UNITS_BY_TOC: Final = [packet_samples(bytes([toc])) if toc & 3 < 3 else 0 for toc in range(256)]
_DECODE: Final = PartKind.DECODE
_SEEN_MASK: Final = (1 << _SEEN_BITS) - 1
