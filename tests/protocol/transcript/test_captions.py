"""Promises of the captions: each entry lies on the speech of its voice, whenever the server told of it."""

from __future__ import annotations

import re
import time
from typing import Any

from rtc_client.protocol.transcript.captions import captions, placed
from rtc_client.protocol.transcript.transcript import Transcript, TranscriptEntry

SPEECH = [(1_000, 2_500), (2_900, 4_000), (9_000, 12_000)]
"""Two turns, the first with a pause between two words."""


def entry(role: Any, text: str, at_ms: int, **fields: Any) -> TranscriptEntry:
    fields = {"end_ms": at_ms + 300} | fields
    return TranscriptEntry(role=role, text=text, final=True, at_ms=at_ms, **fields)


def starts_and_ends(vtt: str) -> list[tuple[int, int]]:
    times = re.findall(r"(\d+):(\d+):(\d+)\.(\d+) --> (\d+):(\d+):(\d+)\.(\d+)", vtt)
    numbers = [[int(number) for number in line] for line in times]
    in_ms = [[((h * 60 + m) * 60 + s) * 1000 + ms for h, m, s, ms in (line[:4], line[4:])] for line in numbers]
    return [(start, end) for start, end in in_ms]


def near(found: list[tuple[int, int]], wanted: list[tuple[int, int]]) -> bool:
    return len(found) == len(wanted) and all(
        abs(a - b) <= 100 for one, other in zip(found, wanted, strict=True) for a, b in zip(one, other, strict=True)
    )


def test_text_that_comes_ahead_of_its_sound_lies_on_the_sound() -> None:
    """The agent's text is there before most of it is spoken; his turns are told apart."""
    entries = [entry("agent", "one", 900), entry("agent", "two", 8_800)]

    assert near(placed(entries, SPEECH), [(1_000, 4_000), (9_000, 12_000)])


def test_text_that_comes_behind_its_sound_lies_on_the_sound() -> None:
    """A recogniser settles after the speech, the later of two turns while the next may have begun."""
    entries = [entry("caller", "one", 4_900), entry("caller", "two", 13_500)]

    assert near(placed(entries, SPEECH), [(1_000, 4_000), (9_000, 12_000)])


def test_what_the_server_says_of_its_sound_is_held_to_what_is_heard() -> None:
    """Voice detection begins before the word and ends long behind it; two turns close together are two."""
    entries = [
        entry("caller", "one", 1_200, audio_start_ms=800, audio_end_ms=3_000),
        entry("caller", "two", 3_100, audio_start_ms=2_700, audio_end_ms=4_500),
        entry("caller", "three", 9_100, audio_start_ms=8_700, audio_end_ms=12_500),
    ]

    assert near(placed(entries, SPEECH), [(1_000, 2_500), (2_900, 4_000), (9_000, 12_000)])


def test_without_speech_nearby_the_transcript_is_right() -> None:
    """Words whose sound is not in the recording, or too far away, stay where they were told."""
    entries = [entry("agent", "one", 30_000)]

    assert placed(entries, SPEECH) == [(30_000, 30_300)]
    assert placed(entries, []) == [(30_000, 30_300)]
    assert placed([], SPEECH) == []


def test_two_entries_without_a_pause_share_the_speech() -> None:
    """Where nobody pauses, the next entry begins where its text does."""
    entries = [entry("agent", "one", 1_000), entry("agent", "two", 5_000)]

    assert near(placed(entries, [(1_000, 9_000)]), [(1_000, 5_000), (5_000, 9_000)])


def test_captions_of_both_voices_stand_in_order_and_say_what_was_not_heard() -> None:
    """Voices overlap in time, what was only written is not among them, and what was cut off is marked."""
    transcript = Transcript(
        [
            entry("caller", "When do you open?", 5_000),
            entry("caller", "typed", 6_000, written=True),
            entry("agent", "On Sunday at ten.", 5_500, interrupted=True, heard_chars=9),
        ]
    )

    vtt = captions(transcript, [(1_000, 4_000)], [(6_000, 7_000)])

    assert near(starts_and_ends(vtt), [(1_000, 4_000), (6_000, 7_000)])
    assert "<v Agent>On Sunday [not heard: at ten.]</v>" in vtt
    assert "typed" not in vtt


def test_an_hour_of_talk_is_placed_in_a_moment() -> None:
    """Captions are written during the call: two thousand turns must not take a second."""
    speech = [(n * 1_800, n * 1_800 + 1_000) for n in range(4_000)]
    entries = [entry("caller", f"{n}", n * 3_600 + 1_500) for n in range(2_000)]
    begun_s = time.perf_counter()

    found = placed(entries, speech)

    assert time.perf_counter() - begun_s < 0.5
    assert len(set(found)) == 2_000
