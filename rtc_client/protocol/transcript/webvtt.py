"""Writes captions in WebVTT (https://www.w3.org/TR/webvtt1/) from texts with times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

SHOWN_MS: Final = 1_000
"""A text that came all at once is shown for this long, unless its voice goes on before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One caption. Times in milliseconds from the beginning of the recording."""

    voice: str
    text: str = field(repr=False)
    start_ms: int
    end_ms: int


def webvtt(cues: Sequence[Cue]) -> str:
    """Return a WebVTT file of `cues`, ordered by start; of one voice each ends before the next begins."""
    blocks = ["WEBVTT\n"]
    for cue in _placed(cues):
        times = f"{_timestamp(cue.start_ms)} --> {_timestamp(cue.end_ms)}"
        blocks.append(f"{times}\n<v {_escaped(cue.voice)}>{_escaped(cue.text)}</v>\n")
    return "\n".join(blocks)


def _placed(cues: Sequence[Cue]) -> list[Cue]:
    """Return the cues with times that can be shown: each lasts, and of one voice none begins before the last ended."""
    placed: list[Cue] = []
    latest: dict[str, int] = {}
    for cue in sorted(cues, key=lambda cue: cue.start_ms):
        n = latest.get(cue.voice)
        start_ms = max(0, cue.start_ms) if n is None else max(cue.start_ms, placed[n].start_ms + 1)
        if n is not None:
            placed[n] = replace(placed[n], end_ms=min(placed[n].end_ms, start_ms))
        latest[cue.voice] = len(placed)
        placed.append(replace(cue, start_ms=start_ms, end_ms=max(cue.end_ms, start_ms + SHOWN_MS)))
    # Moving a start by a millisecond may have put a cue behind one of the other voice.
    return sorted(placed, key=lambda cue: cue.start_ms)


def _timestamp(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02d}:{minutes:02d}:{seconds:02d}.{ms:03d}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
