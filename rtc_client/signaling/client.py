"""Posts the offer, reads the answer, tells the server when a call is over: the only file that uses httpx."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Final

import httpx

from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.errors import (
    AnswererUnreachable,
    AnswerInvalid,
    ConfigError,
    KeyUnavailable,
    OfferRejected,
    SignalingError,
)
from rtc_client.keys import KeyRing
from rtc_client.protocol import urls
from rtc_client.protocol.codec import load_json
from rtc_client.protocol.headers import call_headers, with_extra
from rtc_client.protocol.ids import call_id_from_location
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.retry import delay_s
from rtc_client.protocol.session import offered_session
from rtc_client.signaling.body import MAX_ERROR_BYTES, AnswerText, Unpacker, json_offer, multipart_offer
from rtc_client.signaling.quiet import unlogged

log = logging.getLogger(__name__)

_ERROR_BODY_S: Final = 2.0
"""A refusal is told without the server's words when these do not come."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an offer became."""

    call_id: str
    sdp: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Failure:
    """One try that came to nothing."""

    error: SignalingError
    repeat: bool = False
    after_s: float | None = None
    """How long the server asked us to wait; None for our own schedule."""
    status: int | None = None
    """Of the refusal, if it was one."""


@asynccontextmanager
async def open_signaling(
    config: CallConfig, session_id: str, *, keys: KeyRing, clock: Clock, rng: random.Random
) -> AsyncIterator[Signaling]:
    """Yield the signaling of one call; its connections are closed on the way out."""
    local = urls.is_loopback(config.base_url)
    plain = config.base_url.startswith("http://")
    try:
        client = httpx.AsyncClient(
            # An empty context trusts nobody; a plain http URL never uses it, and loading the CA store takes 20 ms.
            verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if plain else True,
            # A proxy for the outside world cannot reach this machine's loopback.
            trust_env=not local,
            timeout=httpx.Timeout(config.deadlines.answer_s),
            follow_redirects=False,
        )
    except (ImportError, ValueError, OSError, httpx.InvalidURL) as error:
        reason = one_line(str(error), config.secrets)
        raise ConfigError(
            f"the HTTP client cannot be set up (proxy or CA settings of the environment): {reason}"
        ) from None
    async with client:
        yield Signaling(client, config, session_id, keys=keys, clock=clock, rng=rng)


