"""ClientSecrets: the keys that a fake answerer minted, which expire, and those that it refuses."""

from __future__ import annotations

import secrets
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from rtc_client.clock import Clock, epoch_s
from rtc_client.testing.wire.record import SeenRequest
from rtc_client.testing.wire.server_events import JsonObject

MAX_KEPT: Final = 10_000
"""Keys remembered of each kind; the oldest are forgotten."""


@dataclass(slots=True, eq=False)
class MintedKey:
    """An ephemeral key that the answerer gave out. It is taken until it expires, for any request."""

    value: str = field(repr=False)
    """The key itself, `ek_…`."""
    session: JsonObject = field(repr=False)
    """What it was asked for with, completed."""
    expires_at: int
    """Seconds since the epoch, as it was told."""
    expires_s: float = field(repr=False)
    """The same instant by the answerer's clock."""

    def expire(self) -> None:
        """Let it be refused from now on, whatever was told of its life."""
        self.expires_s = float("-inf")


class ClientSecrets:
    """Which keys are refused, and why."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.minted: list[MintedKey] = []
        """In order, as far as they are kept."""
        self._revoked: deque[str] = deque(maxlen=MAX_KEPT)

    def mint(self, session: JsonObject, life_s: int) -> MintedKey:
        """Return a new key that lives so long."""
        key = MintedKey(
            value=f"ek_{secrets.token_hex(16)}",
            session=session,
            expires_at=int(epoch_s()) + life_s,
            expires_s=self._clock.now_s() + life_s,
        )
        self.minted.append(key)
        del self.minted[:-MAX_KEPT]
        return key

    def revoke(self, key: str) -> None:
        """Take this key no more."""
        self._revoked.append(key)

    def complaint(self, request: SeenRequest) -> str | None:
        """Return why the key of a request is refused, None if it is not."""
        key = (request.header("authorization") or "").removeprefix("Bearer ")
        if key in self._revoked:
            return "the key is not valid"
        minted = next((one for one in self.minted if one.value == key), None)
        if minted is not None and self._clock.now_s() >= minted.expires_s:
            return "the ephemeral key has expired"
        return None
