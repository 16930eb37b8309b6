"""Promises of resampling: length, place in time, purity, and no seams between blocks."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.audio.resample import Resampler, resample
from rtc_client.errors import ConfigError

RATES_HZ = (8_000, 11_025, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000, 96_000)


@given(n_samples=st.integers(0, 5_000), from_hz=st.sampled_from(RATES_HZ) | st.integers(4_000, 200_000))
@settings(deadline=None, max_examples=60)
def test_the_duration_is_kept_to_within_a_sample(n_samples: int, from_hz: int) -> None:
    """Any number of samples at any rate lasts as long as before."""
    out = resample(np.ones(n_samples, dtype=np.int16), from_hz)

    assert out.dtype == np.int16
    assert abs(len(out) - n_samples * SAMPLE_RATE_HZ / from_hz) <= 1


@given(
    from_hz=st.sampled_from(RATES_HZ),
    blocks=st.lists(st.integers(0, 1_000), max_size=12),
)
@settings(deadline=None, max_examples=40)
def test_blocks_make_no_seams(from_hz: int, blocks: list[int]) -> None:
    """A stream cut into blocks of any length comes out as the whole would."""
    sound = np.random.default_rng(2).integers(-9_000, 9_000, sum(blocks)).astype(np.int16)
    resampler = Resampler(from_hz)

    parts = [resampler.push(part) for part in np.split(sound, np.cumsum(blocks)[:-1])] if blocks else []
    streamed = np.concatenate([*parts, resampler.flush()])

    assert np.array_equal(streamed, resample(sound, from_hz))


@pytest.mark.parametrize("from_hz", RATES_HZ)
def test_a_click_stays_where_it_was(from_hz: int) -> None:
    """What sounds at half a second sounds at half a second, to within a millisecond."""
    sound = np.zeros(from_hz, dtype=np.int16)
    sound[from_hz // 2 : from_hz // 2 + from_hz // 8_000] = 20_000

    click_s = np.argmax(np.abs(resample(sound, from_hz))) / SAMPLE_RATE_HZ

    assert click_s == pytest.approx(0.5, abs=0.001)


@pytest.mark.parametrize("from_hz", RATES_HZ)
def test_a_tone_stays_pure_and_in_phase(from_hz: int) -> None:
    """A 1 kHz sine is the same sine afterwards: what differs is more than 60 dB below it."""
    tone = np.rint(9_000 * np.sin(2 * np.pi * 1_000 * np.arange(from_hz) / from_hz)).astype(np.int16)
    ideal = 9_000 * np.sin(2 * np.pi * 1_000 * np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ)

    difference = (resample(tone, from_hz) - ideal)[300:-300]

    assert 20 * np.log10(ideal.std() / difference.std()) > 60


def test_a_resampler_can_take_a_new_stream_after_a_flush() -> None:
    """Nothing of the first stream is heard in the second."""
    resampler = Resampler(16_000)
    resampler.push(np.full(999, 20_000, dtype=np.int16))
    resampler.flush()

    second = np.concatenate([resampler.push(np.zeros(1_600, dtype=np.int16)), resampler.flush()])

    assert len(second) == 2_400
    assert not second.any()


@pytest.mark.parametrize("from_hz", [0, -8_000, 24, 10_000_000])
def test_what_is_no_sample_rate_is_refused(from_hz: int) -> None:
    """A rate in kilohertz, a zero, or nonsense is said at once."""
    with pytest.raises(ConfigError, match="not a sample rate"):
        Resampler(from_hz)
