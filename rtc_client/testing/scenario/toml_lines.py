"""Finds the line of each key in a TOML text that `tomllib` has accepted.

`tomllib` gives values without their places, and an error without a line is half an error.
"""

from __future__ import annotations

import re
import tomllib
from typing import Final, TypeAlias

Path: TypeAlias = tuple[str | int, ...]

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|\'\'\'.*?\'{3,5}(?!\')|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'', re.DOTALL
)
_SPACE: Final = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_SCALAR: Final = re.compile(r"[^,\]}#\n]+")


def find_lines(text: str) -> dict[Path, int]:
    """Return the line (from 1) of each table, key and list item: `("steps", 2, "expect", "type")`."""
    return _Finder(text).run()


class _Finder:
    def __init__(self, text: str) -> None:
        self._text = text.replace("\r\n", "\n")
        self._at = 0
        self._lines: dict[Path, int] = {}
        self._n_items: dict[Path, int] = {}
        """How many tables each `[[array]]` has so far."""

    def run(self) -> dict[Path, int]:
        table: Path = ()
        self._skip_space()
        while self._at < len(self._text):
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._key_and_value(table)
            self._skip_space()
        return self._lines

    def _header(self) -> Path:
        line = self._line()
        is_array = self._text.startswith("[[", self._at)
        self._at += 2 if is_array else 1
        keys = self._keys()
        self._at += 2 if is_array else 1
        path: Path = ()
        for n, key in enumerate(keys, start=1):
            path += (key,)
            self._lines.setdefault(path, line)
            if is_array and n == len(keys):
                self._n_items[path] = self._n_items.get(path, 0) + 1
            if path in self._n_items:
                path += (self._n_items[path] - 1,)
                self._lines.setdefault(path, line)
        return path

    def _key_and_value(self, table: Path) -> None:
        line = self._line()
        path = table
        for key in self._keys():
            path += (key,)
            self._lines.setdefault(path, line)
        self._at += 1  # the =
        self._skip_space()
        self._value(path)

    def _keys(self) -> list[str]:
        keys = [self._key()]
        self._skip_space()
        while self._text[self._at] == ".":
            self._at += 1
            keys.append(self._key())
            self._skip_space()
        return keys

    def _key(self) -> str:
        self._skip_space()
        if (quoted := _STRING.match(self._text, self._at)) is not None:
            self._at = quoted.end()
            return str(tomllib.loads(f"k={quoted[0]}")["k"])
        bare = _BARE_KEY.match(self._text, self._at)
        assert bare is not None  # noqa: S101 - tomllib has accepted the text
        self._at = bare.end()
        return bare[0]

    def _value(self, path: Path) -> None:
        opening = self._text[self._at]
        if opening in "[{":
            closing = "]" if opening == "[" else "}"
            self._at += 1
            self._skip_space()
            n = 0
            while self._text[self._at] != closing:
                if opening == "[":
                    self._lines[(*path, n)] = self._line()
                    self._value((*path, n))
                else:
                    self._key_and_value(path)
                n += 1
                self._skip_space()
                if self._text[self._at] == ",":
                    self._at += 1
                    self._skip_space()
            self._at += 1
            return
        end = _STRING.match(self._text, self._at) or _SCALAR.match(self._text, self._at)
        assert end is not None  # noqa: S101 - tomllib has accepted the text
        self._at = end.end()

    def _skip_space(self) -> None:
        space = _SPACE.match(self._text, self._at)
        assert space is not None  # noqa: S101 - it also matches nothing
        self._at = space.end()

    def _line(self) -> int:
        return self._text.count("\n", 0, self._at) + 1
