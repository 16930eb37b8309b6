"""connect: makes a call that is dialled when it is entered."""

from __future__ import annotations

import random
from collections.abc import Iterable

from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sources.base import Source
from rtc_client.call.call import Call
from rtc_client.call.cassette_recorder import CassetteRecorder
from rtc_client.call.engine import Engine
from rtc_client.call.events.router import WireLog
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.tools.tool_calls import OfferedTool
from rtc_client.clock import Clock, MonotonicClock
from rtc_client.config import CallConfig
from rtc_client.delegates.handoff_request import HandoffHandler
from rtc_client.errors import ConfigError


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
    if cassette is not None and config.is_websocket:
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
