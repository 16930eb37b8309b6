"""The call id: how it is read from a `Location` header, and what it may be made of."""

from __future__ import annotations

import re
from typing import Final

from rtc_client.errors import AnswerInvalid, ConfigError

MAX_CALL_ID_CHARS: Final = 256

_ALLOWED: Final = re.compile(r"[A-Za-z0-9_-]+")
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-?(?:[0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}")


def check_call_id(call_id: object) -> None:
    """Raise unless `call_id` can be one, and stand in a path.

    Raises:
        ConfigError: It cannot.
    """
    if not isinstance(call_id, str) or not _ALLOWED.fullmatch(call_id) or len(call_id) > MAX_CALL_ID_CHARS:
        raise ConfigError(
            "the call id is malformed: it has letters, digits, _ and - only, as in rtc_123, and at most "
            f"{MAX_CALL_ID_CHARS} of them"
        )


def call_id_from_location(location: str | None) -> str:
    """Return the call id in a `Location` header, relative, bare or absolute.

    The query is cut off, the path is searched from its end, and the first segment that is `rtc_` with at
    least one more character, or a UUID, is the id (protocol.md section 1.4). Unlike the reference
    client, an id with any character but letters, digits, `_` and `-` is refused: it would be written into
    the sideband's query and into the path of the hang-up.

    Raises:
        AnswerInvalid: The header is missing, holds no id, or holds one that is not safe to use.
    """
    if location is None:
        raise AnswerInvalid("the answer has no Location header, so the call has no id")
    path = re.split(r"[?#]", location, maxsplit=1)[0]
    for segment in reversed(path.split("/")):
        named = segment.startswith("rtc_") and len(segment) > len("rtc_")
        if not named and not _UUID.fullmatch(segment):
            continue
        if not _ALLOWED.fullmatch(segment) or len(segment) > MAX_CALL_ID_CHARS:
            raise AnswerInvalid("the call id in the answer's Location has characters that a call id cannot have")
        return segment
    raise AnswerInvalid("the answer's Location header holds no call id")
