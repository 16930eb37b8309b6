"""Promises of scenarios: what the agent does when, what is judged how, and what is said of it; on virtual time."""

from __future__ import annotations

import time
from typing import cast

import pytest

from rtc_client.testing import (
    CALLER_TEXT,
    AfterCaller,
    AfterMessage,
    AfterPrevious,
    AgentScript,
    AtTime,
    Echo,
    EndCall,
    Expect,
    ExpectHangUp,
    ExpectNot,
    ExpectSilence,
    ExpectSpeech,
    FakeAnswerer,
    Outcome,
    Rehearsal,
    RequestHandoff,
    Scenario,
    ScenarioFailed,
    SendEvent,
    SendFrame,
    SendSessionUpdated,
    SpokenTurn,
    StartFault,
    Tone,
    rehearse,
)
from rtc_client.testing.scenario.scenario import Step, StepInvalid, scenario_of
from rtc_client.testing.wire.server_events import JsonObject

SECOND = Tone(duration_s=1.0)


def text(words: str) -> JsonObject:
    return {
        "type": "conversation.item.create",
        "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]},
    }


def answer(handoff_id: str, words: str) -> JsonObject:
    return {"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": words}


def outcomes(rehearsal: Rehearsal) -> list[str]:
    return [step.outcome.value for step in rehearsal.report.steps]


def types(rehearsal: Rehearsal) -> list[tuple[float, object]]:
    return [(at_s, event["type"]) for at_s, event in rehearsal.events if isinstance(event, dict)]


def test_a_minute_of_a_conversation_is_judged_in_milliseconds() -> None:
    """Sixty seconds with speech, words, texts and a hand-over take no time, and happen at their seconds."""
    turn = SpokenTurn(voice=Tone(duration_s=4), text="Certainly, let me look that up.", when=AfterCaller(pause_s=0.2))
    steps: list[Step] = [turn] * 5
    steps += [
        Expect(message=CALLER_TEXT, within_s=20),
        RequestHandoff(input_transcript="look it up", answer="nine o'clock", within_s=10),
        SpokenTurn(voice=SECOND, when=AtTime(58)),
        EndCall(),
    ]
    speech = [(start_s, start_s + 1.5) for start_s in (1.0, 9.0, 17.0, 25.0, 33.0)]
    started_s = time.perf_counter()
    rehearsal = rehearse(
        Scenario(steps=steps),
        speech=speech,
        messages=[(45.0, text("hello")), (50.0, answer("handoff_1", "nine o'clock"))],
    )
    took_s = time.perf_counter() - started_s

    rehearsal.report.check()
    assert [at_s for at_s, _ in rehearsal.voices] == pytest.approx([3.28, 11.28, 19.28, 27.28, 35.28, 58.0], abs=0.03)
    assert rehearsal.hung_up_at_s == pytest.approx(59.4, abs=0.03)
    assert took_s < 1.0  # about 50 ms; a real minute is not meant


def test_the_same_seed_gives_the_same_call_and_another_seed_another() -> None:
    """What is drawn is drawn by the seed alone."""

    def begins(seed: int) -> list[float]:
        steps = [SpokenTurn(voice=SECOND, when=AfterPrevious((0.0, 3.0)))] * 4
        return [at_s for at_s, _ in rehearse(Scenario(steps=steps, seed=seed)).voices]

    assert begins(1) == begins(1)
    assert begins(1) != begins(2)


def test_an_expectation_is_met_by_what_came_in_time() -> None:
    """Judged by when the message came, to the instant, and never by when one looked."""
    scenario = Scenario(steps=[Expect(message=CALLER_TEXT, within_s=1.0)])

    assert outcomes(rehearse(scenario, messages=[(0.999, text("x"))])) == ["ok"]
    between_looks = Scenario(steps=[Expect(message=CALLER_TEXT, within_s=0.99)])
    assert outcomes(rehearse(between_looks, messages=[(0.989, text("x"))])) == ["ok"]
    assert outcomes(rehearse(between_looks, messages=[(0.991, text("x"))])) == ["FAIL"]
    late = rehearse(scenario, messages=[(1.001, text("x"))])
    assert outcomes(late) == ["FAIL"]
    assert "did not come within 1 s" in late.report.steps[0].why


