"""RealtimeApi: the REST side beside a call: hang up, accept, reject, refer, mint ephemeral keys."""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Any, Final, Self

import httpx

from rtc_client.clock import Clock, MonotonicClock
from rtc_client.config import DEFAULT_BASE_URL, CallConfig, Deadlines
from rtc_client.errors import (
    AnswerInvalid,
    ConfigError,
    RequestRejected,
    ResponseInvalid,
    ServiceUnreachable,
)
from rtc_client.keys import ApiKey, ClientSecret
from rtc_client.protocol import urls
from rtc_client.protocol.call_id import check_call_id
from rtc_client.protocol.headers import api_headers, with_extra
from rtc_client.protocol.redact import one_line
from rtc_client.protocol.wire import rest_bodies as rest
from rtc_client.signaling.bodies import MAX_ANSWER_BYTES, Unpacker
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

log = logging.getLogger(__name__)

_VARIABLES: Final = {"api_key": "OPENAI_API_KEY", "base_url": "OPENAI_BASE_URL"}


class RealtimeApi:
    """The REST side of the realtime API: `async with RealtimeApi(api_key=...) as api: await api.hangup("rtc_123")`.

    One HTTP client, used for as many requests as you like, also at a time; leaving the block closes it.
    """

    def __init__(
        self,
        *,
        api_key: ApiKey,
        base_url: str = DEFAULT_BASE_URL,
        query: Mapping[str, str] | Iterable[tuple[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        allow_insecure: bool = False,
        deadlines: Deadlines | None = None,
        clock: Clock | None = None,
        rng: random.Random | None = None,
    ) -> None:
        """Check the settings; they mean what those of `CallConfig` do.

        Of the deadlines, `answer_s` is for one try of a request, `signaling_s` for all of them, `key_s` for a callable
        key, which is asked when the first request needs it and once more for one that got a 401.

        Raises:
            ConfigError: One of them cannot work.
        """
        self._config = CallConfig(
            api_key=api_key,
            base_url=base_url,
            query=query,  # type: ignore[arg-type]  # CallConfig makes pairs of it
            headers=headers or {},
            allow_insecure=allow_insecure,
            deadlines=deadlines or Deadlines(),
        )
        self._keys = self._config.key_ring()
        self._clock = clock or MonotonicClock()
        self._rng = rng or random.Random()
        self._stack = AsyncExitStack()
        self._client: httpx.AsyncClient | None = None

    @classmethod
    def beside(cls, config: CallConfig) -> RealtimeApi:
        """Return one with key, base, query, headers and deadlines of the calls that `config` makes."""
        return cls(
            api_key=config.api_key,
            base_url=config.base_url,
            query=config.query,
            headers=config.headers,
            allow_insecure=config.allow_insecure,
            deadlines=config.deadlines,
        )

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> RealtimeApi:
        """Return one with `OPENAI_API_KEY` and `OPENAI_BASE_URL` of the environment, `overrides` winning over it.

        Raises:
            ConfigError: When there is no key, or a value cannot work.
        """
        variables = os.environ if environ is None else environ
        values: dict[str, Any] = {k: variables[v] for k, v in _VARIABLES.items() if variables.get(v)}
        values |= overrides
        if not values.get("api_key"):
            raise ConfigError("there is no API key: set OPENAI_API_KEY")
        return cls(**values)

    async def __aenter__(self) -> Self:
        """Open the HTTP client; nothing is sent.

        Raises:
            ConfigError: The environment's proxy or CA settings cannot be used, or it was opened before.
        """
        if self._client is not None:
            raise ConfigError("a RealtimeApi is opened once: make another")
        self._client = await self._stack.enter_async_context(open_client(self._config))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def hangup(self, call_id: str) -> None:
        """End a call, a WebRTC one or one over SIP, whoever placed it.

        Tried again after 5xx, lost connections and answers that do not come, on the schedule of the offer: a call ends
        but once. When the service no longer knows the call (404) after a try that may have reached it, the call is
        over, and nothing is raised.

        Raises:
            ConfigError: The call id is malformed.
            KeyUnavailable: There is no key to send.
            RequestError: The service refused it (`.status`), or gave no answer.

        Cancelling it abandons the request, which may have been carried out.
        """
        await self._on_call(call_id, "hangup", "hang up", None, is_safe_to_repeat=True)

    async def accept(self, call_id: str, session: rest.AnySession) -> None:
        """Accept an incoming SIP call; `session`, of type `realtime`, is to handle it.

        It is not tried again where the service may have seen it: a call is accepted once.

        Raises:
            ConfigError: The call id is malformed, or the session is not a realtime one; nothing was sent.
            InvalidCommand: Something in the session cannot work; nothing was sent.
            KeyUnavailable: There is no key to send, or it has expired.
            RequestError: The service refused it (`.status`), or gave no answer.

        Cancelling it abandons the request, which may have been carried out.
        """
        await self._on_call(call_id, "accept", "accept the call", rest.accept_body(session))

    async def reject(self, call_id: str, status_code: int | None = None) -> None:
        """Decline an incoming SIP call with a SIP `status_code`, 400 to 699; the service says 603 when there is none.

        Raises, is tried again and can be cancelled as `accept`.
        """
        await self._on_call(call_id, "reject", "reject the call", rest.reject_body(status_code))

    async def refer(self, call_id: str, target_uri: str) -> None:
        """Transfer a SIP call to `target_uri`, a `tel:`, `sip:` or `sips:` URI.

        Raises, is tried again and can be cancelled as `accept`.
        """
        await self._on_call(call_id, "refer", "refer the call", rest.refer_body(target_uri))

    async def create_client_secret(
        self,
        session: rest.AnySession | None = None,
        *,
        expires_after_s: int | None = None,
        expires_anchor: rest.ExpiryAnchor = "created_at",
    ) -> ClientSecret:
        """Return a new ephemeral key (`ek_…`), with its expiry and the session that the service bound to it.

        `session` is a `RealtimeSession`, a `TranscriptionSession` or the JSON object of one; the service has a default.
        The key begins sessions for `expires_after_s` seconds, 10 to 7200, counted from `expires_anchor`; the service's
        default is ten minutes. Tried again as `hangup`: at worst a key is made that nobody uses, and that expires.

        Raises:
            ConfigError: The session is of another kind, or the time is none that a key can live; nothing was sent.
            InvalidCommand: Something in the session cannot work; nothing was sent.
            KeyUnavailable: There is no key to send, or it has expired.
            RequestError: The service refused it (`.status`), gave no answer, or one without a key.

        Cancelling it abandons the request; a key that was made is lost.
        """
        body = rest.secret_body(session, expires_after_s, expires_anchor)
        url = urls.client_secrets_url(self._config.base_url, self._config.query)
        what = "mint an ephemeral key"
        value, expires_at, bound = rest.minted(await self._post(url, what, body, is_read=True, is_safe_to_repeat=True))
        try:
            secret = ClientSecret(value=value, expires_at=expires_at, session=bound)
        except ConfigError:
            raise ResponseInvalid("the service minted an ephemeral key that cannot be sent in a header") from None
        self._config.keep_secret(value)
        return secret

    async def _on_call(
        self, call_id: str, verb: str, what: str, body: bytes | None, *, is_safe_to_repeat: bool = False
    ) -> None:
        check_call_id(call_id)
        url = urls.call_verb_url(self._config.base_url, self._config.query, call_id, verb)
        await self._post(
            url, what, body, is_read=False, is_safe_to_repeat=is_safe_to_repeat, is_ending=verb == "hangup"
        )
        log.info("%s done", verb, extra={"call_id": call_id})

    async def _post(
        self,
        url: str,
        what: str,
        body: bytes | None,
        *,
        is_read: bool,
        is_safe_to_repeat: bool,
        is_ending: bool = False,
    ) -> str:
        """Return the text of the answer; empty when it `is_read` by nobody."""
        if self._client is None or self._client.is_closed:
            raise ConfigError("a RealtimeApi is used in its block: `async with`, or `with` that of rtc_client.sync")
        content = [] if body is None else [("content-type", "application/json")]
        attempt = _Attempts(self._client, self._config, what, is_read=is_read, is_safe_to_repeat=is_safe_to_repeat)

        async def post(key: str, left_s: float) -> str | Failure:
            headers = with_extra([*api_headers(key), ("accept", "*/*"), *content], self._config.headers)
            may_be_done = attempt.may_have_arrived
            outcome = await attempt.make(httpx.Request("POST", url, headers=headers, content=body), left_s)
            if is_ending and may_be_done and isinstance(outcome, Failure) and outcome.status == httpx.codes.NOT_FOUND:
                return ""
            return outcome

        return await with_tries(
            post,
            keys=self._keys,
            limit_s=self._config.deadlines.signaling_s,
            clock=self._clock,
            rng=self._rng,
            what=what,
            may_be_expired=is_ending,
        )


class _Attempts:
    """The tries of one request."""

    def __init__(
        self, client: httpx.AsyncClient, config: CallConfig, what: str, *, is_read: bool, is_safe_to_repeat: bool
    ) -> None:
        self._client, self._config, self._what = client, config, what
        self._is_read, self._is_safe = is_read, is_safe_to_repeat
        self.may_have_arrived = False
        """Whether a try so far may have been carried out, although there is no answer that says so."""

    async def make(self, request: httpx.Request, left_s: float) -> str | Failure:
        limit_s = min(self._config.deadlines.answer_s, left_s)
        try:
            async with silent_timeout(limit_s):
                response = await self._client.send(request, stream=True)
                try:
                    if not response.is_success:
                        return await self._rejection(response)
                    return await _read_text(response) if self._is_read else ""
                finally:
                    await response.aclose()
        except AnswerInvalid:
            return Failure(ResponseInvalid(f"the service's answer to {self._what} is too long, or not validly packed"))
        except UnicodeDecodeError:
            return Failure(ResponseInvalid(f"the service's answer to {self._what} is not UTF-8"))
        except (httpx.UnsupportedProtocol, httpx.LocalProtocolError, httpx.InvalidURL) as error:
            return self._unreachable("the request could not be sent", error)
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            return self._unreachable(
                f"the service cannot be reached: {self._cause_of(error)}", error, repeat=not is_tls_failure(error)
            )
        except (TimeoutError, httpx.TimeoutException) as error:
            self.may_have_arrived = True
            text = f"the service gave no whole answer within {limit_s:.3g} s"
            return self._unreachable(text, error, repeat=self._is_safe)
        except httpx.TransportError as error:
            self.may_have_arrived = True
            text = f"the connection to the service was lost: {self._cause_of(error)}"
            return self._unreachable(text, error, repeat=self._is_safe and not is_tls_failure(error))

    def _unreachable(self, text: str, cause: Exception, *, repeat: bool = False) -> Failure:
        error = ServiceUnreachable(f"cannot {self._what}: {text}", may_have_arrived=self.may_have_arrived)
        error.__cause__ = cause
        return Failure(error, repeat)

    def _cause_of(self, error: Exception) -> str:
        return one_line(root_cause(error), self._config.secrets)

    async def _rejection(self, response: httpx.Response) -> Failure:
        status = response.status_code
        if response.is_redirect:
            text = "it redirects elsewhere, and a request with a key follows no redirect"
            return Failure(RequestRejected(self._what, status, text))
        message = one_line(await read_error(response), self._config.secrets) or response.reason_phrase
        after_s = retry_after_s(response.headers)
        error = RequestRejected(self._what, status, message, retry_after_s=after_s)
        if status == httpx.codes.TOO_MANY_REQUESTS:
            return Failure(error, repeat=after_s is not None, after_s=after_s)
        if status >= httpx.codes.INTERNAL_SERVER_ERROR:
            self.may_have_arrived = True
            return Failure(error, repeat=self._is_safe, status=status)
        return Failure(error, status=status)


async def _read_text(response: httpx.Response) -> str:
    """Return a body of at most a megabyte."""
    unpack = Unpacker(response.headers.get("content-encoding", ""), MAX_ANSWER_BYTES)
    pieces = [unpack.feed(chunk) async for chunk in response.aiter_raw()]
    unpack.finish()
    return b"".join(pieces).decode()
