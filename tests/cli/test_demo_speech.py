"""Promises of the speech samples that ship with the package."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.audio.pcm import level_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, AGENT_TEXT, CALLER_SPEECH, CALLER_TEXT


@pytest.mark.parametrize("path", [CALLER_SPEECH, AGENT_SPEECH])
def test_a_shipped_voice_is_a_few_seconds_of_clear_speech(path: Path) -> None:
    """Each sample is short, small on disk, loud enough, and nowhere clipped."""
    samples = read_audio(path)

    assert 3 <= len(samples) / SAMPLE_RATE_HZ <= 5
    assert -25 <= level_dbfs(samples) <= -18
    assert np.abs(samples.astype(np.int32)).max() < 0.85 * 32768
    assert path.stat().st_size < 40_000


def test_each_voice_comes_with_its_words() -> None:
    """What is said is known, and the two do not say the same."""
    assert CALLER_TEXT.endswith("?")
    assert AGENT_TEXT.endswith(".")
    assert "\n" not in CALLER_TEXT + AGENT_TEXT


def test_the_two_voices_can_be_told_apart() -> None:
    """The caller's voice is much lower than the agent's, so a recording shows who spoke."""
    assert _pitch_hz(CALLER_SPEECH) * 1.5 < _pitch_hz(AGENT_SPEECH)


def _pitch_hz(path: Path) -> float:
    samples = read_audio(path).astype(np.float64)
    shortest, longest = SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 60
    pitches_hz = []
    for start in range(0, len(samples) - 2048, 1024):
        block = samples[start : start + 2048]
        if block.std() > 1000:
            likeness = np.correlate(block, block, "full")[len(block) - 1 :]
            pitches_hz.append(SAMPLE_RATE_HZ / (shortest + np.argmax(likeness[shortest:longest])))
    return float(np.median(pitches_hz))
