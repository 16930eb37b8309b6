"""The outcome of a scenario in one call: each step, as values, text and exception."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from rtc_client.testing.scenario import scenario as sc
from rtc_client.testing.scenario.script import (
    AfterCaller,
    AfterMessage,
    AfterPrevious,
    AtTime,
    Clip,
    Echo,
    SpokenTurn,
    Tone,
    When,
)
from rtc_client.testing.wire.json_patterns import Mismatch, describe, show


class Outcome(Enum):
    """What has become of a step."""

    LEFT = "left"
    """It never began."""
    OPEN = "open"
    """It has begun, and is not over."""
    DONE = "ok"
    FAILED = "FAIL"


@dataclass(slots=True)
class StepReport:
    """One step, and what came of it. Times are seconds since the scenario began."""

    number: int
    """From 1."""
    step: sc.Step = field(repr=False)
    outcome: Outcome = Outcome.LEFT
    """What came of it."""
    began_s: float | None = None
    ended_s: float | None = None
    why: str = field(default="", repr=False)
    """One sentence, if it failed."""
    difference: Sequence[Mismatch] = ()
    """Where the message that came nearest is not as wanted."""
    came: Sequence[str] = ()
    """The messages that came instead, by their types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioReport:
    """What came of a scenario in one call."""

    name: str
    call_id: str
    steps: Sequence[StepReport]
    must_finish: bool = True
    ended: str = ""
    """How the call ended; empty while it lasts."""
    lasted_s: float | None = None
    """Seconds from the scenario's beginning to the end of the call; None if it never began."""

    @property
    def failures(self) -> list[StepReport]:
        """The steps that are not as they must be: failed, left over, or not over."""
        wrong = {Outcome.FAILED, Outcome.LEFT, Outcome.OPEN} if self.must_finish else {Outcome.FAILED}
        return [report for report in self.steps if report.outcome in wrong]

    @property
    def is_met(self) -> bool:
        """Whether every step was done, and every expectation met."""
        return not self.failures

    def check(self) -> None:
        """Return if the scenario is met.

        Raises:
            ScenarioFailed: If it is not; the text says what was wanted, and what came instead.
        """
        if not self.is_met:
            raise ScenarioFailed([self])

    def as_text(self) -> str:
        """Return every step on its line, and below it what is wrong with it."""
        title = f"scenario {self.name!r}" if self.name else "scenario"
        n_wrong = len(self.failures)
        verdict = f"{n_wrong} of {len(self.steps)} steps not met" if n_wrong else "met"
        end = "not over" if not self.ended else self.ended
        when = "" if self.lasted_s is None else f", {self.lasted_s:.2f} s after its beginning"
        began = "" if self.lasted_s is not None or not self.ended else ", and it never began"
        lines = [f"{title} in call {self.call_id}: {verdict} (the call: {end}{when}{began})"]
        for report in self.steps:
            lines += _lines(report)
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """Return the same for programs."""
        return {
            "name": self.name,
            "call_id": self.call_id,
            "is_met": self.is_met,
            "ended": self.ended,
            "lasted_s": _rounded(self.lasted_s),
            "steps": [
                {
                    "number": report.number,
                    "step": describe_step(report.step),
                    "outcome": report.outcome.value.lower(),
                    "began_s": _rounded(report.began_s),
                    "ended_s": _rounded(report.ended_s),
                    "why": report.why,
                    "difference": [
                        {"where": place.where, "wanted": place.wanted, "found": place.found}
                        for place in report.difference
                    ],
                    "came": list(report.came),
                }
                for report in self.steps
            ],
        }


class ScenarioFailed(AssertionError):
    """A scenario was not met: steps are left over, or something expected did not come.

    `reports` are of the calls in which it was not met. They show of a client's messages the values that the scenario
    itself asks about, and of the others only the type.
    """

    def __init__(self, reports: Sequence[ScenarioReport], text: str = "") -> None:
        super().__init__(text or "\n\n".join(report.as_text() for report in reports))
        self.reports = reports


def describe_step(step: sc.Step) -> str:
    """Return a step in a few words, without what is spoken."""
    return f"{_action(step)}{_when(step.when)}"


def _action(step: sc.Step) -> str:
    match step:
        case SpokenTurn(voice=voice):
            return f"speak {_voice(voice)}"
        case sc.SendEvent(event=event):
            return f"send {event.get('type', 'an event')}"
        case sc.SendFrame(frame=frame):
            return f"send a frame of {len(frame)} {'bytes' if isinstance(frame, bytes) else 'characters'}"
        case sc.SendSessionUpdated():
            return "update the session"
        case sc.RequestHandoff(answer=None):
            return "request a handoff"
        case sc.RequestHandoff(answer=answer, within_s=within_s):
            return f"request a handoff, and expect the answer {describe(answer)} within {within_s:g} s"
        case sc.Expect(message=message, within_s=within_s):
            return f"expect {describe(message)} within {within_s:g} s"
        case sc.ExpectNot(message=message, for_s=for_s):
            return f"expect no {describe(message)} for {for_s:g} s"
        case sc.ExpectSpeech(within_s=within_s):
            return f"expect the caller to speak within {within_s:g} s"
        case sc.ExpectSilence(for_s=for_s):
            return f"expect the caller to be silent for {for_s:g} s"
        case sc.ExpectHangUp(within_s=within_s):
            return f"expect the client to hang up within {within_s:g} s"
        case sc.StartFault(name=name):
            return f"fault {name}"
        case sc.EndCall():
            return "hang up"
        case _:
            assert_never(step)


def _voice(voice: Tone | Clip | Echo | None) -> str:
    match voice:
        case None:
            return "words only"
        case Tone(frequency_hz=frequency_hz, duration_s=duration_s):
            return f"a tone of {frequency_hz:g} Hz, {duration_s:g} s"
        case Clip():
            return "a clip"
        case Echo():
            return "an echo"
        case _:
            assert_never(voice)


def _when(when: When) -> str:
    match when:
        case AtTime(at_s):
            return f", at {at_s:g} s"
        case AfterCaller():
            return ", after the caller"
        case AfterMessage(message):
            return f", after {describe(message)}"
        case AfterPrevious(pause_s):
            return "" if pause_s == 0 else f", after a pause of {_pause(pause_s)} s"
        case _:
            assert_never(when)


def _pause(pause_s: float | tuple[float, float]) -> str:
    return f"{pause_s[0]:g} to {pause_s[1]:g}" if isinstance(pause_s, tuple) else f"{pause_s:g}"


def _lines(report: StepReport) -> list[str]:
    span = ""
    if report.began_s is not None:
        span = f"   [{report.began_s:.2f} s" + ("" if report.ended_s is None else f" to {report.ended_s:.2f} s") + "]"
    lines = [f"  {report.outcome.value:<4} {report.number:>2}  {describe_step(report.step)}{span}"]
    if report.why:
        lines.append(f"           {report.why}")
    for place in report.difference:
        lines.append(f"           - {place.where}: {place.wanted}")
        lines.append(f"           + {place.where}: {place.found}")
    if report.came:
        lines.append(f"           came instead: {', '.join(report.came)}")
    return lines


def _rounded(value_s: float | None) -> float | None:
    return None if value_s is None else round(value_s, 3)


def type_of(message: dict[str, object]) -> str:
    """Return the type of a message, for a list of what came."""
    kind = message.get("type")
    return kind if isinstance(kind, str) else f"a message of the type {show(kind)}"
