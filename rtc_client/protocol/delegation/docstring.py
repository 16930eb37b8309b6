"""Reads a function's description and those of its parameters from its docstring (Google style)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

_SECTION: Final = re.compile(
    r"(Args|Arguments|Parameters|Keyword Args|Returns?|Raises|Yields?|Examples?|Notes?|Attributes|See Also|Todo"
    r"|Warnings?):"
)
_OF_PARAMETERS: Final = ("Args", "Arguments", "Parameters", "Keyword Args")
_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")


@dataclass(frozen=True, slots=True)
class Docstring:
    """The words of a docstring."""

    text: str = ""
    """What stands before its sections."""
    parameters: Mapping[str, str] = field(default_factory=dict)


def read_docstring(text: str) -> Docstring:
    """Return what a docstring says, which has no indentation of its own (`inspect.getdoc`)."""
    lines = text.expandtabs().splitlines()
    start = next((n for n, line in enumerate(lines) if _SECTION.fullmatch(line.rstrip())), len(lines))
    parameters: dict[str, str] = {}
    section = ""
    entries: list[str] = []
    for line in [*lines[start:], "End:"]:
        if not line.startswith(" ") and line.strip():
            if section in _OF_PARAMETERS:
                parameters |= _entries(entries)
            section, entries = line.strip().removesuffix(":"), []
        else:
            entries.append(line)
    return Docstring("\n".join(lines[:start]).strip(), parameters)


def _entries(lines: list[str]) -> dict[str, str]:
    """Return the entries of a section: what is indented deeper than the first goes on with the one before."""
    found: dict[str, str] = {}
    filled = [line for line in lines if line.strip()]
    indent = min((len(line) - len(line.lstrip()) for line in filled), default=0)
    name = ""
    for line in filled:
        entry = _ENTRY.fullmatch(line.strip())
        if entry and len(line) - len(line.lstrip()) == indent:
            name = entry[1]
            found[name] = entry[2]
        elif name:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return {name: text for name, text in found.items() if text}
