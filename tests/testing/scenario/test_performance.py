"""Promises of the scripted agent's decisions; no event loop, time is an argument."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.testing import AfterCaller, AfterPrevious, AgentScript, AtTime, Echo, SpokenTurn, Tone
from rtc_client.testing.scenario.performance import Act, HangUp, Performance, Speak, Tell
from rtc_client.testing.scenario.scenario import scenario_of
from rtc_client.testing.scenario.script import Voice
from rtc_client.testing.scenario.word_timing import pace_words
from rtc_client.testing.wire.server_events import JsonObject

ONE = Tone(duration_s=1.0)
TEXT: JsonObject = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
}


def duration_s(voice: Voice) -> float | None:
    return voice.duration_s if isinstance(voice, Tone | Echo) else 1.0


def perform(
    script: AgentScript, until_s: float, happening: Callable[[Performance, float], None] | None = None
) -> list[tuple[float, Act]]:
    """Run a performance on ticks of 20 ms; media connects at 0."""
    performance = Performance(scenario_of(script), duration_s)
    performance.media_connected(0.0)
    done: list[tuple[float, Act]] = []
    for n in range(round(until_s / 0.02)):
        now_s = round(n * 0.02, 2)
        if happening is not None:
            happening(performance, now_s)
        done += [(now_s, act) for act in performance.tick(now_s)]
    return done


def spoken(done: list[tuple[float, Act]]) -> list[float]:
    return [at_s for at_s, act in done if isinstance(act, Speak)]


def told(done: list[tuple[float, Act]]) -> list[tuple[float, object, object]]:
    return [
        (at_s, act.event["type"], act.event.get("delta", act.event.get("transcript")))
        for at_s, act in done
        if isinstance(act, Tell) and isinstance(act.event, dict)
    ]


def caller_speaks(*stretches: tuple[float, float]) -> Callable[[Performance, float], None]:
    def hear(performance: Performance, now_s: float) -> None:
        is_loud = any(start_s <= now_s < end_s for start_s, end_s in stretches)
        performance.hear(-20.0 if is_loud else -90.0, now_s)

    return hear


@given(st.text(), st.floats(0, 100))
def test_paced_words_are_the_text_again_and_in_order(text: str, span_s: float) -> None:
    """Nothing of a text with words is lost, and no word comes after the voice."""
    words = pace_words(text, span_s)

    assert "".join(word for _, word in words) == (text if text.strip() else "")
    starts = [at_s for at_s, _ in words]
    assert starts == sorted(starts)
    assert all(0 <= at_s <= span_s for at_s in starts)


def test_words_are_spread_over_the_voice_and_the_final_comes_at_its_end() -> None:
    """The transcript is paced with the sound."""
    done = perform(AgentScript(turns=[SpokenTurn(voice=ONE, text="aa bb cc dd")]), 2.0)

    assert spoken(done) == [0.0]
    assert told(done) == [
        (0.0, "conversation.output_transcript.delta", "aa"),
        (0.2, "conversation.output_transcript.delta", " bb"),
        (0.46, "conversation.output_transcript.delta", " cc"),
        (0.74, "conversation.output_transcript.delta", " dd"),
        (1.0, "response.output_audio_transcript.done", "aa bb cc dd"),
    ]


def test_turns_wait_for_their_time_and_for_the_turn_before_them() -> None:
    """A turn never begins while another is spoken."""
    script = AgentScript(
        turns=[
            SpokenTurn(voice=ONE, when=AtTime(0.5)),
            SpokenTurn(voice=ONE, when=AtTime(1.0)),
            SpokenTurn(voice=ONE, when=AfterPrevious(0.3)),
        ]
    )

    assert spoken(perform(script, 6.0)) == [0.5, 1.5, 2.8]


def test_nothing_happens_before_media_is_connected() -> None:
    """A call whose media never comes up hears nothing, not even a hang-up."""
    script = AgentScript(turns=[SpokenTurn(voice=ONE)], hang_up_after_s=0.0)
    performance = Performance(scenario_of(script), duration_s)

    assert performance.tick(100.0) == []


def test_a_turn_after_the_caller_begins_when_the_caller_has_stopped() -> None:
    """It waits for speech and then for silence, each time anew."""
    script = AgentScript(turns=[SpokenTurn(voice=ONE, when=AfterCaller())] * 2)

    done = perform(script, 10.0, caller_speaks((1.0, 2.0), (6.0, 7.0)))

    assert spoken(done) == pytest.approx([2.58, 7.58], abs=0.03)


def test_a_caller_who_spoke_during_a_turn_is_answered_after_it() -> None:
    """What was said meanwhile counts for the next turn."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=3)), SpokenTurn(voice=ONE, when=AfterCaller())])

    assert spoken(perform(script, 6.0, caller_speaks((0.5, 1.0)))) == [0.0, 3.0]


