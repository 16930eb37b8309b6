"""Promise: at real devices each voice of a recording lies where it was captured, and where it was heard."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtc_client import CallRecorder, EchoSettings, Microphone, NumpySink, Speaker, TeeSink, connect
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn
from tests.behaviour.calls import config_for
from tests.behaviour.recordings import played
from tests.behaviour.speech import AGENT_WORDS, locate
from tests.devices.sound_server import SoundServer

pytestmark = pytest.mark.real_time("sound devices run on a clock of their own")


async def test_what_the_microphone_hears_of_the_speaker_lies_beside_it(
    sound_server: SoundServer, tmp_path: Path
) -> None:
    """The agent's words fill a room in no time: at one instant they are heard and captured, in both channels; later
    than they were handed to the speaker, and earlier than they were sent to the agent."""
    turn = SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.4))
    recorder, handed, sent = CallRecorder(tmp_path, format="wav"), NumpySink(), NumpySink()
    async with FakeAnswerer(script=AgentScript(turns=[turn])) as answerer:
        call = connect(
            config_for(answerer, echo=EchoSettings(mode="headphones"), barge_in="off", max_duration_s=2.2),
            source=Microphone("desk_microphone"),
            sink=TeeSink(handed, Speaker("loop_speaker")),
            caller_sink=sent,
            recorder=recorder,
        )
        async with call:
            await call.wait_ended()

    recording = played(recorder.audio_path)
    captured, heard = locate(AGENT_WORDS, recording.caller), locate(AGENT_WORDS, recording.agent)
    assert min(captured.likeness, heard.likeness) > 0.8
    assert captured.at_s == pytest.approx(heard.at_s, abs=0.02)
    assert heard.at_s > locate(AGENT_WORDS, handed.samples).at_s + 0.005
    assert captured.at_s < locate(AGENT_WORDS, sent.samples).at_s - 0.015