def test_a_message_that_came_before_its_step_counts_and_counts_once() -> None:
    """Nobody has to be slow, and one message does not do for two."""
    steps: list[Step] = [
        SpokenTurn(voice=SECOND),
        Expect(message=CALLER_TEXT, within_s=0.5),
        Expect(message=CALLER_TEXT, within_s=0.5),
    ]

    assert outcomes(rehearse(Scenario(steps=steps), messages=[(0.1, text("x"))])) == ["ok", "ok", "FAIL"]


def test_what_differs_is_shown_line_by_line() -> None:
    """Of the message that comes nearest only what the scenario asks about, and of the others the types."""
    wanted = {"type": "conversation.item.create", "item": {"role": "user", "content": [{"text": {"matches": "bye$"}}]}}
    came: list[tuple[float, JsonObject]] = [
        (0.1, {"type": "session.update", "session": {"instructions": "secret"}}),
        (0.2, text("hello there")),
    ]
    rehearsal = rehearse(Scenario(name="a test", steps=[Expect(message=wanted, within_s=1), EndCall()]), messages=came)

    with pytest.raises(ScenarioFailed) as failed:
        rehearsal.report.check()
    shown = str(failed.value)
    assert "scenario 'a test' in call rehearsal: 1 of 2 steps not met" in shown
    assert '- item.content[0].text: /bye$/\n           + item.content[0].text: "hello there"' in shown
    assert "came instead: session.update, conversation.item.create" in shown
    assert "secret" not in shown


def test_steps_that_are_left_over_are_errors() -> None:
    """A client that hangs up early has left something undone; a script alone is satisfied."""
    steps = [SpokenTurn(voice=SECOND), SpokenTurn(voice=SECOND)]

    early = rehearse(Scenario(steps=steps), hangs_up_at_s=0.5)
    assert outcomes(early) == ["ok", "left"]
    assert early.report.steps[0].why == "cut short by the end of the call"
    with pytest.raises(ScenarioFailed, match=r"the client hung up, 0\.50 s after its beginning"):
        early.report.check()
    rehearse(scenario_of(AgentScript(turns=steps)), hangs_up_at_s=0.5).report.check()


def test_a_step_waits_for_a_message_that_fits() -> None:
    """And for its pause behind it."""
    steps = [SpokenTurn(voice=SECOND, when=AfterMessage({"item": {"content": [{"text": "now"}]}}, pause_s=0.5))]

    rehearsal = rehearse(Scenario(steps=steps), messages=[(1.0, text("not yet")), (2.0, text("now"))])

    assert [at_s for at_s, _ in rehearsal.voices] == [2.5]


@pytest.mark.parametrize("when", [AfterMessage(CALLER_TEXT, within_s=1.0), AfterCaller(within_s=1.0)])
def test_a_step_that_waited_in_vain_is_left_out_and_said(when: AfterMessage | AfterCaller) -> None:
    """The scenario goes on behind it."""
    rehearsal = rehearse(Scenario(steps=[SpokenTurn(voice=SECOND, when=when), SendEvent(event={"type": "x"})]))

    assert outcomes(rehearsal) == ["FAIL", "ok"]
    assert rehearsal.voices == []
    assert types(rehearsal) == [(1.0, "x")]
    assert "waited 1 s" in rehearsal.report.steps[0].why


