"""A transcript leaves as text, JSON and WebVTT; the captions are read back by FFmpeg, which is not ours."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, fields
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.transcript.transcript import Role, Transcript, TranscriptEntry
from rtc_client.protocol.transcript.webvtt import SHOWN_MS


@dataclass(frozen=True)
class Shown:
    """A cue as FFmpeg sees it."""

    start_ms: int
    end_ms: int
    payload: str
    """As it is in the file."""
    words: str
    """Without tags, and nothing escaped."""


def shown(captions: str, folder: Path) -> list[Shown]:
    path = folder / "captions.vtt"
    path.write_text(captions, encoding="utf-8")
    with av.open(str(path), format="webvtt") as container:
        (stream,) = container.streams.subtitles
        found = []
        for packet in container.demux(stream):
            if packet.pts is None:
                continue
            assert packet.time_base == Fraction(1, 1000)
            # FFmpeg renders a cue as a line of ASS, whose ninth field is the text.
            words = [line.ass.decode().split(",", 8)[8] for line in packet.decode()]  # type: ignore[union-attr]
            found.append(
                Shown(packet.pts, packet.pts + int(packet.duration or 0), bytes(packet).decode(), "".join(words))
            )
    return found


def starts(captions: str) -> list[str]:
    """Return when the cues begin, in the order of the file: FFmpeg puts them in order by itself."""
    return re.findall(r"^(\d\d:\d\d:\d\d\.\d{3}) --> ", captions, re.MULTILINE)


def entry(role: Role, text: str, at_ms: int, end_ms: int, **more: Any) -> TranscriptEntry:
    return TranscriptEntry(role=role, text=text, final=more.pop("final", True), at_ms=at_ms, end_ms=end_ms, **more)


TALK = Transcript(
    [
        entry("agent", "Good day.\nMuseum, <Ann> & Co --> speaking.", 120, 1_950),
        entry("caller", "Be brief.", 900, 900, written=True),
        entry("caller", "", 2_000, 2_000, final=False, never_arrived=True, audio_start_ms=2_100, audio_end_ms=4_000),
        entry("agent", "We open at ten on Sunday.", 4_100, 4_500, interrupted=True, heard_ms=900, heard_chars=15),
        entry("caller", "Thanks, 東京.", 3_725_004, 3_726_000),
    ]
)


def test_text_has_a_line_for_each_entry() -> None:
    """Minutes and seconds, who, what; and what is wrong with it in brackets."""
    assert TALK.as_text().splitlines() == [
        "00:00 agent:  Good day. Museum, <Ann> & Co --> speaking.",
        "00:00 caller: Be brief.",
        "00:02 caller: [never arrived]",
        "00:04 agent:  We open at ten [not heard: on Sunday.]",
        "62:05 caller: Thanks, 東京.",
    ]
    assert Transcript().as_text() == ""


def test_json_has_every_field_of_each_entry() -> None:
    """Plain data, that makes the same entries again."""
    values = json.loads(json.dumps(TALK.as_json()))

    assert all(value.keys() == {field.name for field in fields(TranscriptEntry)} for value in values)
    assert Transcript(TranscriptEntry(**value) for value in values) == TALK


def test_captions_are_read_by_others(tmp_path: Path) -> None:
    """Voices, times to the millisecond, nothing in a text taken for markup; what was written is not among them."""
    captions = TALK.as_webvtt()
    cues = shown(captions, tmp_path)

    assert captions.startswith(
        "WEBVTT\n\n00:00:00.120 --> 00:00:01.950\n<v Agent>Good day. Museum, &lt;Ann&gt; &amp; Co"
    )
    assert "01:02:05.004 --> 01:02:06.004\n<v Caller>Thanks" in captions
    assert [(cue.start_ms, cue.end_ms) for cue in cues] == [
        (120, 1_950),
        (2_100, 4_000),
        (4_100, 4_100 + SHOWN_MS),
        (3_725_004, 3_725_004 + SHOWN_MS),
    ]
    assert [cue.words for cue in cues] == [
        "Good day. Museum, <Ann> & Co --> speaking.",
        "[never arrived]",
        "We open at ten [not heard: on Sunday.]",
        "Thanks, 東京.",
    ]
    assert [cue.payload.partition(">")[0] for cue in cues] == ["<v Agent", "<v Caller", "<v Agent", "<v Caller"]


def test_captions_that_begin_at_once_stay_in_order(tmp_path: Path) -> None:
    """Two of one voice cannot be shown at once: the second begins a millisecond later, and so after the other voice."""
    at_once = Transcript([entry("caller", "one", 5, 9), entry("caller", "two", 5, 9), entry("agent", "three", 5, 9)])

    cues = shown(at_once.as_webvtt(), tmp_path)

    assert starts(at_once.as_webvtt()) == ["00:00:00.005", "00:00:00.005", "00:00:00.006"]
    assert [(cue.words, cue.start_ms) for cue in cues] == [("one", 5), ("three", 5), ("two", 6)]


def test_no_entries_make_an_empty_file_of_captions() -> None:
    """It is still one."""
    assert Transcript().as_webvtt() == "WEBVTT\n"


TIMES = st.integers(-10, 20_000)
ENTRIES = st.builds(
    TranscriptEntry,
    role=st.sampled_from(["caller", "agent"]),
    text=st.text(max_size=12),
    final=st.booleans(),
    at_ms=TIMES,
    end_ms=TIMES,
    audio_start_ms=st.none() | TIMES,
    audio_end_ms=st.none() | TIMES,
    interrupted=st.booleans(),
    never_arrived=st.booleans(),
    written=st.booleans(),
)


@given(entries=st.lists(ENTRIES, max_size=12))
def test_captions_are_in_order_and_last(
    entries: list[TranscriptEntry], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever times there are: cues in order of their start, none without duration, none of a voice over another."""
    transcript = Transcript(entries)
    expected = [one for one in entries if not one.written and one.as_words()]
    cues = shown(transcript.as_webvtt(), tmp_path_factory.getbasetemp()) if expected else []

    assert len(cues) == len(expected)
    assert starts(transcript.as_webvtt()) == sorted(starts(transcript.as_webvtt()))
    assert all(0 <= cue.start_ms < cue.end_ms for cue in cues)
    for voice in ("<v Caller>", "<v Agent>"):
        mine = [cue for cue in cues if cue.payload.startswith(voice)]
        assert all(one.end_ms <= other.start_ms for one, other in pairwise(mine))
