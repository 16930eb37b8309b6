"""AgentReceiver: what the caller hears. Packets go into the jitter buffer, a frame comes out every 20 ms.

Nothing is decoded unless somebody consumes samples: a sink of samples, a meter, or the question whether the agent has
fallen silent. Where aiortc decodes (the plain path), `heard` places its frames by their timestamps instead. Over a
websocket there are no packets: `play` takes the frames that are due.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Final, Protocol

from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder
from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, UNITS_PER_SAMPLE
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples
from rtc_client.audio.pcm import LevelMeter, is_voiced, is_voiced_mean_square, level_dbfs
from rtc_client.audio.playout.decoded_playout import DecodedPlayout
from rtc_client.audio.playout.jitter_buffer import JitterBuffer, MediaPacket, PartKind
from rtc_client.audio.playout.renderer import Renderer
from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sinks.basic import NullSink, TeeSink, players
from rtc_client.audio.sources.hold_sound import HoldSound
from rtc_client.call.media.output_gate import OutputGate
from rtc_client.call.media.sender import public_description
from rtc_client.clock import Clock
from rtc_client.errors import AudioError, SinkFailed

_SLOT_UNITS: Final = CLOCK_RATE_HZ // 50

_HANGOVER_FRAMES: Final = 5
"""Silence that we encode after audio: it brings out the last samples."""
_RECORDED_BIT_RATE: Final = 64_000
"""What is kept, not sent, may take twice the room."""
_WITHIN_S: Final = 0.2
"""A shorter pause is within a word, or between two."""
_MAX_STRETCHES: Final = 256
_EARLY_S: Final = 0.5
"""By how much a voice may come before the first of its words is told."""
_LATE_S: Final = 0.005
"""A tick that is later than this is one of a process that stalls; timers of a healthy one are about 1 ms late."""


class PacketTap(Protocol):
    """Gets the agent's packets."""

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        """Take the next packet and its place at 48 kHz, as `PacketSink.write_packet` does."""
        ...


class RecordingSink(Sink, Protocol):
    """A sink that keeps what was heard of what it is given."""

    def drop(self, n_samples: int) -> None:
        """Take note that the loudspeaker will not play so much of what was written last."""
        ...


