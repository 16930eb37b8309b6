"""The REST side beside a call: the exact bytes of each verb, what is tried again, and what a refusal is told as."""

from __future__ import annotations

import asyncio
import json
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

import pytest

from rtc_client import (
    CallConfig,
    ClientSecret,
    ConfigError,
    Deadlines,
    InvalidCommand,
    KeyExpired,
    KeyUnavailable,
    RealtimeApi,
    RealtimeSession,
    RequestError,
    RequestRejected,
    ResponseInvalid,
    ServiceUnreachable,
    TranscriptionSession,
    V1Session,
)
from rtc_client.clock import Clock, epoch_s
from tests.behaviour.logs import everything_in
from tests.fake_keys import Keys
from tests.signaling.harness import CALL_ID, KEY
from tests.wire.replay import HastyClock, assert_schedule
from tests.wire.server import Request, Serve, Wire, WireServer

EPHEMERAL: Final = "ek_plain-ephemeral-2207"
MINTED: Final = {"value": EPHEMERAL, "expires_at": 1_800_000_600, "session": {"type": "realtime", "id": "sess_1"}}
REALTIME: Final = {"type": "realtime", "instructions": "Be brief, é."}

Verb: TypeAlias = Callable[[RealtimeApi], Awaitable[object]]

HANGUP: Final[Verb] = lambda api: api.hangup(CALL_ID)  # noqa: E731 - a table of verbs
ACCEPT: Final[Verb] = lambda api: api.accept(CALL_ID, REALTIME)  # noqa: E731
REJECT: Final[Verb] = lambda api: api.reject(CALL_ID, 486)  # noqa: E731
REFER: Final[Verb] = lambda api: api.refer(CALL_ID, "tel:+14155550123")  # noqa: E731
MINT: Final[Verb] = lambda api: api.create_client_secret(REALTIME)  # noqa: E731
EVERY: Final = {"hangup": HANGUP, "accept": ACCEPT, "reject": REJECT, "refer": REFER, "mint": MINT}
ONCE: Final = {name: EVERY[name] for name in ("accept", "reject", "refer")}
REPEATED: Final = {name: EVERY[name] for name in ("hangup", "mint")}

every_verb = pytest.mark.parametrize("verb", EVERY.values(), ids=EVERY.keys())


def api_of(server: WireServer, *, clock: Clock | None = None, **settings: Any) -> RealtimeApi:
    """Return the API of a scripted server."""
    values: dict[str, Any] = {"api_key": KEY, "base_url": server.base_url} | settings
    return RealtimeApi(clock=clock, rng=random.Random(1), **values)


def serving(serve: Serve) -> WireServer:
    """Return a server that answers every verb so."""
    return WireServer(post=serve, hangup=serve)


def answering(status: int, body: object = None, *headers: tuple[str, str], times: int = 1000) -> Serve:
    """Return what answers so many requests so, and the others with a minted key."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        if n > times:
            await wire.respond(200, body=json.dumps(MINTED))
        else:
            await wire.respond(status, headers, "" if body is None else json.dumps(body))

    return serve


# --- the bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        (HANGUP, f"calls/{CALL_ID}/hangup", None),
        (ACCEPT, f"calls/{CALL_ID}/accept", '{"type":"realtime","instructions":"Be brief, é."}'),
        (lambda api: api.accept(CALL_ID, {"model": "m"}), f"calls/{CALL_ID}/accept", '{"type":"realtime","model":"m"}'),
        (REJECT, f"calls/{CALL_ID}/reject", '{"status_code":486}'),
        (lambda api: api.reject(CALL_ID), f"calls/{CALL_ID}/reject", "{}"),
        (
            lambda api: api.accept(CALL_ID, RealtimeSession(model="m", output_modalities="text")),
            f"calls/{CALL_ID}/accept",
            '{"type":"realtime","model":"m","output_modalities":["text"]}',
        ),
        (REFER, f"calls/{CALL_ID}/refer", '{"target_uri":"tel:+14155550123"}'),
        (lambda api: api.create_client_secret(), "client_secrets", "{}"),
        (
            lambda api: api.create_client_secret({"type": "transcription"}, expires_after_s=10),
            "client_secrets",
            '{"expires_after":{"anchor":"created_at","seconds":10},"session":{"type":"transcription"}}',
        ),
    ],
)
async def test_each_verb_is_one_post_to_its_path(verb: Verb, path: str, body: str | None) -> None:
    """With the key, the provider's query and headers, and nothing of a dialect; JSON where there is a body."""
    async with (
        serving(answering(200, MINTED)) as server,
        api_of(server, query={"api-version": "x1"}, headers={"x-extra": "yes"}) as api,
    ):
        await verb(api)

    (request,) = server.requests
    assert request.line == f"POST /v1/realtime/{path}?api-version=x1 HTTP/1.1"
    named = dict(request.headers)
    assert named.pop("user-agent").startswith("rtc_client/")
    expected = {
        "Host": f"127.0.0.1:{server.port}",
        "authorization": f"Bearer {KEY}",
        "originator": "rtc_client",
        "accept": "*/*",
        "x-extra": "yes",
        "Content-Length": str(len((body or "").encode())),
    }
    assert named == expected | ({} if body is None else {"content-type": "application/json"})
    assert request.body == (body or "").encode()


