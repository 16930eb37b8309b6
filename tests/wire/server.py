"""A scripted server on bare asyncio streams: HTTP and websocket by hand, so that it can also be as wrong as it likes.

It shares no code with the client and none with the fake answerer, and no library with either.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from http import HTTPStatus
from types import TracebackType
from typing import Final, Self, TypeAlias, TypeVar

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_GUID: Final = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

T = TypeVar("T")
Headers: TypeAlias = Iterable[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it was on the wire."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes = field(repr=False)
    at_s: float
    """Seconds of the event loop's clock."""

    @property
    def target(self) -> str:
        """Path and query."""
        return self.line.split(" ")[1]

    @property
    def is_handshake(self) -> bool:
        return self.line.startswith("GET ")

    @property
    def is_hangup(self) -> bool:
        return self.target.partition("?")[0].endswith("/hangup")

    def header(self, name: str) -> str | None:
        """Return the only value of a header, None without one."""
        values = [value for other, value in self.headers if other.lower() == name]
        assert len(values) < 2, f"{name} is there {len(values)} times"
        return values[0] if values else None


@dataclass(frozen=True, slots=True)
class Frame:
    """One websocket frame of the client, unmasked."""

    opcode: int
    payload: bytes

    @property
    def text(self) -> str:
        assert self.opcode == TEXT, f"opcode {self.opcode}"
        return self.payload.decode()

    @property
    def close_code(self) -> int:
        assert self.opcode == CLOSE, f"opcode {self.opcode}"
        return int.from_bytes(self.payload[:2], "big")