def test_the_words_of_the_caller_come_while_speaking_and_the_final_after_it() -> None:
    """One text for each stretch of speech; words not yet told are told at its end."""
    script = AgentScript(caller_text=("one two three", "four"))

    done = perform(script, 10.0, caller_speaks((1.0, 1.3), (5.0, 5.5), (7.0, 8.0)))

    delta, final = "conversation.input_transcript.delta", "conversation.input_transcript.turn_marked"
    assert [(kind, text) for _, kind, text in told(done)] == [
        (delta, "one"),
        (delta, " two"),
        (delta, " three"),
        (final, "one two three"),
        (delta, "four"),
        (final, "four"),
    ]
    assert [at_s for at_s, *_ in told(done)] == pytest.approx([1.06, 1.36, 1.66, 1.88, 5.06, 6.08], abs=0.03)


def test_each_text_of_the_caller_is_answered() -> None:
    """Replies are spoken one after the other, before the turns that wait."""
    script = AgentScript(reply_to_text=SpokenTurn(voice=ONE, text="yes"), hang_up_when_done=True)

    def write(performance: Performance, now_s: float) -> None:
        if now_s in (1.0, 1.5):
            performance.read(TEXT, now_s)

    done = perform(script, 6.0, write)

    assert spoken(done) == [1.0, 2.0]
    assert [at_s for at_s, act in done if isinstance(act, HangUp)] == [3.4]


def test_a_text_is_read_in_silence_without_a_reply() -> None:
    """An agent with no reply does nothing about texts."""
    assert perform(AgentScript(), 1.0, lambda performance, now_s: performance.read(TEXT, now_s)) == []


def test_the_agent_hangs_up_when_done_and_only_once() -> None:
    """The last turn is heard to its end, and nothing is done afterwards."""
    done = perform(AgentScript(turns=[SpokenTurn(voice=ONE)], hang_up_when_done=True), 6.0)

    assert [at_s for at_s, act in done if isinstance(act, HangUp)] == [1.4]
    assert isinstance(done[-1][1], HangUp)


def test_the_agent_hangs_up_after_a_time_whatever_it_says() -> None:
    """A limit is a limit."""
    script = AgentScript(turns=[SpokenTurn(voice=Echo())], hang_up_after_s=2.0)

    assert perform(script, 6.0)[-1] == (2.0, HangUp())


def test_words_without_a_voice_come_at_once() -> None:
    """A turn without sound is its text."""
    done = perform(AgentScript(turns=[SpokenTurn(text="so be it")]), 1.0)

    assert [at_s for at_s, *_ in told(done)] == [0.0] * 4


def test_an_endless_echo_must_be_the_last_turn() -> None:
    """Turns that could never begin are refused."""
    with pytest.raises(ValueError, match="last turn"):
        AgentScript(turns=[SpokenTurn(voice=Echo()), SpokenTurn(voice=ONE)])


def test_no_word_is_in_a_repr() -> None:
    """Speech does not get into logs by way of a repr."""
    script = AgentScript(
        turns=[SpokenTurn(text="secret")], caller_text="secret", reply_to_text=SpokenTurn(text="secret")
    )

    assert "secret" not in repr(script)
    assert "secret" not in repr(perform(script, 1.0))
