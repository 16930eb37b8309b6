"""CassetteRecorder: keeps what a cassette of a call needs, from the client's side.

`connect(..., cassette=recorder)` lets it listen. It costs what is said (kept as samples) and what is heard (kept as the
packets they came in) of the first ten minutes.
"""

from __future__ import annotations

from typing import Final, Literal

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, UNITS_PER_SAMPLE
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame
from rtc_client.audio.sinks.base import Sink
from rtc_client.audio.sinks.basic import NumpySink, TeeSink
from rtc_client.audio.sources.clips import OpusClip
from rtc_client.call.engine import Engine
from rtc_client.call.events.router import WireLog, WireMessage
from rtc_client.cassette.cassette import Cassette, Kind, Sound, WireEvent, sound_of
from rtc_client.cassette.redaction import CALL_ID, SECRET, SESSION_ID, Redactor
from rtc_client.errors import CassetteUnusable
from rtc_client.protocol import urls
from rtc_client.protocol.call_state import EndReason
from rtc_client.protocol.call_timeline import Milestone
from rtc_client.protocol.headers import call_headers, with_extra
from rtc_client.protocol.wire.session import offered_session
from rtc_client.signaling.bodies import json_offer, multipart_offer

MAX_FRAMES: Final = 20_000
MAX_SECONDS: Final = 600

_Direction = Literal["c2s", "s2c"]


