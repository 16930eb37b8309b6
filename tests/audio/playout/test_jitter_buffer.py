"""Promises of the jitter buffer: a slot for every pop, whatever comes; sound in order and in time; holes bridged."""

from __future__ import annotations

import random
from itertools import pairwise
from statistics import mean, median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES
from rtc_client.audio.playout.jitter_buffer import JitterBuffer, JitterConfig
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.audio.playout.slots import FADE_END_SAMPLES, PartKind, PlayoutSlot, Urgency
from tests.audio.network_sim import SPEECH, SPEECH_WITH_FEC, Heard, Network, Sent, listen, stream

DECODE, FEC, CONCEAL, COMFORT, SILENCE = PartKind
LINK_S = 0.020
DTX = b"\x78"
"""A packet without sound: its sender pauses."""


def at(sent: list[Sent], link_s: float = LINK_S) -> list[Sent]:
    """Return the packets as a perfect network delivers them."""
    return [Sent(one.at_s + link_s, one.packet) for one in sent]


def without(sent: list[Sent], *lost: int) -> list[Sent]:
    return [one for i, one in enumerate(sent) if i not in lost]


def decoded(heard: Heard) -> list[bytes]:
    """The payloads that were decoded, in order."""
    return [part.payload for slot in heard.slots for part in slot.parts if part.kind is DECODE]


def marked(n_packets: int, first: int = 0) -> list[bytes]:
    """Packets of speech that can be told apart."""
    return [SPEECH + (first + i).to_bytes(4, "big") for i in range(n_packets)]


# --- what always holds ---

any_packets = st.builds(
    MediaPacket,
    st.sampled_from([1, 2, 2**32 - 1]),
    st.one_of(st.integers(0, 40), st.integers(65_500, 65_535), st.integers(0, 65_535)),
    st.one_of(st.integers(0, 60).map(lambda n: n * 960), st.integers(0, 2**32 - 1)),
    st.booleans(),
    st.sampled_from([SPEECH, SPEECH_WITH_FEC, b"", DTX, b"\x7b", b"\x7b\x00", b"\x18" + bytes(9), b"\xe0" + bytes(9)]),
)
any_times_s = st.floats(0, 4)


def check_sound(heard: Heard) -> None:
    """The parts always fill the slots, and no more is decoded ahead than one long packet and a few steps."""
    rest_samples = 0
    for slot in heard.slots:
        rest_samples += sum(part.n_samples for part in slot.parts) + slot.stretched_samples - FRAME_SAMPLES
        assert 0 <= rest_samples <= 8 * FRAME_SAMPLES
        assert all(part.n_samples > 0 for part in slot.parts)


@settings(deadline=None)
@given(st.lists(st.tuples(any_times_s, any_packets), max_size=120))
def test_whatever_comes_every_pop_is_answered(packets: list[tuple[float, MediaPacket]]) -> None:
    """Garbage of any kind never raises, never leaves a slot unfilled, and nothing grows."""
    arrivals = [Sent(at_s, packet) for at_s, packet in sorted(packets, key=lambda one: one[0])]

    heard = listen(arrivals, duration_s=5)

    assert len(heard.slots) == 250
    check_sound(heard)
    assert max(heard.held_packets) <= 250
    assert max(heard.targets_s) <= JitterConfig().max_delay_s
    assert heard.counters.received == len(packets)


@settings(deadline=None)
@given(st.lists(st.tuples(any_times_s, any_packets), max_size=60), st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1))
def test_after_garbage_the_stream_is_heard_again(
    packets: list[tuple[float, MediaPacket]], sequence: int, timestamp: int
) -> None:
    """Whatever came before, half a second after good packets flow they are all that is heard, without a hole."""
    garbage = [Sent(at_s, packet) for at_s, packet in sorted(packets, key=lambda one: one[0])]
    good = at(stream(marked(150), start_s=4.1, ssrc=77, sequence=sequence, timestamp=timestamp))

    heard = listen(garbage + good, duration_s=4.1 + 3)

    assert all(kinds <= {DECODE} for kinds in heard.kinds[round(4.6 / FRAME_S) :])
    numbers = [payload[-4:] for payload in decoded(heard) if len(payload) > len(SPEECH)]
    assert numbers == sorted(numbers)
    assert len(numbers) >= 120


