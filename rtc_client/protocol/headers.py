"""The headers that identify the caller, the same on offer, sideband and hang-up (protocol.md section 1)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib.metadata import version
from typing import Final

ORIGINATOR: Final = "rtc_client"
VERSION_HEADER: Final = ("openai-alpha", "quicksilver=v1")


@cache
def user_agent() -> str:
    """Return our product token, `rtc_client/<version>`."""
    return f"{ORIGINATOR}/{version('rtc-client')}"


def call_headers(api_key: str, session_id: str, *, is_v1: bool = True) -> list[tuple[str, str]]:
    """Return the headers that every request of one call carries; realtime v2 has no `openai-alpha` (section 10)."""
    return [
        *([VERSION_HEADER] if is_v1 else ()),
        ("x-session-id", session_id),
        ("authorization", f"Bearer {api_key}"),
        ("originator", ORIGINATOR),
        ("user-agent", user_agent()),
    ]


def api_headers(api_key: str) -> list[tuple[str, str]]:
    """Return the headers of a request beside a call, which is of the published API and of no dialect."""
    return [("authorization", f"Bearer {api_key}"), ("originator", ORIGINATOR), ("user-agent", user_agent())]


def with_extra(headers: Iterable[tuple[str, str]], extra: Mapping[str, str]) -> list[tuple[str, str]]:
    """Return `headers` with the user's own added; one of theirs replaces ours of the same name, in any case."""
    theirs = {name.lower() for name in extra}
    return [*((n, v) for n, v in headers if n.lower() not in theirs), *extra.items()]
