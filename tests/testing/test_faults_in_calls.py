"""Promises of faults as things that begin and end: by their block, by name, for all calls or for one.

In real time: `test_audio_stops_for_all_calls_or_for_one`.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import re
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed

import rtc_client.testing
from rtc_client.testing import FakeAnswerer, Faults
from rtc_client.testing.aiortc_internals import ice_transports
from rtc_client.testing.calls.webrtc_media import AnswererPeer
from rtc_client.testing.faults.by_name import FAULT_NAMES, begin_fault
from tests.snippets import Snippet, execute, find_snippets, folder
from tests.testing.caller import form, joined, post, until
from tests.testing.conftest import Place
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING

__all__ = ["folder"]

OFFER = form(SDP_OF_A_RECORDING)
ROOT = Path(__file__).parents[2]
DOCS = Path(rtc_client.testing.__file__).parent / "docs"


def test_every_fault_is_documented_and_its_client_tested() -> None:
    """Its method has a docstring, the page a row, and some test of our client's behaviour begins it."""
    page = (DOCS / "faults.md").read_text()
    behaviour = "".join(path.read_text() for path in (ROOT / "tests" / "behaviour").glob("test_*.py"))

    assert len(FAULT_NAMES) >= 28
    for name in FAULT_NAMES:
        assert inspect.getdoc(getattr(Faults, name)), name
        assert f"`{name}" in page, f"{name} is not on the page"
        assert re.search(rf"faults\.{name}\(|\"{name}\"", behaviour), f"no test begins {name}"


@pytest.mark.real_time("each snippet is a program that places a call")
@pytest.mark.parametrize("snippet", find_snippets((DOCS / "faults.md").read_text(encoding="utf-8")), ids=str)
async def test_snippet_of_the_page_works(snippet: Snippet, folder: Path) -> None:
    """As it stands there."""
    await execute(snippet, folder)


async def test_a_fault_ends_with_its_block(answerer: FakeAnswerer) -> None:
    """What nobody has met by then nobody meets."""
    with answerer.faults.refuse_post(503, times=5) as fault:
        first = await post(answerer.base_url, *OFFER)
    async with answerer.faults.refuse_post(500, times=None) as every:
        more = [await post(answerer.base_url, *OFFER) for _ in range(3)]
    last = await post(answerer.base_url, *OFFER)

    assert [response.status_code for response in (first, *more, last)] == [503, 500, 500, 500, 201]
    assert (fault.n_met, fault.n_left, every.n_met) == (1, 4, 3)
    assert answerer.faults.n_waiting == 0


async def test_a_closed_port_opens_again_and_is_the_same(answerer: FakeAnswerer) -> None:
    """Refused while it lasts, also when two such faults overlap."""
    port = answerer.port
    async with answerer.faults.refuse_connections():
        outer = answerer.faults.refuse_connections()
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    async with outer:
        pass

    assert (await post(answerer.base_url, *OFFER)).status_code == 201
    assert answerer.port == port


async def test_an_answerer_may_close_while_its_port_is_closed() -> None:
    """And leaves nothing behind."""
    async with FakeAnswerer() as answerer:
        answerer.faults.refuse_connections()


@pytest.mark.real_time("OpenSSL times the repeats of a DTLS flight by the machine's clock")
async def test_dtls_is_held_back_and_then_let_through(answerer: FakeAnswerer, place: Place) -> None:
    """ICE completes meanwhile; afterwards the handshake does."""
    with answerer.faults.block_dtls() as fault:
        placed = await place(answerer)
        await until(lambda: placed.caller.peer.iceConnectionState == "completed")
        await until(lambda: fault.n_met == 1)
        assert placed.caller.peer.connectionState == "connecting"
    await placed.caller.connected()


@pytest.mark.both_clocks
async def test_audio_stops_for_all_calls_or_for_one(answerer: FakeAnswerer, place: Place) -> None:
    """`call.faults` are one call's own; what is sent otherwise goes on."""
    for _ in range(2):
        placed = await place(answerer)
        await placed.caller.connected()
    one, other = answerer.calls
    with one.faults.stop_audio() as fault:
        await until(lambda: fault.n_met == 1)
        counts = one.packets_sent, other.packets_sent
        await until(lambda: other.packets_sent > counts[1] + 10)
        assert one.packets_sent == counts[0]
        with answerer.faults.stop_audio() as both:
            await until(lambda: both.n_met == 2)
    counts = one.packets_sent, other.packets_sent
    await until(lambda: one.packets_sent > counts[0] and other.packets_sent > counts[1])


