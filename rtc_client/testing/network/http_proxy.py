"""A bad network between any two peers: an HTTP proxy that passes offers and answers on and puts a relay in between.

A client is given the proxy's base in place of the answerer's. What it sends goes on as it is, but for the ports of its
candidates; of what comes back the answer names the relay. The sideband is passed on frame by frame, unspoilt.
What the network does is `udp_relay.py`'s.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import socket
import struct
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from aiohttp import (
    ClientError,
    ClientSession,
    ClientTimeout,
    ClientWebSocketResponse,
    ClientWSTimeout,
    WSMsgType,
    WSServerHandshakeError,
    web,
)

from rtc_client.clock import Clock, MonotonicClock
from rtc_client.testing.aiortc_internals import LOOPBACK
from rtc_client.testing.network.udp_relay import Network, Relay
from rtc_client.testing.wire.origin_check import error, guarded
from rtc_client.testing.wire.sdp_text import with_dead_candidates
from rtc_client.testing.wire.server_events import JsonObject, parse_object

log = logging.getLogger(__name__)

MAX_BODY_BYTES: Final = 2 * 1024 * 1024
MAX_FRAME_BYTES: Final = 64 * 1024 * 1024
MAX_RELAYS: Final = 256
"""Kept with their figures; beyond these the oldest closed ones are forgotten."""
IDLE_S: Final = 40.0
"""A relay that nothing has passed for so long is closed: both peers ask each other for consent every few seconds."""
SWEEP_S: Final = 2.0
SHUTDOWN_LIMIT_S: Final = 0.3
CLOSE_LIMIT_S: Final = 1.0
"""How long the other side may take to answer a close frame."""

_OWN_HEADERS: Final = frozenset(
    {
        "host", "connection", "keep-alive", "upgrade", "te", "trailer", "transfer-encoding", "content-length",
        "accept-encoding", "content-encoding", "sec-websocket-key", "sec-websocket-version", "sec-websocket-accept",
        "sec-websocket-extensions", "sec-websocket-protocol", "date", "server",
    }
)  # fmt: skip
"""Those of one hop alone; each side of the proxy has its own."""


@dataclass(slots=True)
class RelayedCall:
    """One call through the proxy."""

    call_id: str
    """The last segment of its Location, or an empty string."""
    at_s: float
    """When it was answered, in seconds since the proxy started."""
    relay: Relay

    def as_json(self) -> JsonObject:
        """Return what has passed so far."""
        return {
            "call_id": self.call_id,
            "at_s": round(self.at_s, 3),
            "is_open": not self.relay.is_closed,
            "to_agent": asdict(self.relay.to_agent.counters),
            "to_caller": asdict(self.relay.to_caller.counters),
        }


class RelayProxy:
    """Stands before an answerer for as long as its `async with` block lasts."""

    def __init__(
        self,
        to: str,
        network: Network,
        *,
        host: str = LOOPBACK,
        port: int = 0,
        clock: Clock | None = None,
    ) -> None:
        """`to` is the answerer's base URL; its path is kept.

        Raises:
            ValueError: If `to` is no http(s) URL.
        """
        parts = urlsplit(to)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError(f"{to} is no base of an answerer: need http(s)://host[:port][/path], and no query")
        self.network = network
        """That of the calls to come; each begins it again."""
        self.calls: deque[RelayedCall] = deque()
        self.port = port
        self.shutdown_asked = asyncio.Event()
        self._origin, self._path = f"{parts.scheme}://{parts.netloc}", parts.path.rstrip("/")
        self._is_here = is_loopback(parts.hostname)
        self._host = host
        self._clock = clock or MonotonicClock()
        self._started_at_s = self._clock.now_s()
        self._session: ClientSession | None = None
        self._runner: web.AppRunner | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        """Start to listen.

        Raises:
            OSError: If the address or the port cannot be had.
        """
        self._session = ClientSession(
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            timeout=ClientTimeout(total=None, sock_connect=10),
            trust_env=not self._is_here,
        )
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_get("/_report", guarded(self._tell))
        app.router.add_post("/_blackout", guarded(self._black_out))
        app.router.add_post("/_shutdown", guarded(self._shut_down))
        app.router.add_route("*", "/{path:.*}", self._pass_on)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_LIMIT_S)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self._host, self.port).start()
        except BaseException:
            await self.aclose()
            raise
        self.port = self._runner.addresses[0][1]
        self._sweeping = asyncio.create_task(self._sweep(), name="relay-sweep")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every relay and stop listening. Safe to call twice."""
        if self._sweeping is not None:
            self._sweeping.cancel()
            await asyncio.wait({self._sweeping})
        for call in self.calls:
            call.relay.close()
        if self._session is not None:
            await self._session.close()  # ends the sidebands that are being passed on
        if self._runner is not None:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """What a client is given in place of the answerer's base."""
        address = LOOPBACK if self._host in ("0.0.0.0", "") else self._host  # noqa: S104 - compared, not bound
        return f"http://{f'[{address}]' if ':' in address else address}:{self.port}{self._path}"

    def report(self) -> JsonObject:
        """Return the network and what has passed it, as `GET /_report` tells."""
        return {
            "to": f"{self._origin}{self._path}",
            "up_s": round(self._clock.now_s() - self._started_at_s, 3),
            "network": asdict(self.network),
            "calls": [call.as_json() for call in self.calls],
        }

    async def _tell(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(self.report())

    async def _black_out(self, request: web.Request) -> web.StreamResponse:
        for_s = (parse_object(await request.text()) or {}).get("for_s")
        if not isinstance(for_s, int | float) or isinstance(for_s, bool) or not 0 < for_s <= 3600:
            return error(400, 'need {"for_s": seconds}, more than 0 and up to 3600')
        n_open = 0
        for call in self.calls:
            if not call.relay.is_closed:
                call.relay.black_out(for_s)
                n_open += 1
        return web.json_response({"calls": n_open})

    async def _shut_down(self, _: web.Request) -> web.StreamResponse:
        self.shutdown_asked.set()
        return web.json_response({"closing": True}, status=202)

    async def _sweep(self) -> None:
        while True:
            await self._clock.sleep_until(self._clock.now_s() + SWEEP_S)
            now_s = asyncio.get_running_loop().time()
            for call in self.calls:
                if now_s - call.relay.used_at_s > IDLE_S:
                    call.relay.close()
            while len(self.calls) > MAX_RELAYS and self.calls[0].relay.is_closed:
                self.calls.popleft()

    async def _pass_on(self, request: web.Request) -> web.StreamResponse:
        try:
            if "websocket" in request.headers.get("Upgrade", "").lower():
                return await self._pass_sideband_on(request)
            return await self._pass_request_on(request)
        except WSServerHandshakeError as refusal:
            return web.Response(status=refusal.status)
        except (ClientError, OSError, TimeoutError) as failure:
            log.debug("the answerer was not reached", extra={"failure": type(failure).__name__})
            return error(502, f"the relay cannot reach the answerer ({type(failure).__name__})")

    async def _pass_request_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None  # noqa: S101 - requests come while it is open
        body = await request.read()
        # One byte is one character, so that whatever is not SDP stays as it is.
        text = body.decode("latin-1")
        is_offer = request.method == "POST" and "m=audio" in text
        if is_offer:
            # The caller can only be met where the relay hands its datagrams on: a peer-reflexive candidate.
            body = with_dead_candidates(text).encode("latin-1")
        async with self._session.request(
            request.method, self._url(request), data=body or None, headers=_passed_on(request.raw_headers),
            allow_redirects=False,
        ) as response:  # fmt: skip
            answered, location = await response.read(), response.headers.get("Location", "")
            # A Location that names the answerer would lead around the relay.
            headers = [
                (name, value.removeprefix(self._origin) if name.lower() == "location" else value)
                for name, value in _passed_on(response.raw_headers)
            ]
        if is_offer and 200 <= response.status < 300:
            call_id = urlsplit(location).path.rpartition("/")[2]
            try:
                answered = self._through_relay(answered, call_id, request)
            except (ValueError, OSError) as failure:
                return error(502, str(failure))
        return web.Response(status=response.status, reason=response.reason, headers=headers, body=answered)

    def _through_relay(self, answered: bytes, call_id: str, request: web.Request) -> bytes:
        """Return the body of an answer with a relay in place of the answerer; one that holds no SDP as it is.

        Raises:
            ValueError: If nothing can stand in between.
            OSError: If a relay has no port.
        """
        text = answered.decode("utf-8", "surrogateescape")
        whole = None if text.startswith("v=") else parse_object(text)
        sdp = text if whole is None else whole.get("sdp")
        if not isinstance(sdp, str) or not sdp.startswith("v="):
            return answered
        assert request.transport is not None  # noqa: S101 - its body was just read
        relay = Relay(self.network, request.transport.get_extra_info("sockname")[0])
        try:
            sdp = relay.answer_by_way_of(sdp, is_here=self._is_here)
        except ValueError:
            relay.close()
            raise
        self.calls.append(RelayedCall(call_id, self._clock.now_s() - self._started_at_s, relay))
        if whole is not None:
            sdp = json.dumps({**whole, "sdp": sdp}, separators=(",", ":"), ensure_ascii=False)
        return sdp.encode("utf-8", "surrogateescape")

    async def _pass_sideband_on(self, request: web.Request) -> web.StreamResponse:
        assert self._session is not None  # noqa: S101 - requests come while it is open
        asked = request.headers.get("Sec-WebSocket-Protocol", "")
        far = await self._session.ws_connect(
            self._url(request),
            headers=_passed_on(request.raw_headers),
            protocols=[name.strip() for name in asked.split(",") if name.strip()],
            timeout=ClientWSTimeout(ws_close=0.1),
            max_msg_size=MAX_FRAME_BYTES,
            autoclose=False,
        )
        near = web.WebSocketResponse(
            protocols=[far.protocol] if far.protocol else (),
            max_msg_size=MAX_FRAME_BYTES,
            autoclose=False,
            compress=False,
        )
        ways: set[asyncio.Task[bool]] = set()
        try:
            await near.prepare(request)
            ways.add(asyncio.create_task(_pass_frames_on(near, far), name="relay-sideband-up"))
            ways.add(asyncio.create_task(_pass_frames_on(far, near), name="relay-sideband-down"))
            ended, _ = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            if any(way.result() for way in ended):
                await asyncio.wait(ways, timeout=CLOSE_LIMIT_S)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            if request.transport is not None:
                request.transport.close()
            # Whoever ended it without a close frame is passed on as well: no frame of ours goes to the answerer.
            if (line := far.get_extra_info("socket")) is not None:
                with suppress(OSError):
                    line.shutdown(socket.SHUT_RDWR)
            await far.close()
        return near

    def _url(self, request: web.Request) -> str:
        return self._origin + request.raw_path


async def _pass_frames_on(
    source: web.WebSocketResponse | ClientWebSocketResponse, to: web.WebSocketResponse | ClientWebSocketResponse
) -> bool:
    """Pass frames on until either side ends; return whether it was by a close frame, which is passed on too."""
    try:
        while True:
            message = await source.receive()
            if message.type is WSMsgType.TEXT:
                await to.send_str(message.data)
            elif message.type is WSMsgType.BINARY:
                await to.send_bytes(message.data)
            elif message.type is WSMsgType.CLOSE:
                code, reason = message.data, (message.extra or "").encode()
                await to.send_frame(struct.pack("!H", code) + reason if code else b"", WSMsgType.CLOSE)
                return True
            else:
                return False
    except ConnectionError:
        return False


def _passed_on(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return the headers that are not of one hop alone, in wire order and wire case."""
    read = ((name.decode(), value.decode("utf-8", "surrogateescape")) for name, value in headers)
    return [(name, value) for name, value in read if name.lower() not in _OWN_HEADERS]


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine, and nothing sent to it leaves it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
