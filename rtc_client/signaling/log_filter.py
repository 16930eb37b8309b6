"""Keeps httpx and httpcore from logging our own requests.

httpx logs every URL at INFO, and a provider's query may hold a key; httpcore logs the headers of every answer at
DEBUG. A program that turns on logging for everything must not find its secrets there.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

# A filter works only on the very logger that a record is made by, not on its children.
_LOGGERS: Final = ("httpx", "httpcore.connection", "httpcore.http11", "httpcore.http2", "httpcore.proxy")

_is_ours: Final[ContextVar[bool]] = ContextVar("rtc_client_request", default=False)


@contextmanager
def suppress_http_logs() -> Iterator[None]:
    """Let no record of httpx or httpcore come out of this block, in this task."""
    token = _is_ours.set(True)
    try:
        yield
    finally:
        _is_ours.reset(token)


def _is_not_ours(_: logging.LogRecord) -> bool:
    return not _is_ours.get()


for _name in _LOGGERS:
    logging.getLogger(_name).addFilter(_is_not_ours)
