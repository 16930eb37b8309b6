"""Every URL a call uses, made from base URLs, provider query and call id (protocol.md section 1.3)."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, TypeAlias
from urllib.parse import SplitResult, quote, urlencode, urlsplit, urlunsplit

from rtc_client.errors import ConfigError

Query: TypeAlias = Sequence[tuple[str, str]]

API_HOST: Final = "api.openai.com"
_CHATGPT_HOST: Final = "chatgpt.com"
_AVAS: Final = (("intent", "quicksilver"), ("architecture", "avas"))
_WS_SCHEME: Final = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}


def check_base_url(name: str, url: str, *, allow_insecure: bool, websocket: bool = False) -> None:
    """Raise unless `url` can be the base of a request; `name` is what the message calls it.

    Plain http and ws pass for loopback hosts only, unless `allow_insecure` is set.

    Raises:
        ConfigError: With a sentence that says what to change. The URL itself is not repeated.
    """
    schemes = ("http", "https", "ws", "wss") if websocket else ("http", "https")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ConfigError(f"{name} is not a URL: it needs the form https://host/path") from None
    if parts.scheme not in schemes or not host:
        raise ConfigError(f"{name} must start with {' or '.join(s + '://' for s in schemes)} and name a host")
    if parts.username is not None or parts.password is not None:
        raise ConfigError(f"{name} must not carry a user name or a password")
    if parts.fragment:
        raise ConfigError(f"{name} must not carry a fragment (the part behind #)")
    if not url.isascii() or any(c <= " " or c == "\x7f" for c in url):
        raise ConfigError(f"{name} must be plain ASCII without spaces or control characters")
    if parts.scheme in ("http", "ws") and not allow_insecure and not is_loopback(url):
        raise ConfigError(
            f"{name} is not encrypted and its host is not this machine: use https, or allow it with "
            "allow_insecure=True (--allow-insecure)"
        )


def is_loopback(url: str) -> bool:
    """Return whether the host of `url` is this machine, by name (`localhost`) or loopback address."""
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_backend(base_url: str) -> bool:
    """Return whether the base takes the JSON shape of the POST: its URL contains `/backend-api` (section 1.2)."""
    return "/backend-api" in base_url


def calls_url(base_url: str, query: Query) -> str:
    """Return where the offer is posted: provider query parameters come before the AVAS pair."""
    return _join(base_url, "/realtime/calls", (*query, *_AVAS))


def hangup_url(base_url: str, query: Query, call_id: str) -> str:
    """Return where the hang-up of a call is posted."""
    return call_verb_url(base_url, query, call_id, "hangup")


def call_verb_url(base_url: str, query: Query, call_id: str, verb: str) -> str:
    """Return where it is posted what shall become of a call: `hangup`, `accept`, `reject` or `refer`."""
    return _join(base_url, f"/realtime/calls/{quote(call_id, safe='')}/{verb}", query)


def client_secrets_url(base_url: str, query: Query) -> str:
    """Return where ephemeral keys are minted."""
    return _join(base_url, "/realtime/client_secrets", query)


def sideband_base(base_url: str, sideband_url: str | None) -> str:
    """Return the base of the sideband: the given one, else the base of the call.

    A `/backend-api` base has its sideband at `/v1/realtime` of the same host, or of the API host when that
    host is chatgpt.com.
    """
    if sideband_url is not None:
        return sideband_url
    if not is_backend(base_url):
        return base_url
    parts = urlsplit(base_url)
    if parts.hostname == _CHATGPT_HOST:
        return urlunsplit(("https", API_HOST, "/v1/realtime", "", ""))
    return urlunsplit((parts.scheme, parts.netloc, "/v1/realtime", "", ""))


def sideband_url(base: str, query: Query, call_id: str) -> str:
    """Return the websocket URL that joins a call.

    The base's own query comes first, then `intent`, then the provider's parameters, then `call_id`.
    """
    return _websocket_url(base, (_AVAS[0], *query, ("call_id", call_id)))


def direct_url(base: str, query: Query, model: str, *, is_v1: bool) -> str:
    """Return the websocket URL that is a call by itself (section 10).

    The base's own query comes first, then `intent` on realtime v1, then `model`, then the provider's parameters.
    """
    return _websocket_url(base, (*(_AVAS[:1] if is_v1 else ()), ("model", model), *query))


def _websocket_url(base: str, pairs: Query) -> str:
    parts = urlsplit(base)
    path = parts.path.rstrip("/")
    if path == "":
        path = "/v1/realtime"
    elif path.endswith("/v1"):
        path += "/realtime"
    return urlunsplit((_WS_SCHEME[parts.scheme], parts.netloc, path, _with_query(parts, pairs), ""))


def _join(base_url: str, path: str, pairs: Query) -> str:
    parts = urlsplit(base_url)
    return urlunsplit((parts.scheme, parts.netloc, parts.path.rstrip("/") + path, _with_query(parts, pairs), ""))


def _with_query(parts: SplitResult, pairs: Query) -> str:
    encoded = urlencode(pairs, quote_via=quote)
    return "&".join(q for q in (parts.query, encoded) if q)
