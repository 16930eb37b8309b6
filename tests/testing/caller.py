"""An independent caller: httpx, websockets and plain aiortc, none of our own client code."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import httpx
import numpy as np
from aioice import Candidate, Connection
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError
from av import AudioFrame
from websockets.asyncio.client import ClientConnection, connect

from rtc_client.audio.frames import Samples
from rtc_client.audio.resample import resample
from rtc_client.testing import FakeAnswerer

SESSION: dict[str, Any] = {
    "audio": {"input": {"format": {"type": "audio/pcm", "rate": 24000}}, "output": {"voice": "cove"}},
    "type": "quicksilver",
    "model": "gpt-realtime-1.5",
    "instructions": "Be brief, é.",
}

SESSION_UPDATE: dict[str, Any] = {
    "type": "session.update",
    "session": {"type": "quicksilver", "instructions": SESSION["instructions"], "audio": SESSION["audio"]},
}

IDENTITY = {
    "openai-alpha": "quicksilver=v1",
    "x-session-id": "01a1f79c-9739-7cd3-9161-4945a7bc26f1",
    "authorization": "Bearer dummy-api-key",
    "originator": "independent",
    "user-agent": "independent/0",
}


NO_SAMPLES: Samples = np.zeros(0, dtype=np.int16)


def compact(value: object) -> str:
    """Compact JSON, non-ASCII as it is."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


class ArrayTrack(AudioStreamTrack):
    """Plays an array (int16, 24 kHz, mono) at 20 ms a frame, then silence."""

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self._samples = samples
        self._n = 0

    async def recv(self) -> AudioFrame:
        await super().recv()  # for its pace
        block = self._samples[self._n * 480 : (self._n + 1) * 480]
        block = np.pad(block, (0, 480 - len(block)))
        # aiortc encodes stereo, and its conversion from mono would take 3 dB away.
        out = AudioFrame.from_ndarray(np.repeat(block, 2)[np.newaxis, :], format="s16", layout="stereo")
        out.sample_rate, out.pts, out.time_base = 24_000, self._n * 480, Fraction(1, 24_000)
        self._n += 1
        return out


@dataclass
class Caller:
    """A plain peer connection with one audio track each way."""

    samples: Samples
    peer: RTCPeerConnection = field(init=False)
    frames: list[AudioFrame] = field(default_factory=list)
    _hearing: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.peer.addTrack(ArrayTrack(self.samples))
        self.peer.on("track", self._hear)

    def _hear(self, track: MediaStreamTrack) -> None:
        async def drain() -> None:
            while True:
                try:
                    self.frames.append(await track.recv())  # type: ignore[arg-type]
                except MediaStreamError:
                    return

        self._hearing = asyncio.create_task(drain())

    async def offer(self) -> str:
        """Gather on loopback and return the offer as the protocol wants it."""
        loopback(self.peer)
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return re.sub(
            r"a=rtpmap:(\d+) opus/48000/2\r\n",
            r"a=rtpmap:\1 opus/48000/2\r\na=fmtp:\1 minptime=10;useinbandfec=1\r\n",
            self.peer.localDescription.sdp,
        )

    async def accept(self, answer: str) -> None:
        await self.peer.setRemoteDescription(RTCSessionDescription(sdp=answer, type="answer"))

    async def connected(self, timeout_s: float = 5.0) -> None:
        await until(lambda: self.peer.connectionState == "connected", timeout_s)

    def heard(self) -> Samples:
        """All that came in: int16, mono, 24 kHz; holes by the frames' timestamps filled with silence."""
        if not self.frames:
            return np.zeros(0, dtype=np.int16)
        first, last = self.frames[0].pts, self.frames[-1].pts
        assert first is not None
        assert last is not None
        heard = np.zeros(last - first + 960, dtype=np.int16)
        for frame in self.frames:
            assert frame.pts is not None
            at = frame.pts - first
            heard[at : at + 960] = frame.to_ndarray().reshape(-1, 2)[:, 0]
        return resample(heard, 48_000)

    async def close(self) -> None:
        await self.peer.close()
        if self._hearing is not None:
            self._hearing.cancel()
            await asyncio.wait({self._hearing})


def loopback(peer: RTCPeerConnection) -> None:
    """Gather on 127.0.0.1, which aioice leaves out."""
    transports = [t.receiver.transport for t in peer.getTransceivers()]
    if peer.sctp is not None:
        transports.append(peer.sctp.transport)
    for dtls in transports:
        _gather_on_loopback(dtls.transport._connection)


def _gather_on_loopback(connection: Connection) -> None:
    gather, query_consent = connection.get_component_candidates, connection.query_consent

    async def query_consent_unless_closed() -> None:
        # Plain aioice starts this also when it was closed while connecting, and then nobody ever ends it.
        if not connection._closing:
            await query_consent()

    connection.query_consent = query_consent_unless_closed  # type: ignore[method-assign]

    async def gather_here(component: int, addresses: list[str]) -> list[Candidate]:
        return await gather(component, ["127.0.0.1"])

    connection.get_component_candidates = gather_here  # type: ignore[method-assign,assignment]


async def until(is_so: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Return once a condition nobody announces has become true."""
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110 - plain aiortc announces nothing to wait for
            await asyncio.sleep(0.005)


def form(sdp: str, session: object = SESSION, boundary: str = "some-boundary") -> tuple[bytes, str]:
    """Body and content type of a POST in the API shape."""
    text = session if isinstance(session, str) else compact(session)
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="sdp"\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="session"\r\nContent-Type: application/json\r\n\r\n'
        f"{text}\r\n--{boundary}--\r\n"
    )
    return body.encode(), f"multipart/form-data; boundary={boundary}"


async def post(
    url: str, body: bytes, content_type: str, *, query: str = "intent=quicksilver&architecture=avas", **headers: str
) -> httpx.Response:
    """POST an offer."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        sent = {**IDENTITY, "content-type": content_type, "accept": "*/*", **headers}
        return await client.post(f"{url}/realtime/calls?{query}", content=body, headers=sent, timeout=10)


@asynccontextmanager
async def joined(
    answerer: FakeAnswerer, call_id: str, *, query: str = "intent=quicksilver"
) -> AsyncIterator[ClientConnection]:
    """Join a sideband as the protocol wants it, and send the first frame."""
    url = f"ws://127.0.0.1:{answerer.port}/v1/realtime?{query}&call_id={call_id}"
    headers = {name: value for name, value in IDENTITY.items() if name != "user-agent"}
    async with connect(
        url, additional_headers=headers, user_agent_header=IDENTITY["user-agent"], compression=None, proxy=None
    ) as sideband:
        await sideband.send(compact(SESSION_UPDATE))
        yield sideband


@dataclass
class Placed:
    """A call placed by the independent caller."""

    caller: Caller
    response: httpx.Response

    @property
    def call_id(self) -> str:
        return self.response.headers["location"].rpartition("/")[2]
