"""Call, the facade: one voice call from dialling to its result, every method on one page.

More than 600 lines, because a reader looks for every method in one place; nearly all of it is docstrings.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import TracebackType
from typing import Literal, TypeVar

from rtc_client.audio.codecs.base64_pcm import pcm16_pieces
from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import LevelMeter
from rtc_client.audio.sources.base import Source
from rtc_client.call.engine import Engine
from rtc_client.call.events.local_events import CallEvent
from rtc_client.call.media.stats import CallStats
from rtc_client.call.media.streams import AudioChunk, TranscriptChunk
from rtc_client.call.result import AudioTotals, CallResult
from rtc_client.call.tool_decorator import ToolDecorator
from rtc_client.call.wait_for_playout import wait_for_playout
from rtc_client.delegates.handoff_request import HandoffHandler
from rtc_client.errors import CallClosed, CommandFault, ConfigError, InvalidCommand, SidebandRejected
from rtc_client.protocol.call_state import CallState, End, EndReason
from rtc_client.protocol.call_timeline import Milestone
from rtc_client.protocol.delegation.background_agent import user_text
from rtc_client.protocol.delegation.tool_schema import InjectedParameter
from rtc_client.protocol.transcript.transcript import Transcript
from rtc_client.protocol.turns.response_matching import FinishedResponse
from rtc_client.protocol.wire.audio_settings import AudioOutputSettings, VoiceReference
from rtc_client.protocol.wire.codec import command_json, dump_command, dump_raw
from rtc_client.protocol.wire.commands import (
    AppendAudio,
    CancelResponse,
    ClearAudio,
    ClearOutputAudio,
    Command,
    CommitAudio,
    CreateItem,
    CreateMessage,
    check_proven,
)
from rtc_client.protocol.wire.items import McpApprovalRequestItem, McpApprovalResponseItem
from rtc_client.protocol.wire.responses import InputItem, ResponseAudio, ResponseParameters
from rtc_client.protocol.wire.sessions import MaxTokens, Modality
from rtc_client.protocol.wire.tools import Tool, ToolChoice

Handler = TypeVar("Handler", bound=HandoffHandler)


REPLY_S = 60.0
"""How long a response may take, seconds, unless the caller says otherwise."""


class Call:
    """One voice call. Make it with `connect`. Its methods may be used by any number of tasks at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
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
        if self._engine.state is not CallState.IDLE:
            raise CallClosed("a handoff handler is given to a call before it is entered")
        if self._engine.handoffs.handler is not None:
            raise ConfigError("a call has one handoff handler: give it to connect() or to on_handoff()")
        if self._engine.config.sideband == "off":
            raise ConfigError(
                'requests come by the sideband: a handoff handler needs another policy than sideband="off"'
            )
        self._engine.handoffs.handler = handler
        return handler

    @property
    def tool(self) -> ToolDecorator:
        """Lets the agent call a typed function: `@call.tool` or `@call.tool(respond=False)`.

        It is for a call that was not entered yet. Which functions can be tools, and what the settings mean, says
        `TypedTool`. On realtime v2 (`transport="websocket"`) the agent calls it itself, gets the result, and speaks. On
        v1 it stands in `HandoffRequest.tools`, for the handler. Several may be at work; each is a task of the call,
        cancelled after its limit and when the call ends, and told of by `ToolCallEnded` and `result.tool_calls`. What
        a tool raises is told to the model in words, and the call goes on.
        """
        return ToolDecorator(self._engine)

    @property
    def call_id(self) -> str | None:
        """The server's name for this call; None until it was answered, and of a call over a websocket."""
        return self._engine.connections.call_id

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

    @property
    def active_response_id(self) -> str | None:
        """The response that the server has begun and not ended; None for none. Realtime v1 tells of no responses."""
        return self._engine.responses.active_id

    @property
    def is_responding(self) -> bool:
        """Whether the agent is at a response, as far as events tell: on v1, whether words of it are still to come.

        Its sound may be heard for longer: over a websocket it comes faster than it is spoken. After a barge-in it is
        False once the server has confirmed it; on v1, at once.
        """
        responses, hush = self._engine.responses, self._engine.voices.agent.hush
        return responses.active_id is not None or (responses.is_turn_open and not hush.is_on)

    def events(self) -> AsyncIterator[CallEvent]:
        """Yield every event of the call from its first, server events and our own notices, until it is over.

        Any number of readers may run; none can hold the call up. One that falls thousands of events behind
        skips the oldest, counted in `result.events_skipped`.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.

        Cancelling it loses nothing.
        """
        return self._engine.feed.read()

    async def respond(
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
        self._refuse_transcription("no agent that could respond")
        _check_limit(timeout_s)
        parameters = ResponseParameters(
            output_modalities=modality,
            instructions=instructions,
            temperature=temperature,
            max_output_tokens=max_output_tokens,
            audio=None if voice is None else ResponseAudio(output=AudioOutputSettings(voice=voice)),
            metadata=None if metadata is None else dict(metadata),
            tools=None if tools is None else tuple(tools),
            tool_choice=tool_choice,
            input=None if input is None else tuple(input),
            conversation=conversation,
        )
        send = partial(self.send, allow_unproven=allow_unproven)
        return await self._engine.responses.respond(parameters, send, timeout_s)

    async def ask(self, text: str, *, role: Literal["user", "developer"] = "user", timeout_s: float = REPLY_S) -> str:
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

        Cancelling it, or its limit, takes back neither the text nor the response.
        """
        self._refuse_transcription("no agent that could answer")
        _check_limit(timeout_s)
        send = self.send if self._engine.config.version == "v2" else None
        return await self._engine.responses.reply(partial(self._say, text, role), send, timeout_s)

    async def barge_in(self, *, allow_unproven: bool = False) -> float:
        """Stop what the agent is saying; return how much of it was at hand and is not heard any more, in seconds.

        Over a websocket its sound is thrown away, and what still comes of the same response with it. On realtime v2
        the response is cancelled, and the server told how much of each item was really heard. On realtime v1 nobody is
        known to be able to tell the server: the agent is muted until it starts a new turn, which is when the server
        says so, when words of another turn come, or after a pause: of 0.6 s if it fell silent while the caller spoke or
        soon after (1.2 s while words of its turn are to come), else of 2 s. What was not heard is marked in the
        transcript.

        Args:
            allow_unproven: On realtime v1 tell the server all the same: `output_audio_buffer.clear` in a WebRTC call,
                and `response.cancel` where a response is known.

        Raises:
            ConfigError: There is no agent in a transcription.
            CallClosed: The call is not up.
            SidebandError: With `allow_unproven`, the call has no sideband. The agent is silent all the same.

        Cancelling it leaves the agent silent.
        """
        engine = self._engine
        self._refuse_transcription("no agent that could be interrupted")
        if engine.state is not CallState.ACTIVE:
            raise CallClosed("there is nobody to interrupt: the call is not up")
        response_id = self.active_response_id
        discarded_s = engine.barge_ins.now("program")
        if allow_unproven and engine.config.version == "v1":
            if response_id is not None:
                await self.send(CancelResponse(response_id=response_id), allow_unproven=True)
            if not engine.config.is_websocket:
                await self.send(ClearOutputAudio(), allow_unproven=True)
        return discarded_s

    def audio_chunks(self) -> AsyncIterator[AudioChunk]:
        """Yield the sound of the agent from now on, until the call is over: int16, mono, 24 kHz.

        In a WebRTC call every 20 ms as they are played, silence too. Over a websocket the pieces as they come, which
        is faster than they are heard; none of a response that was barged in on. Any number of readers may run; none
        can hold the call up. One that falls ten minutes of sound behind loses the oldest, counted in
        `result.chunks_skipped`. Nothing is kept, nor decoded, before somebody reads.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.

        Cancelling it loses nothing.
        """
        return self._engine.streams.audio.subscribe()

    def transcript_chunks(self) -> AsyncIterator[TranscriptChunk]:
        """Yield pieces of what both voices say, and the settled texts, from now on until the call is over.

        They are as the server tells them; `transcript` has them put in order, without repetitions. Any number of
        readers may run; none can hold the call up. One that falls a million characters behind loses the oldest,
        counted in `result.chunks_skipped`.

        Raises:
            RtcClientError: At the end, when the call did not end in good order; the program's own error too.

        Cancelling it loses nothing.
        """
        return self._engine.streams.transcript.subscribe()

    async def say(self, text: str, *, role: Literal["user", "developer", "assistant"] = "user") -> None:
        """Add a text message to the conversation. Before the sideband is joined it waits its turn.

        Returns when the text has a place in the queue; with 64 texts waiting, once there is room. Cancelled before
        that, nothing is sent.

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
        """
        await self._say(text, role)

    async def send(self, command: Command, *, allow_unproven: bool = False) -> None:
        """Send a client event. Before the sideband is joined it waits its turn.

        Returns when the command has a place in the queue; with 64 waiting, once there is room. Whether the server took
        it is told by its events: one about an error carries the `event_id` that the command was given.

        Args:
            command: What to send; it was checked when it was made.
            allow_unproven: Send a command that realtime v1 is not known to take (protocol.md section 6).

        Raises:
            InvalidCommand: It cannot be written as JSON, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        frame = dump_command(command)
        if not allow_unproven and self._engine.config.version == "v1":
            check_proven(command_json(command))
        await self._send_text(frame)

    async def send_raw(self, event: Mapping[str, object] | str, *, allow_unproven: bool = False) -> None:
        """Send any client event: a mapping, or JSON text, which goes out as it was written. Nothing in it is checked.

        Args:
            event: A JSON object with a `type`.
            allow_unproven: Send it although realtime v1 is not known to take it (protocol.md section 6).

        Raises:
            InvalidCommand: It is no JSON object with a `type`, or is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        frame, raw = dump_raw(event)
        if not allow_unproven and self._engine.config.version == "v1":
            check_proven(raw)
        await self._send_text(frame)

    async def append_audio(
        self, samples: Samples | bytes | bytearray | memoryview, *, allow_unproven: bool = False
    ) -> None:
        """Append to what the caller says, over a websocket.

        From the first append on the call sends no silence of its own, in which your sound would be lost. The server
        looks for turns in it as in any sound, so append the silence after a sentence too, or end it by
        `commit_audio`: nothing is committed behind your back. Sound may be appended faster than it is spoken. It goes
        in pieces of 10 s; returns when the last one has a place in the queue, which takes 64.

        Args:
            samples: int16, shape `(n_samples,)`, mono, 24 kHz; or the bytes of that, little-endian.
            allow_unproven: Send it beside the media path of a WebRTC call, which is not known to take it.

        Raises:
            InvalidCommand: It is no such sound, or the call has a media path that carries the caller's voice.
            ConfigError: The call has a source, which is the caller's voice.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.

        Cancelled, what has a place in the queue is sent.
        """
        engine = self._engine
        pieces = pcm16_pieces(samples)
        if not engine.config.is_websocket and not allow_unproven:
            raise InvalidCommand(
                CommandFault.UNPROVEN,
                "the caller's voice of a WebRTC call goes by its media path: give the call a source, such as "
                "PushSource; pass allow_unproven=True to append it as an event all the same",
            )
        if engine.voices.has_source:
            raise ConfigError("this call has a source, which is the caller's voice: leave it out to append sound")
        engine.media.take_over()
        for piece in pieces:
            await self.send(AppendAudio.from_pcm16(piece), allow_unproven=True)

    async def commit_audio(self, *, allow_unproven: bool = False) -> None:
        """Make what was appended an item of the conversation. `InputAudioCommitted` answers; no response is asked for.

        Where the server detects turns it does that by itself, and answers an empty commit with an error event.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        await self.send(CommitAudio(), allow_unproven=allow_unproven)

    async def clear_audio(self, *, allow_unproven: bool = False) -> None:
        """Throw away what was appended and not committed. `InputAudioCleared` answers.

        Raises:
            InvalidCommand: It is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        await self.send(ClearAudio(), allow_unproven=allow_unproven)

    async def approve(
        self, request: McpApprovalRequestItem | str, *, reason: str | None = None, allow_unproven: bool = False
    ) -> None:
        """Approve a call of an MCP tool, which the service then makes by itself.

        `McpCallCompleted` or `McpCallFailed` tells of its end. Words about the result a client has to ask for: on
        realtime v2 the call does so once for each response that called, if it was given the server's `McpTool`; a
        program that has set up its MCP servers otherwise calls `respond` itself.

        Args:
            request: The item that asks for it (of `ItemDone`), or its id.
            reason: Why, for the record.
            allow_unproven: Send it on realtime v1, which is not known to take it.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        approval = _approval(request, reason, approve=True)
        await self.send(CreateItem(item=approval), allow_unproven=allow_unproven)

    async def deny(
        self, request: McpApprovalRequestItem | str, *, reason: str | None = None, allow_unproven: bool = False
    ) -> None:
        """Refuse a call of an MCP tool; otherwise as `approve`. The agent may be told the `reason`.

        It is asked to speak, where it would be of a result.

        Raises:
            InvalidCommand: The request has no id, or it is not proven on this call's path.
            CallClosed: The call is over.
            SidebandError: The call has no sideband, by policy or because it was given up.
        """
        denial = _approval(request, reason, approve=False)
        await self.send(CreateItem(item=denial), allow_unproven=allow_unproven)
        self._engine.tools.denied(denial.approval_request_id)

    async def send_handoff_output(self, text: str, *, handoff_id: str | None = None) -> None:
        """Send output by hand: to the handoff of that id, or, without one, as output that answers none.

        Without an id it is sent as it is, even during a handoff; with one it gets the prefix (protocol.md section
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
            await self._send_text(dump_command(command))

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
            await wait_for_playout(engine, limit_s=limit_s)
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
            duration_s=None if engine.timeline.at_s(Milestone.DTLS_CONNECTED) is None else round(self.elapsed_s, 3),
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

    async def _say(self, text: str, role: Literal["user", "developer", "assistant"]) -> str:
        config = self._engine.config
        self._refuse_transcription("no agent that could read a text")
        frame = dump_command(
            CreateMessage(text=user_text(text) if config.version == "v2" and role == "user" else text, role=role)
        )
        await self._send_text(frame)
        return frame

    async def _send_text(self, frame: str) -> None:
        if self._engine.config.sideband == "off":
            raise SidebandRejected("this call has no sideband to send on: its policy is off")
        await self._engine.outbox.put(frame)

    def _refuse_transcription(self, what: str) -> None:
        if self._engine.config.mode == "transcription":
            raise ConfigError(f"a transcription has {what}")


@dataclass(frozen=True, slots=True)
class ToolContext(InjectedParameter):
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


def _check_limit(timeout_s: float) -> None:
    if not 0 < timeout_s < 86_400:
        raise ConfigError("timeout_s must be more than 0 seconds and less than a day")


def _approval(request: McpApprovalRequestItem | str, reason: str | None, *, approve: bool) -> McpApprovalResponseItem:
    request_id = request if isinstance(request, str) else request.id
    if not request_id:
        raise InvalidCommand(CommandFault.EMPTY_ID, "an approval names the request that it answers, which has no id")
    return McpApprovalResponseItem(approval_request_id=request_id, approve=approve, reason=reason)
