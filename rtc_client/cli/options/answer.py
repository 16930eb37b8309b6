"""The options of `rtc-client answer`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtc_client.cli.options.shared import Verbose, flag

EPILOG = (
    "exit status: 0 ended by POST /_shutdown, 1 internal error, 2 usage, 6 a call did not meet the scenario, "
    "129 terminal closed, 130 interrupted, 143 terminated"
)


def answer(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one")] = 0,
    host: Annotated[str, typer.Option(help="address to listen at")] = "127.0.0.1",
    voice: Annotated[
        str | None, typer.Option(metavar="FILE|tone:HZ|echo|none", help="the agent's voice; default: a speech sample")
    ] = None,
    text: Annotated[str | None, typer.Option(help="the words that go with --voice")] = None,
    caller_text: Annotated[str | None, typer.Option(help='what the agent "understands" of the caller')] = None,
    scenario: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="scenario: what the agent does, and what the client must do"),
    ] = None,
    cassette: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="replay this cassette, and compare the client with it"),
    ] = None,
    lenient: Annotated[bool, flag("--lenient", help="accept other dialects where a call is still possible")] = False,
    verbose: Verbose = False,
) -> None:
    """Run the fake answerer for other programs until it is told to end. The first line on stdout is JSON.

    It names base_url, where calls are placed, and page_url, where people watch them. GET /_report tells all that
    came over the wire, POST /_shutdown ends it.
    """
    from rtc_client.cli.commands.answer import AnswerOptions, run_answer

    options = AnswerOptions(port, host, voice, text, caller_text, scenario, cassette, lenient)
    raise typer.Exit(run_answer(options, verbose=verbose))
