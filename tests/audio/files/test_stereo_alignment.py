"""Promises of the two tracks: what each voice said lies where it belongs, side by side, for hours and whatever lags."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.audio.files.stereo_alignment import (
    AGENT,
    CALLER,
    PATIENCE_SAMPLES,
    Loudness,
    Origin,
    Shift,
    StereoAligner,
)
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples


def sound(n_samples: int, value: int = 1) -> Samples:
    return np.full(n_samples, value, dtype=np.int16)


def joined(blocks: list[Samples]) -> Samples:
    return np.concatenate([np.zeros((0, 2), dtype=np.int16), *blocks])


def test_each_voice_lies_where_it_was_put_and_silence_elsewhere() -> None:
    """Left is the caller, right the agent; what is not settled yet comes when it is."""
    tracks = StereoAligner()
    tracks.put(CALLER, 480, sound(480))
    assert tracks.take() == []
    tracks.put(AGENT, 960, sound(100, 2))

    first, rest = joined(tracks.take()), joined(tracks.finish(2_000))

    both = np.concatenate((first, rest))
    assert (len(first), len(both)) == (960, 2_000)
    assert np.flatnonzero(both[:, CALLER]).tolist() == list(range(480, 960))
    assert np.flatnonzero(both[:, AGENT]).tolist() == list(range(960, 1_060))
    assert tracks.late_samples == 0


def test_a_voice_that_lags_is_not_waited_for_for_ever() -> None:
    """What comes after its time is left out and counted, and moves nothing of what follows."""
    tracks = StereoAligner()
    for start in range(0, 48_000, 480):
        tracks.put(CALLER, start, sound(480))
    settled = joined(tracks.take())
    assert len(settled) == 48_000 - PATIENCE_SAMPLES

    tracks.put(AGENT, len(settled) - 480, sound(960, 2))
    both = np.concatenate((settled, joined(tracks.finish(0))))

    assert tracks.late_samples == 480
    assert np.flatnonzero(both[:, AGENT]).tolist() == list(range(len(settled), len(settled) + 480))
    assert both[:, CALLER].all()


def test_the_same_place_is_filled_once() -> None:
    """Sound that is put over sound of the same voice, or before position 0, is left out."""
    tracks = StereoAligner()
    tracks.put(CALLER, -100, sound(480))
    tracks.put(CALLER, 200, sound(480, 3))

    both = joined(tracks.finish(0))

    assert both[:, CALLER].tolist() == [1] * 380 + [3] * 300
    assert tracks.late_samples == 100 + 180


def test_a_gap_of_hours_takes_no_memory() -> None:
    """A process that was stopped for three hours leaves as much silence, and blocks that are all the same."""
    tracks = StereoAligner()
    tracks.put(CALLER, 0, sound(480))
    tracks.put(CALLER, 3 * 3_600 * SAMPLE_RATE_HZ, sound(480))

    blocks = tracks.finish(0)

    assert sum(len(block) for block in blocks) == 3 * 3_600 * SAMPLE_RATE_HZ + 480
    assert len({id(block.base) for block in blocks if block.base is not None}) == 1
    assert sum(bool(block.any()) for block in blocks) == 2


@given(
    st.lists(
        st.tuples(st.sampled_from([CALLER, AGENT]), st.integers(0, 30_000), st.integers(1, 5_000), st.booleans()),
        max_size=40,
    )
)
def test_whatever_comes_it_lies_where_it_was_put(pieces: list[tuple[int, int, int, bool]]) -> None:
    """Pieces with gaps and overlaps, in any turns: what is there is from its own place, and nothing is longer."""
    tracks, blocks, ends = StereoAligner(), list[Samples](), [0, 0]
    for voice, gap, n_samples, is_taken in pieces:
        position = ends[voice] + gap - 15_000
        tracks.put(voice, position, (np.arange(position, position + n_samples) % 30_000 + 1).astype(np.int16))
        ends[voice] = max(ends[voice], position + n_samples)
        if is_taken:
            blocks += tracks.take()
    blocks += tracks.finish(0)

    both = joined(blocks)
    assert len(both) == max(ends)
    for voice in (CALLER, AGENT):
        at = np.flatnonzero(both[:, voice])
        assert np.array_equal(both[at, voice], at % 30_000 + 1)
    n_put = sum(n_samples for _, _, n_samples, _ in pieces)
    assert np.count_nonzero(both) + tracks.late_samples == n_put


def test_speech_is_what_is_louder_than_the_noise_of_its_own_line() -> None:
    """In silence and over a hissing microphone the same words are found, to 20 ms."""
    rng = np.random.default_rng(1)
    words = np.zeros(5 * SAMPLE_RATE_HZ, dtype=np.float64)
    for start_s, end_s in ((1.0, 1.8), (3.0, 4.2)):
        words[int(start_s * SAMPLE_RATE_HZ) : int(end_s * SAMPLE_RATE_HZ)] = 3_000
    words *= np.sin(np.arange(len(words)) / 10)
    for noise in (0, 60, 200):
        loudness = Loudness()
        line = (words + noise * rng.standard_normal(len(words))).astype(np.int16)
        for start in range(0, len(line), 777):
            loudness.add(line[start : start + 777])
        assert loudness.speech_ms() == [(1_000, 1_800), (3_000, 4_200)]
    assert Loudness().speech_ms() == []


def test_the_origin_is_that_of_the_most_punctual_turn() -> None:
    """Ticks are late now and then, never early."""
    origin = Origin()
    for index, late_s in enumerate((0.004, 0.001, 0.009)):
        origin.see(index * FRAME_SAMPLES, 100 + index * 0.02 + late_s)

    assert abs(origin.at_s - 100.001) < 1e-9


def test_an_hour_at_devices_drifts_by_less_than_20_ms() -> None:
    """Times told with an error of 3 ms tear nothing apart; a device that comes back with another delay is followed."""
    rng = np.random.default_rng(2)
    shift, tracks = Shift(), StereoAligner()
    for index in range(3_600 * 50):
        position = index * FRAME_SAMPLES
        true = position - (600 if index < 90_000 else 2_400) + index / 400  # 450 samples of drift in the hour
        placed = shift.of(position, true + rng.normal(0, 72))
        if not 90_000 <= index < 90_100:
            assert abs(placed - true) < SAMPLE_RATE_HZ * 20 // 1_000
        if index % 50 == 0:
            tracks.put(CALLER, placed, SILENCE)
            tracks.take()
    assert tracks.late_samples < 10 * FRAME_SAMPLES
