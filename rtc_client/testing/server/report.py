"""What a fake answerer reports of its calls, as plain JSON objects.

Keys are those of the documentation (docs/answer.md) and only ever added to. Nothing here holds a key of a client: wire
traffic comes from `testing/wire/wire_log.py`, which takes them out. It does hold what was said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Final

from rtc_client.audio.pcm import FLOOR_DBFS
from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.calls.conversation import MAX_ENTRIES
from rtc_client.testing.network.udp_relay import LinkCounters
from rtc_client.testing.sound.levels import FrameLevels
from rtc_client.testing.wire.record import Record, Violation
from rtc_client.testing.wire.server_events import JsonObject

CLOCK_RATE_HZ: Final = 48_000


async def report(calls: Sequence[AnsweredCall], record: Record, call_id: str | None = None) -> JsonObject:
    """Return everything, or what belongs to one call."""
    wanted = [call for call in calls if call_id in (None, call.call_id)]
    return {
        "up_s": round(record.wire.now_s(), 3),
        "calls": [record.wire.scrubbed(await call_report(call, record)) for call in wanted],
        "violations": [violation_json(one) for one in record.violations if call_id in (None, one.call_id)],
        "wire": [entry.as_json() for entry in record.wire.since(0) if call_id in (None, entry.call_id)],
        "wire_forgotten": record.wire.n_forgotten,
    }


async def call_report(call: AnsweredCall, record: Record) -> JsonObject:
    """Return what is known of one call but its wire traffic."""
    return {
        **card(call, record),
        "session": call.session,
        "offer_sdp": call.offer_sdp,
        "answer_sdp": call.answer_sdp,
        "media": await media_report(call, record.wire.started_at_s),
        "scenario": call.scenario_report.as_json(),
    }


def card(call: AnsweredCall, record: Record, n_turns: int = MAX_ENTRIES) -> JsonObject:
    """Return what changes in a call only now and then: state, the last turns of its transcript, violations."""
    return {
        "call_id": call.call_id,
        "state": call.state,
        "ended_by": None if call.ended_by is None else call.ended_by.name.lower(),
        "hung_up_by_client": call.hung_up_by_client,
        "is_media_connected": call.is_media_connected,
        "is_sideband_joined": call.is_sideband_joined,
        "sideband_close_code": call.sideband_close_code,
        "times_s": {name: round(at_s, 4) for name, at_s in call.times_s.items()},
        "transcript": [said.as_json() for said in call.transcript[-n_turns:]],
        "violations": [violation_json(one) for one in record.violations_of(call.call_id)],
        # A script leaves nothing to be met.
        "scenario": call.scenario_report.as_json() if call.scenario.must_finish else None,
    }


def meter(call: AnsweredCall, now_s: float) -> list[float]:
    """Return what changes all the time: both levels in dBFS, packets received and sent."""
    levels = (round(levels.recent_dbfs(now_s), 1) for levels in call.levels)
    return [*levels, call.packets_received, call.packets_sent]


async def media_report(call: AnsweredCall, started_at_s: float) -> JsonObject:
    """Return the measurements of both directions; `received` is the caller's voice, `sent` the agent's."""
    figures = await call.media_figures()
    inbound, outbound = figures.get("inbound-rtp", {}), figures.get("outbound-rtp", {})
    told, transport = figures.get("remote-inbound-rtp", {}), figures.get("transport", {})
    caller, agent = call.levels
    return {
        "received": {
            "packets": call.packets_received,
            "packets_lost": inbound.get("packetsLost"),
            "jitter_ms": _rounded(inbound.get("jitter"), 1000 / CLOCK_RATE_HZ),
            "bytes": transport.get("bytesReceived"),
            **_sound(caller, started_at_s),
        },
        "sent": {
            "packets": call.packets_sent,
            "packets_lost": told.get("packetsLost"),
            "jitter_ms": _rounded(told.get("jitter"), 1000 / CLOCK_RATE_HZ),
            "bytes": transport.get("bytesSent"),
            "payload_bytes": outbound.get("bytesSent"),
            **_sound(agent, started_at_s),
        },
        "round_trip_ms": _rounded(told.get("roundTripTime"), 1000),
        "relay": None
        if call.relay is None
        else {"to_agent": _lane(call.relay.to_agent.counters), "to_caller": _lane(call.relay.to_caller.counters)},
    }


def violation_json(violation: Violation) -> JsonObject:
    """Return a violation as the report holds it."""
    return {"section": violation.section, "message": violation.message, "call_id": violation.call_id}


def _sound(levels: FrameLevels, started_at_s: float) -> JsonObject:
    def since_start(at_s: float | None) -> float | None:
        return None if at_s is None else round(at_s - started_at_s, 3)

    return {
        "seconds": round(levels.seconds, 2),
        "level_dbfs": _level(levels.level_dbfs),
        "voiced_s": round(levels.voiced_s, 2),
        "first_at_s": since_start(levels.first_at_s),
        "first_voiced_at_s": since_start(levels.voiced_at_s),
        "last_voiced_at_s": since_start(levels.last_voiced_at_s),
    }


def _lane(counters: LinkCounters) -> JsonObject:
    return dict(asdict(counters))


def _level(level_dbfs: float) -> float | None:
    return None if level_dbfs <= FLOOR_DBFS else round(level_dbfs, 1)


def _rounded(value: object, scale: float) -> float | None:
    return round(value * scale, 2) if isinstance(value, int | float) else None
