"""Promises of the relay: the network that was asked for, the same again for the same seed, and a call through it.

In real time: `test_a_call_through_it_hears_and_is_heard`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import numpy as np
import pytest

from rtc_client import CallConfig, NumpySink, ToneSource, connect
from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import AgentScript, FakeAnswerer, Impairment, Network, SpokenTurn, Tone
from rtc_client.testing.network.udp_relay import Link
from tests.testing.conftest import Place

RTP = bytes([0x80, 111]) + bytes(60)
RTCP = bytes([0x80, 201]) + bytes(60)
STUN = bytes([0, 1]) + bytes(60)
N_PACKETS = 20_000


def carried(impairment: Impairment, *, seed: int = 1, datagrams: Sequence[bytes] = (RTP,) * N_PACKETS) -> list[bool]:
    """Send datagrams 20 ms apart; return which of them arrive."""
    lane = Link(impairment, random.Random(seed))
    return [bool(lane.carry(datagram, n * 0.02)) for n, datagram in enumerate(datagrams)]


def runs_of_loss(arrived: list[bool]) -> list[int]:
    text = "".join(".x"[not one] for one in arrived)
    return [len(run) for run in text.split(".") if run]


@pytest.mark.parametrize(("loss_ratio", "in_a_row"), [(0.01, 1), (0.05, 1), (0.10, 1), (0.05, 3), (0.10, 5)])
def test_as_many_are_lost_as_was_asked_for(loss_ratio: float, in_a_row: int) -> None:
    """The share of lost packets is the one asked for, also when they are lost several at a time."""
    arrived = carried(Impairment(loss_ratio=loss_ratio, losses_in_a_row=in_a_row))

    assert 1 - np.mean(arrived) == pytest.approx(loss_ratio, rel=0.2)
    assert min(runs_of_loss(arrived)) >= in_a_row or in_a_row == 1


def test_a_seed_is_one_network() -> None:
    """The same seed loses the same packets, whatever the delay and whatever else passes by; another one others."""
    impairment = Impairment(loss_ratio=0.05)
    with_others = [datagram for _ in range(N_PACKETS) for datagram in (STUN, RTP, RTCP)]

    arrived = carried(impairment)

    assert carried(Impairment(loss_ratio=0.05, jitter_s=0.06, duplicate_ratio=0.1)) == arrived
    assert carried(impairment, datagrams=with_others)[1::3] == arrived
    assert carried(impairment, seed=2) != arrived


def test_what_sets_up_a_call_is_never_lost() -> None:
    """STUN and DTLS arrive on the worst network."""
    assert all(carried(Impairment(loss_ratio=0.9), datagrams=[STUN, bytes([22]) * 60] * 500))


def test_delay_is_spread_evenly_and_datagrams_overtake_each_other() -> None:
    """A datagram takes the delay and up to the jitter more, and a later one may be there before it."""
    lane = Link(Impairment(delay_s=0.02, jitter_s=0.06), random.Random(1))
    arrivals = [lane.carry(RTP, n * 0.02)[0] for n in range(N_PACKETS)]
    taken = np.array(arrivals) - np.arange(N_PACKETS) * 0.02

    assert taken.min() == pytest.approx(0.02, abs=0.001)
    assert taken.max() == pytest.approx(0.08, abs=0.001)
    assert taken.mean() == pytest.approx(0.05, abs=0.001)
    assert arrivals != sorted(arrivals)


def test_some_come_twice() -> None:
    """So many packets arrive as two copies as was asked for."""
    lane = Link(Impairment(duplicate_ratio=0.1), random.Random(1))
    copies = [len(lane.carry(RTP, 0.0)) for _ in range(N_PACKETS)]

    assert set(copies) == {1, 2}
    assert np.mean(copies) == pytest.approx(1.1, abs=0.01)


def test_a_narrow_way_delays_and_then_loses() -> None:
    """Above its bit rate a network holds datagrams back, and drops what would wait for too long."""
    lane = Link(Impairment(bit_rate=16_000, queue_s=0.1), random.Random(1))  # a datagram takes 31 ms
    arrivals = [lane.carry(RTP, 0.0) for _ in range(10)]

    assert arrivals[0][0] == pytest.approx(0.031)
    assert arrivals[1][0] == pytest.approx(0.062)
    assert arrivals[-1] == ()
    assert lane.counters.overflowed > 0


def test_some_are_overtaken() -> None:
    """So many media packets as was asked for come after later ones; the same ones for the same seed."""

    def overtaken(seed: int) -> list[int]:
        lane = Link(Impairment(reorder_ratio=0.05), random.Random(seed))
        arrivals = [lane.carry(RTP, n * 0.02)[0] for n in range(N_PACKETS)]
        assert lane.counters.rtp_held_back == sum(arrival > n * 0.02 for n, arrival in enumerate(arrivals))
        return [n for n in range(N_PACKETS - 2) if arrivals[n] > max(arrivals[n + 1 : n + 3])]

    assert len(overtaken(1)) / N_PACKETS == pytest.approx(0.05, rel=0.2)
    assert overtaken(1) == overtaken(1) != overtaken(2)


def test_jitter_can_keep_the_order() -> None:
    """With `keeps_order` packets waver as much, and none overtakes another."""
    lane = Link(Impairment(delay_s=0.02, jitter_s=0.06, keeps_order=True), random.Random(1))
    arrivals = [lane.carry(RTP, n * 0.02)[0] for n in range(N_PACKETS)]
    taken = np.array(arrivals) - np.arange(N_PACKETS) * 0.02

    assert arrivals == sorted(arrivals)
    assert (taken.min(), taken.max()) == (pytest.approx(0.02, abs=0.001), pytest.approx(0.08, abs=0.001))


def test_nothing_passes_in_a_blackout() -> None:
    """From its beginning, counted from the first media packet, to its end nothing passes; losses go on as before it."""
    impairment = Impairment(loss_ratio=0.05, blackouts=((1.0, 0.5), (3.0, 1.0)))
    lane = Link(impairment, random.Random(1))
    assert lane.carry(STUN, 0.0)
    begins_s = 100.0
    arrived = [bool(lane.carry(RTP, begins_s + n * 0.02)) for n in range(500)]
    plain = carried(Impairment(loss_ratio=0.05), datagrams=(RTP,) * 500)

    black = {*range(50, 75), *range(150, 200)}
    assert arrived == [was and n not in black for n, was in enumerate(plain)]
    assert lane.counters.blacked_out == len(black)
    again = Link(impairment, random.Random(1))
    again.carry(RTP, 0.0)
    assert [bool(again.carry(STUN, at_s)) for at_s in (0.99, 1.0, 1.49, 1.5)] == [True, False, False, True]


def test_a_blackout_can_begin_at_any_time() -> None:
    """A call's lines are cut now, for so long."""
    lane = Link(Impairment(), random.Random(1))
    lane.black_out(10.0, 2.0)

    assert [bool(lane.carry(STUN, at_s)) for at_s in (10.0, 11.9, 12.0)] == [False, False, True]