async def test_minted_key_is_a_key() -> None:
    """Value, expiry and session come back; it is taken for a key as it is, and shows nothing."""
    async with serving(answering(200, MINTED)) as server, api_of(server) as api:
        secret = await api.create_client_secret()

        assert secret == ClientSecret(value=EPHEMERAL, expires_at=1_800_000_600, session=MINTED["session"])  # type: ignore[arg-type]
        assert EPHEMERAL not in f"{secret} {secret!r}"
        async with RealtimeApi(api_key=secret, base_url=server.base_url) as other:
            await other.hangup(CALL_ID)
    assert server.requests[-1].header("authorization") == f"Bearer {EPHEMERAL}"


@pytest.mark.parametrize(
    "body", [{}, [], "ek_1", {"value": 7}, {"value": ""}, {"value": f"{EPHEMERAL}\n"}, {"client_secret": MINTED}]
)
async def test_answer_without_a_usable_key_is_invalid(body: object) -> None:
    """And what is in it is not repeated."""
    async with serving(answering(200, body)) as server, api_of(server) as api:
        with pytest.raises(ResponseInvalid) as invalid:
            await api.create_client_secret()
    assert EPHEMERAL not in str(invalid.value)


@pytest.mark.parametrize("body", [b"\xff\xfe", b"x" * 1_100_000, b"not json", b"[" * 100_000])
async def test_answer_that_is_rubbish_is_invalid(body: bytes) -> None:
    """Too long, no UTF-8, no JSON, nested without end."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(200, body=body)

    async with serving(serve) as server, api_of(server) as api:
        with pytest.raises(ResponseInvalid):
            await api.create_client_secret()


async def test_expiry_that_is_not_told_is_not_known() -> None:
    """A provider may leave it out."""
    async with serving(answering(200, {"value": EPHEMERAL, "expires_at": None})) as server, api_of(server) as api:
        assert await api.create_client_secret() == ClientSecret(value=EPHEMERAL)


# --- refused before sending ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("verb", "says"),
    [
        (lambda api: api.create_client_secret({"type": "quicksilver"}), "realtime or transcription, not 'quicksilver'"),
        (lambda api: api.create_client_secret({"type": 7}), "any other type"),
        (lambda api: api.create_client_secret([("type", "realtime")]), "or a mapping, not list"),
        (lambda api: api.create_client_secret(V1Session()), "realtime or transcription, not 'quicksilver'"),
        (lambda api: api.accept(CALL_ID, TranscriptionSession()), "type realtime, not 'transcription'"),
        (lambda api: api.create_client_secret({"tools": [{1, 2}], "x": object()}), "JSON"),
        (lambda api: api.create_client_secret({"instructions": "\ud800"}), "JSON"),
        (lambda api: api.create_client_secret(expires_after_s=9), "10 to 7200"),
        (lambda api: api.create_client_secret(expires_after_s=7201), "10 to 7200"),
        (lambda api: api.create_client_secret(expires_after_s=60.0), "10 to 7200"),
        (lambda api: api.create_client_secret(expires_after_s=60, expires_anchor="used_at"), "created_at"),
        (lambda api: api.accept(CALL_ID, {"type": "transcription"}), "type realtime, not 'transcription'"),
        (lambda api: api.accept(CALL_ID, {"type": "quicksilver"}), "type realtime, not 'quicksilver'"),
        (lambda api: api.reject(CALL_ID, 200), "400 to 699"),
        (lambda api: api.reject(CALL_ID, 700), "400 to 699"),
        (lambda api: api.reject(CALL_ID, True), "400 to 699"),
        (lambda api: api.refer(CALL_ID, "+14155550123"), "tel:"),
        (lambda api: api.refer(CALL_ID, "tel:+1\r\nContact: x"), "tel:"),
        (lambda api: api.refer(CALL_ID, "https://evil.test/"), "tel:"),
        (lambda api: api.refer(CALL_ID, "tel:"), "tel:"),
        (lambda api: api.refer(CALL_ID, 7), "tel:"),
        (lambda api: api.hangup(""), "call id"),
        (lambda api: api.hangup("rtc_1/../../client_secrets"), "call id"),
        (lambda api: api.hangup(None), "call id"),
        (lambda api: api.accept("rtc 1", REALTIME), "call id"),
    ],
)
async def test_what_cannot_work_is_refused_before_anything_is_sent(verb: Verb, says: str) -> None:
    """With a sentence that says what would work."""
    async with serving(answering(200)) as server, api_of(server) as api:
        with pytest.raises(ConfigError, match=says):
            await verb(api)
    assert server.requests == []


async def test_session_given_as_a_value_is_checked_in_full() -> None:
    """What a command would refuse is refused here, too."""
    async with serving(answering(200)) as server, api_of(server) as api:
        with pytest.raises(InvalidCommand, match="temperature"):
            await api.accept(CALL_ID, RealtimeSession(temperature=3.0))
    assert server.requests == []


async def test_api_is_used_in_its_block_only() -> None:
    """Before it and after it there is no client; it is opened once."""
    async with serving(answering(200)) as server:
        api = api_of(server)
        with pytest.raises(ConfigError, match="async with"):
            await api.hangup(CALL_ID)
        async with api:
            with pytest.raises(ConfigError, match="once"):
                await api.__aenter__()
        with pytest.raises(ConfigError, match="async with"):
            await api.hangup(CALL_ID)
    assert server.requests == []


def test_settings_come_from_the_environment_or_from_a_call() -> None:
    """`from_env` reads two variables, `beside` takes what a call has; what cannot work is refused at once."""
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        RealtimeApi.from_env({})
    with pytest.raises(ConfigError, match="not encrypted"):
        RealtimeApi.from_env({"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": "http://h.test/v1"})
    with pytest.raises(ConfigError, match="API key"):
        RealtimeApi(api_key="with spaces")
    assert KEY not in repr(RealtimeApi.from_env({"OPENAI_API_KEY": KEY}))
    RealtimeApi.beside(CallConfig(api_key=KEY, base_url="http://h.test/v1", allow_insecure=True))


# --- refusals --------------------------------------------------------------------------------------------------------


@every_verb
@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422])
async def test_refusal_is_told_with_status_and_the_servers_words(verb: Verb, status: int) -> None:
    """Once, without the key, on one line."""
    words = {"error": {"message": f"no\r\nsuch thing for {KEY}"}}
    async with serving(answering(status, words)) as server, api_of(server) as api:
        with pytest.raises(RequestRejected, match=f"HTTP {status}: no such thing for") as refused:
            await verb(api)

    assert refused.value.status == status
    assert refused.value.message == "no such thing for [redacted]"
    assert len(server.requests) == 1


@every_verb
async def test_redirect_is_not_followed(verb: Verb) -> None:
    """The key goes nowhere else."""
    async with serving(answering(200)) as elsewhere:
        there = ("Location", f"http://127.0.0.1:{elsewhere.port}/v1/x")
        async with serving(answering(307, None, there)) as server, api_of(server) as api:
            with pytest.raises(RequestRejected, match="follows no redirect"):
                await verb(api)
    assert (len(server.requests), elsewhere.requests) == (1, [])


async def test_words_of_a_refusal_are_bounded() -> None:
    """A megabyte of it is told as a status and a phrase."""
    async with serving(answering(400, "x" * 1_000)) as server, api_of(server) as api:
        with pytest.raises(RequestRejected) as refused:
            await api.hangup(CALL_ID)
        assert len(refused.value.message) == 300
    async with serving(answering(400, "x" * 1_000_000)) as server, api_of(server) as api:
        with pytest.raises(RequestRejected, match="HTTP 400: Bad Request"):
            await api.hangup(CALL_ID)


# --- what is tried again ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", REPEATED.values(), ids=REPEATED.keys())
@pytest.mark.parametrize("how", ["503", "lost"])
async def test_hangup_and_mint_are_tried_again_after_what_may_pass(verb: Verb, how: str) -> None:
    """On the schedule of the offer: to say it twice does no harm."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        if n == 3:
            await wire.respond(200, body=json.dumps(MINTED))
        elif how == "lost":
            wire.abort()
        else:
            await wire.respond(503)

    clock = HastyClock()
    async with serving(serve) as server, api_of(server, clock=clock) as api:
        await verb(api)
    assert len(server.requests) == 3
    assert_schedule(clock.waits_s, 2)


