"""Promises about many at once; how quick it is tells `scripts/bench answerer`, for a loaded machine proves nothing."""

from __future__ import annotations

import asyncio

import pytest

from rtc_client.testing import CallEnd, FakeAnswerer
from tests.bench import speed

N_CALLS = 50


async def test_fifty_calls_at_once_are_answered_by_one() -> None:
    """Each is connected on both legs, and ends as its client wants it."""
    async with FakeAnswerer() as answerer:
        await asyncio.gather(*(speed.place_call(answerer) for _ in range(N_CALLS)))

        assert {await call.ended() for call in answerer.calls} <= {CallEnd.CLIENT_HANGUP, CallEnd.CLIENT_SIDEBAND}
        assert len({call.call_id for call in answerer.calls}) == N_CALLS
        assert all(call.is_media_connected and call.hung_up_by_client for call in answerer.calls)
        assert answerer.violations == []


async def test_answerers_beside_each_other_have_ports_of_their_own() -> None:
    """No port is fixed: any number serve at the same time, each its own calls."""
    answerers = [FakeAnswerer() for _ in range(20)]
    await asyncio.gather(*(answerer.__aenter__() for answerer in answerers))

    await asyncio.gather(*(speed.place_call(answerer) for answerer in answerers[:5]))

    assert len({answerer.port for answerer in answerers}) == len(answerers)
    assert [len(answerer.calls) for answerer in answerers[:6]] == [1, 1, 1, 1, 1, 0]
    await asyncio.gather(*(answerer.aclose() for answerer in answerers))


@pytest.mark.real_time("it measures time")
async def test_the_benchmark_measures_every_step() -> None:
    """Start, call, test, many at once and imports are told, and none of them takes no time."""
    found = await speed.measure(repeat=1, n_at_once=2)

    steps = {"start_first_ms", "start_best_ms", "test_best_ms", "call_median_ms", "2_calls_at_once_ms"}
    assert steps | {"plugin_import_ms", "fixture_import_ms"} <= found.keys()
    assert all(took_ms > 0 for took_ms in found.values())
    assert found["test_best_ms"] > found["start_best_ms"]
