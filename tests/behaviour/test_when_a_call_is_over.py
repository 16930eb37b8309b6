"""Promise: a call ends when everything was said, when its time is over, or when somebody hangs up, and says which.

In real time: `test_the_maximum_duration_also_cuts_an_agent_short`.
"""

from __future__ import annotations

import asyncio

import pytest

from rtc_client import (
    ArraySource,
    Call,
    CallResult,
    CallState,
    EndReason,
    NumpySink,
    PushSource,
    SilenceSource,
    Source,
    ToneSource,
    connect,
)
from rtc_client.testing import AgentScript, AtTime, CallEnd, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for
from tests.behaviour.speech import CALLER_WORDS, cut, seconds


def end_of(result: CallResult) -> tuple[EndReason, str]:
    """Return why and by whom a call ended."""
    assert result.end is not None
    return result.end.reason, result.end.by


async def test_after_the_source_the_call_goes_on_until_the_agent_has_been_silent(answerer: FakeAnswerer) -> None:
    """An agent that answers late, but within the linger time, is heard to his end; then the call ends by itself."""
    reply = SpokenTurn(voice=Tone(duration_s=1.0), when=AtTime(0.8))
    answerer.script = AgentScript(turns=[reply])
    source = ArraySource(cut(CALLER_WORDS, 0, 0.5))
    sink = NumpySink()

    async with connect(config_for(answerer, linger_s=0.6), source=source, sink=sink) as call:
        result = await call.wait_ended()

    assert end_of(result) == (EndReason.SOURCE_ENDED, "caller")
    assert result.error is None
    assert result.duration_s == pytest.approx(0.8 + 1.0 + 0.6, abs=0.35)
    assert seconds(sink.samples) == pytest.approx(result.duration_s, abs=0.05)


async def test_with_a_silent_agent_the_linger_time_counts_from_the_end_of_the_source(answerer: FakeAnswerer) -> None:
    """Nobody answers: the call ends one linger time after the last word."""
    source = ArraySource(cut(CALLER_WORDS, 0, 0.5))

    async with connect(config_for(answerer, linger_s=0.4), source=source) as call:
        result = await call.wait_ended()

    assert end_of(result) == (EndReason.SOURCE_ENDED, "caller")
    assert result.duration_s == pytest.approx(0.5 + 0.4, abs=0.2)


async def test_an_endless_source_speaks_until_the_time_is_over(answerer: FakeAnswerer) -> None:
    """Silence, a tone and a push source that nobody finishes never end a call; the maximum duration does."""
    config = config_for(answerer, max_duration_s=0.5, linger_s=0.0)

    async def held_with(source: Source | None) -> CallResult:
        async with connect(config, source=source) as call:
            return await call.wait_ended()

    sources = (None, SilenceSource(), ToneSource(440), PushSource())
    results = await asyncio.gather(*(held_with(source) for source in sources))

    assert {end_of(result) for result in results} == {(EndReason.MAX_DURATION, "caller")}
    assert [result.duration_s for result in results] == pytest.approx([0.5] * len(sources), abs=0.15)
    assert all(answered.hung_up_by_client for answered in answerer.calls)


@pytest.mark.both_clocks
async def test_the_maximum_duration_also_cuts_an_agent_short(answerer: FakeAnswerer) -> None:
    """It counts from connected, whoever is speaking."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=30))])

    async with connect(config_for(answerer, max_duration_s=0.4), source=ArraySource(CALLER_WORDS)) as call:
        result = await call.wait_ended()

    assert end_of(result) == (EndReason.MAX_DURATION, "caller")
    assert result.duration_s == pytest.approx(0.4, abs=0.15)


async def test_leaving_the_block_hangs_up(answerer: FakeAnswerer) -> None:
    """A body that ends is a hang-up of ours, told to the server by REST, and the state says so all along."""
    states: list[CallState] = []

    def note(call: Call) -> None:
        states.append(call.state)

    call = connect(config_for(answerer))
    note(call)
    async with call:
        note(call)
    note(call)

    assert states == [CallState.IDLE, CallState.ACTIVE, CallState.ENDED]
    assert end_of(call.result) == (EndReason.HANGUP, "caller")
    assert await answerer.calls[0].ended() is CallEnd.CLIENT_HANGUP


async def test_whoever_waits_for_the_end_may_stop_waiting(answerer: FakeAnswerer) -> None:
    """Cancelling `wait_ended` leaves the call as it is."""
    async with connect(config_for(answerer)) as call:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await call.wait_ended()
        assert call.state is CallState.ACTIVE
        assert call.result.end is None
