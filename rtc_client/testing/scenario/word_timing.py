"""Spreads the words of a turn over its audio. Pure."""

from __future__ import annotations

import re


def pace_words(text: str, duration_s: float) -> list[tuple[float, str]]:
    """Return the words of `text` and when each begins, in seconds, spread by length over `duration_s`.

    Joined together the words are `text` again: each keeps the white space before it, the last also what follows.
    """
    words = re.findall(r"\s*\S+", text)
    if not words:
        return []
    words[-1] += text[sum(map(len, words)) :]
    paced, n_before = [], 0
    for word in words:
        paced.append((duration_s * n_before / len(text), word))
        n_before += len(word)
    return paced
