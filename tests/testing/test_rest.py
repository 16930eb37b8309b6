"""Requests beside a call at the fake answerer: minted keys, SIP calls, hang-ups from anywhere, and what is judged."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import httpx
import pytest

import rtc_client.testing
from rtc_client.clock import epoch_s
from rtc_client.testing import CallEnd, FakeAnswerer, SipState
from rtc_client.testing.server.client_secrets import ClientSecrets
from rtc_client.testing.wire.record import SeenRequest
from tests.snippets import Snippet, execute, find_snippets, folder
from tests.testing.caller import IDENTITY, form, joined, post
from tests.testing.conftest import Place

__all__ = ["folder"]

DOCS = Path(rtc_client.testing.__file__).parent / "docs"
KEY = {"authorization": "Bearer sk-plain-supervisor"}


@pytest.mark.real_time("each snippet is a program that places a call")
@pytest.mark.parametrize("snippet", find_snippets((DOCS / "rest.md").read_text(encoding="utf-8")), ids=str)
async def test_snippet_of_the_page_works(snippet: Snippet, folder: Path) -> None:
    """As it stands there."""
    await execute(snippet, folder)


async def ask(
    answerer: FakeAnswerer, path: str, body: object = None, headers: dict[str, str] | None = None
) -> httpx.Response:
    """Post to the answerer, as somebody else than our own client."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        url = f"{answerer.base_url}/realtime/{path}"
        return await client.post(url, headers=KEY if headers is None else headers, json=body)


# --- client secrets --------------------------------------------------------------------------------------------------


async def test_minted_key_is_told_with_its_expiry_and_its_session(answerer: FakeAnswerer) -> None:
    """In the shape of the GA API; the answerer remembers it, and its log does not hold it."""
    asked = {
        "expires_after": {"anchor": "created_at", "seconds": 60},
        "session": {"type": "transcription", "include": ["x"]},
    }
    response = await ask(answerer, "client_secrets", asked)

    minted = response.json()
    assert response.status_code == 200
    assert minted.keys() == {"value", "expires_at", "session"}
    assert minted["value"].startswith("ek_")
    assert 55 < minted["expires_at"] - epoch_s() <= 60
    assert minted["session"].items() >= {"type": "transcription", "include": ["x"]}.items()
    (kept,) = answerer.client_secrets
    assert (kept.value, kept.expires_at, kept.session) == tuple(
        minted[key] for key in ("value", "expires_at", "session")
    )
    shown = f"{kept} {kept!r} {[entry.as_json() for entry in answerer.wire]} {json.dumps(await answerer.report())}"
    assert minted["value"] not in shown
    assert answerer.violations == []


async def test_key_without_a_wish_lives_ten_minutes(answerer: FakeAnswerer) -> None:
    """And is for a realtime session."""
    minted = (await ask(answerer, "client_secrets", {})).json()

    assert 590 < minted["expires_at"] - epoch_s() <= 600
    assert minted["session"]["type"] == "realtime"


class _Clock:
    """Stands where it is put."""

    now = 100.0

    def now_s(self) -> float:
        return self.now

    async def sleep_until(self, deadline_s: float) -> None:
        raise AssertionError


def _seen(key: str) -> SeenRequest:
    return SeenRequest(method="POST", target="/", headers=[("Authorization", f"Bearer {key}")], body=b"", at_s=0.0)


def test_minted_key_is_good_up_to_its_second() -> None:
    """And not from then on; others always are, unless revoked."""
    clock = _Clock()
    keys = ClientSecrets(clock)
    minted = keys.mint({}, 10)

    clock.now = 109.9
    assert keys.complaint(_seen(minted.value)) is None
    clock.now = 110.0
    assert keys.complaint(_seen(minted.value)) == "the ephemeral key has expired"
    assert keys.complaint(_seen("ek_of-somebody-else")) is None
    keys.revoke("sk-1")
    assert keys.complaint(_seen("sk-1")) == "the key is not valid"


