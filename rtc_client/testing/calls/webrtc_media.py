"""The media of one answered call: aiortc's peer sends the agent's voice and receives the caller's."""

from __future__ import annotations

import asyncio
import fractions
import logging
from collections.abc import Callable
from typing import Final, Literal

import numpy as np
from aiortc import MediaStreamTrack, RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.exceptions import InternalError, InvalidAccessError, InvalidStateError, OperationError
from aiortc.mediastreams import MediaStreamError
from av import AudioCodecContext, AudioFrame, CodecContext
from av.packet import Packet
from av.stream import Stream

from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, level_dbfs
from rtc_client.clock import Clock
from rtc_client.testing.aiortc_internals import (
    Connecting,
    Gate,
    Interfaces,
    ask_consent_again,
    close_peer,
    confine,
    ice_transports,
    stop_asking_consent,
)
from rtc_client.testing.sound.heard_audio import CLOCK_RATE_HZ, EchoLine, HeardAudio
from rtc_client.testing.sound.levels import FrameLevels
from rtc_client.testing.wire.sdp_text import with_opus_parameters
from rtc_client.testing.wire.server_events import JsonObject

log = logging.getLogger(__name__)

BIT_RATE: Final = 40_000
HANGOVER_FRAMES: Final = 10
"""Silent frames sent after a voice before sending nothing: they push it through the codec and the jitter buffer."""
MAX_PACKETS_KEPT: Final = 30_000
"""Ten minutes of the agent's voice, for a cassette."""
MAX_LATE_S: Final = 0.5
"""An agent later than this (a stalled process) goes on from now instead of catching up."""

_CLOCK_TICK: Final = fractions.Fraction(1, CLOCK_RATE_HZ)
_FRAME_TICKS: Final = round(FRAME_S * CLOCK_RATE_HZ)

# What aiortc raises for an SDP it cannot use; found by fuzzing, none of it documented.
_SDP_ERRORS: Final = (
    ValueError, KeyError, IndexError, AttributeError, AssertionError, TypeError,
    InternalError, InvalidAccessError, InvalidStateError, OperationError,
)  # fmt: skip


class OfferUnusable(ValueError):
    """An offer of which no answer can be made."""


