"""Promise: asking, barging in and listening work on a WebRTC call (v1) as over a websocket (v2), from many tasks.

In real time: `test_an_answer_on_v1_is_the_next_turn_that_begins`.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from rtc_client import CommandFault, InvalidCommand, NumpySink, ResponseTimeout, connect
from rtc_client.testing import AfterMessage, AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.scenario.scenario import Scenario
from tests.behaviour.calls import config_for, until

DIRECT: dict[str, Any] = {"transport": "websocket"}


@pytest.mark.both_clocks
@pytest.mark.parametrize("settings", [{}, DIRECT | {"version": "v1"}], ids=["webrtc", "websocket-v1"])
async def test_an_answer_on_v1_is_the_next_turn_that_begins(answerer: FakeAnswerer, settings: dict[str, Any]) -> None:
    """Not the end of the turn in whose midst the question came, nor what a later question is answered by."""
    answerer.script = AgentScript(
        turns=[SpokenTurn(voice=Tone(duration_s=0.4), text="I was saying this")],
        reply_to_text=SpokenTurn(voice=Tone(duration_s=0.1), text="an answer"),
    )
    async with connect(config_for(answerer, **settings)) as call:
        words = call.transcript_chunks()
        await anext(words)
        assert call.is_responding
        answers = await asyncio.gather(call.ask("When?", timeout_s=5), call.ask("Where?", timeout_s=5))
        await call.hangup()
        finals = [chunk.text async for chunk in words if chunk.is_final]

    assert list(answers) == ["an answer", "an answer"]
    assert finals == ["I was saying this", "an answer", "an answer"]


async def test_a_question_on_v1_that_nobody_answers_is_given_up(answerer: FakeAnswerer) -> None:
    """Within its limit; and pieces of a turn that never settles are the answer once the server says it is over."""
    async with connect(config_for(answerer)) as call:
        far = await answerer.wait_for_call()
        with pytest.raises(ResponseTimeout, match=r"the reply did not come within 0\.1 s"):
            await call.ask("Anybody?", timeout_s=0.1)
        asking = asyncio.create_task(call.ask("And now?", timeout_s=5))
        await far.wait_received(3)
        for event in ("delta", "delta", "done"):
            await far.send_event({"type": f"conversation.output_transcript.{event}", "delta": "Well "})

        assert await asking == "Well Well "


async def test_v1_refuses_what_it_is_not_known_to_take() -> None:
    """Each verb by the same error, with nothing sent, and each passes when it is asked for."""
    async with FakeAnswerer(lenient=True) as answerer, connect(config_for(answerer)) as call:
        for refused in (
            call.respond(),
            call.append_audio(b""),
            call.commit_audio(),
            call.clear_audio(),
            call.approve("mcpr_1"),
            call.deny("mcpr_1"),
        ):
            with pytest.raises(InvalidCommand, match="allow_unproven=True") as error:
                await refused
            assert error.value.fault is CommandFault.UNPROVEN
        far = await answerer.wait_for_call()
        responding = asyncio.create_task(call.respond(allow_unproven=True))
        await far.wait_received(2)
        await far.send_event({"type": "response.created", "response": {"id": "r1"}})
        await until(lambda: call.active_response_id == "r1")
        await call.barge_in(allow_unproven=True)
        await call.append_audio(b"ab", allow_unproven=True)
        await call.commit_audio(allow_unproven=True)
        await far.send_event({"type": "response.cancelled", "response_id": "r1"})
        assert (await responding).status == "cancelled"
        await far.wait_received(6)

    assert [one["type"] for one in far.received[1:]] == [
        "response.create",
        "response.cancel",
        "output_audio_buffer.clear",
        "input_audio_buffer.append",
        "input_audio_buffer.commit",
    ]


async def test_a_barge_in_on_webrtc_silences_the_agent_until_it_begins_anew(answerer: FakeAnswerer) -> None:
    """The sink and the stream hear nothing of the rest of the turn, and the next turn from its first sample."""
    answerer.script = AgentScript(
        turns=[
            SpokenTurn(voice=Tone(frequency_hz=500, duration_s=1.2), text="a long story that nobody wants to hear"),
            SpokenTurn(voice=Tone(frequency_hz=1500, duration_s=0.3), text="next"),
        ]
    )
    sink = NumpySink()
    async with connect(config_for(answerer), sink=sink) as call:
        chunks = call.audio_chunks()
        async for chunk in chunks:
            if chunk.samples.any() and (chunk.position_samples or 0) > 9600:
                break
        assert 0 <= await call.barge_in() < 0.5
        n_before = len(sink.samples)
        assert not call.is_responding
        await until(lambda: [e.text for e in call.transcript if e.final][-1:] == ["next"])
        await call.hangup()
        rest = np.concatenate([chunk.samples async for chunk in chunks])
        entries = call.transcript

    after = sink.samples[n_before + 480 :]
    voiced = np.flatnonzero(np.abs(after.astype(int)) > 500)
    assert 0.2 < (voiced[-1] - voiced[0]) / 24_000 < 0.4
    assert voiced[0] > 24_000 * 0.3
    spectrum = np.abs(np.fft.rfft(after[voiced[0] : voiced[-1]]))
    assert np.argmax(spectrum) * 24_000 / (voiced[-1] - voiced[0]) == pytest.approx(1500, abs=30)
    assert np.array_equal(rest[-len(after) :], after)
    assert [(e.text, e.interrupted) for e in entries] == [
        ("a long story that nobody wants to hear", True),
        ("next", False),
    ]


async def test_one_call_is_used_by_many_tasks_over_a_websocket(answerer: FakeAnswerer) -> None:
    """While two read events, and one each sound and words, others say, ask and respond; all end with the call."""
    asked = AfterMessage({"type": "response.create"})
    reply = SpokenTurn(voice=Tone(duration_s=0.2), text="an answer", when=asked)
    answerer.scenario = Scenario(steps=[reply, reply, reply])

    async def read(stream: Any) -> list[Any]:
        return [one async for one in stream]

    async with connect(config_for(answerer, **DIRECT)) as call:
        streams = call.events(), call.events(), call.audio_chunks(), call.transcript_chunks()
        reading = [asyncio.create_task(read(stream)) for stream in streams]
        await asyncio.gather(call.say("one"), call.say("two"))
        answers = await asyncio.gather(*(call.ask(f"question {n}", timeout_s=10) for n in range(2)))
        finished = await call.respond(timeout_s=10)
        await call.hangup()
        first, second, sound, words = await asyncio.gather(*reading)

    assert answers == ["an answer", "an answer"]
    assert finished.status == "completed"
    assert first == second
    assert {chunk.response_id for chunk in sound} == {"resp_1", "resp_2", "resp_3"}
    assert sum(len(chunk.samples) for chunk in sound) == 3 * 4800
    assert "an answer" in {chunk.text for chunk in words if chunk.is_final}
    for stream in streams:
        with pytest.raises(StopAsyncIteration):
            await anext(stream)
        assert [one async for one in stream] == []


async def test_a_barge_in_over_a_websocket_is_within_what_was_sent(answerer: FakeAnswerer) -> None:
    """The fake answerer, which judges cancellations and truncations, finds nothing wrong; the next turn is heard."""
    late = SpokenTurn(voice=Tone(frequency_hz=1500, duration_s=0.2), when=AtTime(1.0))
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=8), wait=False), late])
    sink = NumpySink()
    async with connect(config_for(answerer, **DIRECT), sink=sink) as call:
        await until(lambda: np.count_nonzero(sink.samples) > 4800)
        dropped_s = await call.barge_in()
        n_heard = len(sink.samples)
        far = await answerer.wait_for_call()
        await far.wait_received(lambda one: one["type"] == "conversation.item.truncate")
        assert not call.is_responding or call.active_response_id == "resp_1"
        await until(lambda: np.count_nonzero(sink.samples[n_heard + 480 :]) >= 4000)

    assert dropped_s > 0
    types = [one["type"] for one in far.received]
    assert types.index("response.cancel") < types.index("conversation.item.truncate")
