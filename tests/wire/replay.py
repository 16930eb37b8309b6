"""Plays the server's side of a recording to our client, with a real media peer where an offer was accepted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from rtc_client import Call, CallConfig, CallEvent, RtcClientError, ServerEvent, connect
from rtc_client.testing import FakeAnswerer
from tests.wire.recordings import Episode, Happening
from tests.wire.server import BINARY, CLOSE, PING, Frame, Request, Wire, WireServer

KEY = "dummy-api-key"


class HastyClock:
    """The machine's clock, except that waits of 100 ms and more are over at once, and written down.

    Retries wait that long; the clockwork of the audio does not. What tends the call does, and is left alone.
    """

    def __init__(self) -> None:
        self.waits_s: list[float] = []
        self._skipped_s = 0.0

    def now_s(self) -> float:
        return time.monotonic() + self._skipped_s

    async def sleep_until(self, deadline_s: float) -> None:
        wait_s = deadline_s - self.now_s()
        task = asyncio.current_task()
        if wait_s >= 0.1 and (task is None or task.get_name() != "call-tend"):
            self.waits_s.append(wait_s)
            self._skipped_s += wait_s
            wait_s = 0.0
        await asyncio.sleep(max(0.0, wait_s))


def assert_schedule(waits_s: list[float], n_waits: int) -> None:
    """Check that these are the first waits of 200, 400, 800, 1600 ms, each ±10 %."""
    expected_s = (0.2, 0.4, 0.8, 1.6)[:n_waits]
    assert len(waits_s) == n_waits, waits_s
    for wait_s, nominal_s in zip(waits_s, expected_s, strict=True):
        assert 0.9 * nominal_s - 0.01 <= wait_s <= 1.1 * nominal_s + 0.01, waits_s


class Replay:
    """The server of one recorded call.

    The first frame of a sideband is awaited, then what the recorded server sent follows at once, but not before
    `go` is set; a handshake that took the recorded server a while waits for `accept`. `in_order` keeps to the order of
    the recording: what came behind a frame of the client is sent once as many frames have come.
    """

    def __init__(self, episode: Episode, media: FakeAnswerer) -> None:
        self.go = asyncio.Event()
        self.accept = asyncio.Event()
        self.in_order = False
        self.frames: list[list[Frame]] = []
        """What came on each accepted sideband."""
        self.server = WireServer(post=self._answer, handshake=self._join)
        self.media = media
        self._answers = episode.all("http_response")
        n_posts = len(episode.all("http_request"))
        self._posts, self._refusals = self._answers[:n_posts], self._answers[n_posts:]
        self._accepted = episode.all("ws_accept")
        self._on_sideband = episode.all("ws_text", "ws_binary", "ws_ping", "ws_close", "tcp_close")
        opens = episode.all("ws_open")
        self._is_slow = bool(self._accepted) and self._accepted[0]["t"] - opens[-1]["t"] > 1.0

    @property
    def texts(self) -> list[str]:
        """What came as text on all sidebands."""
        return [frame.text for frames in self.frames for frame in frames if frame.opcode not in (CLOSE, PING, 10)]

    @property
    def close_codes(self) -> list[int]:
        """Every close code the client sent."""
        return [frame.close_code for frames in self.frames for frame in frames if frame.opcode == CLOSE]

    async def _answer(self, wire: Wire, request: Request, n: int) -> None:
        answer = self._posts[min(n, len(self._posts)) - 1]
        body: str | bytes = answer["body"]
        if answer["status"] in (200, 201):
            body = await ask(self.media, request)
        await wire.respond(answer["status"], [(name, value) for name, value in answer["headers"]], body)

    async def _join(self, wire: Wire, request: Request, n: int) -> None:
        if n <= len(self._refusals):
            refusal = self._refusals[n - 1]
            await wire.respond(
                refusal["status"], [(name, value) for name, value in refusal["headers"]], refusal["body"]
            )
            return
        if self._is_slow:
            await self.accept.wait()
        await wire.accept(request)
        frames: list[Frame] = []
        self.frames.append(frames)
        sending = asyncio.create_task(self._send(wire) if len(self.frames) == 1 else nothing(), name="replay-send")
        try:
            while (frame := await wire.read_frame()) is not None:
                frames.append(frame)
                self.server.note()
                if frame.opcode == CLOSE:
                    break
        finally:
            sending.cancel()
            await asyncio.wait([sending])

    async def _send(self, wire: Wire) -> None:
        await self.server.until(lambda: self.texts)
        await self.go.wait()
        n_due = 0
        for happening in self._on_sideband:
            if happening["dir"] == "s2c":
                await send(wire, happening)
            elif happening["kind"] == "ws_text":
                n_due += 1
                if self.in_order:
                    await self.server.until(lambda: len(self.texts) >= n_due)  # noqa: B023 - awaited at once


async def send(wire: Wire, happening: Happening) -> None:
    """Do on a sideband what the recorded server did."""
    match happening["kind"]:
        case "ws_text":
            await wire.send_text(happening["text"])
        case "ws_binary":
            await wire.send_frame(BINARY, bytes.fromhex(happening["hex"]))
        case "ws_ping":
            await wire.send_frame(PING, bytes.fromhex(happening["hex"]))
        case "ws_close":
            await wire.send_close(happening["code"], happening["reason"])
        case "tcp_close":
            wire.abort()
        case other:
            raise AssertionError(other)


async def nothing() -> None:
    """Send nothing."""


async def ask(media: FakeAnswerer, request: Request) -> bytes:
    """Return the answer of a real media peer to a posted offer, by posting it on."""
    reader, writer = await asyncio.open_connection("127.0.0.1", media.port)
    try:
        headers = "".join(f"{name}: {value}\r\n" for name, value in request.headers)
        head = f"{request.line}\r\n{headers}connection: close\r\n\r\n"
        writer.write(head.encode("latin-1") + request.body)
        response = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    assert response.startswith(b"HTTP/1.1 201"), response[:200]
    return response.partition(b"\r\n\r\n")[2]


@asynccontextmanager
async def replaying(episode: Episode) -> AsyncIterator[Replay]:
    """Run the server of a recorded call."""
    async with FakeAnswerer() as media:
        replay = Replay(episode, media)
        async with replay.server:
            yield replay


def config_of(replay: Replay, episode: Episode | None = None, **settings: Any) -> CallConfig:
    """Return our settings for a recorded call."""
    if episode is not None and episode.all("http_request"):
        settings = {"session_id": episode.session_id, "instructions": episode.session["instructions"]} | settings
    return CallConfig(**({"base_url": replay.server.base_url, "api_key": KEY} | settings))


def compact(value: object) -> str:
    """Return JSON without white space, non-ASCII as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def assert_same_frame(ours: str, theirs: str) -> None:
    """Check a frame: the same object, compact, its keys in any order."""
    assert json.loads(ours) == json.loads(theirs)
    assert ours == compact(json.loads(ours))


async def first_frame_of(replay: Replay) -> str:
    """Return the first frame our client sends."""
    return await replay.server.until(lambda: replay.texts[0] if replay.texts else None)


async def place(replay: Replay, recorded: Episode, **settings: Any) -> Call:
    """Place a call as recorded, wait for its first frame, and hang up."""
    async with connect(config_of(replay, recorded, **settings)) as call:
        await first_frame_of(replay)
    return call


async def server_events(call: Call, n: int) -> list[ServerEvent]:
    """Return the first `n` events of the server, passing over our own notices."""
    found: list[ServerEvent] = []
    async with asyncio.timeout(10):
        async for event in call.events():
            if isinstance(event, ServerEvent):
                found.append(event)
            if len(found) == n:
                return found
    raise AssertionError(f"the call ended after {len(found)} of {n} events")


async def all_events(call: Call) -> list[CallEvent]:
    """Return every event of a call that is over, also of one that ended badly."""
    found: list[CallEvent] = []
    with suppress(RtcClientError):
        async for event in call.events():
            found.append(event)
    return found