class AgentTrack(MediaStreamTrack):
    """The agent's voice: one Opus packet each 20 ms by the monotonic clock, mono, with in-band FEC."""

    kind = "audio"

    def __init__(
        self, clock: Clock, silence: Literal["send", "nothing"], replay: Callable[[float], bytes | None] | None = None
    ) -> None:
        """With `replay` every packet is what that returns, asked once in 20 ms; None for nothing."""
        super().__init__()
        self.n_packets = 0
        self.sent: list[tuple[bytes, int]] = []
        """Packets and their positions at 48 kHz; of the first `MAX_PACKETS_KEPT`."""
        self.began_s: float | None = None
        """When position 0 was, seconds of the clock."""
        self._replay = replay
        self.levels = FrameLevels()
        self.is_stopped = False
        """Whether nothing is sent; what is spoken meanwhile is lost."""
        self._clock = clock
        self._sends_silence = silence == "send"
        self._encoder = _new_encoder()
        self._voice: Samples = SILENCE[:0]
        self._echo: tuple[EchoLine, float] | None = None
        self._n_frames = 0
        self._n_hangover = 0

    def speak(self, samples: Samples) -> None:
        """Begin to play these samples (int16, mono, 24 kHz) instead of what is playing."""
        self._voice, self._echo = samples, None

    def echo(self, line: EchoLine, until_s: float) -> None:
        """Begin to play an echo, up to a point of the clock."""
        self._voice, self._echo = SILENCE[:0], (line, until_s)

    async def recv(self) -> Packet[Stream]:
        """Return the next packet when it is due. Its timestamp follows the clock, also over what was not sent."""
        while self.readyState == "live":
            await self._clock.sleep_until(self._next_due_s())
            payload = self._next_payload(self._clock.now_s())
            position = self._n_frames * _FRAME_TICKS
            self._n_frames += 1
            if payload is not None:
                self.n_packets += 1
                if len(self.sent) < MAX_PACKETS_KEPT:
                    self.sent.append((payload, position))
                packet: Packet[Stream] = Packet(payload)
                packet.pts, packet.time_base = position, _CLOCK_TICK
                return packet
        raise MediaStreamError

    def _next_due_s(self) -> float:
        now_s = self._clock.now_s()
        if self.began_s is None:
            self.began_s = now_s
        due_s = self.began_s + self._n_frames * FRAME_S
        if now_s - due_s > MAX_LATE_S:
            self._n_frames += int((now_s - due_s) / FRAME_S)
            due_s = self.began_s + self._n_frames * FRAME_S
        return due_s

    def _next_payload(self, now_s: float) -> bytes | None:
        """Return the next packet, or None when nothing is to be sent."""
        if self._replay is not None:
            payload = self._replay(now_s)
            return None if self.is_stopped else payload
        samples = self._next_frame(now_s)
        if samples is None or self.is_stopped:
            return None
        self.levels.add(FLOOR_DBFS if samples is SILENCE else level_dbfs(samples), now_s)
        return self._encode(samples)

    def _next_frame(self, now_s: float) -> Samples | None:
        """Return the next 20 ms, or None when nothing is to be sent."""
        if self._echo is not None and now_s >= self._echo[1]:
            self._echo = None
        if self._echo is not None:
            frame = self._echo[0].pop(now_s)
        elif len(self._voice):
            frame, self._voice = self._voice[:FRAME_SAMPLES], self._voice[FRAME_SAMPLES:]
        elif self._sends_silence or self._n_hangover:
            self._n_hangover = max(0, self._n_hangover - 1)
            return SILENCE
        else:
            return None
        self._n_hangover = HANGOVER_FRAMES
        return np.pad(frame, (0, FRAME_SAMPLES - len(frame)))

    def _encode(self, samples: Samples) -> bytes:
        frame = AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
        frame.sample_rate = SAMPLE_RATE_HZ
        (encoded,) = self._encoder.encode(frame)
        return bytes(encoded)


def _new_encoder() -> AudioCodecContext:
    encoder = CodecContext.create("libopus", "w")
    assert isinstance(encoder, AudioCodecContext)  # noqa: S101 - libopus is an audio codec
    encoder.format, encoder.layout = "s16", "mono"
    encoder.sample_rate = SAMPLE_RATE_HZ
    encoder.bit_rate = BIT_RATE
    # Expecting loss is what makes the encoder send in-band FEC, as the service is reported to do.
    encoder.options = {"application": "voip", "fec": "1", "packet_loss": "5", "compression_level": "5"}
    return encoder


