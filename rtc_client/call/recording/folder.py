"""The folder of a recorded call: audio, events, result and captions. It blocks, so it has a thread."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import IO, Final, TextIO, TypeAlias

from rtc_client.audio.files.stereo_recording import FORMATS, RecordingFormat, StereoRecording
from rtc_client.audio.files.wav import reason
from rtc_client.audio.frames import Samples
from rtc_client.call.result import CallResult
from rtc_client.errors import ConfigError
from rtc_client.protocol.transcript.captions import captions
from rtc_client.protocol.wire.codec import dump_json

Item: TypeAlias = tuple[int, int, Samples] | str | CallResult
"""What a voice said, with its position in samples; a line about an event; what the call is so far."""


RESERVE_BYTES: Final = 256 * 1024
"""Kept free for the result and the captions, of an hour or so: how a call ended is told by a full disk, too."""


class RecordingFolder:
    """The files of one recording, whole at any moment; for one thread at a time.

    The folder is made, and an older recording in it is replaced. After a `write` that failed, `close` writes no more
    sound, but the result and the captions, for which there is room.

    Raises:
        ConfigError: If the folder or a file in it cannot be made.
        OpusUnavailable: If the sound is to be Opus, and no usable libopus is found.
    """

    def __init__(self, folder: Path, audio: Path, format: RecordingFormat, result: CallResult) -> None:
        self._folder = folder
        self.end_samples = 0
        self._is_broken = False
        self.last: CallResult | None = None
        """How the call ended, once that is known."""
        with ExitStack() as stack:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                for other in FORMATS:
                    (folder / f"call.{other}").unlink(missing_ok=True)
                self._events: TextIO = stack.enter_context((folder / "events.jsonl").open("w", encoding="utf-8"))
                self._audio = StereoRecording(audio, format)
                stack.callback(self._audio.close, 0)
                self._look(result)
                self._reserve = stack.enter_context(_reserved(folder))
            except OSError as error:
                raise ConfigError(f"the recording {folder} cannot be made: {reason(error)}") from error
            stack.pop_all()

    def write(self, items: list[Item]) -> None:
        """Write what came, in order.

        Raises:
            OSError: If the system refuses.
        """
        look: CallResult | None = None
        self._is_broken = True
        for item in items:
            match item:
                case str():
                    self._events.write(item)
                case CallResult():
                    look = item
                case voice, position_samples, samples:
                    self._audio.put(voice, position_samples, samples)
        self._events.flush()
        self._audio.save()
        if look is not None:
            self._look(look)
        self._is_broken = False

    def close(self) -> None:
        """Finish all files.

        Raises:
            OSError: If the system refuses; what can be written is written all the same.
        """
        failures: list[OSError] = []
        self._reserve.close()
        for finish in (self._finish_audio, self._events.close, lambda: self._finish_result(failures)):
            try:
                finish()
            except OSError as error:
                failures.append(error)
        if failures:
            raise failures[0]

    def _finish_audio(self) -> None:
        self._audio.close(None if self._is_broken else self.end_samples)

    def _finish_result(self, failures: list[OSError]) -> None:
        if self.last is None:
            return
        report = self.last.recording
        if failures and report is not None and report.failure is None:
            report = replace(report, failure=words_of(failures[0]), failed_at_s=report.duration_s)
        self._look(replace(self.last, recording=report))

    def _look(self, result: CallResult) -> None:
        """Write the result and the captions so far."""
        _replace(self._folder / "call.json", dump_json(result.as_dict()) + "\n")
        _replace(self._folder / "call.vtt", captions(result.transcript, *self._audio.speech_ms()))


def _reserved(folder: Path) -> IO[bytes]:
    """Return a nameless file that takes room until it is closed; less, or none, where there is no more."""
    file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 - whoever asked for it closes it
    for n_bytes in (RESERVE_BYTES, RESERVE_BYTES // 4, RESERVE_BYTES // 16):
        with suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, n_bytes)
            break
    return file


def words_of(error: Exception) -> str:
    """Return what may be told of an error: the system's words, its type."""
    return reason(error) if isinstance(error, OSError) else type(error).__name__


def _replace(path: Path, text: str) -> None:
    """Write a file; whoever reads it meanwhile, or after a crash, gets the old one or the new one."""
    new = path.with_name(f".{path.name}.new")
    try:
        new.write_text(text, encoding="utf-8", newline="\n")
        new.replace(path)
    except OSError:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
