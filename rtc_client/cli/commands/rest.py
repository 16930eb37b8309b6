"""`rtc-client hangup` and `rtc-client secret`: requests beside a call, their outcome in a line or an object."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from rtc_client.cli.commands.parsing import header_pair, set_up_logging, split_pair, text_or_file
from rtc_client.cli.console import stdio as streams
from rtc_client.cli.exit_status import status_of
from rtc_client.errors import ConfigError, RequestRejected, RtcClientError
from rtc_client.signaling.realtime_api import RealtimeApi

_NO_SECRET: Final = {"value": None, "expires_at": None, "session": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestOptions:
    """The options that both verbs have, as they were typed."""

    base_url: str | None
    query: tuple[str, ...]
    headers: tuple[str, ...]
    allow_insecure: bool
    json: bool


def run_hangup(call_id: str, options: RestOptions, *, verbose: bool) -> int:
    """Hang up a call by its id, tell it, and return the exit status."""

    async def hang_up(api: RealtimeApi) -> dict[str, object]:
        await api.hangup(call_id)
        return {}

    return _run(hang_up, {"call_id": call_id}, options, verbose, lambda _: f"call {call_id} is hung up")


def run_secret(session: str | None, expires_after_s: int | None, options: RestOptions, *, verbose: bool) -> int:
    """Mint an ephemeral key, print it, and return the exit status."""

    async def mint(api: RealtimeApi) -> dict[str, object]:
        secret = await api.create_client_secret(_session(session), expires_after_s=expires_after_s)
        return {"value": secret.value, "expires_at": secret.expires_at, "session": secret.session}

    return _run(mint, _NO_SECRET, options, verbose, lambda told: str(told["value"]))


def _run(
    ask: Callable[[RealtimeApi], Awaitable[dict[str, object]]],
    empty: dict[str, Any],
    options: RestOptions,
    verbose: bool,
    line: Callable[[dict[str, Any]], str],
) -> int:
    set_up_logging(verbose=verbose)
    told, error = dict(empty), None
    try:
        told |= asyncio.run(_ask(ask, options))
    except RtcClientError as failure:
        error = failure
        streams.print_error(f"rtc-client: {failure}")
    status = status_of(error)
    if options.json:
        return streams.print_line(json.dumps(told | {"exit_status": status, "error": _error_json(error)}), status)
    return streams.print_line(line(told), status) if error is None else status


async def _ask(ask: Callable[[RealtimeApi], Awaitable[dict[str, object]]], options: RestOptions) -> dict[str, object]:
    given: dict[str, Any] = {} if options.base_url is None else {"base_url": options.base_url}
    api = RealtimeApi.from_env(
        **given,
        query=[split_pair("--query", "=", item) for item in options.query],
        headers=dict(header_pair(item) for item in options.headers),
        allow_insecure=options.allow_insecure,
    )
    async with api:
        return await ask(api)


def _session(text: str | None) -> dict[str, object] | None:
    given = text_or_file("the session", text)
    if given is None:
        return None
    try:
        session = json.loads(given)
    except (ValueError, RecursionError):
        session = None
    if not isinstance(session, dict):
        raise ConfigError('--session needs a JSON object, as in {"type": "realtime", "instructions": "Be brief."}')
    return session


def _error_json(error: RtcClientError | None) -> dict[str, object] | None:
    if error is None:
        return None
    status = error.status if isinstance(error, RequestRejected) else None
    return {"type": type(error).__name__, "message": str(error), "status": status}
