"""Makes a cassette of an answered call from what the answerer has kept."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ
from rtc_client.audio.frames import Samples
from rtc_client.audio.sources.clips import OpusClip
from rtc_client.cassette.cassette import Cassette, Sound, WireEvent, sound_of
from rtc_client.cassette.redaction import Redactor
from rtc_client.cassette.reference_client import frame_fields
from rtc_client.errors import CassetteUnusable
from rtc_client.testing.wire.record import SeenRequest
from rtc_client.testing.wire.server_events import JsonObject
from rtc_client.testing.wire.wire_log import WireEntry

_FRAME: Final = CLOCK_RATE_HZ // 50


def cassette_of(
    call_id: str,
    post: SeenRequest,
    session: JsonObject,
    sdps: tuple[str, str],
    entries: Iterable[WireEntry],
    *,
    times_s: Mapping[str, float],
    ended_by: Literal["client", "server", "nobody"],
    agent: Sequence[tuple[bytes, int]],
    agent_began_s: float | None,
    heard: Samples,
    heard_from_s: float | None,
) -> Cassette:
    """Return the cassette of a call. All times are seconds since the answerer started.

    `sdps` are offer and answer, `agent` the packets sent with their positions at 48 kHz, `heard` what the caller said,
    which is encoded again.

    Raises:
        CassetteUnusable: If the answerer has forgotten the beginning of the call.
        OpusUnavailable: If the caller was heard, and no usable libopus is found.
    """
    placed_s = times_s["placed"]
    strip = Redactor(call_id=call_id, session_id=post.header("x-session-id"))
    # Its secrets are known before anything else is stripped.
    strip.target(post.target)
    strip.headers(post.headers)
    happenings = tuple(_happening(entry, placed_s, strip) for entry in entries if entry.call_id == call_id)
    if not happenings or happenings[0].kind != "http_request":
        raise CassetteUnusable("the answerer has forgotten the beginning of this call: take its cassette sooner")
    connected_s, ended_s = times_s.get("media_connected"), times_s.get("ended")
    offer_sdp, answer_sdp = sdps
    stripped_session = strip.value(session)
    return Cassette(
        recorded_by="answerer",
        offer_sdp=strip.sdp(offer_sdp),
        session=stripped_session if isinstance(stripped_session, dict) else {},
        answer_sdp=strip.sdp(answer_sdp),
        happenings=happenings,
        media_connected_s=None if connected_s is None else connected_s - placed_s,
        ended_s=None if ended_s is None else ended_s - placed_s,
        ended_by=ended_by,
        agent=None if agent_began_s is None else sound_of(agent, agent_began_s - placed_s),
        caller=None if heard_from_s is None else _encoded(heard, heard_from_s - placed_s),
    )


def _encoded(samples: Samples, begins_s: float) -> Sound:
    packets = OpusClip.from_array(samples).packets
    return Sound(begins_s=begins_s, packets=tuple((packet, _FRAME) for packet in packets))


def _happening(entry: WireEntry, placed_s: float, strip: Redactor) -> WireEvent:
    kept = entry.fields
    fields: JsonObject = {}
    if (method := kept.get("method")) is not None:
        fields["method"] = method
        fields["target"] = strip.target(str(kept.get("target", "")))
    headers = kept.get("headers")
    if isinstance(headers, list):
        fields["headers"] = strip.headers((str(name), str(value)) for name, value in headers)
    if entry.kind == "ws_text":
        fields |= frame_fields(str(kept.get("text", "")), strip)
    fields |= {name: kept[name] for name in ("status", "base64", "code") if name in kept}
    status = kept.get("status")
    if isinstance(status, int) and status >= 400:
        fields["text"] = strip.text(str(kept.get("body", "")))
    return WireEvent(at_s=entry.at_s - placed_s, direction=entry.direction, kind=entry.kind, fields=fields)


def frame_text(event: object) -> str:
    """Return the text of a frame that holds this JSON value."""
    return json.dumps(event, separators=(",", ":"), ensure_ascii=False)
