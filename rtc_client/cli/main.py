"""The `rtc-client` command: its verbs, their options, and the one place that turns an ending into an exit status.

Nothing heavy but typer is imported here, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from enum import StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from rtc_client.cli import streams

_UsageError: type[typer.BadParameter] = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")
"""Root of what typer raises for options it cannot read: click's own class, or that of the copy inside typer."""

EPILOG = (
    "exit status: 0 completed, 1 internal error, 2 usage, 3 refused, 4 no media, 5 lost midway, "
    "130 interrupted, 143 terminated"
)

app = typer.Typer(
    name="rtc-client",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _flag(name: str, *, help: str) -> Any:
    """Return an option that is on when it is given, without a value in the help text."""
    return typer.Option(name, metavar="", help=help)


def _tell_version(wanted: bool) -> None:
    if wanted:
        print(f"rtc-client {version('rtc-client')}")
        raise typer.Exit(0)


@app.callback()
def root(
    wanted: Annotated[
        bool, typer.Option("--version", metavar="", help="print the version", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Place WebRTC voice calls to a realtime voice model, or answer them for a test."""


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


@app.command(epilog=EPILOG)
def call(
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="API base; default: $OPENAI_BASE_URL, else OpenAI's")
    ] = None,
    sideband_url: Annotated[
        str | None, typer.Option(metavar="URL", help="base of the sideband, when it is not the API base")
    ] = None,
    sideband: Annotated[
        SidebandChoice, typer.Option(help="require events, go on without them, or do not ask for them")
    ] = SidebandChoice.REQUIRE,
    transport: Annotated[
        TransportChoice, typer.Option(help="sound by RTP and events beside it, or both on one websocket")
    ] = TransportChoice.WEBRTC,
    version: Annotated[
        VersionChoice | None, typer.Option("--version", help="of realtime; default: v1, on a websocket v2")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="K=V", help="provider query parameter; repeatable")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K:V", help="extra header; repeatable")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="default: gpt-realtime-1.5")] = None,
    voice: Annotated[
        str | None, typer.Option(metavar="NAME", help="the agent's voice; default: cove, on v2 marin")
    ] = None,
    instructions: Annotated[str | None, typer.Option(metavar="TEXT|@FILE", help="what the agent is told to be")] = None,
    source: Annotated[
        str | None, typer.Option("--in", metavar="FILE|silence|tone:HZ", help="what the caller says; default: silence")
    ] = None,
    wav: Annotated[Path | None, typer.Option(metavar="FILE", help="the same as --in FILE")] = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="write what the agent says")] = None,
    caller_out: Annotated[Path | None, typer.Option(metavar="FILE.wav", help="write what was really sent")] = None,
    say: Annotated[list[str] | None, typer.Option(metavar="TEXT", help="send a text message; repeatable")] = None,
    events: Annotated[Path | None, typer.Option(metavar="FILE.jsonl", help="write every sideband frame")] = None,
    transcript: Annotated[
        Path | None, typer.Option(metavar="FILE.txt|json|vtt", help="write who said what, as text, JSON or captions")
    ] = None,
    cassette: Annotated[
        Path | None, typer.Option(metavar="DIR", help="record the call there, without secrets and addresses")
    ] = None,
    handoff_command: Annotated[
        str | None, typer.Option(metavar="CMD", help="this program does what the agent asks for: JSON in, lines out")
    ] = None,
    handoff_openai: Annotated[
        str | None, typer.Option(metavar="MODEL", help="this model does it, by the Responses API (extra: openai)")
    ] = None,
    max_duration: Annotated[float, typer.Option(metavar="S", help="hang up S seconds after connecting")] = 600.0,
    linger: Annotated[
        float, typer.Option(metavar="S", help="after the end of --in, hang up once the agent was silent for S seconds")
    ] = 3.0,
    no_remote_hangup: Annotated[
        bool, _flag("--no-remote-hangup", help="do not tell the server that the call is over")
    ] = False,
    allow_insecure: Annotated[bool, _flag("--allow-insecure", help="let plain http and ws leave this machine")] = False,
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout, also when the call fails")] = False,
    quiet: Annotated[bool, _flag("--quiet", help="no live view and no report; errors are still told")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Place one voice call and report what it was. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.call import CallOptions, run_call

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
        source=source,
        wav=wav,
        out=out,
        caller_out=caller_out,
        say=tuple(say or ()),
        events=events,
        transcript=transcript,
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


@app.command(epilog=EPILOG)
def transcribe(
    source: Annotated[str, typer.Argument(metavar="FILE|mic", help="what is written down, in real time")],
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="API base; default: $OPENAI_BASE_URL, else OpenAI's")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="K=V", help="provider query parameter; repeatable")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K:V", help="extra header; repeatable")] = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="default: gpt-4o-mini-transcribe")] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="write every frame, those of the sound too")
    ] = None,
    max_duration: Annotated[
        float | None, typer.Option(metavar="S", help="stop S seconds after connecting; default: at the end of FILE")
    ] = None,
    linger: Annotated[
        float, typer.Option(metavar="S", help="after the end of FILE, stop once no text has come for S seconds")
    ] = 3.0,
    allow_insecure: Annotated[bool, _flag("--allow-insecure", help="let plain ws leave this machine")] = False,
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout instead of the text")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Print what is said as its text settles, one line a turn. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.transcribe import TranscribeOptions, run_transcribe

    options = TranscribeOptions(
        source=source,
        base_url=base_url,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        model=model,
        events=events,
        max_duration_s=max_duration,
        linger_s=linger,
        allow_insecure=allow_insecure,
        json=json,
    )
    raise typer.Exit(run_transcribe(options, verbose=verbose))


@app.command(epilog=EPILOG)
def demo(
    folder: Annotated[Path, typer.Option("--dir", help="where the recordings and the report go")] = Path("demo-call"),
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout")] = False,
    quiet: Annotated[bool, _flag("--quiet", help="no live view and no report")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Call the embedded fake answerer: real HTTP, ICE, DTLS, SRTP, Opus and websocket, all within this machine."""
    from rtc_client.cli.demo import run_demo

    raise typer.Exit(run_demo(folder, json=json, quiet=quiet, verbose=verbose))


REST_EPILOG = "exit status: 0 done, 1 internal error, 2 usage (also no key), 3 refused or no answer, 130 interrupted"


@app.command(epilog=REST_EPILOG)
def hangup(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="as a call's report tells it, rtc_…")],
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="API base; default: $OPENAI_BASE_URL, else OpenAI's")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="K=V", help="provider query parameter; repeatable")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K:V", help="extra header; repeatable")] = None,
    allow_insecure: Annotated[bool, _flag("--allow-insecure", help="let plain http leave this machine")] = False,
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout, also when it fails")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Hang up a call by its id, whoever placed it. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.rest import RestOptions, run_hangup

    options = RestOptions(
        base_url=base_url,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        allow_insecure=allow_insecure,
        json=json,
    )
    raise typer.Exit(run_hangup(call_id, options, verbose=verbose))


@app.command(epilog=REST_EPILOG)
def secret(
    session: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="session of the type realtime or transcription")
    ] = None,
    expires_after: Annotated[
        int | None, typer.Option(metavar="S", help="how long it begins sessions, 10 to 7200 seconds; default: 600")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(metavar="URL", help="API base; default: $OPENAI_BASE_URL, else OpenAI's")
    ] = None,
    query: Annotated[list[str] | None, typer.Option(metavar="K=V", help="provider query parameter; repeatable")] = None,
    header: Annotated[list[str] | None, typer.Option(metavar="K:V", help="extra header; repeatable")] = None,
    allow_insecure: Annotated[bool, _flag("--allow-insecure", help="let plain http leave this machine")] = False,
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout, also when it fails")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Print a new ephemeral key for a browser, a device or a call. Our own key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.rest import RestOptions, run_secret

    options = RestOptions(
        base_url=base_url,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        allow_insecure=allow_insecure,
        json=json,
    )
    raise typer.Exit(run_secret(session, expires_after, options, verbose=verbose))