class CassetteRecorder:
    """Records one call; when it is over, `cassette()` is what it was."""

    def __init__(self) -> None:
        self._engine: Engine | None = None
        self._frames: list[WireMessage] = []
        self._heard: list[tuple[bytes, int]] = []
        self._said = _FirstMinutes()

    def beside(self, wire_log: WireLog | None, caller_sink: Sink | None) -> tuple[WireLog, Sink]:
        """Return what writes to `wire_log` and `caller_sink`, and to this recorder."""

        def log(frame: WireMessage) -> None:
            if len(self._frames) < MAX_FRAMES:
                self._frames.append(frame)
            if wire_log is not None:
                wire_log(frame)

        return log, self._said if caller_sink is None else TeeSink(caller_sink, self._said)

    def attach(self, engine: Engine) -> None:
        """Listen to the `engine` of a call that is not dialled yet.

        Raises:
            ValueError: If it listens to another.
        """
        if self._engine is not None:
            raise ValueError("a CassetteRecorder records one call: make another")
        self._engine = engine
        engine.voices.agent.tap = self

    def write_packet(self, payload: bytes, position_samples: int) -> None:
        """Take a packet of the agent: its Opus payload, and its position at 48 kHz."""
        if position_samples < MAX_SECONDS * CLOCK_RATE_HZ:
            self._heard.append((payload, position_samples))

    @property
    def has_begun(self) -> bool:
        """Whether an offer was sent: before that there is nothing to record."""
        return self._engine is not None and self._engine.timeline.at_s(Milestone.GATHERED) is not None

    def cassette(self) -> Cassette:
        """Return the call so far, without secrets and addresses. It blocks while it encodes what was said.

        Raises:
            CassetteUnusable: If no offer was sent.
            OpusUnavailable: If something was said, and no usable libopus is found.
        """
        if self._engine is None or (posted_s := self._engine.timeline.at_s(Milestone.GATHERED)) is None:
            raise CassetteUnusable("no offer was sent: there is no call to make a cassette of")
        engine, connections, timeline = self._engine, self._engine.connections, self._engine.timeline

        def since_post(at_s: float | None) -> float | None:
            return None if at_s is None else at_s - posted_s

        strip = Redactor(
            call_id=connections.call_id, session_id=engine.config.session_id, secrets=engine.config.secrets
        )
        end, heard_s, said_s = engine.supervisor.end, engine.voices.agent.began_s, engine.voices.caller.began_s
        happenings = [
            *self._requests(strip, posted_s),
            *self._sideband(strip, timeline.at_s(Milestone.DIALED), posted_s),
        ]
        session = strip.value(offered_session(engine.config.session))
        return Cassette(
            recorded_by="client",
            offer_sdp=strip.sdp(connections.offer_sdp),
            session=session if isinstance(session, dict) else {},
            answer_sdp=None if connections.answer_sdp is None else strip.sdp(connections.answer_sdp),
            happenings=tuple(sorted(happenings, key=lambda one: one.at_s)),
            media_connected_s=since_post(timeline.at_s(Milestone.DTLS_CONNECTED)),
            ended_s=since_post(timeline.at_s(Milestone.ENDED)),
            ended_by="nobody" if end is None or end.by == "network" else "server" if end.by == "server" else "client",
            agent=None if heard_s is None else sound_of(self._heard, heard_s - posted_s),
            caller=None if said_s is None else self._said.sound(said_s - posted_s),
        )

    def _requests(self, strip: Redactor, posted_s: float) -> list[WireEvent]:
        """Return the requests of the call, as its configuration makes them, with what was answered to the offer."""
        assert self._engine is not None  # noqa: S101 - cassette() has looked
        config, connections, timeline = self._engine.config, self._engine.connections, self._engine.timeline
        shape = json_offer if urls.is_backend(config.base_url) else multipart_offer
        content_type = shape("", {})[0]
        ours = call_headers(SECRET, SESSION_ID)
        found = [
            _request(
                "http_request",
                0.0,
                urls.calls_url(config.base_url, config.query),
                strip.headers(with_extra([*ours, ("accept", "*/*"), ("content-type", content_type)], config.headers)),
                strip,
            )
        ]
        if (head := None if connections.signaling is None else connections.signaling.answer_head) is not None:
            at_s = (timeline.at_s(Milestone.ANSWERED) or posted_s) - posted_s
            status, headers = head
            fields: dict[str, object] = {"status": status, "headers": strip.headers(headers)}
            found.append(WireEvent(at_s=at_s, direction="s2c", kind="http_response", fields=fields))
        if connections.call_id is None:
            return found
        if (joined_s := timeline.at_s(Milestone.SIDEBAND_JOINED)) is not None:
            base = urls.sideband_base(config.base_url, config.sideband_url)
            headers_sent = strip.headers(with_extra(ours, config.headers))
            url = urls.sideband_url(base, config.query, CALL_ID)
            found.append(_request("ws_open", joined_s - posted_s, url, headers_sent, strip))
        end, ended_s = self._engine.supervisor.end, timeline.at_s(Milestone.ENDED)
        is_told = end is not None and end.reason is not EndReason.REMOTE_HANGUP and config.remote_hangup
        if is_told and ended_s is not None:
            headers_sent = strip.headers(with_extra([*ours, ("accept", "*/*")], config.headers))
            url = urls.hangup_url(config.base_url, config.query, connections.call_id)
            found.append(_request("http_request", ended_s - posted_s, url, headers_sent, strip))
        return found

    def _sideband(self, strip: Redactor, dialed_s: float | None, posted_s: float) -> list[WireEvent]:
        late_s = posted_s - (dialed_s or posted_s)
        found = []
        for frame in self._frames:
            direction: _Direction = "c2s" if frame.direction == "out" else "s2c"
            kind: Kind = "ws_text"
            match frame.event:
                case {"binary_base64": str() as content, **others} if not others:
                    kind, fields = "ws_binary", dict[str, object](base64=content)
                case str() as text:
                    fields = {"text": strip.text(text)}
                case event:
                    fields = {"event": strip.value(event)}
            found.append(WireEvent(at_s=frame.at_s - late_s, direction=direction, kind=kind, fields=fields))
        return found


class _FirstMinutes(NumpySink):
    """Keeps the samples of the first `MAX_SECONDS`."""

    def write(self, frame: PcmFrame) -> None:
        if frame.position_samples < MAX_SECONDS * SAMPLE_RATE_HZ:
            super().write(frame)

    def sound(self, begins_s: float) -> Sound | None:
        """Return what was kept, encoded."""
        samples = self.samples
        if not len(samples):
            return None
        packet_samples = FRAME_SAMPLES * UNITS_PER_SAMPLE
        packets = OpusClip.from_array(samples).packets
        return Sound(begins_s=begins_s, packets=tuple((packet, packet_samples) for packet in packets))


def _request(kind: Kind, at_s: float, url: str, headers: list[list[str]], strip: Redactor) -> WireEvent:
    target = "/" + url.partition("://")[2].partition("/")[2]
    method = "GET" if kind == "ws_open" else "POST"
    fields: dict[str, object] = {"method": method, "target": strip.target(_decoded(target)), "headers": headers}
    return WireEvent(at_s=at_s, direction="c2s", kind=kind, fields=fields)


def _decoded(target: str) -> str:
    """Return a target in which our own placeholder is as we wrote it, not escaped as in a URL."""
    return target.replace("%3Ccall-id%3E", CALL_ID)
