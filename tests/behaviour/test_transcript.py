"""Promise: what both voices say can be read, as it comes and when it is over, in the order it was said.

In real time: `test_the_transcript_of_a_conversation_has_both_voices_in_order`.
"""

from __future__ import annotations

import pytest

from rtc_client import (
    AgentTranscriptDelta,
    ArraySource,
    CallerTranscriptDone,
    TranscriptEntry,
    connect,
)
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, VadSettings
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS

GREETING = "Grüß Gott, wie geht's?"
QUESTION = "what time is it there"
ANSWER = "Ten o'clock, 東京 time. "


@pytest.mark.both_clocks
async def test_the_transcript_of_a_conversation_has_both_voices_in_order(answerer: FakeAnswerer) -> None:
    """Greeting, question and answer become three settled entries with the text as it was said."""
    answerer.script = AgentScript(
        turns=[
            SpokenTurn(text=GREETING, when=AtTime(0.0)),
            SpokenTurn(voice=Clip(AGENT_WORDS), text=ANSWER, when=AfterCaller()),
        ],
        caller_text=QUESTION,
        hang_up_when_done=True,
        hearing=VadSettings(silence_s=0.3),
    )
    deltas: list[str] = []
    seen_while_speaking: list[TranscriptEntry] = []

    async with connect(config_for(answerer, linger_s=9), source=ArraySource(CALLER_WORDS)) as call:
        async for event in call.events():
            if isinstance(event, AgentTranscriptDelta):
                deltas.append(event.delta)
                seen_while_speaking.append(call.transcript[-1])
            elif isinstance(event, CallerTranscriptDone):
                assert event.transcript == QUESTION

    entries = call.result.transcript
    assert [(e.role, e.text) for e in entries] == [("agent", GREETING), ("caller", QUESTION), ("agent", ANSWER)]
    assert all(entry.final for entry in entries)
    assert [e.at_ms for e in entries] == sorted(e.at_ms for e in entries)
    assert 0 <= entries[0].at_ms < entries[2].at_ms < 5_000
    assert "".join(deltas) == GREETING + ANSWER
    assert not seen_while_speaking[-2].final
    assert tuple(call.transcript) == entries


async def test_a_finished_call_leaves_as_text_json_and_captions(answerer: FakeAnswerer) -> None:
    """What was said and what was written, once each although every event comes twice; captions of what was said."""
    answerer.script = AgentScript(reply_to_text=SpokenTurn(text=ANSWER), caller_text=QUESTION)
    answerer.faults.duplicate_events()

    async with connect(config_for(answerer)) as call:
        await call.say("Be brief.", role="developer")
        await call.say(QUESTION)
        await (await answerer.wait_for_call()).wait_sent(lambda event: event.get("transcript") == ANSWER)
        await until(lambda: call.transcript and call.transcript[-1].final and call.transcript[-1].text == ANSWER)
        assert not call.transcript[-1].never_arrived

    transcript = call.result.transcript
    assert [(e.role, e.text, e.written, e.final) for e in transcript] == [
        ("caller", QUESTION, True, True),
        ("agent", ANSWER, False, True),
    ]
    assert all(0 <= e.at_ms <= e.end_ms < 5_000 for e in transcript)
    assert [line[6:] for line in transcript.as_text().splitlines()] == [
        f"caller: {QUESTION}",
        f"agent:  {ANSWER.strip()}",
    ]
    assert [value["text"] for value in transcript.as_json()] == [QUESTION, ANSWER]
    assert transcript.as_webvtt().count("-->") == 1
    assert f"<v Agent>{ANSWER.strip()}</v>" in transcript.as_webvtt()


async def test_words_whose_end_never_came_are_flagged_when_the_call_is_over(answerer: FakeAnswerer) -> None:
    """While the call is on, more may come; after it, what has not settled never arrived."""
    async with connect(config_for(answerer)) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_sent(lambda event: event["type"] == "session.updated")
        await answered.send_event({"type": "conversation.output_transcript.delta", "delta": "Of cou"})
        await until(lambda: call.transcript)
        assert not call.transcript[0].never_arrived

    (entry,) = call.result.transcript
    assert (entry.text, entry.final, entry.never_arrived) == ("Of cou", False, True)


async def test_a_call_in_which_nobody_speaks_has_an_empty_transcript(answerer: FakeAnswerer) -> None:
    """No words, no entries."""
    async with connect(config_for(answerer)) as call:
        await (await answerer.wait_for_call()).sideband_joined()

    assert call.result.transcript == ()
