"""The exit status, the JSON object and the error line of an ended call."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rtc_client.cli.console import stdio as streams
from rtc_client.errors import (
    CallLost,
    ConfigError,
    KeyUnavailable,
    MediaError,
    RequestError,
    SidebandError,
    SignalingError,
)
from rtc_client.protocol.call_state import End, EndReason

if TYPE_CHECKING:  # half a second of imports, which verbs without a call do without
    from rtc_client.call.result import CallResult

COMPLETED: Final = 0
INTERNAL_ERROR: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
NO_MEDIA: Final = 4
LOST: Final = 5
SCENARIO_NOT_MET: Final = 6
TERMINAL_CLOSED: Final = 129
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def exit_status(result: CallResult, *, signalled: int | None) -> int:
    """Return the exit status (README.md); `signalled` is the status of the signal that ended us, if one did."""
    if result.end is not None and result.end.reason is EndReason.INTERRUPTED:
        return signalled or INTERRUPTED
    return status_of(result.error)


def status_of(error: Exception | None) -> int:
    """Return the exit status that an error means; that of None is a completed call."""
    match error:
        case None:
            return COMPLETED
        case ConfigError() | KeyUnavailable():
            return USAGE
        case SignalingError() | SidebandError() | RequestError():
            return REFUSED
        case MediaError():
            return NO_MEDIA
        case CallLost():
            return LOST
        case _:
            return INTERNAL_ERROR


def as_json(result: CallResult, status: int, *, encoding: str = "utf-8") -> str:
    """Return the one object that `--json` prints; what `encoding` cannot say is escaped."""
    values = result.as_dict()
    values = {"call_id": values.pop("call_id"), "exit_status": status, **values}
    text = json.dumps(values, ensure_ascii=False)
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(values)
    return text


def failure(error: Exception) -> CallResult:
    """Return the result of a call that was never dialled."""
    from rtc_client.call.result import CallResult

    end = End(reason=EndReason.FAILED, by="program", detail=str(error))
    return CallResult(end=end, error=error)


def usage_failure(message: str) -> CallResult:
    """Return the result of options that cannot be read."""
    return failure(ConfigError(message))


def print_json(result: CallResult, status: int) -> int:
    """Print the one object of `--json` on stdout; return the status as `streams.say` does."""
    return streams.print_line(as_json(result, status, encoding=streams.encoding()), status)


def error_line(result: CallResult) -> str | None:
    """Return what went wrong on one line, None when nothing did."""
    if result.error is None:
        return None
    message = str(result.error) or type(result.error).__name__
    call = f" (call {result.call_id})" if result.call_id and result.call_id not in message else ""
    return f"rtc-client: {message}{call}"
