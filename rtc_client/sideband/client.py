"""Sideband: joins the sideband of a call, keeps it alive, and rejoins it when it is lost."""

from __future__ import annotations

import asyncio
import logging
import random
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.errors import KeyUnavailable, SidebandClosed, SidebandRejected
from rtc_client.keys import KeyRing
from rtc_client.protocol import urls
from rtc_client.protocol.backoff import delay_s
from rtc_client.protocol.headers import call_headers, with_extra
from rtc_client.protocol.redact import one_line
from rtc_client.sideband.handshake import FLUSH_S, HANGUP_CODES, close, closed_by, handshake
from rtc_client.sideband.outbox import Outbox

log = logging.getLogger(__name__)

_RETRIED_STATUS: Final = {404, 408, 409, 425, 429}
_STABLE_S: Final = 5.0
"""A sideband that lived this long has earned a fresh set of tries."""


class SidebandListener(Protocol):
    """What happens on a sideband, told in order, from the event loop; no method may block."""

    def on_joined(self, *, again: bool) -> None:
        """The handshake succeeded."""
        ...

    def on_message(self, data: str | bytes) -> object:
        """A frame came; what is returned is for others."""
        ...

    def on_sent(self, text: str) -> None:
        """A frame went out."""
        ...

    def on_lost(self, error: SidebandClosed) -> None:
        """The connection broke; it will be joined again."""
        ...


class Sideband:
    """The event leg of one call."""

    def __init__(
        self,
        config: CallConfig,
        session_id: str,
        call_id: str,
        *,
        keys: KeyRing,
        first_message: Callable[[], str],
        outbox: Outbox,
        listener: SidebandListener,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        base = urls.sideband_base(config.base_url, config.sideband_url)
        self._url = urls.sideband_url(base, config.query, call_id)
        self._config = config
        self._session_id = session_id
        self._keys = keys
        self._deadlines = config.deadlines
        self._call_id = call_id
        self._first_message = first_message
        self._outbox = outbox
        self._listener = listener
        self._clock = clock
        self._rng = rng
        self._socket: ClientConnection | None = None

    async def run(self) -> SidebandClosed:
        """Join and stay joined; return when the server closes with 1000 or 1001, which is its hang-up.

        The first frame after every handshake is the session update, then come the frames of the outbox,
        without waiting for an answer (protocol.md section 1). A connection lost in any other way is
        joined again with the same schedule (the reference client never does).

        Raises:
            SidebandRejected: It cannot be joined, or joined again.
            SidebandClosed: It was joined again and again, and broke each time at once.

        Cancelling it closes the connection with a close frame, waiting for the server's at most a second.
        """
        broken = 0
        again = False
        while True:
            socket = await self._join()
            joined_s = self._clock.now_s()
            self._listener.on_joined(again=again)
            try:
                closed = await self._converse(socket)
            finally:
                self._socket = None
                await close(socket)
            if not closed.by_us and closed.code in HANGUP_CODES:
                return closed
            log.warning("sideband lost", extra={"call_id": self._call_id, "close_code": closed.code})
            self._listener.on_lost(closed)
            again = True
            broken = broken + 1 if self._clock.now_s() - joined_s < _STABLE_S else 0
            if broken:
                wait_s = delay_s(broken, self._rng)
                if wait_s is None:
                    raise closed
                await self._clock.sleep_until(self._clock.now_s() + wait_s)

    async def flush(self) -> None:
        """Wait, for at most half a second, until everything in the outbox of a joined sideband was sent."""
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._outbox.empty()

    async def _join(self) -> ClientConnection:
        deadline_s = self._clock.now_s() + self._deadlines.sideband_join_s
        tries = 0
        has_asked_again = False
        try:
            # Also with an ephemeral key that has expired: the session that it began goes on.
            key = await self._keys.get(may_be_expired=True)
        except KeyUnavailable as error:
            raise SidebandRejected(self._refusal(error, None, tries)) from error
        while True:
            left_s = deadline_s - self._clock.now_s()
            try:
                return await self._handshake(key, min(self._deadlines.sideband_open_s, left_s))
            except (InvalidHandshake, OSError, EOFError, ConnectionClosed) as error:
                cause = error
            tries += 1
            status = cause.response.status_code if isinstance(cause, InvalidStatus) else None
            if status == 401 and not has_asked_again:
                has_asked_again = True
                if (other := await self._key_instead_of(key, tries)) is not None:
                    key = other
                    continue
            wait_s = delay_s(tries, self._rng) if _is_transient(cause, status) else None
            if wait_s is None or self._clock.now_s() + wait_s >= deadline_s:
                raise SidebandRejected(self._refusal(cause, status, tries), status=status) from cause
            log.info(
                "sideband join failed, trying again",
                extra={"call_id": self._call_id, "status": status, "tries": tries, "wait_ms": round(wait_s * 1000)},
            )
            await self._clock.sleep_until(self._clock.now_s() + wait_s)

    async def _key_instead_of(self, refused: str, tries: int) -> str | None:
        try:
            return await self._keys.instead_of(refused)
        except KeyUnavailable as error:
            raise SidebandRejected(self._refusal(error, 401, tries), status=401) from error

    async def _handshake(self, key: str, limit_s: float) -> ClientConnection:
        headers = with_extra(call_headers(key, self._session_id), self._config.headers)
        return await handshake(self._url, headers, self._deadlines, limit_s)

    async def _converse(self, socket: ClientConnection) -> SidebandClosed:
        writer = asyncio.create_task(self._write(socket), name="sideband-writer")

        def stop_reading(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                socket.transport.abort()

        writer.add_done_callback(stop_reading)
        try:
            while True:
                self._listener.on_message(await socket.recv())
        except ConnectionClosed as error:
            return closed_by(error, self._config.secrets)
        finally:
            writer.cancel()
            await asyncio.wait([writer])
            if not writer.cancelled() and (failure := writer.exception()) is not None:
                raise failure

    async def _write(self, socket: ClientConnection) -> None:
        # A broken connection ends the reader too, and that is where it is told.
        with suppress(ConnectionClosed):
            await self._send(socket, self._first_message())
            self._socket = socket
            while True:
                frame = await self._outbox.first()
                await self._send(socket, frame)
                self._outbox.remove_first()

    async def _send(self, socket: ClientConnection, text: str) -> None:
        await socket.send(text)
        self._listener.on_sent(text)

    def _refusal(self, cause: Exception, status: int | None, tries: int) -> str:
        if isinstance(cause, KeyUnavailable):
            what = str(cause) if status is None else f"HTTP {status}, and then: {cause}"
        elif status is not None:
            what = f"HTTP {status}"
        elif isinstance(cause, TimeoutError):
            what = "the handshake was not answered in time"
        else:
            what = one_line(str(cause), self._config.secrets) or type(cause).__name__
        times = {0: "nothing was sent", 1: "one try"}.get(tries, f"{tries} tries")
        return f"the sideband of call {self._call_id} cannot be joined: {what} ({times})"


def _is_transient(error: Exception, status: int | None) -> bool:
    if status is not None:
        return status in _RETRIED_STATUS or status >= 500
    if isinstance(error, ssl.SSLError):
        return False
    return isinstance(error, OSError | EOFError | InvalidMessage | ConnectionClosed)
