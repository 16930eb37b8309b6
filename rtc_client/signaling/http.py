"""What all our HTTP requests share: the client, deadlines, retries, and the words of a refusal."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Final, TypeVar

import httpx

from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.errors import AnswerInvalid, ConfigError, RtcClientError
from rtc_client.keys import KeyRing
from rtc_client.protocol import urls
from rtc_client.protocol.backoff import delay_s
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.wire.codec import load_json
from rtc_client.signaling.bodies import MAX_ERROR_BYTES, Unpacker
from rtc_client.signaling.log_filter import suppress_http_logs
from rtc_client.tls import shared_context

log = logging.getLogger(__name__)

_ERROR_BODY_S: Final = 2.0
"""A refusal is told without the server's words when these do not come."""
_UNAUTHORIZED: Final = 401
_MAX_CONNECTIONS: Final = 100
_MAX_KEPT: Final = 20
"""Both are httpx's own defaults."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Failure:
    """One try that came to nothing."""

    error: RtcClientError
    repeat: bool = False
    after_s: float | None = None
    """How long the server asked us to wait; None for our own schedule."""
    status: int | None = None
    """Of the refusal, if it was one."""


@asynccontextmanager
async def open_client(config: CallConfig, *, keeps_connections: bool = True) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client for the base of `config`; its connections are closed on the way out, if not with each answer.

    Raises:
        ConfigError: The environment's proxy or CA settings cannot be used.
    """
    local = urls.is_loopback(config.base_url)
    plain = config.base_url.startswith("http://")
    try:
        client = httpx.AsyncClient(
            # An empty context trusts nobody; a plain http URL never uses it.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else shared_context(),
            # A proxy for the outside world cannot reach this machine's loopback.
            trust_env=not local,
            timeout=httpx.Timeout(config.deadlines.answer_s),
            limits=httpx.Limits(
                max_connections=_MAX_CONNECTIONS, max_keepalive_connections=_MAX_KEPT * keeps_connections
            ),
            follow_redirects=False,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        reason = one_line(str(error), config.secrets)
        raise ConfigError(
            f"the HTTP client cannot be set up (proxy or CA settings of the environment): {reason}"
        ) from None
    async with client:
        yield client


async def with_tries(
    attempt: Callable[[str, float], Awaitable[T | Failure]],
    *,
    keys: KeyRing,
    limit_s: float,
    clock: Clock,
    rng: random.Random,
    what: str,
    may_be_expired: bool = False,
) -> T:
    """Return what `attempt(key, left_s)` comes to, made again while its failures say so, for `limit_s` in all.

    The schedule is that of protocol.md section 3. A 401 is followed, once and at once, by a try with the key that
    a callable gives instead.

    Raises:
        KeyUnavailable: There is no key to send.
        RtcClientError: What the last failure holds.
    """
    key, has_asked_again = await keys.get(may_be_expired=may_be_expired), False
    deadline_s = clock.now_s() + limit_s
    tries = 0
    while True:
        outcome = await attempt(key, deadline_s - clock.now_s())
        if not isinstance(outcome, Failure):
            return outcome
        if outcome.status == _UNAUTHORIZED and not has_asked_again:
            has_asked_again = True
            if (other := await keys.instead_of(key)) is not None:
                key = other
                continue
        tries += 1
        wait_s = delay_s(tries, rng) if outcome.repeat else None
        if wait_s is not None and outcome.after_s is not None:
            wait_s = outcome.after_s
        if wait_s is None or clock.now_s() + wait_s >= deadline_s:
            raise outcome.error
        log.info("%s failed, trying again", what, extra={"tries": tries, "wait_ms": round(wait_s * 1000)})
        await clock.sleep_until(clock.now_s() + wait_s)


@asynccontextmanager
async def silent_timeout(limit_s: float) -> AsyncIterator[None]:
    """Limit the time of a request, of which httpx logs nothing."""
    with suppress_http_logs():
        async with asyncio.timeout(limit_s):
            yield


async def read_error(response: httpx.Response) -> str:
    """Return the server's own words in a refusal: `error.message` or `message` of a JSON body, else plain text."""
    try:
        async with asyncio.timeout(_ERROR_BODY_S):
            unpack = Unpacker(response.headers.get("content-encoding", ""), MAX_ERROR_BYTES)
            text = b"".join([unpack.feed(chunk) async for chunk in response.aiter_raw()]).decode()
    except (AnswerInvalid, UnicodeDecodeError, httpx.TransportError, TimeoutError):
        return ""
    try:
        value = load_json(text)
    except ValueError:
        return "" if text.lstrip().startswith("<") else text
    error = value.get("error", value) if isinstance(value, dict) else value
    message = error.get("message") if isinstance(error, dict) else error
    return message if isinstance(message, str) else ""


def retry_after_s(headers: httpx.Headers) -> float | None:
    """Return the seconds that Retry-After asks for (RFC 9110 section 10.2.3); None when it cannot be used."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value) if len(value) < 7 else None
    try:
        # A date is relative to the server's own clock, which is in the same answer.
        wait = parsedate_to_datetime(value) - parsedate_to_datetime(headers.get("date", ""))
    except (ValueError, TypeError):
        return None
    return max(0.0, wait.total_seconds())


def root_cause(error: BaseException) -> str:
    """Return what the operating system, the resolver or TLS said, which httpx hides behind a sentence of its own."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.strerror:
            # asyncio puts a sentence of its own into `strerror` too; the others number their errors their own way.
            if seen.errno is None or isinstance(seen, ssl.SSLError | socket.gaierror):
                return seen.strerror
            return os.strerror(seen.errno)
        seen = seen.__cause__ or seen.__context__
    return str(error) or type(error).__name__


def is_tls_failure(error: BaseException) -> bool:
    """Return whether TLS is what failed: another try cannot heal it."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