@settings(deadline=None, max_examples=50)
@given(
    st.integers(0, 2**16 - 1),
    st.integers(0, 2**32 - 1),
    st.floats(0, 0.3),
    st.floats(0, 0.15),
    st.floats(0, 0.2),
    st.integers(0, 2**32),
    st.sampled_from([0x70, 0x78, 0x10, 0x18]),
)
def test_any_order_loss_and_duplication(
    sequence: int, timestamp: int, loss: float, jitter_s: float, duplicates: float, seed: int, toc: int
) -> None:
    """Packets of 10 to 60 ms are played once each and in order, nothing else is lost, and the delay is bounded."""
    payloads = [bytes([toc]) + n.to_bytes(4, "big") + bytes(20) for n in range(150)]
    network = Network(loss_ratio=loss, jitter_s=jitter_s, duplicate_ratio=duplicates)
    arrivals = network.carry(stream(payloads, sequence=sequence, timestamp=timestamp), seed)

    heard = listen(arrivals)

    played = decoded(heard)
    assert all(a < b for a, b in pairwise(payload[1:5] for payload in played))
    n_arrived = len({one.packet.sequence for one in arrivals})
    counters = heard.counters
    assert len(played) + counters.late == n_arrived
    assert counters.duplicated == len(arrivals) - n_arrived
    assert max(heard.delays_s) < 0.5
    check_sound(heard)


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), any_packets), max_size=60))
def test_a_clock_that_jumps_does_no_harm(packets: list[tuple[float, MediaPacket]]) -> None:
    """Times in any order at all are survived: a slot every time."""
    buffer = JitterBuffer()

    for at_s, packet in packets:
        buffer.push(packet, at_s)
        slot = buffer.pop(at_s)

        assert isinstance(slot, PlayoutSlot)


# --- in time ---


@pytest.mark.parametrize("phase_ms", range(0, 20, 3))
def test_first_packet_is_heard_within_40_ms(phase_ms: int) -> None:
    arrivals = at(stream([SPEECH] * 50, start_s=1 + phase_ms / 1000))

    heard = listen(arrivals)

    first_s = next(i for i, kinds in enumerate(heard.kinds) if DECODE in kinds) * FRAME_S
    assert 0 <= first_s - arrivals[0].at_s <= 0.040
    assert heard.kinds[:40] == [{SILENCE}] * 40


@pytest.mark.parametrize("phase_ms", range(0, 20, 3))
def test_perfect_network_adds_less_than_40_ms(phase_ms: int) -> None:
    """Nothing is stretched, nothing concealed, and packets wait for 15 to 35 ms."""
    heard = listen(at(stream([SPEECH] * 500, start_s=1 + phase_ms / 1000)), duration_s=10)

    assert 0.012 <= min(heard.delays_s[60:]) <= max(heard.delays_s) <= 0.036
    counters = heard.counters
    assert (counters.concealed_samples, counters.inserted_samples, counters.removed_samples) == (0, 0, 0)
    assert 0.012 <= counters.delay_s / counters.emitted_samples <= 0.036
    assert counters.target_delay_s / counters.emitted_samples == pytest.approx(0.015)


