"""A websocket server for calls without a peer connection: it speaks as a test tells it to."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from rtc_client import (
    CallConfig,
)
from tests.wire.replay import KEY, assert_same_frame
from tests.wire.server import CLOSE, PING, Request, Wire, WireServer

INSTRUCTIONS = "backend prompt\n\nstartup context"


class DirectServer:
    """Speaks as a test tells it to; texts of the client but its sound wait in `said`."""

    def __init__(self) -> None:
        self.server = WireServer(handshake=self._serve)
        self.texts: list[dict[str, Any]] = []
        self.audio: list[str] = []
        self.close_codes: list[int] = []
        self.wire: Wire | None = None
        self._n_read = 0

    async def _serve(self, wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        self.wire = wire
        while (frame := await wire.read_frame()) is not None:
            if frame.opcode == CLOSE:
                self.close_codes.append(frame.close_code)
                break
            if frame.opcode == PING:
                continue
            value = json.loads(frame.text)
            if value["type"] == "input_audio_buffer.append":
                self.audio.append(value["audio"])
            else:
                assert_same_frame(frame.text, frame.text)
                self.texts.append(value)
            self.server.note()

    async def send(self, *texts: str) -> None:
        await self.server.until(lambda: self.wire)
        assert self.wire is not None
        for text in texts:
            await self.wire.send_text(text)

    async def said(self, n: int = 1) -> list[dict[str, Any]]:
        """Return the next `n` texts of the client."""
        end = self._n_read + n
        await self.server.until(lambda: len(self.texts) >= end)
        start, self._n_read = self._n_read, end
        return self.texts[start:end]


@asynccontextmanager
async def serving() -> AsyncIterator[DirectServer]:
    server = DirectServer()
    async with server.server:
        yield server


def config_of(server: DirectServer, **settings: Any) -> CallConfig:
    given = {"base_url": server.server.base_url, "api_key": KEY, "instructions": INSTRUCTIONS} | settings
    return CallConfig(transport="websocket", **given)
