"""Promise: what the source says arrives at the agent, in order and at its pace, whatever kind of source it is.

In real time: `test_what_is_pushed_during_the_call_arrives`.
"""

from __future__ import annotations

import asyncio
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from rtc_client import (
    FRAME_SAMPLES,
    ArraySource,
    CallConfig,
    EndReason,
    FileSource,
    IteratorSource,
    NumpySink,
    PcmFrame,
    PushSource,
    SilenceSource,
    Source,
    connect,
)
from rtc_client.audio.frames import Samples
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for
from tests.behaviour.speech import CALLER_WORDS, SAME, Found, locate, seconds


@pytest.fixture
def config(answerer: FakeAnswerer) -> CallConfig:
    """A call that ends soon after its source."""
    return config_for(answerer, linger_s=0.3)


async def heard_of(answerer: FakeAnswerer, config: CallConfig, source: Source, words: Samples = CALLER_WORDS) -> Found:
    """Place a call that speaks `source`, and return where the agent heard `words`."""
    async with connect(config, source=source) as call:
        result = await call.wait_ended()
    assert result.end is not None
    assert result.end.reason is EndReason.SOURCE_ENDED
    (answered,) = [answered for answered in answerer.calls if answered.call_id == call.call_id]
    await answered.ended()
    return locate(words, answered.heard)


async def test_a_file_of_any_rate_and_in_stereo_arrives(
    answerer: FakeAnswerer, config: CallConfig, tmp_path: Path
) -> None:
    """A WAV file is spoken at the right pace and pitch whatever its rate, and stereo becomes one voice."""

    async def likeness(sample_rate_hz: int, n_channels: int) -> float:
        path = tmp_path / f"{sample_rate_hz}.wav"
        words = _resampled(CALLER_WORDS, sample_rate_hz)
        with wave.open(str(path), "wb") as file:
            file.setparams((n_channels, 2, sample_rate_hz, 0, "NONE", "not compressed"))
            file.writeframes(np.repeat(words, n_channels).tobytes())
        expected = _heard_through(CALLER_WORDS, sample_rate_hz)
        return (await heard_of(answerer, config, FileSource(path), expected)).likeness

    assert min(await asyncio.gather(likeness(44_100, 2), likeness(8_000, 1), likeness(11_025, 2))) > SAME


async def test_arrays_and_iterators_arrive(answerer: FakeAnswerer, config: CallConfig) -> None:
    """An array of another rate and type, blocks of odd lengths and whole frames are spoken without a seam."""

    async def blocks() -> AsyncIterator[Samples]:
        for start in range(0, len(CALLER_WORDS), 777):
            await asyncio.sleep(0)
            yield CALLER_WORDS[start : start + 777]

    async def frames() -> AsyncIterator[PcmFrame]:
        for start in range(0, len(CALLER_WORDS), FRAME_SAMPLES):
            yield PcmFrame(CALLER_WORDS[start : start + FRAME_SAMPLES], start)

    floats = _resampled(CALLER_WORDS, 48_000).astype(np.float32) / 32_768
    sources = (ArraySource(floats, sample_rate_hz=48_000), IteratorSource(blocks()), IteratorSource(frames()))
    found = await asyncio.gather(*(heard_of(answerer, config, source) for source in sources))

    assert min(each.likeness for each in found) > SAME


@pytest.mark.both_clocks
async def test_what_is_pushed_during_the_call_arrives(answerer: FakeAnswerer, config: CallConfig) -> None:
    """Sound pushed from another thread in the midst of a call is spoken, and the call ends after `finish`."""
    source = PushSource()

    def push() -> None:
        for start in range(0, len(CALLER_WORDS), 1000):
            assert source.push(CALLER_WORDS[start : start + 1000]) == 0
        source.finish()

    async with connect(config, source=source) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_heard(0.2)
        await asyncio.to_thread(push)
        result = await call.wait_ended()

    await answered.ended()
    found = locate(CALLER_WORDS, answered.heard)
    assert found.likeness > SAME
    assert found.at_s > 0.15
    assert result.late_frames >= 5


class Hesitating(SilenceSource):
    """Speaks 20 ms, then has nothing ready for a quarter of a second, then speaks on: a source that is late."""

    N_LATE = 12

    def __init__(self) -> None:
        self.n_reads = 0

    def read(self) -> Samples:
        self.n_reads += 1
        if 1 < self.n_reads <= 1 + self.N_LATE:
            return None  # type: ignore[return-value]
        return np.full(FRAME_SAMPLES, 5_000, dtype=np.int16)


async def test_a_source_that_is_late_is_silence_and_is_counted(answerer: FakeAnswerer) -> None:
    """Where nothing was ready silence was sent, nothing is shifted in time, and the result counts the frames."""
    sent = NumpySink()
    async with connect(config_for(answerer), source=Hesitating(), caller_sink=sent) as call:
        await (await answerer.wait_for_call()).wait_heard(0.5)
        await call.hangup()

    frames = sent.samples[: 20 * FRAME_SAMPLES].reshape(20, FRAME_SAMPLES)
    is_silent = [not np.any(frame) for frame in frames]
    assert is_silent == [False, *[True] * Hesitating.N_LATE, *[False] * 7]
    assert call.result.late_frames == Hesitating.N_LATE


async def test_the_recording_of_the_caller_is_what_was_sent_for_the_whole_call(answerer: FakeAnswerer) -> None:
    """The caller's own recording starts with the source's first sample, and both recordings are equally long."""
    sent, agent = NumpySink(), NumpySink()
    config = config_for(answerer, linger_s=0.3)
    async with connect(config, source=ArraySource(CALLER_WORDS), sink=agent, caller_sink=sent) as call:
        result = await call.wait_ended()

    assert np.array_equal(sent.samples[: len(CALLER_WORDS)], CALLER_WORDS)
    assert seconds(sent.samples) == pytest.approx(seconds(agent.samples), abs=0.1)
    assert result.late_frames == 0


def _resampled(samples: Samples, sample_rate_hz: int) -> Samples:
    """Bring a recording to another rate; what a lower rate cannot hold is taken away first."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    n_samples = round(len(samples) * sample_rate_hz / 24_000)
    resized = np.zeros(n_samples // 2 + 1, dtype=np.complex128)
    n_shared = min(len(spectrum), len(resized))
    resized[:n_shared] = spectrum[:n_shared]
    resampled = np.fft.irfft(resized, n_samples) * n_samples / len(samples)
    return np.clip(np.rint(resampled), -32_768, 32_767).astype(np.int16)


def _heard_through(samples: Samples, sample_rate_hz: int) -> Samples:
    """Return what is left of a recording that was once at `sample_rate_hz`, back at 24 kHz."""
    spectrum = np.fft.rfft(samples.astype(np.float64))
    if sample_rate_hz < 24_000:
        spectrum[round(len(samples) * sample_rate_hz / 24_000) // 2 :] = 0
    return np.clip(np.rint(np.fft.irfft(spectrum, len(samples))), -32_768, 32_767).astype(np.int16)
