"""Waiting without an event loop."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

SETTLE_S = 5.0


def until(is_so: Callable[[], object]) -> None:
    """Return once a condition that nobody announces has become true."""
    limit_s = time.monotonic() + SETTLE_S
    while not is_so():
        assert time.monotonic() < limit_s, "it did not come true"
        threading.Event().wait(0.005)
