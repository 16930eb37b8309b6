"""Reads typed values out of TOML tables, and collects each mistake with its line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

Place: TypeAlias = tuple[str | int, ...]
"""Keys and numbers of list items, from the top: `("steps", 2, "within_s")`."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a scenario file."""

    line: int
    message: str


class TableReader:
    """Reads tables; what is wrong goes to `problems`, and reading goes on."""

    def __init__(self, lines: Mapping[Place, int]) -> None:
        """`lines` has the line of each place (`toml_lines.py`)."""
        self.problems: list[Problem] = []
        self._lines = lines

    def get(self, table: dict[str, object], place: Place, kind: type[T], default: T) -> T:
        """Return the value at a place; the default where there is none, or one of another kind."""
        value = table.get(str(place[-1]), default)
        if isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
            return value
        self.wrong(place, f"{place[-1]} must be {_KINDS[kind]}")
        return default

    def number(self, table: dict[str, object], place: Place, default: float) -> float:
        """Return the number at a place; the default where there is none."""
        value = table.get(str(place[-1]), default)
        if is_number(value):
            return float(value)  # type: ignore[arg-type]
        self.wrong(place, f"{place[-1]} must be a number")
        return default

    def needed_number(self, table: dict[str, object], place: Place, key: str, action: str) -> float:
        """Return the number that an action cannot do without."""
        if key not in table:
            self.wrong((*place, action), f"{action} needs {key}")
        return self.number(table, (*place, key), 0.0)

    def one_of(self, table: dict[str, object], key: str, choices: tuple[str, ...]) -> str:
        """Return the word of a key; the first of the choices where there is none."""
        value = table.get(key, choices[0])
        if value not in choices:
            self.wrong((key,), f"{key} must be {listed(choices)}")
        return choices[0] if value not in choices else str(value)

    def must_be_true(self, table: dict[str, object], place: Place) -> None:
        """Take note if a key is not `true`."""
        if table.get(str(place[-1])) is not True:
            self.wrong(place, f"{place[-1]} must be true")

    def only(self, table: Mapping[str, object], known: Sequence[str], place: Place, what: str = "") -> None:
        """Take note of keys that are not known."""
        for key in table:
            if key not in known:
                whose = f" of {what}" if what else ""
                self.wrong((*place, key), f"{key} is no key{whose}{hint(key, known)}")

    def made(self, place: Place, make: Callable[[], T], table: Mapping[str, object]) -> T | None:
        """Return what `make` makes of a table; None if it raises ValueError, whose text is then the problem.

        It stands where the key is that the text names, or else at `place`.
        """
        try:
            return make()
        except ValueError as error:
            named = [key for key in table if key in re.findall(r"[a-z_]+", str(error))]
            self.wrong((*place[:-1], named[0]) if named else place, str(error))
            return None

    def wrong(self, place: Place, message: str) -> None:
        """Take note of a problem at a place, or where that is not in the file, around it."""
        while place and place not in self._lines:
            place = place[:-1]
        self.problems.append(Problem(self._lines.get(place, 1), message))


_KINDS: Final[Mapping[type, str]] = {
    str: "a string",
    int: "a whole number",
    bool: "true or false",
    dict: "a table: { key = value }",
}


def is_number(value: object) -> bool:
    """Return whether a value is a number, and not true or false."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def listed(words: Sequence[str] | Mapping[str, object]) -> str:
    """Return words as a list to choose from: `a, b or c`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def hint(key: str, known: Sequence[str] | Mapping[str, object]) -> str:
    """Return what may have been meant by a word that is not known."""
    near = difflib.get_close_matches(key, list(known), n=1)
    return f": did you mean {near[0]}?" if near else f"; there are {listed(known)}"
