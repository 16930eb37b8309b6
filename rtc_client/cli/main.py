"""The `rtc-client` command: its verbs, and the one place that turns an ending into an exit status.

Their options are in `options`. Nothing heavy but typer is imported here, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Annotated

import typer

from rtc_client.cli.console import stdio as streams
from rtc_client.cli.options import answer, call, cassette, demo, devices, relay, rest, shared, transcribe

_UsageError: type[typer.BadParameter] = next(k for k in typer.BadParameter.__mro__ if k.__name__ == "ClickException")
"""Root of what typer raises for options it cannot read: click's own class, or that of the copy inside typer."""

app = typer.Typer(
    name="rtc-client",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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


app.command(epilog=shared.EPILOG)(call.call)
app.command(epilog=shared.EPILOG)(transcribe.transcribe)
app.command(epilog=shared.EPILOG)(demo.demo)
app.command(epilog=devices.EPILOG)(devices.devices)
app.command(epilog=rest.EPILOG)(rest.hangup)
app.command(epilog=rest.EPILOG)(rest.secret)
cassettes = typer.Typer(name="cassette", help="Compare and convert recorded calls.", no_args_is_help=True)
cassettes.command(epilog=cassette.DIFF_EPILOG)(cassette.diff)
cassettes.command()(cassette.convert)
app.add_typer(cassettes)
app.command(epilog=answer.EPILOG)(answer.answer)
app.command(epilog=relay.EPILOG)(relay.relay)


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
    streams.print_error(f"rtc-client: {message}")
    if "--json" in sys.argv:
        from rtc_client.cli.exit_status import print_json, usage_failure

        print_json(usage_failure(message), 2)
    return 2
