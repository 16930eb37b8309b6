"""Performance: decides what the agent of a scenario does and when, and judges what the client does. Pure.

No task, no clock, no socket, no samples: `tick(now_s)` is asked every 20 ms and returns the acts that are due, which
the call carries out. So a scenario can be gone through on any time, as `rehearsal.py` does.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias, assert_never

from rtc_client.testing.scenario import scenario as sc
from rtc_client.testing.scenario.expectations import Expectations
from rtc_client.testing.scenario.mailbox import Mailbox
from rtc_client.testing.scenario.script import (
    AfterCaller,
    AfterMessage,
    AfterPrevious,
    AtTime,
    Pause,
    SpokenTurn,
    Voice,
)
from rtc_client.testing.scenario.verdict import Outcome, ScenarioReport, StepReport
from rtc_client.testing.scenario.word_timing import pace_words
from rtc_client.testing.sound.vad import SpeechEdge, VoiceActivity
from rtc_client.testing.wire import server_events as events
from rtc_client.testing.wire.json_patterns import describe, fits
from rtc_client.testing.wire.server_events import JsonObject

CALLER_WORD_S: Final = 0.3
"""While the caller is heard speaking, one word of `caller_text` is told each 0.3 s (200 words a minute)."""
LAST_SOUND_S: Final = 0.4
"""Between the end of the last turn and hanging up, so that its sound leaves the caller's jitter buffer."""
MAX_OWED: Final = 1_000
"""Reactions waiting for the agent to be free; those to still more messages are left out."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Begin to play a voice."""

    voice: Voice


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a server event over the sideband, or a frame as it is."""

    event: JsonObject | str | bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class BeginFault:
    """Let a fault begin; `number` is its step's."""

    number: int
    step: sc.StartFault


@dataclass(frozen=True, slots=True)
class EndFault:
    """Let the fault of this step end."""

    number: int


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


Act: TypeAlias = Speak | Tell | BeginFault | EndFault | HangUp


@dataclass(slots=True)
class _Next:
    """The step that is next, and what is known of its beginning."""

    report: StepReport
    pause_s: float
    since_s: float
    """When the step before it was over."""
    message_at_s: float | None = None


