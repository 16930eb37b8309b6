"""Promises of starting and closing: whatever state the calls are in, nothing is left, and it does not take long.

In real time: `test_datagrams_from_anybody_do_not_end_a_call`.
"""

from __future__ import annotations

import asyncio
import gc
import socket
import time
import weakref

import pytest
from aioice.ice import get_host_addresses

from rtc_client.errors import AudioFileUnreadable
from rtc_client.testing import AgentScript, AnsweredCall, CallEnd, Clip, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.wire.sdp_text import media_sections
from tests.testing.caller import NO_SAMPLES, Caller, form, joined, post, until
from tests.testing.conftest import Place
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING


async def test_closing_ends_calls_in_every_state_within_3_s(place: Place) -> None:
    """Connected, connecting, never connecting, vanished, with media closed, over."""
    async with FakeAnswerer() as answerer:
        await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
        for _ in range(4):
            await place(answerer)
        _, connected, vanished, closed, over = answerer.calls
        for call in (connected, vanished, closed, over):
            await call.media_connected()
        vanished.vanish()
        await closed.close_media()
        await over.hang_up()
        await place(answerer)  # is connecting
        async with joined(answerer, connected.call_id):
            await connected.sideband_joined()
            started_s = time.monotonic()
            await answerer.aclose()
            took_s = time.monotonic() - started_s

    assert took_s < 3
    assert [call.ended_by for call in answerer.calls] == [CallEnd.ANSWERER_CLOSED] * 4 + [
        CallEnd.AGENT,
        CallEnd.ANSWERER_CLOSED,
    ]


async def test_closing_twice_or_while_cancelled_closes_once(place: Place) -> None:
    """A cancelled close goes on, and the next one waits for it."""
    answerer = FakeAnswerer()
    async with answerer:
        await place(answerer)
        closing = asyncio.create_task(answerer.aclose())
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait({closing})
        assert closing.cancelled()

        await asyncio.gather(answerer.aclose(), answerer.aclose())

    with socket.socket() as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(("127.0.0.1", answerer.port))


async def test_an_answerer_that_was_never_started_can_be_closed() -> None:
    """Nothing happens."""
    await FakeAnswerer().aclose()


async def test_a_port_in_use_is_told_and_leaves_nothing() -> None:
    """The second one fails as the system says."""
    async with FakeAnswerer() as first:
        with pytest.raises(OSError, match="address already in use"):
            await FakeAnswerer(port=first.port).__aenter__()


async def test_a_clip_that_cannot_be_read_is_told_before_any_call() -> None:
    """At the start, or when the script is replaced."""
    script = AgentScript(turns=[SpokenTurn(voice=Clip("/nowhere/voice.wav"))])
    with pytest.raises(AudioFileUnreadable):
        await FakeAnswerer(script=script).__aenter__()
    async with FakeAnswerer() as answerer:
        with pytest.raises(AudioFileUnreadable):
            answerer.script = script


async def test_a_new_script_is_for_the_calls_to_come(answerer: FakeAnswerer) -> None:
    """One answerer serves many scenarios."""
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone())])
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))

    assert [len(call.scenario.steps) for call in answerer.calls] == [0, 1]


async def test_an_answerer_serves_once(answerer: FakeAnswerer) -> None:
    """Its port and its calls belong to one life."""
    with pytest.raises(RuntimeError, match="once"):
        await answerer.__aenter__()


async def test_the_oldest_calls_that_are_over_are_forgotten(
    answerer: FakeAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answerer that runs for days keeps the newest; calls are still counted from the first."""
    monkeypatch.setattr("rtc_client.testing.answerer.MAX_CALLS_KEPT", 2)
    for _ in range(2):
        await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
    first, second = answerer.calls
    await second.hang_up()
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))

    assert answerer.calls == [first, await answerer.wait_for_call(n=3)]
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
    assert len(answerer.calls) == 3  # nothing that goes on is forgotten


async def test_an_agent_that_raises_ends_its_call(answerer: FakeAnswerer, monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other; the log says why."""

    def raise_error(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("rtc_client.testing.scenario.performance.Performance.tick", raise_error)
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))

    assert await (await answerer.wait_for_call()).ended() is CallEnd.AGENT_FAILED


async def test_media_can_be_offered_on_every_address() -> None:
    """For callers on other machines, and on this one."""
    async with FakeAnswerer(interfaces="all", host="0.0.0.0") as answerer:
        response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING))

    (audio,) = media_sections(response.text)
    addresses = [candidate.split()[4] for candidate in audio.values("candidate")]
    assert "127.0.0.1" in addresses
    assert sorted(addresses) == sorted({"127.0.0.1", *get_host_addresses(use_ipv4=True, use_ipv6=True)})


