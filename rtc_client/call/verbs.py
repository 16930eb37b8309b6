"""Verbs, the part of `Call` that a conversation is held with: events and streams, ask, respond, barge in.

What they do is done in the files beside it. Saying and sending is in `sending.py`; what a call is, and how it is
entered and left, in `call.py`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from functools import partial
from typing import Literal

from rtc_client.call.notices import CallEvent
from rtc_client.call.sending import Sending
from rtc_client.call.streams import AudioChunk, TranscriptChunk
from rtc_client.errors import CallClosed, ConfigError
from rtc_client.protocol.asked import FinishedResponse
from rtc_client.protocol.audio_settings import AudioOutputSettings, VoiceReference
from rtc_client.protocol.commands import (
    CancelResponse,
    ClearOutputAudio,
)
from rtc_client.protocol.responses import InputItem, ResponseAudio, ResponseParameters
from rtc_client.protocol.session_models import MaxTokens, Modality
from rtc_client.protocol.state import CallState
from rtc_client.protocol.tools import Tool, ToolChoice

REPLY_S = 60.0
"""How long a response may take, seconds, unless the caller says otherwise."""


class Verbs(Sending):
    """What a conversation takes; a call is a `Call`."""

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
        several tasks are asked one behind the other. The sound of the reply may still be heard for a while.

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
        known to be able to tell the server: the agent is not heard until it begins anew, which is when the server says
        so, when words of another turn come, or after a pause: of 0.6 s if it fell silent while the caller spoke or soon
        after (1.2 s while words of its turn are to come), else of 2 s. What was not heard is marked in the transcript.

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
        at_hand_s = engine.barge_ins.now("program")
        if allow_unproven and engine.config.version == "v1":
            if response_id is not None:
                await self.send(CancelResponse(response_id=response_id), allow_unproven=True)
            if not engine.config.is_direct:
                await self.send(ClearOutputAudio(), allow_unproven=True)
        return at_hand_s

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


def _check_limit(timeout_s: float) -> None:
    if not 0 < timeout_s < 86_400:
        raise ConfigError("timeout_s must be more than 0 seconds and less than a day")
