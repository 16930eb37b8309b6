"""The sync `connect` and `Call`, with the methods of the async ones. Written by scripts/make-sync: do not edit.

It may pass 400 lines: it says everything that rtc_client/call/call.py says, and nothing else. How waiting is done
stands in face.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from rtc_client.audio.pcm import LevelMeter
from rtc_client.audio.recording import PacketSink
from rtc_client.audio.sinks import Sink
from rtc_client.audio.sources import Source
from rtc_client.call import call as aio
from rtc_client.call.call import Handler
from rtc_client.call.notices import CallEvent
from rtc_client.call.result import CallResult
from rtc_client.call.router import WireLog
from rtc_client.call.stats import CallStats
from rtc_client.call.taping import CassetteRecorder
from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.delegates.request import HandoffHandler
from rtc_client.protocol.commands import Command
from rtc_client.protocol.state import CallState, EndReason
from rtc_client.protocol.transcript import Transcript
from rtc_client.sync.face import Face


def connect(
    config: CallConfig,
    *,
    source: Source | None = None,
    sink: Sink | PacketSink | None = None,
    caller_sink: Sink | None = None,
    wire_log: WireLog | None = None,
    metered: bool = False,
    handoff: HandoffHandler | None = None,
    cassette: CassetteRecorder | None = None,
    clock: Clock | None = None,
    rng: random.Random | None = None,
) -> Call:
    """Return a call that is dialled when it is entered: `with connect(config) as call`.

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
        wire_log: Told of every sideband frame, both ways, as it was on the wire.
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
    """
    return Call(
        aio.connect(
            config,
            source=source,
            sink=sink,
            caller_sink=caller_sink,
            wire_log=wire_log,
            metered=metered,
            handoff=handoff,
            cassette=cassette,
            clock=clock,
            rng=rng,
        ),
        config,
    )


class Call(Face):
    """One voice call of a program without an event loop. Make it with `connect`.

    Every method may be called from any thread, also from one in which an event loop runs: it blocks that thread.
    Methods that wait take `timeout_s`. Ctrl-C while one of them waits raises KeyboardInterrupt there, and leaving the
    `with` block by it hangs up.

    Raises:
        WrongThread: A method that waits is called in the thread of the call, where sinks, sources and logs are
            called back.
        CallClosed: A method is called in a child process, after a fork.
    """

    @property
    def call_id(self) -> str | None:
        """The server's name for this call; None until it was answered, and of a call over a websocket."""
        return self._now(lambda: self._call.call_id)

    @property
    def state(self) -> CallState:
        """Where the call is between dialling and its end."""
        return self._now(lambda: self._call.state)

    @property
    def sideband_joined(self) -> bool:
        """Whether events can flow right now."""
        return self._now(lambda: self._call.sideband_joined)

    @property
    def elapsed_s(self) -> float:
        """Seconds since audio could flow; 0 before, and no longer growing once the call is over."""
        return self._now(lambda: self._call.elapsed_s)

    @property
    def transcript(self) -> Transcript:
        """Who said what, so far: a copy, which never changes. What was sent as text by `say` is in it, as `written`."""
        return self._now(lambda: self._call.transcript)

    def latest_words(self, n_entries: int) -> Transcript:
        """Return the last `n_entries` of the transcript, for views that redraw often."""
        return self._now(self._call.latest_words, n_entries)

    @property
    def levels(self) -> tuple[LevelMeter, LevelMeter]:
        """The meters of the caller and of the agent."""
        return self._now(lambda: self._call.levels)

    @property
    def muted(self) -> bool:
        """Whether silence is sent instead of the source."""
        return self._now(lambda: self._call.muted)

    def stats(self) -> CallStats:
        """Return a snapshot of the media path, under the names and in the units of W3C's webrtc-stats."""
        return self._now(self._call.stats)

    @property
    def stats_history(self) -> Sequence[CallStats]:
        """One snapshot a second, of the last hour."""
        return self._now(lambda: self._call.stats_history)

    def mute(self) -> None:
        """Send silence from the next 20 ms on. The source keeps running."""
        return self._now(self._call.mute)

    def unmute(self) -> None:
        """Send the source again."""
        return self._now(self._call.unmute)

    def events(self, *, timeout_s: float | None = None) -> Iterator[CallEvent]:
        """Yield every event of the call from its first, server events and our own notices, until it is over.

        Any number of readers may run; none can hold the call up. One that falls thousands of events behind
        skips the oldest, counted in `result.events_skipped`.

        Each step waits for at most `timeout_s` seconds, and may be tried again after that; None is without limit.

        Raises:
            RtcClientError: At the end, when the call did not end in good order.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._read(timeout_s, self._call.events)

    def say(
        self, text: str, *, role: Literal["user", "developer", "assistant"] = "user", timeout_s: float | None = None
    ) -> None:
        """Add a text message to the conversation. Before the sideband is joined it waits its turn.

        Returns when the text has a place in the queue; with 64 texts waiting, once there is room. Cancelled before
        that, nothing is sent.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            text: What is said; it may be empty.
            role: Who says it: `user` is the caller, `developer` tells the agent how to behave, `assistant` puts words
                into the agent's mouth. The content type is the role's own: `output_text` for the assistant,
                `input_text` for the others (wire-protocol.md section 6).

        What the caller or the agent says this way is an entry of the transcript, marked as `written`, from when it was
        sent; what a developer says is not, for nobody in the conversation said it. On realtime v2 what a user says is
        marked `[USER] ` on the wire, as what a background agent says is marked too (wire-protocol.md section 10).

        Raises:
            ConfigError: It is no text that can be sent, or nobody would read it.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.say, text, role=role)

    def send(self, command: Command, *, allow_unproven: bool = False, timeout_s: float | None = None) -> None:
        """Send a client event. Before the sideband is joined it waits its turn.

        Returns when the command has a place in the queue; with 64 waiting, once there is room. Whether the server took
        it is told by its events: one about an error carries the `event_id` that the command was given.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            command: What to send; it was checked when it was made.
            allow_unproven: Send a command that realtime v1 is not known to take (wire-protocol.md section 6).

        Raises:
            InvalidCommand: It cannot be written as JSON, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.send, command, allow_unproven=allow_unproven)

    def send_raw(
        self, event: Mapping[str, object] | str, *, allow_unproven: bool = False, timeout_s: float | None = None
    ) -> None:
        """Send any client event: a mapping, or JSON text, which goes out as it was written. Nothing in it is checked.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            event: A JSON object with a `type`.
            allow_unproven: Send it although realtime v1 is not known to take it (wire-protocol.md section 6).

        Raises:
            InvalidCommand: It is no JSON object with a `type`, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.send_raw, event, allow_unproven=allow_unproven)

    def send_text(
        self, text: str, *, role: Literal["user", "developer", "assistant"] = "user", timeout_s: float | None = None
    ) -> None:
        """Do what `say` does, under its older name.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.send_text, text, role=role)

    def on_handoff(self, handler: Handler) -> Handler:
        """Let `handler` do what the agent asks for, and return it: a decorator, before the call is entered.

        It is called with a `HandoffRequest`. It may be a function, a generator, or async; or an object that is called
        like one, such as `CommandHandoff`, which is entered and left with the call if it is an async context manager.
        Each text that it returns or yields is sent to the agent. What is not async runs in a thread. It is cancelled
        after `config.handoffs.limit_s` and when the call ends. An exception is told to the agent in words, those of
        `HandoffFailed` as they are, and to `events()` as `HandoffEnded`; the call goes on.

        Raises:
            CallClosed: The call was entered already.
            ConfigError: It has a handler, or asks for no sideband, by which requests come.
        """
        return self._now(self._call.on_handoff, handler)

    def send_handoff_output(self, text: str, *, handoff_id: str | None = None, timeout_s: float | None = None) -> None:
        """Send output by hand: to the handoff of that id, or, without one, as output that answers none.

        Without an id it is sent as it is, even during a handoff; with one it gets the prefix (wire-protocol.md section
        9). Either is cut in the middle, or sent in pieces, as `config.handoffs` says. White space alone is not sent.
        It waits for room as `say` does.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            ConfigError: No such handoff was requested in this call, or the text cannot be sent as UTF-8.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.send_handoff_output, text, handoff_id=handoff_id)

    def hangup(self, reason: EndReason = EndReason.HANGUP, *, timeout_s: float | None = None) -> None:
        """End the call and return once everything is closed, in at most `deadlines.close_s`.

        Safe to call twice, from any thread, and in any state.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.hangup, reason)

    def wait_ended(self, *, timeout_s: float | None = None) -> CallResult:
        """Return the result once the call is over and everything is closed.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.wait_ended)

    @property
    def result(self) -> CallResult:
        """What the call was; while it runs, what it was so far."""
        return self._now(lambda: self._call.result)
