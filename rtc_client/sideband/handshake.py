"""The handshake and the close that every websocket of a call shares.

This file and its neighbours are the only ones that use websockets.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from rtc_client.config import Deadlines
from rtc_client.errors import SidebandClosed
from rtc_client.protocol import urls
from rtc_client.protocol.redact import one_line
from rtc_client.tls import shared_context

_wire_log = logging.getLogger(f"{__name__}.wire")
_wire_log.setLevel(logging.WARNING)
"""Given to websockets, which at DEBUG writes out headers and frames: the key and what was said."""

MAX_FRAME_BYTES: Final = 16 * 2**20
MAX_WAITING_FRAMES: Final = 16
"""Frames that websockets holds before it stops reading the socket."""
HANGUP_CODES: Final = {1000, 1001}
"""Close codes by which the server hangs up."""
CLOSE_S: Final = 1.0
FLUSH_S: Final = 0.5


class _Connect(connect):
    """A handshake that follows no redirect: the next host would get the key."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


async def handshake(
    url: str, headers: Iterable[tuple[str, str]], deadlines: Deadlines, limit_s: float
) -> ClientConnection:
    """Return an open websocket, without subprotocol and compression (protocol.md section 1.5).

    Raises:
        InvalidHandshake, OSError, EOFError, ConnectionClosed: There is none, TimeoutError after `limit_s` among them.
    """
    return await _Connect(
        url,
        additional_headers=list(headers),
        user_agent_header=None,
        compression=None,
        proxy=None if urls.is_loopback(url) else True,
        ssl=shared_context() if url.startswith("wss:") else None,
        open_timeout=limit_s,
        ping_interval=deadlines.ping_interval_s,
        ping_timeout=deadlines.ping_timeout_s,
        close_timeout=CLOSE_S,
        max_size=MAX_FRAME_BYTES,
        max_queue=MAX_WAITING_FRAMES,
        logger=_wire_log,
    )


def closed_by(error: ConnectionClosed, secrets: Sequence[str]) -> SidebandClosed:
    """Return who closed a websocket, and how."""
    by_us = error.rcvd is None and error.sent is not None
    frame = error.sent if by_us else error.rcvd
    reason = one_line(frame.reason, secrets) if frame is not None else ""
    return SidebandClosed(frame.code if frame is not None else None, reason, by_us=by_us)


async def close(socket: ClientConnection) -> None:
    """Send a close frame and wait a moment for the server's, also when we are being cancelled."""
    closing = asyncio.create_task(socket.close(), name="sideband-close")
    try:
        await asyncio.shield(closing)
    except asyncio.CancelledError:
        await asyncio.wait([closing])
        raise
