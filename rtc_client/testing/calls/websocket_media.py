"""The media of a call over a websocket: the agent's voice as deltas, the caller's as appended pieces (section 10).

It takes the place of `webrtc_media.py`'s peer, with as much of its face as a call needs. Nothing here is sent: `due`
tells.
"""

from __future__ import annotations

import base64
import binascii
from collections import deque
from collections.abc import Callable
from typing import Final

import numpy as np

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, level_dbfs
from rtc_client.clock import Clock
from rtc_client.testing.sound.heard_audio import EchoLine
from rtc_client.testing.sound.levels import FrameLevels
from rtc_client.testing.sound.vad import SpeechEdge, VadSettings, VoiceActivity
from rtc_client.testing.wire.server_events import JsonObject

DELTA_SAMPLES: Final = SAMPLE_RATE_HZ // 10
"""100 ms a delta, one delta in 20 ms: an agent speaks five times faster than it is heard."""
HEARD_LIMIT_S: Final = 600
ANSWER_LIMIT_S: Final = 0.3
"""A response that was asked for and for which the agent has nothing to say is over after this long."""


class DirectGate:
    """What has passed, and the wishes of faults; datagrams there are none."""

    def __init__(self) -> None:
        self.n_rtp_received = 0
        """Pieces of the caller's sound."""
        self.n_dropped = 0
        """Datagrams of strangers: there are none."""
        self.is_shut = False
        self.is_dtls_blocked = False


class DirectHeard:
    """What the caller said, piece behind piece; the first `HEARD_LIMIT_S` seconds are kept."""

    def __init__(self) -> None:
        self.n_frames = 0
        """Of 20 ms."""
        self._pcm = bytearray()

    def add(self, samples: Samples) -> None:
        """Take what came next: int16, mono, 24 kHz."""
        self.n_frames += len(samples) // FRAME_SAMPLES
        if len(self._pcm) < 2 * SAMPLE_RATE_HZ * HEARD_LIMIT_S:
            self._pcm += samples.tobytes()

    def samples(self) -> Samples:
        """Return everything heard so far: int16, mono, 24 kHz."""
        return np.frombuffer(self._pcm, dtype=np.int16).copy()


class AgentVoice:
    """The agent's voice as events. On realtime v2 it comes in responses, which the caller's speech ends."""

    def __init__(self, clock: Clock, *, is_v1: bool) -> None:
        self.n_packets = 0
        """Deltas."""
        self.sent: list[tuple[bytes, int]] = []
        """Opus packets: there are none."""
        self.began_s: float | None = None
        self.levels = FrameLevels()
        self.is_stopped = False
        """Whether nothing is sent; what is spoken meanwhile is lost."""
        self.sent_samples: dict[str, int] = {}
        """How much of each item was sent."""
        self.active_since_s: float | None = None
        """Since when there is a response (of realtime v2), seconds of the clock; None if there is none."""
        self._clock, self._is_v1 = clock, is_v1
        self._voice: Samples = SILENCE[:0]
        self._echo: tuple[EchoLine, float] | None = None
        self._out: deque[JsonObject] = deque()
        self._n_responses = 0
        self._answer_by_s: float | None = None

    @property
    def item_id(self) -> str:
        """The item of the response that is, or was last."""
        return f"item_agent_{self._n_responses}"

    def speak(self, samples: Samples) -> None:
        """Begin to say these samples (int16, mono, 24 kHz), instead of what is being said."""
        self._begin()
        self._voice, self._echo = samples, None

    def echo(self, line: EchoLine, until_s: float) -> None:
        """Begin to give back an echo, up to a point of the clock."""
        self._begin()
        self._voice, self._echo = SILENCE[:0], (line, until_s)

    def asked(self) -> None:
        """The client asks for a response (v2)."""
        if self.active_since_s is None:
            self._new_response()
            self._answer_by_s = self._clock.now_s() + ANSWER_LIMIT_S
        else:
            message = f"Conversation already has an active response in progress: resp_{self._n_responses}. Wait"
            code = "conversation_already_has_active_response"
            self._out.append(
                {"type": "error", "error": {"type": "invalid_request_error", "code": code, "message": message}}
            )

    def interrupt(self) -> None:
        """Say no more: the caller speaks, or the client cancels."""
        self._voice, self._echo, self._answer_by_s = SILENCE[:0], None, None
        self._end("cancelled")

    def due(self, now_s: float) -> list[JsonObject]:
        """Return the events that are due, in order; asked every 20 ms."""
        if self.began_s is None:
            self.began_s = now_s
        events, self._out = list(self._out), deque()
        if self._answer_by_s is not None and now_s >= self._answer_by_s:
            self._answer_by_s = None
            self._end("completed")
        elif (sound := self._next(now_s)) is not None:
            self.levels.add(FLOOR_DBFS if sound is SILENCE else level_dbfs(sound), now_s)
            if not self.is_stopped:
                events.append(self._delta(sound))
            if self._echo is None and not len(self._voice):
                self._end("completed")
        return [*events, *self._take_out()]

    def _next(self, now_s: float) -> Samples | None:
        if self._echo is not None:
            line, until_s = self._echo
            if now_s < until_s:
                return line.pop(now_s)
            self._echo = None
            self._end("completed")
        if not len(self._voice):
            return None
        sound, self._voice = self._voice[:DELTA_SAMPLES], self._voice[DELTA_SAMPLES:]
        return sound

    def _begin(self) -> None:
        if self._answer_by_s is not None:  # this is the answer
            self._answer_by_s = None
            return
        self._end("completed")
        self._new_response()

    def _new_response(self) -> None:
        self._n_responses += 1
        if not self._is_v1:
            self.active_since_s = self._clock.now_s()
            self._out.append({"type": "response.created", "response": {"id": f"resp_{self._n_responses}"}})

    def _end(self, status: str) -> None:
        if self.active_since_s is not None:
            self.active_since_s = None
            response = {"id": f"resp_{self._n_responses}", "status": status}
            self._out.append({"type": "response.done", "response": response})

    def _take_out(self) -> list[JsonObject]:
        out, self._out = list(self._out), deque()
        return out

    def _delta(self, sound: Samples) -> JsonObject:
        self.n_packets += 1
        audio = base64.b64encode(sound.astype("<i2").tobytes()).decode()
        if self._is_v1:
            counts = {"sample_rate": SAMPLE_RATE_HZ, "channels": 1, "samples_per_channel": len(sound)}
            return {"type": "conversation.output_audio.delta", "delta": audio, **counts}
        self.sent_samples[self.item_id] = self.sent_samples.get(self.item_id, 0) + len(sound)
        where = {
            "response_id": f"resp_{self._n_responses}",
            "item_id": self.item_id,
            "output_index": 0,
            "content_index": 0,
        }
        return {"type": "response.output_audio.delta", "delta": audio, **where}


