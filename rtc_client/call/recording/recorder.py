"""CallRecorder: keeps a call in a folder: its audio, its events and its words.

Everything is written by one thread of its own, a quarter of a second at a time, so that neither the disk nor the
encoder can hold the call up; and nothing that goes wrong there ends the call.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from rtc_client.audio.files.background_writer import BackgroundWriter
from rtc_client.audio.files.stereo_alignment import AGENT, CALLER, HeldBack, Origin, Shift
from rtc_client.audio.files.stereo_recording import FORMATS, RecordingFormat
from rtc_client.audio.frames import SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples
from rtc_client.audio.sinks.base import PacketSink, Sink
from rtc_client.audio.sinks.basic import NullSink, players
from rtc_client.audio.sources.base import TimedSource
from rtc_client.call.events.local_events import RecordingEnded
from rtc_client.call.events.router import WireLog, WireMessage
from rtc_client.call.recording.folder import Item, RecordingFolder, words_of
from rtc_client.call.result import CallResult, RecordingReport
from rtc_client.clock import Clock
from rtc_client.errors import ConfigError
from rtc_client.protocol.wire.codec import dump_json
from rtc_client.protocol.wire.fast_frames import without_sound

R = TypeVar("R")
SAVE_SAMPLES: Final = SAMPLE_RATE_HZ // 4
LOOK_S: Final = 5.0
"""How often `call.json` and `call.vtt` are brought up to date at first; later less often, for they grow."""
LOOKS_A_CALL: Final = 100
"""Then after a hundredth of the call so far."""


class CallRecorder(BackgroundWriter[RecordingFolder, Item]):
    """Records one call into a folder: `connect(..., recorder=CallRecorder("DIR"))`.

    `call.ogg` (`.wav`, `.flac` by `format`) has two channels on one clock, the caller left, the agent right, 24 kHz:
    each where it was sent, or played, and at a device where it was captured, or heard; silence where nothing was.
    Beside it are `call.json` (the result), `events.jsonl` (every sideband frame, one line each, as `--events` writes
    them, but without the sound that a websocket carries) and `call.vtt` (captions that lie on the speech). The folder
    is made; an older recording in it is replaced.

    It may be read at any moment: a process that is killed loses less than the last second. When the disk refuses, or
    is full, the recording ends, the call goes on, and it is told by `RecordingEnded` and in `result.recording`. What
    waits for the disk is bounded by `MAX_BEHIND_BYTES`; beyond that there is silence in the place of sound, and an
    event is left out; both are counted. Ready packets of a `ClipSource` are decoded for it, and encoded again.

    Raises:
        ConfigError: If there is no such format.
    """

    MAX_BEHIND_BYTES: Final = 16 * 2**20
    """Two minutes of both voices and their events."""

    def __init__(self, folder: Path | str, *, format: RecordingFormat = "ogg") -> None:
        super().__init__(folder)
        if format not in FORMATS:
            raise ConfigError(f'a recording cannot be made as "{format}": choose {", ".join(FORMATS)}')
        self.format: Final = format
        self._threads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="CallRecorder")
        self._unsaved_bytes = 0
        self._gathered_from = 0
        self._end_samples = 0
        self._dropped_samples = 0
        self._dropped_events = 0
        self._look_at_samples = 0
        self._failed_s: float | None = None
        self._result: Callable[[], CallResult] = CallResult
        self._is_attached = False
        self._keep_rest: Callable[[], None] = lambda: None
        self._first = CallResult()
        self._notify: Callable[[RecordingEnded], None] = lambda notice: None

    @property
    def audio_path(self) -> Path:
        """The file with the sound."""
        return self.path / f"call.{self.format}"

    @property
    def report(self) -> RecordingReport:
        """What was recorded so far, and what became of it."""
        return RecordingReport(
            file=str(self.audio_path),
            duration_s=round((self._end_samples / SAMPLE_RATE_HZ), 3),
            dropped_s=round(self._dropped_samples / SAMPLE_RATE_HZ, 3),
            dropped_events=self._dropped_events,
            failed_at_s=self._failed_s,
            failure=None if self._failure is None else words_of(self._failure),
        )

    def attach(self, result: Callable[[], CallResult], notify: Callable[[RecordingEnded], None]) -> None:
        """Record the call that `result` tells of, and tell `notify` when that cannot go on. Before `open`.

        Raises:
            ConfigError: If it records another.
        """
        if self._is_attached:
            raise ConfigError("a CallRecorder records one call: make a new one for each")
        self._is_attached, self._result, self._notify = True, result, notify

    def beside(self, wire_log: WireLog | None) -> WireLog:
        """Return what writes to `wire_log`, and to this recorder."""

        def log(frame: WireMessage) -> None:
            event = without_sound(frame.event)
            self._keep_line(dump_json({"at_s": frame.at_s, "direction": frame.direction, "event": event}) + "\n")
            if wire_log is not None:
                wire_log(frame)

        return log

    def ears(self, source: object, sink: Sink | PacketSink | None, clock: Clock) -> tuple[Ear, Ear]:
        """Return what hears the caller's voice, which comes from `source`, and the agent's, which goes to `sink`.

        Where they know when sound is captured or heard, that is where it is put.
        """
        origin = Origin()
        microphone = source if isinstance(source, TimedSource) else None
        speaker = None if isinstance(sink, PacketSink) else next(iter(players(sink or NullSink())), None)
        captured_s = None if microphone is None else lambda: microphone.captured_s
        heard_s = None if speaker is None else lambda: speaker.heard_s

        def keep(voice: int) -> Callable[[int, Samples], None]:
            return lambda position, samples: self._keep_sound(voice, position, samples)

        caller = Ear(keep(CALLER), captured_s, origin, clock, is_speaker=False)
        agent = Ear(keep(AGENT), heard_s, origin, clock, is_speaker=True)
        self._keep_rest = agent.keep_rest
        return caller, agent

    async def finish(self) -> None:
        """Write what is left and the result, now that it is known; in any state, and any number of times."""
        self._keep_rest()
        if self._writer is not None:
            self._writer.end_samples = self._end_samples
            self._writer.last = self._result()
        await self.aclose()

    def _keep_sound(self, voice: int, position_samples: int, samples: Samples) -> None:
        if self._writer is None or self._failure is not None:
            return
        self._end_samples = max(self._end_samples, position_samples + len(samples))
        if self._unsaved_bytes > self.MAX_BEHIND_BYTES:
            self._dropped_samples += len(samples)
            return
        self._unsaved.append((voice, position_samples, samples))
        self._unsaved_bytes += samples.nbytes
        if position_samples - self._gathered_from >= SAVE_SAMPLES:
            self._gathered_from = position_samples
            self._look()
            self._save_soon()

    def _keep_line(self, line: str) -> None:
        if self._writer is None or self._failure is not None:
            return
        if self._unsaved_bytes > self.MAX_BEHIND_BYTES:
            self._dropped_events += 1
            return
        self._unsaved.append(line)
        self._unsaved_bytes += len(line)
        if self._end_samples == 0:  # later it goes with the sound
            self._save_soon()

    def _look(self) -> None:
        if self._end_samples >= self._look_at_samples:
            pause_samples = max(LOOK_S * SAMPLE_RATE_HZ, self._end_samples / LOOKS_A_CALL)
            self._look_at_samples = self._end_samples + round(pause_samples)
            self._unsaved.append(self._result())

    async def _open(self) -> None:
        self._first = self._result()
        await super()._open()

    def _create(self) -> RecordingFolder:
        return RecordingFolder(self.path, self.audio_path, self.format, self._first)

    def _write(self, writer: RecordingFolder, items: list[Item]) -> None:
        writer.write(items)

    def _take(self) -> list[Item]:
        self._unsaved_bytes = 0
        return super()._take()

    def _fail(self, error: Exception) -> None:
        if self._failure is None:
            self._failed_s = round(self._end_samples / SAMPLE_RATE_HZ, 3)
            self._is_told = True
            super()._fail(error)
            self._unsaved.clear()
            self._notify(RecordingEnded(at_s=self._failed_s, message=words_of(error)))

    async def _in_thread(self, work: Callable[[], R]) -> R:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def _close(self) -> None:
        try:
            await super()._close()
        finally:
            self._threads.shutdown(wait=False)


class Ear(NullSink):
    """Hears one voice, and says where what it hears belongs; `at_s` tells when a device captures, or plays it."""

    def __init__(
        self,
        keep: Callable[[int, Samples], None],
        at_s: Callable[[], float | None] | None,
        origin: Origin,
        clock: Clock,
        *,
        is_speaker: bool,
    ) -> None:
        self._keep = keep
        self._at_s = at_s
        self._origin, self._clock = origin, clock
        self._is_speaker = is_speaker
        self._shift = Shift()
        self._held = HeldBack()

    def drop(self, n_samples: int) -> None:
        """Take note that the loudspeaker will not play so much of what was written last."""
        self._held.drop(n_samples)

    def keep_rest(self) -> None:
        """Take note that nothing more of it will be dropped."""
        for piece in self._held.rest():
            self._keep(*piece)

    def write(self, frame: PcmFrame) -> None:
        position, samples = frame.position_samples, frame.samples
        if self._at_s is None:
            self._keep(position, samples)
            return
        self._origin.see(position, self._clock.now_s())
        at_s = self._at_s()
        if at_s is not None:
            position = self._shift.of(position, (at_s - self._origin.at_s) * SAMPLE_RATE_HZ)
        elif self._is_speaker or samples is SILENCE:  # nobody hears it, or there is nothing
            position, samples = self._shift.of(position, None), SILENCE[: len(samples)]
        # What else comes from no device, a file before the microphone, lies where it was sent.
        if not self._is_speaker:
            self._keep(position, samples)
        elif (piece := self._held.push(position, samples)) is not None:
            self._keep(*piece)
