"""What the tests of the peer share: a Peer and a far side joined on loopback, and what the Peer told its listener.

The audio goes the fast path, the default of a call, unless a test asks for another.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from aiortc import RTCDtlsTransport

from rtc_client import CallConfig, Deadlines, IceServer
from rtc_client.audio.codecs.opus import OpusDecoder, OpusError
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.frames import SILENCE, Samples
from rtc_client.audio.pcm import is_voiced, level_dbfs
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.audio.ticker import Ticket, ticker
from rtc_client.clock import MonotonicClock
from rtc_client.config import MediaPath
from rtc_client.peer.callbacks import PeerCallbacks
from rtc_client.peer.peer import Peer
from rtc_client.testing.calls.webrtc_media import AnswererPeer
from rtc_client.testing.scenario.script import Tone
from rtc_client.testing.scenario.voices import tone_samples
from rtc_client.testing.wire.bell import Bell

LOOPBACK: Final = "127.0.0.1"
PATHS: Final[tuple[MediaPath, ...]] = ("fast", "packets", "plain")
CLOSE_LIMIT_S: Final = 3.0
"""What a close may take, in any state."""


@dataclass
class Told:
    """A listener that keeps what it is told."""

    bell: Bell = field(default_factory=Bell)
    ice_completed: int = 0
    first_rtp: int = 0
    asked: int = 0
    """Frames that were asked for."""
    packets: int = 0
    """Packets that came, on the paths that do not decode."""
    heard: int = 0
    """Blocks or packets that were heard, loud or not."""
    loud: int = 0
    """Blocks of 20 ms in which there was sound."""
    decoder: OpusDecoder = field(default_factory=OpusDecoder)

    def listener(self, **instead: Callable[..., Any]) -> PeerCallbacks:
        """Return a listener that keeps everything, with other functions for the names given."""
        functions: dict[str, Callable[..., Any]] = {
            "ice_completed": self._ice_completed,
            "first_rtp": self._first_rtp,
            "next_packet": self._next_packet,
            "packet": self._packet,
            "stream_ended": lambda ssrc: None,
            "next_frame": self._next_frame,
            "heard": self._heard,
        }
        return PeerCallbacks(**(functions | instead))

    def _ice_completed(self) -> None:
        self.ice_completed += 1
        self.bell.ring()

    def _first_rtp(self) -> None:
        self.first_rtp += 1
        self.bell.ring()

    def _next_packet(self, index: int, out: bytearray, offset: int) -> int:
        self.asked += 1
        self.bell.ring()
        out[offset : offset + len(SILENT_PACKET)] = SILENT_PACKET
        return len(SILENT_PACKET)

    def _packet(self, packet: MediaPacket, now_s: float) -> None:
        self.packets += 1
        with suppress(OpusError):
            self._heard(self.decoder.decode(packet.payload), packet.timestamp)
        self.bell.ring()

    def _next_frame(self, position_samples: int) -> Samples:
        self.asked += 1
        return SILENCE

    def _heard(self, samples: Samples, timestamp_samples: int) -> None:
        self.heard += 1
        self.loud += is_voiced(level_dbfs(samples))
        self.bell.ring()

    async def hears(self, seconds: float, within_s: float) -> None:
        """Return once so much more sound has come.

        Raises:
            TimeoutError: It has not, within `within_s`.
        """
        goal = self.loud + round(seconds * 50)
        await self.bell.until(
            lambda: self.loud >= goal or None, timeout_s=within_s, what=lambda: f"{seconds} s of sound"
        )


@dataclass
class FarSide:
    """The answerer's end, with its events kept."""

    peer: AnswererPeer
    bell: Bell
    is_lost: bool = False
    """Whether our end has closed the path in good order."""

    @property
    def dtls(self) -> RTCDtlsTransport:
        """The transport under its sender and its receiver."""
        return self.peer._pc.getTransceivers()[0].receiver.transport

    async def lost(self, within_s: float = CLOSE_LIMIT_S) -> None:
        """Return once it has seen the end of the call."""
        await self.bell.until(lambda: self.is_lost or None, timeout_s=within_s, what=lambda: "the end at the far side")

    def stop_media(self) -> None:
        """Send no RTP and no RTCP any more; ICE goes on."""

        async def send_nothing(data: bytes) -> None: ...

        self.dtls._send_rtp = send_nothing  # type: ignore[method-assign]


@dataclass
class Pair:
    """Two ends of a media path, not yet connected."""

    near: Peer
    far: FarSide
    told: Told
    ticket: Ticket | None = None

    async def connect(self) -> None:
        """Exchange the descriptions and return once both are up; from then on the clockwork drives our end."""
        await self.begin()
        await self.up()

    async def up(self) -> None:
        """Return once both are up, after `begin`; from then on the clockwork drives our end."""
        await self.near.connected()
        self.ticket = ticker().add(self._tick, on_error=self.near._fail)

    def _tick(self, index: int) -> None:
        now_s = time.monotonic()
        self.near.receive(now_s)
        self.near.prepare(index)
        self.near.send(now_s)

    async def begin(self) -> None:
        """Exchange the descriptions."""
        await self.near.apply_answer(await self.far.peer.answer(await self.near.create_offer()))

    def talk(self) -> None:
        """Let the far side sound for the rest of the test."""
        self.far.peer.track.speak(tone_samples(Tone(duration_s=60)))


def config(*ice_servers: IceServer, **deadlines: float) -> CallConfig:
    """Return a config for a call within this machine."""
    base_url = f"http://{LOOPBACK}:1/v1"
    return CallConfig(api_key="key", base_url=base_url, ice_servers=ice_servers, deadlines=Deadlines(**deadlines))


def a_peer(
    told: Told | None = None, listener: PeerCallbacks | None = None, path: MediaPath = "fast", **deadlines: float
) -> Peer:
    """Return a fresh Peer."""
    listener = listener or (told or Told()).listener()
    return Peer(config(**deadlines), listener, clock=MonotonicClock(), media_path=path)


def a_far_side(silence: Literal["send", "nothing"] = "send") -> FarSide:
    """Return a fresh answerer's end."""
    bell = Bell()

    def lost() -> None:
        far.is_lost = True
        bell.ring()

    peer = AnswererPeer(
        clock=MonotonicClock(),
        silence=silence,
        interfaces="loopback",
        on_connected=bell.ring,
        on_lost=lost,
        on_heard=lambda level_dbfs, now_s: bell.ring(),
    )
    far = FarSide(peer, bell)
    return far


@asynccontextmanager
async def a_pair(
    listener: PeerCallbacks | None = None, *, told: Told | None = None, path: MediaPath = "fast", **deadlines: float
) -> AsyncIterator[Pair]:
    """Yield two ends, and close both at the end."""
    told = told or Told()
    pair = Pair(a_peer(told, listener, path, **deadlines), a_far_side(), told)
    try:
        yield pair
    finally:
        if pair.ticket is not None:
            pair.ticket.remove()
        await asyncio.gather(pair.near.aclose(), pair.far.peer.aclose())


def candidates(sdp: str) -> list[tuple[str, int]]:
    """Return the addresses of a description's candidates."""
    fields = [line.split() for line in sdp.splitlines() if line.startswith("a=candidate:")]
    return [(f[4], int(f[5])) for f in fields]
