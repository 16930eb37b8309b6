"""Promises of playout: one contiguous stream, as long as the call, with every sound in its place."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.audio.playout.decoded_playout import DecodedPlayout

ORIGIN_S = 1000.0
PATIENCE_SAMPLES = round(0.4 * SAMPLE_RATE_HZ)
BASE = 4_000_000_000  # a timestamp may start anywhere


class Heard:
    """Feeds a playout by milliseconds of the call and joins what comes out, checking that it is contiguous."""

    def __init__(self) -> None:
        self.playout = DecodedPlayout(ORIGIN_S)
        self.samples: Samples = np.zeros(0, dtype=np.int16)

    def push(self, at_ms: float, sent_ms: float, value: int = 1) -> None:
        """20 ms of `value` with the timestamp of `sent_ms` arrive at `at_ms`."""
        block = np.full(FRAME_SAMPLES, value, dtype=np.int16)
        self._take(self.playout.push(block, BASE + round(sent_ms * 24), ORIGIN_S + at_ms / 1000))

    def advance(self, at_ms: float) -> None:
        self._take(self.playout.advance(ORIGIN_S + at_ms / 1000))

    def finish(self, at_ms: float) -> None:
        self._take(self.playout.finish(ORIGIN_S + at_ms / 1000))

    def values(self) -> list[tuple[int, float]]:
        """What was heard, as (value, where it begins in ms), one entry for each change."""
        changes = np.flatnonzero(np.diff(self.samples, prepend=np.int16(-1)))
        return [(int(self.samples[i]), i / 24) for i in changes]

    def _take(self, frames: list[PcmFrame]) -> None:
        for frame in frames:
            assert frame.position_samples == len(self.samples)
            assert 0 < len(frame.samples) <= FRAME_SAMPLES
            self.samples = np.concatenate((self.samples, frame.samples))


def test_the_first_frame_lies_at_its_arrival() -> None:
    """What comes 300 ms after the call connected is heard 300 ms into the recording."""
    heard = Heard()
    heard.push(at_ms=300, sent_ms=77_000, value=5)
    heard.finish(at_ms=1_000)

    assert heard.values() == [(0, 0), (5, 300), (0, 320)]
    assert len(heard.samples) == SAMPLE_RATE_HZ
    assert heard.playout.filled_samples == SAMPLE_RATE_HZ - FRAME_SAMPLES
    assert heard.playout.received_samples == FRAME_SAMPLES


def test_jitter_of_the_network_is_not_heard() -> None:
    """Frames that arrive unevenly lie side by side as they were sent."""
    heard = Heard()
    rng = np.random.default_rng(6)
    arrival_ms = 100.0
    for i in range(100):
        arrival_ms = max(arrival_ms, 100 + 20 * i + (rng.uniform(0, 300) if i else 0))
        heard.push(arrival_ms, 20 * i, value=i + 1)
        heard.advance(arrival_ms)

    assert heard.values() == [(0, 0), *((i + 1, 100 + 20 * i) for i in range(100))]
    assert heard.playout.late_samples == heard.playout.reanchors == 0


def test_lost_frames_leave_silence_of_their_length() -> None:
    """A hole in the timestamps is filled at once, when the frame behind it comes."""
    heard = Heard()
    heard.push(0, 0, value=1)
    heard.push(100, 100, value=2)

    assert heard.values() == [(1, 0), (0, 20), (2, 100)]
    assert heard.playout.filled_samples == 80 * 24


def test_a_silent_sender_leaves_silence_while_it_is_silent() -> None:
    """Live consumers go on hearing silence, 400 ms behind, when nothing arrives at all."""
    heard = Heard()
    for at_ms in range(0, 2_001, 20):
        heard.advance(at_ms)

    assert len(heard.samples) == 1_600 * 24
    heard.finish(2_000)
    assert len(heard.samples) == 2_000 * 24


def test_a_frame_behind_what_was_played_loses_that_part() -> None:
    """Time that has passed is not told anew: the late part is thrown away and counted, the rest is in its place."""
    heard = Heard()
    heard.push(0, 0, value=1)
    heard.advance(430)
    assert len(heard.samples) == 20 * 24
    heard.advance(440)
    assert len(heard.samples) == 40 * 24
    heard.push(440, 30, value=2)

    assert heard.values() == [(1, 0), (0, 20), (2, 40)]
    assert heard.playout.late_samples == 10 * 24
    assert len(heard.samples) == 50 * 24


def test_a_duplicate_is_not_heard_twice() -> None:
    """A frame that was played already is late, and moves nothing."""
    heard = Heard()
    for i in range(5):
        heard.push(20 * i, 20 * i, value=i + 1)
        heard.push(20 * i, 20 * i, value=i + 1)
    heard.push(100, 100, value=6)

    assert heard.values() == [(i + 1, 20 * i) for i in range(6)]
    assert heard.playout.late_samples == 5 * FRAME_SAMPLES
    assert heard.playout.reanchors == 0


@pytest.mark.parametrize("jump_ms", [-2_000, 5_000, -(2**32) / 24, 2**32 / 24, 12_345_678])
@pytest.mark.parametrize("pause_ms", [20, 700])
def test_a_sender_that_restarts_its_clock_is_heard_where_it_arrives(jump_ms: float, pause_ms: int) -> None:
    """After another SSRC, a jump of timestamps or their wrap no frame is lost, and each lies at its arrival."""
    heard = Heard()
    for i in range(10):
        heard.push(20 * i, 20 * i, value=1)
    again_ms = 180 + pause_ms
    for at_ms in range(200, again_ms, 20):
        heard.advance(at_ms)
    for i in range(10):
        heard.push(again_ms + 20 * i, jump_ms + 20 * i, value=2)
    heard.finish(2_000)

    silence = [(0, 200)] if pause_ms > 20 else []
    assert heard.values() == [(1, 0), *silence, (2, again_ms), (0, again_ms + 200)]
    assert heard.playout.reanchors == 1
    assert heard.playout.late_samples == 0


def test_a_sender_whose_timestamps_stood_still_in_a_pause_is_heard_where_it_arrives() -> None:
    """The first words after a pause are complete, and where they were said."""
    heard = Heard()
    for i in range(10):
        heard.push(20 * i, 20 * i, value=1)
    for at_ms in range(200, 3_000, 20):
        heard.advance(at_ms)
    for i in range(10):
        heard.push(3_000 + 20 * i, 200 + 20 * i, value=2)
        heard.advance(3_000 + 20 * i)

    assert heard.values() == [(1, 0), (0, 200), (2, 3_000)]
    assert heard.playout.reanchors == 1
    assert heard.playout.late_samples == 0


def test_a_lone_frame_with_a_new_clock_is_not_held_for_ever() -> None:
    """A frame that nothing follows is played at its arrival before that time has passed."""
    heard = Heard()
    heard.push(0, 0, value=1)
    heard.push(1_000, 900_000, value=2)
    for at_ms in range(1_000, 2_001, 20):
        heard.advance(at_ms)

    assert heard.values() == [(1, 0), (0, 20), (2, 1_000), (0, 1_020)]


def test_a_burst_after_a_network_stall_goes_where_it_was_sent() -> None:
    """What comes too late after a stall is lost, the rest and all that follows is in its old place."""
    heard = Heard()
    for i in range(10):
        heard.push(20 * i, 20 * i, value=1)
    for at_ms in range(200, 2_200, 20):
        heard.advance(at_ms)
    for i in range(10, 110):
        heard.push(2_200 + i / 10, 20 * i, value=2)
    for i in range(111, 150):
        heard.push(20 * i, 20 * i, value=3)

    assert heard.playout.reanchors == 0
    assert heard.values() == [(1, 0), (0, 200), (2, 1_780), (0, 2_200), (3, 2_220)]
    assert heard.playout.late_samples == 79 * FRAME_SAMPLES


def test_a_stall_of_our_own_process_loses_nothing() -> None:
    """When nobody was there to fill the time, a burst of any length is heard whole."""
    heard = Heard()
    for i in range(10):
        heard.push(20 * i, 20 * i, value=1)
    for i in range(10, 110):
        heard.push(2_200, 20 * i, value=2)
    heard.finish(2_200)

    assert heard.values() == [(1, 0), (2, 200)]
    assert heard.playout.late_samples == heard.playout.reanchors == 0


def test_a_path_that_became_longer_for_good_is_followed() -> None:
    """A delay that grows by more than the patience and stays costs no sound: the stream is placed anew."""
    heard = Heard()
    for i in range(50):
        heard.push(20 * i, 20 * i, value=1)
        heard.advance(20 * i)
    for at_ms in range(1_000, 1_450, 20):
        heard.advance(at_ms)
    for i in range(50, 100):
        heard.push(20 * i + 450, 20 * i, value=2)
        heard.advance(20 * i + 450)

    assert heard.values() == [(1, 0), (0, 1_000), (2, 1_450)]
    assert heard.playout.late_samples == 0


def test_a_sender_that_does_not_pace_itself_cannot_run_far_ahead() -> None:
    """Ten seconds of sound sent at once do not make a recording longer than the call."""
    heard = Heard()
    for i in range(500):
        heard.push(i / 10, 20 * i)
    assert len(heard.samples) <= 500 * 24
    assert heard.playout.early_samples > 0
    heard.finish(1_000)

    assert len(heard.samples) == 1_000 * 24


def test_a_clock_that_goes_back_stands_still() -> None:
    """No time is told twice, and nothing before the call connected."""
    heard = Heard()
    heard.push(-50, 0, value=1)
    heard.advance(500)
    heard.advance(100)
    heard.finish(90)

    assert len(heard.samples) == 500 * 24
    assert heard.values()[0] == (1, 0)


def test_an_empty_frame_changes_nothing() -> None:
    """A frame without samples has no place, and does not anchor the stream."""
    playout = DecodedPlayout(ORIGIN_S)

    assert playout.push(np.zeros(0, dtype=np.int16), 7, ORIGIN_S + 3) == []
    assert playout.push(np.ones(480, dtype=np.int16), 999, ORIGIN_S)[-1].position_samples == 3 * SAMPLE_RATE_HZ


steps = st.lists(
    st.tuples(
        st.sampled_from(["push", "push", "push", "advance"]),
        st.floats(0, 0.05) | st.floats(0, 3.0),  # seconds that pass
        st.integers(0, 2_000),  # samples in the frame
        st.just(0) | st.integers(-3_000, 3_000) | st.integers(-(2**33), 2**33),  # how far its timestamp is off
    ),
    max_size=40,
)


@given(steps=steps, rate_hz=st.sampled_from([8_000, 24_000, 48_000]), last_s=st.floats(0, 2))
@settings(deadline=None, max_examples=300)
def test_whatever_comes_the_stream_is_contiguous_and_as_long_as_the_call(
    steps: list[tuple[str, float, int, int]], rate_hz: int, last_s: float
) -> None:
    """Contiguous from 0, never more than the patience and one frame ahead, every sample accounted for."""
    playout = DecodedPlayout(ORIGIN_S, rate_hz)
    now_s, timestamp, end, longest = ORIGIN_S, 12_345, 0, FRAME_SAMPLES

    def take(frames: list[PcmFrame]) -> None:
        nonlocal end
        for frame in frames:
            assert frame.position_samples == end
            end += len(frame.samples)
        assert end <= round((now_s - ORIGIN_S) * rate_hz) + round(0.4 * rate_hz) + longest

    for kind, passed_s, n_samples, off in steps:
        now_s += passed_s
        if kind == "push":
            longest = max(longest, n_samples)
            timestamp += off
            take(playout.push(np.ones(n_samples, dtype=np.int16), timestamp, now_s))
            timestamp += n_samples
        else:
            take(playout.advance(now_s))
            assert end > round((now_s - ORIGIN_S) * rate_hz) - round(0.4 * rate_hz) - FRAME_SAMPLES
    now_s += last_s
    take(playout.finish(now_s))

    assert end >= round((now_s - ORIGIN_S) * rate_hz)
    lost = playout.late_samples + playout.early_samples
    assert end == playout.received_samples - lost + playout.filled_samples
    assert playout.finish(now_s) == []


@given(
    network=st.lists(st.tuples(st.booleans(), st.floats(0, 0.3)), min_size=1, max_size=60),
    first_s=st.floats(0, 2),
    hung_up_s=st.floats(0.7, 2),
)
@settings(deadline=None, max_examples=100)
def test_under_loss_and_jitter_every_sound_is_in_its_place_and_the_end_is_exact(
    network: list[tuple[bool, float]], first_s: float, hung_up_s: float
) -> None:
    """A paced sender over a bad network: what arrives lies where it was sent, and the length is the call's."""
    heard = Heard()
    first_ms = round(first_s * 1000)
    at_ms = float(first_ms)
    arrived = []
    for i, (is_lost, jitter_s) in enumerate(network):
        if is_lost and i:
            continue
        at_ms = max(at_ms, first_ms + 20 * i + (jitter_s * 1000 if i else 0))
        heard.advance(at_ms)
        heard.push(at_ms, 20 * i, value=i + 1)
        arrived.append(i)
    end_ms = at_ms + hung_up_s * 1000
    heard.finish(end_ms)

    assert len(heard.samples) == pytest.approx(end_ms * 24, abs=1)
    for i in arrived:
        start = (first_ms + 20 * i) * 24
        assert (heard.samples[start : start + FRAME_SAMPLES] == i + 1).all()
    assert np.count_nonzero(heard.samples) == len(arrived) * FRAME_SAMPLES
