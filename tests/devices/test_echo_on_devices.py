"""Promise: an agent whose speaker plays into the microphone does not hear itself. On real PortAudio."""

from __future__ import annotations

import pytest

from rtc_client import EchoSettings, Microphone, Speaker, connect
from rtc_client.audio.echo import canceller as aec
from rtc_client.audio.echo.config import EchoMode
from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn
from tests.behaviour.calls import config_for
from tests.behaviour.speech import AGENT_WORDS
from tests.devices.sound_server import SoundServer

pytestmark = pytest.mark.real_time("sound devices run on a clock of their own")

needs_aec = pytest.mark.skipif(not aec.is_installed(), reason="the extra aec is not installed")


@pytest.mark.parametrize(("mode", "weaker_db"), [("half-duplex", 30), pytest.param("aec", 8, marks=needs_aec)])
async def test_the_agent_does_not_hear_itself(sound_server: SoundServer, mode: EchoMode, weaker_db: float) -> None:
    """What comes back is that much weaker than what was said, although a loaded sound server stumbles now and then."""
    turn = SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.4))
    async with FakeAnswerer(script=AgentScript(turns=[turn])) as answerer:
        config = config_for(answerer, echo=EchoSettings(mode=mode), barge_in="off", max_duration_s=3.5)
        with sound_server.listening("room.monitor") as room:
            async with connect(config, source=Microphone("desk_micro"), sink=Speaker("loop_speaker")) as call:
                await call.wait_ended()
        (answered,) = answerer.calls
        await answered.ended()

    assert level_dbfs(room.samples) > -40
    assert level_dbfs(answered.heard) < level_dbfs(room.samples) - weaker_db
