"""Everything that a log record may show."""

from __future__ import annotations

import logging


def everything_in(record: logging.LogRecord) -> str:
    """Return all that a handler could write of a record: message, arguments, extra fields, traceback."""
    formatted = logging.Formatter().format(record)
    return f"{formatted} {record.__dict__!r}"
