"""The options of `rtc-client relay`. Imports nothing heavy before the verb runs."""

from __future__ import annotations

from typing import Annotated

import typer

from rtc_client.cli.options.shared import Verbose, flag

EPILOG = (
    "An option without UP/DOWN is for both directions; up is from the caller to the agent. "
    "exit status: 0 ended by POST /_shutdown, 1 internal error, 2 usage, "
    "129 terminal closed, 130 interrupted, 143 terminated"
)


def relay(
    to: Annotated[str, typer.Option(metavar="URL", help="base of the answerer that calls are relayed to")],
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 picks a free one")] = 0,
    host: Annotated[str, typer.Option(help="address to listen at, for HTTP and media")] = "127.0.0.1",
    seed: Annotated[int, typer.Option(help="the same seed loses the same packets")] = 0,
    loss: Annotated[str, typer.Option(metavar="%[/%]", help="media packets lost")] = "0",
    burst: Annotated[str, typer.Option(metavar="N[/N]", help="packets lost in a row")] = "1",
    delay: Annotated[str, typer.Option(metavar="MS[/MS]", help="delay of every datagram")] = "0",
    jitter: Annotated[str, typer.Option(metavar="MS[/MS]", help="extra delay, evenly spread from 0 to this")] = "0",
    keep_order: Annotated[bool, flag("--keep-order", help="jitter lets no datagram overtake another")] = False,
    reorder: Annotated[str, typer.Option(metavar="%[/%]", help="media packets that later ones overtake")] = "0",
    duplicate: Annotated[str, typer.Option(metavar="%[/%]", help="media packets that come twice")] = "0",
    bit_rate: Annotated[
        str | None, typer.Option(metavar="KBIT[/KBIT]", help="bit rate that passes; default: unlimited")
    ] = None,
    queue: Annotated[str, typer.Option(metavar="MS[/MS]", help="longest wait in the queue; the rest is lost")] = "200",
    blackout: Annotated[
        list[str] | None,
        typer.Option(metavar="AT:FOR", help="nothing passes FOR seconds, AT seconds after the first media; repeatable"),
    ] = None,
    figures: Annotated[
        float | None, typer.Option(metavar="S", min=0.1, help="print a line of figures in JSON every S seconds")
    ] = None,
    allow_insecure: Annotated[bool, flag("--allow-insecure", help="let plain http leave this machine")] = False,
    quiet: Annotated[bool, flag("--quiet", help="no live view")] = False,
    verbose: Verbose = False,
) -> None:
    """Stand before any answerer and put a bad network between it and its callers. The first line on stdout is JSON.

    Callers use its base_url in place of the answerer's. GET /_report tells what has passed, POST /_blackout cuts the
    lines, POST /_shutdown ends it.
    """
    from rtc_client.cli.commands.relay import RelayOptions, run_relay

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
