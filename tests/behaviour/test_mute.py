"""Promise: mute is exact to one frame, and the source runs on meanwhile."""

from __future__ import annotations

import numpy as np

from rtc_client import FRAME_SAMPLES, ArraySource, NumpySink, connect
from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for
from tests.behaviour.speech import cut, seconds


async def test_mute_sends_silence_from_the_next_frame_on_and_unmute_ends_it(answerer: FakeAnswerer) -> None:
    """Between mute and unmute every frame that is sent is silent; before and after it is the source, which ran on."""
    spoken = np.arange(1, 4 * 24_000 + 1).astype(np.int16) | 1
    sent = NumpySink()

    async with connect(config_for(answerer), source=ArraySource(spoken), caller_sink=sent) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_heard(0.4)
        call.mute()
        muted_at, was_muted = len(sent.samples), call.muted
        await answered.wait_heard(0.8)
        call.unmute()
        unmuted_at = len(sent.samples)
        await answered.wait_heard(1.2)
        call.mute()
        call.unmute()
        await answered.wait_heard(1.3)

    assert was_muted
    assert not call.muted
    assert muted_at % FRAME_SAMPLES == unmuted_at % FRAME_SAMPLES == 0
    assert np.array_equal(sent.samples[:muted_at], spoken[:muted_at])
    assert not np.any(sent.samples[muted_at:unmuted_at])
    # The recording is as long as the call; what it has behind the last frame that was sent is silence.
    end = int(np.flatnonzero(sent.samples)[-1]) + 1
    assert len(sent.samples) - end < 3 * FRAME_SAMPLES
    assert np.array_equal(sent.samples[unmuted_at:end], spoken[unmuted_at:end])
    assert seconds(sent.samples) > 1.2


async def test_the_agent_hears_silence_while_muted(answerer: FakeAnswerer) -> None:
    """What reaches the agent during a mute is silent, and packets go on all the time."""
    noise = np.random.default_rng(7).integers(-8_000, 8_000, 4 * 24_000).astype(np.int16)
    sent = NumpySink()

    async with connect(config_for(answerer), source=ArraySource(noise), caller_sink=sent) as call:
        answered = await answerer.wait_for_call()
        await answered.wait_heard(0.4)
        call.mute()
        muted_s = seconds(sent.samples)
        await answered.wait_heard(muted_s + 0.5)

    assert level_dbfs(cut(answered.heard, 0.1, muted_s - 0.05)) > -30
    assert level_dbfs(cut(answered.heard, muted_s + 0.1, muted_s + 0.45)) < -70
    assert answered.packets_received >= 42
