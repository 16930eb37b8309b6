"""The options of `rtc-client cassette`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtc_client.cli.options.shared import flag

DIFF_EPILOG = "exit status: 0 no difference, 1 they differ, 2 one of them cannot be read"


def diff(
    a: Annotated[Path, typer.Argument(metavar="A", help="a cassette, or a recording of the reference client")],
    b: Annotated[Path, typer.Argument(metavar="B", help="another")],
    sequence: Annotated[bool, flag("--sequence", help="compare the order of the messages too")] = False,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout")] = False,
) -> None:
    """Show how two recorded calls differ in structure, whatever their ids, times, addresses, keys and words."""
    from rtc_client.cli.commands.cassette import run_diff

    raise typer.Exit(run_diff(a, b, sequence=sequence, json=json))


def convert(
    recording: Annotated[Path, typer.Argument(metavar="RECORDING", help="JSON file of the reference client's")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="where the cassette goes")],
) -> None:
    """Make a cassette of a recording of the reference client; it has no audio."""
    from rtc_client.cli.commands.cassette import run_convert

    raise typer.Exit(run_convert(recording, folder))
