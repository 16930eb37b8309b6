"""Keys: the API key of a request, or a callable that gets one when it is needed.

No request is made here: who sends one takes the key from a `KeyRing`, and tells it when the server refused the key.
"""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from rtc_client.clock import epoch_s
from rtc_client.errors import ConfigError, KeyExpired, KeyUnavailable

_CANCEL_GRACE_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSecret:
    """An ephemeral key (`ek_…`) for a browser, a device or a call of our own; a `CallConfig` takes it as its key.

    Raises:
        ConfigError: The key is no text for a header, or its expiry no number.
    """

    value: str = field(repr=False)
    """The key itself."""
    expires_at: float | None = None
    """Seconds since the epoch after which the server begins no session with it; None when that is not known."""
    session: Mapping[str, object] = field(default_factory=dict, repr=False, hash=False)
    """The session's settings that the server bound to it, as it told them."""

    def __post_init__(self) -> None:
        check_key(self.value)
        expires_at: object = self.expires_at
        if expires_at is not None and (isinstance(expires_at, bool) or not isinstance(expires_at, int | float)):
            raise ConfigError("the expiry of an ephemeral key is given in seconds since the epoch")

    def expired_for_s(self, now_s: float) -> float | None:
        """Return how long ago it expired, in seconds; None while it is good. `now_s` is seconds since the epoch."""
        return None if self.expires_at is None or now_s < self.expires_at else now_s - self.expires_at


KeySource: TypeAlias = Callable[[], str | ClientSecret | Awaitable[str | ClientSecret]]
"""Gives a key each time it is called. A plain function runs in a thread, a coroutine function in the event loop."""
ApiKey: TypeAlias = str | ClientSecret | KeySource
"""What a key may be given as: itself, an ephemeral one, or a callable that gives either, or an awaitable of either."""


def check_key(key: object) -> None:
    """Raise unless `key` is a text that can stand behind `Authorization: Bearer`.

    Raises:
        ConfigError: It is not. The key is not repeated.
    """
    if not isinstance(key, str):
        raise ConfigError(f"the API key must be a str, a ClientSecret or a callable, not {type(key).__name__}")
    if not key:
        raise ConfigError("there is no API key: set OPENAI_API_KEY, or pass api_key")
    if not key.isascii() or not all("!" <= c <= "~" for c in key):
        raise ConfigError("the API key is malformed: it must be printable ASCII without spaces or line breaks")


def check_api_key(key: object) -> None:
    """Raise unless `key` is one of the three things that a key may be given as.

    Raises:
        ConfigError: It is not. Nothing is asked of a callable.
    """
    if not isinstance(key, ClientSecret) and not callable(key):
        check_key(key)


