"""A key ring: literal keys, ephemeral keys, and callables that give them, hang, raise and return rubbish.

In real time: `test_callable_that_hangs_has_a_deadline`.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest

from rtc_client import CallConfig, ClientSecret, ConfigError, Deadlines, KeyExpired, KeyUnavailable
from rtc_client.keys import ApiKey, KeyRing
from tests.fake_keys import Keys

NOW_S = 1_800_000_000.0


SECRET = "ek_plain-ephemeral-7731"


def ring(key: Any, *, limit_s: float = 5.0, now_s: float = NOW_S) -> KeyRing:
    """Return a ring whose wall clock stands still."""
    return KeyRing(key, limit_s=limit_s, wall_s=lambda: now_s)


async def test_literal_key_is_what_it_is_and_there_is_no_other() -> None:
    """A text, `ek_…` too, is sent as it is; when it is refused nothing takes its place."""
    keys = ring(SECRET)

    assert await keys.get() == SECRET
    assert await keys.instead_of(SECRET) is None


async def test_callable_is_asked_once_and_again_when_its_key_was_refused() -> None:
    """However many requests there are, it is asked for the first, and for one that was refused."""
    source = Keys("sk-1", "sk-2")
    keys = ring(source)

    assert [await keys.get(), await keys.get()] == ["sk-1", "sk-1"]
    assert source.asked == 1
    assert await keys.instead_of("sk-1") == "sk-2"
    assert await keys.get() == "sk-2"
    assert source.asked == 2
    assert source.threads == {"rtc-client-key"}


async def test_two_requests_that_were_refused_with_one_key_ask_once() -> None:
    """The second finds the key that the first has got."""
    source = Keys("sk-1", "sk-2")
    keys = ring(source)
    await keys.get()

    assert set(await asyncio.gather(keys.instead_of("sk-1"), keys.instead_of("sk-1"))) == {"sk-2"}
    assert source.asked == 2


async def test_callable_that_gives_the_refused_key_again_gives_no_other() -> None:
    """A key that was refused is not sent again."""
    keys = ring(Keys("sk-1", "sk-1"))
    await keys.get()

    assert await keys.instead_of("sk-1") is None


async def _give() -> str:
    await asyncio.sleep(0)
    return "sk-async"


def _give_awaitable() -> Awaitable[str]:
    return _give()


class _Giver:
    async def __call__(self) -> str:
        return await _give()

    async def method(self) -> str:
        return await _give()


@pytest.mark.parametrize(
    "source", [_give, _Giver(), _Giver().method, functools.partial(_give), _give_awaitable, lambda: "sk-async"]
)
async def test_every_kind_of_callable_gives_its_key(source: ApiKey) -> None:
    """Functions, coroutine functions, objects of either kind, and functions that return an awaitable."""
    assert await ring(source).get() == "sk-async"


_tenant: ContextVar[str] = ContextVar("tenant", default="")


async def test_callable_in_its_thread_sees_the_context_of_who_asks() -> None:
    """Context variables of the task are there."""
    _tenant.set("sk-tenant-7")

    assert await ring(_tenant.get).get() == "sk-tenant-7"


async def test_thread_does_not_hold_up_the_loop() -> None:
    """While a plain function fetches a key, other tasks go on."""
    asked, answer = threading.Event(), threading.Event()

    def fetch() -> str:
        asked.set()
        answer.wait(5.0)
        return "sk-slow"

    getting = asyncio.create_task(ring(fetch).get())
    while not asked.is_set():  # noqa: ASYNC110 - set in a thread
        await asyncio.sleep(0)
    answer.set()

    assert await getting == "sk-slow"


# --- no key ----------------------------------------------------------------------------------------------------------


class _Vault(Exception):
    """What a user's own code raises."""


async def _fail_later() -> str:
    raise _Vault("sealed: token s.plain-vault-token")


def _fail_awaitable() -> Awaitable[str]:
    return _fail_later()


def _fail() -> str:
    raise _Vault("sealed: token s.plain-vault-token")


@pytest.mark.parametrize("source", [_fail, _fail_later, _fail_awaitable])
async def test_exception_of_a_callable_is_chained_and_its_words_stay_there(source: ApiKey) -> None:
    """One error of our own names its type; what it says may be secret."""
    with pytest.raises(KeyUnavailable, match="raised _Vault") as failed:
        await ring(source).get()

    assert isinstance(failed.value.__cause__, _Vault)
    assert "plain-vault-token" not in str(failed.value)


def _leave() -> str:
    raise SystemExit(3)


def _stop() -> str:
    return next(iter(()))


@pytest.mark.parametrize("source", [_leave, _stop])
async def test_callable_cannot_end_the_program_or_confuse_the_loop(source: ApiKey) -> None:
    """SystemExit and StopIteration from its thread are failures like any other."""
    with pytest.raises(KeyUnavailable, match="raised RuntimeError"):
        await ring(source).get()


@pytest.mark.parametrize("given", [None, "", 7, b"sk-bytes", "sk with spaces", "sk-line\n", "schlüssel", ["sk"]])
async def test_rubbish_is_refused_as_a_literal_key_would_be(given: Any) -> None:
    """What it gave is not repeated, and the next request asks again."""
    keys = ring(lambda: given)
    for _ in range(2):
        with pytest.raises(KeyUnavailable, match="gave no usable one") as refused:
            await keys.get()
        assert not given or str(given) not in str(refused.value)


