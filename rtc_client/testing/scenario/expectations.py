"""The expectations of a scenario that are open, and how each is settled. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from rtc_client.testing.scenario import scenario as sc
from rtc_client.testing.scenario.mailbox import Mailbox, Message
from rtc_client.testing.scenario.verdict import Outcome, StepReport, type_of
from rtc_client.testing.wire.json_patterns import Pattern, describe
from rtc_client.testing.wire.server_events import ANSWER_PREFIX


@dataclass(slots=True)
class _Open:
    report: StepReport
    began_at_s: float
    span_s: float
    is_waited_for: bool
    start: int
    """Place in the mailbox of the first message not looked at yet."""
    handoff_id: str = ""


class Expectations:
    """Those that are open. Who knows of the caller's speech says so by the two flags."""

    def __init__(
        self, mailbox: Mailbox, lost_s: Callable[[float, float], float] = lambda since_s, until_s: 0.0
    ) -> None:
        """`lost_s` tells how long the answerer's loop stood still between two times."""
        self._lost_s = lost_s
        self.began_at_s = 0.0
        self.is_caller_speaking = False
        self.has_caller_spoken = False
        """Since the last turn of the agent began."""
        self._mailbox = mailbox
        self._open: list[_Open] = []

    @property
    def are_open(self) -> bool:
        """Whether any is not settled yet."""
        return bool(self._open)

    def open(self, report: StepReport, now_s: float, *, handoff_id: str = "") -> bool:
        """Begin to expect what a step expects; return whether the next step waits for it."""
        step = report.step
        assert isinstance(step, sc.Expectation)  # noqa: S101 - the performance opens no others
        span_s = step.for_s if isinstance(step, sc.ExpectNot | sc.ExpectSilence) else step.within_s
        # Nothing that came before may break a promise not to come; but what is wanted may already be there.
        start = self._mailbox.n_messages if isinstance(step, sc.ExpectNot) else 0
        is_waited_for = isinstance(step, sc.ExpectHangUp) or step.wait
        report.outcome, report.ended_s = Outcome.OPEN, None
        self._open.append(_Open(report, now_s, span_s, is_waited_for, start, handoff_id))
        return is_waited_for

    def judge(self, now_s: float) -> float | None:
        """Settle what can be settled by now; return when the one that is waited for was, if it was."""
        freed_at_s: float | None = None
        for expectation in list(self._open):
            settled_at_s = self._settle(expectation, now_s)
            if settled_at_s is None:
                continue
            self._open.remove(expectation)
            expectation.report.ended_s = settled_at_s - self.began_at_s
            if expectation.is_waited_for:
                freed_at_s = settled_at_s
        return freed_at_s

    def end(self, now_s: float, *, by_client: bool) -> None:
        """Settle all of them: the call is over."""
        for expectation in self._open:
            report = expectation.report
            match report.step:
                case sc.ExpectNot() | sc.ExpectSilence():
                    report.outcome = Outcome.DONE
                case sc.ExpectHangUp() if by_client:
                    report.outcome = Outcome.DONE
                case sc.ExpectHangUp():
                    self._fail(expectation, "the call ended, and not by the client")
                case _:
                    self._fail(expectation, "the call ended before")
            report.ended_s = now_s - self.began_at_s
        self._open.clear()

    def _settle(self, expectation: _Open, now_s: float) -> float | None:
        """Return when an expectation was met or has failed; None while it is open."""
        report, until_s = expectation.report, self._until_s(expectation, now_s)
        is_late = now_s >= until_s
        match report.step:
            case sc.RequestHandoff() | sc.Expect() as step:
                message = self._take(step, expectation, until_s)
                expectation.start = self._mailbox.n_messages
                if message is not None:
                    report.outcome = Outcome.DONE
                    return max(message.at_s, expectation.began_at_s)
                if is_late:
                    self._fail(expectation, f"did not come within {step.within_s:g} s")
                    return until_s
            case sc.ExpectNot(message=pattern):
                message = self._mailbox.find(pattern, expectation.start, until_s)
                expectation.start = self._mailbox.n_messages
                if message is not None:
                    self._fail(expectation, f"came after {message.at_s - expectation.began_at_s:.2f} s")
                    return message.at_s
                if is_late:
                    report.outcome = Outcome.DONE
                    return until_s
            case sc.ExpectSpeech(within_s=within_s):
                if self.is_caller_speaking or self.has_caller_spoken:
                    report.outcome = Outcome.DONE
                    return now_s
                if is_late:
                    self._fail(expectation, f"no speech was heard within {within_s:g} s")
                    return until_s
            case sc.ExpectSilence():
                if self.is_caller_speaking:
                    self._fail(expectation, f"the caller spoke after {now_s - expectation.began_at_s:.2f} s")
                    return now_s
                if is_late:
                    report.outcome = Outcome.DONE
                    return until_s
            case sc.ExpectHangUp(within_s=within_s):
                if is_late:
                    self._fail(expectation, f"the call was not over after {within_s:g} s")
                    return until_s
            case step:
                assert_never(step)  # type: ignore[arg-type]
        return None

    def _until_s(self, expectation: _Open, now_s: float) -> float:
        """Return when the time is over: later by what our own loop has lost of it, unless the client may do nothing."""
        until_s = expectation.began_at_s + expectation.span_s
        if isinstance(expectation.report.step, sc.ExpectNot | sc.ExpectSilence):
            return until_s
        return until_s + self._lost_s(expectation.began_at_s, now_s)

    def _take(self, step: sc.RequestHandoff | sc.Expect, expectation: _Open, until_s: float) -> Message | None:
        for pattern in _wanted(step, expectation.handoff_id):
            if (message := self._mailbox.take(pattern, expectation.start, until_s)) is not None:
                return message
        return None

    def _fail(self, expectation: _Open, why: str) -> None:
        report = expectation.report
        report.outcome, report.why = Outcome.FAILED, why
        match report.step:
            case sc.RequestHandoff() | sc.Expect() as step:
                wanted = _wanted(step, expectation.handoff_id)[0]
                report.why = f"{describe(wanted)} {why}"
                report.difference = self._mailbox.nearest(wanted)
                report.came = [type_of(frame) for frame in self._mailbox.left()] or ["nothing"]
            case _:
                pass


def _wanted(step: sc.RequestHandoff | sc.Expect, handoff_id: str) -> list[Pattern]:
    """Return the patterns of which a message must fit one."""
    if isinstance(step, sc.Expect):
        return [step.message]
    texts = [step.answer, ANSWER_PREFIX + step.answer] if isinstance(step.answer, str) else [step.answer]
    return [{"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": text} for text in texts]
