"""MediaTransport: what the engine asks of a transport, be it WebRTC or a websocket."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Protocol, TypeAlias

from rtc_client.peer.counters import PeerCounters
from rtc_client.protocol.call_state import Input

Stage: TypeAlias = Callable[[int], None]
"""What the clockwork calls every 20 ms, with the number of periods since the call connected."""
CheckLimits: TypeAlias = Callable[[float], float]
"""Looks after the call at `now_s`; returns when to be called again, both monotonic seconds."""


class MediaTransport(Protocol):
    """One way for the sound of a call. The engine owns its life; which failure ends the call is decided there."""

    @property
    def first_input(self) -> Input:
        """What dialling this way means for the state of the call."""
        ...

    async def dial(self) -> None:
        """Return once audio can flow.

        Raises:
            SignalingError: The call was not answered.
            MediaError: The media path did not come up.

        Cancelling it leaves only what `closers` closes.
        """
        ...

    def begin(self, connected_s: float) -> tuple[Stage, ...]:
        """Make this instant position 0 of what is heard; return what to do in every tick."""
        ...

    def counters(self) -> PeerCounters:
        """Return what went over it so far."""
        ...

    async def watch(self) -> str:
        """Return, when the far side ends the call, what it said about it; run from when audio can flow.

        Raises:
            CallLost: Something other than the two parties ended it.
        """
        ...

    @property
    def is_sounding(self) -> bool:
        """Whether the agent is being heard, or about to be."""
        ...

    @property
    def waiting_samples(self) -> int:
        """How much of what the agent said waits to be played, at `SAMPLE_RATE_HZ`."""
        ...

    @property
    def cut_samples(self) -> int:
        """How much of what came was thrown away by `barge_in`, at `SAMPLE_RATE_HZ`; what `Hush` keeps away is not."""
        ...

    def barge_in(self, response_id: str | None, *, is_told: bool, queued_samples: int) -> int:
        """Play no more of what the agent has said, and nothing that still comes of it; return the samples thrown away.

        Args:
            response_id: The response that is cut; None where none is known.
            is_told: The server said that the caller speaks, and ends the response by itself.
            queued_samples: How many of those that were played did not come out of the loudspeaker.
        """
        ...

    @property
    def is_taken_over(self) -> bool:
        """Whether the program appends the caller's sound by itself."""
        ...

    def take_over(self) -> None:
        """The program appends the caller's sound by itself from now on: send none beside it."""
        ...

    def withdraw(self, event_id: str) -> None:
        """Nobody waits any more for the response to this request: if it was held back, it does not leave."""
        ...

    async def flush(self) -> None:
        """Wait a moment until the texts that wait were sent."""
        ...

    async def hang_up(self) -> None:
        """Tell the server that the call is over, where that is told beside the connections."""
        ...

    def closers(self) -> list[Coroutine[Any, Any, object]]:
        """Return what there is to close, none of which can keep another from its own."""
        ...

    async def last_counters(self) -> PeerCounters:
        """Return the counters once it is closed."""
        ...
