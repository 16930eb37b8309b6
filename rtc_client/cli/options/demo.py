"""The options of `rtc-client demo`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtc_client.cli.options.shared import Verbose, flag


def demo(
    folder: Annotated[Path, typer.Option("--dir", help="where the recordings and the report go")] = Path("demo-call"),
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout")] = False,
    quiet: Annotated[bool, flag("--quiet", help="no live view and no report")] = False,
    verbose: Verbose = False,
) -> None:
    """Call the embedded fake answerer: real HTTP, ICE, DTLS, SRTP, Opus and websocket, all within this machine."""
    from rtc_client.cli.commands.demo import run_demo

    raise typer.Exit(run_demo(folder, json=json, quiet=quiet, verbose=verbose))
