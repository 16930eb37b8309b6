"""Promises of the sources made of other sources: no gap between two, a sum of all, a gain that never clicks.

In real time: `test_two_shipped_voices_follow_each_other`.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import numpy as np
import pytest

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.lifecycle import SingleUse
from rtc_client.audio.pcm import FLOOR_DBFS
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.basic import ArraySource, FileSource, PushSource, SilenceSource, ToneSource
from rtc_client.audio.sources.mixer import GainSource, MixSource, SequenceSource
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable, ConfigError


def ramp(n_samples: int, first: int = 1) -> Samples:
    """Return samples of which no two are the same, so that any that is missing or doubled shows."""
    return np.arange(first, first + n_samples, dtype=np.int16)


def sine(n_samples: int, start: int = 0) -> Samples:
    place = np.arange(start, start + n_samples)
    samples: Samples = np.rint(8_000 * np.sin(2 * np.pi * 200 * place / SAMPLE_RATE_HZ)).astype(np.int16)
    return samples


async def all_of(source: Source, *, limit_frames: int = 1_000) -> Samples:
    """Open a source, read it to its end as a call does, close it."""
    await source.open()
    frames: list[Samples] = []
    while not source.ended:
        if (frame := source.read()) is None:
            await asyncio.sleep(0)
        else:
            assert frame.shape == (FRAME_SAMPLES,)
            assert frame.dtype == np.int16
            frames.append(frame)
            assert len(frames) < limit_frames
    assert source.read() is None
    await source.aclose()
    return np.concatenate(frames) if frames else np.zeros(0, dtype=np.int16)


class LiveSource(SingleUse):
    """A microphone: what it gives was captured in the 20 ms before, whether anybody asked or not."""

    is_live = True
    ended = False

    def __init__(self) -> None:
        super().__init__()
        self.echo_dbfs = -30.0
        self.n_frames = 0
        self.captured_s: float | None = None

    def read(self) -> Samples:
        self.n_frames += 1
        self.captured_s = 0.02 * self.n_frames
        return ramp(FRAME_SAMPLES, 10_000 + (self.n_frames - 1) * FRAME_SAMPLES)


class FailingSource(SingleUse):
    """Gives one frame and then raises."""

    ended = False

    def __init__(self) -> None:
        super().__init__()
        self.is_closed = False
        self._n_read = 0

    def read(self) -> Samples:
        self._n_read += 1
        if self._n_read > 1:
            raise RuntimeError("the cable is out")
        return ramp(FRAME_SAMPLES)

    async def _close(self) -> None:
        self.is_closed = True


@pytest.mark.parametrize("lengths", [(480, 480), (700, 300, 1_000), (5, 5, 5), (481, 1, 959), (1,)], ids=str)
async def test_a_sequence_is_one_stream_without_a_sample_too_many(lengths: tuple[int, ...]) -> None:
    """Wherever a source ends within a frame, the next one follows its last sample."""
    whole = ramp(sum(lengths))
    parts = np.split(whole, np.cumsum(lengths)[:-1])

    said = await all_of(SequenceSource(*(ArraySource(part) for part in parts)))

    assert len(said) == math.ceil(len(whole) / FRAME_SAMPLES) * FRAME_SAMPLES
    assert np.array_equal(said[: len(whole)], whole)
    assert not said[len(whole) :].any()


async def test_a_tone_cut_in_pieces_clicks_nowhere() -> None:
    """Every kind of source that ends tells where: samples, pushed samples, a sequence in a sequence."""
    pushed = PushSource()
    pushed.push(sine(1_111, 5_000))
    pushed.finish()

    said = await all_of(
        SequenceSource(SequenceSource(ArraySource(sine(5_000))), pushed, ArraySource(sine(2_000, 6_111)))
    )

    assert np.array_equal(said[:8_111], sine(8_111))


@pytest.mark.both_clocks
async def test_two_shipped_voices_follow_each_other() -> None:
    """Files are decoded ahead, so the second is ready when the first ends."""
    both = np.concatenate([read_audio(CALLER_SPEECH), read_audio(AGENT_SPEECH)])
    source = SequenceSource(FileSource(CALLER_SPEECH), FileSource(AGENT_SPEECH))
    await source.open()
    frames = []
    while not source.ended:
        frame = source.read()
        assert frame is not None, "it was late"
        frames.append(frame)
        for _ in range(3):
            await asyncio.sleep(0.0005)
    await source.aclose()

    said = np.concatenate(frames)
    assert np.array_equal(said[: len(both)], both)


async def test_a_microphone_behind_a_file_is_not_delayed() -> None:
    """What it captured while the file was said goes, to the last sample; from then on its frames pass as such."""
    live = LiveSource()
    source = SequenceSource(ArraySource(ramp(600)), GainSource(live))
    await source.open()

    first, second, third = source.read(), source.read(), source.read()

    assert first is not None
    assert second is not None
    assert third is not None
    assert np.array_equal(second[:120], ramp(600)[480:])
    assert np.array_equal(second[120:], ramp(FRAME_SAMPLES, 10_480)[120:])
    assert np.array_equal(third, ramp(FRAME_SAMPLES, 10_960))
    assert live.n_frames == 3
    await source.aclose()


async def test_a_sequence_waits_for_a_source_that_is_late() -> None:
    """None means late, not over; what is left of the frame before is not lost."""
    pushed = PushSource()
    source = SequenceSource(ArraySource(ramp(500)), pushed, SilenceSource())
    await source.open()
    assert source.read() is not None
    assert source.read() is None
    assert not source.ended
    assert source.current is pushed

    pushed.push(ramp(460, 501))
    pushed.finish()
    frame = source.read()

    assert frame is not None
    assert np.array_equal(frame, ramp(480, 481))
    assert source.read() is not None
    await source.aclose()


async def test_a_file_that_cannot_be_used_is_known_before_anything_is_said() -> None:
    """And what was opened before it is let go of."""
    first = FailingSource()
    source = SequenceSource(first, FileSource("no such file.wav"))

    with pytest.raises(AudioFileUnreadable):
        await source.open()

    assert first.is_closed


@pytest.mark.parametrize("make", [SequenceSource, MixSource])
async def test_what_a_source_raises_is_raised_and_all_are_closed(make: Callable[..., Source]) -> None:
    """A failure in the midst of it is the failure of the whole."""
    failing = FailingSource()
    source = make(failing, ToneSource(440))
    await source.open()
    assert source.read() is not None

    with pytest.raises(RuntimeError, match="cable"):
        source.read()

    await source.aclose()
    assert failing.is_closed


@pytest.mark.parametrize("make", [SequenceSource, MixSource])
def test_what_cannot_be_composed_is_refused(make: Callable[..., Source]) -> None:
    """Nothing at all, and the same source twice."""
    tone = ToneSource(440)
    with pytest.raises(ConfigError, match="one at least"):
        make()
    with pytest.raises(ConfigError, match="twice"):
        make(tone, tone)


async def test_a_mix_is_the_sum_and_ends_with_its_last_source() -> None:
    """One that is over, or late, is silent."""
    said = await all_of(MixSource(ArraySource(ramp(1_000)), ArraySource(ramp(500)), PushSourceFinished(ramp(10))))

    expected = ramp(1_000).astype(int)
    expected[:500] += ramp(500)
    expected[:10] += ramp(10)
    assert np.array_equal(said[:1_000], expected)
    assert len(said) == 3 * FRAME_SAMPLES


async def test_a_mix_with_nothing_ready_is_late() -> None:
    """It is not silent by itself: the call counts late frames."""
    pushed = PushSource()
    source = MixSource(pushed, PushSource())
    await source.open()

    assert source.read() is None
    pushed.push(ramp(480))

    assert np.array_equal(source.read(), ramp(480))  # type: ignore[arg-type]
    assert not source.ended
    await source.aclose()


async def test_a_mix_clips_and_counts() -> None:
    """Full scale is not wrapped around."""
    loud = np.full(480, 30_000, dtype=np.int16)
    source = MixSource(ArraySource(loud), ArraySource(loud[:100]), ArraySource(-loud[:10]))

    said = await all_of(source)

    assert said.max() == 32_767
    assert np.array_equal(said[:10], loud[:10])
    assert source.clipped_samples == 90


def test_a_gain_that_changes_does_not_click() -> None:
    """From 0 dB to silence and back the largest step of a 230 Hz sine is that of the sine itself."""
    source = GainSource(ToneSource(230, -10.0))
    frames = []
    for k in range(12):
        source.gain_db = -math.inf if k % 4 in (2, 3) else 0.0
        frame = source.read()
        assert frame is not None
        frames.append(frame)
    said = np.concatenate(frames).astype(int)

    own_step = np.abs(np.diff(np.concatenate(frames[:2]).astype(int))).max()
    assert np.abs(np.diff(said)).max() <= own_step * 1.1
    assert not frames[3].any()
    assert frames[5].any()


async def test_a_gain_is_what_it_says() -> None:
    """6.02 dB is twice as much; more than full scale is clipped; 0 dB changes nothing at all."""
    assert np.array_equal((await all_of(GainSource(ArraySource(ramp(700)), 20 * math.log10(2))))[:700], 2 * ramp(700))
    assert np.array_equal((await all_of(GainSource(ArraySource(ramp(700)))))[:700], ramp(700))
    assert (await all_of(GainSource(ArraySource(np.full(480, 20_000, dtype=np.int16)), 20.0))).max() == 32_767

    joined = await all_of(SequenceSource(GainSource(ArraySource(ramp(700))), ArraySource(ramp(260, 701))))
    assert np.array_equal(joined, ramp(960))


@pytest.mark.parametrize("gain_db", [40.1, math.nan, math.inf])
def test_a_gain_that_is_no_gain_is_refused(gain_db: float) -> None:
    """At the beginning, and later."""
    with pytest.raises(ConfigError, match="dB"):
        GainSource(SilenceSource(), gain_db)
    source = GainSource(SilenceSource())
    with pytest.raises(ConfigError, match="dB"):
        source.gain_db = gain_db


def test_what_may_be_echo_is_known_through_every_composition() -> None:
    """The detector of a barge-in asks the source of the call, whatever that is made of."""
    assert SequenceSource(LiveSource()).echo_dbfs == -30
    assert SequenceSource(SilenceSource(), LiveSource()).echo_dbfs == FLOOR_DBFS
    assert MixSource(SilenceSource(), LiveSource()).echo_dbfs == -30
    assert GainSource(LiveSource(), 6.0).echo_dbfs == -24
    assert GainSource(LiveSource(), -math.inf).echo_dbfs == FLOOR_DBFS


async def test_when_sound_was_captured_is_known_through_every_composition() -> None:
    """Echo control and recordings ask the source of the call."""
    source = MixSource(ToneSource(440), GainSource(SequenceSource(ArraySource(ramp(480)), LiveSource())))
    await source.open()

    seen = []
    for _ in range(3):
        source.read()
        seen.append(source.captured_s)

    assert seen == [None, 0.04, 0.06]
    await source.aclose()


class PushSourceFinished(PushSource):
    """What is pushed beforehand, and nothing else."""

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self.push(samples)
        self.finish()