async def test_expired_key_is_refused_everywhere(answerer: FakeAnswerer, place: Place) -> None:
    """Offer, sideband, hang-up and the requests beside a call get a 401; that is no violation."""
    key = (await ask(answerer, "client_secrets", {})).json()["value"]
    theirs = IDENTITY | {"authorization": f"Bearer {key}"}
    placed = await place(answerer)
    body, kind = form(await placed.caller.offer())
    call_id = answerer.calls[0].call_id
    path = f"calls/{call_id}/hangup"
    answerer.client_secrets[0].expire()

    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        offered = await client.post(
            f"{answerer.base_url}/realtime/calls?intent=quicksilver&architecture=avas",
            content=body,
            headers=theirs | {"content-type": kind},
        )
        handshake = await client.get(
            f"{answerer.base_url}/realtime?intent=quicksilver&call_id={call_id}",
            headers=theirs | {"upgrade": "websocket", "connection": "upgrade"},
        )
        others = [await ask(answerer, one, {}, theirs) for one in ("client_secrets", path, "calls/rtc_x/accept")]

    assert [offered.status_code, handshake.status_code, *(one.status_code for one in others)] == [401] * 5
    assert offered.json() == {"error": {"message": "the ephemeral key has expired"}}
    assert answerer.calls[0].ended_by is None


# --- SIP -------------------------------------------------------------------------------------------------------------


async def test_sip_call_is_accepted_transferred_or_declined(answerer: FakeAnswerer) -> None:
    """What became of it is there to see, with what was sent."""
    first, second, third = answerer.ring(), answerer.ring(), answerer.ring()
    session = {"type": "realtime", "instructions": "Be brief."}
    statuses = [
        (await ask(answerer, f"calls/{first.call_id}/accept", session)).status_code,
        (await ask(answerer, f"calls/{first.call_id}/refer", {"target_uri": "tel:+14155550123"})).status_code,
        (await ask(answerer, f"calls/{second.call_id}/reject", {"status_code": 486})).status_code,
        (await ask(answerer, f"calls/{third.call_id}/hangup")).status_code,
    ]

    assert statuses == [200] * 4
    assert (first.state, first.session, first.target_uri) == (SipState.REFERRED, session, "tel:+14155550123")
    assert (second.state, second.status_code) == (SipState.REJECTED, 486)
    assert third.state is SipState.HUNG_UP
    assert answerer.sip_calls == [first, second, third]
    assert answerer.violations == []
    assert "instructions" not in repr(first)


async def test_verb_at_the_wrong_time_changes_nothing(answerer: FakeAnswerer, place: Place) -> None:
    """Not ringing any more, not accepted yet, a WebRTC call, or none: 400 and 404."""
    call = answerer.ring()
    accept = {"type": "realtime"}
    assert (await ask(answerer, f"calls/{call.call_id}/refer", {"target_uri": "tel:+1"})).status_code == 400
    assert (await ask(answerer, f"calls/{call.call_id}/reject", {})).status_code == 200
    assert (await ask(answerer, f"calls/{call.call_id}/accept", accept)).status_code == 400
    assert (await ask(answerer, f"calls/{call.call_id}/hangup")).status_code == 404
    assert (call.state, call.status_code) == (SipState.REJECTED, 603)

    await place(answerer)
    assert (await ask(answerer, f"calls/{answerer.calls[0].call_id}/accept", accept)).status_code == 400
    unknown = await ask(answerer, "calls/rtc_none/accept", accept)
    assert (unknown.status_code, unknown.json()) == (404, {"error": {"message": "no such call"}})
    assert [violation.section for violation in answerer.violations] == ["1.4"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("client_secrets", {"session": {"type": "quicksilver"}}),
        ("client_secrets", {"session": {}}),
        ("client_secrets", {"expires_after": {"anchor": "created_at", "seconds": 9}}),
        ("client_secrets", {"expires_after": {"anchor": "created_at", "seconds": 7201}}),
        ("client_secrets", {"expires_after": {"anchor": "created_at", "seconds": True}}),
        ("client_secrets", {"expires_after": {"seconds": 60}}),
        ("client_secrets", {"model": "m"}),
        ("client_secrets", []),
        ("client_secrets", None),
        ("accept", {"type": "transcription"}),
        ("accept", {}),
        ("reject", {"status_code": 200}),
        ("reject", {"status": 603}),
        ("refer", {}),
        ("refer", {"target_uri": "https://x.test"}),
    ],
)
async def test_body_that_is_not_right_is_refused_and_blamed(answerer: FakeAnswerer, path: str, body: Any) -> None:
    """With a 400 that says why, and nothing done."""
    call = answerer.ring()
    where = path if path == "client_secrets" else f"calls/{call.call_id}/{path}"
    response = await ask(answerer, where, body)

    assert response.status_code == 400
    assert response.json()["error"]["message"] == "; ".join(violation.message for violation in answerer.violations)
    assert {violation.section for violation in answerer.violations} == {"REST"}
    assert (call.state, answerer.client_secrets) == (SipState.RINGING, [])


