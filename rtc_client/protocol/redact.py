"""Foreign text made fit for a message: one line, no control characters, no secrets."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

MAX_CHARS: Final = 300
_HIDDEN: Final = "[redacted]"


def one_line(text: str, secrets: Iterable[str], *, max_chars: int = MAX_CHARS) -> str:
    """Return `text` on one line of at most `max_chars`, with every secret in it replaced.

    Control, format (bidirectional overrides among them), surrogate and line-separator characters become spaces.
    """
    for secret in secrets:
        text = text.replace(secret, _HIDDEN)
    text = "".join(" " if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in text[:20_000])
    text = " ".join(text.split())
    return text if len(text) <= max_chars else text[: max_chars - 1] + "…"
