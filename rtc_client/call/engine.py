"""Engine: runs a call. It dials, owns the connections and the tasks, decides the end, and closes.

Media and sideband are two connections that fail separately; this file says which failure ends the call.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections import deque
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from rtc_client.audio.devices.reports import reporting_to
from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sinks.basic import NullSink
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.hold_sound import HoldSound, hold_loop
from rtc_client.audio.ticker import Ticket, ticker
from rtc_client.call.end_reasons import awaited, end_of, ended, settle
from rtc_client.call.events.device_reports import DeviceReports
from rtc_client.call.events.event_log import EventLog
from rtc_client.call.events.local_events import CallEnded, MediaConnected, NoAudioYet, SidebandAbandoned
from rtc_client.call.events.responses import Responses
from rtc_client.call.events.router import Router, WireLog
from rtc_client.call.media.audio import CallAudio
from rtc_client.call.media.barge_in import BargeInControl
from rtc_client.call.media.echo_wiring import with_echo_control
from rtc_client.call.media.receiver import AgentReceiver
from rtc_client.call.media.stats import CallStats, snapshot
from rtc_client.call.media.streams import Streams
from rtc_client.call.media.transport import MediaTransport
from rtc_client.call.media.webrtc import WebRtcTransport
from rtc_client.call.media.webrtc_setup import Connections
from rtc_client.call.media.websocket import WebSocketTransport
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.supervisor import Supervisor
from rtc_client.call.tools.handoffs import Handoffs, replies_of
from rtc_client.call.tools.tool_calls import ToolCalls
from rtc_client.clock import Clock
from rtc_client.config import CallConfig, HandoffSettings
from rtc_client.errors import AudioError, CallClosed, CallLost, SidebandError
from rtc_client.protocol.call_state import CallState, End, EndReason, Input, next_state
from rtc_client.protocol.call_timeline import CallTimeline, Milestone
from rtc_client.protocol.delegation.background_agent import as_handoff, function_tools
from rtc_client.protocol.wire.events import ErrorEvent, ServerEvent
from rtc_client.protocol.wire.session import JsonObject
from rtc_client.sideband.client import Sideband
from rtc_client.sideband.outbox import Outbox

log = logging.getLogger(__name__)


_TEND_S: Final = 0.2
"""Interval between checks of a call's limits, seconds. Inside a tick: a wake-up costs as much as three packets."""


_LOOK_S: Final = 1.0
"""How often the counters and the peer's reports are looked at."""


MAX_SNAPSHOTS: Final = 3_600
"""An hour of statistics, one a second; the oldest go."""


_OWN_TASKS_S: Final = 1.5


_HEAD_START: Final = 0.2
"""Share of `close_s` reserved for the hang-up request before connections are closed."""