LIMITS = {
    # loss, in a row, jitter: unrecovered slots without and with FEC; longest concealment, ms; delay in the buffer, ms
    "0 / 0": (0.00, 1, 0.00, 0.001, 0.001, 0, 40),
    "1 % / 30 ms": (0.01, 1, 0.03, 0.015, 0.004, 40, 70),
    "5 % / 30 ms": (0.05, 1, 0.03, 0.065, 0.020, 60, 75),
    "5 % / 60 ms": (0.05, 1, 0.06, 0.070, 0.025, 60, 110),
    "10 % / 60 ms": (0.10, 1, 0.06, 0.120, 0.040, 100, 110),
    "5 % in threes / 30 ms": (0.05, 3, 0.03, 0.065, 0.045, 120, 75),
}


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("has_fec", [False, True], ids=["plc", "fec"])
@pytest.mark.parametrize("limits", LIMITS.values(), ids=LIMITS.keys())
def test_only_what_is_lost_is_missing(
    limits: tuple[float, int, float, float, float, int, int], has_fec: bool, seed: int
) -> None:
    """The gate that needs no ears: unrecovered slots, longest concealment, delay, stretch, over a minute."""
    loss, in_a_row, jitter_s, plc_ratio, fec_ratio, longest_ms, delay_ms = limits
    network = Network(loss_ratio=loss, losses_in_a_row=in_a_row, jitter_s=jitter_s)
    sent = stream([SPEECH_WITH_FEC if has_fec else SPEECH] * 3000, start_s=1 + seed * 0.0071)
    arrivals = network.carry(sent, seed)

    heard = listen(arrivals, duration_s=arrivals[-1].at_s)

    lost_ratio = 1 - len(arrivals) / 3000
    allowed = fec_ratio if has_fec else plc_ratio
    assert heard.unrecovered_ratio <= allowed + max(0.0, lost_ratio - loss)
    assert heard.longest_run_ms(CONCEAL, SILENCE) <= longest_ms
    assert median(heard.delays_s[100:]) * 1000 <= delay_ms
    counters = heard.counters
    assert counters.late <= 3
    assert counters.silent_concealed_samples == 0
    assert counters.inserted_samples + counters.removed_samples <= FRAME_SAMPLES * 6


def test_delay_grows_with_the_jitter_and_falls_when_the_network_clears() -> None:
    """Within two seconds it rides out 100 ms; five seconds after the network has cleared it is small again."""
    sent = stream([SPEECH] * 1500)
    rng = random.Random(1)
    arrivals = sorted(
        (Sent(one.at_s + LINK_S + (rng.uniform(0, 0.1) if 5 <= one.at_s < 15 else 0), one.packet) for one in sent),
        key=lambda one: one.at_s,
    )

    heard = listen(arrivals, duration_s=30)

    assert max(heard.delays_s[200:245]) < 0.036
    assert mean(heard.delays_s[350:740]) >= 0.09
    assert heard.targets_s[1000] == pytest.approx(0.015, abs=0.002)
    assert max(heard.delays_s[1010:1490]) < 0.045
    concealed = [i for i, kinds in enumerate(heard.kinds) if CONCEAL in kinds]
    assert len([i for i in concealed if 350 <= i < 1490]) <= 5


@pytest.mark.parametrize("phase_ms", range(0, 20, 3))
@pytest.mark.parametrize("held_up_ms", [8, 19, 40])
def test_a_first_packet_that_is_held_up_costs_no_lasting_delay(held_up_ms: int, phase_ms: int) -> None:
    """Five seconds later a calm network is within the 20 ms above the target, however the call began."""
    sent = stream([SPEECH] * 500)
    arrivals = [Sent(max(one.at_s, held_up_ms / 1000) + LINK_S, one.packet) for one in sent]

    heard = listen(arrivals, start_s=phase_ms / 1000, duration_s=10)

    assert max(heard.delays_s[250:480]) < 0.015 + 0.020 + 0.004