def test_a_step_need_not_be_waited_for() -> None:
    """The client is judged while the agent speaks, and an expectation stays open meanwhile."""
    steps: list[Step] = [
        SpokenTurn(voice=Tone(duration_s=5), wait=False),
        Expect(message=CALLER_TEXT, within_s=3, wait=False),
        ExpectSpeech(within_s=2),
        SendEvent(event={"type": "x"}),
    ]

    rehearsal = rehearse(Scenario(steps=steps), speech=[(1.0, 1.5)], messages=[(2.5, text("x"))], hangs_up_at_s=4.0)

    assert outcomes(rehearsal) == ["ok"] * 4
    ((at_s, kind),) = types(rehearsal)
    assert kind == "x"
    assert at_s == pytest.approx(1.06, abs=0.03)


def test_what_must_not_come_is_an_error_when_it_does() -> None:
    """From the step on, and no longer than it says."""
    steps: list[Step] = [SpokenTurn(voice=SECOND), ExpectNot(message=CALLER_TEXT, for_s=1.0)]

    assert outcomes(rehearse(Scenario(steps=steps), messages=[(0.5, text("x")), (2.5, text("y"))])) == ["ok", "ok"]
    broken = rehearse(Scenario(steps=steps), messages=[(1.5, text("x"))])
    assert outcomes(broken) == ["ok", "FAIL"]
    assert broken.report.steps[1].why == "came after 0.50 s"


def test_speech_and_silence_of_the_caller_are_expected() -> None:
    """As the hysteresis hears them."""
    assert outcomes(rehearse(Scenario(steps=[ExpectSpeech(within_s=1)]), speech=[(0.5, 1.0)])) == ["ok"]
    assert outcomes(rehearse(Scenario(steps=[ExpectSpeech(within_s=1)]), speech=[(1.5, 2.0)])) == ["FAIL"]
    assert outcomes(rehearse(Scenario(steps=[ExpectSilence(for_s=1)]), speech=[(1.5, 2.0)])) == ["ok"]
    assert outcomes(rehearse(Scenario(steps=[ExpectSilence(for_s=1)]), speech=[(0.5, 1.0)])) == ["FAIL"]


def test_a_hang_up_of_the_client_is_expected() -> None:
    """In time, and of the client."""
    steps = [ExpectHangUp(within_s=2)]

    assert outcomes(rehearse(Scenario(steps=steps), hangs_up_at_s=1.0)) == ["ok"]
    assert outcomes(rehearse(Scenario(steps=steps), hangs_up_at_s=3.0)) == ["FAIL"]
    ended = rehearse(Scenario(steps=steps, hang_up_after_s=1.0))
    assert ended.report.steps[0].why == "the call ended, and not by the client"


def test_a_text_and_a_hang_up_in_one_instant_are_both_seen() -> None:
    """What came before the end counts, however short before."""
    steps: list[Step] = [Expect(message=CALLER_TEXT), ExpectHangUp()]

    assert outcomes(rehearse(Scenario(steps=steps), messages=[(0.999, text("x"))], hangs_up_at_s=1.0)) == ["ok", "ok"]


PREFIX = '"Agent Final Message":\n\n'


@pytest.mark.parametrize(
    ("wanted", "came", "is_met"),
    [
        ("the final answer", answer("handoff_1", PREFIX + "the final answer"), True),
        ("the final answer", answer("handoff_1", "the final answer"), True),
        ("the final answer", answer("handoff_1", PREFIX + "another answer"), False),
        ({"matches": "final"}, answer("handoff_1", PREFIX + "the final answer"), True),
        ({"any": True}, answer("handoff_1", ""), True),
        ({"any": True}, answer("codex", "standalone answer"), False),
        ({"any": True}, text("no answer at all"), False),
    ],
)
def test_a_handoff_is_requested_and_its_answer_checked(wanted: object, came: JsonObject, is_met: bool) -> None:
    """With the prefix of section 9 or without; only an answer to this handoff counts (as in j_handoff_simple)."""
    rehearsal = rehearse(
        Scenario(steps=[RequestHandoff(input_transcript="please do it", answer=wanted, within_s=1)]),
        messages=[(0.5, came)],
    )

    assert rehearsal.events[0] == (
        0.0,
        {
            "type": "conversation.handoff.requested",
            "handoff_id": "handoff_1",
            "item_id": "item_1",
            "input_transcript": "please do it",
        },
    )
    assert rehearsal.report.is_met is is_met


