"""BlockingCall and BlockingApi: how the sync `Call` and `RealtimeApi` wait for the async ones.

Their methods are in call.py and rest.py.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from enum import Enum, auto
from functools import partial
from types import TracebackType
from typing import Generic, ParamSpec, TypeVar
from weakref import finalize

from rtc_client.call import call as aio
from rtc_client.config import CallConfig
from rtc_client.errors import ConfigError
from rtc_client.signaling import realtime_api as aio_rest
from rtc_client.sync.loop_thread import LoopThread

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
P = ParamSpec("P")
Self = TypeVar("Self", bound="BlockingCall")
Api = TypeVar("Api", bound="BlockingApi")

_CLOSE_S = 3.0
"""How long closing an HTTP client may take."""


class Waiting:
    """What waits for coroutines of the async door, in the background."""

    _background: LoopThread

    def _wait(
        self, timeout_s: float | None, method: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Return what a coroutine method returns."""
        return self._background.run(_name(method), lambda: method(*args, **kwargs), timeout_s)


class BlockingCall(Waiting):
    """A call of the async door, held in the background."""

    def __init__(self, call: aio.Call, config: CallConfig) -> None:
        self._call = call
        self._background = LoopThread(call.hangup, config.deadlines.close_s)
        self._entering = threading.Lock()
        self._is_entered = False
        # The background does not know of this face, so who drops it without leaving it hangs up, too.
        finalize(self, self._background.abandon).atexit = False

    def __enter__(self: Self) -> Self:
        with self._entering:
            is_first, self._is_entered = not self._is_entered, True
        if is_first:
            self._background.begin()
        try:
            self._background.run("connect", self._call.__aenter__)
        except BaseException:
            if is_first:
                self._background.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._background.is_forked:
            self._background.leave(lambda: self._call.__aexit__(kind, error, at))

    def _now(self, method: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what a plain method, or a property, of the call returns."""
        return self._background.now(_name(method), lambda: method(*args, **kwargs))

    def _read(
        self, timeout_s: float | None, method: Callable[P, AsyncIterator[T]], /, *args: P.args, **kwargs: P.kwargs
    ) -> Iterator[T]:
        """Return what yields all that an async iterator of the call yields."""
        source = self._background.now(_name(method), lambda: method(*args, **kwargs))
        return Reader(self, self._background, _name(method), source, timeout_s)


class BlockingApi(Waiting):
    """A `RealtimeApi` of the async door, held in the background."""

    def __init__(self, api: aio_rest.RealtimeApi) -> None:
        self._api = api
        self._background = LoopThread(partial(api.__aexit__, None, None, None), _CLOSE_S, "RealtimeApi")
        finalize(self, self._background.abandon).atexit = False

    @classmethod
    def _of(cls: type[Api], api: aio_rest.RealtimeApi) -> Api:
        face = cls.__new__(cls)
        BlockingApi.__init__(face, api)
        return face

    def __enter__(self: Api) -> Api:
        if self._background.is_over:
            raise ConfigError("a RealtimeApi is opened once: make another")
        self._background.begin()
        self._background.run("with", self._api.__aenter__)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if not self._background.is_forked:
            self._background.leave(lambda: self._api.__aexit__(kind, error, at))


class Reader(Generic[T_co], Iterator[T_co]):
    """Yields what an async iterator yields; threads may share one.

    Nothing is lost by a timeout, by Ctrl-C, or by reading on when the call is over.
    """

    def __init__(
        self,
        owner: BlockingCall,
        background: LoopThread,
        name: str,
        source: AsyncIterator[T_co],
        timeout_s: float | None,
    ) -> None:
        self._owner = owner  # whom nobody holds any more is hung up
        self._background = background
        self._name = name
        self._source = source
        self._timeout_s = timeout_s
        self._lock = threading.Lock()
        self._turn = asyncio.Lock()
        self._asked: Future[T_co | _End] | None = None
        self._rest: deque[T_co] = deque()
        self._failure: Exception | None = None
        self._is_settled = False
        background.at_end.add(self)

    def __next__(self) -> T_co:
        with self._lock:
            if self._asked is None:
                if self._background.is_over:
                    return self._left()
                self._asked = self._background.submit(self._name, self._next)
            asked = self._asked
            try:
                item = self._background.wait_for(self._name, asked, self._timeout_s, keep=True)
            finally:
                if asked.done():
                    self._asked = None
            return self._left() if isinstance(item, _End) else item

    async def settle(self) -> None:
        """Take over what is left: the call is over, and soon its loop will be."""
        async with self._turn:
            try:
                async for item in self._source:
                    self._rest.append(item)
            except Exception as error:  # noqa: BLE001 - raised to the reader when it comes to that
                self._failure = error
            self._is_settled = True

    async def _next(self) -> T_co | _End:
        async with self._turn:
            return await anext(self._source, _End.END)

    def _left(self) -> T_co:
        if not self._is_settled:
            self._background.run(self._name, self.settle, self._timeout_s)
        if self._rest:
            return self._rest.popleft()
        failure, self._failure = self._failure, None
        raise failure or StopIteration


class _End(Enum):
    END = auto()


def _name(method: Callable[..., object]) -> str:
    """Return the name of a method, or of the property that a lambda reads."""
    return method.__qualname__.removesuffix(".<locals>.<lambda>").rpartition(".")[2]