class DirectPeer:
    """The answerer's end of the sound of a call over a websocket."""

    def __init__(
        self,
        *,
        clock: Clock,
        is_v1: bool,
        hearing: VadSettings,
        on_connected: Callable[[], None],
        on_heard: Callable[[float, float], None],
    ) -> None:
        self.track = AgentVoice(clock, is_v1=is_v1)
        self.heard = DirectHeard()
        self.levels = FrameLevels()
        self.gate = DirectGate()
        self.is_connected = False
        self._clock, self._is_v1 = clock, is_v1
        self._on_connected, self._on_heard = on_connected, on_heard
        self._echo_line: EchoLine | None = None
        self._voice_activity = VoiceActivity(hearing)
        self._n_turns = 0

    def connect(self) -> None:
        """The websocket is open."""
        self.is_connected = True
        self._on_connected()

    def take(self, message: JsonObject) -> bool:
        """Take a message of the client's if it is about sound or responses; return whether it is nothing but sound."""
        match message:
            case {"type": "input_audio_buffer.append", "audio": str(audio)}:
                self._hear(audio)
                return True
            case {"type": "response.create"}:
                self.track.asked()
            case {"type": "response.cancel"}:
                self.track.interrupt()
            case _:
                pass
        return False

    def due(self, now_s: float) -> list[JsonObject]:
        """Return the events that are due, in order; asked every 20 ms."""
        edge = self._voice_activity.poll(now_s)
        if self._is_v1 or edge is None:
            return self.track.due(now_s)
        heard_ms = self.heard.n_frames * 20
        if edge is SpeechEdge.STARTED:
            self._n_turns += 1
            self.track.interrupt()
            told: JsonObject = {"type": "input_audio_buffer.speech_started", "audio_start_ms": heard_ms}
        else:
            told = {"type": "input_audio_buffer.speech_stopped", "audio_end_ms": heard_ms}
        return [told | {"item_id": f"item_caller_{self._n_turns}"}, *self.track.due(now_s)]

    def echo(self, delay_s: float, duration_s: float | None) -> None:
        """Begin to give back what is heard, for so long (None: for ever)."""
        until_s = float("inf") if duration_s is None else self._clock.now_s() + duration_s
        self._echo_line = EchoLine(delay_s)
        self.track.echo(self._echo_line, until_s)

    async def figures(self) -> dict[str, JsonObject]:
        """Return nothing: no aiortc counts anything."""
        return {}

    def vanish(self) -> None:
        """Say nothing and hear nothing from now on."""
        self.gate.is_shut = self.track.is_stopped = True

    def come_back(self) -> None:
        """Take part again after `vanish`."""
        self.gate.is_shut = self.track.is_stopped = False

    async def aclose(self) -> None:
        """There is nothing to close but the websocket, which is the event leg's."""

    def _hear(self, audio: str) -> None:
        try:
            pcm = base64.b64decode(audio, validate=True)
        except (binascii.Error, ValueError):
            return
        self.gate.n_rtp_received += 1
        if self.gate.is_shut:
            return
        samples: Samples = np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2").astype(np.int16)
        self.heard.add(samples)
        now_s = self._clock.now_s()
        if self._echo_line is not None:
            self._echo_line.push(np.repeat(samples, 2), now_s)
        for start in range(0, len(samples), FRAME_SAMPLES):
            level = level_dbfs(samples[start : start + FRAME_SAMPLES])
            self.levels.add(level, now_s)
            self._voice_activity.hear(level, now_s)
            self._on_heard(level, now_s)
