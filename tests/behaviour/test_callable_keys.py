"""Promise: a key may be a callable, asked when it is needed and once more after a 401, on every leg of a call."""

from __future__ import annotations

import asyncio
import logging

import pytest

from rtc_client import (
    CallConfig,
    ClientSecret,
    Deadlines,
    EndReason,
    KeyExpired,
    KeyUnavailable,
    OfferRejected,
    SidebandRejected,
    connect,
)
from rtc_client.clock import epoch_s
from rtc_client.testing import FakeAnswerer
from tests.behaviour.logs import everything_in
from tests.fake_keys import Keys
from tests.sideband.harness import accept_and_read, joining
from tests.signaling.harness import CALL_ID, answer, exchange, signaling
from tests.wire.replay import HastyClock
from tests.wire.server import Request, Wire, WireServer

OLD, NEW = "sk-old-plain-4471", "sk-new-plain-9032"


def authorizations(requests: list[Request]) -> list[str | None]:
    """Return what each request showed to prove who sent it."""
    return [request.header("authorization") for request in requests]


async def _accept_new_only(wire: Wire, request: Request, n: int) -> None:
    if request.header("authorization") != f"Bearer {NEW}":
        await wire.respond(401, body=f'{{"error":{{"message":"bad key {OLD}, not {NEW}"}}}}')
    elif request.is_handshake:
        await accept_and_read(wire, request, n)
    else:
        await answer(wire, request, n)


async def test_offer_refused_with_401_is_posted_again_with_a_fresh_key() -> None:
    """At once, with the same body; the answer is then a call like any other."""
    clock, source = HastyClock(), Keys(OLD, NEW)
    async with (
        WireServer(post=_accept_new_only) as server,
        signaling(server.base_url, clock=clock, api_key=source) as opened,
    ):
        answered = await opened.exchange_offer("v=0\r\n")
        assert await opened.hang_up(answered.call_id)

    assert answered.call_id == CALL_ID
    assert authorizations(server.requests) == [f"Bearer {OLD}", f"Bearer {NEW}", f"Bearer {NEW}"]
    assert server.posts[0].body == server.posts[1].body
    assert clock.waits_s == []
    assert source.asked == 2


@pytest.mark.parametrize(("keys", "n_posts"), [((OLD, "sk-3", NEW), 2), ((OLD, OLD), 1)])
async def test_second_401_is_final_and_a_refused_key_is_not_sent_again(keys: tuple[str, ...], n_posts: int) -> None:
    """It is asked again once; what the server says about either key is not repeated."""
    source = Keys(*keys)
    async with WireServer(post=_accept_new_only) as server:
        with pytest.raises(OfferRejected) as refused:
            await exchange(server, api_key=source)

    assert refused.value.status == 401
    assert OLD not in str(refused.value)
    assert len(server.posts) == n_posts
    assert source.asked == 2


async def test_literal_key_is_not_sent_again() -> None:
    """There is no other to send."""
    async with WireServer(post=_accept_new_only) as server:
        with pytest.raises(OfferRejected, match=r"HTTP 401: bad key \[redacted\]"):
            await exchange(server, api_key=OLD)

    assert len(server.posts) == 1


async def test_handshake_refused_with_401_is_made_again_with_a_fresh_key() -> None:
    """At once; a handshake that is refused again is final."""
    clock, source = HastyClock(), Keys(OLD, NEW)
    async with WireServer(handshake=_accept_new_only) as server:
        async with joining(server, clock=clock, api_key=source) as join:
            await join.heard.until(lambda: join.heard.joined)
        async with joining(server, api_key=Keys(OLD, "sk-3", NEW)) as join:
            with pytest.raises(SidebandRejected, match=r"HTTP 401 \(2 tries\)"):
                await join.ended()

    assert authorizations(server.handshakes) == [f"Bearer {OLD}", f"Bearer {NEW}", f"Bearer {OLD}", "Bearer sk-3"]
    assert clock.waits_s == []


async def test_handshake_without_a_key_is_told_as_a_sideband_that_cannot_be_joined() -> None:
    """So a call that prefers events goes on without them; the failure of the callable is chained."""
    async with WireServer(handshake=_accept_new_only) as server, joining(server, api_key=Keys()) as join:
        with pytest.raises(SidebandRejected, match="raised IndexError") as refused:
            await join.ended()

    assert isinstance(refused.value.__cause__, KeyUnavailable)
    assert server.handshakes == []


async def test_hangup_refused_with_401_is_said_again_with_a_fresh_key() -> None:
    """A key that ran out during a long call does not leave it open; one that cannot be got is no error."""
    async with WireServer() as server:
        server.hangup_status = 401
        async with signaling(server.base_url, api_key=Keys(OLD, NEW)) as opened:
            assert not await opened.hang_up(CALL_ID)
        assert authorizations(server.hangups) == [f"Bearer {OLD}", f"Bearer {NEW}"]
        async with signaling(server.base_url, api_key=Keys()) as opened:
            assert not await opened.hang_up(CALL_ID)
    assert len(server.hangups) == 2


async def test_hangup_does_not_wait_for_a_callable_longer_than_for_a_server() -> None:
    """The deadline of the hang-up holds for the key too."""

    async def hang() -> str:
        await asyncio.Event().wait()
        return NEW

    deadlines = Deadlines(remote_hangup_s=0.05)
    async with WireServer() as server, signaling(server.base_url, api_key=hang, deadlines=deadlines) as opened:
        async with asyncio.timeout(2.0):
            assert not await opened.hang_up(CALL_ID)
    assert server.hangups == []


async def test_call_survives_keys_that_are_refused_on_every_leg(
    answerer: FakeAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    """Offer and sideband meet a 401 each; the fake answerer finds nothing wrong, and no key is logged."""
    source = Keys(OLD, "sk-plain-between", NEW)
    answerer.faults.refuse_post(401)
    answerer.faults.refuse_sideband(401)
    config = CallConfig(api_key=source, base_url=answerer.base_url)
    with caplog.at_level(logging.DEBUG):
        async with connect(config) as call:
            await call.say("hello")
            await answerer.calls[0].wait_received(lambda event: event["type"] == "conversation.item.create")

    assert source.asked == 3
    assert answerer.calls[0].hung_up_by_client
    assert answerer.violations == []
    assert not any(key in everything_in(record) for record in caplog.records for key in (OLD, NEW, "sk-plain-between"))


async def test_call_without_a_key_to_be_had_is_never_dialled(answerer: FakeAnswerer) -> None:
    """The error of the callable ends it, as the program's own; nothing was sent."""
    call = connect(CallConfig(api_key=Keys(), base_url=answerer.base_url))
    with pytest.raises(KeyUnavailable, match="raised IndexError"):
        await call.__aenter__()

    assert answerer.requests == []
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.FAILED, "program")


async def test_expired_ephemeral_key_is_told_before_anything_is_sent(answerer: FakeAnswerer) -> None:
    """By its own error; the key is not in it."""
    secret = ClientSecret(value=OLD, expires_at=epoch_s() - 60)
    with pytest.raises(KeyExpired, match="mint another one") as expired:
        await connect(CallConfig(api_key=secret, base_url=answerer.base_url)).__aenter__()

    assert OLD not in f"{expired.value} {expired.value!r}"
    assert answerer.requests == []
