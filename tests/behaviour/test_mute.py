"""Promise: mute is exact to one frame, and the source runs on meanwhile.

In real time: `test_on_the_wire_the_first_silent_packet_leaves_within_20_ms`.
"""

from __future__ import annotations

import base64
import time
from typing import Any

import numpy as np
import pytest
from aiortc import RTCRtpReceiver

from rtc_client import FRAME_SAMPLES, ArraySource, NumpySink, ToneSource, connect
from rtc_client.audio.codecs.opus import OpusDecoder
from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for, until
from tests.behaviour.speech import cut, seconds
from tests.wire.websocket_server import config_of, serving

A_TICK_S = 0.02
SLACK_S = 0.02
"""What a busy machine may be late."""


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


@pytest.mark.both_clocks
async def test_on_the_wire_the_first_silent_packet_leaves_within_20_ms(
    answerer: FakeAnswerer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the arrival of the packets at the far side, each decoded: no sound behind that one, and packets go on."""
    arrived: list[tuple[float, bytes]] = []
    take = RTCRtpReceiver._handle_rtp_packet

    async def taking(self: RTCRtpReceiver, packet: Any, arrival_time_ms: int) -> None:
        arrived.append((time.monotonic(), packet.payload))
        await take(self, packet, arrival_time_ms)

    monkeypatch.setattr(RTCRtpReceiver, "_handle_rtp_packet", taking)
    async with connect(config_for(answerer), source=ToneSource(440)) as call:
        await until(lambda: len(arrived) > 20)
        call.mute()
        muted_s = time.monotonic()
        n_before = len(arrived)
        await until(lambda: len(arrived) > n_before + 20)

    decoder = OpusDecoder()
    levels = [(at_s, level_dbfs(decoder.decode(payload))) for at_s, payload in arrived]
    # A frame of the encoder's lookahead, 6.5 ms, is the sound of before; 440 Hz at -20 dBFS is louder than -21.
    falls_silent = next(k for k, (at_s, level) in enumerate(levels) if at_s > muted_s and level < -22)
    assert levels[falls_silent][0] - muted_s <= A_TICK_S + SLACK_S
    assert max(level for _, level in levels[falls_silent + 2 :]) < -60
    assert len(levels) - falls_silent > 18


async def test_over_a_websocket_it_leaves_within_40_ms() -> None:
    """Two frames make a message: the half of one may have been said before."""
    async with serving() as server, connect(config_of(server), source=ToneSource(440)) as call:
        await until(lambda: len(server.audio) > 10)
        call.mute()
        muted_s, n_before = time.monotonic(), len(server.audio)
        await until(lambda: len(server.audio) > n_before)
        first_s = time.monotonic() - muted_s
        await until(lambda: len(server.audio) > n_before + 10)
        blocks = [np.frombuffer(base64.b64decode(one), dtype="<i2") for one in server.audio[n_before:]]

    assert first_s <= 2 * A_TICK_S + SLACK_S
    assert not blocks[0][FRAME_SAMPLES:].any()
    assert not np.concatenate(blocks[1:]).any()
