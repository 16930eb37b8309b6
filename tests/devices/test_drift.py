"""Promises about clocks that do not agree: ten minutes at 200 ppm change neither the delay nor the sound."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client.audio.frames import SAMPLE_RATE_HZ
from tests.devices.card import Captured, Card, Played, noise_db

SETTLED = 1_500
"""Ticks, half a minute: what is learnt at the beginning is no drift."""


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_microphone_off_by_200_ppm_is_heard_without_a_click_for_ten_minutes(ppm: float) -> None:
    """The level of the ring stays where it is, no frame is missing, and a sine stays a sine."""
    captured = Captured(Card(ppm), minutes=10)

    levels_ms = 1000 * np.array(captured.levels_s[SETTLED:])
    assert captured.n_missing <= 2
    assert captured.buffer.counts.underruns == 0
    assert captured.buffer.counts.skipped_s == 0
    assert 4 < levels_ms.min() < levels_ms.max() < 14, (levels_ms.min(), levels_ms.max())
    assert noise_db(captured.samples[SETTLED:], SAMPLE_RATE_HZ).max() < -65


@pytest.mark.parametrize("ppm", [200, -200])
def test_a_speaker_off_by_200_ppm_plays_without_a_click_for_ten_minutes(ppm: float) -> None:
    played = Played(Card(ppm), minutes=10)

    levels_ms = 1000 * np.array(played.levels_s[SETTLED:])
    assert played.buffer.counts.underruns == 0
    assert played.buffer.counts.skipped_s == 0
    assert 0 < levels_ms.min() < levels_ms.max() < 12, (levels_ms.min(), levels_ms.max())
    assert noise_db(played.samples[SETTLED * 960 :], 48_000).max() < -65
