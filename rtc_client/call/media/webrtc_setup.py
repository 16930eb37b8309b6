"""The steps of setting up a WebRTC call, in order."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from rtc_client.clock import Clock
from rtc_client.config import CallConfig, MediaPath
from rtc_client.errors import SignalingError
from rtc_client.peer.callbacks import PeerCallbacks
from rtc_client.peer.peer import Peer
from rtc_client.protocol.call_state import Input
from rtc_client.protocol.call_timeline import CallTimeline, Milestone
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.commands import UpdateSession
from rtc_client.sideband.client import Sideband, SidebandListener
from rtc_client.sideband.outbox import Outbox
from rtc_client.signaling.client import Signaling, open_signaling


@dataclass(slots=True)
class Connections:
    """The connections of one call, as far as they were made."""

    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Holds what has nothing to say when it closes: the HTTP client."""
    signaling: Signaling | None = None
    peer: Peer | None = None
    sideband: Sideband | None = None
    call_id: str | None = None
    offer_sdp: str = field(default="", repr=False)
    answer_sdp: str | None = field(default=None, repr=False)


async def dial(
    connections: Connections,
    config: CallConfig,
    session_id: str,
    *,
    peer_listener: PeerCallbacks,
    media_path: MediaPath,
    sideband_listener: SidebandListener,
    outbox: Outbox,
    start_sideband: Callable[[Sideband], object],
    moved: Callable[[Input], None],
    timeline: CallTimeline,
    clock: Clock,
    rng: random.Random,
) -> None:
    """Fill `connections` step by step and return once audio can flow; the sideband is joined in parallel with ICE.

    Raises:
        KeyUnavailable: There is no key to send.
        SignalingError: No answer, or none of which a call can be made.
        MediaError: The media path did not come up.

    Whatever is raised, `connections` holds all that was opened and the call id if there is one, for the close.
    """
    connections.peer = Peer(config, peer_listener, media_path=media_path, clock=clock, rng=rng)
    offer = connections.offer_sdp = await connections.peer.create_offer()
    timeline.mark(Milestone.GATHERED, clock.now_s())
    moved(Input.OFFER_READY)

    keys = config.key_ring()
    connections.signaling = await connections.stack.enter_async_context(
        open_signaling(config, session_id, keys=keys, clock=clock, rng=rng)
    )
    try:
        answer = await connections.signaling.exchange_offer(offer)
    finally:
        # Also of an answer that was refused, or given up half-way: the call that it names may be live, and billed.
        connections.call_id = connections.signaling.call_id
    connections.answer_sdp = answer.sdp
    timeline.mark(Milestone.ANSWERED, clock.now_s())

    if config.sideband != "off":
        settings = config.session
        connections.sideband = Sideband(
            config,
            session_id,
            answer.call_id,
            keys=keys,
            first_message=lambda: dump_command(UpdateSession(settings=settings)),
            outbox=outbox,
            listener=sideband_listener,
            clock=clock,
            rng=rng,
        )
        start_sideband(connections.sideband)

    try:
        await connections.peer.apply_answer(answer.sdp)
    except SignalingError as error:
        error.call_id = answer.call_id
        raise
    moved(Input.ANSWER_APPLIED)
    await connections.peer.connected()
