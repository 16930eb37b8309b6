"""AnsweredCall: one call as its answerer sees it, and what a test may ask and do in it.

The decisions of the agent are `testing/scenario/performance.py`'s, the sound is `webrtc_media.py`'s, the websocket
`sideband.py`'s.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import Enum
from typing import Final, Literal, assert_never

from rtc_client.audio.frames import FRAME_S, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.cassette.cassette import Cassette
from rtc_client.clock import Clock
from rtc_client.errors import CassetteUnusable
from rtc_client.testing.aiortc_internals import Interfaces
from rtc_client.testing.calls.call_faults import CallFaults
from rtc_client.testing.calls.conversation import Conversation, Said
from rtc_client.testing.calls.event_leg import EventLeg
from rtc_client.testing.calls.sideband import Sideband
from rtc_client.testing.calls.webrtc_media import AnswererPeer
from rtc_client.testing.calls.websocket_call import Direct
from rtc_client.testing.calls.websocket_media import DirectPeer
from rtc_client.testing.calls.websocket_rules import is_v1
from rtc_client.testing.cassette.playback import play
from rtc_client.testing.cassette.recording import cassette_of
from rtc_client.testing.cassette.tape import Tape
from rtc_client.testing.faults.by_name import begin_fault
from rtc_client.testing.faults.faults import MET_BY_POSTS, Fault, Faults
from rtc_client.testing.network.udp_relay import Network, Relay
from rtc_client.testing.scenario.performance import Act, BeginFault, EndFault, HangUp, Performance, Speak, Tell
from rtc_client.testing.scenario.scenario import Scenario
from rtc_client.testing.scenario.script import Echo, Voice
from rtc_client.testing.scenario.verdict import Outcome, ScenarioReport
from rtc_client.testing.scenario.voices import VoiceBox
from rtc_client.testing.sound.levels import FrameLevels
from rtc_client.testing.wire import server_events as events
from rtc_client.testing.wire.bell import Bell
from rtc_client.testing.wire.posted_offer import PostedOffer
from rtc_client.testing.wire.record import Record, SeenRequest
from rtc_client.testing.wire.sdp_text import with_dead_candidates
from rtc_client.testing.wire.server_events import JsonObject

log = logging.getLogger(__name__)


class CallEnd(Enum):
    """How a call ended, seen from the answerer."""

    CLIENT_HANGUP = "the client asked for it over REST"
    CLIENT_SIDEBAND = "the client closed its sideband"
    CLIENT_MEDIA = "the client closed its media path, or fell silent"
    AGENT = "the agent hung up"
    AGENT_FAILED = "the agent raised; see the log"
    SESSION_EXPIRED = "the session expired"
    ANSWERER_CLOSED = "the answerer was closed"


_END_SIDES: Final[dict[CallEnd | None, Literal["client", "server"]]] = {
    CallEnd.CLIENT_HANGUP: "client",
    CallEnd.CLIENT_SIDEBAND: "client",
    CallEnd.CLIENT_MEDIA: "client",
    CallEnd.AGENT: "server",
    CallEnd.SESSION_EXPIRED: "server",
}


class AnsweredCall:
    """A call that was answered; made by the answerer.

    Everything a test waits for has a deadline, and raises TimeoutError past it.
    """

    def __init__(
        self,
        call_id: str,
        offer: PostedOffer | None,
        post: SeenRequest,
        *,
        scenario: Scenario,
        faults: tuple[Faults, Faults],
        opening: Sequence[Fault],
        voices: VoiceBox,
        clock: Clock,
        record: Record,
        interfaces: Interfaces,
        network: Network | None = None,
        tape: Tape | None = None,
    ) -> None:
        """`faults` are those of the answerer and of this call, `opening` those that the scenario began for it.

        With a `tape` the agent does what was recorded. Without an `offer` the call is over a websocket, and `post` is
        its handshake.
        """
        self.call_id = call_id
        self.post = post
        """The request that placed the call."""
        self.scenario = scenario
        """What the agent does in this call."""
        self._answerer_faults = faults[0]
        self.faults = faults[1]
        """The faults of this call alone."""
        self._scenario_faults = dict(enumerate(opening, start=1))
        """Those that the scenario began, by the numbers of their steps."""
        self.session: JsonObject = {} if offer is None else offer.session
        """The session object of the POST; empty for a call over a websocket, whose first frame has it."""
        self.offer_sdp = "" if offer is None else offer.sdp
        self.answer_sdp = ""
        self.hung_up_by_client = False
        """Whether the client asked for the end over REST."""
        self.ended_by: CallEnd | None = None
        """Who ended it; None while it goes on."""
        self.relay = None if network is None else Relay(network)
        """The bad network between this call's peers, with what it has counted; None for a direct way."""
        self.times_s = {"placed": post.at_s}
        """When what happened first, in seconds since the answerer started."""
        self._now_s = record.wire.now_s
        self._record, self._tape = record, tape
        self._voices, self._clock = voices, clock
        lost_s = record.stalls.lost_s
        self._performance = Performance(scenario, voices.duration_s, session_id=f"sess_{call_id}", lost_s=lost_s)
        self._bell = Bell()
        self._direct: Direct | None = None
        if offer is None:
            self._direct = Direct(
                clock,
                is_v1=is_v1(post),
                hearing=scenario.hearing,
                on_connected=self._media_connected,
                on_heard=self._heard_frame,
                lost_s=lost_s,
            )
        self._peer = (
            self._direct.peer
            if self._direct is not None
            else AnswererPeer(
                clock=clock,
                silence=scenario.silence,
                interfaces=interfaces,
                on_connected=self._media_connected,
                on_lost=lambda: self.begin_end(CallEnd.CLIENT_MEDIA),
                on_heard=self._heard_frame,
                replay=None if tape is None else tape.next_packet,
            )
        )
        self._call_faults = CallFaults(faults, self._peer)
        self._event_leg = EventLeg(
            self.session,
            session_id=f"sess_{call_id}",
            bell=self._bell,
            conversation=Conversation(record.wire.now_s),
            blame=lambda violations: record.blame(violations, call_id),
            on_message=lambda message: self._performance.read(message, clock.now_s()),
            faults=self._call_faults.now,
            on_closed_by_client=lambda: self.begin_end(CallEnd.CLIENT_SIDEBAND),
            clock=clock,
            lost_s=lost_s,
            is_lenient=record.is_lenient,
            tape=tape,
            direct=self._direct,
        )
        self._last_figures: dict[str, JsonObject] | None = None
        self._performing: asyncio.Task[None] | None = None
        self._ending: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"AnsweredCall({self.call_id!r}, ended_by={self.ended_by})"

    # What was said and heard.

    @property
    def received(self) -> list[JsonObject]:
        """Every JSON object the client sent over the sideband, in order."""
        return self._event_leg.received

    @property
    def received_frames(self) -> list[str | bytes]:
        """Every frame the client sent, as it came."""
        return self._event_leg.received_frames

    @property
    def sent(self) -> list[JsonObject]:
        """Every event sent to the client, in order."""
        return self._event_leg.sent

    @property
    def sideband_close_code(self) -> int | None:
        """The close code the client sent last; 1005 for a close frame without one, None if it sent no frame."""
        return self._event_leg.client_close_code

    @property
    def heard(self) -> Samples:
        """Everything the caller said: int16, shape `(n_samples,)`, mono, 24 kHz.

        From its first packet on, holes filled with silence.
        """
        return self._peer.heard.samples()

    @property
    def heard_level_dbfs(self) -> float:
        """RMS level of `heard`, relative to full scale."""
        return level_dbfs(self.heard)

    @property
    def packets_received(self) -> int:
        """RTP packets that came from the caller, decoded or not."""
        return self._peer.gate.n_rtp_received

    @property
    def packets_sent(self) -> int:
        """RTP packets of the agent."""
        return self._peer.track.n_packets

    @property
    def state(self) -> Literal["connecting", "active", "ending", "ended"]:
        """How far the call has come; it is active once media is connected."""
        if self._ending is not None:
            return "ended" if self._ending.done() else "ending"
        return "active" if self._peer.is_connected else "connecting"

    @property
    def is_sideband_joined(self) -> bool:
        """Whether a client is on the sideband just now."""
        return self._event_leg.is_joined

    @property
    def transcript(self) -> list[Said]:
        """Who said what so far, as the events told it, and the texts the client sent."""
        return self._event_leg.conversation.entries

    @property
    def levels(self) -> tuple[FrameLevels, FrameLevels]:
        """Levels of caller and agent."""
        return self._peer.levels, self._peer.track.levels

    async def media_figures(self) -> dict[str, JsonObject]:
        """Return what aiortc has counted of the media, by the type of its statistics; last when the call ended."""
        return await self._peer.figures() if self._last_figures is None else self._last_figures

    @property
    def is_media_connected(self) -> bool:
        """Whether ICE and DTLS have come up, at any time."""
        return self._peer.is_connected

    def cassette(self) -> Cassette:
        """Return the call so far as a cassette, without secrets and addresses. It blocks while it encodes the caller.

        Raises:
            CassetteUnusable: If the answerer has forgotten the beginning of the call.
            OpusUnavailable: If the caller was heard, and no usable libopus is found.
        """
        if self._direct is not None:
            raise CassetteUnusable("a cassette holds a WebRTC call: this one went over a websocket")
        track, began_s = self._peer.track, self._record.wire.started_at_s
        heard_from_s = self.levels[0].first_at_s
        return cassette_of(
            self.call_id,
            self.post,
            self.session,
            (self.offer_sdp, self.answer_sdp),
            self._record.wire.since(0),
            times_s=self.times_s,
            ended_by=_END_SIDES.get(self.ended_by, "nobody"),
            agent=track.sent,
            agent_began_s=None if track.began_s is None else track.began_s - began_s,
            heard=self.heard,
            heard_from_s=None if heard_from_s is None else heard_from_s - began_s,
        )

    # Waiting.

    async def sideband_joined(self, timeout_s: float = 5.0, *, times: int = 1) -> None:
        """Return once the client has joined the sideband, `times` times in all."""
        await self._until(lambda: self._event_leg.n_joined >= times, timeout_s, f"sideband joined {times} time(s)")

    async def media_connected(self, timeout_s: float = 5.0) -> None:
        """Return once ICE and DTLS are up."""
        await self._until(lambda: self._peer.is_connected, timeout_s, "media connected")

    async def wait_heard(self, seconds: float, timeout_s: float = 10.0) -> None:
        """Return once so many seconds of frames of the caller were heard."""
        await self._until(lambda: self._peer.heard.n_frames * FRAME_S >= seconds, timeout_s, f"{seconds:g} s heard")

    async def wait_received(self, wanted: int | Callable[[JsonObject], bool], timeout_s: float = 5.0) -> JsonObject:
        """Return a frame of the client: the `wanted`-th of all (from 1), or the first for which `wanted` is true."""

        def find() -> JsonObject | None:
            if isinstance(wanted, int):
                return self.received[wanted - 1] if len(self.received) >= wanted else None
            return next((frame for frame in self.received if wanted(frame)), None)

        def what() -> str:
            seen = ", ".join(str(frame.get("type")) for frame in self.received[-20:]) or "none"
            wish = f"{wanted} frames" if isinstance(wanted, int) else "the wanted frame"
            return f"{wish} of the client (came: {seen})"

        return await self._bell.until(find, timeout_s=timeout_s, what=what)

    async def wait_sent(self, wanted: Callable[[JsonObject], bool], timeout_s: float = 10.0) -> JsonObject:
        """Return the first event sent to the client for which `wanted` is true."""

        def find() -> JsonObject | None:
            return next((event for event in self.sent if wanted(event)), None)

        return await self._bell.until(find, timeout_s=timeout_s, what=lambda: "the wanted event sent")

    async def ended(self, timeout_s: float = 5.0) -> CallEnd:
        """Return how the call ended, once both legs are closed."""
        await self._until(lambda: self._ending is not None and self._ending.done(), timeout_s, "end of the call")
        assert self.ended_by is not None  # noqa: S101 - set before the end begins
        return self.ended_by

    @property
    def scenario_report(self) -> ScenarioReport:
        """What has come of the scenario in this call; settled once the call is over."""
        report = self._performance.report(self.call_id)
        for step in report.steps:
            fault = self._scenario_faults.get(step.number)
            if fault is not None and report.ended and (not fault.n_met or fault.n_left):
                step.outcome = Outcome.FAILED
                step.why = "nobody has met it" if not fault.n_met else f"to be met {fault.n_left} times more"
        return report

    # Doing.

    async def send_event(self, event: JsonObject) -> None:
        """Send an event to the client now.

        Raises:
            ConnectionError: If no sideband is joined.
        """
        await self._event_leg.send_event(event)

    async def send_frame(self, frame: str | bytes) -> None:
        """Send a raw text or binary frame to the client now.

        Raises:
            ConnectionError: If no sideband is joined.
        """
        await self._event_leg.send(frame)

    async def close_sideband(self, code: int = 1000, reason: str = "") -> None:
        """Close the sideband with this close frame. The call goes on: the client may rejoin."""
        await self._event_leg.close(code, reason)

    def drop_sideband(self) -> None:
        """Abort the sideband's TCP connection. The call goes on: the client may rejoin."""
        self._event_leg.drop()

    async def close_media(self) -> None:
        """Close the media path in order (the client is told by DTLS). The sideband stays."""
        await self._peer.aclose()

    def vanish(self) -> None:
        """Send no datagram and answer none from now on, telling nobody. The sideband stays."""
        self._peer.vanish()

    async def hang_up(self) -> None:
        """End the call as a server does: close frame 1000, and the media path closed."""
        await asyncio.shield(self.begin_end(CallEnd.AGENT))

    def speak(self, voice: Voice) -> None:
        """Let the agent begin to say something now, outside its script and without words."""
        if isinstance(voice, Echo):
            self._peer.echo(voice.delay_s, voice.duration_s)
        else:
            self._peer.track.speak(self._voices.samples(voice))

    # What the answerer does with it.

    async def answer(self) -> str:
        """Return the answer to the offer, and begin to listen and perform.

        Raises:
            OfferUnusable: If the offer cannot be answered.
        """
        self._call_faults.tick(self._event_leg, self._clock.now_s())
        if isinstance(self._peer, DirectPeer):
            pass  # there is nothing to answer: the handshake was
        elif self.relay is None:
            self.answer_sdp = await self._peer.answer(self.offer_sdp)
        else:
            # The caller can only be met where the relay hands its datagrams on: a peer-reflexive candidate.
            answer_sdp = await self._peer.answer(with_dead_candidates(self.offer_sdp))
            self.answer_sdp = self.relay.answer_by_way_of(answer_sdp)
        self.times_s["answered"] = self._now_s()
        self._performance.answered(self._clock.now_s())
        self._performing = asyncio.create_task(self._perform(), name=f"answerer-agent-{self.call_id}")
        self._performing.add_done_callback(self._agent_stopped)
        return self.answer_sdp

    async def serve_sideband(self, sideband: Sideband) -> None:
        """Read a sideband, which was just joined, to its end."""
        if self.ended_by is not None:  # while the handshake was answered
            sideband.drop()
            return
        self.times_s.setdefault("sideband_joined", self._now_s())
        if self._direct is not None:
            self._direct.peer.connect()
        await self._event_leg.serve(sideband)

    def begin_end(self, ended_by: CallEnd) -> asyncio.Task[None]:
        """Begin to end the call, once, as ended by `ended_by`; return the task that ends it, to be shielded."""
        if self._ending is None:
            self.ended_by = ended_by
            self.times_s["ended"] = self._now_s()
            by_client = _END_SIDES.get(ended_by) == "client"
            self._performance.end(ended_by.value, self._clock.now_s(), by_client=by_client)
            if self._tape is not None:
                self._record.blame(self._tape.ended(by_client=by_client), self.call_id)
            log.info("call ended", extra={"call_id": self.call_id, "ended_by": ended_by.name})
            self._ending = asyncio.create_task(self._end(), name=f"answerer-end-{self.call_id}")
            self._ending.add_done_callback(lambda _: self._bell.ring())
        return self._ending

    async def _end(self) -> None:
        if self._performing is not None:
            self._performing.cancel()
            await asyncio.wait({self._performing})
        self._last_figures = await self._peer.figures()
        for fault in self._scenario_faults.values():
            fault.end()
        await asyncio.gather(self._peer.aclose(), self._event_leg.close(1000))
        if self.relay is not None:
            self.relay.close()

    async def _until(self, is_so: Callable[[], bool], timeout_s: float, what: str) -> None:
        await self._bell.until(lambda: is_so() or None, timeout_s=timeout_s, what=lambda: what)

    def _media_connected(self) -> None:
        self._performance.media_connected(self._clock.now_s())
        if self._tape is not None:
            self._tape.media_connected(self._clock.now_s())
        self.times_s.setdefault("media_connected", self._now_s())
        self._bell.ring()

    def _heard_frame(self, level_dbfs: float, now_s: float) -> None:
        self._performance.hear(level_dbfs, now_s)
        self._bell.ring()

    async def _perform(self) -> None:
        """Ask the performance every 20 ms what is due, and do it."""
        next_tick_s = self._clock.now_s()
        while True:
            self._call_faults.tick(self._event_leg, self._clock.now_s())
            for act in self._performance.tick(self._clock.now_s()):
                await self._do(act)
            await self._event_leg.flush()
            await self._tell_sound()
            if self._tape is not None and await play(self._tape, self._event_leg, self._clock.now_s()):
                self.begin_end(CallEnd.AGENT)
            if self._call_faults.has_expired:
                self.begin_end(CallEnd.SESSION_EXPIRED)
            next_tick_s = max(next_tick_s + FRAME_S, self._clock.now_s() - FRAME_S)
            await self._clock.sleep_until(next_tick_s)

    async def _tell_sound(self) -> None:
        """Send what is due of the sound of a call over a websocket; it is not kept."""
        if self._direct is None or not self._event_leg.is_session_known or self._direct.judge.is_transcription:
            return
        with suppress(ConnectionError):
            for event in self._direct.peer.due(self._clock.now_s()):
                await self._event_leg.send(events.dump(event))

    async def _do(self, act: Act) -> None:
        match act:
            case Speak(voice):
                self.speak(voice)
            case Tell(event):
                self._event_leg.hold(event if self._direct is None else self._direct.named(event))
            case BeginFault(number, step):
                whose = self._answerer_faults if step.name in MET_BY_POSTS else self.faults
                self._scenario_faults[number] = begin_fault(whose, step.name, step.options)
            case EndFault(number):
                self._scenario_faults[number].end()
            case HangUp():
                await self._event_leg.flush()
                self.begin_end(CallEnd.AGENT)
            case _:
                assert_never(act)

    def _agent_stopped(self, performing: asyncio.Task[None]) -> None:
        if not performing.cancelled() and (failure := performing.exception()) is not None:
            log.error("the agent failed", exc_info=failure, extra={"call_id": self.call_id})
            self.begin_end(CallEnd.AGENT_FAILED)
