"""Peer: one aiortc peer connection with one audio m-line, its deadlines, its liveness and its close.

What a call is doing is never read off aiortc's connection state, which cannot tell a hang-up from a dead network
(aiortc.md section 3); this file watches ICE and DTLS by themselves and says what happened.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

from aiortc import (
    MediaStreamTrack,
    RTCConfiguration,
    RTCIceServer,
    RTCPeerConnection,
    RTCRtpSender,
    RTCSessionDescription,
)
from aiortc.mediastreams import MediaStreamError
from aiortc.rtp import RtpPacket

from rtc_client.audio.frames import SILENCE, Samples
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.clock import Clock
from rtc_client.config import CallConfig, Deadlines, IceServer, MediaPath
from rtc_client.errors import AnswerInvalid, CallLost, DtlsFailed, IceFailed, MediaError, MediaTimeout
from rtc_client.peer import aiortc_internals
from rtc_client.peer.callbacks import PeerCallbacks
from rtc_client.peer.counters import PeerCounters
from rtc_client.peer.fastpath import MAX_RTP_PAYLOAD_BYTES, FastPath
from rtc_client.peer.ingress_guard import IngressGuard
from rtc_client.peer.tracks import CallerTrack, HalfRate
from rtc_client.protocol.sdp import check_answer, for_patient_ice, with_opus_fmtp
from rtc_client.protocol.urls import is_loopback

log = logging.getLogger(__name__)

_WATCH_S: Final = 0.5
_CLOSE_NOTIFY_S: Final = 1.0
"""A transport that closes this soon after a DTLS record was closed by the peer's close_notify."""


