"""When the caller of a call hears that somebody is at work: what is played then is `audio/hold.py`."""

from __future__ import annotations

from rtc_client.audio.hold import HoldSound, hold_loop
from rtc_client.call.handoffs import Handoffs
from rtc_client.call.hearing import Hearing
from rtc_client.config import HandoffSettings


async def prepare_hold(settings: HandoffSettings, handoffs: Handoffs, agent: Hearing) -> None:
    """Let what `settings` name be heard under the agent's voice while a handler is at work; nothing where they do not.

    Raises:
        AudioFileUnreadable: The file that they name cannot be used.
    """
    if settings.hold is not None:
        loop = await hold_loop(settings.hold)
        agent.bed = HoldSound(loop, lambda: handoffs.busy_s() > settings.hold_after_s)
