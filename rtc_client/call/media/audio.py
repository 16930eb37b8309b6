"""CallAudio: both directions of a call's audio, opened, finished and closed together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.basic import SilenceSource
from rtc_client.call.media.receiver import AgentReceiver, RecordingSink
from rtc_client.call.media.sender import CallerSender, public_description
from rtc_client.clock import Clock
from rtc_client.config import MediaPath, OpusSettings
from rtc_client.errors import AudioError, SinkFailed


class CallAudio:
    """The caller's and the agent's half. `on_failure` is told by the first source or sink that raises."""

    def __init__(
        self,
        source: Source,
        sink: Sink | PacketSink,
        caller_sink: Sink,
        opus: OpusSettings,
        *,
        metered: bool,
        clock: Clock,
        on_failure: Callable[[AudioError], None],
    ) -> None:
        self._parts = (source, sink, caller_sink)
        self._source = source
        self._clock = clock
        self._on_failure = on_failure
        self._began_s: float | None = None
        self.path: MediaPath | Literal["websocket"] | None = None
        """Which way the audio goes; None before it does."""
        self.caller = CallerSender(source, caller_sink, opus, clock=clock, on_failure=on_failure)
        self.agent = AgentReceiver(sink, metered=metered, clock=clock, on_failure=on_failure)

    @property
    def has_source(self) -> bool:
        """Whether the caller has a voice of its own."""
        return not isinstance(self._source, SilenceSource)

    def record(self, caller: Sink, agent: RecordingSink) -> None:
        """Let these have what is said and what is played, too; before `open`, which is not for them."""
        self.caller.record(caller)
        self.agent.record(agent)

    async def open(self) -> None:
        """Open the sinks and the source, or none of them.

        Raises:
            ConfigError: One of them cannot be opened.
        """
        source, sink, caller_sink = self._parts
        try:
            await sink.open()
            await caller_sink.open()
            await source.open()
        except BaseException:
            await self.aclose()
            raise

    def begin(self, path: MediaPath | Literal["websocket"]) -> None:
        """Make this instant position 0 of what is heard; `path` is the way it comes."""
        self.path = path
        self._began_s = self._clock.now_s()
        self.agent.begin()
        if path == "websocket":
            self.agent.listen()

    def tick(self, index: int, now_s: float) -> None:
        """Play period `index` of the clockwork, unless aiortc plays. Never raises."""
        if self.path != "plain":
            self.agent.tick(index, now_s)
        elif index % 2 == 0:
            self.agent.advance()

    def quiet_s(self) -> float | None:
        """Return for how long the source has been over and the agent silent, in seconds; None before it is over."""
        ended_s = self.caller.ended_s
        if ended_s is None:
            return None
        self.agent.listen()
        return self._clock.now_s() - max(ended_s, self.agent.voiced_s or 0.0, self.caller.inserted_s)

    def finish(self) -> None:
        """Fill up both recordings to this instant; from now on nothing is said or heard."""
        began_s = self._began_s
        n_samples = 0 if began_s is None else round((self._clock.now_s() - began_s) * SAMPLE_RATE_HZ)
        self.agent.finish(n_samples, plain=self.path == "plain")
        self.caller.finish(n_samples)

    async def aclose(self) -> None:
        """Close the source and finish the sinks. Safe to call twice."""
        for part in self._parts:
            try:
                await part.aclose()
            except Exception as error:  # noqa: BLE001 - a user's source or sink may raise anything
                failure = SinkFailed(f"a source or sink could not be closed: {public_description(error)}")
                failure.__cause__ = error
                self._on_failure(failure)
