"""Promises of the faults: each is met by the next request, so many times, and then all is as before.

In real time: `test_dead_candidates_never_connect`.
"""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest
from websockets.exceptions import InvalidMessage, InvalidStatus

from rtc_client.testing import FakeAnswerer, Faults
from tests.testing.caller import form, joined, post, until
from tests.testing.conftest import Place
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING

OFFER = form(SDP_OF_A_RECORDING)


async def test_posts_are_refused_so_many_times(answerer: FakeAnswerer) -> None:
    """With this status, these headers, this body; then the call is answered."""
    answerer.faults.refuse_post(503, headers=(("Retry-After", "1"),), body='{"error":{}}', times=2)

    responses = [await post(answerer.base_url, *OFFER) for _ in range(3)]

    assert [response.status_code for response in responses] == [503, 503, 201]
    assert (responses[0].headers["retry-after"], responses[0].text) == ("1", '{"error":{}}')
    assert len(answerer.calls) == 1
    assert answerer.faults.n_waiting == 0


async def test_a_fault_is_met_by_what_is_no_offer_too(answerer: FakeAnswerer) -> None:
    """The answerer is broken, whatever is posted."""
    answerer.faults.refuse_post(500)

    assert (await post(answerer.base_url, b"", "text/plain")).status_code == 500


async def test_a_post_is_redirected(answerer: FakeAnswerer) -> None:
    """302 to where one says."""
    answerer.faults.redirect_post("http://127.0.0.1:9/elsewhere")

    response = await post(answerer.base_url, *OFFER)

    assert (response.status_code, response.headers["location"]) == (302, "http://127.0.0.1:9/elsewhere")


async def test_a_post_is_dropped(answerer: FakeAnswerer) -> None:
    """The connection ends without an answer."""
    answerer.faults.drop_post()

    with pytest.raises(httpx.TransportError):
        await post(answerer.base_url, *OFFER)
    assert answerer.calls == []


async def test_an_answer_is_held(answerer: FakeAnswerer) -> None:
    """The call exists, its answer comes later."""
    answerer.faults.hold_answer(0.2)
    started_s = time.monotonic()

    response = await post(answerer.base_url, *OFFER)

    assert response.status_code == 201
    assert time.monotonic() - started_s >= 0.199


async def test_an_answer_is_held_for_ever() -> None:
    """Until the answerer closes, which it does without waiting; the caller may also give up before."""
    async with FakeAnswerer() as answerer:
        answerer.faults.hold_answer(times=2)
        given_up = asyncio.create_task(post(answerer.base_url, *OFFER))
        await answerer.wait_for_call()
        given_up.cancel()
        await asyncio.wait({given_up})
        waiting = asyncio.create_task(post(answerer.base_url, *OFFER))
        await answerer.wait_for_call(n=2)
        assert not waiting.done()

    assert given_up.cancelled()
    await asyncio.wait({waiting})
    assert waiting.exception() is not None or waiting.result().status_code == 201


@pytest.mark.parametrize(
    ("asked", "sent"),
    [
        ("{call_id}", "{call_id}"),
        ("https://example.test/v1/calls/{call_id}/x?a=/rtc_no", "https://example.test/v1/calls/{call_id}/x?a=/rtc_no"),
        ("/nothing", "/nothing"),
        (None, None),
    ],
)
async def test_the_location_is_changed(answerer: FakeAnswerer, asked: str | None, sent: str | None) -> None:
    """To anything, with the call id in it or not, or left out."""
    answerer.faults.change_location(asked)

    response = await post(answerer.base_url, *OFFER)

    call_id = answerer.calls[0].call_id
    assert response.headers.get("location") == (sent and sent.replace("{call_id}", call_id))


async def test_the_answer_is_changed(answerer: FakeAnswerer) -> None:
    """Body, content type and status, each alone or together."""
    answerer.faults.change_answer(b"\xff", content_type="text/html")
    answerer.faults.change_answer(status=200)

    first = await post(answerer.base_url, *OFFER)
    second = await post(answerer.base_url, *OFFER)

    assert (first.status_code, first.content, first.headers["content-type"]) == (201, b"\xff", "text/html")
    assert (second.status_code, second.text) == (200, answerer.calls[1].answer_sdp)


@pytest.mark.both_clocks
async def test_dead_candidates_never_connect(answerer: FakeAnswerer, place: Place) -> None:
    """Nobody is there, and nobody comes from elsewhere either."""
    answerer.faults.dead_candidates()

    placed = await place(answerer)

    with pytest.raises(TimeoutError):
        await placed.caller.connected(timeout_s=1.0)
    assert placed.caller.peer.iceConnectionState == "checking"
    assert not answerer.calls[0].is_media_connected


async def test_a_wrong_fingerprint_is_noticed_by_the_caller(answerer: FakeAnswerer, place: Place) -> None:
    """ICE comes up, DTLS fails."""
    answerer.faults.wrong_fingerprint()

    placed = await place(answerer)

    await until(lambda: placed.caller.peer.connectionState == "failed")
    assert placed.caller.peer.iceConnectionState == "completed"


async def test_handshakes_are_refused_so_many_times(answerer: FakeAnswerer) -> None:
    """Then the sideband is joined."""
    answerer.faults.refuse_sideband(404, times=2)
    await post(answerer.base_url, *OFFER)
    call = answerer.calls[0]

    for _ in range(2):
        with pytest.raises(InvalidStatus) as refused:
            async with joined(answerer, call.call_id):
                pass
        assert refused.value.response.status_code == 404
    async with joined(answerer, call.call_id):
        await call.sideband_joined()

    assert len(answerer.handshakes) == 3


async def test_a_handshake_is_held_redirected_or_dropped(answerer: FakeAnswerer) -> None:
    """In the order in which the faults were asked for."""
    await post(answerer.base_url, *OFFER)
    call = answerer.calls[0]
    answerer.faults.hold_sideband(0.2)
    answerer.faults.drop_sideband()

    started_s = time.monotonic()
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        assert time.monotonic() - started_s >= 0.199
        await sideband.close(1011)
    with pytest.raises((InvalidMessage, OSError, EOFError)):
        async with joined(answerer, call.call_id):
            pass
    answerer.faults.redirect_sideband("/v1/elsewhere", times=2)
    with pytest.raises(InvalidStatus):
        async with joined(answerer, call.call_id):
            pass


async def test_a_handshake_that_is_never_answered_ends_with_the_answerer() -> None:
    """Closing takes no longer for it."""
    async with FakeAnswerer() as answerer:
        await post(answerer.base_url, *OFFER)
        answerer.faults.hold_sideband()

        async def join() -> None:
            async with joined(answerer, answerer.calls[0].call_id):
                pass

        joining = asyncio.create_task(join())
        await until(lambda: len(answerer.handshakes) == 1)
        started_s = time.monotonic()

    assert time.monotonic() - started_s < 1.5
    await asyncio.wait({joining})
    assert joining.exception() is not None


def test_faults_are_bounded_and_can_be_cleared() -> None:
    """Nobody queues without limit, or for no request at all."""
    faults = Faults()
    for times in (0, -1, 10_001):
        with pytest.raises(ValueError, match="times"):
            faults.refuse_post(500, times=times)
    faults.refuse_post(500, times=10)
    faults.drop_sideband()
    assert faults.n_waiting == 11

    faults.clear()
    assert faults.n_waiting == 0