@pytest.mark.both_clocks
async def test_callable_that_hangs_has_a_deadline() -> None:
    """A coroutine is cancelled; a thread is left behind, and what it gives later is dropped."""
    cancelled = asyncio.Event()

    async def hang() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return ""

    with pytest.raises(KeyUnavailable, match=r"gave none within 0\.05 s"):
        await ring(hang, limit_s=0.05).get()
    assert cancelled.is_set()

    async with _hanging() as source:
        with pytest.raises(KeyUnavailable, match=r"gave none within 0\.05 s"):
            await ring(source, limit_s=0.05).get()


async def test_coroutine_that_will_not_be_cancelled_does_not_hold_us_up() -> None:
    """The deadline holds for it as well."""
    release = asyncio.Event()

    async def stubborn() -> str:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        raise _Vault("too late to matter")

    async with asyncio.timeout(2.0):
        with pytest.raises(KeyUnavailable, match="within"):
            await ring(stubborn, limit_s=0.05).get()
    release.set()
    await asyncio.sleep(0)


async def test_cancelling_who_waits_for_a_key_leaves_the_ring_usable() -> None:
    """The next one asks for itself."""
    first = asyncio.Event()

    async def give() -> str:
        if first.is_set():
            return "sk-2"
        first.set()
        await asyncio.Event().wait()
        return ""

    keys = ring(give)
    getting = asyncio.create_task(keys.get())
    await first.wait()
    getting.cancel()
    await asyncio.wait([getting])

    assert await keys.get() == "sk-2"


# --- ephemeral keys --------------------------------------------------------------------------------------------------


async def test_ephemeral_key_begins_no_session_once_it_has_expired() -> None:
    """Until its second it is sent, from then on it is not; for a session that it began it is."""
    secret = ClientSecret(value=SECRET, expires_at=NOW_S)

    assert await ring(secret, now_s=NOW_S - 0.1).get() == SECRET
    with pytest.raises(KeyExpired, match="expired 7 s ago") as expired:
        await ring(secret, now_s=NOW_S + 7).get()
    assert SECRET not in str(expired.value)
    assert expired.value.expired_for_s == 7.0
    assert await ring(secret, now_s=NOW_S + 7).get(may_be_expired=True) == SECRET
    assert await ring(ClientSecret(value=SECRET), now_s=NOW_S * 2).get() == SECRET


async def test_callable_is_asked_for_another_when_its_ephemeral_key_has_expired() -> None:
    """Without waiting for a 401. One that gives only expired ones is told so."""
    now_s = NOW_S
    source = Keys(*(ClientSecret(value=f"ek_{n}", expires_at=NOW_S + 60 * n) for n in (1, 2, 3)))
    keys = KeyRing(source, limit_s=5.0, wall_s=lambda: now_s)

    assert await keys.get() == "ek_1"
    now_s += 60
    assert await keys.get(may_be_expired=True) == "ek_2"
    now_s += 600
    with pytest.raises(KeyExpired):
        await keys.get()
    assert source.asked == 3


def test_secret_shows_its_expiry_and_nothing_else() -> None:
    """Neither value nor session are in its repr; it can be kept in a set; a malformed one cannot be made."""
    secret = ClientSecret(value=SECRET, expires_at=NOW_S, session={"instructions": "PLAIN-INSTRUCTIONS"})

    assert repr(secret) == f"ClientSecret(expires_at={NOW_S})"
    assert len({secret, ClientSecret(value=SECRET, expires_at=NOW_S)}) == 2
    with pytest.raises(ConfigError, match="malformed"):
        ClientSecret(value="ek with spaces")
    with pytest.raises(ConfigError, match="seconds since the epoch"):
        ClientSecret(value=SECRET, expires_at="2027-01-15")  # type: ignore[arg-type]


# --- a config with one -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [7, b"sk-bytes", None, ""])
def test_config_takes_texts_secrets_and_callables_only(key: Any) -> None:
    """Anything else is refused when the config is made."""
    with pytest.raises(ConfigError, match="API key"):
        CallConfig(api_key=key)


async def test_config_knows_every_key_that_was_got_for_it() -> None:
    """They count as secrets from then on, for all calls of this config; a copy of it begins anew."""
    config = CallConfig(api_key=Keys("sk-first", "sk-second-longer"), headers={"x-token": "token-secret"})
    assert list(config.secrets) == ["token-secret"]

    keys = config.key_ring()
    assert await keys.instead_of(await keys.get()) == "sk-second-longer"

    assert list(config.secrets) == ["sk-second-longer", "token-secret", "sk-first"]
    assert CallConfig(api_key=ClientSecret(value=SECRET)).secrets == (SECRET,)
    assert "sk-first" not in repr(config)


async def test_deadline_of_the_config_is_that_of_the_callable() -> None:
    """`Deadlines.key_s` limits each time it is asked."""
    async with _hanging() as source:
        config = CallConfig(api_key=source, deadlines=Deadlines(key_s=0.03))
        with pytest.raises(KeyUnavailable, match=r"within 0\.03 s"):
            await config.key_ring().get()


@asynccontextmanager
async def _hanging() -> AsyncIterator[Callable[[], str]]:
    """Yield a plain function that hangs until the block is left."""
    release = threading.Event()

    def hang() -> str:
        release.wait(10.0)
        return "sk-too-late"

    try:
        yield hang
    finally:
        release.set()
