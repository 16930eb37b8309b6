"""CallerSender: what the caller says. The source, mute and silence become an Opus packet every 20 ms.

It stands between the clockwork, which must never see an exception, and the user's own source, which may raise.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar

from rtc_client.audio.codecs.opus import OpusEncoder
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, PcmFrame, Samples
from rtc_client.audio.pcm import LevelMeter, is_digital_silence
from rtc_client.audio.sinks.base import Sink
from rtc_client.audio.sinks.basic import NullSink, TeeSink
from rtc_client.audio.sources.base import PacketSource, Source, echo_dbfs_of
from rtc_client.call.media.announcements import Announcements
from rtc_client.clock import Clock
from rtc_client.config import OpusSettings
from rtc_client.errors import AudioError, SinkFailed, SourceFailed
from rtc_client.peer.fastpath import MAX_RTP_PAYLOAD_BYTES

_T = TypeVar("_T")
Listener: TypeAlias = Callable[[Samples, float], object]
_SHAPE: Final = (FRAME_SAMPLES,)

ENCODED_SILENCE_FRAMES: Final = 5
"""Silence after audio is encoded for 100 ms, which brings out its last samples and fades the codec."""
DTX_AFTER_FRAMES: Final = 25
"""Half a second of silence is sent packet by packet, so that the end of a word is not held up in anybody's buffer."""
DTX_REFRESH_FRAMES: Final = 20
"""Then one packet in 400 ms, the refresh rate of Opus' own DTX (RFC 6716 section 2.1.9)."""

LOSS_MEMORY: Final = 0.8
"""How much of the loss of a second ago still counts: a report is about so few packets that often none is lost."""
NO_LOSS: Final = 0.005
"""Loss below this ratio is none, to Opus as well, which counts in whole percents."""