class Peer:
    """Our end of the media path. `aclose` must be called, whatever happened before."""

    def __init__(
        self,
        config: CallConfig,
        listener: PeerCallbacks,
        *,
        clock: Clock,
        media_path: MediaPath = "fast",
        rng: random.Random | None = None,
    ) -> None:
        self._deadlines: Deadlines = config.deadlines
        self._listener = listener
        self._clock = clock
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[_ice_server(s) for s in config.ice_servers]))
        self._rng = rng or random.Random()
        self._wanted_path = media_path
        self._fast: FastPath | None = None
        self._packet = bytearray()
        self.path: MediaPath | None = None
        """Which way the audio goes; None until DTLS is up."""
        self._track = CallerTrack(clock)
        self._transceiver = transceiver = self._pc.addTransceiver(self._track, direction="sendrecv")
        codecs = RTCRtpSender.getCapabilities("audio").codecs
        transceiver.setCodecPreferences([c for c in codecs if c.mimeType.lower() == "audio/opus"])
        self._sender, self._receiver = transceiver.sender, transceiver.receiver
        aiortc_internals.check_seams(self._pc, self._receiver)
        self._dtls = self._receiver.transport
        self._ice = self._dtls.transport
        self._connection = aiortc_internals.ice_connection(self._ice)
        self._guard = IngressGuard(self._connection, clock)
        self._gathering = aiortc_internals.gather_with(
            self._connection,
            loopback=is_loopback(config.base_url),
            timeout_s=self._deadlines.gather_s - 1,
        )
        aiortc_internals.accept_rsa(self._pc)
        aiortc_internals.no_orphan_consent(self._connection)
        aiortc_internals.survive_malformed(self._dtls, self._guard.count)
        aiortc_internals.tap_rtp(self._receiver, self._on_rtp, self._on_stream_ended, self._guard.count)
        self._connecting = aiortc_internals.own_connect(self._pc, self._on_connect_error)
        self._connect_error: Exception | None = None
        self._failure: Exception | None = None
        self._counters = PeerCounters()
        self._offer = ""
        self._changed = asyncio.Event()
        self._drain: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ice.on("statechange", self._on_state)
        self._dtls.on("statechange", self._on_state)
        self._pc.on("track", self._on_track)

    @property
    def last_datagram_s(self) -> float | None:
        """When the peer last sent anything, monotonic seconds."""
        return self._guard.last_datagram_s

    async def create_offer(self) -> str:
        """Return the SDP to send, with every candidate that could be gathered within the deadline.

        Raises:
            MediaTimeout: Gathering did not end.
            IceFailed: This machine has no address to offer.
        """
        try:
            async with asyncio.timeout(self._deadlines.gather_s):
                await self._pc.setLocalDescription(await self._pc.createOffer())
        except TimeoutError:
            raise MediaTimeout("gathering candidates", self._deadlines.gather_s) from None
        self._guard.install()
        offer = with_opus_fmtp(self._pc.localDescription.sdp)
        if "a=candidate:" not in offer:
            raise IceFailed("this machine has no network address that a peer could reach")
        self._offer = offer
        return offer

    async def apply_answer(self, sdp: str) -> None:
        """Start connecting to the peer that `sdp` describes; no more candidates will come.

        A peer whose candidates are of no use may still reach us (RFC 8863), so only `connected` gives it up.

        Raises:
            AnswerInvalid: For every text of which no call can be made.
        """
        check_answer(sdp, offer=self._offer)
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=for_patient_ice(sdp), type="answer"))
            if aiortc_internals.has_pair(self._connection):
                # aioice would take a list that is empty at its end for a failed one.
                await self._pc.addIceCandidate(None)
        except Exception as error:
            # aiortc has half a dozen exception types for an SDP it cannot use (aiortc.md section 4).
            raise AnswerInvalid(f"the answer's SDP cannot be used ({type(error).__name__})") from error

    async def connected(self) -> None:
        """Return once ICE and DTLS are up.

        Raises:
            IceFailed: No candidate pair works.
            DtlsFailed: The handshake or the fingerprint check failed.
            MediaTimeout: Neither, within the deadline; `phase` says which was waited for.
            Exception: What the listener raised.
        """
        limit_s = self._deadlines.connect_s
        try:
            async with asyncio.timeout(limit_s):
                while self._dtls.state != "connected":
                    self._raise_if_failed()
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            phase = "the DTLS handshake" if self._ice.state == "completed" else "ICE"
            raise MediaTimeout(phase, limit_s) from None

    async def watch(self) -> None:
        """Return when the peer has closed the media path in good order (a DTLS close_notify).

        Raises:
            CallLost: No datagram of any kind for too long, the path broke, or nothing can be sent any more.
            Exception: What the listener raised.
        """
        limit_s = self._deadlines.silence_s
        while self._dtls.state == "connected":
            if self._failure is not None:
                raise self._failure
            if self._sender.track is None:  # aiortc's sender ends in silence when a frame cannot be encoded
                raise CallLost("sender_stopped", "the caller's audio cannot be sent any more")
            last_s = self._guard.last_datagram_s
            if last_s is not None and self._clock.now_s() - last_s > limit_s:
                raise CallLost("no_datagrams", f"nothing came from the peer for {limit_s:g} s")
            self._changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._look_again_s(limit_s)):
                    await self._changed.wait()
            await self._collect()
        last_dtls_s = self._guard.last_dtls_s
        if last_dtls_s is None or self._clock.now_s() - last_dtls_s > _CLOSE_NOTIFY_S:
            raise CallLost("transport_closed", "the media path broke")

    def _look_again_s(self, limit_s: float) -> float:
        """Return after how long the far side may have been silent for `limit_s`, or aiortc has something to tell."""
        last_s = self._guard.last_datagram_s
        if self._fast is None or last_s is None:
            return min(_WATCH_S, limit_s / 4)
        return max(0.01, last_s + limit_s - self._clock.now_s())

    def receive(self, now_s: float) -> None:
        """Take what has come; to be called every 20 ms, before `prepare`. What any of these raises ends the call."""
        if self._fast is not None and self._failure is None:
            self._fast.receive(now_s)

    def prepare(self, index: int) -> None:
        """Make ready what is due in period `index` of the clockwork; on the other paths aiortc's sender does."""
        if self._fast is not None and self._failure is None:
            self._fast.prepare(index)

    def send(self, now_s: float) -> None:
        """Send what is ready; to be called after `prepare`."""
        if self._fast is not None and self._failure is None:
            self._fast.send(now_s)

    async def counters(self) -> PeerCounters:
        """Return what was sent, received and lost; still right after the close."""
        if self._closing is None:
            await self._collect()
        return self.latest_counters()

    def latest_counters(self) -> PeerCounters:
        """Return what is known without asking aiortc: of this instant on the fast path, else half a second old."""
        self._counters.dropped = dict(self._guard.dropped)
        if self._fast is not None:
            self._counters.read_fast(self._fast)
        return self._counters

    async def aclose(self) -> None:
        """Close everything within the deadline, in any state. Safe to call twice, and to cancel while waiting."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="peer-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        if self._fast is not None:
            self._fast.stop()
        if self._gathering:
            aiortc_internals.stop_gathering(self._connection)
            await asyncio.wait(self._gathering, timeout=self._deadlines.close_s * 0.1)
        # What still connects would start the sender, the receiver and its thread behind the back of aiortc's close.
        if connecting := set(self._connecting):
            for task in connecting:
                task.cancel()
            await asyncio.wait(connecting, timeout=self._deadlines.close_s * 0.1)
        # aiortc's close must never be cancelled from outside: it would not finish, nor would any later one.
        closing = asyncio.create_task(self._pc.close(), name="peer-aiortc-close")
        await asyncio.wait([closing], timeout=self._deadlines.close_s * 0.4)
        pieces: list[asyncio.Task[None]] = []
        if not closing.done() or closing.exception() is not None:
            log.warning("peer connection did not close, its parts are closed one by one")
            aiortc_internals.abandon(self._connection)
            parts = (self._sender.stop(), self._receiver.stop(), self._dtls.stop(), self._ice.stop())
            pieces = [asyncio.create_task(part, name="peer-close-part") for part in parts]
        left: set[asyncio.Task[Any]] = {closing, *pieces, *self._connecting}
        if self._drain is not None:
            self._drain.cancel()  # the track of a receiver that was never started does not end
            left.add(self._drain)
        await asyncio.wait(left, timeout=self._deadlines.close_s * 0.1)
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=self._deadlines.close_s * 0.1)
        for task in left:
            if task.done() and not task.cancelled() and (error := task.exception()) is not None:
                log.warning("a task of the peer failed", extra={"task": task.get_name()}, exc_info=error)
        await self._collect()

    async def _collect(self) -> None:
        if self._fast is None:  # aiortc has seen the packets
            await self._counters.ask_aiortc(self._sender, self._receiver)

    def _raise_if_failed(self) -> None:
        if self._failure is not None:
            raise self._failure
        # aiortc fails DTLS after ICE has failed, and closes ICE after DTLS was closed: what failed is the cause.
        if self._dtls.state in ("failed", "closed") and self._ice.state != "failed":
            raise DtlsFailed("the DTLS handshake failed, or the peer's certificate is not the one its answer names")
        if self._ice.state in ("failed", "closed"):
            raise IceFailed("no candidate pair works: the peer cannot be reached at any address of its answer")
        if self._connect_error is not None:
            raise MediaError("the media path could not be set up") from self._connect_error

    def _on_connect_error(self, error: Exception) -> None:
        self._connect_error = error
        self._changed.set()

    def _fail(self, error: Exception) -> None:
        """Keep a listener's first exception for whoever waits; raised where it was, it would end a part of aiortc."""
        if self._failure is None:
            self._failure = error
            self._changed.set()

    def _tell(self, listener: Callable[[], None]) -> None:
        try:
            listener()
        except Exception as error:  # noqa: BLE001 - raised by `connected` and `watch`
            self._fail(error)

    def _next_frame(self, position_samples: int) -> Samples:
        if self._failure is None:
            try:
                return self._listener.next_frame(position_samples)
            except Exception as error:  # noqa: BLE001 - raised by `connected` and `watch`
                self._fail(error)
        return SILENCE

    def _start_media(self) -> None:
        """Choose the way the audio goes, at the instant DTLS is up and before a packet can arrive."""
        ways: list[tuple[MediaPath, Callable[[], None]]] = [
            ("fast", self._start_fast),
            ("packets", self._start_packets),
            ("plain", lambda: self._track.speak_frames(self._next_frame)),
        ]
        failure: Exception | None = None
        for path, start in ways[[path for path, _ in ways].index(self._wanted_path) :]:
            try:
                start()
            except Exception as error:  # noqa: BLE001 - whatever is amiss, there is another way
                failure = failure or error
            else:
                self.path = path
                break
        if failure is not None:
            paths = {"wanted_path": self._wanted_path, "path": self.path}
            log.warning("the wanted media path is not available, another one is taken", extra=paths, exc_info=failure)

    def _start_fast(self) -> None:
        aiortc_internals.check_fast_seams(self._pc, self._sender, self._receiver)
        types = aiortc_internals.negotiated_payload_types(self._transceiver)
        fast = FastPath(
            aiortc_internals.Media(self._pc, self._sender, self._receiver, types),
            self._guard,
            write=self._listener.next_packet,
            read=self._listener.packet,
            rng=self._rng,
            stream_ended=self._listener.stream_ended,
            first_rtp=self._first_rtp,
            failed=self._fail,
        )
        fast.start()
        self._fast = fast

    def _start_packets(self) -> None:
        aiortc_internals.divert_packets(self._receiver, self._on_diverted)
        self._packet = bytearray(MAX_RTP_PAYLOAD_BYTES)
        self._track.speak_packets(self._next_packet)

    def _next_packet(self, index: int) -> bytes:
        if self._failure is None:
            try:
                return bytes(self._packet[: self._listener.next_packet(index, self._packet, 0)])
            except Exception as error:  # noqa: BLE001 - raised by `connected` and `watch`
                self._fail(error)
        return b""

    def _on_diverted(self, packet: RtpPacket) -> None:
        try:
            self._listener.packet(
                MediaPacket(packet.ssrc, packet.sequence_number, packet.timestamp, bool(packet.marker), packet.payload),
                self._clock.now_s(),
            )
        except Exception as error:  # noqa: BLE001 - raised by `connected` and `watch`
            self._fail(error)

    def _on_state(self) -> None:
        if self._dtls.state == "connected" and self.path is None and self._closing is None:
            self._start_media()
        if self._ice.state == "completed":
            self._tell(self._listener.ice_completed)
        self._changed.set()

    def _on_rtp(self, n_payload_bytes: int) -> None:
        self._counters.packets_received += 1
        self._counters.bytes_received += n_payload_bytes
        if self._counters.packets_received == 1:
            self._first_rtp()

    def _first_rtp(self) -> None:
        self._tell(self._listener.first_rtp)

    def _on_stream_ended(self, ssrc: int) -> None:
        self._tell(lambda: self._listener.stream_ended(ssrc))

    def _on_track(self, track: MediaStreamTrack) -> None:
        if self._drain is None:
            self._drain = asyncio.create_task(self._hear(track), name="peer-hear")

    async def _hear(self, track: MediaStreamTrack) -> None:
        """Take every frame as it comes: aiortc's own queue has no bound and grows 73 MB a minute when unread."""
        half_rate = HalfRate()
        with suppress(MediaStreamError):
            while True:
                frame = await track.recv()
                if self._failure is not None or self.path != "plain":
                    continue  # on the other paths, what aiortc had received before they began
                try:
                    samples = half_rate.push(frame.to_ndarray())  # type: ignore[union-attr]
                    self._listener.heard(samples, (frame.pts or 0) // 2)
                except Exception as error:  # noqa: BLE001 - raised by `connected` and `watch`
                    self._fail(error)


def _ice_server(server: IceServer) -> RTCIceServer:
    return RTCIceServer(urls=server.url, username=server.username, credential=server.credential)