@pytest.mark.parametrize("longer_s", [0.06, 0.15, 0.4])
def test_delay_of_all_packets_is_not_jitter(longer_s: float) -> None:
    """A longer way, for example by another route, is followed once and then forgotten."""
    arrivals = [
        Sent(one.at_s + (LINK_S if one.at_s < 5 else LINK_S + longer_s), one.packet) for one in stream([SPEECH] * 1000)
    ]

    heard = listen(arrivals, duration_s=20)

    assert heard.targets_s[-1] == pytest.approx(0.015, abs=0.002)
    assert max(heard.delays_s[500:]) < 0.045
    assert heard.counters.concealed_slots <= longer_s / FRAME_S + 1


@pytest.mark.parametrize("ppm", [-200, 200])
def test_an_hour_with_clocks_that_run_apart(ppm: int) -> None:
    """Delay stays where it was, by inserting or removing what the clocks differ by: 0.72 s in an hour."""
    n_packets = 180_000
    network = Network(jitter_s=0.01)
    sent = stream([SPEECH] * n_packets, drift_ppm=ppm)

    heard = listen(network.carry(sent, 1), duration_s=3590)

    delays_s = heard.delays_s[50:]
    assert 0.010 < min(delays_s) < max(delays_s) < 0.060
    assert abs(mean(delays_s[:15_000]) - mean(delays_s[-15_000:])) < 0.010
    counters = heard.counters
    moved_s = (counters.removed_samples - counters.inserted_samples) / 24_000
    assert moved_s == pytest.approx(3590 * ppm / 1e6, abs=0.05)
    assert abs(counters.inserted_samples) + abs(counters.removed_samples) < 24_000 * 0.9
    assert counters.concealed_slots <= 3
    assert max(heard.held_packets) <= 4


def test_nobody_who_renders_means_no_growth() -> None:
    """Where no sound is made none can be removed: packets of a fast sender are discarded instead."""
    buffer = JitterBuffer()
    for i, one in enumerate(at(stream([SPEECH] * 5000, drift_ppm=20_000))):
        buffer.push(one.packet, one.at_s)
        if i % 51:
            buffer.pop(one.at_s + 0.01)

    assert buffer.held_packets <= 26
    assert buffer.counters.discarded > 0


def test_packets_that_nobody_asks_for_are_not_kept() -> None:
    buffer = JitterBuffer()
    for one in at(stream([SPEECH] * 5000)):
        buffer.push(one.packet, one.at_s)

    assert buffer.held_packets <= 26
    assert buffer.counters.discarded >= 4900


# --- holes ---


def test_lost_packet_is_decoded_from_the_next_one() -> None:
    arrivals = at(without(stream([SPEECH_WITH_FEC] * 100), 50))
    heard = listen(arrivals, config=JitterConfig(min_delay_s=0.030), duration_s=2)

    assert heard.counters.recovered_by_fec == 1
    assert heard.counters.concealed_slots == 0
    assert [kinds for kinds in heard.kinds if FEC in kinds] == [{FEC}]


def test_delay_leaves_time_for_the_copy_once_losses_are_seen() -> None:
    """The first loss is concealed; then the packet after the lost one is waited for."""
    sent = stream([SPEECH_WITH_FEC] * 1000, start_s=1.004)
    heard = listen(at(without(sent, *range(100, 1000, 20))), duration_s=20)

    counters = heard.counters
    assert counters.concealed_slots <= 3
    assert counters.recovered_by_fec >= 42
    assert max(heard.delays_s) < 0.065


def test_copy_that_is_not_there_is_not_waited_for() -> None:
    """Loss without FEC costs no delay."""
    heard = listen(at(without(stream([SPEECH] * 1000), *range(100, 1000, 20))), duration_s=20)

    assert max(heard.targets_s) == pytest.approx(0.015, abs=0.001)
    assert heard.counters.concealed_slots == 45


