"""The transcript of calls over a websocket: every entry knows where its sound lies, and what of it was heard.

In real time: `test_an_answer_that_the_caller_cuts_short`.
"""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from rtc_client import NumpySink, connect
from tests.behaviour.calls import until
from tests.wire.websocket_server import config_of, serving

ANSWER = "We open at ten o'clock, and we close at six in the evening, but on Sunday we do not open at all."
SPEECH_S = 2.0


def event(name: str, **fields: object) -> str:
    return json.dumps({"type": name, **fields})


def speech(seconds: float) -> str:
    return base64.b64encode(np.full(round(24_000 * seconds), 1_000, np.int16).tobytes()).decode()


@pytest.mark.both_clocks
async def test_an_answer_that_the_caller_cuts_short() -> None:
    """It lies in the recording where its sound does, as long as it was played; the words after that were not heard."""
    of = {"item_id": "a", "response_id": "r", "content_index": 0, "output_index": 0}
    sink = NumpySink()
    async with serving() as server, connect(config_of(server), sink=sink) as call:
        await server.said()
        await server.send(
            event("response.created", response={"id": "r", "status": "in_progress"}),
            event("response.output_audio_transcript.delta", delta=ANSWER[:20], **of),
            event("response.output_audio.delta", delta=speech(SPEECH_S), **of),
            event("response.output_audio_transcript.done", transcript=ANSWER, **of),
        )
        await until(lambda: np.count_nonzero(sink.samples) > 12_000)
        await server.send(
            event("input_audio_buffer.speech_started", item_id="q", audio_start_ms=700),
            event("input_audio_buffer.committed", item_id="q", previous_item_id="a"),
        )
        (truncation,) = await server.said()
        await until(lambda: call.transcript[0].audio_end_ms is not None)

    answer, question = call.result.transcript
    heard = np.flatnonzero(sink.samples) / 24
    assert answer.audio_start_ms == pytest.approx(heard[0], abs=20)
    assert answer.audio_end_ms == pytest.approx(heard[-1], abs=40)
    assert (answer.text, answer.final, answer.interrupted) == (ANSWER, True, True)
    assert answer.heard_ms is not None
    assert answer.heard_ms == truncation["audio_end_ms"]
    heard_ratio = len(ANSWER.removesuffix(answer.unheard_text)) / len(ANSWER)
    assert heard_ratio == pytest.approx(answer.heard_ms / (1000 * SPEECH_S), abs=0.1)
    assert (question.role, question.text, question.audio_start_ms) == ("caller", "", 700)
    assert question.never_arrived


async def test_an_answer_of_v1_that_the_caller_cuts_short() -> None:
    """Realtime v1 names no items: what the agent said last is what was cut."""
    async with serving() as server, connect(config_of(server, version="v1")) as call:
        await server.said()
        await server.send(
            event("conversation.output_transcript.delta", delta=ANSWER),
            event("conversation.output_audio.delta", delta=speech(SPEECH_S), sample_rate=24_000, channels=1),
            event("input_audio_buffer.speech_started"),
            event("conversation.input_transcript.turn_marked", transcript="Wait."),
        )
        await until(lambda: len(call.transcript) == 2)

    answer, question = call.result.transcript
    assert (answer.text, answer.interrupted, answer.heard_ms) == (ANSWER, True, None)
    assert (question.text, question.interrupted) == ("Wait.", False)
