"""Promise: a media path that does not come up has a named error in good time; one that is merely quiet has none.

In real time: `test_ice_that_never_completes_runs_out_of_time_by_name`.
"""

from __future__ import annotations

import socket

import pytest

from rtc_client import (
    CallState,
    DtlsFailed,
    EndReason,
    IceFailed,
    IceServer,
    MediaError,
    MediaTimeout,
    NoAudioYet,
    connect,
)
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import config_for


async def test_no_sound_for_a_while_is_a_warning_only(answerer: FakeAnswerer) -> None:
    """Told once to every reader; the call goes on, and the agent is heard when it speaks at last."""
    answerer.script = AgentScript(silence="nothing")
    config = config_for(answerer, deadlines={"first_rtp_s": 0.2}, max_duration_s=1.2)

    async with connect(config) as call:
        async for event in call.events():
            if isinstance(event, NoAudioYet):
                break
        assert event == NoAudioYet(after_s=0.2)
        assert call.state is CallState.ACTIVE
        answerer.calls[0].speak(Tone(duration_s=0.4))
        result = await call.wait_ended()
        events = [event async for event in call.events()]

    assert [type(event) for event in events].count(NoAudioYet) == 1
    assert result.error is None
    assert result.received.packets >= 20
    assert result.timings_ms.first_rtp is not None
    assert result.timings_ms.first_rtp > 200


async def test_an_agent_that_sends_at_once_causes_no_warning(answerer: FakeAnswerer) -> None:
    """The first packet in time, even a silent one, is enough."""
    async with connect(config_for(answerer, deadlines={"first_rtp_s": 0.3}, max_duration_s=0.6)) as call:
        events = [event async for event in call.events()]

    assert not any(isinstance(event, NoAudioYet) for event in events)


@pytest.mark.both_clocks
async def test_ice_that_never_completes_runs_out_of_time_by_name(answerer: FakeAnswerer) -> None:
    """Candidates at which nobody is: MediaTimeout names phase and limit, and the server is told."""
    answerer.faults.dead_candidates()
    call = connect(config_for(answerer, deadlines={"connect_s": 0.6}))

    with pytest.raises(MediaTimeout) as timeout:
        async with call:
            pass

    assert (timeout.value.phase, timeout.value.limit_s) == ("ICE", 0.6)
    assert call.result.error is timeout.value
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.NO_MEDIA, "network")
    assert call.result.duration_s is None
    assert answerer.calls[0].hung_up_by_client


async def test_an_answer_for_another_certificate_is_refused(answerer: FakeAnswerer) -> None:
    """A fingerprint that is not the peer's: DtlsFailed, no sound goes out, and the server is told."""
    answerer.faults.wrong_fingerprint()
    call = connect(config_for(answerer))

    with pytest.raises(DtlsFailed):
        async with call:
            pass

    answered = answerer.calls[0]
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.NO_MEDIA
    assert answered.packets_received == 0
    assert answered.hung_up_by_client


async def test_every_media_error_is_one_family() -> None:
    """A program can catch them all at once."""
    assert all(issubclass(error, MediaError) for error in (IceFailed, DtlsFailed, MediaTimeout))


async def test_a_stun_server_that_says_nothing_does_not_keep_a_call_from_its_own_candidates(
    answerer: FakeAnswerer,
) -> None:
    """Gathering is over within its deadline although the STUN server is silent, and the call comes up without it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        server = IceServer(url=f"stun:127.0.0.1:{silent.getsockname()[1]}")
        config = config_for(answerer, ice_servers=(server,), deadlines={"gather_s": 1.5}, max_duration_s=0.1)
        async with connect(config) as call:
            result = await call.wait_ended()

    assert result.error is None
    assert result.timings_ms.gather is not None
    assert result.timings_ms.gather <= 1_600


async def test_the_agents_first_packet_may_come_before_anybody_asks(answerer: FakeAnswerer) -> None:
    """An agent that speaks from the first instant loses nothing but what the codec needs to start."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.5))], silence="nothing")

    async with connect(config_for(answerer, max_duration_s=1.0)) as call:
        result = await call.wait_ended()

    assert result.received.packets >= 25
    assert result.received.lost == 0
