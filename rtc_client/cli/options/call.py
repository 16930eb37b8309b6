"""The options of `rtc-client call`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from rtc_client.cli.options.shared import BaseUrl, Header, Query, Verbose, flag


class TransportChoice(StrEnum):
    """How a call goes."""

    WEBRTC = "webrtc"
    WEBSOCKET = "websocket"


class VersionChoice(StrEnum):
    """The dialect of realtime."""

    V1 = "v1"
    V2 = "v2"


class SidebandChoice(StrEnum):
    """What a call does without its sideband."""

    REQUIRE = "require"
    PREFER = "prefer"
    OFF = "off"


class RecordFormat(StrEnum):
    """Of a recording: Opus in Ogg, or without loss."""

    OGG = "ogg"
    WAV = "wav"
    FLAC = "flac"


class EchoChoice(StrEnum):
    """What is done about the agent being heard by the microphone."""

    AUTO = "auto"
    HEADPHONES = "headphones"
    HALF_DUPLEX = "half-duplex"
    AEC = "aec"


class BargeInChoice(StrEnum):
    """Who stops the agent's voice when the caller begins to speak."""

    AUTO = "auto"
    SERVER = "server"
    LOCAL = "local"
    OFF = "off"


def call(
    base_url: BaseUrl = None,
    sideband_url: Annotated[
        str | None, typer.Option(metavar="URL", help="base of the sideband, when it is not the API base")
    ] = None,
    sideband: Annotated[
        SidebandChoice, typer.Option(help="require events, go on without them, or do not ask for them")
    ] = SidebandChoice.REQUIRE,
    transport: Annotated[
        TransportChoice,
        typer.Option(help="audio by RTP with a sideband for events, or both on one websocket"),
    ] = TransportChoice.WEBRTC,
    version: Annotated[
        VersionChoice | None, typer.Option("--version", help="version of realtime; default: v1, on a websocket v2")
    ] = None,
    query: Query = None,
    header: Header = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="default: gpt-realtime-1.5")] = None,
    voice: Annotated[
        str | None, typer.Option(metavar="NAME", help="the agent's voice; default: cove, on v2 marin")
    ] = None,
    instructions: Annotated[str | None, typer.Option(metavar="TEXT|@FILE", help="instructions for the agent")] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(
            "--in", metavar="FILE|mic[:NAME]|silence|tone:HZ", help="what the caller says, in turn; repeatable"
        ),
    ] = None,
    wav: Annotated[Path | None, typer.Option(metavar="FILE", help="the same as --in FILE")] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.wav|speaker[:NAME]", help="write what the agent says, or play it")
    ] = None,
    caller_out: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="write the audio that was sent")] = None,
    echo: Annotated[
        EchoChoice,
        typer.Option(help="echo of the speaker in the microphone: leave it, half duplex, or cancel it (extra: aec)"),
    ] = EchoChoice.AUTO,
    no_noise_suppression: Annotated[
        bool, flag("--no-noise-suppression", help="do not suppress steady noise in the microphone (--echo aec)")
    ] = False,
    gain_control: Annotated[
        bool, flag("--gain-control", help="make a distant or quiet caller louder (--echo aec)")
    ] = False,
    say: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="send a text message; repeatable")] = None,
    push_to_talk: Annotated[
        bool, flag("--push-to-talk", help="mute the caller unless the space bar is held; needs a terminal")
    ] = False,
    barge_in: Annotated[
        BargeInChoice, typer.Option(help="what stops the agent when the caller speaks: the server, our own detector")
    ] = BargeInChoice.AUTO,
    say_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="say this into the running call, and again at the key f")
    ] = None,
    events: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="write every sideband message")] = None,
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE.txt|json|vtt", help="write who said what, as text, JSON or captions")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(metavar="DIR", help="record both voices, events, captions and the result there")
    ] = None,
    record_format: Annotated[
        RecordFormat, typer.Option(help="format of its audio, a channel per voice")
    ] = RecordFormat.OGG,
    cassette: Annotated[
        Path | None, typer.Option(metavar="DIR", help="record the call there, without secrets and addresses")
    ] = None,
    handoff_command: Annotated[
        str | None, typer.Option(metavar="CMD", help="run this program for each handoff: JSON in, lines out")
    ] = None,
    handoff_openai: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="send each handoff to this model by the Responses API (extra: openai)"),
    ] = None,
    hold: Annotated[
        str | None, typer.Option(metavar="tone|FILE", help="what the caller hears while a handoff is being worked on")
    ] = None,
    max_duration: Annotated[float, typer.Option(metavar="S", help="hang up S seconds after connecting")] = 600.0,
    linger: Annotated[
        float, typer.Option(metavar="S", help="after the end of --in, hang up once the agent was silent for S seconds")
    ] = 3.0,
    no_remote_hangup: Annotated[
        bool, flag("--no-remote-hangup", help="do not tell the server that the call is over")
    ] = False,
    allow_insecure: Annotated[bool, flag("--allow-insecure", help="let plain http and ws leave this machine")] = False,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout, also when the call fails")] = False,
    quiet: Annotated[bool, flag("--quiet", help="no live view and no report; errors are still told")] = False,
    verbose: Verbose = False,
) -> None:
    """Place one voice call and report what it was. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.commands.call import CallOptions, run_call

    options = CallOptions(
        base_url=base_url,
        sideband_url=sideband_url,
        sideband=sideband.value,
        transport=transport.value,
        version=None if version is None else version.value,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        model=model,
        voice=voice,
        instructions=instructions,
        sources=tuple(source or ()),
        wav=wav,
        out=out,
        caller_out=caller_out,
        echo=echo.value,
        noise_suppression=not no_noise_suppression,
        gain_control=gain_control,
        say=tuple(say or ()),
        say_file=say_file,
        push_to_talk=push_to_talk,
        barge_in=barge_in.value,
        hold=hold,
        events=events,
        transcript=transcript,
        record=record,
        record_format=record_format.value,
        cassette=cassette,
        handoff_command=handoff_command,
        handoff_openai=handoff_openai,
        max_duration_s=max_duration,
        linger_s=linger,
        remote_hangup=not no_remote_hangup,
        allow_insecure=allow_insecure,
        json=json,
        quiet=quiet,
    )
    raise typer.Exit(run_call(options, verbose=verbose))
