"""Promises of the voice activity detector; no event loop, no clock."""

from __future__ import annotations

import pytest

from rtc_client.testing import VadSettings
from rtc_client.testing.sound.vad import SpeechEdge, VoiceActivity

LOUD, QUIET, BETWEEN = -20.0, -80.0, -45.0


def edges(levels: list[float], settings: VadSettings | None = None) -> list[tuple[float, SpeechEdge]]:
    """Feed one level each 20 ms and return the edges with their times."""
    detector = VoiceActivity(settings or VadSettings())
    found = []
    for n, level in enumerate(levels):
        now_s = round(n * 0.02, 2)
        detector.hear(level, now_s)
        if (edge := detector.poll(now_s)) is not None:
            found.append((now_s, edge))
    return found


def test_speech_starts_after_60_ms_of_sound_and_stops_after_600_ms_of_silence() -> None:
    """One stretch of speech has one start and one stop."""
    found = edges([QUIET] * 10 + [LOUD] * 50 + [QUIET] * 60)

    assert found == [(0.26, SpeechEdge.STARTED), (1.78, SpeechEdge.STOPPED)]


def test_a_pause_shorter_than_the_silence_does_not_end_speech() -> None:
    """A speaker may breathe."""
    found = edges([LOUD] * 10 + [QUIET] * 29 + [LOUD] * 10)

    assert [edge for _, edge in found] == [SpeechEdge.STARTED]


def test_a_level_between_the_thresholds_keeps_what_there_is() -> None:
    """Hysteresis: it neither starts speech nor lets it stop."""
    assert edges([BETWEEN] * 50) == []
    assert [edge for _, edge in edges([LOUD] * 10 + [BETWEEN] * 100)] == [SpeechEdge.STARTED]


def test_a_click_is_no_speech() -> None:
    """Forty milliseconds of sound start nothing."""
    assert edges(([LOUD] * 2 + [QUIET]) * 10) == []


def test_a_caller_who_sends_nothing_has_stopped() -> None:
    """Time alone ends speech when no frames come."""
    detector = VoiceActivity(VadSettings())
    for n in range(10):
        detector.hear(LOUD, n * 0.02)
    assert detector.poll(0.2) is SpeechEdge.STARTED

    assert detector.poll(0.7) is None
    assert detector.poll(0.8) is SpeechEdge.STOPPED
    assert detector.poll(0.9) is None


def test_two_sounds_with_a_gap_between_are_not_one_sound() -> None:
    """Frames that did not come do not count as sound."""
    detector = VoiceActivity(VadSettings())
    detector.hear(LOUD, 0.0)
    detector.hear(LOUD, 5.0)

    assert detector.poll(5.0) is None


@pytest.mark.parametrize(
    "wrong", [{"start_dbfs": -50.0, "stop_dbfs": -40.0}, {"silence_s": 0.0}, {"start_s": -1.0}], ids=str
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, float]) -> None:
    """A detector that would flap or never stop cannot be made."""
    with pytest.raises(ValueError, match="need"):
        VadSettings(**wrong)
