"""What an ended call means outside: its exit status, its JSON object, its one line of error."""

from __future__ import annotations

import json
from typing import Final

from rtc_client.call.result import CallResult
from rtc_client.errors import CallLost, ConfigError, MediaError, SidebandError, SignalingError
from rtc_client.protocol.state import End, EndReason

COMPLETED: Final = 0
INTERNAL_ERROR: Final = 1
USAGE: Final = 2
REFUSED: Final = 3
NO_MEDIA: Final = 4
LOST: Final = 5
INTERRUPTED: Final = 130
TERMINATED: Final = 143


def exit_status(result: CallResult, *, signalled: int | None) -> int:
    """Return the exit status (architecture.md); `signalled` is the status of the signal that ended us, if one did."""
    if result.end is not None and result.end.reason is EndReason.INTERRUPTED:
        return signalled or INTERRUPTED
    match result.error:
        case None:
            return COMPLETED
        case ConfigError():
            return USAGE
        case SignalingError() | SidebandError():
            return REFUSED
        case MediaError():
            return NO_MEDIA
        case CallLost():
            return LOST
        case _:
            return INTERNAL_ERROR


def as_json(result: CallResult, status: int) -> str:
    """Return the one object that `--json` prints."""
    values = result.as_dict()
    return json.dumps({"call_id": values.pop("call_id"), "exit_status": status, **values}, ensure_ascii=False)


def failure(error: Exception) -> CallResult:
    """Return the result of a call that was never dialled."""
    end = End(reason=EndReason.FAILED, by="program", detail=str(error))
    return CallResult(end=end, error=error)


def usage_failure(message: str) -> str:
    """Return the JSON object for options that cannot be read."""
    return as_json(failure(ConfigError(message)), USAGE)


def error_line(result: CallResult) -> str | None:
    """Return what went wrong on one line, None when nothing did."""
    if result.error is None:
        return None
    message = str(result.error) or type(result.error).__name__
    call = f" (call {result.call_id})" if result.call_id and result.call_id not in message else ""
    return f"rtc-client: {message}{call}"
