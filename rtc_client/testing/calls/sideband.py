"""One joined sideband: messages in, messages out, and the ways to end it."""

from __future__ import annotations

import asyncio
import re
import struct
from collections.abc import AsyncIterator
from functools import partial
from typing import Final

from aiohttp import WSMsgType, web

from rtc_client.testing.wire.wire_log import Direction, WireLog

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
SEND_LIMIT_S: Final = 5.0
CLOSE_LIMIT_S: Final = 0.5

_NO_STATUS: Final = 1005
_SOUND: Final = re.compile(r'"(input_audio_buffer\.append|(response|conversation)\.output_audio\.delta)"')
_HEAD_CHARS: Final = 80


class Sideband:
    """The server's end of one websocket. Ours to end: `close` (with a close frame) or `drop` (without)."""

    def __init__(self, request: web.Request, wire: WireLog, call_id: str, *, keeps_sound: bool = True) -> None:
        """Without `keeps_sound` frames that hold sound do not stand in the wire log."""
        self._keeps_sound = keeps_sound
        self.is_ended_by_us = False
        self.client_close_code: int | None = None
        """The close code the client sent (1005 for a close frame without one); None for a bare TCP close."""
        self._request = request
        self._add_frame = partial(wire.add_frame, call_id=call_id)
        self._keep = partial(wire.add, call_id=call_id)
        self._is_over = asyncio.Event()
        # autoping answers pings; no compression is ever agreed to (protocol.md section 1.5). Close frames are ours:
        # aiohttp's close() does not wait for the client's answer while another task receives, and makes up its code.
        self._websocket = web.WebSocketResponse(compress=False, max_msg_size=MAX_FRAME_BYTES, autoclose=False)

    async def accept(self) -> web.WebSocketResponse:
        """Answer the handshake with 101. The response is to be returned when the frames have ended."""
        await self._websocket.prepare(self._request)
        self._keep("s2c", "ws_accept")
        return self._websocket

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Yield what the client sends, text as str and binary as bytes, until either side ends the sideband."""
        try:
            while True:
                message = await self._websocket.receive()
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    self._keep_frame("c2s", message.data)
                if message.type is WSMsgType.TEXT:
                    yield str(message.data)
                elif message.type is WSMsgType.BINARY:
                    yield bytes(message.data)
                else:
                    if message.type is WSMsgType.CLOSE:
                        self._keep("c2s", "ws_close", code=message.data or _NO_STATUS, reason=message.extra or "")
                        await self._take_close_frame(message.data or _NO_STATUS)
                    elif not self.is_ended_by_us:
                        self._keep("c2s", "tcp_close")
                    return
        finally:
            self._is_over.set()

    async def send(self, frame: str | bytes) -> None:
        """Send a text or binary frame as it is. A client that does not read for `SEND_LIMIT_S` is dropped.

        Raises:
            ConnectionError: If the sideband is over.
        """
        try:
            async with asyncio.timeout(SEND_LIMIT_S):
                if isinstance(frame, str):
                    await self._websocket.send_str(frame)
                else:
                    await self._websocket.send_bytes(frame)
            self._keep_frame("s2c", frame)
        except TimeoutError:
            self.drop()
            raise ConnectionError("the client does not read its sideband") from None

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and give the client a moment to answer it; then the connection is closed."""
        if self._is_over.is_set():
            return
        self.is_ended_by_us = True
        try:
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await self._websocket.send_frame(struct.pack("!H", code) + reason.encode(), WSMsgType.CLOSE)
                self._keep("s2c", "ws_close", code=code, reason=reason)
                await self._is_over.wait()
        except (TimeoutError, ConnectionError):
            self.drop()

    def drop(self) -> None:
        """Abort the TCP connection, without a close frame."""
        self.is_ended_by_us = True
        if self._request.transport is not None:
            self._request.transport.abort()
            self._keep("s2c", "tcp_close")

    def _keep_frame(self, direction: Direction, frame: str | bytes) -> None:
        if self._keeps_sound or isinstance(frame, bytes) or not _SOUND.search(frame, 0, _HEAD_CHARS):
            self._add_frame(direction, frame)

    async def _take_close_frame(self, code: int) -> None:
        self.client_close_code = code
        if not self.is_ended_by_us:
            await self._websocket.close(code=1000 if code == _NO_STATUS else code)
            self._keep("s2c", "ws_close", code=1000 if code == _NO_STATUS else code, reason="")
        elif self._request.transport is not None:
            # Both frames are exchanged: the server closes first (RFC 6455 section 7.1.1).
            self._request.transport.close()
