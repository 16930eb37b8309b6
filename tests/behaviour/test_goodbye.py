"""Promise: a call that is hung up behind the goodbye ends when it was heard, and never waits for ever.

In real time: `test_a_goodbye_is_heard_to_its_end`.
"""

from __future__ import annotations

import asyncio
import json

import numpy as np
import pytest

from rtc_client import EndReason, NumpySink, connect
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import cancel_and_wait, config_for, until
from tests.behaviour.loudspeaker import Loudspeaker
from tests.wire.events import created, delta
from tests.wire.websocket_server import config_of, serving


@pytest.mark.both_clocks
async def test_a_goodbye_is_heard_to_its_end(answerer: FakeAnswerer) -> None:
    """All of it comes out of the loudspeaker; then the call is over, half a second later."""
    turn = SpokenTurn(voice=Tone(frequency_hz=440, duration_s=0.8), text="Goodbye.", when=AtTime(0.2))
    answerer.script = AgentScript(turns=[turn])
    speaker = Loudspeaker(queue_s=0.2)

    async with connect(config_for(answerer), sink=speaker) as call:
        await until(lambda: len(speaker.voiced) > 5)
        await call.hangup(after="playout")

    assert len(speaker.voiced) * 0.02 == pytest.approx(0.8, abs=0.05)
    assert 0.75 < speaker.frames[-1][0] - speaker.voiced[-1] < 1.1
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


async def test_an_agent_that_goes_on_and_on_is_hung_up_at_the_limit(answerer: FakeAnswerer) -> None:
    """Who gives up the waiting has not hung up; a second, plain hang-up ends the waiting of the first."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=20), when=AtTime(0.1))])
    sink = NumpySink()

    async with connect(config_for(answerer), sink=sink) as call:
        await until(lambda: 1 in np.sign(sink.samples))
        given_up = asyncio.create_task(call.hangup(after="playout"))
        await asyncio.sleep(0.05)
        await cancel_and_wait(given_up)
        assert call.result.end is None
        waiting = asyncio.create_task(call.hangup(after="playout", limit_s=60))
        before_s = call.elapsed_s
        await call.hangup(EndReason.INTERRUPTED, after="playout", limit_s=0.3)
        await waiting

    assert call.elapsed_s - before_s == pytest.approx(0.3, abs=0.1)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.INTERRUPTED


async def test_over_a_websocket_what_waits_is_played_first() -> None:
    """A response that came faster than it is spoken, with all its pauses; and one that is under way is waited for."""
    sink = NumpySink()
    async with serving() as server, connect(config_of(server), sink=sink) as call:
        await server.said()
        await server.send(created("r1"))
        await until(lambda: call.is_responding)
        hanging_up = asyncio.create_task(call.hangup(after="playout"))
        await asyncio.sleep(0.8)
        assert not hanging_up.done()
        words = [delta("r1", "i1", 7_200), delta("r1", "i1", 19_200, value=0), delta("r1", "i1", 7_200)]
        await server.send(*words, json.dumps({"type": "response.done", "response": {"id": "r1"}}))
        await hanging_up

    assert int((sink.samples == 1000).sum()) == 14_400
