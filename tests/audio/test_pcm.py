"""Promises of the arithmetic on samples: levels, and conversion to mono int16."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ
from rtc_client.audio.pcm import FLOOR_DBFS, LevelMeter, is_voiced, level_dbfs, to_mono_int16
from rtc_client.errors import ConfigError

SINE = np.sin(2 * np.pi * 1000 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)


def test_a_full_scale_sine_is_3_db_below_full_scale() -> None:
    """Levels are RMS, so a full-scale sine reads -3.01 dBFS."""
    assert level_dbfs((SINE * 32767).astype(np.int16)) == pytest.approx(-3.01, abs=0.01)


def test_a_full_scale_square_wave_is_0_dbfs() -> None:
    """The loudest sound there is reads 0 dBFS and does not overflow."""
    assert level_dbfs(np.full(480, -32768, dtype=np.int16)) == 0.0


@pytest.mark.parametrize("n_samples", [0, 480])
def test_digital_silence_has_the_floor_level(n_samples: int) -> None:
    """Silence and nothing at all have a finite level."""
    assert level_dbfs(np.zeros(n_samples, dtype=np.int16)) == FLOOR_DBFS


def test_speech_is_voiced_and_noise_of_a_quiet_room_is_not() -> None:
    """The threshold lies between a voice and what a quiet line carries."""
    assert is_voiced(-35.0)
    assert is_voiced(-50.0)
    assert not is_voiced(-60.0)


def test_the_meter_knows_the_whole_stream_and_its_last_moments() -> None:
    """After a second of tone and a second of silence the stream has a level and its end has none."""
    meter = LevelMeter(window_s=0.2)
    tone = (SINE * 32767).astype(np.int16)
    for start in range(0, len(tone), FRAME_SAMPLES):
        meter.add(tone[start : start + FRAME_SAMPLES])
    assert meter.recent_dbfs == pytest.approx(-3.01, abs=0.01)

    for _ in range(50):
        meter.add(np.zeros(FRAME_SAMPLES, dtype=np.int16))

    assert meter.recent_dbfs == FLOOR_DBFS
    assert meter.level_dbfs == pytest.approx(-6.02, abs=0.01)
    assert meter.n_samples == 2 * SAMPLE_RATE_HZ


@pytest.mark.parametrize("n_block", [1, 7, 480, 700, 960, 961, 5_000])
def test_the_meter_sums_up_blocks_of_any_length(n_block: int) -> None:
    """However a tone is cut, up to 5,000 blocks, and however often it is looked at, its level is that of the whole."""
    tone = (SINE * 32767).astype(np.int16)[: 5_000 * n_block]
    meter = LevelMeter()
    for start in range(0, len(tone), n_block):
        meter.add(tone[start : start + n_block])
        if start % 3 == 0:
            assert meter.recent_dbfs <= 0

    assert meter.n_samples == len(tone)
    assert meter.level_dbfs == pytest.approx(level_dbfs(tone), abs=1e-9)


def test_a_new_meter_reads_the_floor() -> None:
    """A meter can be shown before the first sample, and an empty block changes nothing."""
    meter = LevelMeter()
    meter.add(np.zeros(0, dtype=np.int16))

    assert meter.level_dbfs == meter.recent_dbfs == FLOOR_DBFS


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([1, -2, 3], dtype=np.int16), [1, -2, 3]),
        (np.array([1, -2, 3], dtype=">i2"), [1, -2, 3]),
        (np.array([2**31 - 1, -(2**31), 65_536], dtype=np.int32), [32767, -32768, 1]),
        (np.array([0.5, -1.0, 1.0], dtype=np.float32), [16384, -32768, 32767]),
        (np.array([0.5, -7.0, 7.0], dtype=np.float64), [16384, -32768, 32767]),
        (np.array([[10, 20], [-30, -10]], dtype=np.int16), [15, -20]),
        (np.array([[32767, 32767]], dtype=np.int16), [32767]),
        (np.array([[7], [8]], dtype=np.int16), [7, 8]),
        (np.array([[1.0, 0.0]], dtype=np.float32), [16384]),
    ],
)
def test_every_common_array_becomes_mono_int16(array: NDArray[Any], expected: list[int]) -> None:
    """Scales follow the type, channels are averaged, and what exceeds full scale is clipped, never wrapped."""
    mono = to_mono_int16(array)

    assert mono.dtype == np.int16
    assert mono.dtype.isnative
    assert mono.tolist() == expected


@pytest.mark.parametrize(
    ("array", "advice"),
    [
        (np.array([0.0, np.nan]), "NaN"),
        (np.array([np.inf, 0.0], dtype=np.float32), "infinity"),
        (np.zeros(5, dtype=np.uint8), "convert"),
        (np.zeros(5, dtype=np.complex64), "convert"),
        (np.zeros(5, dtype=np.int64), "convert"),
        (np.zeros((2, 480), dtype=np.int16), "transpose"),
        (np.zeros((1, 2, 3), dtype=np.int16), "n_channels"),
        (np.zeros((), dtype=np.int16), "n_channels"),
        (np.zeros(0, dtype=np.int16), "no samples"),
        (np.zeros((480, 0), dtype=np.int16), "no samples"),
        ([0, 1], "numpy array"),
    ],
)
def test_an_array_that_is_no_audio_is_refused_with_advice(array: NDArray[Any], advice: str) -> None:
    """What cannot be understood is refused in words that say what to pass instead."""
    with pytest.raises(ConfigError, match=advice):
        to_mono_int16(array)
