"""The options of `rtc-client hangup` and `secret`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rtc_client.cli.options.shared import BaseUrl, Header, Query, Verbose, flag

EPILOG = "exit status: 0 done, 1 internal error, 2 usage (also no key), 3 refused or no answer, 130 interrupted"


def hangup(
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="call id from a call's report, rtc_…")],
    base_url: BaseUrl = None,
    query: Query = None,
    header: Header = None,
    allow_insecure: Annotated[bool, flag("--allow-insecure", help="let plain http leave this machine")] = False,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout, also when it fails")] = False,
    verbose: Verbose = False,
) -> None:
    """Hang up a call by its id, whoever placed it. The key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.commands.rest import RestOptions, run_hangup

    options = RestOptions(
        base_url=base_url,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        allow_insecure=allow_insecure,
        json=json,
    )
    raise typer.Exit(run_hangup(call_id, options, verbose=verbose))


def secret(
    session: Annotated[
        str | None, typer.Option(metavar="JSON|@FILE", help="session of the type realtime or transcription")
    ] = None,
    expires_after: Annotated[
        int | None,
        typer.Option(metavar="S", help="seconds in which the key may start sessions, 10 to 7200; default: 600"),
    ] = None,
    base_url: BaseUrl = None,
    query: Query = None,
    header: Header = None,
    allow_insecure: Annotated[bool, flag("--allow-insecure", help="let plain http leave this machine")] = False,
    json: Annotated[bool, flag("--json", help="print one JSON object on stdout, also when it fails")] = False,
    verbose: Verbose = False,
) -> None:
    """Print a new ephemeral key for a browser, a device or a call. Our own key comes from $OPENAI_API_KEY only."""
    from rtc_client.cli.commands.rest import RestOptions, run_secret

    options = RestOptions(
        base_url=base_url,
        query=tuple(query or ()),
        headers=tuple(header or ()),
        allow_insecure=allow_insecure,
        json=json,
    )
    raise typer.Exit(run_secret(session, expires_after, options, verbose=verbose))
