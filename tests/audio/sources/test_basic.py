"""Promises of the sources: what they say, when they end, how they fail, and that nothing of them outlives the call."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.files.reader import read_audio, write_wav
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.sources.base import Source
from rtc_client.audio.sources.basic import (
    ArraySource,
    FileSource,
    IteratorSource,
    PushSource,
    SilenceSource,
    ToneSource,
)
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable, ConfigError


def noise(n_samples: int) -> Samples:
    return np.random.default_rng(5).integers(-9_000, 9_000, n_samples).astype(np.int16)


async def drain(source: Source) -> Samples:
    """Read until the source has ended, giving its task turns while nothing is ready."""
    frames = []
    while not source.ended:
        frame = source.read()
        if frame is None:
            await asyncio.sleep(0)
        else:
            assert len(frame) == FRAME_SAMPLES
            frames.append(frame)
    return np.concatenate(frames)


async def next_frame(source: Source) -> Samples:
    while True:
        frame = source.read()
        if frame is not None:
            return frame
        await asyncio.sleep(0)


def assert_is(heard: Samples, said: Samples) -> None:
    """What was heard is what was said, filled up with silence to a whole frame."""
    assert len(heard) == -(-len(said) // FRAME_SAMPLES) * FRAME_SAMPLES
    assert np.array_equal(heard[: len(said)], said)
    assert not heard[len(said) :].any()


async def counting(blocks: list[Any], closed: list[bool] | None = None) -> AsyncIterator[Any]:
    """Yield the blocks, and note when the generator is closed."""
    try:
        for block in blocks:
            yield block
    finally:
        if closed is not None:
            closed.append(True)


SOURCES: dict[str, Callable[[], Source]] = {
    "file": lambda: FileSource(CALLER_SPEECH),
    "silence": SilenceSource,
    "tone": lambda: ToneSource(440),
    "array": lambda: ArraySource(noise(999), 8_000),
    "iterator": lambda: IteratorSource(counting([noise(48_000)])),
    "push": PushSource,
}


@pytest.mark.parametrize("name", SOURCES)
async def test_any_order_of_open_read_and_close_leaves_nothing_behind(name: str) -> None:
    """A source may be closed unopened, twice, and read when it is closed or not yet open."""
    unopened = SOURCES[name]()
    unopened.read()
    await unopened.aclose()

    source = SOURCES[name]()
    await source.open()
    source.read()
    await asyncio.gather(source.aclose(), source.aclose())
    await source.aclose()
    if name not in ("silence", "tone"):
        assert source.read() is None


@pytest.mark.parametrize("name", [name for name in SOURCES if name != "silence"])
async def test_a_source_serves_one_call(name: str) -> None:
    """Two calls on one source would tear its sound apart, so the second is refused."""
    source = SOURCES[name]()
    await source.open()

    with pytest.raises(ConfigError, match="one call"):
        await source.open()
    await source.aclose()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("name", ["file", "array", "iterator"])
async def test_opening_can_be_cancelled_at_any_moment(name: str, turns: int) -> None:
    """A caller who gives up while the source is being opened leaves no thread, task or file behind."""
    source = SOURCES[name]()
    opening = asyncio.create_task(source.open())
    for _ in range(turns):
        await asyncio.sleep(0)

    opening.cancel()
    await asyncio.wait([opening])
    await source.aclose()


async def test_a_source_closed_while_it_opens_is_closed() -> None:
    """Closing wins, whoever comes first, and the one who opens is told."""
    source = FileSource(CALLER_SPEECH)
    opening = asyncio.create_task(source.open())
    await asyncio.sleep(0)

    await source.aclose()

    with pytest.raises((ConfigError, ValueError), match="closed"):
        await opening


async def test_closing_goes_on_when_its_caller_is_cancelled() -> None:
    """Cancelling aclose() stops the waiting, not the closing."""
    source = FileSource(CALLER_SPEECH)
    await source.open()
    closing = asyncio.create_task(source.aclose())
    await asyncio.sleep(0)

    closing.cancel()
    await asyncio.wait([closing])

    await source.aclose()
    assert source.ended


async def test_a_file_is_spoken_whole() -> None:
    """Every sample of a file is read, in order, the last frame filled up with silence."""
    source = FileSource(CALLER_SPEECH)
    await source.open()

    assert_is(await drain(source), read_audio(CALLER_SPEECH))
    await source.aclose()


async def test_the_first_read_of_a_file_has_sound() -> None:
    """No frame of the beginning is late: a second of sound does not wait for the decoding thread."""
    source = FileSource(CALLER_SPEECH)
    await source.open()

    assert all(source.read() is not None for _ in range(20))
    await source.aclose()


async def test_a_long_file_is_not_decoded_far_ahead(tmp_path: Path) -> None:
    """Memory holds about two seconds of a file, however long it is."""
    write_wav(tmp_path / "long.wav", noise(20 * SAMPLE_RATE_HZ))
    source = FileSource(tmp_path / "long.wav")
    await source.open()
    most_samples = 0
    while len(source._buffer) < SAMPLE_RATE_HZ:  # noqa: ASYNC110 - its thread announces nothing
        await asyncio.sleep(0.001)
    while not source.ended:
        source.read()
        await asyncio.sleep(0)
        most_samples = max(most_samples, len(source._buffer))

    assert SAMPLE_RATE_HZ <= most_samples <= 2.5 * SAMPLE_RATE_HZ
    await source.aclose()


async def test_an_unusable_file_is_refused_by_open(tmp_path: Path) -> None:
    """A bad file is known before anything is sent."""
    source = FileSource(tmp_path / "missing.wav")

    with pytest.raises(AudioFileUnreadable, match=r"missing\.wav does not exist"):
        await source.open()
    await source.aclose()


async def test_a_file_that_fails_midway_is_spoken_so_far_and_then_raises(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The decoder's exception comes out of read(), after the sound before it."""
    write_wav(tmp_path / "a.wav", noise(SAMPLE_RATE_HZ))
    source = FileSource(tmp_path / "a.wav")
    await source.open()

    def fail() -> None:
        raise AudioFileUnreadable("a.wav is damaged")

    monkeypatch.setattr(source._reader, "read_block", fail)
    first = await next_frame(source)
    with pytest.raises(AudioFileUnreadable, match="damaged"):
        await drain(source)

    assert first.any()
    assert not source.ended
    await source.aclose()


