"""Refuses requests that another web site makes a browser send to the control routes."""

from __future__ import annotations

import ipaddress
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def foreign(request: web.Request) -> str | None:
    """Return why a request may be another web site's doing, or None.

    A site can make a browser send requests here (then `Origin` or `Sec-Fetch-Site` tell), or give its own name our
    address (then `Host` holds that name). Programs that are no browser send neither of the first two.
    """
    host = request.headers.get("Host", "")
    if not _is_local_name(host):
        return "the Host is a domain name: reach the answerer by its IP address or as localhost"
    origin = request.headers.get("Origin")
    if origin is not None and origin != f"http://{host}":
        return "the Origin is not the answerer's own page"
    is_visit = request.method == "GET" and request.headers.get("Sec-Fetch-Mode") == "navigate" and request.path == "/"
    if request.headers.get("Sec-Fetch-Site", "none") not in ("none", "same-origin") and not is_visit:
        return "the request comes from another web site"
    return None


def _is_local_name(host: str) -> bool:
    """Return whether no other site can own this name: an address, or a name without a domain (as in a container)."""
    name = urlsplit(f"//{host}").hostname or ""
    with suppress(ValueError):
        ipaddress.ip_address(name)
        return True
    return bool(name) and ("." not in name or name.endswith(".localhost"))


def guarded(handler: Handler) -> Handler:
    """Return the handler, with 403 for requests of other web sites."""

    async def handle(request: web.Request) -> web.StreamResponse:
        if (reason := foreign(request)) is not None:
            return error(403, reason)
        return await handler(request)

    return handle


def error(status: int, message: str) -> web.Response:
    """Return an error as the API shapes it."""
    return web.json_response({"error": {"message": message}}, status=status)