class KeyRing:
    """The key of one call, or of one `RealtimeApi`: got when it is first needed, and once more when it was refused.

    A callable is asked for one key at a time, and what it gave is used until a server refuses it or it is known to
    have expired: so a call has one key, and a callable that mints ephemeral ones mints one for each call.
    """

    def __init__(
        self,
        key: ApiKey,
        *,
        limit_s: float,
        on_obtained: Callable[[str], None] | None = None,
        wall_s: Callable[[], float] = epoch_s,
    ) -> None:
        """`limit_s` is how long a callable may take each time; `on_obtained` is told what it gave."""
        self._source: KeySource | None = None
        self._secret: ClientSecret | None = None
        if isinstance(key, str):
            self._secret = ClientSecret(value=key)
        elif isinstance(key, ClientSecret):
            self._secret = key
        else:
            self._source = key
        self._limit_s = limit_s
        self._on_obtained = on_obtained
        self._wall_s = wall_s
        self._asking = asyncio.Lock()

    async def get(self, *, may_be_expired: bool = False) -> str:
        """Return the key to send.

        An ephemeral key begins no session once it has expired, and none is sent then. A session that it began goes on:
        for a request about one, `may_be_expired` says to try. A callable is asked for a fresh key in either case.

        Raises:
            KeyExpired: It has, by this machine's clock.
            KeyUnavailable: The callable raised, took too long, or gave no usable key.

        Cancelling it cancels a coroutine function that is being asked; a thread goes on, and what it gives is lost.
        """
        async with self._asking:
            if self._secret is None or (self._source is not None and self._age_s(self._secret) is not None):
                self._secret = await self._ask()
            age_s = self._age_s(self._secret)
            if age_s is not None and not may_be_expired:
                raise KeyExpired(age_s)
            return self._secret.value

    async def instead_of(self, refused: str) -> str | None:
        """Return the key to send after the server answered `refused` with 401; None when there is no other.

        Raises:
            KeyUnavailable: The callable raised, took too long, or gave no usable key.

        Cancelling it is the same as for `get`.
        """
        if self._source is None:
            return None
        async with self._asking:
            if self._secret is None or self._secret.value == refused:  # nobody has asked since
                self._secret = await self._ask()
            return self._secret.value if self._secret.value != refused else None

    def _age_s(self, secret: ClientSecret) -> float | None:
        return secret.expired_for_s(self._wall_s())

    async def _ask(self) -> ClientSecret:
        assert self._source is not None  # noqa: S101 - the callers have looked
        given = await _ask(self._source, self._limit_s)
        if not isinstance(given, ClientSecret):
            try:
                check_key(given)
            except ConfigError as error:
                raise KeyUnavailable(f"the callable for the API key gave no usable one: {error}") from error
            given = ClientSecret(value=str(given))
        if self._on_obtained is not None:
            self._on_obtained(given.value)
        return given


async def _ask(source: KeySource, limit_s: float) -> object:
    """Return what `source` gives within `limit_s`, whatever else it does.

    Raises:
        KeyUnavailable: It raised, which is chained, or took too long.
    """
    asking = asyncio.create_task(_call(source), name="key-source")
    asking.add_done_callback(lambda task: task.cancelled() or task.exception())  # nobody may be left to look at it
    try:
        await asyncio.wait({asking}, timeout=limit_s)
    finally:
        asking.cancel()
    if not asking.done():
        await asyncio.wait({asking}, timeout=_CANCEL_GRACE_S)
        raise KeyUnavailable(f"the callable for the API key gave none within {limit_s:g} s")
    if asking.cancelled():
        raise KeyUnavailable("the callable for the API key was cancelled")
    if (error := asking.exception()) is not None:
        raise KeyUnavailable(f"the callable for the API key raised {type(error).__name__}") from error
    return asking.result()


async def _call(source: KeySource) -> object:
    if inspect.iscoroutinefunction(source) or inspect.iscoroutinefunction(type(source).__call__):
        return await source()  # type: ignore[misc]
    given = await _in_thread(source)
    return await given if inspect.isawaitable(given) else given


async def _in_thread(source: KeySource) -> object:
    """Return what `source` returns, from a thread of its own: one that hangs must not hold up the program's end."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[tuple[object, BaseException | None]] = loop.create_future()
    context = contextvars.copy_context()

    def deliver(given: object, error: BaseException | None) -> None:
        if not done.done():
            done.set_result((given, error))
        else:
            _drop(given)

    def work() -> None:
        given: object = None
        failure: BaseException | None = None
        try:
            given = context.run(source)
        except BaseException as error:  # noqa: BLE001 - a thread's outermost frame; it is told by who asked
            failure = error
        try:
            loop.call_soon_threadsafe(deliver, given, failure)
        except RuntimeError:  # the loop is closed: nobody asks any more
            _drop(given)

    threading.Thread(target=work, name="rtc-client-key", daemon=True).start()
    given, failure = await done
    if isinstance(failure, Exception):
        raise failure
    if failure is not None:
        raise RuntimeError(f"a callable left by {type(failure).__name__}") from failure
    return given


def _drop(given: object) -> None:
    """Let go of a key that came too late; a coroutine that nobody awaits would complain."""
    if inspect.iscoroutine(given):
        given.close()
