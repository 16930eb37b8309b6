"""Promises about the end of the media path: in any state, however often, whoever stops waiting; and nothing remains.

In real time: `test_no_packet_leaves_after_a_close`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from rtc_client import CallConfig, DtlsFailed, IceServer, connect
from rtc_client.audio.frames import SILENCE, Samples
from rtc_client.clock import MonotonicClock
from rtc_client.config import MediaPath
from rtc_client.peer.peer import Peer
from rtc_client.testing import FakeAnswerer
from tests.peer.support import CLOSE_LIMIT_S, LOOPBACK, PATHS, Pair, Told, a_pair, a_peer, config

Close = Callable[[Peer], Coroutine[Any, Any, None]]


async def _new(pair: Pair) -> None: ...


async def _gathering(pair: Pair) -> None:
    offering = asyncio.create_task(pair.near.create_offer())
    while not pair.near._gathering:  # noqa: ASYNC110 - a state of a few turns of the loop, which nobody announces
        await asyncio.sleep(0)
    offering.cancel()


async def _have_offer(pair: Pair) -> None:
    await pair.near.create_offer()


async def _connecting(pair: Pair) -> None:
    offer = await pair.near.create_offer()
    answer = await pair.far.peer.answer(offer)
    pair.far.peer.vanish()
    await pair.near.apply_answer(answer)


async def _connected(pair: Pair) -> None:
    await pair.connect()
    await pair.told.bell.until(lambda: pair.told.heard or None, timeout_s=5, what=lambda: "a frame")


async def _failed(pair: Pair) -> None:
    answer = await pair.far.peer.answer(await pair.near.create_offer())
    lines = [line for line in answer.split("\r\n") if not line.startswith("a=fingerprint:")]
    wrong = "a=fingerprint:sha-256 " + ":".join(["00"] * 32)
    await pair.near.apply_answer("\r\n".join([*lines[:-1], wrong, ""]))
    with pytest.raises(DtlsFailed):
        await pair.near.connected()


async def _far_side_gone(pair: Pair) -> None:
    await pair.connect()
    # Closed while it still shakes hands, it would go without a word.
    await pair.far.bell.until(
        lambda: pair.far.dtls.state == "connected" or None, timeout_s=5, what=lambda: "the far side connected"
    )
    await pair.far.peer.aclose()
    await pair.near.watch()


async def _twice(peer: Peer) -> None:
    await peer.aclose()
    await peer.aclose()


async def _at_the_same_time(peer: Peer) -> None:
    await asyncio.gather(*(peer.aclose() for _ in range(5)))


async def _cancelled(peer: Peer) -> None:
    for turns in range(4):
        closing = asyncio.create_task(peer.aclose())
        for _ in range(turns):
            await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])
    await peer.aclose()


@pytest.mark.parametrize("close", [_twice, _at_the_same_time, _cancelled])
@pytest.mark.parametrize(
    ("reach", "path"),
    [
        *(
            (reach, "fast")
            for reach in (_new, _gathering, _have_offer, _connecting, _connected, _failed, _far_side_gone)
        ),
        *((reach, path) for reach in (_connected, _far_side_gone) for path in ("packets", "plain")),
    ],
)
async def test_a_close_ends_within_its_limit(
    reach: Callable[[Pair], Coroutine[Any, Any, None]], close: Close, path: MediaPath
) -> None:
    """In whatever state, and however it is called, a close ends in 3 s and leaves no task, socket or thread."""
    async with a_pair(path=path) as pair:
        await reach(pair)
        started_s = time.monotonic()

        await close(pair.near)

        assert time.monotonic() - started_s < CLOSE_LIMIT_S
        assert not [t for t in asyncio.all_tasks() if t.get_name().startswith("peer-")]


@pytest.mark.both_clocks
@pytest.mark.parametrize("path", PATHS)
async def test_no_packet_leaves_after_a_close(path: MediaPath) -> None:
    """Once the close has returned the sender has stopped: not one more packet reaches the far side."""
    async with a_pair(path=path) as pair:
        await pair.connect()
        gate = pair.far.peer.gate
        await pair.far.bell.until(
            lambda: gate.n_rtp_received >= 10 or None, timeout_s=5, what=lambda: "packets of the caller"
        )

        await pair.near.aclose()
        sent = (await pair.near.counters()).packets_sent
        asked = pair.told.asked
        await pair.far.lost()
        received = gate.n_rtp_received
        await asyncio.sleep(0.1)  # five frames' time in which nothing may come

    assert gate.n_rtp_received == received <= sent
    assert pair.told.asked == asked


async def test_forty_calls_given_up_while_connecting_leave_no_task() -> None:
    """Peers closed at forty different moments between their offer and their first packet leave nothing running."""
    for n in range(40):
        async with a_pair() as pair:
            try:
                async with asyncio.timeout(0.002 * n):
                    await pair.connect()
            except TimeoutError:
                pass
            await pair.near.aclose()
            await pair.far.peer.aclose()

            assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_close_while_a_stun_server_does_not_answer_is_quick() -> None:
    """Giving up while candidates are still asked for ends the asking."""
    async with _mute_stun_server() as (server, asked):
        peer = Peer(config(server), Told().listener(), clock=MonotonicClock())
        offering = asyncio.create_task(peer.create_offer())
        await asyncio.wait_for(asked.wait(), 2)
        offering.cancel()
        started_s = time.monotonic()

        await peer.aclose()

        assert time.monotonic() - started_s < 0.5


@asynccontextmanager
async def _mute_stun_server() -> AsyncIterator[tuple[IceServer, asyncio.Event]]:
    asked = asyncio.Event()

    class _Mute(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            asked.set()

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_Mute, local_addr=(LOOPBACK, 0))
    yield IceServer(url=f"stun:{LOOPBACK}:{transport.get_extra_info('sockname')[1]}"), asked
    transport.close()


async def test_a_peer_connection_whose_close_hangs_is_torn_down(monkeypatch: pytest.MonkeyPatch) -> None:
    """When aiortc's own close does not return, the sockets are closed under it within the limit."""
    async with a_pair(close_s=1.0) as pair:
        await pair.connect()
        is_torn_down = asyncio.Event()

        async def hang() -> None:
            await is_torn_down.wait()

        monkeypatch.setattr(pair.near._pc, "close", hang)
        started_s = time.monotonic()
        sockets = [protocol.transport for protocol in pair.near._connection._protocols]

        await pair.near.aclose()

        assert time.monotonic() - started_s < 1.0
        assert all(transport.is_closing() for transport in sockets)
        is_torn_down.set()


class _StuckSource:
    """A source whose close never returns."""

    ended = False

    def __init__(self) -> None:
        self.n_read = 0

    async def open(self) -> None: ...

    def read(self) -> Samples:
        self.n_read += 1
        return SILENCE

    async def aclose(self) -> None:
        await asyncio.Event().wait()


async def test_a_source_whose_close_hangs_does_not_hold_up_the_end_of_a_call() -> None:
    """The call is over within 3 s, and nothing more is read from the source or sent."""
    source = _StuckSource()
    async with FakeAnswerer() as answerer:
        async with connect(CallConfig(api_key="key", base_url=answerer.base_url), source=source) as call:
            answered = await answerer.wait_for_call()
            await answered.wait_heard(0.1)
            started_s = time.monotonic()
        took_s = time.monotonic() - started_s
        n_read = source.n_read
        await answered.ended()

        assert took_s < CLOSE_LIMIT_S
        assert answered.packets_received <= call.result.sent.packets
        assert source.n_read == n_read


async def test_a_peer_that_was_never_used_is_closed_without_a_trace() -> None:
    """A peer holds no socket and no task before its offer, and its close is immediate."""
    peer = a_peer()

    await peer.aclose()

    assert (await peer.counters()).packets_sent == 0
