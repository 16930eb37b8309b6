"""Promises of the HTTP half: both shapes of the POST, the hang-up, what is refused, what is recorded."""

from __future__ import annotations

import httpx

from rtc_client.testing import CallEnd, FakeAnswerer
from rtc_client.testing.wire.sdp_text import media_sections
from tests.testing.caller import IDENTITY, NO_SAMPLES, SESSION, Caller, compact, form, joined, post
from tests.testing.conftest import Place
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING


async def test_an_offer_as_a_form_gets_an_answer(answerer: FakeAnswerer, place: Place) -> None:
    """201, application/sdp, a Location with a call id, and an answer with Opus on loopback."""
    placed = await place(answerer)

    assert placed.response.status_code == 201
    assert placed.response.headers["content-type"] == "application/sdp"
    assert placed.response.headers["location"] == f"/v1/realtime/calls/{answerer.calls[0].call_id}"
    (audio,) = media_sections(placed.response.text)
    assert audio.direction == "sendrecv"
    assert audio.opus_parameters == {"minptime=10", "useinbandfec=1"}
    assert {candidate.split()[4] for candidate in audio.values("candidate")} == {"127.0.0.1"}
    assert answerer.calls[0].session == SESSION
    assert answerer.violations == []


async def test_an_offer_as_json_gets_an_answer_at_the_backend_base(answerer: FakeAnswerer) -> None:
    """The other shape, the same call; its Location is that of the API base."""
    caller = Caller(NO_SAMPLES)
    body = compact({"sdp": await caller.offer(), "session": SESSION}).encode()

    response = await post(answerer.backend_url, body, "application/json")
    await caller.accept(response.text)
    await caller.connected()

    assert response.status_code == 201
    assert response.headers["location"].startswith("/v1/realtime/calls/rtc_")
    assert answerer.violations == []
    await caller.close()


async def test_an_offer_without_any_candidate_gets_a_call(answerer: FakeAnswerer) -> None:
    """The audio of the recorded offers, behind which nobody stands: the call waits, and its sideband can be joined."""
    response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING))

    assert response.status_code == 201
    call = await answerer.wait_for_call()
    async with joined(answerer, call.call_id) as sideband:
        assert "session.updated" in str(await sideband.recv())
    assert await call.ended() is CallEnd.CLIENT_SIDEBAND
    assert answerer.violations == []


async def test_requests_are_recorded_as_they_came(answerer: FakeAnswerer) -> None:
    """Target, headers in order and case, body."""
    await post(answerer.base_url, b"abc", "text/plain", query="key=%41b&x", **{"X-Odd-Case": "a, b"})

    (request,) = answerer.requests
    assert (request.method, request.target) == ("POST", "/v1/realtime/calls?key=%41b&x")
    assert ("X-Odd-Case", "a, b") in request.headers
    ours = [name for name, _ in request.headers if name in IDENTITY]
    assert sorted(ours) == sorted(IDENTITY)
    assert request.body == b"abc"
    assert 0 <= request.at_s < 5


async def test_violations_are_recorded_and_the_call_goes_on(answerer: FakeAnswerer) -> None:
    """A test sees what its client did wrong, with the section and the call."""
    response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING), query="intent=quicksilver", accept="text/html")

    assert response.status_code == 201
    call_id = answerer.calls[0].call_id
    assert [(violation.section, violation.call_id) for violation in answerer.violations] == [("1.1", call_id)] * 2


async def test_a_strict_answerer_refuses_what_violates() -> None:
    """With 400, and in words."""
    async with FakeAnswerer(strict_refuse=True) as answerer:
        response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING), query="intent=quicksilver")

        assert response.status_code == 400
        assert "the query must end with" in response.json()["error"]["message"]
        assert answerer.calls == []
        assert len(answerer.violations) == 1


async def test_what_is_no_offer_is_refused(answerer: FakeAnswerer) -> None:
    """With 400, whichever way it is none; and no call comes of it."""
    without_audio = SDP_OF_A_RECORDING[: SDP_OF_A_RECORDING.index("m=audio")].replace("a=group:BUNDLE 0\r\n", "")
    broken = SDP_OF_A_RECORDING.replace("a=ice-ufrag:abcd\r\n", "")
    for sdp in ("", "hello", without_audio, broken):
        response = await post(answerer.base_url, *form(sdp))
        assert (sdp, response.status_code) == (sdp, 400)

    assert (await post(answerer.base_url, b"", "text/plain")).status_code == 400
    assert answerer.calls == []


async def test_a_body_without_end_is_refused(answerer: FakeAnswerer) -> None:
    """Memory is bounded."""
    response = await post(answerer.base_url, b"x" * (2 * 1024 * 1024 + 1), "text/plain")

    assert response.status_code == 413


async def test_a_hang_up_over_rest_ends_the_call(answerer: FakeAnswerer, place: Place) -> None:
    """Both legs are closed, and the test can see who did it; asking twice is no error."""
    placed = await place(answerer)
    call = await answerer.wait_for_call()
    await call.media_connected()
    async with joined(answerer, call.call_id) as sideband, httpx.AsyncClient(trust_env=False, verify=False) as client:
        await call.sideband_joined()
        url = f"{answerer.base_url}/realtime/calls/{call.call_id}/hangup"
        statuses = [(await client.post(url, headers=IDENTITY)).status_code for _ in range(2)]

        await sideband.wait_closed()
        assert (statuses, sideband.close_code) == ([200, 200], 1000)
    assert await call.ended() is CallEnd.CLIENT_HANGUP
    assert call.hung_up_by_client
    assert placed.caller.peer.connectionState == "closed"


async def test_nobody_can_hang_up_an_unknown_call(answerer: FakeAnswerer) -> None:
    """404."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        response = await client.post(f"{answerer.backend_url}/realtime/calls/rtc_none/hangup")

    assert response.status_code == 404
