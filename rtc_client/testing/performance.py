"""Decides what a scripted agent does and when; pure: no task, no clock, no socket, no samples.

`tick(now_s)` is asked every 20 ms and returns the acts that are due; the call carries them out.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias, assert_never

from rtc_client.testing import events
from rtc_client.testing.events import JsonObject
from rtc_client.testing.script import AfterCaller, AfterPrevious, AgentScript, AtTime, SpokenTurn, Voice
from rtc_client.testing.vad import SpeechEdge, VoiceActivity

CALLER_WORD_S: Final = 0.3
"""While the caller is heard speaking, one word of `caller_text` is told each 0.3 s (200 words a minute)."""
LAST_SOUND_S: Final = 0.4
"""Between the end of the last turn and hanging up, so that its sound leaves the caller's jitter buffer."""


@dataclass(frozen=True, slots=True)
class Speak:
    """Begin to play a voice."""

    voice: Voice


@dataclass(frozen=True, slots=True)
class Tell:
    """Send a server event over the sideband."""

    event: JsonObject = field(repr=False)


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call."""


Act: TypeAlias = Speak | Tell | HangUp


def pace_words(text: str, duration_s: float) -> list[tuple[float, str]]:
    """Return the words of `text` and when each begins, in seconds, spread by length over `duration_s`.

    Joined together the words are `text` again: each keeps the white space before it, the last also what follows.
    """
    words = re.findall(r"\s*\S+", text)
    if not words:
        return []
    words[-1] += text[sum(map(len, words)) :]
    paced, n_before = [], 0
    for word in words:
        paced.append((duration_s * n_before / len(text), word))
        n_before += len(word)
    return paced


class Performance:
    """One agent in one call. All times are monotonic seconds of one clock."""

    def __init__(self, script: AgentScript, duration_s: Callable[[Voice], float | None]) -> None:
        """`duration_s` tells how long a voice lasts, None for ever."""
        self._script = script
        self._duration_s = duration_s
        self._voice_activity = VoiceActivity(script.hearing)
        self._turns = deque(script.turns)
        self._caller_texts = deque(script.caller_texts)
        self._connected_at_s: float | None = None
        self._free_at_s = 0.0
        self._agent_script: deque[tuple[float, JsonObject]] = deque()
        self._caller_script: deque[tuple[float, JsonObject]] = deque()
        self._caller_final = ""
        self._has_caller_stopped = False
        self._n_replies_owed = 0
        self._n_replies_given = 0
        self._has_hung_up = False

    @property
    def is_done(self) -> bool:
        """Whether all turns have begun, and every reply asked for."""
        is_reply_awaited = self._script.reply_to_text is not None and not self._n_replies_given
        return not self._turns and not self._n_replies_owed and not is_reply_awaited

    def media_connected(self, now_s: float) -> None:
        """Begin: turns are counted from here."""
        self._connected_at_s = self._free_at_s = now_s

    def hear(self, level_dbfs: float, now_s: float) -> None:
        """Take the level of one frame of the caller."""
        self._voice_activity.hear(level_dbfs, now_s)

    def read_text(self) -> None:
        """Take note that the caller has sent a text."""
        if self._script.reply_to_text is not None:
            self._n_replies_owed += 1

    def tick(self, now_s: float) -> list[Act]:
        """Return what is due at `now_s`, in order; each act is returned once."""
        if self._connected_at_s is None or self._has_hung_up:
            return []
        acts: list[Act] = [*self._follow_caller(now_s), *_due(self._caller_script, now_s)]
        acts += _due(self._agent_script, now_s)
        if now_s >= self._free_at_s and (turn := self._next_turn(now_s)):
            acts += self._begin(turn, now_s)
        if self._is_over(now_s):
            self._has_hung_up = True
            acts.append(HangUp())
        return acts

    def _follow_caller(self, now_s: float) -> list[Act]:
        edge = self._voice_activity.poll(now_s)
        if edge is SpeechEdge.STARTED:
            text = self._caller_texts.popleft() if self._caller_texts else ""
            words = [word for _, word in pace_words(text, 0.0)]
            self._caller_script.extend(
                (now_s + n * CALLER_WORD_S, events.caller_said_piece(word)) for n, word in enumerate(words)
            )
            self._caller_final = text
        elif edge is SpeechEdge.STOPPED:
            self._has_caller_stopped = True
            if self._caller_final:
                rest: list[Act] = [Tell(event) for _, event in self._caller_script]
                self._caller_script.clear()
                return [*rest, Tell(events.caller_said(self._caller_final))]
        return []

    def _next_turn(self, now_s: float) -> SpokenTurn | None:
        if self._n_replies_owed:
            self._n_replies_owed -= 1
            self._n_replies_given += 1
            return self._script.reply_to_text
        if self._turns and self._is_due(self._turns[0], now_s):
            self._has_caller_stopped = False
            return self._turns.popleft()
        return None

    def _is_due(self, turn: SpokenTurn, now_s: float) -> bool:
        assert self._connected_at_s is not None  # noqa: S101 - only called from tick
        match turn.when:
            case AtTime(at_s):
                return now_s >= self._connected_at_s + at_s
            case AfterPrevious(pause_s):
                return now_s >= self._free_at_s + pause_s
            case AfterCaller():
                return self._has_caller_stopped and not self._voice_activity.is_speaking
            case when:
                assert_never(when)

    def _begin(self, turn: SpokenTurn, now_s: float) -> list[Act]:
        duration_s = 0.0 if turn.voice is None else self._duration_s(turn.voice)
        spread_s = duration_s or 0.0
        self._free_at_s = float("inf") if duration_s is None else now_s + duration_s
        if turn.text:
            words = pace_words(turn.text, spread_s)
            self._agent_script.extend((now_s + at_s, events.agent_said_piece(word)) for at_s, word in words)
            self._agent_script.append((now_s + spread_s, events.agent_said(turn.text)))
        sound: list[Act] = [] if turn.voice is None else [Speak(turn.voice)]
        return [*sound, *_due(self._agent_script, now_s)]

    def _is_over(self, now_s: float) -> bool:
        assert self._connected_at_s is not None  # noqa: S101 - only called from tick
        limit_s = self._script.hang_up_after_s
        if limit_s is not None and now_s >= self._connected_at_s + limit_s:
            return True
        is_silent = now_s >= self._free_at_s + LAST_SOUND_S and not self._agent_script
        return self._script.hang_up_when_done and self.is_done and is_silent


def _due(scheduled: deque[tuple[float, JsonObject]], now_s: float) -> list[Act]:
    due: list[Act] = []
    while scheduled and scheduled[0][0] <= now_s:
        due.append(Tell(scheduled.popleft()[1]))
    return due
