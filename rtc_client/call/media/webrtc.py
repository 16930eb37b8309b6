"""WebRtcTransport: offer and answer, a peer that carries the audio, a sideband beside it."""

from __future__ import annotations

import logging
import random
import uuid
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Final

from rtc_client.audio.codecs.opus import libopus_version
from rtc_client.audio.frames import FRAME_S
from rtc_client.call.events.router import Router
from rtc_client.call.media.audio import CallAudio
from rtc_client.call.media.transport import CheckLimits, Stage
from rtc_client.call.media.webrtc_setup import Connections, dial
from rtc_client.clock import Clock
from rtc_client.config import CallConfig, MediaPath
from rtc_client.errors import OpusUnavailable
from rtc_client.peer.callbacks import PeerCallbacks
from rtc_client.peer.counters import PeerCounters
from rtc_client.peer.peer import Peer
from rtc_client.protocol.call_state import Input
from rtc_client.protocol.call_timeline import CallTimeline, Milestone
from rtc_client.sideband.client import Sideband
from rtc_client.sideband.outbox import Outbox

log = logging.getLogger(__name__)

SOUNDING_S: Final = 0.5
"""An agent that was heard so recently is in the middle of a sentence."""
_LATE_TICKS: Final = 6
"""A tick may be 100 ms late, and the first one is up to 20 ms after the call connected."""


class WebRtcTransport:
    """The media leg of a WebRTC call, and the connections it makes while it dials."""

    first_input: Final = Input.DIALED

    def __init__(
        self,
        config: CallConfig,
        connections: Connections,
        voices: CallAudio,
        router: Router,
        outbox: Outbox,
        *,
        start_sideband: Callable[[Sideband], object],
        moved: Callable[[Input], None],
        check_limits: CheckLimits,
        timeline: CallTimeline,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._config, self._connections, self._voices, self._router, self._outbox = (
            config,
            connections,
            voices,
            router,
            outbox,
        )
        self._start_sideband, self._moved, self._check_limits = start_sideband, moved, check_limits
        self._timeline, self._clock, self._rng = timeline, clock, rng
        self._counters = PeerCounters()
        self._now_s = self._connected_s = self._said_s = self._tend_at_s = 0.0

    async def dial(self) -> None:
        caller, agent = self._voices.caller, self._voices.agent
        await dial(
            self._connections,
            self._config,
            self._config.session_id or str(uuid.uuid4()),
            peer_listener=PeerCallbacks(
                ice_completed=lambda: self._mark(Milestone.ICE_COMPLETED),
                first_rtp=lambda: self._mark(Milestone.FIRST_RTP),
                next_packet=caller.next_packet,
                packet=agent.push,
                stream_ended=agent.end_stream,
                next_frame=caller.next_frame,
                heard=agent.heard,
            ),
            media_path=_usable_path(self._config.media_path),
            sideband_listener=self._router,
            outbox=self._outbox,
            start_sideband=self._start_sideband,
            moved=self._moved,
            timeline=self._timeline,
            clock=self._clock,
            rng=self._rng,
        )

    def begin(self, connected_s: float) -> tuple[Stage, ...]:
        peer = self._connections.peer
        if peer is None or peer.path is None:
            return ()
        self._connected_s = connected_s
        self._voices.begin(peer.path)
        return partial(self._say, peer), partial(self._send, peer), partial(self._receive, peer), self._play

    def counters(self) -> PeerCounters:
        if self._connections.peer is not None:
            self._counters = self._connections.peer.latest_counters()
        return self._counters

    async def watch(self) -> str:
        if self._connections.peer is not None:
            await self._connections.peer.watch()
        return ""

    @property
    def is_sounding(self) -> bool:
        return self._voices.agent.silent_s() < SOUNDING_S

    @property
    def waiting_samples(self) -> int:
        """What waits in the jitter buffer is a moment, silence or not: nothing that one would wait for."""
        return 0

    @property
    def cut_samples(self) -> int:
        return 0

    def barge_in(self, response_id: str | None, *, is_told: bool, queued_samples: int) -> int:
        return self._voices.agent.silence_turn()

    @property
    def is_taken_over(self) -> bool:
        return False

    def take_over(self) -> None:
        """Do nothing: what a program appends to a WebRTC call goes beside the media path."""

    def withdraw(self, event_id: str) -> None:
        """Do nothing: nothing is held back here."""

    async def flush(self) -> None:
        if self._connections.sideband is not None:
            await self._connections.sideband.flush()

    async def hang_up(self) -> None:
        connections = self._connections
        if self._config.remote_hangup and connections.signaling is not None and connections.call_id is not None:
            await connections.signaling.hang_up(connections.call_id)

    def closers(self) -> list[Coroutine[Any, Any, object]]:
        return [] if self._connections.peer is None else [self._connections.peer.aclose()]

    async def last_counters(self) -> PeerCounters:
        if self._connections.peer is not None:
            self._counters = await self._connections.peer.counters()
        return self._counters

    def _receive(self, peer: Peer, index: int) -> None:
        self._now_s = now_s = self._clock.now_s()
        if now_s >= self._tend_at_s:
            self._tend_at_s = self._check_limits(now_s)
        peer.receive(now_s)

    def _say(self, peer: Peer, index: int) -> None:
        self._now_s = now_s = self._clock.now_s()
        # What a stall of our process held up is played, for a recording must be whole, but not said in one burst, which
        # the far side's buffer would have to get rid of: while we are late, one packet goes out in 20 ms.
        if now_s - self._connected_s < (index + _LATE_TICKS) * FRAME_S or now_s - self._said_s >= FRAME_S:
            self._said_s = now_s
            peer.prepare(index)

    def _send(self, peer: Peer, index: int) -> None:
        peer.send(self._now_s)

    def _play(self, index: int) -> None:
        self._voices.tick(index, self._now_s)

    def _mark(self, fact: Milestone) -> None:
        self._timeline.mark(fact, self._clock.now_s())


def _usable_path(wanted: MediaPath) -> MediaPath:
    """Return `wanted`, or the path that needs no Opus of ours where there is no libopus."""
    if wanted == "plain":
        return wanted
    try:
        libopus_version()
    except OpusUnavailable as error:
        log.warning("audio is left to aiortc", exc_info=error)
        return "plain"
    return wanted
