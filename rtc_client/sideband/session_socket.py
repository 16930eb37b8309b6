"""SessionSocket: the websocket that is a whole call, events and audio (protocol.md section 10).

What its frames mean is not known here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus

from rtc_client.config import CallConfig
from rtc_client.errors import AnswererUnreachable, CallLost, HandshakeRefused
from rtc_client.protocol import urls
from rtc_client.protocol.headers import call_headers, with_extra
from rtc_client.protocol.redact import one_line
from rtc_client.sideband.client import SidebandListener
from rtc_client.sideband.handshake import FLUSH_S, HANGUP_CODES, close, closed_by, handshake
from rtc_client.sideband.outbox import AudioQueue, Outbox

log = logging.getLogger(__name__)


class SessionSocket:
    """One websocket, opened once and never again: another one would be another session, without what was said."""

    def __init__(
        self,
        config: CallConfig,
        session_id: str,
        *,
        first_message: Callable[[], str],
        outbox: Outbox,
        gate: Callable[[str], str | None],
        audio: AudioQueue,
        listener: SidebandListener,
    ) -> None:
        """`gate` is shown each text before it leaves, and returns what is sent in its place, None for nothing."""
        base = urls.sideband_base(config.base_url, config.sideband_url)
        self._is_v1 = config.version == "v1"
        self._url = urls.direct_url(base, config.query, config.model, is_v1=self._is_v1)
        self._config, self._session_id = config, session_id
        self._first_message, self._outbox, self._gate = first_message, outbox, gate
        self._audio, self._listener = audio, listener
        self._socket: ClientConnection | None = None

    async def open(self) -> None:
        """Shake hands, in one try.

        As the reference client does: nobody is billed for a call that is not up, and whoever dials it knows best
        whether and when to dial again. Only a key that a callable gave is asked for once more after a 401.

        Raises:
            KeyUnavailable: There is no key to send.
            HandshakeRefused: The server refuses; `status` says how.
            AnswererUnreachable: There is no server, or it does not answer within `deadlines.sideband_open_s`.

        Cancelling it leaves nothing open.
        """
        keys = self._config.key_ring()
        key = await keys.get()
        try:
            self._socket = await self._handshake(key)
        except HandshakeRefused as refused:
            other = await keys.instead_of(key) if refused.status == 401 else None
            if other is None:
                raise
            self._socket = await self._handshake(other)

    async def run(self) -> str:
        """Send the session update, then what waits; return the server's reason when it closes with 1000 or 1001.

        Raises:
            CallLost: The connection broke, or was closed with another code.

        Cancelling it closes the connection with a close frame, waiting for the server's at most a second.
        """
        socket = self._socket
        assert socket is not None  # noqa: S101 - it was opened
        self._listener.on_joined(again=False)
        try:
            return await self._converse(socket)
        finally:
            await self.aclose()

    async def flush(self) -> None:
        """Wait, for at most half a second, until every text that waits was sent."""
        if self._socket is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_S):
                    await self._outbox.empty()

    async def aclose(self) -> None:
        """Close the connection with a close frame. Safe to call twice."""
        socket, self._socket = self._socket, None
        if socket is not None:
            await close(socket)

    async def _handshake(self, key: str) -> ClientConnection:
        headers = with_extra(call_headers(key, self._session_id, is_v1=self._is_v1), self._config.headers)
        deadlines = self._config.deadlines
        try:
            return await handshake(self._url, headers, deadlines, deadlines.sideband_open_s)
        except InvalidStatus as error:
            status = error.response.status_code
            raise HandshakeRefused(f"the server refused the websocket with HTTP {status}", status=status) from error
        except TimeoutError as error:
            limit_s = deadlines.sideband_open_s
            raise AnswererUnreachable(f"the websocket's handshake was not answered within {limit_s:g} s") from error
        except (OSError, EOFError, InvalidMessage, ConnectionClosed) as error:
            what = one_line(str(error), self._config.secrets) or type(error).__name__
            raise AnswererUnreachable(f"the server of the websocket does not answer: {what}") from error
        except InvalidHandshake as error:
            what = one_line(str(error), self._config.secrets) or type(error).__name__
            raise HandshakeRefused(f"the server's answer opens no websocket: {what}") from error

    async def _converse(self, socket: ClientConnection) -> str:
        writers: list[asyncio.Task[None]] = []
        try:
            await self._send(socket, self._first_message())
            writers = [self._start(socket, self._write_texts, "texts"), self._start(socket, self._write_audio, "audio")]
            while True:
                self._listener.on_message(await socket.recv())
        except ConnectionClosed as error:
            return self._end_of(error)
        finally:
            for writer in writers:
                writer.cancel()
            if writers:
                await asyncio.wait(writers)
            for writer in writers:
                if not writer.cancelled() and (failure := writer.exception()) is not None:
                    raise failure

    def _end_of(self, error: ConnectionClosed) -> str:
        """Return the reason of a hang-up; raise CallLost for another end."""
        closed = closed_by(error, self._config.secrets)
        if not closed.by_us and closed.code in HANGUP_CODES:
            return closed.reason
        if closed.by_us:
            # Only the keepalive closes it while it is read.
            raise CallLost("websocket_lost", "the server of the websocket no longer answers") from closed
        how = f"with close code {closed.code}" if closed.code is not None else "without a close frame"
        raise CallLost("websocket_lost", f"the server closed the websocket {how}") from closed

    def _start(
        self, socket: ClientConnection, work: Callable[[ClientConnection], Coroutine[Any, Any, None]], what: str
    ) -> asyncio.Task[None]:
        writer = asyncio.create_task(work(socket), name=f"websocket-{what}")

        def stop_reading(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and task.exception() is not None:
                socket.transport.abort()

        writer.add_done_callback(stop_reading)
        return writer

    async def _write_texts(self, socket: ClientConnection) -> None:
        # A broken connection ends the reader too, and that is where it is told; here and below.
        with suppress(ConnectionClosed):
            while True:
                frame = self._gate(await self._outbox.first())
                if frame is not None:
                    await self._send(socket, frame)
                self._outbox.remove_first()

    async def _write_audio(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                await self._send(socket, await self._audio.take())

    async def _send(self, socket: ClientConnection, text: str) -> None:
        await socket.send(text)
        self._listener.on_sent(text)
