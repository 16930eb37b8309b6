"""Promises about STUN by configuration: what it brings into the offer, and that a dead server does not hold it up.

In real time: `test_a_dead_stun_server_does_not_hold_up_the_offer`.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from rtc_client import CallConfig, Deadlines, IceServer
from rtc_client.audio.frames import SILENCE
from rtc_client.clock import MonotonicClock
from rtc_client.peer.callbacks import PeerCallbacks
from rtc_client.peer.peer import Peer

_MAGIC_COOKIE = 0x2112A442
_PUBLIC = ("203.0.113.7", 4242)


class _StunServer(asyncio.DatagramProtocol):
    """Tells everyone that they are seen at `_PUBLIC` (RFC 8489 section 14.2), or nothing at all."""

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.asked += 1
        if not self._answers:
            return
        (ip,) = struct.unpack("!I", socket.inet_aton(_PUBLIC[0]))
        mapped = struct.pack("!BBHI", 0, 1, _PUBLIC[1] ^ (_MAGIC_COOKIE >> 16), ip ^ _MAGIC_COOKIE)
        head = struct.pack("!HHI", 0x0101, 4 + len(mapped), _MAGIC_COOKIE) + data[8:20]
        self._transport.sendto(head + struct.pack("!HH", 0x0020, len(mapped)) + mapped, addr)


@asynccontextmanager
async def _stun_server(*, answers: bool) -> AsyncIterator[tuple[_StunServer, IceServer]]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _StunServer(answers=answers), local_addr=("127.0.0.1", 0)
    )
    try:
        yield server, IceServer(url=f"stun:127.0.0.1:{transport.get_extra_info('sockname')[1]}")
    finally:
        transport.close()


async def _offer(ice_server: IceServer) -> str:
    config = CallConfig(
        api_key="key",
        base_url="http://127.0.0.1:1/v1",
        ice_servers=(ice_server,),
        deadlines=Deadlines(gather_s=2.0),
    )
    listener = PeerCallbacks(
        ice_completed=lambda: None,
        first_rtp=lambda: None,
        next_packet=lambda index, out, offset: 0,
        packet=lambda packet, now_s: None,
        stream_ended=lambda ssrc: None,
        next_frame=lambda position_samples: SILENCE,
        heard=lambda samples, timestamp_samples: None,
    )
    peer = Peer(config, listener, clock=MonotonicClock())
    try:
        return await peer.create_offer()
    finally:
        await peer.aclose()


async def test_a_stun_server_brings_a_reflexive_candidate_into_the_offer() -> None:
    """Where a server is configured, the offer names the address at which the world sees us."""
    async with _stun_server(answers=True) as (server, ice_server):
        offer = await _offer(ice_server)

    assert server.asked
    assert f"{_PUBLIC[0]} {_PUBLIC[1]} typ srflx" in offer


@pytest.mark.both_clocks
async def test_a_dead_stun_server_does_not_hold_up_the_offer() -> None:
    """Gathering ends within its deadline with the host candidates it has."""
    async with _stun_server(answers=False) as (server, ice_server):
        offer = await _offer(ice_server)

    assert server.asked
    assert "typ host" in offer
    assert "typ srflx" not in offer
