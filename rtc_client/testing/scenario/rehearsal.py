"""Rehearses a scenario in virtual time, against a client that is a list of what it does.

What is judged is what the agent does, when, and what it makes of a client; sound is a length and a level.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, assert_never

from rtc_client.audio.frames import FRAME_S
from rtc_client.testing.scenario.performance import Act, BeginFault, EndFault, HangUp, Performance, Speak, Tell
from rtc_client.testing.scenario.scenario import Scenario
from rtc_client.testing.scenario.script import Voice
from rtc_client.testing.scenario.verdict import ScenarioReport
from rtc_client.testing.scenario.voices import VoiceBox
from rtc_client.testing.wire.server_events import JsonObject

SPEECH_DBFS: Final = -20.0
SILENCE_DBFS: Final = -90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """What happened, each thing with its second since media connected."""

    report: ScenarioReport
    """What came of each step."""
    events: list[tuple[float, JsonObject | str | bytes]] = field(repr=False)
    """What the client was told."""
    voices: list[tuple[float, Voice]]
    """What the agent began to say, and at which second."""
    """What the agent began to say."""
    faults: list[tuple[float, str]]
    """Which faults began, and at which second."""
    """What began (`stop_audio`) and what ended by itself (`end of step 3`)."""
    hung_up_at_s: float | None
    """When the agent hung up; None if it did not."""


def rehearse(
    scenario: Scenario,
    *,
    messages: Sequence[tuple[float, JsonObject]] = (),
    speech: Sequence[tuple[float, float]] = (),
    hangs_up_at_s: float | None = None,
    limit_s: float = 600.0,
    react: Callable[[JsonObject, float], Sequence[tuple[float, JsonObject]]] | None = None,
) -> Rehearsal:
    """Return what a scenario comes to with a client that sends these messages and speaks in these stretches.

    All times are seconds since media connected. `react` is told each event with its time, and may return more messages.
    `speech` are the beginnings and ends of what is said. It ends when either side hangs up (the client at
    `hangs_up_at_s`), when all steps are over and the client is, or after `limit_s`.
    """
    performance = Performance(scenario, VoiceBox().duration_s)
    coming = sorted(messages, key=lambda message: message[0])
    stage = _Stage()
    performance.answered(0.0)
    performance.media_connected(0.0)
    n_tick, now_s = 0, 0.0
    end, by_client = "the rehearsal was over", False
    while now_s < limit_s:
        while coming and coming[0][0] <= now_s:
            at_s, message = coming.pop(0)
            performance.read(message, at_s)
        if hangs_up_at_s is not None and now_s >= hangs_up_at_s:
            end, by_client = "the client hung up", True
            break
        performance.hear(SPEECH_DBFS if _is_within(now_s, speech) else SILENCE_DBFS, now_s)
        for act in performance.tick(now_s):
            stage.take(act, now_s)
            if react is not None and isinstance(act, Tell) and isinstance(act.event, dict):
                coming = sorted([*coming, *react(act.event, now_s)], key=lambda message: message[0])
        if stage.hung_up_at_s is not None:
            end = "the agent hung up"
            break
        if performance.is_done and not coming and hangs_up_at_s is None:
            break
        n_tick += 1
        now_s = n_tick * FRAME_S
    performance.end(end, now_s, by_client=by_client)
    return Rehearsal(
        report=performance.report("rehearsal"),
        events=stage.events,
        voices=stage.voices,
        faults=stage.faults,
        hung_up_at_s=stage.hung_up_at_s,
    )


class _Stage:
    def __init__(self) -> None:
        self.events: list[tuple[float, JsonObject | str | bytes]] = []
        self.voices: list[tuple[float, Voice]] = []
        self.faults: list[tuple[float, str]] = []
        self.hung_up_at_s: float | None = None

    def take(self, act: Act, now_s: float) -> None:
        match act:
            case Speak(voice):
                self.voices.append((now_s, voice))
            case Tell(event):
                self.events.append((now_s, event))
            case BeginFault(_, step):
                self.faults.append((now_s, step.name))
            case EndFault(number):
                self.faults.append((now_s, f"end of step {number}"))
            case HangUp():
                self.hung_up_at_s = now_s
            case _:
                assert_never(act)


def _is_within(now_s: float, stretches: Sequence[tuple[float, float]]) -> bool:
    return any(start_s <= now_s < end_s for start_s, end_s in stretches)
