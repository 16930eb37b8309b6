"""A source of API keys that a test controls."""

from __future__ import annotations

import threading
from collections import deque

from rtc_client import ClientSecret


class Keys:
    """A callable that gives one key after another, and counts how often it was asked."""

    def __init__(self, *keys: str | ClientSecret) -> None:
        self.left = deque(keys)
        self.asked = 0
        self.threads: set[str] = set()

    def __call__(self) -> str | ClientSecret:
        self.asked += 1
        self.threads.add(threading.current_thread().name)
        return self.left.popleft()