async def test_silence_is_endless() -> None:
    """Silence is digital, and never over."""
    source = SilenceSource()
    await source.open()

    assert not source.read().any()
    assert not source.ended


async def test_a_tone_has_its_level_and_no_clicks() -> None:
    """A tone is the sine that was asked for, across frames too."""
    source = ToneSource(437.0, level_dbfs=-12.0)
    await source.open()
    heard = np.concatenate([source.read() for _ in range(200)])

    ideal = 32768 * np.sqrt(2) * 10 ** (-12 / 20) * np.sin(2 * np.pi * 437 * np.arange(len(heard)) / SAMPLE_RATE_HZ)
    assert np.abs(heard - ideal).max() <= 1
    assert level_dbfs(heard) == pytest.approx(-12.0, abs=0.01)
    assert not source.ended
    await source.aclose()


async def test_a_tone_with_a_duration_ends() -> None:
    """It lasts as long as asked to the sample, then there is nothing."""
    source = ToneSource(1_000, duration_s=0.05)
    await source.open()
    heard = await drain(source)

    assert len(heard) == 3 * FRAME_SAMPLES
    assert heard[1_199]
    assert not heard[1_200:].any()
    assert source.read() is None
    await source.aclose()


@pytest.mark.parametrize("frequency_hz", [0, -5, 12_000, 50_000, float("nan")])
def test_a_tone_beyond_hearing_of_the_rate_is_refused(frequency_hz: float) -> None:
    """What would alias, or is no frequency, is a setting that cannot work."""
    with pytest.raises(ConfigError, match="Hz cannot be played"):
        ToneSource(frequency_hz)


def test_a_tone_that_would_clip_or_last_no_time_is_refused() -> None:
    """Levels above a full-scale sine, and durations that are none, are said at once."""
    with pytest.raises(ConfigError, match="clip"):
        ToneSource(440, level_dbfs=0)
    with pytest.raises(ConfigError, match="last"):
        ToneSource(440, duration_s=0)


async def test_an_array_is_spoken_at_its_own_rate() -> None:
    """Ours sample by sample, another rate with the same duration; changing the array afterwards changes nothing."""
    said = noise(1_000)
    source = ArraySource(said)
    kept = said.copy()
    said[:] = 0
    await source.open()
    assert not source.ended
    assert_is(await drain(source), kept)
    await source.aclose()

    slow = ArraySource(np.full((8_000, 2), 0.25), sample_rate_hz=8_000)
    await slow.open()
    heard = await drain(slow)
    assert len(heard) == SAMPLE_RATE_HZ
    assert heard[12_000] == pytest.approx(8192, abs=2)
    await slow.aclose()


