"""The options of `rtc-client transcribe`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtc_client.cli.options.shared import BaseUrl, Header, Query, Verbose, flag


def transcribe(
    source: Annotated[str, typer.Argument(metavar="FILE|mic[:NAME]", help="audio to transcribe, in real time")],
    base_url: BaseUrl = None,
    query: Query = None,
    header: Header = None,
    model: Annotated[str | None, typer.Option(metavar="NAME", help="default: gpt-4o-mini-transcribe")] = None,
    events: Annotated[
        Path | None, typer.Option(metavar="FILE.jsonl", help="write every message, those with audio too")
    ] = None,
    max_duration: Annotated[
        float | None, typer.Option(metavar="S", help="stop S seconds after connecting; default: at the end of FILE")
    ] = None,
    linger: Annotated[
        float, typer.Option(metavar="S", help="after the end of FILE, stop once no text has come for S seconds")
    ] = 3.0,
    allow_insecure: Annotated[bool, flag("--allow-insecure", help="let plain ws leave this machine")] = False,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout instead of the text")] = False,
    verbose: Verbose = False,
) -> None:
    """Print what is said as its text settles, one line a turn. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.commands.transcribe import TranscribeOptions, run_transcribe

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
