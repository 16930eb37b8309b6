"""A whole call against the fake answerer, by a caller that shares no code with our client.

In real time: `test_a_call_carries_sound_both_ways_and_its_words`.
"""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtc_client.audio.frames import Samples
from rtc_client.testing import AgentScript, CallEnd, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.scenario.voices import tone_samples
from tests.testing.caller import joined
from tests.testing.conftest import Place


@pytest.mark.both_clocks
async def test_a_call_carries_sound_both_ways_and_its_words(place: Place) -> None:
    """Both sides hear each other, and the sideband tells what the agent says."""
    turn = SpokenTurn(voice=Tone(frequency_hz=440, duration_s=1.0), text="Good morning, how are you?")
    script = AgentScript(turns=[turn], hang_up_when_done=True)
    async with FakeAnswerer(script=script) as answerer:
        placed = await place(answerer, tone_samples(Tone(frequency_hz=1000, duration_s=3)))
        async with joined(answerer, placed.call_id) as sideband:
            call = await answerer.wait_for_call()
            await call.media_connected()
            events = [json.loads(message) async for message in sideband]

            assert await call.ended() is CallEnd.AGENT

    assert events[0]["type"] == "session.updated"
    assert "".join(e["delta"] for e in events if e["type"] == "conversation.output_transcript.delta") == turn.text
    assert events[-1] == {"type": "response.output_audio_transcript.done", "transcript": turn.text}
    assert loudest_hz(call.heard) == 1000
    assert loudest_hz(placed.caller.heard()) == 440
    assert answerer.violations == []


def loudest_hz(samples: Samples) -> int:
    spectrum = np.abs(np.fft.rfft(samples.astype(float)))
    return 10 * round(float(np.argmax(spectrum)) * 2_400 / len(samples))
