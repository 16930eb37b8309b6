"""The options of `rtc-client devices`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rtc_client.cli.options.shared import Verbose, flag

EPILOG = "exit status: 0 done, 1 internal error, 2 usage (also what is not installed)"


def devices(
    meter: Annotated[bool, flag("--meter", help="show the level of every microphone, until Ctrl-C")] = False,
    meter_for: Annotated[float | None, typer.Option(metavar="S", min=0.1, help="the same, for S seconds")] = None,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout")] = False,
    verbose: Verbose = False,
) -> None:
    """List microphones and speakers, for --in mic:NAME and --out speaker:NAME, and at which rates they open."""
    from rtc_client.cli.commands.devices import DevicesOptions, run_devices

    options = DevicesOptions(meter=meter or meter_for is not None, meter_for_s=meter_for, json=json)
    raise typer.Exit(run_devices(options, verbose=verbose))
