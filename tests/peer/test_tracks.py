"""Promises about the two tracks: when a frame is sent, and what becomes of a decoded one on its way to 24 kHz mono."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

import av
import numpy as np
import pytest
from aiortc.mediastreams import MediaStreamError

from rtc_client.audio.frames import FRAME_SAMPLES, Samples
from rtc_client.peer.tracks import CallerTrack, HalfRate


class FakeClock:
    """Time that moves only when somebody sleeps, or a test says so."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.slept_until: list[float] = []

    def now_s(self) -> float:
        return self.now

    async def sleep_until(self, deadline_s: float) -> None:
        self.slept_until.append(deadline_s)
        self.now = max(self.now, deadline_s)


def _frame_of(value: int) -> Samples:
    return np.full(FRAME_SAMPLES, value, dtype=np.int16)


def _speaking(next_frame: Callable[[int], Samples], clock: FakeClock) -> CallerTrack:
    track = CallerTrack(clock)
    track.speak_frames(next_frame)
    return track


async def test_frames_are_due_every_20_ms_from_the_first_on() -> None:
    """The n-th frame is sent n times 20 ms after the first, without drift, at its own position."""
    clock = FakeClock()
    positions: list[int] = []

    def next_frame(position_samples: int) -> Samples:
        positions.append(position_samples)
        return _frame_of(0)

    track = _speaking(next_frame, clock)

    frames = [cast("av.AudioFrame", await track.recv()) for _ in range(500)]

    assert positions == [n * FRAME_SAMPLES for n in range(500)] == [frame.pts for frame in frames]
    np.testing.assert_allclose(np.array(clock.slept_until) - 1_000.0, np.arange(500) * 0.02, atol=1e-9)
    assert {frame.sample_rate for frame in frames} == {24_000}


async def test_a_short_stall_is_caught_up() -> None:
    """After 100 ms without a turn, the five frames that are due are sent at once, and none is left out."""
    clock = FakeClock()
    track = _speaking(lambda position: _frame_of(0), clock)
    await track.recv()

    clock.now += 0.1
    frames = [await track.recv() for _ in range(6)]

    assert [frame.pts for frame in frames] == [n * FRAME_SAMPLES for n in range(1, 7)]
    assert clock.now == pytest.approx(1_000.0 + 6 * 0.02)


@pytest.mark.parametrize("stall_s", [0.2, 1.0, 3_600.0])
async def test_a_long_stall_is_skipped(stall_s: float) -> None:
    """After a longer one, frames go on at the position that is due: nothing old is sent, and nothing twice."""
    clock = FakeClock()
    track = _speaking(lambda position: _frame_of(0), clock)
    for _ in range(10):
        await track.recv()

    clock.now = 1_000.0 + stall_s
    frame = await track.recv()

    assert frame.pts == round(stall_s * 50) * FRAME_SAMPLES or frame.pts == (round(stall_s * 50) - 1) * FRAME_SAMPLES


async def test_no_more_than_a_frame_each_20_ms_is_sent_whatever_the_stalls() -> None:
    """Over any time, with stalls of any length, never more than five frames are sent ahead of one per 20 ms."""
    rng = np.random.default_rng(8)
    clock = FakeClock()
    track = _speaking(lambda position: _frame_of(0), clock)
    sent_s: list[float] = []
    for _ in range(2_000):
        clock.now += float(rng.choice([0.0, 0.0, 0.0, 0.005, 0.05, 0.3]))
        await track.recv()
        sent_s.append(clock.now)

    times = np.array(sent_s)
    for window in (10, 100):
        assert ((times[window:] - times[:-window]) >= (window - 6) * 0.02 - 1e-6).all()


async def test_a_frame_keeps_its_level() -> None:
    """What is sent is the caller's sample in both channels, and not 3 dB less."""
    frame = cast("av.AudioFrame", await _speaking(lambda position: _frame_of(10_000), FakeClock()).recv())

    assert frame.layout.name == "stereo"
    assert (frame.to_ndarray() == 10_000).all()
    assert frame.samples == FRAME_SAMPLES


async def test_a_cancelled_frame_is_not_lost() -> None:
    """Whoever stops waiting for a frame leaves it to the next."""

    class Never(FakeClock):
        async def sleep_until(self, deadline_s: float) -> None:
            if deadline_s > 1_000.0 and not self.is_free:
                await asyncio.Event().wait()

        is_free = False

    clock = Never()
    track = _speaking(lambda position: _frame_of(0), clock)
    await track.recv()
    waiting = asyncio.create_task(track.recv())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    clock.is_free = True

    assert (await track.recv()).pts == FRAME_SAMPLES


async def test_a_stopped_track_ends() -> None:
    """A track that was stopped raises what aiortc expects at the end."""
    track = _speaking(lambda position: _frame_of(0), FakeClock())
    track.stop()

    with pytest.raises(MediaStreamError):
        await track.recv()


def _tone(frequency_hz: float, seconds: float = 1.0, amplitude: float = 20_000.0) -> Samples:
    at_s = np.arange(round(48_000 * seconds)) / 48_000
    return np.rint(amplitude * np.sin(2 * np.pi * frequency_hz * at_s)).astype(np.int16)


def _stereo(mono: Samples) -> Samples:
    return np.repeat(mono, 2)[np.newaxis, :]


def _gain_db(frequency_hz: float) -> float:
    out = HalfRate().push(_stereo(_tone(frequency_hz)))[100:].astype(float)
    return 10 * float(np.log10((out**2).mean() / (20_000**2 / 2) + 1e-12))


@pytest.mark.parametrize("frequency_hz", [50, 300, 1_000, 3_400, 8_000, 9_000, 10_000])
def test_speech_passes_unchanged(frequency_hz: float) -> None:
    """Up to 10 kHz the level changes by less than half a decibel."""
    assert abs(_gain_db(frequency_hz)) < 0.5


@pytest.mark.parametrize("frequency_hz", [14_000, 15_000, 16_000, 18_000, 20_000, 22_000, 23_900])
def test_what_cannot_be_represented_does_not_fold_back(frequency_hz: float) -> None:
    """From 14 kHz on, what would come back as another tone is at least 50 dB down."""
    assert _gain_db(frequency_hz) < -50


@pytest.mark.parametrize("split", [lambda n: 960, lambda n: (120, 960, 480, 1_920, 2_880)[n % 5]])
def test_blocks_join_without_a_seam(split: Callable[[int], int]) -> None:
    """However a stream is cut into blocks, what comes out is the same, and each block half as long as it was."""
    rng = np.random.default_rng(9)
    whole = rng.integers(-20_000, 20_000, 48_000).astype(np.int16)
    half_rate, blocks, at, n = HalfRate(), [], 0, 0
    while at < len(whole):
        block = whole[at : at + split(n)]
        out = half_rate.push(_stereo(block))
        assert out.dtype == np.int16
        assert out.shape == (len(block) // 2,)
        blocks.append(out)
        at, n = at + len(block), n + 1

    np.testing.assert_array_equal(np.concatenate(blocks), HalfRate().push(_stereo(whole)))


def test_both_channels_are_heard_and_the_loudest_do_not_wrap() -> None:
    """Mono is the mean of the channels, and full scale stays full scale."""
    left_only = np.zeros((1, 9_600), dtype=np.int16)
    left_only[0, ::2] = 20_000
    loudest = np.full((1, 9_600), 32_767, dtype=np.int16)

    assert abs(int(HalfRate().push(left_only)[1_000]) - 10_000) < 20
    assert int(HalfRate().push(loudest)[200:].min()) > 32_700
