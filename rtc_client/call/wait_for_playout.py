"""Waits until the agent has said what it has to say, for a call that ends after its goodbye."""

from __future__ import annotations

import asyncio
from typing import Final

from rtc_client.call.engine import Engine

QUIET_S: Final = 0.6
"""Longer than the pauses between words; a goodbye that begins this soon is waited for too."""
LONG_QUIET_S: Final = 2.0
"""On realtime v1 nobody tells that a turn was broken off: words still to come are not waited for any longer."""
_LOOK_S: Final = 0.02


async def wait_for_playout(engine: Engine, *, limit_s: float) -> bool:
    """Return once the agent has finished speaking and all of it has come out of the sink, or the call is over.

    Where the server tells of responses, one that is under way is waited for. Return False at the limit. Cancelling it
    changes nothing.
    """
    agent, media, responses, clock = engine.voices.agent, engine.media, engine.responses, engine.clock
    agent.listen()
    began_s = clock.now_s()
    while engine.supervisor.end is None and clock.now_s() - began_s < limit_s:
        quiet_s = min(clock.now_s() - began_s, agent.silent_s()) - agent.queued_s()
        is_speaking = responses.is_turn_open and not agent.hush.is_on and quiet_s < LONG_QUIET_S
        if not (is_speaking or responses.active_id or media.waiting_samples) and quiet_s >= QUIET_S:
            return True
        await asyncio.sleep(_LOOK_S)
    return engine.supervisor.end is not None