@pytest.mark.parametrize("verb", ONCE.values(), ids=ONCE.keys())
async def test_accept_reject_and_refer_are_said_once(verb: Verb) -> None:
    """What may have been done is not asked for again; the error tells that it may."""

    async def lose(wire: Wire, request: Request, n: int) -> None:
        wire.abort()

    clock = HastyClock()
    async with serving(lose) as server, api_of(server, clock=clock) as api:
        with pytest.raises(ServiceUnreachable, match="connection to the service was lost") as lost:
            await verb(api)
        assert lost.value.may_have_arrived
        assert len(server.requests) == 1
    async with serving(answering(503)) as server, api_of(server, clock=clock) as api:
        with pytest.raises(RequestRejected):
            await verb(api)
        assert len(server.requests) == 1
    assert clock.waits_s == []


@every_verb
async def test_request_that_never_arrived_is_tried_again(verb: Verb) -> None:
    """Nobody listening: five tries of any verb, and the error tells that nothing was done."""
    async with serving(answering(200)) as server:
        pass
    clock = HastyClock()
    async with api_of(server, clock=clock) as api:
        with pytest.raises(ServiceUnreachable, match="Connection refused") as unreachable:
            await verb(api)
    assert not unreachable.value.may_have_arrived
    assert_schedule(clock.waits_s, 4)


