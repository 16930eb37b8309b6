"""Call, the facade: one voice call from dialling to its result. What it does is done in the files beside it."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Literal

from rtc_client.audio.pcm import LevelMeter
from rtc_client.audio.recording import PacketSink
from rtc_client.audio.sinks import Sink
from rtc_client.audio.sources import Source
from rtc_client.call.engine import Engine
from rtc_client.call.equipped import Equipped
from rtc_client.call.goodbye import until_played_out
from rtc_client.call.recorder import CallRecorder
from rtc_client.call.result import AudioTotals, CallResult
from rtc_client.call.router import WireLog
from rtc_client.call.stats import CallStats
from rtc_client.call.taping import CassetteRecorder
from rtc_client.call.tools import OfferedTool
from rtc_client.call.verbs import Verbs
from rtc_client.clock import Clock, MonotonicClock
from rtc_client.config import CallConfig
from rtc_client.delegates.request import HandoffHandler
from rtc_client.errors import CallClosed, ConfigError
from rtc_client.protocol.codec import dump_command
from rtc_client.protocol.signature import Given
from rtc_client.protocol.state import CallState, End, EndReason
from rtc_client.protocol.timeline import Fact
from rtc_client.protocol.transcript import Transcript


def connect(
    config: CallConfig,
    *,
    source: Source | None = None,
    sink: Sink | PacketSink | None = None,
    caller_sink: Sink | None = None,
    wire_log: WireLog | None = None,
    metered: bool = False,
    handoff: HandoffHandler | None = None,
    tools: Iterable[OfferedTool] = (),
    cassette: CassetteRecorder | None = None,
    recorder: CallRecorder | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> Call:
    """Return a call that is dialled when it is entered: `async with connect(config) as call`.

    Entering it returns once audio can flow both ways; the sideband may still be joining, and what is sent
    meanwhile waits for it. Leaving it hangs up.

    Args:
        config: Where to call, as whom, and what the agent is told to be.
        source: What the caller says; silence when None.
        sink: Gets what the agent says, without gaps, from the instant the call connected: as samples, or as the
            packets they came in (`OggRecorder`).
        caller_sink: Gets what was really sent: the source, or silence where it was late or muted.
        metered: Keep the levels of the agent's voice even when no sink takes samples; it is not decoded otherwise.
        handoff: Does what the agent asks for; the same as `call.on_handoff(handoff)`.
        tools: What the agent may call: functions, as by `call.tool`; each as a `TypedTool` with settings of its own;
            MCP servers (`McpTool`); or the bare definition of a function (`FunctionTool`) that the program answers.
        wire_log: Told of every sideband frame, both ways, as it was on the wire.
        recorder: Keeps what the call was in a folder: both voices in one file, result, events and captions. When its
            disk is full that ends, and not the call.
        cassette: Records the call, for `cassette.cassette().save(folder)` when it is over.
        clock: Replaced in tests.
        rng: Spreads the retries; replaced in tests.

    Raises:
        ConfigError: On entering, when a source or sink cannot be opened; nothing was sent.
        SignalingError: On entering, when the offer got no usable answer.
        MediaError: On entering, when the media path did not come up.
        SidebandError: On entering or leaving, when policy `require` got no sideband.
        CallLost: On leaving, when something other than the two parties ended the call.
        AudioError: On leaving, when a source or sink raised.

    Cancelling it while it dials, or in its body, closes everything first, in at most `deadlines.close_s`.
    """
    if cassette is not None and config.is_direct:
        raise ConfigError(
            "a cassette holds a WebRTC call: keep a call over a websocket by wire_log, which has its sound"
        )
    if cassette is not None:
        wire_log, caller_sink = cassette.beside(wire_log, caller_sink)
    if recorder is not None:
        wire_log = recorder.beside(wire_log)
    clock = clock or MonotonicClock()
    engine = Engine(
        config,
        source,
        sink,
        caller_sink,
        wire_log,
        metered=metered,
        clock=clock,
        rng=rng or random.Random(),
    )
    if cassette is not None:
        cassette.attach(engine)
    call = Call(engine)
    if recorder is not None:
        recorder.attach(lambda: call.result, engine.feed.append)
        engine.recorder = recorder
        engine.voices.record(*recorder.ears(source, sink, clock))
    if handoff is not None:
        call.on_handoff(handoff)
    for tool in tools:
        engine.tools.add(tool)
    return call


class Call(Equipped, Verbs):
    """One voice call. Make it with `connect`. Its methods may be used by any number of tasks at once."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        engine.tools.context = lambda tool_call_id, is_cancelled: ToolContext(self, tool_call_id, is_cancelled)

    async def __aenter__(self) -> Call:
        if self._engine.state is not CallState.IDLE:
            raise CallClosed("a call is dialled once: make a new one with connect()")
        await self._engine.dial()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        supervisor = self._engine.supervisor
        if error is None:
            supervisor.decide(End(reason=EndReason.HANGUP, by="caller"))
        elif isinstance(error, Exception):
            # Whatever it is, it was the program that left: a call does not fail by what its user raises.
            supervisor.decide(End(reason=EndReason.FAILED, by="program", detail=type(error).__name__), error)
        else:
            supervisor.decide(End(reason=EndReason.INTERRUPTED, by="caller"))
        await self._engine.closed()
        if error is None and supervisor.error is not None:
            raise supervisor.error

    @property
    def call_id(self) -> str | None:
        """The server's name for this call; None until it was answered, and of a call over a websocket."""
        return self._engine.legs.call_id

    @property
    def state(self) -> CallState:
        """Where the call is between dialling and its end."""
        return self._engine.state

    @property
    def sideband_joined(self) -> bool:
        """Whether events can flow right now."""
        return self._engine.router.joined

    @property
    def elapsed_s(self) -> float:
        """Seconds since audio could flow; 0 before, and no longer growing once the call is over."""
        return self._engine.elapsed_s()

    @property
    def transcript(self) -> Transcript:
        """Who said what, so far: a copy, which never changes. What was sent as text by `say` is in it, as `written`."""
        return self._engine.router.scribe.entries

    def latest_words(self, n_entries: int) -> Transcript:
        """Return the last `n_entries` of the transcript, for views that redraw often."""
        return self._engine.router.scribe.latest(n_entries)

    @property
    def levels(self) -> tuple[LevelMeter, LevelMeter]:
        """The meters of the caller and of the agent."""
        return self._engine.voices.caller.level, self._engine.voices.agent.level

    @property
    def muted(self) -> bool:
        """Whether silence is sent instead of the source."""
        return self._engine.voices.caller.muted

    def stats(self) -> CallStats:
        """Return a snapshot of the media path, under the names and in the units of W3C's webrtc-stats."""
        return self._engine.stats()

    @property
    def stats_history(self) -> Sequence[CallStats]:
        """One snapshot a second, of the last hour."""
        return tuple(self._engine.snapshots)

    def mute(self) -> None:
        """Send silence from the next 20 ms on, in every packet. The source runs on; what `play` says is heard."""
        self._engine.voices.caller.muted = True

    def unmute(self) -> None:
        """Send the source again."""
        self._engine.voices.caller.muted = False

    async def send_handoff_output(self, text: str, *, handoff_id: str | None = None) -> None:
        """Send output by hand: to the handoff of that id, or, without one, as output that answers none.

        Without an id it is sent as it is, even during a handoff; with one it gets the prefix (wire-protocol.md section
        9). Either is cut in the middle, or sent in pieces, as `config.handoffs` says. White space alone is not sent.
        It waits for room as `say` does.

        Raises:
            ConfigError: No such handoff was requested in this call, or the text cannot be sent as UTF-8.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        handoffs = self._engine.handoffs
        if handoff_id is not None and not handoffs.knows(handoff_id):
            raise ConfigError("no handoff of this id was requested in this call: leave the id out, or see events()")
        for command in handoffs.replies.by_hand(text, handoff_id):
            await self._send_frame(dump_command(command))

    async def play(self, source: Source, *, mixed: bool = False) -> None:
        """Say a source into the running call; return once it was said to its end. What is asked for meanwhile waits.

        The call's own source, a microphone say, runs on and is not heard meanwhile; it fades out and in without a
        click. A mute is for the call's own source alone: what is played is heard.

        Args:
            source: What is said, any source with an end, such as `FileSource`; it is opened and closed here.
            mixed: Say it together with the call's own source.

        Raises:
            ConfigError: The source cannot be opened, or the program appends the caller's sound by itself.
            SourceFailed: The source raised; the call goes on.
            CallClosed: The call is not up, or was over first.

        Cancelled, it falls silent at the next 20 ms, without a click.
        """
        engine = self._engine
        if engine.state is not CallState.ACTIVE:
            raise CallClosed("there is nobody to hear it: the call is not up")
        if engine.media.is_taken_over:
            raise ConfigError("append_audio carries the caller's voice of this call: append this sound too")
        await engine.voices.caller.insertions.play(source, mixed=mixed)

    async def hangup(
        self,
        reason: EndReason = EndReason.HANGUP,
        *,
        after: Literal["now", "playout"] = "now",
        limit_s: float = 10.0,
    ) -> None:
        """End the call and return once everything is closed, in at most `deadlines.close_s`.

        Safe to call twice, from several tasks, and in any state. Cancelling it does not stop the close.

        Args:
            reason: What the result says about it.
            after: `playout` lets the agent finish first: it waits until no response is under way, the agent has been
                silent for 0.6 s, and all of it came out of the sink. A goodbye that begins within 0.6 s is heard too.
            limit_s: How long that may take, in seconds; then it hangs up.

        Cancelled while it waits for the agent, it does not hang up.
        """
        engine = self._engine
        if after == "playout" and engine.state is CallState.ACTIVE:
            await until_played_out(engine, limit_s=limit_s)
        engine.supervisor.decide(End(reason=reason, by="caller"))
        await engine.closed()

    async def wait_ended(self) -> CallResult:
        """Return the result once the call is over and everything is closed. Cancelling it leaves the call alone."""
        await self._engine.supervisor.wait_decided()
        await self._engine.closed()
        return self.result

    @property
    def result(self) -> CallResult:
        """What the call was; while it runs, what it was so far."""
        engine = self._engine
        counters, voices = engine.counters, engine.voices
        return CallResult(
            call_id=self.call_id,
            end=engine.supervisor.end,
            error=engine.supervisor.error,
            timings_ms=engine.timeline.timings(),
            duration_s=None if engine.timeline.at_s(Fact.DTLS_CONNECTED) is None else round(self.elapsed_s, 3),
            sent=AudioTotals(
                packets=counters.packets_sent,
                bytes=counters.bytes_sent,
                lost=counters.packets_lost_sent,
                level_dbfs=_level_dbfs(voices.caller.level),
            ),
            received=AudioTotals(
                packets=counters.packets_received,
                bytes=counters.bytes_received,
                lost=counters.packets_lost,
                level_dbfs=_level_dbfs(voices.agent.level),
            ),
            events=dict(engine.router.counts),
            events_skipped=engine.feed.dropped,
            chunks_skipped=engine.streams.dropped,
            transcript=self.transcript,
            handoffs=tuple(engine.handoffs.records),
            tool_calls=tuple(engine.tools.records),
            transport_path=voices.path,
            stats=None if voices.path is None else engine.stats(),
            in_t0_monotonic=voices.caller.began_s,
            out_t0_monotonic=voices.agent.began_s,
            late_frames=voices.caller.late_frames,
            devices=engine.devices.records,
            barge_ins=engine.barge_ins.count,
            unheard_s=round(engine.barge_ins.unheard_s, 3),
            recording=None if engine.recorder is None else engine.recorder.report,
            datagrams_dropped=dict(counters.dropped),
        )


@dataclass(frozen=True, slots=True)
class ToolContext(Given):
    """What a tool gets that has a parameter of this type, which no model hears of."""

    call: Call
    """The call it runs in, for an async tool. In a program of `rtc_client.sync`, use the call that it has made."""
    tool_call_id: str
    """The server's name for this call of the tool; a name of ours where a handoff's handler runs it."""
    _cancelled: threading.Event = field(repr=False)

    @property
    def is_cancelled(self) -> bool:
        """Whether nobody waits for the result any more. A tool in a thread should look now and then."""
        return self._cancelled.is_set()


def _level_dbfs(meter: LevelMeter) -> float | None:
    return round(meter.level_dbfs, 1) if meter.n_samples else None