def test_long_loss_fades_and_falls_silent() -> None:
    """Six slots are concealed, told how long it has lasted; then silence until packets come, and both are counted."""
    heard = listen(at(without(stream([SPEECH] * 200), *range(50, 100))), duration_s=3.9)

    runs = [part.run_samples for slot in heard.slots for part in slot.parts if part.kind is CONCEAL]
    assert runs == list(range(0, FADE_END_SAMPLES, FRAME_SAMPLES))
    first = next(i for i, kinds in enumerate(heard.kinds) if SILENCE in kinds and i > 10)
    assert heard.kinds[first : first + 43] == [{SILENCE}] * 43
    counters = heard.counters
    assert counters.concealment_events == 1
    assert 49 <= counters.concealed_slots <= 51
    assert counters.concealed_samples - counters.silent_concealed_samples == FADE_END_SAMPLES
    assert len(decoded(heard)) >= 142
    assert max(heard.delays_s) < 0.040


def test_packets_that_are_only_late_are_played() -> None:
    """When the network holds everything up for 100 ms nothing is thrown away, and the delay comes down again."""
    arrivals = [
        Sent(max(one.at_s + LINK_S, 2.1) if one.at_s > 2 else one.at_s + LINK_S, one.packet)
        for one in stream(marked(600))
    ]

    heard = listen(arrivals, duration_s=11)

    assert decoded(heard)[:500] == marked(600)[:500]
    assert 2 <= heard.counters.concealed_slots <= 5
    assert max(heard.delays_s) < 0.14
    assert max(heard.delays_s[330:]) < 0.045


def test_far_late_packet_is_dropped() -> None:
    sent = stream(marked(100))
    arrivals = sorted([*at(without(sent, 20)), Sent(1.7, sent[20].packet)], key=lambda one: one.at_s)

    heard = listen(arrivals, duration_s=1.9)

    assert heard.counters.late == heard.counters.discarded == 1
    assert heard.counters.concealed_slots == 1
    assert heard.counters.duplicated == 0


def test_duplicates_are_counted_and_not_played() -> None:
    sent = stream(marked(100))
    heard = listen(sorted(at(sent) + at(sent, 0.3), key=lambda one: one.at_s), duration_s=1.9)

    assert heard.counters.duplicated == 80
    assert heard.counters.late == 0
    assert decoded(heard) == marked(100)[: len(decoded(heard))]
    assert heard.counters.concealed_slots == 0


@pytest.mark.parametrize("timestamp", [0, 4_000_000_000], ids=["any timestamp", "another one"])
def test_padding_takes_a_number_and_no_time(timestamp: int) -> None:
    """Packets without payload (libwebrtc probes with them) are no loss, whatever their timestamp."""
    arrivals: list[Sent] = []
    for i, one in enumerate(at(stream([SPEECH] * 200))):
        number = i + i // 10
        packet = one.packet._replace(sequence=(65_000 + number) & 0xFFFF)
        if i % 10 == 0 and i:
            padding = packet._replace(sequence=packet.sequence - 1 & 0xFFFF, timestamp=timestamp, payload=b"")
            arrivals.append(Sent(one.at_s - 0.001, padding))
        arrivals.append(Sent(one.at_s, packet))

    heard = listen(arrivals, duration_s=3.9)

    assert heard.counters.concealed_slots == heard.counters.discarded == 0
    assert set().union(*heard.kinds[5:]) == {DECODE}


def test_malformed_packets_are_concealed() -> None:
    """A packet that claims more than 120 ms, or no frame, is a lost one."""
    heard = listen(
        at(
            stream([SPEECH] * 200)[:100]
            + [
                Sent(one.at_s, one.packet._replace(payload=b"\x7b\x00")) if i == 10 else one
                for i, one in enumerate(stream([SPEECH] * 200)[100:])
            ]
        ),
        duration_s=3.9,
    )

    assert heard.counters.discarded == 1
    assert heard.counters.concealed_slots == 1


# --- pauses ---


