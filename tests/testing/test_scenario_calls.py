"""Promises of scenarios in real calls: gone through over real legs, anew in each call, and judged at the end.

In real time: `test_a_call_that_does_everything_meets_its_scenario`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rtc_client.testing
from rtc_client import CallConfig, Deadlines, MediaTimeout, OfferRejected, ToneSource, connect
from rtc_client.cli.demo_speech import AGENT_SPEECH
from rtc_client.testing import (
    CALLER_TEXT,
    AfterCaller,
    AfterMessage,
    EndCall,
    Expect,
    ExpectHangUp,
    ExpectSpeech,
    FakeAnswerer,
    Outcome,
    RequestHandoff,
    Scenario,
    ScenarioFailed,
    SendSessionUpdated,
    SpokenTurn,
    StartFault,
    Tone,
    load_scenario,
    rehearse,
)
from rtc_client.testing.wire.server_events import JsonObject
from tests.behaviour.calls import until
from tests.snippets import Snippet, execute, find_snippets, folder
from tests.testing.caller import compact, joined, post
from tests.testing.conftest import Place

__all__ = ["folder"]

ROOT = Path(__file__).parents[2]
DOCS = Path(rtc_client.testing.__file__).parent / "docs"
GREETING = SpokenTurn(voice=Tone(duration_s=0.2), text="hello")


def config_for(answerer: FakeAnswerer, **settings: Any) -> CallConfig:
    return CallConfig(api_key="any-key", base_url=answerer.base_url, **settings)


@pytest.mark.real_time("each snippet is a program that places a call")
@pytest.mark.parametrize("snippet", find_snippets((DOCS / "scenarios.md").read_text(encoding="utf-8")), ids=str)
async def test_snippet_of_the_page_works(snippet: Snippet, folder: Path) -> None:
    """As it stands there."""
    await execute(snippet, folder)


@pytest.mark.both_clocks
async def test_a_call_that_does_everything_meets_its_scenario() -> None:
    """Speech after the caller, a text in return, a new session, a lost sideband that is joined again, and the end."""
    scenario = Scenario(
        name="everything",
        steps=[
            Expect(message={"type": "session.update"}),
            SpokenTurn(voice=Tone(duration_s=0.3), text="yes?", when=AfterCaller()),
            Expect(message=CALLER_TEXT, within_s=3),
            SendSessionUpdated(session={"instructions": "be brief"}),
            StartFault(name="lose_sideband", options={"code": 1011}),
            Expect(message={"type": "session.update"}, within_s=5),
            SpokenTurn(text="and goodbye"),
            EndCall(),
        ],
    )
    async with FakeAnswerer(scenario=scenario) as answerer:
        async with connect(config_for(answerer), source=ToneSource(440, duration_s=0.4)) as call:
            await call.say("a question")
            result = await call.wait_ended()
        answerer.check()

    assert result.error is None
    assert [entry.text for entry in result.transcript] == ["a question", "yes?", "and goodbye"]
    report = answerer.calls[0].scenario_report
    assert report.is_met
    assert report.ended == "the agent hung up"
    assert [step.outcome for step in report.steps] == [Outcome.DONE] * 8


async def test_leaving_the_block_raises_what_was_not_met() -> None:
    """With the whole report as its text; `check_on_exit=False` leaves that to the program."""
    scenario = Scenario(steps=[GREETING, Expect(message=CALLER_TEXT, within_s=0.1), ExpectSpeech(within_s=60)])

    async def run(answerer: FakeAnswerer) -> None:
        async with connect(config_for(answerer, max_duration_s=0.8)) as call:
            await call.wait_ended()

    with pytest.raises(ScenarioFailed) as failed:
        async with FakeAnswerer(scenario=scenario) as answerer:
            await run(answerer)
    lines = str(failed.value).splitlines()
    assert lines[0].startswith(f"scenario in call {answerer.calls[0].call_id}: 2 of 3 steps not met")
    assert [line.split()[:2] for line in lines if line.startswith("  ") and not line.startswith("   ")] == [
        ["ok", "1"], ["FAIL", "2"], ["FAIL", "3"],
    ]  # fmt: skip
    assert "the call ended before" not in lines[3]

    async with FakeAnswerer(scenario=scenario, check_on_exit=False) as lenient:
        await run(lenient)
    assert not lenient.scenario_reports()[0].is_met
    with pytest.raises(ScenarioFailed):
        lenient.check()


async def test_another_exception_leaves_the_block_as_it_is() -> None:
    """The first failure is the one to read."""
    with pytest.raises(KeyError):
        async with FakeAnswerer(scenario=Scenario(steps=[GREETING])):
            raise KeyError


async def test_a_scenario_that_nobody_called_is_not_met() -> None:
    """A test that forgot to call passes nothing."""
    with pytest.raises(ScenarioFailed, match=r"nobody has placed a call \(0 requests came\)"):
        async with FakeAnswerer(scenario=Scenario(name="lonely", steps=[GREETING])):
            pass


async def test_faults_at_the_beginning_are_met_by_the_call_itself_and_anew_by_each() -> None:
    """Two refusals, an answer that is late, two handshakes that are refused; then a call like any other."""
    scenario = Scenario(
        steps=[
            StartFault(name="refuse_post", options={"status": 503, "times": 2}),
            StartFault(name="hold_answer", options={"for_s": 0.1}),
            StartFault(name="refuse_sideband", options={"status": 404, "times": 2}),
            StartFault(name="late_audio", options={"for_s": 0.2}),
            GREETING,
            ExpectHangUp(within_s=10),
        ]
    )
    async with FakeAnswerer(scenario=scenario) as answerer:
        for _ in range(2):
            async with connect(config_for(answerer)) as call:
                answered = await answerer.wait_for_call(n=len(answerer.calls))
                await answered.sideband_joined()
                await answered.wait_sent(lambda event: event.get("transcript") == "hello")
                await call.hangup()

    placed = [request for request in answerer.requests if not request.path.endswith("/hangup")]
    assert len(placed) == len(answerer.handshakes) == 6


async def test_a_fault_that_nobody_met_is_not_met() -> None:
    """Two refusals were to come, and the client gave up after one."""
    scenario = Scenario(steps=[StartFault(name="refuse_sideband", options={"status": 503, "times": 9}), ExpectHangUp()])

    with pytest.raises(ScenarioFailed, match=r"to be met 8 times more"):
        async with FakeAnswerer(scenario=scenario) as answerer:
            config = config_for(answerer, sideband="prefer", deadlines=Deadlines(sideband_join_s=0.1))
            async with connect(config):
                await answerer.wait_for_call()


async def test_a_call_that_gets_no_answer_meets_no_scenario() -> None:
    """It never was a call."""
    with pytest.raises(ScenarioFailed, match="nobody has placed a call"):
        async with FakeAnswerer(
            scenario=Scenario(steps=[StartFault(name="refuse_post", options={"status": 400}), GREETING])
        ) as answerer:
            with pytest.raises(OfferRejected):
                async with connect(config_for(answerer)):
                    pass


async def test_a_call_whose_media_shall_not_come_up_is_judged_from_its_answer() -> None:
    """The client gives up in time, and says so."""
    scenario = Scenario(steps=[StartFault(name="dead_candidates"), ExpectHangUp(within_s=2)], begins="answer")

    async with FakeAnswerer(scenario=scenario) as answerer:
        with pytest.raises(MediaTimeout):
            async with connect(config_for(answerer, deadlines=Deadlines(connect_s=0.5))):
                pass
        await answerer.calls[0].ended()


async def test_a_scenario_from_a_file_is_gone_through(tmp_path: Path) -> None:
    """With a sound file beside it, an expectation while the agent speaks, and a reaction."""
    (tmp_path / "hello.wav").write_bytes(AGENT_SPEECH.read_bytes())
    (tmp_path / "s.toml").write_text(
        """
        [[steps]]
        speak = "hello.wav"
        wait = false
        [[steps]]
        expect_text = { matches = "^stop" }
        [[steps]]
        hang_up = true
        pause_s = 0.1
        [[whenever]]
        after = { item = { content = [{ text = { matches = "stop" } }] } }
        text = "I stop."
        """
    )
    async with FakeAnswerer(scenario=load_scenario(tmp_path / "s.toml")) as answerer:
        async with connect(config_for(answerer)) as call:
            await call.say("stop, please")
            result = await call.wait_ended()
        answered = answerer.calls[0]

    assert [entry.text for entry in result.transcript.spoken] == ["I stop."]
    assert answered.scenario_report.steps[0].why == "cut short by the end of the call"


async def test_a_handoff_is_answered_over_a_real_sideband(place: Place) -> None:
    """By a client that does as the reference client does; ours answers none, and the report says so."""
    scenario = Scenario(steps=[RequestHandoff(input_transcript="please do it", answer="the final answer", within_s=2)])
    async with FakeAnswerer(scenario=scenario) as answerer:
        placed = await place(answerer)
        await placed.caller.connected()
        async with joined(answerer, placed.call_id) as sideband:
            async for text in sideband:
                event = json.loads(text)
                if event["type"] == "conversation.handoff.requested":
                    final = '"Agent Final Message":\n\nthe final answer'
                    await sideband.send(
                        compact(
                            {
                                "type": "conversation.handoff.append",
                                "handoff_id": event["handoff_id"],
                                "output_text": final,
                            }
                        )
                    )
                    break
            await answerer.calls[0].wait_received(lambda frame: frame["type"] == "conversation.handoff.append")
        assert answerer.violations == []

    with pytest.raises(ScenarioFailed, match=r"came instead: session\.update"):
        async with FakeAnswerer(
            scenario=Scenario(steps=[RequestHandoff(input_transcript="do it", within_s=0.2)])
        ) as unanswered:
            async with connect(config_for(unanswered, max_duration_s=0.6)) as call:
                await call.wait_ended()
            assert call.result.events["conversation.handoff.requested"] == 1


REQUESTED = "conversation.handoff.requested"


def _recorded(name: str) -> list[tuple[float, str, JsonObject]]:
    """Return time, direction and message of everything on the sideband of a recording."""
    recording = json.loads((ROOT / "tests" / "golden" / f"{name}.json").read_text(encoding="utf-8"))
    return [(e["t"], e["dir"], json.loads(e["text"])) for e in recording["events"] if e["kind"] == "ws_text"]


@pytest.mark.parametrize(
    ("name", "answers", "is_met"),
    [
        ("j_handoff_simple", ["the final answer"], True),
        ("j_handoff_simple", ["another answer"], False),
        ("j_handoff_active_transcript", ["done one", "done two", None], True),
        ("j_handoff_active_transcript", ["done one", "done one", None], False),
        ("j_standalone_output", [{"any": True}], False),
    ],
)
def test_the_reference_client_answers_handoffs_as_scenarios_expect(
    name: str, answers: list[object], is_met: bool
) -> None:
    """Its recorded answers, at their times, to the recorded requests (section 9)."""
    recorded = _recorded(name)
    requests = [(at_s, message) for at_s, _, message in recorded if message["type"] == REQUESTED]
    steps = []
    for n, answer in enumerate(answers):
        transcript = str(requests[n][1]["input_transcript"]) if requests else ""
        when = AfterMessage({"type": "go", "n": n})
        steps.append(RequestHandoff(input_transcript=transcript, answer=answer, within_s=2, when=when))
    go: list[tuple[float, JsonObject]] = [
        (requests[n][0] if requests else 0.5, {"type": "go", "n": n}) for n in range(len(steps))
    ]

    rehearsal = rehearse(
        Scenario(steps=steps), messages=[*go, *((at_s, m) for at_s, way, m in recorded if way == "c2s")]
    )

    assert rehearsal.report.is_met is is_met, rehearsal.report.as_text()
    told = [event for _, event in rehearsal.events]
    assert not requests or told == [message for _, message in requests]


async def test_a_scenario_is_for_the_calls_to_come(place: Place) -> None:
    """One answerer may have several, one after the other."""
    async with FakeAnswerer(scenario=Scenario(steps=[GREETING])) as answerer:
        await (await place(answerer)).caller.connected()
        await answerer.calls[0].media_connected()
        await until(lambda: answerer.scenario_reports()[0].is_met)
        answerer.scenario = Scenario(must_finish=False)
        second = await post(answerer.base_url, b"", "text/plain")
        assert second.status_code == 400
        assert [len(call.scenario.steps) for call in answerer.calls] == [1]
        await answerer.calls[0].hang_up()
