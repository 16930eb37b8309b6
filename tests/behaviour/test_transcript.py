"""Promise: what both voices say can be read, as it comes and when it is over, in the order it was said."""

from __future__ import annotations

from rtc_client import AgentTranscriptDelta, ArraySource, CallerTranscriptDone, TranscriptEntry, connect
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, VadSettings
from tests.behaviour.calls import config_for
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS

GREETING = "Grüß Gott, wie geht's?"
QUESTION = "what time is it there"
ANSWER = "Ten o'clock, 東京 time. "


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


async def test_a_call_in_which_nobody_speaks_has_an_empty_transcript(answerer: FakeAnswerer) -> None:
    """No words, no entries."""
    async with connect(config_for(answerer)) as call:
        await (await answerer.wait_for_call()).sideband_joined()

    assert call.result.transcript == ()