@pytest.mark.parametrize("last", [DTX, SILENT_PACKET])
def test_pause_of_the_sender_is_no_loss(last: bytes) -> None:
    """DTX: after a packet without sound nothing comes, and time goes on: comfort noise, uncounted."""
    payloads = ([SPEECH] * 50 + [last] + [b""] * 19 + [last] + [b""] * 19) * 4
    heard = listen(at(stream(payloads)), duration_s=7)

    assert heard.counters.concealed_samples == 0
    comfort = [i for i, kinds in enumerate(heard.kinds) if COMFORT in kinds]
    assert 135 <= len(comfort) <= 145
    assert SILENCE not in set().union(*heard.kinds[5:])
    assert max(heard.delays_s) < 0.040


def test_pause_without_warning_is_over_with_the_next_packet() -> None:
    """A sender that stops and comes back, its timestamps going on with the time, is heard within 40 ms."""
    heard = listen(at(stream([SPEECH] * 100 + [b""] * 100 + [SPEECH] * 100, start_s=0.003)), duration_s=6)

    resumed = next(i for i in range(150, 300) if DECODE in heard.kinds[i])
    assert 0 <= resumed * FRAME_S - (4.003 + LINK_S) <= 0.040
    assert heard.counters.discarded == 0


@pytest.mark.parametrize("marker", [False, True])
def test_pause_in_which_the_timestamp_stood_still(marker: bool) -> None:
    """A talkspurt that goes on from the timestamp where the last one ended does not count as late."""
    talk = stream([SPEECH] * 200, start_s=0.003)
    pause_s = 3.0 if not marker else 0.3
    arrivals = at(
        [
            one if i < 100 else Sent(one.at_s + pause_s, one.packet._replace(marker=marker and i == 100))
            for i, one in enumerate(talk)
        ]
    )

    heard = listen(arrivals)

    resumed = next(i for i in range(110, 400) if DECODE in heard.kinds[i])
    assert 0 <= resumed * FRAME_S - arrivals[100].at_s <= 0.040
    assert max(heard.delays_s) < 0.040
    assert heard.counters.late == 0
    assert len(decoded(heard)) == 200


# --- a sender that begins anew ---


def restarted(sequence: int, timestamp: int, ssrc: int = 1) -> Heard:
    """Hear 2 s of one stream (from sequence 1000, timestamp 500,000), and then at once 2 s of another."""
    first = stream(marked(100), sequence=1000, timestamp=500_000)
    second = stream(marked(100, first=100), start_s=2.0, ssrc=ssrc, sequence=sequence, timestamp=timestamp)
    return listen(at(first + second), duration_s=3.9)


@pytest.mark.parametrize(
    ("sequence", "timestamp", "ssrc"),
    [
        (5000, 3_000_000_000, 2),
        (1050, 500_000, 2),
        (1050, 500_000 + 100 * 960, 1),
        (60_000, 500_000 + 100 * 960, 1),
        (1100, 3_000_000_000, 1),
        (1100, 100, 1),
        (1100, 500_000 + 100 * 960 + 30_000, 1),
        (1100, 500_000 + 99 * 960, 1),
        (30_000, 3_000_000_000, 1),
    ],
    ids=[
        "another SSRC",
        "another SSRC, numbered 50 behind, clock 2 s behind",
        "numbered 50 behind, clock goes on",
        "numbered far ahead, clock goes on",
        "clock jumps ahead",
        "clock jumps back",
        "clock jumps ahead a little",
        "clock stands still once",
        "all new",
    ],
)
def test_new_start_costs_nothing(sequence: int, timestamp: int, ssrc: int) -> None:
    """Both streams are heard whole, one after the other, and the delay is as before."""
    heard = restarted(sequence, timestamp, ssrc)

    played = decoded(heard)
    assert played == marked(200)[: len(played)]
    assert len(played) >= 190
    assert heard.counters.discarded == heard.counters.concealed_slots == 0
    assert max(heard.delays_s) < 0.060


