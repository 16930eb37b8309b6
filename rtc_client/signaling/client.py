"""Posts the offer of a call, reads its answer, and tells the server when the call is over."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.errors import AnswererUnreachable, AnswerInvalid, KeyUnavailable, OfferRejected
from rtc_client.keys import KeyRing
from rtc_client.protocol import urls
from rtc_client.protocol.call_id import call_id_from_location
from rtc_client.protocol.headers import call_headers, with_extra
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.wire.session import offered_session
from rtc_client.signaling.bodies import AnswerText, json_offer, multipart_offer
from rtc_client.signaling.http import (
    Failure,
    is_tls_failure,
    open_client,
    read_error,
    retry_after_s,
    root_cause,
    silent_timeout,
    with_tries,
)
from rtc_client.signaling.log_filter import suppress_http_logs

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an offer became."""

    call_id: str
    sdp: str = field(repr=False)


@asynccontextmanager
async def open_signaling(
    config: CallConfig, session_id: str, *, keys: KeyRing, clock: Clock, rng: random.Random
) -> AsyncIterator[Signaling]:
    """Yield the signaling of one call; its connections are closed on the way out."""
    # Behind the answer comes nothing but the hang-up, mostly minutes later: a connection would only take up memory.
    async with open_client(config, keeps_connections=False) as client:
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

        5xx and connection errors are tried 5 times with 200, 400, 800 and 1600 ms ±10 % between (protocol.md
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

        async def post(key: str, left_s: float) -> Answer | Failure:
            headers = self._headers(key, ("content-type", content_type))
            return await self._try(httpx.Request("POST", url, headers=headers, content=body), left_s)

        return await with_tries(
            post,
            keys=self._keys,
            limit_s=self._config.deadlines.signaling_s,
            clock=self._clock,
            rng=self._rng,
            what="offer",
        )

    async def hang_up(self, call_id: str) -> bool:
        """Tell the server that the call is over; return whether it took note. Never raises.

        It is said once, and again only with another key that a callable gives after a 401. Cancelling it abandons the
        request.
        """
        try:
            async with asyncio.timeout(self._config.deadlines.remote_hangup_s):
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
        with suppress_http_logs():
            response = await self._client.send(httpx.Request("POST", url, headers=self._headers(key)), stream=True)
            await response.aclose()
        return response.status_code

    def _headers(self, key: str, *more: tuple[str, str]) -> list[tuple[str, str]]:
        return with_extra(
            [*call_headers(key, self._session_id), ("accept", "*/*"), *more],
            self._config.headers,
        )

    async def _try(self, request: httpx.Request, left_s: float) -> Answer | Failure:
        limit_s = min(self._config.deadlines.answer_s, left_s)
        call_id: str | None = None
        try:
            async with silent_timeout(limit_s):
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
            return Failure(error)
        except (TimeoutError, httpx.TimeoutException) as error:
            return self._unreachable(f"the answerer gave no whole answer within {limit_s:.3g} s", error, call_id)
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return self._unreachable("the offer could not be sent", error, call_id)
        except httpx.TransportError as error:
            final = call_id is not None or is_tls_failure(error)
            detail = one_line(root_cause(error), self._config.secrets)
            return self._unreachable(f"the answerer cannot be reached: {detail}", error, call_id, repeat=not final)

    @staticmethod
    def _unreachable(text: str, cause: Exception, call_id: str | None, *, repeat: bool = False) -> Failure:
        error = AnswererUnreachable(text, call_id=call_id)
        error.__cause__ = cause
        return Failure(error, repeat)

    async def _rejection(self, response: httpx.Response) -> Failure:
        status = response.status_code
        if response.is_redirect:
            return Failure(OfferRejected(status, "it redirects elsewhere, and an offer with a key follows no redirect"))
        message = one_line(await read_error(response), self._config.secrets)
        after_s = retry_after_s(response.headers)
        error = OfferRejected(status, message or response.reason_phrase, retry_after_s=after_s)
        if status == 429:
            return Failure(error, repeat=after_s is not None, after_s=after_s)
        return Failure(error, repeat=status >= 500, status=status)


async def _read_sdp(response: httpx.Response) -> str:
    headers = response.headers
    text = AnswerText(
        headers.get("content-type", ""), headers.get("content-length", ""), headers.get("content-encoding", "")
    )
    async for chunk in response.aiter_raw():
        text.feed(chunk)
    return text.finish()