@every_verb
async def test_429_is_tried_again_when_it_says_when(verb: Verb) -> None:
    """With Retry-After it is, that much later; without one it is final."""
    clock = HastyClock()
    async with (
        serving(answering(429, None, ("Retry-After", "2"), times=1)) as server,
        api_of(server, clock=clock) as api,
    ):
        await verb(api)
    assert clock.waits_s == [pytest.approx(2.0, abs=0.05)]
    async with serving(answering(429)) as server, api_of(server) as api:
        with pytest.raises(RequestRejected) as refused:
            await verb(api)
    assert (refused.value.status, refused.value.retry_after_s) == (429, None)


async def test_call_that_is_gone_after_a_lost_answer_was_hung_up() -> None:
    """404 is an error at first, and none when a try before it may have ended the call."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        if n == 1:
            wire.abort()
        else:
            await wire.respond(404)

    async with serving(serve) as server, api_of(server, clock=HastyClock()) as api:
        await api.hangup(CALL_ID)
        with pytest.raises(RequestRejected):
            await api.hangup(CALL_ID)
    assert len(server.requests) == 3


async def test_every_try_has_a_deadline() -> None:
    """A server that does not answer is told as that; what would have been done is not known."""

    async def hold(wire: Wire, request: Request, n: int) -> None:
        await wire.wait_gone()

    deadlines = Deadlines(answer_s=0.05)
    async with serving(hold) as server, api_of(server, deadlines=deadlines) as api:
        async with asyncio.timeout(2.0):
            with pytest.raises(ServiceUnreachable, match=r"no whole answer within 0\.05 s") as late:
                await api.accept(CALL_ID, REALTIME)
    assert late.value.may_have_arrived


# --- keys ------------------------------------------------------------------------------------------------------------


@every_verb
async def test_401_is_followed_by_a_try_with_a_fresh_key(verb: Verb) -> None:
    """Once, and with the same bytes; requests after it use the fresh key."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        is_new = request.header("authorization") == f"Bearer {KEY}"
        await wire.respond(200 if is_new else 401, body=json.dumps(MINTED))

    source = Keys("sk-old-plain-1", KEY)
    async with serving(serve) as server, api_of(server, api_key=source) as api:
        await verb(api)
        await verb(api)

    seen = [request.header("authorization") for request in server.requests]
    assert seen == ["Bearer sk-old-plain-1", f"Bearer {KEY}", f"Bearer {KEY}"]
    assert source.asked == 2
    assert len({request.body for request in server.requests}) == 1


async def test_no_key_no_request() -> None:
    """A callable that fails, and an ephemeral key that has expired; a hang-up is tried with the latter all the same."""
    async with serving(answering(200, MINTED)) as server:
        async with api_of(server, api_key=Keys()) as api:
            with pytest.raises(KeyUnavailable):
                await api.hangup(CALL_ID)
        expired = ClientSecret(value=EPHEMERAL, expires_at=epoch_s() - 1)
        async with api_of(server, api_key=expired) as api:
            with pytest.raises(KeyExpired):
                await api.create_client_secret()
            assert server.requests == []
            await api.hangup(CALL_ID)
    assert len(server.requests) == 1


async def test_neither_keys_nor_session_are_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    """A refusal that repeats both keys, with every logger at DEBUG."""

    async def serve(wire: Wire, request: Request, n: int) -> None:
        if request.is_hangup:
            await wire.respond(403, body=f"{KEY} and {EPHEMERAL} may not")
        else:
            await wire.respond(200, [("Set-Cookie", "plain-cookie-3015")], json.dumps(MINTED))

    with caplog.at_level(logging.DEBUG):
        async with serving(serve) as server, api_of(server) as api:
            secret = await api.create_client_secret({"type": "realtime", "instructions": "PLAIN-INSTRUCTIONS"})
            with pytest.raises(RequestError, match=r"\[redacted\] and \[redacted\] may not") as refused:
                await api.hangup(CALL_ID)

    told = "".join(
        [str(refused.value), repr(refused.value), repr(api), repr(secret), *map(everything_in, caplog.records)]
    )
    assert [s for s in (KEY, EPHEMERAL, "PLAIN-INSTRUCTIONS", "plain-cookie-3015") if s in told] == []
