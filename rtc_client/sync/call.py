"""The sync `connect` and `Call`, with the methods of the async ones. Written by scripts/make-sync: do not edit.

It may pass 600 lines: it says everything that rtc_client/call/call.py says, and nothing else. How waiting is done
stands in blocking.py.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import LevelMeter
from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sources.base import Source
from rtc_client.call.call import REPLY_S, Handler
from rtc_client.call.cassette_recorder import CassetteRecorder
from rtc_client.call.connect import connect as aio_connect
from rtc_client.call.events.local_events import CallEvent
from rtc_client.call.events.router import WireLog
from rtc_client.call.media.stats import CallStats
from rtc_client.call.media.streams import AudioChunk, TranscriptChunk
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.result import CallResult
from rtc_client.call.tool_decorator import ToolDecorator
from rtc_client.call.tools.tool_calls import OfferedTool
from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.delegates.handoff_request import HandoffHandler
from rtc_client.protocol.call_state import CallState, EndReason
from rtc_client.protocol.transcript.transcript import Transcript
from rtc_client.protocol.turns.response_matching import FinishedResponse
from rtc_client.protocol.wire.audio_settings import VoiceReference
from rtc_client.protocol.wire.commands import Command
from rtc_client.protocol.wire.items import McpApprovalRequestItem
from rtc_client.protocol.wire.responses import InputItem
from rtc_client.protocol.wire.sessions import MaxTokens, Modality
from rtc_client.protocol.wire.tools import Tool, ToolChoice
from rtc_client.sync.blocking import BlockingCall


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
    """
    return Call(
        aio_connect(
            config,
            source=source,
            sink=sink,
            caller_sink=caller_sink,
            wire_log=wire_log,
            metered=metered,
            handoff=handoff,
            tools=tools,
            cassette=cassette,
            recorder=recorder,
            clock=clock,
            rng=rng,
        ),
        config,
    )


