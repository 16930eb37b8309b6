"""The schedule of retries, one for offer and sideband (protocol.md sections 3, 4)."""

from __future__ import annotations

import random
from typing import Final

MAX_TRIES: Final = 5
_DELAYS_S: Final = (0.2, 0.4, 0.8, 1.6)
_JITTER_RATIO: Final = 0.1


def delay_s(tries_made: int, rng: random.Random) -> float | None:
    """Return the wait before the next try in seconds, ±10 %; None when `tries_made` were enough."""
    if tries_made >= MAX_TRIES:
        return None
    return _DELAYS_S[tries_made - 1] * rng.uniform(1 - _JITTER_RATIO, 1 + _JITTER_RATIO)