class Signaling:
    """The HTTP side of one call."""

    def __init__(
        self,
        client: httpx.AsyncClient,
        config: CallConfig,
        session_id: str,
        *,
        keys: KeyRing,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._client = client
        self._config = config
        self._session_id = session_id
        self._keys = keys
        self._clock = clock
        self._rng = rng
        self.call_id: str | None = None
        """The id by which the server has named the call, also when its answer was never read to the end."""
        self.answer_head: tuple[int, list[tuple[str, str]]] | None = None
        """Status and headers of the last answer to an offer; they may hold a cookie."""

    async def exchange_offer(self, offer_sdp: str) -> Answer:
        """Return the answer to `offer_sdp`, and the call's id.

        5xx and connection errors are tried 5 times with 200, 400, 800 and 1600 ms ±10 % between (wire-protocol.md
        section 3); a 429 only when its Retry-After fits the deadline for all tries; a 401 once, at once, and only
        when a callable key gives another one; nothing else. Unlike the reference client: every answer has a deadline
        as a whole, one that ran out is not asked for again (the call may exist), no redirect is followed, and an
        answer that cannot be SDP is refused while it arrives.

        Raises:
            KeyUnavailable: There is no key to send.
            OfferRejected: A status other than 2xx.
            AnswererUnreachable: No answer.
            AnswerInvalid: An answer of which no call can be made; `call_id` is set if the server named one.

        Cancelling it abandons the request; a call that the server has not named yet cannot be hung up.
        """
        offered = offered_session(self._config.session)
        shape = json_offer if urls.is_backend(self._config.base_url) else multipart_offer
        content_type, body = shape(offer_sdp, offered)
        url = urls.calls_url(self._config.base_url, self._config.query)
        key, has_asked_again = await self._keys.get(), False
        deadline_s = self._clock.now_s() + self._config.deadlines.signaling_s
        tries = 0
        while True:
            left_s = deadline_s - self._clock.now_s()
            headers = self._headers(key, ("content-type", content_type))
            outcome = await self._try(httpx.Request("POST", url, headers=headers, content=body), left_s)
            if isinstance(outcome, Answer):
                return outcome
            if outcome.status == 401 and not has_asked_again:
                has_asked_again = True
                if (other := await self._keys.instead_of(key)) is not None:
                    key = other
                    continue
            tries += 1
            wait_s = delay_s(tries, self._rng) if outcome.repeat else None
            if wait_s is not None and outcome.after_s is not None:
                wait_s = outcome.after_s
            if wait_s is None or self._clock.now_s() + wait_s >= deadline_s:
                raise outcome.error
            log.info("offer failed, trying again", extra={"tries": tries, "wait_ms": round(wait_s * 1000)})
            await self._clock.sleep_until(self._clock.now_s() + wait_s)

    async def hang_up(self, call_id: str) -> bool:
        """Tell the server that the call is over; return whether it took note. Never raises.

        It is said once, and again only with another key that a callable gives after a 401. Cancelling it abandons the
        request.
        """
        try:
            async with _quiet_timeout(self._config.deadlines.remote_hangup_s):
                key = await self._keys.get(may_be_expired=True)
                status = await self._say_hangup(call_id, key)
                if status == 401 and (other := await self._keys.instead_of(key)) is not None:
                    status = await self._say_hangup(call_id, other)
        except (httpx.HTTPError, TimeoutError, OSError, KeyUnavailable) as error:
            log.warning("hang-up not delivered", extra={"call_id": call_id, "error": type(error).__name__})
            return False
        log.info("hang-up delivered", extra={"call_id": call_id, "status": status})
        return 200 <= status < 300

    async def _say_hangup(self, call_id: str, key: str) -> int:
        url = urls.hangup_url(self._config.base_url, self._config.query, call_id)
        response = await self._client.send(httpx.Request("POST", url, headers=self._headers(key)), stream=True)
        await response.aclose()
        return response.status_code

    def _headers(self, key: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
        return with_extra(
            [*call_headers(key, self._session_id), ("accept", "*/*"), *more],
            self._config.headers,
        )

    async def _try(self, request: httpx.Request, left_s: float) -> Answer | _Failure:
        limit_s = min(self._config.deadlines.answer_s, left_s)
        call_id: str | None = None
        try:
            async with _quiet_timeout(limit_s):
                response = await self._client.send(request, stream=True)
                self.answer_head = response.status_code, response.headers.multi_items()
                try:
                    if not response.is_success:
                        return await self._rejection(response)
                    self.call_id = call_id = call_id_from_location(response.headers.get("location"))
                    return Answer(call_id=call_id, sdp=await _read_sdp(response))
                finally:
                    await response.aclose()
        except AnswerInvalid as error:
            error.call_id = call_id
            return _Failure(error)
        except (TimeoutError, httpx.TimeoutException) as error:
            return self._unreachable(f"the answerer gave no whole answer within {limit_s:.3g} s", error, call_id)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return self._unreachable("the offer could not be sent", error, call_id)
        except httpx.TransportError as error:
            final = call_id is not None or _is_tls_failure(error)
            detail = one_line(_root_cause(error), self._config.secrets)
            return self._unreachable(f"the answerer cannot be reached: {detail}", error, call_id, repeat=not final)

    @staticmethod
    def _unreachable(text: str, cause: Exception, call_id: str | None, *, repeat: bool = False) -> _Failure:
        error = AnswererUnreachable(text, call_id=call_id)
        error.__cause__ = cause
        return _Failure(error, repeat)

    async def _rejection(self, response: httpx.Response) -> _Failure:
        status = response.status_code
        if response.is_redirect:
            return _Failure(
                OfferRejected(status, "it redirects elsewhere, and an offer with a key follows no redirect")
            )
        message = one_line(await _read_error(response), self._config.secrets)
        after_s = _retry_after_s(response.headers)
        error = OfferRejected(status, message or response.reason_phrase, retry_after_s=after_s)
        if status == 429:
            return _Failure(error, repeat=after_s is not None, after_s=after_s)
        return _Failure(error, repeat=status >= 500, status=status)


@asynccontextmanager
async def _quiet_timeout(limit_s: float) -> AsyncIterator[None]:
    """Limit the time of a request, of which httpx logs nothing."""
    with unlogged():
        async with asyncio.timeout(limit_s):
            yield


async def _read_sdp(response: httpx.Response) -> str:
    headers = response.headers
    text = AnswerText(
        headers.get("content-type", ""), headers.get("content-length", ""), headers.get("content-encoding", "")
    )
    async for chunk in response.aiter_raw():
        text.feed(chunk)
    return text.finish()


async def _read_error(response: httpx.Response) -> str:
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


def _retry_after_s(headers: httpx.Headers) -> float | None:
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


def _root_cause(error: BaseException) -> str:
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


def _is_tls_failure(error: BaseException) -> bool:
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, ssl.SSLError):
            return True
        seen = seen.__cause__ or seen.__context__
    return False
