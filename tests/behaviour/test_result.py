"""Promise: the result says what the call was, in numbers that add up.

In real time: `test_the_result_of_a_call_adds_up`.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields

import pytest

from rtc_client import (
    ArraySource,
    CallClosed,
    CallResult,
    Timings,
    ToneSource,
    TranscriptEntry,
    connect,
)
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for
from tests.behaviour.speech import CALLER_WORDS


@pytest.mark.real_time("its phases have lengths")
async def test_the_result_of_a_call_adds_up(answerer: FakeAnswerer) -> None:
    """Timings are plausible, packets are those the far side counted, levels are those that were played."""
    turn = SpokenTurn(voice=Tone(duration_s=1.2, level_dbfs=-20), text="one two three", when=AtTime(0.0))
    answerer.script = AgentScript(turns=[turn])

    async with connect(config_for(answerer, max_duration_s=1.5), source=ToneSource(440, -26.0), metered=True) as call:
        result = await call.wait_ended()

    (answered,) = answerer.calls
    await answered.ended()
    assert result.call_id == answered.call_id
    _assert_plausible(result.timings_ms)
    assert result.duration_s == pytest.approx(1.5, abs=0.15)
    assert result.sent.packets == pytest.approx(answered.packets_received, abs=3)
    assert result.received.packets == pytest.approx(answered.packets_sent, abs=3)
    assert result.sent.packets == pytest.approx(75, abs=8)
    assert result.received.packets == pytest.approx(75, abs=8)
    assert result.sent.lost in (0, None)
    assert result.received.lost == 0
    for totals in (result.sent, result.received):
        assert 40 * totals.packets < totals.bytes < 400 * totals.packets
    assert result.sent.level_dbfs == pytest.approx(-26, abs=0.5)
    assert result.received.level_dbfs == pytest.approx(-21, abs=1.5)
    assert result.events == {
        "unknown": 0,
        "session.updated": 1,
        "conversation.output_transcript.delta": 3,
        "response.output_audio_transcript.done": 1,
    }
    assert [entry.text for entry in result.transcript] == ["one two three"]
    assert (result.late_frames, result.events_skipped, dict(result.datagrams_dropped)) == (0, 0, {})
    assert result.error is None


async def test_the_result_can_be_read_during_the_call_and_no_longer_changes_after_it(answerer: FakeAnswerer) -> None:
    """So far while it runs; once it is over it is the same however often it is asked for."""
    async with connect(config_for(answerer), source=ArraySource(CALLER_WORDS)) as call:
        await (await answerer.wait_for_call()).wait_heard(0.2)
        during = call.result
        await answerer.calls[0].wait_heard(0.3)
        await call.hangup()
        after = call.result

    assert during.end is None
    assert during.duration_s is not None
    assert after.duration_s is not None
    assert 0 < during.duration_s < after.duration_s
    assert call.result == after
    assert call.elapsed_s == pytest.approx(after.duration_s, abs=0.001)


async def test_the_result_is_json_and_a_report(answerer: FakeAnswerer) -> None:
    """`as_dict` survives JSON with every documented key, `as_text` is for people."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.3), text="Good day.")])
    async with connect(config_for(answerer, max_duration_s=0.6)) as call:
        result = await call.wait_ended()

    values = json.loads(json.dumps(result.as_dict()))
    assert {"call_id", "end", "error", "timings_ms", "audio", "events", "transcript"} <= values.keys()
    assert values["end"] == {"reason": "max_duration", "by": "caller", "detail": ""}
    assert values["timings_ms"].keys() == {"gather", "post", "ice", "dtls", "first_rtp", "sideband", "setup"}
    for direction in ("sent", "received"):
        assert values["audio"][direction].keys() == {"packets", "bytes", "lost", "level_dbfs"}
    (entry,) = values["transcript"]
    assert entry.keys() == {entry_field.name for entry_field in fields(TranscriptEntry)}
    assert (entry["role"], entry["text"], entry["final"]) == ("agent", "Good day.", True)
    text = result.as_text()
    assert str(result.call_id) in text
    assert "max_duration by the caller" in text
    assert "agent:    Good day." in text


async def test_a_call_that_never_was_has_a_result_too(answerer: FakeAnswerer) -> None:
    """Nothing is None that a program would trip over."""
    call = connect(config_for(answerer))
    await call.hangup()
    with pytest.raises(CallClosed):
        await call.__aenter__()

    assert call.result.call_id is None
    assert call.result.duration_s is None
    assert call.result.timings_ms == Timings()
    json.dumps(call.result.as_dict())
    assert "was never answered" in call.result.as_text()
    assert isinstance(CallResult().as_text(), str)


def _assert_plausible(timings: Timings) -> None:
    """Every phase took some time, in an order that can be, and the parts are not more than the whole."""
    phases = asdict(timings)
    assert None not in phases.values()
    assert all(0 <= ms < 2_000 for ms in phases.values())
    parts_ms = phases["gather"] + phases["post"] + phases["ice"] + phases["dtls"]
    assert parts_ms == pytest.approx(phases["setup"], abs=1.0)
    assert phases["post"] > 1
    assert phases["ice"] > 0.5