cassettes = typer.Typer(name="cassette", help="Compare and convert recorded calls.", no_args_is_help=True)
app.add_typer(cassettes)

DIFF_EPILOG = "exit status: 0 no difference, 1 they differ, 2 one of them cannot be read"


@cassettes.command(epilog=DIFF_EPILOG)
def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="a cassette, or a recording of the reference client")],
    b: Annotated[Path, typer.Argument(metavar="B", help="another")],
    sequence: Annotated[bool, _flag("--sequence", help="compare the order of the messages too")] = False,
    json: Annotated[bool, _flag("--json", help="print one JSON object on stdout")] = False,
) -> None:
    """Tell how two recorded calls differ in structure: not in ids, times, addresses, keys or words."""
    from rtc_client.cli.cassette import run_diff

    raise typer.Exit(run_diff(a, b, sequence=sequence, json=json))


@cassettes.command()
def convert(
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="JSON file of the reference client's")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where the cassette goes")],
) -> None:
    """Make a cassette of a recording of the reference client; it has no sound."""
    from rtc_client.cli.cassette import run_convert

    raise typer.Exit(run_convert(recording, folder))


@app.command(
    epilog="exit status: 0 ended by POST /_shutdown, 1 internal error, 2 usage, 6 a call did not meet the scenario, "
    "130 interrupted, 143 terminated"
)
def answer(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one")] = 0,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    voice: Annotated[
        str | None, typer.Option(metavar="FILE|tone:HZ|echo|none", help="how the agent sounds; default: a sample")
    ] = None,
    text: Annotated[str | None, typer.Option(help="the words that go with --voice")] = None,
    caller_text: Annotated[str | None, typer.Option(help='what the agent "understands" of the caller')] = None,
    scenario: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="what the agent does and the client must do")
    ] = None,
    cassette: Annotated[
        Path | None, typer.Option(metavar="DIR", help="do in every call what was recorded, and compare the client")
    ] = None,
    lenient: Annotated[
        bool, _flag("--lenient", help="understand other dialects as far as a call can come of it")
    ] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Run the fake answerer for other programs until it is told to end. The first line on stdout is JSON.

    It names base_url, where calls are placed, and page_url, where people watch them. GET /_report tells all that
    came over the wire, POST /_shutdown ends it.
    """
    from rtc_client.cli.answer import AnswerOptions, run_answer

    options = AnswerOptions(port, host, voice, text, caller_text, scenario, cassette, lenient)
    raise typer.Exit(run_answer(options, verbose=verbose))


@app.command(
    epilog="An option without UP/DOWN is for both directions; up is from the caller to the agent. "
    "exit status: 0 ended by POST /_shutdown, 1 internal error, 2 usage, 130 interrupted, 143 terminated"
)
def relay(
    to: Annotated[str, typer.Option(metavar="URL", help="base of the answerer to stand before")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one")] = 0,
    host: Annotated[str, typer.Option(help="address to listen at, for HTTP and media")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="the same seed loses the same packets")] = 0,
    loss: Annotated[str, typer.Option(metavar="%[/%]", help="media packets lost")] = "0",
    burst: Annotated[str, typer.Option(metavar="N[/N]", help="how many are lost in a row")] = "1",
    delay: Annotated[str, typer.Option(metavar="MS[/MS]", help="what every datagram takes")] = "0",
    jitter: Annotated[str, typer.Option(metavar="MS[/MS]", help="what it takes more, evenly spread")] = "0",
    keep_order: Annotated[bool, _flag("--keep-order", help="jitter lets no datagram overtake another")] = False,
    reorder: Annotated[str, typer.Option(metavar="%[/%]", help="media packets that later ones overtake")] = "0",
    duplicate: Annotated[str, typer.Option(metavar="%[/%]", help="media packets that come twice")] = "0",
    bit_rate: Annotated[
        str | None, typer.Option(metavar="KBIT[/KBIT]", help="what passes in a second; default: everything")
    ] = None,
    queue: Annotated[str, typer.Option(metavar="MS[/MS]", help="what waits longer for its turn is lost")] = "200",
    blackout: Annotated[
        list[str] | None,
        typer.Option(metavar="AT:FOR", help="nothing passes FOR seconds, AT seconds after the first media; repeatable"),
    ] = None,
    figures: Annotated[
        float | None, typer.Option(metavar="S", min=0.1, help="print a line of figures in JSON every S seconds")
    ] = None,
    allow_insecure: Annotated[bool, _flag("--allow-insecure", help="let plain http leave this machine")] = False,
    quiet: Annotated[bool, _flag("--quiet", help="no live view")] = False,
    verbose: Annotated[bool, _flag("--verbose", help="write the log to stderr")] = False,
) -> None:
    """Stand before any answerer and put a bad network between it and its callers. The first line on stdout is JSON.

    Callers use its base_url in place of the answerer's. GET /_report tells what has passed, POST /_blackout cuts the
    lines, POST /_shutdown ends it.
    """
    from rtc_client.cli.relay import RelayOptions, run_relay

    options = RelayOptions(
        to=to,
        port=port,
        host=host,
        seed=seed,
        loss=loss,
        burst=burst,
        delay=delay,
        jitter=jitter,
        keep_order=keep_order,
        reorder=reorder,
        duplicate=duplicate,
        bit_rate=bit_rate,
        queue=queue,
        blackouts=tuple(blackout or ()),
        figures_s=figures,
        allow_insecure=allow_insecure,
        quiet=quiet,
    )
    raise typer.Exit(run_relay(options, verbose=verbose))


def main() -> None:
    """Run the command and exit with its status."""
    streams.make_lenient()
    try:
        status = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except _UsageError as error:
        status = _tell_usage_error(error.format_message())
    except BrokenPipeError as error:  # help that nobody reads
        status = streams.undelivered(error, 0)
    except (typer.Abort, KeyboardInterrupt):
        status = 130
    sys.exit(streams.flushed(status if isinstance(status, int) else 0))


def _tell_usage_error(message: str) -> int:
    """Say what is wrong on one line, and with `--json` in one object as well; a usage error is always status 2."""
    streams.complain(f"rtc-client: {message}")
    if "--json" in sys.argv:
        from rtc_client.cli.outcome import print_json, usage_failure

        print_json(usage_failure(message), 2)
    return 2
