"""What the caller says and hears: the source and the sinks of a call, mute, levels, and how long it has been quiet.

It stands between the 20 ms clockwork of the peer, which must never see an exception, and the user's own sources
and sinks, which may raise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, PcmFrame, Samples
from rtc_client.audio.pcm import LevelMeter, is_voiced, level_dbfs
from rtc_client.audio.playout import Playout
from rtc_client.audio.sinks import Sink
from rtc_client.audio.sources import Source
from rtc_client.clock import Clock
from rtc_client.errors import AudioError, SinkFailed, SourceFailed

_MAX_FILL_FRAMES: Final = 3_600 * 50


class Voices:
    """Both directions of a call's audio. `on_failure` is told once, by the first source or sink that raises."""

    def __init__(
        self,
        source: Source,
        agent_sink: Sink,
        caller_sink: Sink,
        *,
        clock: Clock,
        on_failure: Callable[[AudioError], None],
    ) -> None:
        self._source = source
        self._agent_sink = agent_sink
        self._caller_sink = caller_sink
        self._clock = clock
        self._on_failure = on_failure
        self._failed = False
        self._finished = False
        self._playout: Playout | None = None
        self._spoken_samples = 0
        self._source_ended_s: float | None = None
        self._voiced_s: float | None = None
        self.muted = False
        self.late_frames = 0
        """How often the source had nothing ready in time, and silence was sent instead."""
        self.caller = LevelMeter()
        self.agent = LevelMeter()

    async def open(self) -> None:
        """Open the sinks and the source, or none of them.

        Raises:
            ConfigError: One of them cannot be opened.
        """
        try:
            await self._agent_sink.open()
            await self._caller_sink.open()
            await self._source.open()
        except BaseException:
            await self.aclose()
            raise

    def begin(self) -> Playout:
        """Make this instant position 0 of what is heard, unless it began before."""
        if self._playout is None:
            self._playout = Playout(self._clock.now_s())
        return self._playout

    def next_frame(self, position_samples: int) -> Samples:
        """Return the 20 ms that are sent next: int16, shape `(FRAME_SAMPLES,)`. Never raises."""
        if self._finished:
            return SILENCE
        samples: Samples | None = None
        if not self._failed:
            try:
                samples = self._source.read()
            except Exception as error:  # noqa: BLE001 - a user's source may raise anything; it ends the call
                self._fail(SourceFailed(f"the source failed: {_what(error)}"), error)
        if samples is None and not self._failed:
            if self._source_ended_s is None and self._source.ended:
                self._source_ended_s = self._clock.now_s()
            self.late_frames += self._source_ended_s is None
        if samples is None or self.muted:
            samples = SILENCE
        self.caller.add(samples)
        self._speak(samples, position_samples)
        return samples

    def heard(self, samples: Samples, timestamp_samples: int) -> None:
        """Take a decoded block: int16, shape `(n,)`, with its RTP time in samples from any origin. Never raises."""
        if self._finished:
            return
        playout = self.begin()
        now_s = self._clock.now_s()
        if is_voiced(level_dbfs(samples)):
            self._voiced_s = now_s
        self._hand_over(playout.push(samples, timestamp_samples, now_s))

    def tick(self) -> None:
        """Hand over what is due although nothing came; call it a few times a second."""
        if self._playout is not None and not self._finished:
            self._hand_over(self._playout.advance(self._clock.now_s()))

    def quiet_s(self) -> float | None:
        """Return for how long the source has been over and the agent silent, in seconds; None before it is over."""
        if self._source_ended_s is None:
            return None
        return self._clock.now_s() - max(self._source_ended_s, self._voiced_s or 0.0)

    def finish(self) -> None:
        """Fill up both recordings to this instant; from now on nothing is said or heard."""
        if self._finished or self._playout is None:
            self._finished = True
            return
        self._hand_over(self._playout.finish(self._clock.now_s()))
        missing = self.agent.n_samples - self._spoken_samples
        if self._spoken_samples and 0 < missing <= _MAX_FILL_FRAMES * FRAME_SAMPLES:
            self._speak(SILENCE[:0], self.agent.n_samples)
        self._finished = True

    async def aclose(self) -> None:
        """Close the source and finish the sinks. Safe to call twice."""
        for part in (self._source, self._agent_sink, self._caller_sink):
            try:
                await part.aclose()
            except Exception as error:  # noqa: BLE001 - a user's source or sink may raise anything
                self._fail(SinkFailed(f"a source or sink could not be closed: {_what(error)}"), error)

    def _speak(self, samples: Samples, position_samples: int) -> None:
        while self._spoken_samples < position_samples:
            gap = SILENCE[: position_samples - self._spoken_samples]
            self._write(self._caller_sink, PcmFrame(gap, self._spoken_samples))
            self._spoken_samples += len(gap)
        if len(samples):
            self._write(self._caller_sink, PcmFrame(samples, position_samples))
            self._spoken_samples += len(samples)

    def _hand_over(self, frames: Iterable[PcmFrame]) -> None:
        for frame in frames:
            self.agent.add(frame.samples)
            self._write(self._agent_sink, frame)

    def _write(self, sink: Sink, frame: PcmFrame) -> None:
        if self._failed:
            return
        try:
            sink.write(frame)
        except Exception as error:  # noqa: BLE001 - a user's sink may raise anything; it ends the call
            self._fail(SinkFailed(f"the sink failed: {_what(error)}"), error)

    def _fail(self, failure: AudioError, cause: Exception) -> None:
        if self._failed:
            return
        self._failed = True
        failure.__cause__ = cause
        self._on_failure(failure)


def _what(error: Exception) -> str:
    """Return what may be told of a user's exception, whose own text may hold anything: the system's words, its type."""
    return error.strerror if isinstance(error, OSError) and error.strerror else type(error).__name__