class Call(BlockingCall):
    """One voice call of a program without an event loop. Make it with `connect`.

    Every method may be called from any thread, also from one in which an event loop runs: it blocks that thread.
    Methods that wait take `timeout_s`. Ctrl-C while one of them waits raises KeyboardInterrupt there, and leaving the
    `with` block by it hangs up.

    Raises:
        WrongThread: A method that waits is called in the thread of the call, where sinks, sources and logs are
            called back.
        CallClosed: A method is called in a child process, after a fork.
    """

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

    @property
    def tool(self) -> ToolDecorator:
        """Lets the agent call a typed function: `@call.tool` or `@call.tool(respond=False)`.

        It is for a call that was not entered yet. Which functions can be tools, and what the settings mean, says
        `TypedTool`. On realtime v2 (`transport="websocket"`) the agent calls it itself, gets the result, and speaks. On
        v1 it stands in `HandoffRequest.tools`, for the handler. Several may be at work; each is a task of the call,
        cancelled after its limit and when the call ends, and told of by `ToolCallEnded` and `result.tool_calls`. What
        a tool raises is told to the model in words, and the call goes on.
        """
        return self._now(lambda: self._call.tool)

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
        """Send silence from the next 20 ms on, in every packet. The source runs on; what `play` says is heard."""
        return self._now(self._call.mute)

    def unmute(self) -> None:
        """Send the source again."""
        return self._now(self._call.unmute)

    @property
    def active_response_id(self) -> str | None:
        """The response that the server has begun and not ended; None for none. Realtime v1 tells of no responses."""
        return self._now(lambda: self._call.active_response_id)

    @property
    def is_responding(self) -> bool:
        """Whether the agent is at a response, as far as events tell: on v1, whether words of it are still to come.

        Its sound may be heard for longer: over a websocket it comes faster than it is spoken. After a barge-in it is
        False once the server has confirmed it; on v1, at once.
        """
        return self._now(lambda: self._call.is_responding)

    def events(self, *, timeout_s: float | None = None) -> Iterator[CallEvent]:
        """Yield every event of the call from its first, server events and our own notices, until it is over.

        Any number of readers may run; none can hold the call up. One that falls thousands of events behind
        skips the oldest, counted in `result.events_skipped`.

        Each step waits for at most `timeout_s` seconds, and may be tried again after that; None is without limit.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._read(timeout_s, self._call.events)

    def respond(
        self,
        *,
        modality: Modality | None = None,
        instructions: str | None = None,
        temperature: float | None = None,
        max_output_tokens: MaxTokens | None = None,
        voice: str | VoiceReference | None = None,
        metadata: Mapping[str, object] | None = None,
        tools: Sequence[Tool] | None = None,
        tool_choice: ToolChoice | None = None,
        input: Sequence[InputItem] | None = None,
        conversation: Literal["auto", "none"] | None = None,
        timeout_s: float = REPLY_S,
        allow_unproven: bool = False,
    ) -> FinishedResponse:
        """Have the agent respond now, and return what the response came to: status, words, items, usage.

        It may have ended as `cancelled`, `incomplete` or `failed`; that is in its `status`, and not raised. One that
        calls functions is over with the calls: what comes of their results is another response. On realtime v2 it
        waits for the response before it, behind what was asked for earlier; 32 may wait, who asks for more waits for
        room.

        Args:
            modality: Whether the agent speaks (`audio`) or writes (`text`). What is None is as the session has it.
            instructions: What the agent is told for this response alone.
            temperature: 0 to 2; GA has dropped it, older models know it.
            max_output_tokens: A number, or `inf`.
            voice: A name such as `marin`, or a voice of one's own. No other once the agent has spoken.
            metadata: At most 15 pairs; they come back with the response. One more is ours, by which it is known again.
            tools: What the agent may call in this response.
            tool_choice: `auto`, `none`, `required`, or one tool.
            input: What the response is to, in place of the conversation.
            conversation: `none` keeps the response out of the conversation.
            timeout_s: How long it may take until it is over, seconds, with all waiting.
            allow_unproven: Ask for it on realtime v1, which is not known to take it. Nothing waits its turn there.

        Raises:
            InvalidCommand: It cannot be asked for like this, or is not proven on this call's path.
            CommandRefused: The server answered the request with an error.
            ResponseTimeout: It was not over within `timeout_s`.
            CallClosed: The call is over. CallLost if something other than the two parties ended it.
            SidebandError: The call has no sideband, by policy or because it was given up.

        Cancelled, or after its limit, the request does not leave if it has not yet; else the response goes on, and
        `barge_in` ends it.
        """
        return self._wait(
            None,
            self._call.respond,
            modality=modality,
            instructions=instructions,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
            voice=voice,
            metadata=metadata,
            tools=tools,
            tool_choice=tool_choice,
            input=input,
            conversation=conversation,
            timeout_s=timeout_s,
            allow_unproven=allow_unproven,
        )

    def ask(self, text: str, *, role: Literal["user", "developer"] = "user", timeout_s: float = REPLY_S) -> str:
        """Say a text, have the agent respond, and return the words of the reply, whether it speaks or writes.

        On realtime v2 they are those of the response that is asked for; if it has none, for it calls a function, or
        its transcript comes late, they are those of the agent's next turn. On realtime v1, whose agent responds by
        itself, they are those of the first turn that begins after the text has left; one that was under way is not it.
        A turn counts once its text has settled, or two seconds after the server said that it is over. Questions of
        several tasks are asked one after another. The sound of the reply may still be heard for a while.

        Args:
            text: What is asked.
            role: Who asks, as with `say`.
            timeout_s: How long it may take in all, seconds.

        Raises:
            ConfigError: It is no text that can be sent, or nobody would read it.
            ResponseFailed: The response ended as failed or cancelled; its `text` has what was said until then.
            CommandRefused: The server answered the request with an error.
            ResponseTimeout: There was no reply within `timeout_s`.
            CallClosed: The call is over. CallLost if something other than the two parties ended it.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        return self._wait(None, self._call.ask, text, role=role, timeout_s=timeout_s)

    def barge_in(self, *, allow_unproven: bool = False, timeout_s: float | None = None) -> float:
        """Stop what the agent is saying; return how much of it was at hand and is not heard any more, in seconds.

        Over a websocket its sound is thrown away, and what still comes of the same response with it. On realtime v2
        the response is cancelled, and the server told how much of each item was really heard. On realtime v1 nobody is
        known to be able to tell the server: the agent is muted until it starts a new turn, which is when the server
        says so, when words of another turn come, or after a pause: of 0.6 s if it fell silent while the caller spoke or
        soon after (1.2 s while words of its turn are to come), else of 2 s. What was not heard is marked in the
        transcript.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            allow_unproven: On realtime v1 tell the server all the same: `output_audio_buffer.clear` in a WebRTC call,
                and `response.cancel` where a response is known.

        Raises:
            ConfigError: There is no agent in a transcription.
            CallClosed: The call is not up.
            SidebandError: With `allow_unproven`, the call has no sideband. The agent is silent all the same.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.barge_in, allow_unproven=allow_unproven)

    def audio_chunks(self, *, timeout_s: float | None = None) -> Iterator[AudioChunk]:
        """Yield the sound of the agent from now on, until the call is over: int16, mono, 24 kHz.

        In a WebRTC call every 20 ms as they are played, silence too. Over a websocket the pieces as they come, which
        is faster than they are heard; none of a response that was barged in on. Any number of readers may run; none
        can hold the call up. One that falls ten minutes of sound behind loses the oldest, counted in
        `result.chunks_skipped`. Nothing is kept, nor decoded, before somebody reads.

        Each step waits for at most `timeout_s` seconds, and may be tried again after that; None is without limit.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._read(timeout_s, self._call.audio_chunks)

    def transcript_chunks(self, *, timeout_s: float | None = None) -> Iterator[TranscriptChunk]:
        """Yield pieces of what both voices say, and the settled texts, from now on until the call is over.

        They are as the server tells them; `transcript` has them put in order, without repetitions. Any number of
        readers may run; none can hold the call up. One that falls a million characters behind loses the oldest,
        counted in `result.chunks_skipped`.

        Each step waits for at most `timeout_s` seconds, and may be tried again after that; None is without limit.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._read(timeout_s, self._call.transcript_chunks)

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
                `input_text` for the others (protocol.md section 6).

        What the caller or the agent says this way is an entry of the transcript, marked as `written`, from when it was
        sent; what a developer says is not, for nobody in the conversation said it. On realtime v2 what a user says is
        marked `[USER] ` on the wire, as what a background agent says is marked too (protocol.md section 10).

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
            allow_unproven: Send a command that realtime v1 is not known to take (protocol.md section 6).

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
            allow_unproven: Send it although realtime v1 is not known to take it (protocol.md section 6).

        Raises:
            InvalidCommand: It is no JSON object with a `type`, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.send_raw, event, allow_unproven=allow_unproven)

    def append_audio(
        self,
        samples: Samples | bytes | bytearray | memoryview,
        *,
        allow_unproven: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Append to what the caller says, over a websocket.

        From the first append on the call sends no silence of its own, in which your sound would be lost. The server
        looks for turns in it as in any sound, so append the silence after a sentence too, or end it by
        `commit_audio`: nothing is committed behind your back. Sound may be appended faster than it is spoken. It goes
        in pieces of 10 s; returns when the last one has a place in the queue, which takes 64.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            samples: int16, shape `(n_samples,)`, mono, 24 kHz; or the bytes of that, little-endian.
            allow_unproven: Send it beside the media path of a WebRTC call, which is not known to take it.

        Raises:
            InvalidCommand: It is no such sound, or the call has a media path that carries the caller's voice.
            ConfigError: The call has a source, which is the caller's voice.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.

        Cancelled, what has a place in the queue is sent.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.append_audio, samples, allow_unproven=allow_unproven)

    def commit_audio(self, *, allow_unproven: bool = False, timeout_s: float | None = None) -> None:
        """Make what was appended an item of the conversation. `InputAudioCommitted` answers; no response is asked for.

        Where the server detects turns it does that by itself, and answers an empty commit with an error event.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.commit_audio, allow_unproven=allow_unproven)

    def clear_audio(self, *, allow_unproven: bool = False, timeout_s: float | None = None) -> None:
        """Throw away what was appended and not committed. `InputAudioCleared` answers.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.clear_audio, allow_unproven=allow_unproven)

    def approve(
        self,
        request: McpApprovalRequestItem | str,
        *,
        reason: str | None = None,
        allow_unproven: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Approve a call of an MCP tool, which the service then makes by itself.

        `McpCallCompleted` or `McpCallFailed` tells of its end. Words about the result a client has to ask for: on
        realtime v2 the call does so once for each response that called, if it was given the server's `McpTool`; a
        program that has set up its MCP servers otherwise calls `respond` itself.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            request: The item that asks for it (of `ItemDone`), or its id.
            reason: Why, for the record.
            allow_unproven: Send it on realtime v1, which is not known to take it.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.approve, request, reason=reason, allow_unproven=allow_unproven)

    def deny(
        self,
        request: McpApprovalRequestItem | str,
        *,
        reason: str | None = None,
        allow_unproven: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        """Refuse a call of an MCP tool; otherwise as `approve`. The agent may be told the `reason`.

        It is asked to speak, where it would be of a result.

        Waits for at most `timeout_s` seconds; None is without limit.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.deny, request, reason=reason, allow_unproven=allow_unproven)

    def send_handoff_output(self, text: str, *, handoff_id: str | None = None, timeout_s: float | None = None) -> None:
        """Send output by hand: to the handoff of that id, or, without one, as output that answers none.

        Without an id it is sent as it is, even during a handoff; with one it gets the prefix (protocol.md section
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

    def play(self, source: Source, *, mixed: bool = False, timeout_s: float | None = None) -> None:
        """Say a source into the running call; return once it was said to its end. What is asked for meanwhile waits.

        The call's own source, a microphone say, runs on and is not heard meanwhile; it fades out and in without a
        click. A mute is for the call's own source alone: what is played is heard.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            source: What is said, any source with an end, such as `FileSource`; it is opened and closed here.
            mixed: Say it together with the call's own source.

        Raises:
            ConfigError: The source cannot be opened, or the program appends the caller's sound by itself.
            SourceFailed: The source raised; the call goes on.
            CallClosed: The call is not up, or was over first.

        Cancelled, it falls silent at the next 20 ms, without a click.
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.play, source, mixed=mixed)

    def hangup(
        self,
        reason: EndReason = EndReason.HANGUP,
        *,
        after: Literal["now", "playout"] = "now",
        limit_s: float = 10.0,
        timeout_s: float | None = None,
    ) -> None:
        """End the call and return once everything is closed, in at most `deadlines.close_s`.

        Safe to call twice, from any thread, and in any state.

        Waits for at most `timeout_s` seconds; None is without limit.

        Args:
            reason: What the result says about it.
            after: `playout` lets the agent finish first: it waits until no response is under way, the agent has been
                silent for 0.6 s, and all of it came out of the sink. A goodbye that begins within 0.6 s is heard too.
            limit_s: How long that may take, in seconds; then it hangs up.

        Cancelled while it waits for the agent, it does not hang up.

        Raises:
            TimeoutError: `timeout_s` is over, which alone does not end the call.
        """
        return self._wait(timeout_s, self._call.hangup, reason, after=after, limit_s=limit_s)

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