class AnswererPeer:
    """The answerer's end of the media path of one call."""

    def __init__(
        self,
        *,
        clock: Clock,
        silence: Literal["send", "nothing"],
        interfaces: Interfaces,
        on_connected: Callable[[], None],
        on_lost: Callable[[], object],
        on_heard: Callable[[float, float], None],
        replay: Callable[[float], bytes | None] | None = None,
    ) -> None:
        """Make the peer; `answer` brings it up. With `replay` the agent's packets come from there.

        `on_lost` is told when the media path was up and ends without our doing; `on_heard` gets the level of each
        frame of the caller, in dBFS, and when it came, in seconds of `clock`.
        """
        self.track = AgentTrack(clock, silence, replay)
        self.heard = HeardAudio()
        self.levels = FrameLevels()
        self.gate = Gate()
        self.is_connected = False
        self._clock = clock
        self._interfaces = interfaces
        self._on_connected, self._on_lost, self._on_heard = on_connected, on_lost, on_heard
        self._echo_line: EchoLine | None = None
        self._pc = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._connecting = Connecting(self._pc)
        self._hearing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._pc.on("connectionstatechange", self._follow_state)
        self._pc.on("track", self._begin_hearing)

    async def answer(self, offer_sdp: str) -> str:
        """Return the answer to an offer, candidates included; from here on the peer is reachable.

        Raises:
            OfferUnusable: If the text is no offer, or holds no audio.
        """
        try:
            await self._pc.setRemoteDescription(RTCSessionDescription(sdp=offer_sdp, type="offer"))
            if not any(transceiver.kind == "audio" for transceiver in self._pc.getTransceivers()):
                raise OfferUnusable("the offer holds no audio m-line")
            self._pc.addTrack(self.track)
            for transport in ice_transports(self._pc):
                confine(transport, self.gate, self._interfaces)
            await self._pc.setLocalDescription(await self._pc.createAnswer())
        except OfferUnusable:
            raise
        except _SDP_ERRORS as error:
            raise OfferUnusable(f"the offer cannot be answered ({type(error).__name__})") from error
        return with_opus_parameters(self._pc.localDescription.sdp)

    def echo(self, delay_s: float, duration_s: float | None) -> None:
        """Begin to give back what is heard, for so long (None: for ever)."""
        until_s = float("inf") if duration_s is None else self._clock.now_s() + duration_s
        self._echo_line = EchoLine(delay_s)
        self.track.echo(self._echo_line, until_s)

    async def figures(self) -> dict[str, JsonObject]:
        """Return what aiortc has counted, by the type of its statistics; nothing before media is connected."""
        if not self.is_connected:
            return {}
        stats = await self._pc.getStats()
        return {str(one.type): dict(vars(one)) for one in stats.values()}

    def vanish(self) -> None:
        """Send nothing and hear nothing from now on, and tell nobody. The sockets stay until `aclose`."""
        self.gate.is_shut = True
        for transport in ice_transports(self._pc):
            stop_asking_consent(transport)

    def come_back(self) -> None:
        """Take part again after `vanish`."""
        self.gate.is_shut = False
        for transport in ice_transports(self._pc):
            ask_consent_again(transport)

    async def aclose(self) -> None:
        """Close the media path. Safe to call twice, and safe to cancel while waiting; at most 3 s."""
        if self._closing is None:
            self._closing = asyncio.create_task(self._close(), name="answerer-media-close")
        await asyncio.shield(self._closing)

    async def _close(self) -> None:
        await close_peer(self._pc, self._connecting)
        if self._hearing is not None:
            # A receiver that was started ends its track; one that was not leaves us waiting for it.
            await asyncio.wait({self._hearing}, timeout=0.01)
            self._hearing.cancel()
            (outcome,) = await asyncio.gather(self._hearing, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("hearing the caller failed", exc_info=outcome)

    def _follow_state(self) -> None:
        state = self._pc.connectionState
        if state == "connected" and not self.is_connected:
            self.is_connected = True
            self._on_connected()
        elif state in ("closed", "failed") and self.is_connected and self._closing is None:
            self._on_lost()

    def _begin_hearing(self, track: MediaStreamTrack) -> None:
        if track.kind == "audio" and self._hearing is None:
            self._hearing = asyncio.create_task(self._hear(track), name="answerer-hearing")

    async def _hear(self, track: MediaStreamTrack) -> None:
        """Drain the caller's track for as long as it lives: an unread track grows without limit."""
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if not isinstance(frame, AudioFrame) or frame.pts is None:
                continue
            now_s = self._clock.now_s()
            packed = frame.to_ndarray().reshape(-1, frame.layout.nb_channels)
            samples = packed.astype(np.int32).mean(axis=1).astype(np.int16)
            self.heard.place(frame.pts, samples)
            if self._echo_line is not None:
                self._echo_line.push(samples, now_s)
            level = level_dbfs(samples)
            self.levels.add(level, now_s)
            self._on_heard(level, now_s)