class CallerSender:
    """The caller's half of a call. `on_failure` is told once, by the first source or sink that raises."""

    def __init__(
        self, source: Source, sink: Sink, opus: OpusSettings, *, clock: Clock, on_failure: Callable[[AudioError], None]
    ) -> None:
        self._source = source
        self._sink = sink
        self._opus = opus
        self._clock = clock
        self._on_failure = on_failure
        self._encoder: OpusEncoder | None = None
        # Ready packets go out as they are, unless somebody wants to hear what is sent.
        self._packets = source if isinstance(source, PacketSource) and isinstance(sink, NullSink) else None
        self._records = not isinstance(sink, NullSink)
        self._spoken_samples = 0
        self._silent_frames = 0
        self._loss_ratio = 0.0
        self._is_over = False
        self._listener: Listener | None = None
        self.insertions = Announcements()
        """What is said over the source."""
        self.inserted_s = -math.inf
        """When something was last said over the source, monotonic seconds."""
        self.muted = False
        """Whether silence is said in its place: in every packet, for who is muted is not gone."""
        self.began_s: float | None = None
        """When the first sample of the source was said, monotonic seconds; None before."""
        self.ended_s: float | None = None
        """When the source was over, monotonic seconds; None while it is not."""
        self.late_frames = 0
        """How often the source had nothing ready in time, and silence was sent instead."""
        self.level = LevelMeter()

    def listen(self, listener: Listener) -> None:
        """Let `listener` hear every frame that is said, as samples, and how loud our own echo in it may be, in dBFS.

        It must neither wait nor raise.
        """
        self._listener, self._packets = listener, None

    def record(self, sink: Sink) -> None:
        """Let `sink` have what is really said, too; before the call. It is neither opened nor closed here."""
        self._sink, self._records, self._packets = TeeSink(self._sink, sink), True, None

    def set_loss_ratio(self, loss_ratio: float) -> None:
        """Say once a second how much of what is sent gets lost lately, so that packets carry the redundancy it needs.

        Loss is believed at once, and its end only after some seconds.
        """
        self._loss_ratio = max(loss_ratio, LOSS_MEMORY * self._loss_ratio)
        if self._encoder is not None:
            self._expect_loss(self._encoder)

    def _expect_loss(self, encoder: OpusEncoder) -> None:
        """Let loss be met by SILK, which repeats packets and is concealed well; CELT takes a third of the time."""
        encoder.set_loss_ratio(self._loss_ratio)
        encoder.set_signal("voice" if self._loss_ratio >= NO_LOSS else "music")

    def next_frame(self, position_samples: int) -> Samples:
        """Return the 20 ms that are said at `position_samples`: int16, shape `(FRAME_SAMPLES,)`. Never raises."""
        samples = self._read(self._source.read)
        if samples is None or self.muted:
            samples = SILENCE
        elif getattr(samples, "shape", None) != _SHAPE or samples.dtype != SILENCE.dtype:
            error = TypeError(f"a frame must be int16 and of shape {_SHAPE}")
            self._fail(SourceFailed(f"the source failed: {error}"), error)
            samples = SILENCE
        if self.insertions.is_playing:
            self.inserted_s = self._clock.now_s()
        samples = self.insertions.over(samples)
        if not self._is_over:
            self.level.add(samples)
            if self._records:
                self._record(samples, position_samples)
            if self._listener is not None:
                self._listener(samples, echo_dbfs_of(self._source))
        return samples

    def next_packet(self, index: int, out: bytearray, offset: int) -> int:
        """Write the Opus packet of period `index` at byte `offset`; return its length, 0 for none. Never raises."""
        if self._packets is not None and not self.insertions.is_playing:
            packet = self._read(self._packets.read_packet)
            if packet is not None and len(packet) > MAX_RTP_PAYLOAD_BYTES:
                error = ValueError(f"an Opus packet of {len(packet)} bytes does not fit into a datagram")
                self._fail(SourceFailed(f"the source failed: {error}"), error)
            elif packet and not self.muted:
                self._silent_frames = 0
                out[offset : offset + len(packet)] = packet
                return len(packet)
            samples = SILENCE
        else:
            samples = self.next_frame(index * FRAME_SAMPLES)
        if samples is SILENCE or is_digital_silence(samples):
            self._silent_frames += 1
            silent = self._silent_frames
            if self._opus.dtx and not self.muted and silent > DTX_AFTER_FRAMES and silent % DTX_REFRESH_FRAMES:
                return 0
            if silent > ENCODED_SILENCE_FRAMES:
                out[offset : offset + len(SILENT_PACKET)] = SILENT_PACKET
                return len(SILENT_PACKET)
        else:
            self._silent_frames = 0
        return self._encode(samples, out, offset)

    def finish(self, position_samples: int) -> None:
        """Fill the recording up to `position_samples`; from now on nothing is said."""
        if not self._is_over and self._spoken_samples:
            self._record(SILENCE[:0], position_samples)
        self._is_over = True
        self.insertions.end()

    def _encode(self, samples: Samples, out: bytearray, offset: int) -> int:
        encoder = self._encoder
        if encoder is None:
            opus = self._opus
            encoder = OpusEncoder(bit_rate=opus.bit_rate, complexity=opus.complexity, fec=opus.fec)
            self._encoder = encoder
            self._expect_loss(encoder)
        return encoder.encode_into(samples, out, offset)

    def _read(self, read: Callable[[], _T | None]) -> _T | None:
        """Ask the source; None when it has nothing, is over, or has failed."""
        if self._is_over:
            return None
        try:
            ready = read()
        except Exception as error:  # noqa: BLE001 - a user's source may raise anything; it ends the call
            self._fail(SourceFailed(f"the source failed: {public_description(error)}"), error)
            return None
        if ready is not None:
            if self.began_s is None:
                self.began_s = self._clock.now_s()
        elif self.ended_s is None:
            if self._source.ended:
                self.ended_s = self._clock.now_s()
            else:
                self.late_frames += 1
        return ready

    def _record(self, samples: Samples, position_samples: int) -> None:
        try:
            while self._spoken_samples < position_samples:
                gap = SILENCE[: position_samples - self._spoken_samples]
                self._sink.write(PcmFrame(gap, self._spoken_samples))
                self._spoken_samples += len(gap)
            if len(samples):
                self._sink.write(PcmFrame(samples, position_samples))
                self._spoken_samples += len(samples)
        except Exception as error:  # noqa: BLE001 - a user's sink may raise anything; it ends the call
            self._fail(SinkFailed(f"the sink failed: {public_description(error)}"), error)

    def _fail(self, failure: AudioError, cause: Exception) -> None:
        self._is_over = True
        failure.__cause__ = cause
        self._on_failure(failure)


def public_description(error: Exception) -> str:
    """Return what may be told of a user's exception, whose own text may hold anything: the system's words, its type."""
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