class Performance:
    """One scenario in one call. All times are monotonic seconds of one clock."""

    def __init__(
        self,
        scenario: sc.Scenario,
        duration_s: Callable[[Voice], float | None],
        *,
        session_id: str = "sess_1",
        lost_s: Callable[[float, float], float] = lambda since_s, until_s: 0.0,
    ) -> None:
        """`duration_s` tells how long a voice lasts, None for ever.

        `lost_s` tells how long the answerer's loop stood still between two times: what the client has to do within a
        time has so much more.
        """
        self._lost_s = lost_s
        self._scenario = scenario
        self._duration_s = duration_s
        self._session_id = session_id
        self._rng = random.Random(scenario.seed)
        self._voice_activity = VoiceActivity(scenario.hearing)
        self._caller_texts = deque(scenario.caller_texts)
        self._mailbox = Mailbox()
        self._reports = [StepReport(number, step) for number, step in enumerate(scenario.steps, start=1)]
        self._left = deque(self._reports)
        self._next: _Next | None = None
        self._expectations = Expectations(self._mailbox, lost_s)
        self._owed: deque[tuple[float, sc.Reaction]] = deque()
        self._whenever_not_done = set(range(len(scenario.whenever)))
        self._n_handoffs = 0
        self._began_at_s: float | None = None
        self._ended: tuple[str, float] | None = None
        self._free_at_s = 0.0
        self._sound_until_s = float("-inf")
        self._agent_words: deque[tuple[float, JsonObject]] = deque()
        self._caller_words: deque[tuple[float, JsonObject]] = deque()
        self._caller_final = ""
        self._caller_stopped_at_s: float | None = None
        self._fault_ends: list[tuple[float, int]] = []
        self._has_hung_up = False

    @property
    def is_done(self) -> bool:
        """Whether all steps are over, and every reaction that is owed was done, of each kind at least one."""
        return not (self._left or self._expectations.are_open or self._owed or self._whenever_not_done)

    def answered(self, now_s: float) -> None:
        """The offer was answered."""
        if self._scenario.begins == "answer":
            self._begin(now_s)

    def media_connected(self, now_s: float) -> None:
        """The media path is up."""
        if self._scenario.begins == "media":
            self._begin(now_s)

    def hear(self, level_dbfs: float, now_s: float) -> None:
        """Take the level of one frame of the caller."""
        self._voice_activity.hear(level_dbfs, now_s)

    def read(self, message: JsonObject, now_s: float) -> None:
        """Take a message of the client."""
        self._mailbox.put(message, now_s)
        for n, reaction in enumerate(self._scenario.whenever):
            when = reaction.when
            if isinstance(when, AfterMessage) and fits(message, when.message) and len(self._owed) < MAX_OWED:
                self._owed.append((now_s + self._draw(when.pause_s), reaction))
                self._whenever_not_done.discard(n)

    def tick(self, now_s: float) -> list[Act]:
        """Return what is due at `now_s`, in order; each act is returned once."""
        if self._began_at_s is None or self._has_hung_up or self._ended is not None:
            return []
        acts: list[Act] = [*self._follow_caller(now_s), *_due(self._caller_words, now_s)]
        acts += _due(self._agent_words, now_s)
        acts += self._end_faults(now_s)
        self._judge(now_s)
        while (step := self._next_step(now_s)) is not None:
            acts += step
            self._judge(now_s)
        if self._is_over(now_s) and HangUp() not in acts:
            acts.append(HangUp())
        self._has_hung_up = HangUp() in acts
        return acts

    def end(self, how: str, now_s: float, *, by_client: bool) -> None:
        """The call has ended: what has not happened by now never will."""
        if self._ended is not None:
            return
        if self._began_at_s is not None:
            # What came in the last instant counts, and so does a hang-up that is expected from there on.
            self._follow_caller(now_s)
            self._judge(now_s)
            while self._next_step(now_s, only_expectations=True) is not None:
                self._judge(now_s)
            self._expectations.end(now_s, by_client=by_client)
            for report in self._reports:
                if report.ended_s is not None and report.ended_s > self._since_began(now_s):
                    report.ended_s, report.why = self._since_began(now_s), "cut short by the end of the call"
        self._ended = (how, now_s)

    def report(self, call_id: str) -> ScenarioReport:
        """Return what has come of the steps so far."""
        how, at_s = self._ended or ("", 0.0)
        lasted_s = None if self._ended is None or self._began_at_s is None else self._since_began(at_s)
        return ScenarioReport(
            name=self._scenario.name,
            call_id=call_id,
            steps=tuple(replace(report) for report in self._reports),
            must_finish=self._scenario.must_finish,
            ended=how,
            lasted_s=lasted_s,
        )

    def _begin(self, now_s: float) -> None:
        if self._began_at_s is not None:
            return
        self._began_at_s = self._free_at_s = now_s
        self._expectations.began_at_s = now_s
        for step in self._scenario.opening_faults:
            report = self._left.popleft()
            report.outcome, report.began_s, report.ended_s = Outcome.DONE, 0.0, 0.0
            if step.lasts_s is not None:
                self._fault_ends.append((now_s + step.lasts_s, report.number))

    # The caller.

    def _follow_caller(self, now_s: float) -> list[Act]:
        edge = self._voice_activity.poll(now_s)
        self._expectations.is_caller_speaking = self._voice_activity.is_speaking
        if edge is SpeechEdge.STARTED:
            self._expectations.has_caller_spoken = True
            text = self._caller_texts.popleft() if self._caller_texts else ""
            words = [word for _, word in pace_words(text, 0.0)]
            self._caller_words.extend(
                (now_s + n * CALLER_WORD_S, events.caller_said_piece(word)) for n, word in enumerate(words)
            )
            self._caller_final = text
        elif edge is SpeechEdge.STOPPED:
            self._caller_stopped_at_s = now_s
            if self._caller_final:
                rest: list[Act] = [Tell(event) for _, event in self._caller_words]
                self._caller_words.clear()
                return [*rest, Tell(events.caller_said(self._caller_final))]
        return []

    # When the next step begins.

    def _judge(self, now_s: float) -> None:
        """Settle expectations; one that was waited for sets the next step free."""
        settled_at_s = self._expectations.judge(now_s)
        if settled_at_s is not None:
            self._free_at_s = settled_at_s

    def _next_step(self, now_s: float, *, only_expectations: bool = False) -> list[Act] | None:
        """Return the acts with which the next step begins, or None if none begins now."""
        if now_s < self._free_at_s:
            return None
        if not only_expectations and (reaction := self._next_reaction(now_s)) is not None:
            return self._do(None, reaction, now_s)
        if self._next is None:
            if not self._left:
                return None
            report = self._left[0]
            self._next = _Next(report, self._draw(_pause_of(report.step)), self._free_at_s)
        report = self._next.report
        if only_expectations and not isinstance(report.step, sc.Observation):
            return None
        if self._is_due(self._next, now_s):
            self._left.popleft()
            self._next = None
            return self._do(report, report.step, now_s)
        when = report.step.when
        limit_s = when.within_s if isinstance(when, AfterCaller | AfterMessage) else None
        waited_s = now_s - self._next.since_s - self._lost_s(self._next.since_s, now_s)
        if limit_s is not None and self._next.message_at_s is None and waited_s >= limit_s:
            what = "the caller" if isinstance(when, AfterCaller) else describe(when.message)  # type: ignore[union-attr]
            report.why = f"waited {limit_s:g} s for {what} in vain, and was left out"
            report.outcome = Outcome.FAILED
            report.began_s = report.ended_s = self._since_began(now_s)
            self._left.popleft()
            self._next = None
            return []
        return None

    def _next_reaction(self, now_s: float) -> sc.Reaction | None:
        if self._owed and self._owed[0][0] <= now_s:
            return self._owed.popleft()[1]
        return None

    def _is_due(self, upcoming: _Next, now_s: float) -> bool:
        assert self._began_at_s is not None  # noqa: S101 - only called from tick
        if isinstance(upcoming.report.step, sc.EndCall) and now_s < self._sound_until_s + LAST_SOUND_S:
            return False
        match upcoming.report.step.when:
            case AtTime(at_s):
                return now_s >= self._began_at_s + at_s
            case AfterPrevious():
                return now_s >= self._free_at_s + upcoming.pause_s
            case AfterCaller():
                stopped_at_s = self._caller_stopped_at_s
                is_speaking = self._voice_activity.is_speaking
                return stopped_at_s is not None and not is_speaking and now_s >= stopped_at_s + upcoming.pause_s
            case AfterMessage(pattern):
                if upcoming.message_at_s is None and (message := self._mailbox.take(pattern, 0, now_s)) is not None:
                    upcoming.message_at_s = message.at_s
                return upcoming.message_at_s is not None and now_s >= upcoming.message_at_s + upcoming.pause_s
            case when:
                assert_never(when)

    # What it does.

    def _do(self, report: StepReport | None, step: sc.Step, now_s: float) -> list[Act]:
        if report is not None:
            report.outcome = Outcome.DONE
            report.began_s = report.ended_s = self._since_began(now_s)
        if isinstance(step, SpokenTurn) or isinstance(step.when, AfterCaller):
            self._caller_stopped_at_s = None
            self._expectations.has_caller_spoken = self._voice_activity.is_speaking
        self._free_at_s = now_s
        match step:
            case SpokenTurn():
                return self._speak(report, step, now_s)
            case sc.SendEvent(event=event):
                return [Tell(event)]
            case sc.SendFrame(frame=frame):
                return [Tell(frame)]
            case sc.SendSessionUpdated(session=session):
                return [Tell(events.session_updated(self._session_id, session))]
            case sc.StartFault(lasts_s=lasts_s):
                assert report is not None  # noqa: S101 - no reaction is a fault
                if lasts_s is not None:
                    self._fault_ends.append((now_s + lasts_s, report.number))
                return [BeginFault(report.number, step)]
            case sc.EndCall():
                return [HangUp()]
            case sc.RequestHandoff():
                self._n_handoffs += 1
                handoff_id = step.handoff_id or f"handoff_{self._n_handoffs}"
                item_id = step.item_id or f"item_{self._n_handoffs}"
                if step.answer is not None and report is not None:
                    self._expect(report, now_s, handoff_id=handoff_id)
                return [Tell(events.handoff_requested(handoff_id, item_id, step.input_transcript))]
            case sc.Expect() | sc.ExpectNot() | sc.ExpectSpeech() | sc.ExpectSilence() | sc.ExpectHangUp():
                assert report is not None  # noqa: S101 - no reaction is an expectation
                self._expect(report, now_s)
                return []
            case _:
                assert_never(step)

    def _expect(self, report: StepReport, now_s: float, *, handoff_id: str = "") -> None:
        if self._expectations.open(report, now_s, handoff_id=handoff_id):
            self._free_at_s = float("inf")

    def _speak(self, report: StepReport | None, turn: SpokenTurn, now_s: float) -> list[Act]:
        duration_s = 0.0 if turn.voice is None else self._duration_s(turn.voice)
        spread_s = duration_s or 0.0
        ends_at_s = float("inf") if duration_s is None else now_s + duration_s
        if turn.wait:
            self._free_at_s = ends_at_s
            self._sound_until_s = float("-inf") if turn.voice is None or duration_s is None else ends_at_s
        if report is not None:
            report.ended_s = None if duration_s is None else self._since_began(ends_at_s)
        if turn.text:
            words = pace_words(turn.text, spread_s)
            self._agent_words.extend((now_s + at_s, events.agent_said_piece(word)) for at_s, word in words)
            self._agent_words.append((now_s + spread_s, events.agent_said(turn.text)))
        sound: list[Act] = [] if turn.voice is None else [Speak(turn.voice)]
        return [*sound, *_due(self._agent_words, now_s)]

    def _end_faults(self, now_s: float) -> list[Act]:
        over = [(at_s, number) for at_s, number in self._fault_ends if at_s <= now_s]
        self._fault_ends = [end for end in self._fault_ends if end not in over]
        return [EndFault(number) for _, number in sorted(over)]

    def _is_over(self, now_s: float) -> bool:
        assert self._began_at_s is not None  # noqa: S101 - only called from tick
        limit_s = self._scenario.hang_up_after_s
        if limit_s is not None and now_s >= self._began_at_s + limit_s:
            return True
        is_silent = now_s >= self._free_at_s + LAST_SOUND_S and not self._agent_words
        return self._scenario.hang_up_when_done and self.is_done and is_silent

    def _draw(self, pause_s: Pause) -> float:
        return self._rng.uniform(*pause_s) if isinstance(pause_s, tuple) else pause_s

    def _since_began(self, now_s: float) -> float:
        assert self._began_at_s is not None  # noqa: S101 - only called from then on
        return now_s - self._began_at_s


def _pause_of(step: sc.Step) -> Pause:
    return 0.0 if isinstance(step.when, AtTime) else step.when.pause_s


def _due(scheduled: deque[tuple[float, JsonObject]], now_s: float) -> list[Act]:
    due: list[Act] = []
    while scheduled and scheduled[0][0] <= now_s:
        due.append(Tell(scheduled.popleft()[1]))
    return due
