"""Promise: keys are minted, and calls ended, accepted, declined and transferred, beside a call or without one.

In real time: `test_lost_connections_are_tried_again_where_that_does_no_harm`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from rtc_client import (
    CallConfig,
    ClientSecret,
    Deadlines,
    EndReason,
    OfferRejected,
    RealtimeApi,
    RequestRejected,
    ServiceUnreachable,
    connect,
)
from rtc_client.testing import FakeAnswerer, SipState
from tests.behaviour.calls import API_KEY, config_for


def api_for(answerer: FakeAnswerer, **settings: Any) -> RealtimeApi:
    """Return the REST side of `answerer`."""
    return RealtimeApi(**({"api_key": API_KEY, "base_url": answerer.base_url} | settings))


@pytest.fixture
async def api(answerer: FakeAnswerer) -> AsyncIterator[RealtimeApi]:
    """Yield the REST side, opened."""
    async with api_for(answerer) as opened:
        yield opened


async def test_call_with_a_minted_key_until_it_expires(answerer: FakeAnswerer, api: RealtimeApi) -> None:
    """Then it gets a 401, and a callable that mints is asked for another one."""
    secret = await api.create_client_secret({"type": "realtime"}, expires_after_s=60)
    async with connect(CallConfig(api_key=secret, base_url=answerer.base_url)) as call:
        pass
    assert call.result.error is None

    answerer.client_secrets[0].expire()
    with pytest.raises(OfferRejected, match="HTTP 401: the ephemeral key has expired"):
        await connect(CallConfig(api_key=secret, base_url=answerer.base_url)).__aenter__()

    given = [secret]

    async def mint() -> ClientSecret:
        return given.pop() if given else await api.create_client_secret()

    async with connect(CallConfig(api_key=mint, base_url=answerer.base_url)) as call:
        pass
    assert call.result.error is None
    assert len(answerer.client_secrets) == 2
    assert answerer.violations == []


async def test_key_that_expires_during_a_call_does_not_leave_it_open(answerer: FakeAnswerer, api: RealtimeApi) -> None:
    """The hang-up of a callable key is said with a fresh one."""
    async with connect(CallConfig(api_key=api.create_client_secret, base_url=answerer.base_url)):
        answerer.client_secrets[0].expire()

    assert answerer.calls[0].hung_up_by_client
    assert len(answerer.client_secrets) == 2


async def test_call_that_somebody_hangs_up_by_its_id_is_over_for_its_caller(
    answerer: FakeAnswerer, api: RealtimeApi
) -> None:
    """As a hang-up of the server; the caller says none of its own then."""
    async with connect(config_for(answerer)) as call:
        assert call.call_id is not None
        await answerer.calls[0].sideband_joined()
        await api.hangup(call.call_id)
        result = await call.wait_ended()

    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.REMOTE_HANGUP, "server")
    assert len([request for request in answerer.requests if request.path.endswith("/hangup")]) == 1
    assert answerer.violations == []


async def test_sip_calls_are_accepted_transferred_declined_and_ended(answerer: FakeAnswerer, api: RealtimeApi) -> None:
    """With the session, the status and the target that were asked for."""
    accepted, declined, ended = answerer.ring(), answerer.ring(), answerer.ring()
    await api.accept(accepted.call_id, {"instructions": "Be brief."})
    await api.refer(accepted.call_id, "tel:+14155550123")
    await api.reject(declined.call_id)
    await api.hangup(ended.call_id)

    assert accepted.session == {"type": "realtime", "instructions": "Be brief."}
    assert (accepted.state, accepted.target_uri) == (SipState.REFERRED, "tel:+14155550123")
    assert (declined.status_code, ended.state) == (603, SipState.HUNG_UP)
    with pytest.raises(RequestRejected, match="refused to accept the call with HTTP 400: cannot accept"):
        await api.accept(accepted.call_id, {})
    assert answerer.violations == []


async def test_refused_requests_are_told_and_server_errors_tried_again(
    answerer: FakeAnswerer, api: RealtimeApi
) -> None:
    """`refuse_rest` with a 403, and with a 503 that passes."""
    answerer.faults.refuse_rest(403, body='{"error":{"message":"not yours"}}')
    with pytest.raises(RequestRejected, match="HTTP 403: not yours"):
        await api.create_client_secret()

    with answerer.faults.refuse_rest(503) as fault:
        assert (await api.create_client_secret()).value == answerer.client_secrets[0].value
    assert fault.n_met == 1


async def test_401_once_is_answered_with_a_fresh_key(answerer: FakeAnswerer) -> None:
    """On a request beside a call, and on the hang-up of a call."""
    keys = iter(f"sk-plain-{n}" for n in range(9))
    async with api_for(answerer, api_key=lambda: next(keys)) as api:
        answerer.faults.refuse_rest(401)
        await api.create_client_secret()

    async with connect(CallConfig(api_key=lambda: next(keys), base_url=answerer.base_url)):
        answerer.calls[0].faults.refuse_rest(401)
    assert answerer.calls[0].hung_up_by_client
    assert [request.header("authorization") for request in answerer.requests] == [
        f"Bearer sk-plain-{n}" for n in (0, 1, 2, 2, 3)
    ]
    assert answerer.violations == []


@pytest.mark.both_clocks
async def test_lost_connections_are_tried_again_where_that_does_no_harm(
    answerer: FakeAnswerer, api: RealtimeApi
) -> None:
    """`drop_rest`: minting is repeated; an accept is not, and its error says that it may have been heard."""
    answerer.faults.drop_rest()
    await api.create_client_secret()

    answerer.faults.drop_rest()
    with pytest.raises(ServiceUnreachable, match="connection to the service was lost") as lost:
        await api.accept(answerer.ring().call_id, {})
    assert lost.value.may_have_arrived


async def test_answer_that_never_comes_has_a_deadline(answerer: FakeAnswerer) -> None:
    """`hold_rest`, on a request beside a call and on the hang-up of one."""
    answerer.faults.hold_rest()
    async with api_for(answerer, deadlines=Deadlines(answer_s=0.05)) as api, asyncio.timeout(2.0):
        with pytest.raises(ServiceUnreachable, match="no whole answer"):
            await api.reject(answerer.ring().call_id)

    config = config_for(answerer, deadlines={"remote_hangup_s": 0.1})
    with answerer.faults.hold_rest() as fault:
        async with asyncio.timeout(4.0), connect(config) as call:
            pass
    assert call.result.error is None
    assert fault.n_met == 1