class Wire:
    """One TCP connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.keep_alive = False
        """Whether another request may come on it: a whole answer was given."""

    async def read_request(self) -> Request | None:
        """Return the next request, None when there is no more."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        line, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
        headers = [(name, value.strip()) for name, _, value in (other.partition(":") for other in lines)]
        length = next((int(value) for name, value in headers if name.lower() == "content-length"), 0)
        at_s = asyncio.get_running_loop().time()
        return Request(line, headers, await self._reader.readexactly(length), at_s)

    async def send(self, data: bytes) -> None:
        """Send bytes as they are.

        Raises:
            ConnectionError: The client is gone.
        """
        self._writer.write(data)
        await self._writer.drain()

    async def send_head(self, status: int, headers: Headers = ()) -> None:
        """Send a status line and headers; whatever body follows is the caller's."""
        lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(f"{name}: {value}" for name, value in headers)]
        await self.send(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))

    async def respond(self, status: int, headers: Headers = (), body: bytes | str = b"") -> None:
        """Send a whole answer."""
        data = body.encode() if isinstance(body, str) else body
        await self.send_head(status, [*headers, ("Content-Length", str(len(data)))])
        await self.send(data)
        self.keep_alive = True

    async def accept(self, request: Request, headers: Headers = ()) -> None:
        """Answer a handshake with 101."""
        key = request.header("sec-websocket-key")
        assert key is not None
        digest = base64.b64encode(hashlib.sha1((key + _GUID).encode()).digest()).decode()
        upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Accept", digest)]
        await self.send_head(101, [*upgrade, *headers])

    async def send_frame(self, opcode: int, payload: bytes = b"") -> None:
        """Send one websocket frame, unmasked."""
        n = len(payload)
        if n < 126:
            length = bytes([n])
        elif n < 2**16:
            length = b"\x7e" + n.to_bytes(2, "big")
        else:
            length = b"\x7f" + n.to_bytes(8, "big")
        await self.send(bytes([0x80 | opcode]) + length + payload)

    async def send_text(self, text: str) -> None:
        await self.send_frame(TEXT, text.encode())

    async def send_close(self, code: int, reason: str = "") -> None:
        await self.send_frame(CLOSE, code.to_bytes(2, "big") + reason.encode())

    async def read_frame(self) -> Frame | None:
        """Return the client's next frame, None when it has closed its connection."""
        try:
            head = await self._reader.readexactly(2)
            assert head[0] & 0x80, "the client sent a fragment"
            assert not head[0] & 0x70, "the client set a bit of an extension"
            assert head[1] & 0x80, "the client sent a frame without a mask"
            n = head[1] & 0x7F
            if n > 125:
                n = int.from_bytes(await self._reader.readexactly(2 if n == 126 else 8), "big")
            mask = await self._reader.readexactly(4)
            data = await self._reader.readexactly(n)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        key = (mask * (n // 4 + 1))[:n]
        unmasked = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
        return Frame(head[0] & 0x0F, unmasked.to_bytes(n, "big"))

    async def read_text(self) -> str:
        """Return the client's next text frame, passing over pings."""
        while (frame := await self.read_frame()) is not None:
            if frame.opcode != PING:
                return frame.text
        raise AssertionError("the client closed its connection without a frame")

    async def read_to_close(self) -> int | None:
        """Return the close code that the client sends, None for a bare TCP close; other frames are passed over."""
        while (frame := await self.read_frame()) is not None:
            if frame.opcode == CLOSE:
                return frame.close_code
        return None

    def abort(self) -> None:
        """Reset the connection."""
        self._writer.transport.abort()

    async def wait_gone(self) -> None:
        """Return once the client has closed its end, whatever it still sends."""
        try:
            while await self._reader.read(65_536):
                pass
        except ConnectionError:
            return

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return


Serve: TypeAlias = Callable[[Wire, Request, int], Awaitable[None]]
"""What is done with a request: its connection, itself, and which of its kind it is, from 1."""


class WireServer:
    """Listens on loopback for as long as its `async with` block lasts; what its scripts raise is raised at its end."""

    def __init__(
        self, *, post: Serve | None = None, handshake: Serve | None = None, hangup: Serve | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.hangup_status: int | None = 200
        """What a hang-up is answered with; None for never."""
        self._post, self._handshake, self._hangup = post or refuse_all, handshake or refuse_all, hangup
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._changed = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in set(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(set(self._connections))
        if error is None and self._failures:
            raise self._failures[0]

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def posts(self) -> list[Request]:
        """The offers, in order."""
        return [request for request in self.requests if not request.is_handshake and not request.is_hangup]

    @property
    def handshakes(self) -> list[Request]:
        return [request for request in self.requests if request.is_handshake]

    @property
    def hangups(self) -> list[Request]:
        return [request for request in self.requests if request.is_hangup]

    def note(self) -> None:
        """Wake whoever waits with `until`: something has changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def until(self, find: Callable[[], T | None], timeout_s: float = 10.0) -> T:
        """Return what `find` finds, as soon as it finds something true."""
        async with asyncio.timeout(timeout_s):
            while not (found := find()):
                await self._changed.wait()
            return found

    async def _hang_up(self, wire: Wire, request: Request) -> None:
        if self._hangup is not None:
            await self._hangup(wire, request, len(self.hangups))
        elif self.hangup_status is None:
            await wire.wait_gone()
        else:
            await wire.respond(self.hangup_status, body="{}")

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(Wire(reader, writer)), name="wire-server")
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _run(self, wire: Wire) -> None:
        try:
            while (request := await wire.read_request()) is not None:
                self.requests.append(request)
                self.note()
                wire.keep_alive = False
                if request.is_hangup:
                    await self._hang_up(wire, request)
                elif request.is_handshake:
                    await self._handshake(wire, request, len(self.handshakes))
                else:
                    await self._post(wire, request, len(self.posts))
                if not wire.keep_alive:
                    break
        except ConnectionError:
            pass  # the client left in the middle: what it left for is the test's to judge
        except Exception as error:  # noqa: BLE001 - raised where the test can see it
            self._failures.append(error)
        finally:
            await wire.close()


async def refuse_all(wire: Wire, request: Request, n: int) -> None:
    """Answer 404."""
    await wire.respond(404)
