"""Promise: a fault of the media has a named end in good time, and what is not the end of a call does not end it.

In real time: `test_an_agent_that_falls_silent_in_mid_sentence_is_waited_for`.
"""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from rtc_client import (
    CallLost,
    CallState,
    EndReason,
    MediaTimeout,
    NoAudioYet,
    NumpySink,
    ToneSource,
    connect,
)
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for, until, until_state

SPEAKING = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=30))])


async def test_dtls_that_never_completes_runs_out_of_time_by_name(answerer: FakeAnswerer) -> None:
    """ICE comes up, the handshake does not: MediaTimeout names the phase, and the server is told."""
    call = connect(config_for(answerer, deadlines={"connect_s": 0.8}))
    with answerer.faults.block_dtls() as fault, pytest.raises(MediaTimeout) as timeout:
        async with call:
            pass

    assert fault.n_met == 1
    assert (timeout.value.phase, timeout.value.limit_s) == ("the DTLS handshake", 0.8)
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.NO_MEDIA, "network")
    assert answerer.calls[0].hung_up_by_client


@pytest.mark.real_time("OpenSSL times the repeats of a DTLS flight by the machine's clock")
async def test_dtls_that_is_held_up_for_a_while_still_makes_a_call(answerer: FakeAnswerer) -> None:
    """Lost handshake packets are sent again."""
    blocking = answerer.faults.block_dtls()
    call = connect(config_for(answerer, max_duration_s=0.3))
    dialling = asyncio.create_task(call.__aenter__())
    await answerer.wait_for_call()
    await until(lambda: blocking.n_met)
    blocking.end()
    await dialling
    result = await call.wait_ended()
    await call.hangup()

    assert result.error is None
    assert answerer.calls[0].is_media_connected


async def test_a_late_agent_is_told_of_and_heard_when_it_comes(answerer: FakeAnswerer) -> None:
    """NoAudioYet after the deadline, once; the call goes on and the first packet is the first."""
    answerer.script = SPEAKING
    config = config_for(answerer, deadlines={"first_rtp_s": 0.3}, max_duration_s=1.3)

    with answerer.faults.late_audio(0.7):
        async with connect(config) as call:
            result = await call.wait_ended()
            events = [event async for event in call.events()]

    assert [event for event in events if isinstance(event, NoAudioYet)] == [NoAudioYet(after_s=0.3)]
    assert result.error is None
    assert result.timings_ms.first_rtp is not None
    assert result.timings_ms.first_rtp >= 650
    assert result.received.packets >= 15


@pytest.mark.both_clocks
async def test_an_agent_that_falls_silent_in_mid_sentence_is_waited_for(answerer: FakeAnswerer) -> None:
    """Packets stop and come again: silence in between, no loss is counted, and nobody has hung up."""
    answerer.script = SPEAKING
    sink = NumpySink()
    async with connect(config_for(answerer, max_duration_s=2.0), sink=sink) as call:
        await until_state(call, CallState.ACTIVE)
        answered = await answerer.wait_for_call()
        await until(lambda: call.elapsed_s > 0.5)
        with answerer.faults.stop_audio():
            await until(lambda: call.elapsed_s > 0.6)
            n_before = answered.packets_sent
            await until(lambda: call.elapsed_s > 1.2)
            assert answered.packets_sent == n_before
            assert call.state is CallState.ACTIVE
        result = await call.wait_ended()

    assert result.error is None
    assert result.end is not None
    assert result.end.reason is EndReason.MAX_DURATION
    assert result.received.lost == 0
    levels = [np.abs(sink.samples[at : at + 2_400]).max() for at in range(0, len(sink.samples) - 2_400, 2_400)]
    assert levels[3] > 1_000
    assert min(levels[7:11]) < 100
    assert max(levels[-4:]) > 1_000


async def test_a_server_that_vanishes_is_a_lost_call(answerer: FakeAnswerer) -> None:
    """No datagram for as long as `silence_s`: CallLost, by the network, and the server is told over REST."""
    call = connect(config_for(answerer, deadlines={"silence_s": 0.8}))
    with pytest.raises(CallLost) as lost:
        async with call:
            await until_state(call, CallState.ACTIVE)
            with answerer.faults.vanish():
                await call.wait_ended()

    assert lost.value.reason == "no_datagrams"
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.LOST, "network")
    assert answerer.calls[0].hung_up_by_client


async def test_a_server_that_vanishes_for_a_moment_is_forgiven(answerer: FakeAnswerer) -> None:
    """Half a second without a datagram is a hole in the sound, and the call goes on as before."""
    answerer.script = SPEAKING
    config = config_for(answerer, deadlines={"silence_s": 1.5}, max_duration_s=2.0)
    async with connect(config, source=ToneSource(440)) as call:
        await until_state(call, CallState.ACTIVE)
        answered = await answerer.wait_for_call()
        with answered.faults.vanish():
            n_before = answered.packets_received
            await until(lambda: call.elapsed_s > 0.7)
        result = await call.wait_ended()

    assert result.error is None
    assert answered.packets_received > n_before + 40
    assert result.received.packets >= 55