async def test_waiting_for_a_call_that_does_not_come_has_an_end(answerer: FakeAnswerer) -> None:
    """And says what did not happen."""
    with pytest.raises(TimeoutError, match=r"call 1: not within 0\.05 s"):
        await answerer.wait_for_call(0.05)
    with pytest.raises(TimeoutError, match="request 1"):
        await answerer.wait_for_request(0.05)


async def test_a_caller_that_closes_its_media_ends_the_call(answerer: FakeAnswerer, place: Place) -> None:
    """The sideband is then closed too."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.media_connected()
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        await placed.caller.close()
        await sideband.wait_closed()
        assert sideband.close_code == 1000

    assert await call.ended() is CallEnd.CLIENT_MEDIA


async def test_closing_media_tells_the_caller_and_keeps_the_sideband(answerer: FakeAnswerer, place: Place) -> None:
    """The legs fail separately."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.media_connected()
    async with joined(answerer, call.call_id) as sideband:
        await sideband.recv()
        await call.close_media()
        await until(lambda: placed.caller.peer.connectionState == "closed")
        await call.send_event({"type": "still.there"})
        assert "still.there" in str(await sideband.recv())

    assert await call.ended() is CallEnd.CLIENT_SIDEBAND


async def test_a_peer_that_vanishes_sends_nothing_and_keeps_its_socket(answerer: FakeAnswerer, place: Place) -> None:
    """Not one packet more reaches the caller, and nobody is told."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.wait_heard(0.2)
    received = datagrams_of(placed.caller)

    call.vanish()
    # What had left before may still lie in the caller's socket.
    sent_before = call.packets_sent
    await until(lambda: call.packets_sent > sent_before + 5)
    before = len(received)
    heard_before = call.packets_received
    await until(lambda: call.packets_sent > sent_before + 55)

    assert len(received) == before
    assert call.packets_received == heard_before
    assert call.ended_by is None
    assert placed.caller.peer.connectionState == "connected"


@pytest.mark.both_clocks
async def test_datagrams_from_anybody_do_not_end_a_call(answerer: FakeAnswerer, place: Place) -> None:
    """Empty, oversized, malformed: dropped, and the sound goes on."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.wait_heard(0.2)
    port = int(call.answer_sdp.partition("a=candidate:")[2].split()[5])
    stun = b"\x00\x01\x00\x04\x21\x12\xa4\x42" + bytes(12) + b"\x80\x22\xff\xff"
    with socket.socket(type=socket.SOCK_DGRAM) as stranger:
        for datagram in (b"", b"\x80", b"\x80" * 1_501, b"\xb0" * 9_000, stun, stun[:-4], b"\x16" * 40) * 5:
            stranger.sendto(datagram, ("127.0.0.1", port))

    heard = call._peer.heard.n_frames * 0.02
    await call.wait_heard(heard + 0.5)

    assert placed.caller.peer.connectionState == "connected"
    assert call._peer.gate.n_dropped >= 20


async def test_fifty_calls_one_after_the_other_leave_nothing(answerer: FakeAnswerer) -> None:
    """Some are closed while they connect, which is when most is left behind."""
    for n in range(50):
        caller = Caller(NO_SAMPLES)
        response = await post(answerer.base_url, *form(await caller.offer()))
        await caller.accept(response.text)
        call = answerer.calls[-1]
        if n % 5 == 0:
            await caller.connected()
        await asyncio.gather(call.hang_up(), caller.close())

    assert {call.ended_by for call in answerer.calls} <= {CallEnd.AGENT, CallEnd.CLIENT_MEDIA}
    await until(lambda: not own_tasks(answerer.calls))


async def test_an_answerer_that_is_closed_is_not_kept() -> None:
    """Neither is what was heard in its calls: a suite of a thousand tests has a thousand answerers."""
    kept = weakref.WeakSet[FakeAnswerer]()

    async def serve() -> None:
        async with FakeAnswerer() as answerer:
            kept.add(answerer)
            caller = Caller(NO_SAMPLES)
            await post(answerer.base_url, *form(await caller.offer()))
            await caller.close()

    await serve()
    gc.collect()

    assert not kept


def own_tasks(calls: list[AnsweredCall]) -> list[str]:
    """The tasks of these calls that are still running."""
    names = [name for task in asyncio.all_tasks() if (name := task.get_name()) != "answerer-stalls"]
    return [name for name in names if name.startswith("answerer-") or any(call.call_id in name for call in calls)]


def datagrams_of(caller: Caller) -> list[bytes]:
    """A list that grows with each datagram the caller's socket gets from now on."""
    received: list[bytes] = []
    (transceiver,) = caller.peer.getTransceivers()
    (protocol,) = transceiver.receiver.transport.transport._connection._protocols
    take = protocol.datagram_received

    def datagram_received(data: bytes | str, addr: tuple[object, ...]) -> None:
        received.append(bytes(data))  # type: ignore[arg-type]
        take(data, addr)

    protocol.datagram_received = datagram_received  # type: ignore[method-assign]
    return received
