"""Turns the bytes of a terminal into characters, lines and held keys. Pure."""

from __future__ import annotations

import codecs
from typing import Final

ENTER: Final = frozenset("\r\n")
BACKSPACE: Final = frozenset("\x7f\x08")
ESCAPE: Final = "\x1b"
ERASE_WORD: Final = "\x17"
ERASE_LINE: Final = "\x15"

FIRST_HOLD_S: Final = 0.75
"""A terminal tells presses, not releases. A key that is held repeats itself, after 0.25 to 0.66 s by default where
people have not changed it: so long one press has to count."""
REPEAT_HOLD_S: Final = 0.25
"""Then 25 to 33 times a second; over a network they come in clusters."""
REPEAT_GAP_S: Final = 0.15
"""Presses this close to each other are a key that is held; nobody taps that fast."""
MAX_LINE_CHARS: Final = 2_000


class KeyReader:
    """Characters out of what a terminal sends. Arrow keys and their like are left out; a lone Escape is one."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="ignore")
        self._sequence = ""

    def feed(self, block: bytes) -> str:
        """Return the characters in what was read at once."""
        found: list[str] = []
        for char in self._decoder.decode(block):
            if self._sequence:
                self._go_on(char)
            elif char == ESCAPE:
                self._sequence = char
            else:
                found.append(char)
        if self._sequence == ESCAPE:
            # What a key sends comes in one piece: nothing follows.
            self._sequence = ""
            found.append(ESCAPE)
        return "".join(found)

    def _go_on(self, char: str) -> None:
        """Take the next character of an escape sequence (ECMA-48: parameters, then one final character)."""
        is_introduced = self._sequence != ESCAPE
        if is_introduced:
            self._sequence = "" if "@" <= char <= "~" else self._sequence
        else:
            self._sequence = self._sequence + char if char in "[O" else ""


class Line:
    """A line that is being typed."""

    def __init__(self) -> None:
        self.text = ""

    def type(self, char: str) -> bool:
        """Take a character; return whether the line is over. An Escape empties it first."""
        if char in ENTER:
            return True
        if char == ESCAPE:
            self.text = ""
            return True
        if char in BACKSPACE:
            self.text = self.text[:-1]
        elif char == ERASE_WORD:
            head, space, _ = self.text.rstrip().rpartition(" ")
            self.text = head + space
        elif char == ERASE_LINE:
            self.text = ""
        elif char.isprintable() and len(self.text) < MAX_LINE_CHARS:
            self.text += char
        return False


class HeldKey:
    """Whether a key is held, as far as its repetition tells: from its press to `REPEAT_HOLD_S` after the last one.

    A key that is pressed once is held for `FIRST_HOLD_S`, for it cannot be known whether it is let go before then.
    """

    def __init__(self) -> None:
        self._pressed_s: float | None = None
        self.until_s = float("-inf")
        """When it counts as let go unless it is pressed again, monotonic seconds."""

    def press(self, now_s: float) -> None:
        """Take a press, or a repetition of one."""
        is_repeated = self._pressed_s is not None and now_s - self._pressed_s < REPEAT_GAP_S
        self._pressed_s = now_s
        self.until_s = now_s + (REPEAT_HOLD_S if is_repeated else FIRST_HOLD_S)

    def is_held(self, now_s: float) -> bool:
        """Return whether it is held."""
        return now_s < self.until_s