def test_handoffs_are_numbered_and_may_go_unanswered() -> None:
    """None as an answer waits for nothing."""
    steps = [
        RequestHandoff(input_transcript="", answer=None),
        RequestHandoff(input_transcript="", handoff_id="mine", answer=None),
    ]

    rehearsal = rehearse(Scenario(steps=steps))

    rehearsal.report.check()
    assert [event["handoff_id"] for _, event in rehearsal.events if isinstance(event, dict)] == ["handoff_1", "mine"]


def test_a_client_that_reacts_is_heard() -> None:
    """Rehearsals can have a client that answers what it is told."""

    def react(event: JsonObject, now_s: float) -> list[tuple[float, JsonObject]]:
        if event["type"] != "conversation.handoff.requested":
            return []
        return [(now_s + 0.7, answer(str(event["handoff_id"]), "done"))]

    steps = [RequestHandoff(input_transcript="do it", answer="done", within_s=1)] * 3

    assert outcomes(rehearse(Scenario(steps=steps), react=react)) == ["ok"] * 3


def test_events_frames_and_session_updates_are_sent_as_they_are() -> None:
    """In their order, in one instant."""
    steps: list[Step] = [
        SendSessionUpdated(session={"instructions": "be brief"}),
        SendEvent(event={"type": "x", "é": 1}),
        SendFrame(frame="no JSON"),
        SendFrame(frame=b"\x00"),
    ]

    assert rehearse(Scenario(steps=steps)).events == [
        (
            0.0,
            {"type": "session.updated", "session": {"id": "sess_1", "type": "quicksilver", "instructions": "be brief"}},
        ),
        (0.0, {"type": "x", "é": 1}),
        (0.0, "no JSON"),
        (0.0, b"\x00"),
    ]


def test_whenever_a_message_comes_the_agent_reacts() -> None:
    """Each time, when it is free, and before the steps that wait."""
    reaction = SpokenTurn(voice=SECOND, when=AfterMessage(CALLER_TEXT))
    scenario = Scenario(steps=[SpokenTurn(voice=SECOND, when=AtTime(1.5))], whenever=[reaction])

    rehearsal = rehearse(scenario, messages=[(1.0, text("a")), (1.2, text("b"))])

    assert [at_s for at_s, _ in rehearsal.voices] == [1.0, 2.0, 3.0]


def test_faults_begin_and_end_at_their_steps() -> None:
    """Those at the very beginning are there before the call, and are no acts of the agent."""
    steps: list[Step] = [
        StartFault(name="late_audio", options={"for_s": 1}, lasts_s=2.0),
        SendEvent(event={"type": "x"}),
        StartFault(name="stop_audio", lasts_s=0.5, when=AtTime(1.0)),
        Expect(message=CALLER_TEXT),
    ]

    rehearsal = rehearse(Scenario(steps=steps), messages=[(3.0, text("x"))])

    assert rehearsal.faults == [(1.0, "stop_audio"), (1.5, "end of step 3"), (2.0, "end of step 1")]
    assert outcomes(rehearsal) == ["ok"] * 4


def test_the_last_sound_is_heard_before_the_agent_hangs_up() -> None:
    """Unless it was not to be waited for."""
    assert rehearse(Scenario(steps=[SpokenTurn(voice=SECOND), EndCall()])).hung_up_at_s == pytest.approx(1.4, abs=0.03)
    assert rehearse(Scenario(steps=[SpokenTurn(voice=SECOND, wait=False), EndCall()])).hung_up_at_s == 0.0