def test_an_array_that_is_no_audio_is_refused_where_it_is_given() -> None:
    """The mistake is raised on the line that makes it."""
    with pytest.raises(ConfigError, match="NaN"):
        ArraySource(np.array([np.nan]))
    with pytest.raises(ConfigError, match="sample rate"):
        ArraySource(noise(10), sample_rate_hz=24)


@pytest.mark.parametrize("sizes", [[480] * 5, [1, 479, 481, 0, 7], [5_000], [100_000, 3]])
async def test_an_iterator_is_spoken_whatever_its_blocks(sizes: list[int]) -> None:
    """Arrays of any length come out as frames, nothing lost."""
    said = noise(sum(sizes))
    source = IteratorSource(counting(np.split(said, np.cumsum(sizes)[:-1])))
    await source.open()

    assert_is(await drain(source), said)
    await source.aclose()


async def test_an_iterator_may_yield_frames_and_other_rates() -> None:
    """PcmFrames are taken as they are, arrays at another rate are resampled as one stream."""
    frames = IteratorSource(counting([PcmFrame(noise(100), 0), PcmFrame(noise(700), 100)]))
    await frames.open()
    assert_is(await drain(frames), np.concatenate([noise(100), noise(700)]))
    await frames.aclose()

    slow = IteratorSource(counting([np.full(160, 9_000, dtype=np.int16)] * 50), sample_rate_hz=8_000)
    await slow.open()
    heard = await drain(slow)
    assert len(heard) == SAMPLE_RATE_HZ
    assert np.abs(heard[100:-100].astype(int) - 9_000).max() <= 2
    await slow.aclose()


async def test_frames_have_one_rate() -> None:
    """A PcmFrame that is said to be at another rate is a mistake, and is said to be one."""
    source = IteratorSource(counting([PcmFrame(noise(100), 0)]), sample_rate_hz=8_000)
    await source.open()

    with pytest.raises(ConfigError, match="leave out sample_rate_hz"):
        await next_frame(source)
    await source.aclose()


async def test_blocks_may_be_reused_by_the_iterator() -> None:
    """What was yielded is copied: an iterator may fill one array again and again."""

    async def reusing() -> AsyncIterator[NDArray[np.int16]]:
        block = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        for value in (1, 2, 3):
            block[:] = value
            yield block

    source = IteratorSource(reusing())
    await source.open()
    heard = await drain(source)

    assert heard[::FRAME_SAMPLES].tolist() == [1, 2, 3]
    await source.aclose()


async def test_an_iterator_is_not_asked_far_ahead() -> None:
    """Back-pressure: about a second is buffered, then the iterator waits for the call."""
    asked = 0

    async def endless() -> AsyncIterator[NDArray[np.int16]]:
        nonlocal asked
        while True:
            asked += 1
            yield noise(FRAME_SAMPLES)

    source = IteratorSource(endless())
    await source.open()
    for _ in range(500):
        await asyncio.sleep(0)
    assert asked == SAMPLE_RATE_HZ // FRAME_SAMPLES

    for _ in range(10):
        source.read()
    for _ in range(50):
        await asyncio.sleep(0)
    assert asked == SAMPLE_RATE_HZ // FRAME_SAMPLES + 10
    await source.aclose()


async def test_what_an_iterator_raises_comes_out_of_read() -> None:
    """The caller's own exception, after the sound that came before it, and again at every read."""

    async def failing() -> AsyncIterator[NDArray[np.int16]]:
        yield noise(FRAME_SAMPLES)
        raise ZeroDivisionError("mine")

    source = IteratorSource(failing())
    await source.open()

    assert_is(await next_frame(source), noise(FRAME_SAMPLES))
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="mine"):
            await next_frame(source)
    assert not source.ended
    await source.aclose()


@pytest.mark.parametrize("block", [b"\0\0", np.array([np.inf]), [1, 2], None])
async def test_an_iterator_that_yields_no_audio_fails_with_advice(block: object) -> None:
    """What cannot be understood ends the source with a ConfigError, never with noise."""
    source = IteratorSource(counting([block]))
    await source.open()

    with pytest.raises(ConfigError, match="audio samples"):
        await next_frame(source)
    await source.aclose()


