"""Makes foreign text fit for a message: one line, no control characters, no secrets."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_CHARS: Final = 300
_HIDDEN: Final = "[redacted]"
_UNPRINTABLE: Final = ("Cc", "Cf", "Cs", "Zl", "Zp")
_JOINERS: Final = "\u200c\u200d"
"""Format characters that spell words (Persian, Hindi) and emoji, and do nothing else."""


def one_line(text: str, secrets: Iterable[str], *, max_chars: int = MAX_CHARS) -> str:
    """Return `text` on one line of at most `max_chars`, with every secret in it replaced.

    Control, format (bidirectional overrides among them), surrogate and line-separator characters become spaces.
    """
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    text = "".join(" " if unicodedata.category(c) in _UNPRINTABLE else c for c in text[:20_000])
    text = " ".join(text.split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"


def printable(text: str) -> str:
    """Return foreign words fit for a terminal: on one line, and with nothing in them that could steer it."""
    fit = (c if c in _JOINERS or unicodedata.category(c) not in _UNPRINTABLE else " " for c in text)
    return " ".join("".join(fit).split())
