"""`rtc-client transcribe`: prints what a file, or a microphone, says, as its text settles."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.live import Live
from rich.text import Text

from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.basic import FileSource
from rtc_client.call.call import Call
from rtc_client.call.connect import connect
from rtc_client.call.result import CallResult
from rtc_client.cli.commands.call import events_file, run_until_end
from rtc_client.cli.commands.device_names import means_device, microphone_named
from rtc_client.cli.commands.parsing import header_pair, set_up_logging, split_pair
from rtc_client.cli.console.stdio import hush_libraries, print_error, print_line
from rtc_client.cli.exit_status import error_line, exit_status, failure, print_json
from rtc_client.config import CallConfig
from rtc_client.errors import ConfigError, RtcClientError
from rtc_client.protocol.redact import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscribeOptions:
    """The options of the command, as they were typed."""

    source: str
    base_url: str | None
    query: tuple[str, ...]
    headers: tuple[str, ...]
    model: str | None
    events: Path | None
    max_duration_s: float | None
    linger_s: float
    allow_insecure: bool
    json: bool


def run_transcribe(options: TranscribeOptions, *, verbose: bool) -> int:
    """Write down what is said, and return the exit status."""
    if means_device(options.source):
        hush_libraries()
    set_up_logging(verbose=verbose)
    unread = 0
    try:
        config, source = config_from(options), source_of(options.source)
        with events_file(options.events) as wire_log, _page(is_silent=options.json) as page:
            call = connect(config, source=source, wire_log=wire_log)
            result, signalled = asyncio.run(_write_down(call, page))
            unread = page.status
    except ConfigError as error:
        result, signalled = failure(error), None
    status = exit_status(result, signalled=signalled)
    if (line := error_line(result)) is not None and signalled is None:
        print_error(line)
    return print_json(result, status) if options.json else status or unread


def config_from(options: TranscribeOptions) -> CallConfig:
    """Return the config that options and environment make.

    Raises:
        ConfigError: One of them cannot work.
    """
    given: dict[str, Any] = {"base_url": options.base_url, "transcription_model": options.model}
    return CallConfig.from_env(
        **{"voice": None} | {name: value for name, value in given.items() if value is not None},
        transport="websocket",
        mode="transcription",
        query=tuple(split_pair("--query", "=", item) for item in options.query),
        headers=dict(header_pair(item) for item in options.headers),
        max_duration_s=options.max_duration_s,
        linger_s=options.linger_s,
        allow_insecure=options.allow_insecure,
    )


def source_of(name: str) -> Source:
    """Return what is to be written down.

    Raises:
        ConfigError: The microphone has no name.
    """
    return microphone_named(name) or FileSource(Path(name))


class _Page:
    """What is shown of a transcription: settled texts line by line, and on a terminal the one that is growing."""

    def __init__(self, live: Live | None, *, is_silent: bool) -> None:
        self._live, self._is_silent = live, is_silent
        self._told: set[tuple[int, str | None]] = set()
        self.status = 0
        """1 when a text could not be delivered."""

    def show(self, call: Call, *, is_over: bool = False) -> None:
        """Show what is new; once the call is over, also a text that never settled."""
        growing = ""
        for entry in call.transcript if not self._is_silent else ():
            key = entry.at_ms, entry.item_id
            if key in self._told or not entry.text:
                continue
            if entry.final or is_over:
                self._told.add(key)
                self._print(printable(entry.text))
            else:
                growing = printable(entry.text)
        if self._live is not None:
            self._live.update(Text(growing, style="italic dim"), refresh=True)

    def _print(self, text: str) -> None:
        if self._live is not None:
            self._live.console.print(Text(text))
        else:
            self.status = print_line(text, self.status)


@contextmanager
def _page(*, is_silent: bool) -> Iterator[_Page]:
    console = Console()
    if is_silent or not console.is_terminal:
        yield _Page(None, is_silent=is_silent)
        return
    with Live(console=console, refresh_per_second=8, transient=True) as live:
        yield _Page(live, is_silent=False)


async def _write_down(call: Call, page: _Page) -> tuple[CallResult, int | None]:
    following = asyncio.create_task(_follow(call, page), name="transcribe-follow")
    try:
        return await run_until_end(call, (), quiet=True)
    finally:
        following.cancel()
        await asyncio.wait([following])
        page.show(call, is_over=True)


async def _follow(call: Call, page: _Page) -> None:
    with suppress(RtcClientError):  # it is told with the result
        async for _ in call.events():
            page.show(call)