class AgentReceiver:
    """The agent's half of a call. `on_failure` is told once, by a sink that raises.

    The sink gets one contiguous stream whose position 0 is `begin`.

    A stall of our own process is not jitter of the network. While the clockwork makes up for one, packets that waited
    in the socket count as arrived no later than the period that is played, so that it costs neither delay nor sound.
    """

    def __init__(
        self,
        sink: Sink | PacketSink,
        *,
        metered: bool,
        clock: Clock,
        on_failure: Callable[[AudioError], None],
    ) -> None:
        self.tap: PacketTap | None = None
        """Gets the agent's packets as well, as a `PacketSink` does; never raises."""
        self.hush = OutputGate()
        """Keeps the sound of a turn away that was barged in on."""
        self.on_frame: Callable[[PcmFrame], object] | None = None
        """Told of every frame as it is heard; never raises."""
        self.hold_sound: HoldSound | None = None
        """What is heard under the agent's voice; of a sink of samples only, and in no meter."""
        self._packet_sink = sink if isinstance(sink, PacketSink) else None
        self._sink: Sink = NullSink() if isinstance(sink, PacketSink) else sink
        self._clock = clock
        self._on_failure = on_failure
        self._jitter = JitterBuffer()
        self._playout: DecodedPlayout | None = None
        self._renderer: Renderer | None = None
        self._encoder: OpusEncoder | None = None
        self._unsaid = 0
        self._metered = metered or not isinstance(self._sink, NullSink)
        self._renders = self._metered
        self._position = 0
        self._packet_position = 0
        self._played_until_s = math.inf
        self._is_over = False
        self._recording: RecordingSink | None = None
        self.began_s: float | None = None
        """When the sample at position 0 was handed over, monotonic seconds; None before."""
        self.voiced_s: float | None = None
        """When the agent was last heard speaking, monotonic seconds; None before."""
        self._stretches: deque[tuple[float, float]] = deque(maxlen=_MAX_STRETCHES)
        """From when to when the agent was heard without a pause, monotonic seconds."""
        self.level = LevelMeter()
        """Of what is heard; empty where only packets are wanted."""
        self._voice = LevelMeter()

    def record(self, sink: RecordingSink) -> None:
        """Let `sink` have what is played, too; before the call. It is neither opened nor closed here."""
        self._sink, self._metered, self._renders = TeeSink(self._sink, sink), True, True
        self._recording = sink

    @property
    def jitter(self) -> JitterBuffer:
        """The jitter buffer, for statistics."""
        return self._jitter

    @property
    def position_samples(self) -> int:
        """How much was played, in samples."""
        return self._position

    def begin(self) -> None:
        """Make this instant position 0 of what is heard, unless it began before."""
        if self._playout is None:
            self.began_s = self._clock.now_s()
            self._playout = DecodedPlayout(self.began_s)

    def listen(self) -> None:
        """Decode from now on, although no sink wants samples: somebody asks whether the agent speaks."""
        self._renders = True

    @property
    def is_played(self) -> bool:
        """Whether somebody hears it on a device while it is said."""
        return bool(players(self._sink))

    def silent_s(self) -> float:
        """Return for how long the agent was not heard, in seconds; infinite before it was."""
        return math.inf if self.voiced_s is None else self._clock.now_s() - self.voiced_s

    def voiced_since(self, at_s: float) -> float | None:
        """Return when the agent was first heard from `at_s` on, or a moment before; None if it was not."""
        begins = (began_s for began_s, ended_s in self._stretches if ended_s >= at_s)
        began_s = next(begins, None)
        return None if began_s is None else max(began_s, at_s - _EARLY_S)

    @property
    def is_holding(self) -> bool:
        """Whether nothing but `hold_sound` is heard."""
        return self.hold_sound is not None and self.hold_sound.is_alone

    def queued_s(self) -> float:
        """Return how much was handed to the sink and is still to be played, in seconds."""
        return max((player.queued_samples for player in players(self._sink)), default=0) / SAMPLE_RATE_HZ

    def drop_queued(self) -> int:
        """Play nothing more of what was handed to the sink; return how many samples that silences."""
        n_samples = max((player.drop() for player in players(self._sink)), default=0)
        if self._recording is not None:
            self._recording.drop(n_samples)
        return n_samples

    def silence_turn(self) -> int:
        """Mute the agent until it starts a new turn; return how many samples were waiting to be played."""
        self.listen()
        self.hush.begin()
        return self._jitter.held_packets * FRAME_SAMPLES

    def push(self, packet: MediaPacket, now_s: float) -> None:
        """Take an RTP packet. Never raises."""
        played_until_s = self._played_until_s
        self._jitter.push(packet, now_s if now_s < played_until_s else played_until_s)

    def end_stream(self, ssrc: int) -> None:
        """Take note that a stream is said to be over (RTCP BYE)."""
        self._jitter.end_stream(ssrc)

    def tick(self, index: int, now_s: float) -> None:
        """Play period `index` of the clockwork. Never raises."""
        if self._is_over:
            return
        start = index * FRAME_SAMPLES
        if index == 0:
            self.began_s = now_s
        if self._position < start:
            self._hand_over(_silence(self._position, start))
        if self.began_s is not None:
            due_s = self.began_s + index * FRAME_S + _LATE_S
            self._played_until_s = due_s + FRAME_S
            now_s = min(now_s, due_s)
        slot = self._jitter.pop(now_s)
        if self._packet_sink is not None or self.tap is not None:
            # What is still to come of the packets of earlier slots is before them.
            position = max(self._packet_position, index * _SLOT_UNITS)
            for part in slot.parts:
                if part.kind is PartKind.DECODE:
                    self._write_packet(part.payload, position)
                position += part.n_samples * UNITS_PER_SAMPLE
            self._packet_position = position
        if self._renders:
            renderer = self._renderer
            if renderer is None:
                renderer = self._renderer = Renderer(OpusDecoder())
            samples = renderer.render(slot)
            mean_square = self._write(PcmFrame(samples, start))
            if mean_square is not None and is_voiced_mean_square(mean_square):
                self._note_voice(now_s)
        else:
            self._position = start + FRAME_SAMPLES

    def play(self, index: int, now_s: float, samples: Samples | None) -> None:
        """Play what a websocket brought for period `index`: int16, shape `(FRAME_SAMPLES,)`; None for silence.

        Whoever wants packets gets the sound encoded, for there were none. Never raises.
        """
        if self._is_over:
            return
        start = index * FRAME_SAMPLES
        if index == 0:
            self.began_s = now_s
        self._hand_over(_silence(self._position, start))
        frame = SILENCE if samples is None else samples
        self._unsaid = 0 if samples is not None else self._unsaid + 1
        if self._unsaid <= _HANGOVER_FRAMES and (self._packet_sink is not None or self.tap is not None):
            if self._encoder is None:
                self._encoder = OpusEncoder(bit_rate=_RECORDED_BIT_RATE, fec=False)
            self._write_packet(self._encoder.encode(frame), index * _SLOT_UNITS)
        if self._is_over:
            return
        mean_square = self._write(PcmFrame(frame, start))
        if mean_square is not None and is_voiced_mean_square(mean_square):
            self._note_voice(now_s)

    def at_work(self) -> None:
        """Mark the agent as active before its audio arrives."""
        self.voiced_s = self._clock.now_s()

    def heard(self, samples: Samples, timestamp_samples: int) -> None:
        """Take a block that aiortc decoded: int16, shape `(n,)`, with its RTP time in samples. Never raises."""
        if self._is_over:
            return
        self.begin()
        now_s = self._clock.now_s()
        if is_voiced(level_dbfs(samples)):
            self._note_voice(now_s)
        if self._playout is not None:
            self._hand_over(self._playout.push(samples, timestamp_samples, now_s))

    def advance(self) -> None:
        """Hand over what is due on the plain path although nothing came; call it a few times a second."""
        if self._playout is not None and not self._is_over:
            self._hand_over(self._playout.advance(self._clock.now_s()))

    def finish(self, end_samples: int, *, plain: bool) -> None:
        """Fill the recording up to `end_samples`, the length of the call; from now on nothing is heard."""
        if self._is_over:
            return
        if plain and self._playout is not None:
            self._hand_over(self._playout.finish(self._clock.now_s()))
        elif self._renders:
            self._hand_over(_silence(self._position, end_samples))
        self._is_over = True

    def _note_voice(self, now_s: float) -> None:
        self.voiced_s = now_s
        if self._stretches and now_s - self._stretches[-1][1] < _WITHIN_S:
            self._stretches[-1] = self._stretches[-1][0], now_s
        else:
            self._stretches.append((now_s - FRAME_S, now_s))

    def _hand_over(self, frames: Iterable[PcmFrame]) -> None:
        for frame in frames:
            self._write(frame)
            if self._is_over:
                return

    def _write(self, frame: PcmFrame) -> float | None:
        """Hand a frame to the sink; return the mean square of the last moments, now and then."""
        if self.hush.is_on:
            frame = PcmFrame(self.hush.filtered(frame.samples), frame.position_samples)
        if self.on_frame is not None:
            self.on_frame(frame)
        mean_square = (self.level if self._metered else self._voice).add(frame.samples)
        self._position = frame.end_samples
        try:
            if self.hold_sound is not None:
                frame = PcmFrame(self.hold_sound.under(frame.samples), frame.position_samples)
            self._sink.write(frame)
        except Exception as error:  # noqa: BLE001 - a user's sink may raise anything; it ends the call
            self._fail(error)
        return mean_square

    def _write_packet(self, payload: bytes, position: int) -> None:
        try:
            if self.tap is not None:
                self.tap.write_packet(payload, position)
            if self._packet_sink is not None and not self.hush.is_on:
                self._packet_sink.write_packet(payload, position)
        except Exception as error:  # noqa: BLE001 - a user's sink may raise anything; it ends the call
            self._fail(error)

    def _fail(self, cause: Exception) -> None:
        self._is_over = True
        failure = SinkFailed(f"the sink failed: {public_description(cause)}")
        failure.__cause__ = cause
        self._on_failure(failure)


def _silence(start: int, end: int) -> Iterable[PcmFrame]:
    while start < end:
        frame = PcmFrame(SILENCE[: end - start], start)
        yield frame
        start = frame.end_samples
