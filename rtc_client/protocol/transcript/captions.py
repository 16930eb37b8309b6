"""Captions of a recorded call: words from the transcript, times from the recording. Pure.

What the server tells of times is late by the network and the recogniser, early where text comes before its sound, or
missing altogether (realtime v1). So each entry gets the speech of its voice that lies nearest to where the transcript
has it, in the same order; one whose speech is not found stays where the transcript has it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import islice, pairwise
from typing import Final, TypeAlias

from rtc_client.protocol.transcript.transcript import Transcript, TranscriptEntry
from rtc_client.protocol.transcript.webvtt import Cue, webvtt

Span: TypeAlias = tuple[int, int]
"""From and to, in milliseconds from position 0 of the recording."""

SLACK_MS: Final = 500
"""By how much what the server says of its sound may be off: its voice detection begins before, and ends behind."""
LATE_MS: Final = 2_500
"""How long after the speech the first of its text may come."""
PAUSE_MS: Final = 2_000
"""A longer pause parts two turns; a shorter one may be within one."""
FAR_MS: Final = 5_000
"""Speech further away than this is not that of an entry."""
MARGIN_MS: Final = 60
"""What is soft at the beginning and the end of a word is not counted as speech."""


def captions(transcript: Transcript, caller: Sequence[Span], agent: Sequence[Span]) -> str:
    """Return captions in WebVTT, given where each voice speaks in the recording, in order and without overlaps."""
    speech = {"caller": caller, "agent": agent}
    entries = [entry for entry in transcript.spoken if entry.as_words()]
    cues = []
    for role, spans in speech.items():
        said = sorted((entry for entry in entries if entry.role == role), key=lambda entry: entry.starts_ms)
        for entry, (start_ms, end_ms) in zip(said, placed(said, spans), strict=True):
            cues.append(Cue(voice=role.capitalize(), text=entry.as_words(), start_ms=start_ms, end_ms=end_ms))
    return webvtt(cues)


def placed(entries: Sequence[TranscriptEntry], speech: Sequence[Span]) -> list[Span]:
    """Return where each of one voice's entries, in order, lies in the recording."""
    ends = [end_ms for _, end_ms in speech]
    bounds = [_boundary(one, other, speech, ends) for one, other in pairwise(entries)]
    found = []
    for entry, start_ms, end_ms in zip(entries, [0, *bounds], [*bounds, None], strict=False):
        own = []
        for first_ms, last_ms in islice(speech, bisect_right(ends, start_ms), None):
            if end_ms is not None and first_ms >= end_ms:
                break
            own.append((max(first_ms, start_ms), last_ms if end_ms is None else min(last_ms, end_ms)))
        found.append(_nearest(entry, own) or (entry.starts_ms, entry.stops_ms))
    return found


def _boundary(one: TranscriptEntry, other: TranscriptEntry, speech: Sequence[Span], ends: Sequence[int]) -> int:
    """Return where one entry ends and the next begins: in the longest pause of those where that may be."""
    if other.audio_start_ms is not None:
        guess_ms = other.audio_start_ms
        earliest_ms, latest_ms = guess_ms - SLACK_MS, guess_ms + SLACK_MS
    elif other.role == "agent":
        # The text of the agent comes with its voice, or before it.
        guess_ms = other.at_ms
        earliest_ms, latest_ms = one.starts_ms, guess_ms + SLACK_MS
    else:
        guess_ms = latest_ms = other.at_ms
        earliest_ms = one.starts_ms - LATE_MS
    found = guess_ms
    longest_ms = 0
    for number in range(max(1, bisect_right(ends, earliest_ms)), len(speech)):
        start_ms, end_ms = ends[number - 1], speech[number][0]
        if start_ms >= latest_ms:
            break
        n_ms = min(end_ms, latest_ms) - max(start_ms, earliest_ms)
        if n_ms > longest_ms:
            found, longest_ms = (start_ms + end_ms) // 2, n_ms
    return found


def _nearest(entry: TranscriptEntry, speech: Sequence[Span]) -> Span | None:
    """Return the turn, with its shorter pauses, that lies nearest to an entry."""
    turns: list[Span] = []
    for start_ms, end_ms in speech:
        if turns and start_ms - turns[-1][1] <= PAUSE_MS:
            turns[-1] = (turns[-1][0], end_ms)
        else:
            turns.append((start_ms, end_ms))
    near = min(turns, key=lambda turn: _distance_ms(entry, turn), default=None)
    if near is None or _distance_ms(entry, near) > FAR_MS:
        return None
    return max(0, near[0] - MARGIN_MS), near[1] + MARGIN_MS


def _distance_ms(entry: TranscriptEntry, turn: Span) -> int:
    """Return how far apart they are; less than 0 where they overlap, by how much."""
    return max(entry.starts_ms, turn[0]) - min(entry.stops_ms, turn[1])
