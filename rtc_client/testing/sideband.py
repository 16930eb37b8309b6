"""One joined sideband: frames in, frames out, and the ways to end it; what the frames mean is `call.py`'s."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from aiohttp import WSMsgType, web

MAX_FRAME_BYTES: Final = 16 * 1024 * 1024
SEND_LIMIT_S: Final = 5.0
CLOSE_LIMIT_S: Final = 0.5

_NO_STATUS: Final = 1005
_ABNORMAL: Final = 1006


class Sideband:
    """The server's end of one websocket. Ours to end: `close` (with a close frame) or `drop` (without)."""

    def __init__(self, request: web.Request) -> None:
        self.is_ended_by_us = False
        self.client_close_code: int | None = None
        """The close code the client sent (1005 for a close frame without one); None for a bare TCP close."""
        self._request = request
        # autoping answers pings; no compression is ever agreed to (wire-protocol section 1.5).
        self._websocket = web.WebSocketResponse(compress=False, max_msg_size=MAX_FRAME_BYTES, timeout=CLOSE_LIMIT_S)

    async def accept(self) -> web.WebSocketResponse:
        """Answer the handshake with 101. The response is to be returned when the frames have ended."""
        await self._websocket.prepare(self._request)
        return self._websocket

    async def frames(self) -> AsyncIterator[str | bytes]:
        """Yield what the client sends, text as str and binary as bytes, until either side ends the sideband."""
        while True:
            message = await self._websocket.receive()
            if message.type is WSMsgType.TEXT:
                yield str(message.data)
            elif message.type is WSMsgType.BINARY:
                yield bytes(message.data)
            else:
                if message.type is WSMsgType.CLOSE:
                    self._note_close_code(message.data)
                return

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
        except TimeoutError:
            self.drop()
            raise ConnectionError("the client does not read its sideband") from None

    async def close(self, code: int, reason: str = "") -> None:
        """Send a close frame and give the client a moment to answer it."""
        self.is_ended_by_us = True
        if await self._websocket.close(code=code, message=reason.encode()):
            self._note_close_code(self._websocket.close_code)

    def drop(self) -> None:
        """Abort the TCP connection, without a close frame."""
        self.is_ended_by_us = True
        if self._request.transport is not None:
            self._request.transport.abort()

    def _note_close_code(self, code: int | None) -> None:
        if code != _ABNORMAL:
            self.client_close_code = code or _NO_STATUS
