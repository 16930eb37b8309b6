"""How tests read a recorded call: by FFmpeg, not by what wrote it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np

from rtc_client.audio.frames import Samples


class Recorded(NamedTuple):
    """A recording as a player sees it, both channels at 24 kHz."""

    caller: Samples
    agent: Samples


def played(path: Path) -> Recorded:
    """Return what a player plays: int16, left and right."""
    resampler = av.AudioResampler(format="s16", layout="stereo", rate=24_000)
    with av.open(str(path)) as container:
        assert container.streams.audio[0].channels == 2
        frames = [out for frame in container.decode(audio=0) for out in resampler.resample(frame)]
        frames += resampler.resample(None)
    samples = np.concatenate([frame.to_ndarray().reshape(-1, 2) for frame in frames])
    return Recorded(samples[:, 0].copy(), samples[:, 1].copy())


def cues(path: Path) -> list[tuple[str, float, float, str]]:
    """Return voice, start and end in seconds, and text of each caption."""
    time = r"(\d+):(\d+):(\d+\.\d+)"
    found = re.findall(rf"{time} --> {time}\n<v (\w+)>(.*)</v>", path.read_text(encoding="utf-8"))
    return [
        (voice, 3600 * int(h) + 60 * int(m) + float(s), 3600 * int(hh) + 60 * int(mm) + float(ss), text)
        for h, m, s, hh, mm, ss, voice, text in found
    ]


def report(folder: Path) -> Any:
    """Return what `call.json` says."""
    return json.loads((folder / "call.json").read_text(encoding="utf-8"))


def events(folder: Path) -> list[Any]:
    """Return the whole lines of `events.jsonl`; a crash may leave half a line behind them."""
    whole = (folder / "events.jsonl").read_text(encoding="utf-8").rpartition("\n")[0]
    return [json.loads(line) for line in whole.splitlines()]
