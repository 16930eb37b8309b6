"""Promises about strangers: what they send to a call's sockets is dropped and counted, and the call does not notice."""

from __future__ import annotations

import asyncio
import logging
import random
import socket

import numpy as np
import pytest
from aioice.stun import Class, Message, Method

from rtc_client import CallConfig, CallState, IceServer, NumpySink, ToneSource, connect
from rtc_client.clock import MonotonicClock
from rtc_client.peer.ingress_guard import MAX_QUEUED
from rtc_client.peer.peer import Peer
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.peer.hostile import DROPPED, flood, ipv4
from tests.peer.support import LOOPBACK, Told, a_far_side, a_pair, a_peer, candidates, config

N_HOSTILE = 20_000


def _loud(caplog: pytest.LogCaptureFixture) -> list[str]:
    ours = ("rtc_client", "aiortc", "aioice")
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and r.name.startswith(ours)]


@pytest.mark.real_time("the flood takes processor time")
async def test_a_live_call_survives_twenty_thousand_hostile_datagrams(caplog: pytest.LogCaptureFixture) -> None:
    """A flood of datagrams from a stranger at every address of a call changes nothing: both voices go on."""
    sink = NumpySink()
    script = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=440, duration_s=40))])
    async with (
        FakeAnswerer(script=script) as answerer,
        connect(CallConfig(api_key="key", base_url=answerer.base_url), source=ToneSource(300), sink=sink) as call,
    ):
        answered = await answerer.wait_for_call()
        await answered.wait_heard(0.2)
        flood_from_s = call.elapsed_s
        heard_before = answered.packets_received

        await flood(ipv4(candidates(answered.offer_sdp)), N_HOSTILE, random.Random(1))

        flood_s = call.elapsed_s - flood_from_s
        heard_meanwhile = answered.packets_received - heard_before
        assert call.state is CallState.ACTIVE
        await answered.wait_heard(flood_from_s + flood_s + 0.3)

    dropped = call.result.datagrams_dropped
    assert set(dropped) == DROPPED
    # The socket is read every 2 ms in a flood: what its buffer cannot hold until then, the kernel drops for us.
    assert sum(dropped.values()) > 0.5 * N_HOSTILE
    assert heard_meanwhile > 0.5 * flood_s * 50
    agent = sink.samples[round(flood_from_s * 24_000) : round((flood_from_s + flood_s) * 24_000)].astype(float)
    loud = np.abs(agent[: len(agent) // 480 * 480].reshape(-1, 480)).max(axis=1) > 1_000
    assert loud.mean() > 0.9
    assert _loud(caplog) == []


@pytest.mark.real_time("the flood takes processor time")
async def test_a_flood_during_set_up_does_not_keep_a_call_from_coming_up(caplog: pytest.LogCaptureFixture) -> None:
    """Hostile datagrams from the moment the offer leaves, through ICE and DTLS, do not stop the call."""
    async with a_pair() as pair:
        offer = await pair.near.create_offer()
        addresses = ipv4(candidates(offer))
        await flood(addresses, 2_000, random.Random(2))
        flooding = asyncio.create_task(flood(addresses, 20_000, random.Random(3)))
        try:
            await pair.near.apply_answer(await pair.far.peer.answer(offer))
            await pair.near.connected()
            still_flooding = not flooding.done()
            pair.talk()
            await pair.told.hears(0.5, within_s=5)
        finally:
            flooding.cancel()
            await asyncio.wait([flooding])
        counters = await pair.near.counters()

    assert still_flooding
    assert set(counters.dropped) == DROPPED
    assert _loud(caplog) == []


@pytest.mark.real_time("the flood takes processor time")
async def test_nothing_that_came_while_gathering_reaches_dtls() -> None:
    """A datagram that arrives before the offer is complete, while a STUN server keeps us waiting, is dropped."""
    asked_from: asyncio.Future[tuple[str, int]] = asyncio.get_running_loop().create_future()

    class _MuteStunServer(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            if not asked_from.done() and addr[0] == LOOPBACK:
                asked_from.set_result(addr)

    stun, _ = await asyncio.get_running_loop().create_datagram_endpoint(_MuteStunServer, local_addr=(LOOPBACK, 0))
    server = IceServer(url=f"stun:{LOOPBACK}:{stun.get_extra_info('sockname')[1]}")
    told, far = Told(), a_far_side()
    peer = Peer(config(server, gather_s=2), told.listener(), clock=MonotonicClock())
    gathering = asyncio.create_task(peer.create_offer())
    try:
        address = await asyncio.wait_for(asked_from, 2)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
            for datagram in (b"", b"\x80" * 1_600, b"\x16\xfe\xfd" + bytes(20)):
                foreign.sendto(datagram, address)
        await peer.apply_answer(await far.peer.answer(await gathering))
        await peer.connected()
        counters = await peer.counters()
    finally:
        stun.close()
        await asyncio.gather(peer.aclose(), far.peer.aclose())

    assert counters.dropped["early"] == 3


async def test_a_peer_that_begins_dtls_before_our_own_check_is_answered_is_heard() -> None:
    """An address that has proven to know the ICE password may send DTLS at once, as browsers do."""
    async with a_pair() as pair:
        offer = await pair.near.create_offer()
        answer = await pair.far.peer.answer(offer)
        (near,) = pair.near._ice._connection._protocols[-1:]
        address = (LOOPBACK, 40_000)
        near.datagram_received(b"\x16\xfe\xfd" + bytes(20), address)
        before = (await pair.near.counters()).dropped

        near.send_stun(_success(), address)
        near.datagram_received(b"\x16\xfe\xfd" + bytes(20), address)

        assert before == (await pair.near.counters()).dropped == {"unchecked_source": 1}
        await pair.near.apply_answer(answer)
        await pair.near.connected()


async def test_what_waits_for_dtls_is_bounded() -> None:
    """A peer that sends without end before DTLS can begin fills a queue, and no more."""
    peer = a_peer()
    try:
        await peer.create_offer()
        protocol = peer._ice._connection._protocols[-1]
        address = (LOOPBACK, 40_000)
        protocol.send_stun(_success(), address)
        for _ in range(MAX_QUEUED + 100):
            protocol.datagram_received(b"\x80" + bytes(20), address)
        counters = await peer.counters()
    finally:
        await peer.aclose()

    assert counters.dropped == {"overflow": 100}


def _success() -> Message:
    message = Message(message_method=Method.BINDING, message_class=Class.RESPONSE)
    message.attributes["XOR-MAPPED-ADDRESS"] = (LOOPBACK, 40_000)
    return message
