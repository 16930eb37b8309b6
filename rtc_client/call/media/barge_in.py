"""BargeInControl: silences the agent when the caller speaks over it, and tells what nobody heard.

How the sound of the way is thrown away is the media leg's; what is kept away that still comes, `output_gate.py`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.vad import SpeechEdge, VoiceActivityDetector
from rtc_client.call.events.local_events import BargedIn, BargeInTeller, CallEvent
from rtc_client.call.events.responses import Responses
from rtc_client.call.events.router import Router
from rtc_client.call.media.audio import CallAudio
from rtc_client.call.media.transport import MediaTransport
from rtc_client.config import CallConfig
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.commands import CancelResponse
from rtc_client.protocol.wire.events import ServerEvent, SpeechStarted, SpeechStopped
from rtc_client.sideband.outbox import Outbox


class SpeechDetectors(NamedTuple):
    """Who may say that the caller has begun to speak."""

    server: bool
    local: bool


def tellers_of(config: CallConfig, *, is_played: bool) -> SpeechDetectors:
    """Return who may, as `config.barge_in` says; `is_played` when the agent is heard on a device as it speaks.

    `auto`: whoever hears the agent on a device may interrupt it, and over a websocket what is queued is cut at any
    sink; the server tells of it, but realtime v1 is not known to (protocol.md section 7), so there we listen too.
    """
    if not config.is_heard:
        return SpeechDetectors(server=False, local=False)
    match config.barge_in:
        case "off":
            return SpeechDetectors(server=False, local=False)
        case "server":
            return SpeechDetectors(server=True, local=False)
        case "local":
            return SpeechDetectors(server=False, local=True)
        case "auto":
            return SpeechDetectors(server=is_played or config.is_websocket, local=is_played and config.version == "v1")


class BargeInControl:
    """Stops the agent when the caller starts to speak, and counts what was not heard. `notify` gets each barge-in."""

    def __init__(
        self,
        config: CallConfig,
        *,
        voices: CallAudio,
        media: MediaTransport,
        router: Router,
        responses: Responses,
        outbox: Outbox,
        notify: Callable[[CallEvent], None],
    ) -> None:
        self._config, self._voices, self._media, self._router = config, voices, media, router
        self._responses, self._outbox, self._notify = responses, outbox, notify
        self._tellers = tellers_of(config, is_played=voices.agent.is_played)
        self._detector = VoiceActivityDetector()
        voices.agent.hush.on_dropped = self._mark
        voices.agent.hush.is_turn_open = lambda: responses.is_turn_open
        self._dropped_samples = self._queued_samples = 0
        self.count = 0
        """How often the agent was cut short."""
        if any(self._tellers):
            # Whether the agent is speaking must be known before somebody interrupts it.
            voices.agent.listen()
        if self._tellers.local:
            voices.caller.listen(self._hear)

    @property
    def unheard_s(self) -> float:
        """How much the agent said that nobody heard because it was cut short, in seconds."""
        samples = self._dropped_samples + self._voices.agent.hush.dropped_samples + self._media.cut_samples
        return samples / SAMPLE_RATE_HZ

    def on_event(self, event: ServerEvent) -> None:
        """Take an event of the server; the transcript has it already."""
        hush = self._voices.agent.hush
        if isinstance(event, SpeechStarted):
            hush.is_doubtful = False
        if isinstance(event, SpeechStarted | SpeechStopped) and not self._tellers.local:
            hush.is_caller_speaking = isinstance(event, SpeechStarted)
        if self._tellers.server and isinstance(event, SpeechStarted):
            self._interrupt("server")

    def _hear(self, samples: Samples, echo_dbfs: float) -> None:
        edge = self._detector.push(samples, echo_dbfs)
        self._voices.agent.hush.is_caller_speaking = self._detector.is_speaking
        if edge is SpeechEdge.STARTED:
            self._interrupt("local")

    def _interrupt(self, by: BargeInTeller) -> None:
        if self._media.is_sounding and not self._voices.agent.hush.is_on:
            self.now(by)

    def now(self, by: BargeInTeller) -> float:
        """Cut the agent short; return how much of what it said was received and is discarded, in seconds."""
        is_v2, response_id = self._config.version == "v2", self._responses.active_id
        is_told = by == "server"
        if is_v2 and response_id is not None and not is_told:
            self._outbox.put_now(dump_command(CancelResponse(response_id=response_id)))
        queued = self._queued_samples = self._voices.agent.drop_queued()
        self._dropped_samples += queued
        if (not is_v2 and not is_told and self._responses.is_turn_open) or (queued and not self._config.is_websocket):
            self._mark()
        n_samples = queued + self._media.barge_in(response_id, is_told=is_told, queued_samples=queued)
        self._voices.agent.hush.is_doubtful = by == "local"
        self._responses.cut()
        self.count += 1
        discarded_s = n_samples / SAMPLE_RATE_HZ
        self._notify(BargedIn(by=by, discarded_s=round(discarded_s, 3)))
        return discarded_s

    def _mark(self) -> None:
        """Mark in the transcript that the caller did not hear all of what the agent said last.

        What waited in the loudspeaker was not heard; so its sound is heard that much behind where it was handed over.
        """
        queued_s = self._queued_samples / SAMPLE_RATE_HZ

        def heard_since(at_s: float) -> float | None:
            began_s = self._voices.agent.voiced_since(at_s)
            return None if began_s is None else began_s + queued_s

        self._router.on_silenced(heard_since)