async def test_headers_are_judged(answerer: FakeAnswerer) -> None:
    """A request without a key is refused; one of a call's own dialect is not one of REST."""
    assert (await ask(answerer, "client_secrets", {}, {})).status_code == 401
    assert (await ask(answerer, "client_secrets", {}, IDENTITY)).status_code == 200

    assert [violation.message for violation in answerer.violations] == [
        "the header authorization must be there, once: Bearer and a key",
        "a request beside a call is of no dialect: it has no openai-alpha",
    ]


async def test_call_is_hung_up_by_somebody_else(answerer: FakeAnswerer, place: Place) -> None:
    """With a key and nothing else of the call: both its legs are closed, and it is no violation."""
    await place(answerer)
    call = answerer.calls[0]
    await call.media_connected()
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        assert (await ask(answerer, f"calls/{call.call_id}/hangup")).status_code == 200
        await sideband.wait_closed()
        assert sideband.close_code == 1000

    assert await call.ended() is CallEnd.CLIENT_HANGUP
    assert [violation for violation in answerer.violations if violation.section == "REST"] == []


# --- faults ----------------------------------------------------------------------------------------------------------


async def test_faults_of_these_requests_are_met_by_them_alone(answerer: FakeAnswerer, place: Place) -> None:
    """A refusal, a hold and a lost connection; a call's own are for its hang-up."""
    answerer.faults.refuse_rest(401, body='{"error":{"message":"no"}}')
    await place(answerer)
    call = answerer.calls[0]
    assert (await ask(answerer, "client_secrets", {})).status_code == 401
    assert (await ask(answerer, "client_secrets", {})).status_code == 200

    call.faults.refuse_rest(503)
    assert (await ask(answerer, "client_secrets", {})).status_code == 200
    assert (await ask(answerer, f"calls/{call.call_id}/hangup")).status_code == 503
    assert call.ended_by is None

    answerer.faults.drop_rest()
    with pytest.raises(httpx.TransportError):
        await ask(answerer, f"calls/{call.call_id}/hangup")
    assert call.ended_by is None

    with answerer.faults.hold_rest() as held:
        asking = asyncio.create_task(ask(answerer, f"calls/{call.call_id}/hangup"))
        await answerer.wait_for_request(n=len(answerer.requests) + 1)
        assert not asking.done()
        asking.cancel()
        await asyncio.wait([asking])
    assert held.n_met == 1


# --- a client that we did not write ----------------------------------------------------------------------------------


async def test_official_sdk_gets_what_it_expects(answerer: FakeAnswerer, place: Place) -> None:
    """openai-python, from the extra `openai`: its typed answers, and its own exceptions."""
    openai = pytest.importorskip("openai")
    await place(answerer)
    call, ringing, declined = answerer.calls[0], answerer.ring(), answerer.ring()
    async with (
        httpx.AsyncClient(trust_env=False, verify=False) as http,
        openai.AsyncOpenAI(
            api_key="sk-sdk", base_url=answerer.base_url, http_client=http, max_retries=0, timeout=5.0
        ) as sdk,
    ):
        secret = await sdk.realtime.client_secrets.create(
            expires_after={"anchor": "created_at", "seconds": 30}, session={"type": "realtime", "instructions": "hi"}
        )
        await sdk.realtime.calls.accept(ringing.call_id, type="realtime", model="gpt-realtime")
        await sdk.realtime.calls.refer(ringing.call_id, target_uri="sip:agent@example.com")
        await sdk.realtime.calls.reject(declined.call_id)
        with pytest.raises(openai.NotFoundError, match="no such call"):
            await sdk.realtime.calls.hangup("rtc_none")
        await sdk.realtime.calls.hangup(call.call_id)
        answerer.revoke_key("sk-sdk")
        with pytest.raises(openai.AuthenticationError, match="the key is not valid"):
            await sdk.realtime.client_secrets.create()

    assert (secret.value, secret.expires_at) == (
        answerer.client_secrets[0].value,
        answerer.client_secrets[0].expires_at,
    )
    assert secret.session.instructions == "hi"
    assert (ringing.state, declined.status_code) == (SipState.REFERRED, 603)
    assert await call.ended() is CallEnd.CLIENT_HANGUP
    assert [violation for violation in answerer.violations if violation.section == "REST"] == []


async def test_offers_are_still_answered(answerer: FakeAnswerer) -> None:
    """A route more has taken none away: what is no offer is refused as ever, what is at no path as well."""
    assert (await post(answerer.base_url, b"", "text/plain")).status_code == 400
    assert (await ask(answerer, "calls/rtc_1/mute", {})).status_code == 404