async def test_who_comes_back_asks_for_consent_again(answerer: FakeAnswerer, place: Place) -> None:
    """Else the answerer would never notice that the caller has gone (RFC 7675); aioice shows it by its task alone."""
    placed = await place(answerer)
    await placed.caller.connected()
    call = answerer.calls[0]
    await call.media_connected()
    assert isinstance(call._peer, AnswererPeer)
    (transport,) = ice_transports(call._peer._pc)
    asking = transport._connection._query_consent_task
    assert asking is not None
    with call.faults.vanish():
        await until(asking.done)
    await until(lambda: transport._connection._query_consent_task is not asking)

    again = transport._connection._query_consent_task
    assert again is not None
    assert not again.done()


async def test_a_sideband_is_lost_after_so_many_events(answerer: FakeAnswerer) -> None:
    """Exactly behind the n-th, `session.updated` being the first; a call that is joined again goes on."""
    await post(answerer.base_url, *OFFER)
    call = answerer.calls[0]
    call.faults.lose_sideband(4001, after_events=3)
    async with joined(answerer, call.call_id) as sideband:
        await call.wait_sent(lambda event: event["type"] == "session.updated")
        for n in range(2):
            await call.send_event({"type": "x", "n": n})
        with pytest.raises(ConnectionError):
            await call.send_event({"type": "x", "n": 2})
        frames = [json.loads(await sideband.recv()) for _ in range(3)]
        with pytest.raises(ConnectionClosed) as closed:
            await sideband.recv()

    assert [frame.get("n") for frame in frames] == [None, 0, 1]
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 4001
    async with joined(answerer, call.call_id):
        await call.sideband_joined(times=2)


async def test_events_that_wait_for_others_come_when_none_do(answerer: FakeAnswerer) -> None:
    """No event is kept back for good: not beyond a moment, and not beyond the end of the fault."""
    await post(answerer.base_url, *OFFER)
    call = answerer.calls[0]
    async with joined(answerer, call.call_id) as sideband:
        with answerer.faults.reorder_events():
            await call.wait_sent(lambda event: event["type"] == "session.updated")
            async with asyncio.timeout(2):
                assert json.loads(await sideband.recv())["type"] == "session.updated"
            await call.send_event({"type": "x"})
        async with asyncio.timeout(2):
            assert json.loads(await sideband.recv())["type"] == "x"


def test_faults_in_calls_are_waiting_until_they_are_met() -> None:
    """Ended by `clear` like all others."""
    faults = Faults()
    faults.stop_audio()
    met = faults.vanish()
    met.met()
    faults.refuse_post(500, times=2)
    assert faults.n_waiting == 3

    faults.clear()
    assert faults.n_waiting == 0
    assert faults.in_calls == ()


def test_the_port_is_the_answerers_to_close() -> None:
    """Not one call's."""
    with pytest.raises(ValueError, match=r"answerer\.faults"):
        Faults().refuse_connections()


@pytest.mark.parametrize("name", sorted(set(FAULT_NAMES) - {"refuse_connections"}))
def test_every_fault_can_be_begun_by_name_and_ended(name: str) -> None:
    """From plain values, as a scenario has them."""
    options: dict[str, dict[str, object]] = {
        "refuse_post": {"status": 503, "headers": [["Retry-After", "1"]], "body": "x", "times": 2},
        "refuse_sideband": {"status": 404},
        "refuse_rest": {"status": 401},
        "redirect_post": {"location": "http://127.0.0.1:9/"},
        "redirect_sideband": {"location": "ws://127.0.0.1:9/"},
        "late_audio": {"for_s": 1},
        "error_event": {"kind": "flat"},
    }
    faults = Faults()

    with begin_fault(faults, name, options.get(name, {})) as fault:
        assert fault.name == name
        assert faults.n_waiting >= 1
    assert faults.n_waiting == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("refuse_post", {"status": 99}),
        ("hold_answer", {"for_s": -1.0}),
        ("lose_sideband", {"code": 1}),
        ("lose_sideband", {"after_events": -1}),
        ("duplicate_events", {"copies": 1}),
        ("huge_events", {"n_bytes": 10**9}),
        ("stop_audio", {"for_s": 1.0}),
        ("late_audio", {"for_s": True}),
    ],
)
def test_a_fault_that_cannot_be_is_refused(name: str, options: dict[str, object]) -> None:
    """Where it is begun."""
    with pytest.raises(ValueError, match=r"."):
        begin_fault(Faults(), name, options)
