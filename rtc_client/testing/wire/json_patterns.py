"""Compares messages of a client with the patterns of a scenario, and says where they differ. Pure.

A pattern names only what matters: keys that it does not name may hold anything. Values are compared as JSON, but for

    {"matches": "bye|goodbye"}    a string in which this regular expression is found
    {"any": True}                 anything at all, as long as it is there
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

Pattern: TypeAlias = Mapping[str, object]
"""What an object has to look like: JSON, in which some objects are wildcards (`ANY`, `{"matches": …}`)."""

ANY: Final[Pattern] = {"any": True}
"""Anything at all."""

CALLER_TEXT: Final[Pattern] = {
    "type": "conversation.item.create",
    "item": {"role": "user", "content": [{"text": {"matches": ""}}]},
}
"""Any text that is written to the agent on the caller's behalf (protocol.md section 6)."""

_SHOWN_CHARACTERS: Final = 100


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One place where a message is not as wanted."""

    where: str
    """Path of the value: `item.content[0].text`."""
    wanted: str = field(repr=False)
    found: str = field(repr=False)


def check_pattern(wanted: object, where: str = "the pattern") -> None:
    """Return if a pattern can be used.

    Raises:
        ValueError: If it holds a regular expression that is none, or something that JSON does not have.
    """
    if isinstance(wanted, Mapping):
        if (expression := _expression(wanted)) is not None:
            try:
                re.compile(expression)
            except re.error as error:
                raise ValueError(f"{where} matches {expression!r}, which is no regular expression: {error}") from None
            return
        for key, value in wanted.items():
            check_pattern(value, f"{where}.{key}")
    elif isinstance(wanted, list | tuple):
        for n, value in enumerate(wanted):
            check_pattern(value, f"{where}[{n}]")
    elif wanted is not None and not isinstance(wanted, str | int | float | bool):
        raise ValueError(f"{where} is a {type(wanted).__name__}, which JSON does not have")


def mismatches(value: object, wanted: object, where: str = "") -> list[Mismatch]:
    """Return every place where `value` is not as wanted, in the order of the pattern; none if it fits."""
    if isinstance(wanted, Mapping):
        if wanted == ANY:
            return []
        if (expression := _expression(wanted)) is not None:
            fits = isinstance(value, str) and re.search(expression, value, re.DOTALL) is not None
            return [] if fits else [Mismatch(where, describe(wanted), show(value))]
        if not isinstance(value, Mapping):
            return [Mismatch(where, describe(wanted), show(value))]
        return [found for key, its_wish in wanted.items() for found in _in_key(value, key, its_wish, where)]
    if isinstance(wanted, list | tuple):
        if not isinstance(value, Sequence) or isinstance(value, str) or len(value) != len(wanted):
            return [Mismatch(where, describe(wanted), show(value))]
        pairs = enumerate(zip(value, wanted, strict=True))
        return [found for n, (item, its_wish) in pairs for found in mismatches(item, its_wish, f"{where}[{n}]")]
    is_same = value == wanted and isinstance(value, bool) == isinstance(wanted, bool)
    return [] if is_same else [Mismatch(where, describe(wanted), show(value))]


def fits(value: object, wanted: object) -> bool:
    """Return whether `value` is as wanted."""
    return not mismatches(value, wanted)


def describe(wanted: object) -> str:
    """Return a pattern on one line: `{type: "session.update"}`."""
    if isinstance(wanted, Mapping):
        if wanted == ANY:
            return "anything"
        if (expression := _expression(wanted)) is not None:
            return f"/{expression}/"
        return "{" + ", ".join(f"{key}: {describe(value)}" for key, value in wanted.items()) + "}"
    if isinstance(wanted, list | tuple):
        return "[" + ", ".join(map(describe, wanted)) + "]"
    return show(wanted)


def show(value: object) -> str:
    """Return a JSON value as text, cut to a line."""
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}… ({len(text)} characters)"


def _in_key(value: Mapping[str, object], key: str, wanted: object, where: str) -> list[Mismatch]:
    path = f"{where}.{key}" if where else key
    return mismatches(value[key], wanted, path) if key in value else [Mismatch(path, describe(wanted), "nothing")]


def _expression(wanted: Mapping[str, object]) -> str | None:
    expression = wanted.get("matches") if len(wanted) == 1 else None
    return expression if isinstance(expression, str) else None
