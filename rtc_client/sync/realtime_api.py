"""The sync `RealtimeApi`, with the methods of the async one. Written by scripts/make-sync: do not edit.

How waiting is done stands in blocking.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

from rtc_client.clock import Clock
from rtc_client.config import DEFAULT_BASE_URL, CallConfig, Deadlines
from rtc_client.keys import ApiKey, ClientSecret
from rtc_client.protocol.wire import rest_bodies as rest
from rtc_client.signaling import realtime_api as aio
from rtc_client.sync.blocking import BlockingApi


class RealtimeApi(BlockingApi):
    """The REST side of the realtime API: `with RealtimeApi(api_key=...) as api: api.hangup("rtc_123")`.

    One HTTP client, used for as many requests as you like, from any threads; leaving the block closes it. Methods take
    `timeout_s`.

    Raises:
        CallClosed: A method is called in a child process, after a fork.
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
        super().__init__(
            aio.RealtimeApi(
                api_key=api_key,
                base_url=base_url,
                query=query,
                headers=headers,
                allow_insecure=allow_insecure,
                deadlines=deadlines,
                clock=clock,
                rng=rng,
            )
        )

    @classmethod
    def beside(cls, config: CallConfig) -> RealtimeApi:
        """Return one with key, base, query, headers and deadlines of the calls that `config` makes."""
        return cls._of(aio.RealtimeApi.beside(config))

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **overrides: Any) -> RealtimeApi:
        """Return one with `OPENAI_API_KEY` and `OPENAI_BASE_URL` of the environment, `overrides` winning over it.

        Raises:
            ConfigError: When there is no key, or a value cannot work.
        """
        return cls._of(aio.RealtimeApi.from_env(environ, **overrides))

    def hangup(self, call_id: str, *, timeout_s: float | None = None) -> None:
        """End a call, a WebRTC one or one over SIP, whoever placed it.

        Tried again after 5xx, lost connections and answers that do not come, on the schedule of the offer: a call ends
        but once. When the service no longer knows the call (404) after a try that may have reached it, the call is
        over, and nothing is raised.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            ConfigError: The call id is malformed.
            KeyUnavailable: There is no key to send.
            RequestError: The service refused it (`.status`), or gave no answer.
            TimeoutError: `timeout_s` is over; the request is abandoned, and may have been carried out.
        """
        return self._wait(timeout_s, self._api.hangup, call_id)

    def accept(self, call_id: str, session: rest.AnySession, *, timeout_s: float | None = None) -> None:
        """Accept an incoming SIP call; `session`, of type `realtime`, is to handle it.

        It is not tried again where the service may have seen it: a call is accepted once.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            ConfigError: The call id is malformed, or the session is not a realtime one; nothing was sent.
            InvalidCommand: Something in the session cannot work; nothing was sent.
            KeyUnavailable: There is no key to send, or it has expired.
            RequestError: The service refused it (`.status`), or gave no answer.
            TimeoutError: `timeout_s` is over; the request is abandoned, and may have been carried out.
        """
        return self._wait(timeout_s, self._api.accept, call_id, session)

    def reject(self, call_id: str, status_code: int | None = None, *, timeout_s: float | None = None) -> None:
        """Decline an incoming SIP call with a SIP `status_code`, 400 to 699; the service says 603 when there is none.

        Raises, and is tried again, as `accept`.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            TimeoutError: `timeout_s` is over; the request is abandoned, and may have been carried out.
        """
        return self._wait(timeout_s, self._api.reject, call_id, status_code)

    def refer(self, call_id: str, target_uri: str, *, timeout_s: float | None = None) -> None:
        """Transfer a SIP call to `target_uri`, a `tel:`, `sip:` or `sips:` URI.

        Raises, and is tried again, as `accept`.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            TimeoutError: `timeout_s` is over; the request is abandoned, and may have been carried out.
        """
        return self._wait(timeout_s, self._api.refer, call_id, target_uri)

    def create_client_secret(
        self,
        session: rest.AnySession | None = None,
        *,
        expires_after_s: int | None = None,
        expires_anchor: rest.ExpiryAnchor = "created_at",
        timeout_s: float | None = None,
    ) -> ClientSecret:
        """Return a new ephemeral key (`ek_…`), with its expiry and the session that the service bound to it.

        `session` is a `RealtimeSession`, a `TranscriptionSession` or the JSON object of one; the service has a default.
        The key begins sessions for `expires_after_s` seconds, 10 to 7200, counted from `expires_anchor`; the service's
        default is ten minutes. Tried again as `hangup`: at worst a key is made that nobody uses, and that expires.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            ConfigError: The session is of another kind, or the time is none that a key can live; nothing was sent.
            InvalidCommand: Something in the session cannot work; nothing was sent.
            KeyUnavailable: There is no key to send, or it has expired.
            RequestError: The service refused it (`.status`), gave no answer, or one without a key.
            TimeoutError: `timeout_s` is over; the request is abandoned, and may have been carried out.
        """
        return self._wait(
            timeout_s,
            self._api.create_client_secret,
            session,
            expires_after_s=expires_after_s,
            expires_anchor=expires_anchor,
        )