def test_a_call_whose_media_never_comes_up_can_be_judged() -> None:
    """From its answer on, if the scenario begins there; else everything in it is left over."""
    from rtc_client.testing.scenario.performance import Performance

    performance = Performance(Scenario(steps=[ExpectHangUp(within_s=5)], begins="answer"), lambda _: 0.0)
    performance.answered(100.0)
    performance.tick(101.0)
    performance.end("the client hung up", 103.0, by_client=True)
    assert performance.report("c").is_met

    waiting = Performance(Scenario(steps=[ExpectHangUp(within_s=5)]), lambda _: 0.0)
    waiting.answered(100.0)
    waiting.end("the client hung up", 103.0, by_client=True)
    assert waiting.report("c").steps[0].outcome is Outcome.LEFT
    assert "and it never began" in waiting.report("c").as_text()


@pytest.mark.parametrize(
    ("steps", "number", "why"),
    [
        ([SpokenTurn(voice=Echo()), EndCall()], 1, "last step"),
        ([EndCall(), SpokenTurn()], 1, "nothing can come after"),
        ([StartFault(name="refuse_connections")], 1, "could not begin"),
    ],
)
def test_steps_that_cannot_stand_there_are_refused(steps: list[Step], number: int, why: str) -> None:
    """With their number."""
    with pytest.raises(StepInvalid, match=why) as invalid:
        Scenario(steps=steps)
    assert invalid.value.number == number


@pytest.mark.parametrize(
    "make",
    [
        lambda: Expect(message={"a": {"matches": "("}}),
        lambda: Expect(message={"a": object()}),
        lambda: Expect(message={}, within_s=-1),
        lambda: ExpectNot(message={}, for_s=float("nan")),
        lambda: AtTime(-1),
        lambda: AfterPrevious((2.0, 1.0)),
        lambda: AfterCaller((1.0, 2.0, 3.0)),  # type: ignore[arg-type]
        lambda: SendEvent(event={"a": b"bytes"}),
        lambda: StartFault(name="refuse_pots"),
        lambda: StartFault(name="refuse_post"),
        lambda: StartFault(name="refuse_post", options={"status": "500"}),
        lambda: StartFault(name="refuse_post", options={"status": 500, "often": 2}),
        lambda: StartFault(name="refuse_post", options={"status": 500, "headers": [["a"]]}),
        lambda: StartFault(name="error_event", options={"kind": "unheard of"}),
        lambda: Scenario(whenever=[SpokenTurn()]),
        lambda: FakeAnswerer(script=AgentScript(), scenario=Scenario()),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_where_it_is_written(make: object) -> None:
    """Before any call."""
    with pytest.raises(ValueError, match=r"."):
        make()  # type: ignore[operator]


def test_no_word_is_in_a_repr() -> None:
    """Neither what is spoken, nor what is expected, nor what came."""
    scenario = Scenario(
        steps=[
            SpokenTurn(text="hush"),
            SendEvent(event={"type": "hush"}),
            SendFrame(frame="hush"),
            SendSessionUpdated(session={"instructions": "hush"}),
            RequestHandoff(input_transcript="hush", answer=None),
            Expect(message={"a": "hush"}, within_s=0.1),
            SpokenTurn(when=AfterMessage({"a": "hush"})),
        ],
        caller_text="hush",
    )

    assert "hush" not in repr(scenario)
    assert "hush" not in repr(rehearse(scenario, messages=[(0.0, text("hush"))], limit_s=1.0))


def test_a_report_is_plain_values() -> None:
    """For programs that read JSON."""
    rehearsal = rehearse(Scenario(name="n", steps=[Expect(message={"type": "x"}, within_s=0.5)]))

    report = rehearsal.report.as_json()

    assert (report["name"], report["is_met"], report["call_id"]) == ("n", False, "rehearsal")
    (step,) = cast("list[dict[str, object]]", report["steps"])
    assert step["outcome"] == "fail"
    assert (step["began_s"], step["ended_s"]) == (0.0, 0.5)
    assert step["came"] == ["nothing"]
