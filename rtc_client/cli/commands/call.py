"""`rtc-client call`: turns options into a config, a source and sinks, runs the call, and prints its result."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rtc_client.audio.echo.config import EchoMode, EchoSettings
from rtc_client.audio.files.reader import AudioFileReader
from rtc_client.audio.files.stereo_recording import RecordingFormat
from rtc_client.audio.sinks.base import Sink
from rtc_client.audio.sinks.basic import WavSink
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.basic import FileSource, SilenceSource, ToneSource
from rtc_client.audio.sources.mixer import SequenceSource
from rtc_client.call.call import Call
from rtc_client.call.cassette_recorder import CassetteRecorder
from rtc_client.call.connect import connect
from rtc_client.call.events.router import WireLog, WireMessage
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.result import CallResult
from rtc_client.cassette.cassette import check_replaceable
from rtc_client.cli.commands.device_names import means_device, microphone_named, speaker_named
from rtc_client.cli.commands.parsing import frequency_hz, header_pair, set_up_logging, split_pair, text_or_file
from rtc_client.cli.console.controls import ControlOptions, Controls
from rtc_client.cli.console.live_view import watching
from rtc_client.cli.console.stdio import hush_libraries, print_error, print_line
from rtc_client.cli.console.terminal import is_terminal
from rtc_client.cli.exit_status import INTERNAL_ERROR, error_line, exit_status, failure, print_json
from rtc_client.cli.signals import on_signals
from rtc_client.config import CallConfig, HandoffSettings
from rtc_client.delegates.command import CommandHandoff
from rtc_client.delegates.handoff_request import HandoffHandler
from rtc_client.delegates.openai_responses import OpenAIResponsesHandoff
from rtc_client.errors import CassetteUnusable, ConfigError, RtcClientError
from rtc_client.protocol.call_state import EndReason
from rtc_client.protocol.transcript.transcript import Transcript
from rtc_client.protocol.wire.codec import dump_json

_EXPORTS: Final[dict[str, Callable[[Transcript], str]]] = {
    ".txt": Transcript.as_text,
    ".json": lambda transcript: dump_json(transcript.as_json()) + "\n",
    ".vtt": Transcript.as_webvtt,
}
_OTHER_FORMATS: Final = {".aac", ".flac", ".m4a", ".mp3", ".oga", ".ogg", ".opus", ".webm"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CallOptions:
    """The options of the command, as they were typed."""

    base_url: str | None
    sideband_url: str | None
    sideband: str
    transport: str
    version: str | None
    query: tuple[str, ...]
    headers: tuple[str, ...]
    model: str | None
    voice: str | None
    instructions: str | None
    sources: tuple[str, ...]
    wav: Path | None
    out: Path | None
    caller_out: Path | None
    echo: EchoMode
    noise_suppression: bool
    gain_control: bool
    say: tuple[str, ...]
    say_file: Path | None
    push_to_talk: bool
    barge_in: str
    hold: str | None
    events: Path | None
    transcript: Path | None
    record: Path | None
    record_format: RecordingFormat
    cassette: Path | None
    handoff_command: str | None
    handoff_openai: str | None
    max_duration_s: float
    linger_s: float
    remote_hangup: bool
    allow_insecure: bool
    json: bool
    quiet: bool


def run_call(options: CallOptions, *, verbose: bool) -> int:
    """Place the call, tell its result, and return the exit status."""
    if any(means_device(name) for name in (*options.sources, str(options.out))):
        hush_libraries()
    set_up_logging(verbose=verbose)
    try:
        if options.say and options.sideband == "off":
            raise ConfigError("--say needs the sideband: leave out --sideband off")
        keys = keys_from(options)
        config = config_from(options)
        source = source_from(options)
        handoff = handoff_from(options)
        keeper = None if options.record is None else CallRecorder(options.record, format=options.record_format)
        sinks = sink_from(options), _wav_sink(options.caller_out)
        with (
            events_file(options.events) as wire_log,
            cassette_in(options.cassette) as recorder,
            transcript_file(options.transcript) as write_transcript,
        ):
            call = connect(
                config,
                source=source,
                sink=sinks[0],
                caller_sink=sinks[1],
                wire_log=wire_log,
                metered=True,
                handoff=handoff,
                cassette=recorder,
                recorder=keeper,
            )
            result, signalled = asyncio.run(run_until_end(call, options.say, quiet=options.quiet, keys=keys))
            is_written = write_transcript(result.transcript)
    except ConfigError as error:
        result, signalled, is_written = failure(error), None, True
    status = print_result(result, signalled, json=options.json, quiet=options.quiet)
    return status if is_written else status or INTERNAL_ERROR


async def run_until_end(
    call: Call, texts: Iterable[str], *, quiet: bool, keys: ControlOptions | None = None
) -> tuple[CallResult, int | None]:
    """Run `call` from dialling to its end; return its result, and the exit status of the signal that ended it."""
    controls = Controls(call, keys or ControlOptions())
    hangups: list[asyncio.Task[None]] = []

    def hang_up() -> None:
        hangups.append(asyncio.create_task(call.hangup(EndReason.INTERRUPTED), name="signal-hangup"))

    with on_signals(hang_up) as signalled:
        async with aclosing(controls), watching(call, controls, quiet=quiet):
            try:
                async with call:
                    for text in texts:
                        await call.say(text)
                    controls.say_file()
                    await call.wait_ended()
            except Exception:
                # How it went is in the result, and told from there; anything else goes on as what it is: a bug.
                if call.result.error is None and call.result.end is None:
                    raise
            await asyncio.gather(*hangups)
    return call.result, signalled.status


def print_result(result: CallResult, signalled: int | None, *, json: bool, quiet: bool) -> int:
    """Print what the options ask for and return the exit status."""
    status = exit_status(result, signalled=signalled)
    if (line := error_line(result)) is not None and signalled is None:
        print_error(line)
    recording = result.recording
    if recording is not None and recording.failure is not None and (json or quiet):
        print_error(f"rtc-client: {recording.as_text()}")
    if json:
        return print_json(result, status)
    if not quiet and result.duration_s is not None:
        return print_line(result.as_text(), status)
    return status


def config_from(options: CallOptions) -> CallConfig:
    """Return the config that options and environment make.

    Raises:
        ConfigError: One of them cannot work.
    """
    given: dict[str, Any] = {
        "base_url": options.base_url,
        "sideband_url": options.sideband_url,
        "model": options.model,
        "voice": options.voice,
        "instructions": text_or_file("the instructions", options.instructions),
    }
    return CallConfig.from_env(
        **{name: value for name, value in given.items() if value is not None},
        sideband=options.sideband,
        transport=options.transport,
        version=options.version,
        query=tuple(split_pair("--query", "=", item) for item in options.query),
        headers=dict(header_pair(item) for item in options.headers),
        echo=EchoSettings(
            mode=options.echo, noise_suppression=options.noise_suppression, gain_control=options.gain_control
        ),
        max_duration_s=options.max_duration_s,
        linger_s=options.linger_s,
        barge_in=options.barge_in,
        handoffs=HandoffSettings(hold=options.hold),
        remote_hangup=options.remote_hangup,
        allow_insecure=options.allow_insecure,
    )


def source_from(options: CallOptions) -> Source:
    """Return what `--in` or `--wav` names, several of them one after another; silence when neither is given.

    Raises:
        ConfigError: Both are given, a tone has no frequency, the microphone no name, or something stands behind what
            never ends.
    """
    if options.sources and options.wav is not None:
        raise ConfigError("give either --in or --wav, not both: they mean the same")
    if options.wav is not None:
        return FileSource(options.wav)
    sources = [_source_named(name) for name in options.sources or ("silence",)]
    for name, source in zip(options.sources[:-1], sources, strict=False):
        if not isinstance(source, FileSource):
            raise ConfigError(f"--in {name} never ends: what comes after it would never be said")
    return sources[0] if len(sources) == 1 else SequenceSource(*sources)


def _source_named(name: str) -> Source:
    if name == "silence":
        return SilenceSource()
    if name.startswith("tone:"):
        return ToneSource(frequency_hz("--in", name.removeprefix("tone:")))
    return microphone_named(name) or FileSource(Path(name))


def sink_from(options: CallOptions) -> Sink | None:
    """Return what `--out` names: a speaker or a file; None when it is not given.

    Raises:
        ConfigError: The file is no WAV, or the speaker has no name.
    """
    if options.out is None:
        return None
    return speaker_named(str(options.out)) or _wav_sink(options.out)


def keys_from(options: CallOptions) -> ControlOptions:
    """Return how the call is controlled by keys, and what is said into it.

    Raises:
        ConfigError: There are no keys to be pressed, or the file to be said cannot be used.
    """
    if options.push_to_talk and (options.quiet or not (is_terminal(sys.stdin) and is_terminal(sys.stderr))):
        raise ConfigError("--push-to-talk needs a terminal, for its key: leave out --quiet, and redirect neither end")
    if options.say_file is not None:
        with AudioFileReader(options.say_file):
            pass  # that it cannot be used is better known before the call
    return ControlOptions(push_to_talk=options.push_to_talk, say_file=options.say_file)


def handoff_from(options: CallOptions) -> HandoffHandler | None:
    """Return what does what the agent asks for; None when nothing is named.

    Raises:
        ConfigError: Two things are named, or the command is none.
    """
    if options.handoff_command is not None and options.handoff_openai is not None:
        raise ConfigError("give either --handoff-command or --handoff-openai, not both: one of them does the work")
    if options.handoff_command is not None:
        return CommandHandoff(options.handoff_command)
    if options.handoff_openai is not None:
        return OpenAIResponsesHandoff(options.handoff_openai)
    return None


@contextmanager
def events_file(path: Path | None) -> Iterator[WireLog | None]:
    """Yield what writes each sideband frame as one line of JSON, at once; None without a path.

    Raises:
        ConfigError: The file cannot be written.
    """
    if path is None:
        yield None
        return
    try:
        file = path.open("w", encoding="utf-8", buffering=1)
    except OSError as error:
        raise ConfigError(f"the events file {path} cannot be written: {error.strerror}") from None

    def write(frame: WireMessage) -> None:
        line = {"at_s": frame.at_s, "direction": frame.direction, "event": frame.event}
        try:
            file.write(dump_json(line) + "\n")
        except OSError as error:
            # An incomplete list of events must not pass for a whole one: this ends the call.
            raise RtcClientError(f"the events file {path} cannot be written: {error.strerror}") from error

    try:
        yield write
    finally:
        with suppress(OSError):  # `write` has told it
            file.close()


@contextmanager
def transcript_file(path: Path | None) -> Iterator[Callable[[Transcript], bool]]:
    """Yield what writes a transcript in the format that the file's name asks for, and tells whether it could.

    Raises:
        ConfigError: The name asks for none, or the file cannot be written; if so, before the call.
    """
    if path is None:
        yield lambda transcript: True
        return
    export = _EXPORTS.get(path.suffix.lower())
    if export is None:
        raise ConfigError(f"transcripts are written as {', '.join(_EXPORTS)}: give {path.name} one of these endings")
    try:
        # An older one goes before the call: what is there afterwards is of this call, or empty.
        file = path.open("w", encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigError(f"the transcript {path} cannot be written: {error.strerror}") from None

    def write(transcript: Transcript) -> bool:
        try:
            file.write(export(transcript))
            file.flush()
        except OSError as error:
            print_error(f"rtc-client: the transcript {path} cannot be written: {error.strerror}")
            return False
        return True

    try:
        yield write
    finally:
        with suppress(OSError):  # `write` has told it
            file.close()


@contextmanager
def cassette_in(folder: Path | None) -> Iterator[CassetteRecorder | None]:
    """Yield what records the call, whatever becomes of it, into a folder; None without one.

    Raises:
        CassetteUnusable: The folder cannot be written, or holds something else; if so, before the call.
    """
    if folder is None:
        yield None
        return
    try:
        check_replaceable(folder)
    except OSError as error:
        raise CassetteUnusable(f"the cassette {folder} cannot be written: {error.strerror}") from None
    recorder = CassetteRecorder()
    yield recorder
    if recorder.has_begun:
        recorder.cassette().save(folder)


def _wav_sink(path: Path | None) -> Sink | None:
    if path is None:
        return None
    if path.suffix.lower() in _OTHER_FORMATS:
        raise ConfigError(f"recordings are written as WAV: name {path.name} {path.stem}.wav")
    return WavSink(path)