class Engine:
    """One call's machinery; `close` happens by itself once an end is decided."""

    def __init__(
        self,
        config: CallConfig,
        source: Source | None,
        sink: Sink | PacketSink | None,
        caller_sink: Sink | None,
        wire_log: WireLog | None,
        *,
        metered: bool,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self.config = config
        self.clock = clock
        self._rng = rng
        self._dialing: asyncio.Task[None] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._ticket: Ticket | None = None
        self._connected_s = 0.0
        self._look_at_s = _LOOK_S
        self._is_warned = False
        self.state = CallState.IDLE
        self.timeline = CallTimeline()
        self.feed = EventLog()
        self.devices = DeviceReports(self.feed.append)
        self.outbox = Outbox()
        self.connections = Connections()
        self.snapshots: deque[CallStats] = deque(maxlen=MAX_SNAPSHOTS)
        self.supervisor = Supervisor(self._on_end)
        self.tools = ToolCalls(
            config,
            send=self.outbox.put,
            start=self.supervisor.start,
            notify=self.feed.append,
            elapsed_s=self.elapsed_s,
            clock=clock,
        )
        self.handoffs = Handoffs(
            config.handoffs,
            replies_of(config),
            send=self.outbox.put,
            start=self.supervisor.start,
            notify=self.feed.append,
            elapsed_s=self.elapsed_s,
            clock=clock,
            secrets=config.secrets,
            tools=self.tools.for_handler,
        )
        self.router = Router(
            self.timeline,
            self.feed,
            clock=clock,
            wire_log=wire_log,
            on_event=self._on_event,
            on_sent=self._on_sent,
            on_fatal=self._on_fatal,
        )
        self.voices = CallAudio(
            with_echo_control(
                source, sink, config.echo, self.feed.append, self.connections, lambda: self.voices.agent.is_holding
            ),
            sink or NullSink(),
            caller_sink or NullSink(),
            config.opus,
            metered=metered,
            clock=clock,
            on_failure=self._on_audio_failure,
        )
        self.streams = Streams(None if config.is_websocket else self.voices.agent)
        self.responses = Responses(
            self.router.scribe,
            is_sequenced=config.is_websocket and config.version == "v2",
            withdraw=self._withdraw,
            secrets=lambda: config.secrets,
        )
        self.recorder: CallRecorder | None = None
        self.media = self._media_leg()
        self.barge_ins = BargeInControl(
            config,
            voices=self.voices,
            media=self.media,
            router=self.router,
            responses=self.responses,
            outbox=self.outbox,
            notify=self.feed.append,
        )
        self.counters = self.media.counters()

    async def dial(self) -> None:
        """Return once audio can flow. Whatever is raised, the end is decided and everything is closed."""
        # Before the first await: whoever enters the call a second time meanwhile must see that it was dialled.
        self._move(self.media.first_input)
        self.timeline.mark(Milestone.DIALED, self.clock.now_s())
        try:
            await self._race_the_end(self._dial())
        except BaseException as error:
            self.supervisor.decide(end_of(error), error if isinstance(error, Exception) else None)
            await self.closed()
            raise
        self.supervisor.start(self._watch_media(), "call-media")

    def elapsed_s(self) -> float:
        """Return the seconds since audio could flow; 0 before, and no longer growing once the end is decided."""
        ended_s = self.timeline.at_s(Milestone.ENDED)
        return self.timeline.since_s(Milestone.DTLS_CONNECTED, self.clock.now_s() if ended_s is None else ended_s)

    def stats(self) -> CallStats:
        """Return what the media path looks like now; its bit rates are those of the last look."""
        self.counters = self.media.counters()
        return self._snapshot(rates_of=self.snapshots[-1] if self.snapshots else None)

    def _snapshot(self, *, since: CallStats | None = None, rates_of: CallStats | None = None) -> CallStats:
        return snapshot(
            self.counters,
            self.voices.agent.jitter,
            at_s=self.elapsed_s(),
            total_samples=self.voices.agent.position_samples,
            since=since,
            rates_of=rates_of,
        )

    def _media_leg(self) -> MediaTransport:
        config, timeline, clock = self.config, self.timeline, self.clock
        if config.is_websocket:
            parts = config, self.voices, self.router, self.outbox
            return WebSocketTransport(
                *parts,
                responses=self.responses,
                streams=self.streams,
                tools=self._tools,
                check_limits=self._check_limits,
                timeline=timeline,
                clock=clock,
            )
        return WebRtcTransport(
            config,
            self.connections,
            self.voices,
            self.router,
            self.outbox,
            start_sideband=lambda sideband: self.supervisor.start(self._run_sideband(sideband), "call-sideband"),
            moved=self._move,
            check_limits=self._check_limits,
            timeline=timeline,
            clock=clock,
            rng=self._rng,
        )

    async def closed(self) -> None:
        """Return once the close, which an end must have started, is done. Cancelling it does not stop the close."""
        if self._closing is not None:
            await asyncio.shield(self._closing)

    async def _dial(self) -> None:
        self.tools.check(has_handler=self.handoffs.handler is not None)
        await self.handoffs.open(self.connections.stack)
        if self.recorder is not None:
            await self.recorder.open()
        with reporting_to(self.devices):
            await self.voices.open()
        await prepare_hold(self.config.handoffs, self.handoffs, self.voices.agent)
        await self.media.dial()
        self._mark(Milestone.DTLS_CONNECTED)
        # The end may have been decided since the path came up; then the ticker would never know.
        if self.supervisor.end is None:
            self._connected_s = self.timeline.at_s(Milestone.DTLS_CONNECTED) or 0.0
            stages = self.media.begin(self._connected_s)
            self._ticket = ticker().add(*stages, on_error=self._on_tick_failure)
        self._move(Input.MEDIA_CONNECTED)
        self.feed.append(MediaConnected())

    def _tools(self) -> Sequence[JsonObject]:
        ours = function_tools(has_background_agent=self.handoffs.handler is not None)
        return [*ours, *self.tools.definitions()]

    def _on_event(self, event: ServerEvent) -> None:
        hush = self.voices.agent.hush
        if hush.is_on and self.responses.begins_anew(event, is_quiet=hush.is_quiet):
            hush.end()
        self.responses.on_event(event)
        self.barge_ins.on_event(event)
        self.streams.on_event(event)
        if self.config.version == "v2":
            self.tools.on_event(event)
            event = as_handoff(event)
        self.handoffs.on_event(event)

    def _on_sent(self, frame: str) -> None:
        self.responses.on_sent(frame)
        self.tools.on_sent(frame)

    def _withdraw(self, event_id: str) -> None:
        self.media.withdraw(event_id)

    def _on_tick_failure(self, error: Exception) -> None:
        log.error("the media path failed", exc_info=error)
        self.supervisor.decide(end_of(error), error)

    async def _race_the_end(self, dialing: Coroutine[Any, Any, None]) -> None:
        """Run `dialing`, but give it up as soon as the end of the call is decided elsewhere."""
        self._dialing = asyncio.create_task(dialing, name="call-dial")
        end_task = asyncio.create_task(self.supervisor.wait_decided(), name="call-dial-end")
        both = {self._dialing, end_task}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in both:
                task.cancel()
            await asyncio.wait(both)
        failure = None if self._dialing.cancelled() else self._dialing.exception()
        if self.supervisor.end is not None:
            raise self.supervisor.error or CallClosed("the call was hung up while it was being dialled")
        if failure is not None:
            raise failure

    async def _run_sideband(self, sideband: Sideband) -> None:
        try:
            closed = await sideband.run()
        except SidebandError as error:
            self._on_sideband_failure(error)
            return
        finally:
            self.router.joined = False
        if self.state is CallState.ACTIVE:
            self.supervisor.decide(ended(EndReason.REMOTE_HANGUP, "server", closed.reason))
        else:
            self.supervisor.decide(ended(EndReason.REFUSED, "server", str(closed)), closed)

    def _on_sideband_failure(self, error: SidebandError) -> None:
        if self.config.sideband == "prefer":
            log.warning("call goes on without events", extra={"call_id": self.connections.call_id})
            self.outbox.close(error)
            self.responses.end(error)
            self.feed.append(SidebandAbandoned(message=str(error)))
        elif self.timeline.at_s(Milestone.SIDEBAND_JOINED) is None:
            self.supervisor.decide(ended(EndReason.REFUSED, "server", str(error)), error)
        else:
            lost = CallLost("sideband_lost", f"the sideband was lost and stays lost: {error}")
            lost.__cause__ = error
            self.supervisor.decide(end_of(lost), lost)

    async def _watch_media(self) -> None:
        try:
            detail = await self.media.watch()
        except CallLost as error:
            self.supervisor.decide(end_of(error), error)
        else:
            self.supervisor.decide(ended(EndReason.REMOTE_HANGUP, "server", detail))

    def _check_limits(self, now_s: float) -> float:
        """Keep statistics, end the call when its time is over or everything was said; return when to look again."""
        config = self.config
        elapsed_s = now_s - self._connected_s
        left_s = math.inf if config.max_duration_s is None else config.max_duration_s - elapsed_s
        quiet_s = self.voices.quiet_s()
        lingers_s = math.inf
        if quiet_s is not None:
            lingers_s = config.linger_s - min(quiet_s, self.handoffs.idle_s(), self.tools.idle_s())
        if elapsed_s >= self._look_at_s:
            self._look_at_s += _LOOK_S
            self.counters = self.media.counters()
            self.voices.caller.set_loss_ratio(self.counters.fraction_lost)
            self.snapshots.append(self._snapshot(since=self.snapshots[-1] if self.snapshots else None))
        if left_s <= 0:
            self.supervisor.decide(ended(EndReason.MAX_DURATION, "caller"))
        elif lingers_s <= 0:
            self.supervisor.decide(ended(EndReason.SOURCE_ENDED, "caller"))
        elif not self._is_warned and elapsed_s >= config.deadlines.first_rtp_s:
            self._is_warned = True
            if config.is_heard and self.timeline.at_s(Milestone.FIRST_RTP) is None:
                log.warning("no audio from the agent yet", extra={"call_id": self.connections.call_id})
                self.feed.append(NoAudioYet(after_s=config.deadlines.first_rtp_s))
        return now_s + max(0.0, min(_TEND_S, left_s, lingers_s))

    def _on_fatal(self, event: ErrorEvent, reason: str) -> None:
        error = CallLost(reason.replace(" ", "_"), f"the server ended the session: {reason}")
        self.supervisor.decide(ended(EndReason.LOST, "server", reason), error)

    def _on_audio_failure(self, failure: AudioError) -> None:
        if not self.supervisor.decide(ended(EndReason.FAILED, "program", str(failure)), failure):
            # The call is over, but a recording that could not be finished must not pass for a whole one.
            self.supervisor.error = self.supervisor.error or failure

    def _on_end(self, end: End) -> None:
        self._mark(Milestone.ENDED)
        self._move(Input.END_DECIDED)
        if self._ticket is not None:
            self._ticket.remove()
        self.handoffs.end()
        self.tools.end()
        self.voices.finish()
        self.outbox.close(CallClosed("the call is over"))
        self.responses.end(self.supervisor.error or CallClosed("the call is over"))
        self._closing = asyncio.create_task(self._close(end), name="call-close")

    async def _close(self, end: End) -> None:
        connections, limit_s = self.connections, self.config.deadlines.close_s
        close_by_s = self.clock.now_s() + limit_s
        if self._dialing is not None:
            # What it is about to open, and the call id it is about to learn, must be known before they are closed.
            self._dialing.cancel()
            await asyncio.wait({self._dialing}, timeout=limit_s * 0.2)
        goodbye = asyncio.create_task(self._say_goodbye(end), name="call-goodbye")
        await asyncio.wait({goodbye}, timeout=limit_s * _HEAD_START)
        parts = [awaited(goodbye), self.supervisor.stop(_OWN_TASKS_S), *self.media.closers()]
        await settle(parts, close_by_s - self.clock.now_s() - limit_s * 0.15)
        self.counters = await self.media.last_counters()
        await settle([self.voices.aclose(), connections.stack.aclose()], limit_s * 0.15)
        self._move(Input.CLOSED)
        log.info("call ended", extra={"call_id": connections.call_id, "reason": end.reason.value, "by": end.by})
        self.router.scribe.end()
        if self.recorder is not None:
            # Last, for it keeps the result.
            await settle([self.recorder.finish()], max(limit_s * 0.05, close_by_s - self.clock.now_s()))
        self.feed.append(CallEnded(end=end))
        self.feed.close(self.supervisor.error)
        self.streams.close(self.supervisor.error)

    async def _say_goodbye(self, end: End) -> None:
        if end.reason is not EndReason.REMOTE_HANGUP:
            await self.media.flush()
            await self.media.hang_up()

    def _mark(self, fact: Milestone) -> None:
        self.timeline.mark(fact, self.clock.now_s())

    def _move(self, happened: Input) -> None:
        self.state = next_state(self.state, happened) or self.state


async def prepare_hold(settings: HandoffSettings, handoffs: Handoffs, agent: AgentReceiver) -> None:
    """Let what `settings` name be heard under the agent's voice while a handler is at work; nothing where they do not.

    Raises:
        AudioFileUnreadable: The file that they name cannot be used.
    """
    if settings.hold is not None:
        loop = await hold_loop(settings.hold)
        agent.hold_sound = HoldSound(loop, lambda: handoffs.busy_s() > settings.hold_after_s)
