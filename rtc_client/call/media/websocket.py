"""WebSocketTransport: events and audio on one websocket (protocol.md section 10).

The caller's sound leaves in pieces of 40 ms. The agent's comes faster than it is spoken, waits in a queue, and is
played on the clock of the call, so that it is known what was heard when the caller begins to speak.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, Final

from rtc_client.audio.codecs.base64_pcm import DeltaDecoder, DeltaEncoder
from rtc_client.audio.frames import FRAME_SAMPLES, PTIME_MS, SAMPLE_RATE_HZ
from rtc_client.audio.playout.speech_queue import SpeechItem, SpeechQueue
from rtc_client.call.events.responses import Responses
from rtc_client.call.events.router import Router
from rtc_client.call.media.audio import CallAudio
from rtc_client.call.media.streams import AudioChunk, Streams
from rtc_client.call.media.transport import CheckLimits, Stage
from rtc_client.clock import Clock
from rtc_client.config import CallConfig
from rtc_client.errors import SidebandClosed
from rtc_client.peer.counters import PeerCounters
from rtc_client.protocol.call_state import Input
from rtc_client.protocol.call_timeline import CallTimeline, Milestone
from rtc_client.protocol.delegation import background_agent as background
from rtc_client.protocol.turns.response_queue import ResponseQueue
from rtc_client.protocol.wire import events as ev
from rtc_client.protocol.wire import fast_frames as direct
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.commands import Command, TruncateItem, UpdateSession
from rtc_client.protocol.wire.session import JsonObject
from rtc_client.sideband.outbox import AudioQueue, Outbox
from rtc_client.sideband.session_socket import SessionSocket

FRAMES_A_MESSAGE: Final = 2
"""40 ms: half the messages of 20 ms, and no more delay than a packet of Opus often has."""
MAX_CUT: Final = 64
"""Responses whose late sound is known and dropped; of older ones none comes any more."""
_WORK: Final = ("response.", "conversation.item.input_audio_transcription.", "input_audio_buffer.")
"""Names of events by which the far side shows that it is at work, though nothing is to be heard of it yet."""


_NOWHERE: Final = ev.ResponseAudioDelta(type="", audio_base64="")
"""Where sound belongs of which realtime v1 tells nothing but itself."""


class WebSocketTransport:
    """The media leg of a call over a websocket, which is its event leg as well: the router hears every event first."""

    first_input: Final = Input.SOCKET_DIALED

    def __init__(
        self,
        config: CallConfig,
        voices: CallAudio,
        router: Router,
        outbox: Outbox,
        *,
        responses: Responses,
        streams: Streams,
        tools: Callable[[], Sequence[JsonObject]],
        check_limits: CheckLimits,
        timeline: CallTimeline,
        clock: Clock,
    ) -> None:
        self._config, self._voices, self._router, self._outbox = config, voices, router, outbox
        self._check_limits, self._timeline, self._clock = check_limits, timeline, clock
        self._is_v2 = config.version == "v2"
        self._lane = AudioQueue()
        self._encoder, self._decoder = DeltaEncoder(FRAMES_A_MESSAGE), DeltaDecoder()
        self._said = SpeechQueue()
        self._playing: SpeechItem | None = None
        self._responses, self._streams = responses, streams
        self._sequence = ResponseQueue()
        self._sounding_id: str | None = None
        self._cut: deque[str] = deque(maxlen=MAX_CUT)
        self._is_taken_over = False
        self._counters = PeerCounters()
        self._now_s = self._tend_at_s = 0.0
        self._tools = tools
        self._socket = SessionSocket(
            config,
            config.session_id or str(uuid.uuid4()),
            first_message=self._first_message,
            outbox=outbox,
            gate=self._gate,
            audio=self._lane,
            listener=self,
        )

    async def dial(self) -> None:
        await self._socket.open()

    def begin(self, connected_s: float) -> tuple[Stage, ...]:
        self._voices.begin("websocket")
        return self._say, self._play

    def counters(self) -> PeerCounters:
        self._counters.packets_discarded_on_send = self._lane.dropped
        return self._counters

    async def watch(self) -> str:
        try:
            return await self._socket.run()
        finally:
            self._router.joined = False

    async def flush(self) -> None:
        await self._socket.flush()

    async def hang_up(self) -> None:
        """Do nothing: the websocket's close says it."""

    def closers(self) -> list[Coroutine[Any, Any, object]]:
        return [self._socket.aclose()]

    async def last_counters(self) -> PeerCounters:
        return self.counters()

    @property
    def is_sounding(self) -> bool:
        return self._said.playing is not None or len(self._said) > 0

    @property
    def waiting_samples(self) -> int:
        return len(self._said)

    @property
    def cut_samples(self) -> int:
        return self._said.cut_samples

    def _interrupt(self, queued_samples: int) -> None:
        """Play no more of what the agent has said, and tell the server how much of it was heard (section 10).

        Every item of which something was not played is reported, at what was handed to the sink and came out of it,
        never beyond what came. The reference client, which does not play, tells what it has received.
        """
        items = self._said.cut(queued_samples)
        if items and self._sounding_id is not None:
            self._cut.append(self._sounding_id)
        for item in items:
            if item.item_id is None:
                self._router.on_silenced(self._voices.agent.voiced_since)
            else:
                self._router.on_interrupted(item.item_id, item.heard_ms)
            if self._is_v2 and item.item_id:
                index, heard_ms = item.content_index, item.heard_ms
                self._react(TruncateItem(item_id=item.item_id, content_index=index, audio_end_ms=heard_ms))

    def barge_in(self, response_id: str | None, *, is_told: bool, queued_samples: int) -> int:
        if not is_told:
            if response_id is not None:
                self._cut.append(response_id)
            if not self._is_v2:
                self._voices.agent.hush.begin()
        n_samples = len(self._said)
        self._interrupt(queued_samples)
        return n_samples

    @property
    def is_taken_over(self) -> bool:
        return self._is_taken_over

    def take_over(self) -> None:
        self._is_taken_over = True
        self._lane.clear()

    def withdraw(self, event_id: str) -> None:
        self._sequence.withdraw(event_id)

    # Every 20 ms.

    def _say(self, index: int) -> None:
        self._now_s = now_s = self._clock.now_s()
        if now_s >= self._tend_at_s:
            self._tend_at_s = self._check_limits(now_s)
        audio = self._encoder.push(self._voices.caller.next_frame(index * FRAME_SAMPLES))
        if audio is not None and not self._is_taken_over:
            self._lane.put(direct.append_audio(audio))

    def _play(self, index: int) -> None:
        frame = self._said.take_frame()
        if frame is None and len(rest := self._decoder.flush()):
            self._said.push(rest)
            frame = self._said.take_frame()
        if self._said.playing is not self._playing:
            self._playing = self._note_playing(self._said.playing, index * PTIME_MS)
        self._voices.agent.play(index, self._now_s, frame)

    def _note_playing(self, item: SpeechItem | None, position_ms: int) -> SpeechItem | None:
        if self._playing is not None:
            self._router.scribe.played(self._playing.item_id, end_ms=position_ms)
        if item is not None:
            self._router.scribe.played(item.item_id, start_ms=position_ms)
        return item

    # What comes over the websocket, told by it.

    def on_joined(self, *, again: bool) -> None:
        self._router.on_joined(again=again)

    def on_lost(self, error: SidebandClosed) -> None:
        self._router.on_lost(error)

    def on_sent(self, text: str) -> None:
        self._router.on_sent(text)
        if (n_bytes := direct.appended_bytes(text)) is not None:
            self._counters.packets_sent += 1
            self._counters.bytes_sent += n_bytes

    def on_message(self, data: str | bytes) -> None:
        event = self._router.on_message(data)
        if event.type.startswith(_WORK):
            self._voices.agent.at_work()
        match event:
            case ev.ResponseAudioDelta():
                self._hear(event.audio_base64, SAMPLE_RATE_HZ, 1, event)
            case ev.OutputAudioDelta():
                self._hear(event.audio_base64, event.sample_rate_hz, event.channels)
            case ev.ResponseCreated():
                self._said.begin()
                self._sequence.created()
            case ev.ResponseDone() | ev.ResponseCancelled():
                self._leave(self._sequence.ended())
            case ev.ItemDone() if self._is_v2 and (tool_call_id := background.silent_call(event)) is not None:
                self._react(background.answered(tool_call_id, ""))
            case ev.ErrorEvent():
                self._leave(self._sequence.refused(event))
            case _:
                pass

    def _hear(self, audio: str, sample_rate_hz: int, channels: int, event: ev.ResponseAudioDelta = _NOWHERE) -> None:
        """Take sound of the agent; what is none is an event all the same, and counted."""
        samples = self._decoder.decode(audio, sample_rate_hz, channels)
        self._timeline.mark(Milestone.FIRST_RTP, self._clock.now_s())
        self._counters.packets_received += 1
        self._counters.bytes_received += 2 * len(samples)
        if self._voices.agent.hush.is_on:
            self._voices.agent.hush.drop(samples)
            return
        if event.response_id is not None and event.response_id in self._cut:
            self._said.cut_samples += len(samples)
            return
        self._sounding_id, n_cut = event.response_id, self._said.cut_samples
        self._said.push(samples, event.item_id, max(0, event.content_index or 0))
        if self._said.cut_samples == n_cut:
            self._streams.hear(
                AudioChunk(
                    samples=samples,
                    response_id=event.response_id,
                    item_id=event.item_id,
                    output_index=event.output_index,
                    content_index=event.content_index,
                )
            )

    def _first_message(self) -> str:
        return dump_command(UpdateSession(settings=replace(self._config.session, tools=tuple(self._tools()))))

    def _react(self, command: Command) -> None:
        self._outbox.put_now(dump_command(command))

    def _leave(self, frame: str | None) -> None:
        if frame is not None:
            self._outbox.put_now(frame)

    def _gate(self, frame: str) -> str | None:
        """Hold back what asks for a response while there is one, and what nobody waits for any more."""
        asked = direct.asked_response(frame) if self._is_v2 else None
        if asked is None:
            return frame
        if self._responses.is_given_up(asked[0]):
            if not self._sequence.is_active:
                self._leave(self._sequence.ended())
            return None
        return self._sequence.ask(frame, self._responses.awaited_as(asked[0]))