def test_new_start_behind_in_everything_costs_one_packet() -> None:
    """The same SSRC 50 behind in number and time cannot be told from a far-late packet before the second one."""
    heard = restarted(sequence=1050, timestamp=500_000 + 50 * 960)

    assert decoded(heard)[:100] == marked(100)
    assert decoded(heard)[100:] == marked(99, first=101)[: len(decoded(heard)) - 100]
    assert heard.counters.concealed_slots <= 2
    assert heard.counters.late == 1


@pytest.mark.parametrize("n_behind", [1, 5, 12, 24])
def test_new_start_a_little_behind_is_heard_within_half_a_second(n_behind: int) -> None:
    """Packets of the same SSRC that look like those that were played are dropped until they are ahead again."""
    heard = restarted(sequence=1100 - n_behind, timestamp=500_000 + (100 - n_behind) * 960)

    played = decoded(heard)
    assert played[:100] == marked(100)
    assert played[100:] == marked(100 - n_behind, first=100 + n_behind)[: len(played) - 100]
    assert max(heard.delays_s[155:]) < 0.060


def test_stragglers_of_a_replaced_stream_are_dropped() -> None:
    old, new = stream(marked(100)), stream(marked(100, first=100), start_s=2.0, ssrc=2)
    arrivals = at(old[:98]) + at(new)
    arrivals += [Sent(2.05, old[98].packet), Sent(2.09, old[99].packet)]

    heard = listen(sorted(arrivals, key=lambda one: one.at_s), duration_s=3.9)

    assert heard.counters.late == 2
    assert decoded(heard)[98:] == marked(100, first=100)[: len(decoded(heard)) - 98]


def test_first_sound_after_a_new_start_is_said_to_be_one() -> None:
    heard = restarted(5000, 7, ssrc=2)

    joined = [part.payload for slot in heard.slots for part in slot.parts if part.is_joined]
    assert joined == marked(1, first=100)


def test_goodbye_is_no_loss() -> None:
    """After BYE nothing is concealed; and a sender that says goodbye and goes on is heard."""
    first, rest = stream([SPEECH] * 200)[:100], stream([SPEECH] * 200)[150:]
    buffer = JitterBuffer()
    listen(at(first), duration_s=2.0, seed_buffer=buffer)
    buffer.end_stream(1)
    ended = listen([], start_s=2.0, duration_s=1.0, seed_buffer=buffer)
    assert buffer.counters.concealed_samples == 0
    assert ended.kinds[2:] == [{SILENCE}] * 48

    again = listen(at(rest), start_s=3.0, duration_s=0.9, seed_buffer=buffer)

    assert {DECODE} in again.kinds[:4]
    assert buffer.counters.concealed_samples == 0


def test_goodbye_of_another_stream_means_nothing() -> None:
    buffer = JitterBuffer()
    listen(at(stream([SPEECH] * 50)), duration_s=1.0, seed_buffer=buffer)
    buffer.end_stream(2)

    assert listen([], start_s=1.0, duration_s=0.2, seed_buffer=buffer).counters.concealed_slots > 0


# --- what it says ---


def test_burst_that_is_too_long_is_cut_to_the_target() -> None:
    """A second of packets at once: the delay does not grow beyond what is held, and comes down in 5 s."""
    talk = stream(marked(700))
    arrivals = at(talk[:100]) + [Sent(3.0, one.packet) for one in talk[100:150]] + at(talk[150:])

    heard = listen(sorted(arrivals, key=lambda one: one.at_s), duration_s=13)

    assert max(heard.held_packets) <= 26
    assert heard.counters.discarded >= 20
    assert max(heard.delays_s[410:]) < 0.060


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="min_delay_s"):
        JitterConfig(min_delay_s=0.3, max_delay_s=0.2)


def test_slot_tells_what_it_is() -> None:
    buffer = JitterBuffer()

    assert repr(buffer.pop(0.0)) == "Slot([SILENCE 480], stretch_samples=0, urgency=WHEN_SILENT)"
    assert buffer.pop(0.02).urgency is Urgency.WHEN_SILENT