def test_what_passes_is_counted() -> None:
    """Datagrams, media packets, copies and bytes of a direction add up."""
    lane = Link(Impairment(duplicate_ratio=0.5), random.Random(1))
    copies = sum(len(lane.carry(datagram, 0.0)) for datagram in (RTP, RTCP, STUN) * 100)

    counters = lane.counters
    assert (counters.datagrams, counters.rtp_packets, counters.octets) == (300, 100, 300 * 62)
    assert 30 < counters.rtp_duplicated < 70
    assert copies > 300 + counters.rtp_duplicated


@pytest.mark.parametrize(
    "wrong",
    [
        {"loss_ratio": 1.0},
        {"loss_ratio": -0.1},
        {"losses_in_a_row": 0},
        {"jitter_s": -1.0},
        {"bit_rate": 0.0},
        {"reorder_ratio": 1.1},
        {"reorder_s": -0.1},
        {"blackouts": ((-1.0, 1.0),)},
        {"blackouts": ((1.0, 0.0),)},
    ],
    ids=str,
)
def test_an_impossible_network_is_refused(wrong: dict[str, float]) -> None:
    """A network that cannot be is refused where it is described."""
    with pytest.raises(ValueError, match=r"need|negative"):
        Impairment(**wrong)  # type: ignore[arg-type]


@pytest.mark.both_clocks
async def test_a_call_through_it_hears_and_is_heard() -> None:
    """Both voices pass a network that loses and delays, and the relay knows how much it lost."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=10))])
    network = Network(
        to_agent=Impairment(loss_ratio=0.1, delay_s=0.02, jitter_s=0.02),
        to_caller=Impairment(loss_ratio=0.3, losses_in_a_row=3, delay_s=0.02),
        seed=7,
    )
    sink = NumpySink()
    async with FakeAnswerer(script=script, relay=network) as answerer:
        config = CallConfig(api_key="sk-test", base_url=answerer.base_url, sideband="off")
        async with connect(config, source=ToneSource(500.0), sink=sink):
            call = await answerer.wait_for_call()
            await call.wait_heard(1.5)
        relay = call.relay

    assert relay is not None
    assert relay.to_agent.counters.rtp_packets > 50
    assert relay.to_caller.counters.rtp_lost > 0
    assert level_dbfs(sink.samples) > -40
    assert call.heard_level_dbfs > -40


async def test_an_independent_caller_gets_through_as_well(place: Place) -> None:
    """Plain aiortc connects by way of the relay; nothing in it is made for our own client."""
    async with FakeAnswerer(relay=Impairment(delay_s=0.01)) as answerer:
        placed = await place(answerer)
        await placed.caller.connected()
        call = await answerer.wait_for_call()
        await call.wait_heard(0.2)

        assert call.relay is not None
        assert call.relay.to_agent.counters.rtp_packets >= 10


async def test_calls_have_networks_of_their_own() -> None:
    """What one call goes through does not change what the next one does: each begins the same network anew."""
    async with FakeAnswerer(relay=Impairment(loss_ratio=0.02)) as answerer:
        config = CallConfig(api_key="sk-test", base_url=answerer.base_url, sideband="off")
        async with connect(config, source=ToneSource(500.0)), connect(config, source=ToneSource(700.0)):
            for n in (1, 2):
                call = await answerer.wait_for_call(n=n)
                await call.wait_heard(0.2)
        relays = [call.relay for call in answerer.calls]

    assert relays[0] is not relays[1]
    assert all(relay is not None and relay.to_agent.counters.rtp_packets > 0 for relay in relays)


async def test_without_a_relay_nothing_is_in_between() -> None:
    """The default answerer is reached at its own address."""
    async with FakeAnswerer() as answerer:
        config = CallConfig(api_key="sk-test", base_url=answerer.base_url, sideband="off")
        async with connect(config):
            call = await answerer.wait_for_call()

    assert call.relay is None