async def test_closing_ends_a_waiting_iterator() -> None:
    """An async generator that waits for ever is cancelled, and its finally runs."""
    closed: list[bool] = []

    async def waiting() -> AsyncIterator[NDArray[np.int16]]:
        try:
            await asyncio.Event().wait()
            yield noise(1)
        finally:
            await asyncio.sleep(0)
            closed.append(True)

    source = IteratorSource(waiting())
    await source.open()
    await asyncio.sleep(0)

    await source.aclose()

    assert closed == [True]


async def test_closing_ends_an_iterator_that_swallows_cancellation() -> None:
    """A generator that catches everything is not asked again."""

    async def stubborn() -> AsyncIterator[NDArray[np.int16]]:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                yield noise(1)

    source = IteratorSource(stubborn())
    await source.open()
    await asyncio.sleep(0)

    await source.aclose()
    assert source.read() is None


async def test_closing_ends_an_iterator_in_the_midst_of_its_blocks() -> None:
    """A generator that still had something to say is closed too."""
    closed: list[bool] = []
    source = IteratorSource(counting([noise(50_000), noise(50_000)], closed))
    await source.open()
    await next_frame(source)

    await source.aclose()

    assert closed == [True]
    assert source.ended


async def test_an_iterator_whose_own_work_is_cancelled_has_failed() -> None:
    """A cancellation that is not ours is an error of the source, not silence for ever."""

    async def cancelled() -> AsyncIterator[NDArray[np.int16]]:
        raise asyncio.CancelledError
        yield

    source = IteratorSource(cancelled())
    await source.open()

    with pytest.raises(RuntimeError, match="was cancelled"):
        await next_frame(source)
    await source.aclose()


async def test_pushed_samples_are_spoken_in_frames() -> None:
    """A frame is ready when enough was pushed; finish() lets the rest out and ends the source."""
    source = PushSource()
    await source.open()
    assert source.push(noise(479)) == 0
    assert source.read() is None
    assert source.push(noise(479)[:2]) == 0
    assert_is(source.read(), np.concatenate([noise(479), noise(479)[:1]]))  # type: ignore[arg-type]
    assert source.read() is None
    assert not source.ended

    source.finish()

    assert_is(source.read(), noise(479)[1:2])  # type: ignore[arg-type]
    assert source.ended
    with pytest.raises(ValueError, match="finish"):
        source.push(noise(1))
    await source.aclose()
    assert source.push(noise(7)) == 7


async def test_a_full_push_source_drops_the_oldest_samples_and_counts_them() -> None:
    """Late sound is worthless: the newest second is kept."""
    source = PushSource(capacity_s=1.0)
    await source.open()
    said = noise(SAMPLE_RATE_HZ + 4_800)

    assert source.push(said[:SAMPLE_RATE_HZ]) == 0
    assert source.push(said[SAMPLE_RATE_HZ:]) == 4_800
    source.finish()

    assert source.dropped_samples == 4_800
    assert_is(await drain(source), said[4_800:])
    await source.aclose()


async def test_a_push_source_takes_other_rates() -> None:
    """A microphone at 48 kHz is heard with its own duration."""
    source = PushSource(sample_rate_hz=48_000)
    await source.open()
    for _ in range(10):
        source.push(np.full((960, 2), 0.5, dtype=np.float32))
    source.finish()

    assert len(await drain(source)) == 10 * FRAME_SAMPLES
    await source.aclose()


async def test_many_threads_may_push() -> None:
    """Every sample that four threads push at once is heard or counted as dropped, none twice."""
    source = PushSource(capacity_s=2.0)
    await source.open()
    n_each = 30_000

    def push() -> None:
        for _ in range(n_each // 100):
            source.push(np.ones(100, dtype=np.int16))

    threads = [threading.Thread(target=push) for _ in range(4)]
    for thread in threads:
        thread.start()
    heard = 0
    while any(thread.is_alive() for thread in threads):
        frame = source.read()
        heard += 0 if frame is None else int(frame.sum())
    for thread in threads:
        thread.join()
    source.finish()
    heard += int((await drain(source)).sum())

    assert heard + source.dropped_samples == 4 * n_each
    await source.aclose()


@pytest.mark.parametrize("capacity_s", [0, -1, 0.001, float("inf"), float("nan")])
def test_a_capacity_that_is_none_is_refused(capacity_s: float) -> None:
    """Every queue has a bound, and room for a frame."""
    with pytest.raises(ConfigError, match="capacity"):
        PushSource(capacity_s=capacity_s)
