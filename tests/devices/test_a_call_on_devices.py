"""Promise: a person at a microphone and a speaker talks with the agent. On real PortAudio."""

from __future__ import annotations

import pytest

from rtc_client import EchoSettings, Microphone, Speaker, connect
from rtc_client.testing import AgentScript, Clip, FakeAnswerer, SpokenTurn
from rtc_client.testing.scenario.script import AtTime
from tests.behaviour.calls import config_for
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS
from tests.cli.command import LIMIT_S, run, running
from tests.devices.driving import assert_arrived
from tests.devices.sound_server import SoundServer

pytestmark = pytest.mark.real_time("sound devices run on a clock of their own")


async def test_both_sides_hear_each_other(sound_server: SoundServer) -> None:
    """What is said into the microphone arrives at the agent, and what the agent says comes out of the speaker."""
    turn = SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.4))
    async with FakeAnswerer(script=AgentScript(turns=[turn])) as answerer:
        with sound_server.listening() as heard:
            config = config_for(answerer, echo=EchoSettings(mode="headphones"), barge_in="off")
            call = connect(config, source=Microphone("desk_micro"), sink=Speaker("desk_speaker"))
            async with call:
                answered = await answerer.wait_for_call()
                with sound_server.saying(CALLER_WORDS) as said:
                    await said.over()
        await answered.ended()

        assert_arrived(CALLER_WORDS, answered.heard)
        assert_arrived(AGENT_WORDS, heard.samples)
    microphone, speaker = sorted(call.result.devices, key=lambda device: device.role)
    assert (microphone.name, speaker.name) == ("desk_microphone", "desk_speaker")
    assert (microphone.losses, speaker.losses, microphone.overflows) == (0, 0, 0)


async def test_the_command_talks_by_the_default_devices(sound_server: SoundServer) -> None:
    """`--in mic --out speaker` is the talking client, and its report says what it talked by."""
    turn = SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.4))
    async with FakeAnswerer(script=AgentScript(turns=[turn])) as answerer:
        devices = ("--in", "mic", "--out", "speaker", "--echo", "headphones", "--barge-in", "off")
        options = ("--base-url", answerer.base_url, *devices, "--json")
        with sound_server.listening() as heard:
            async with running("call", *options, env=sound_server.environment) as command:
                answered = await answerer.wait_for_call(LIMIT_S)
                await answered.wait_heard(0.2)
                with sound_server.saying(CALLER_WORDS) as said:
                    await said.over()
                await answered.hang_up()
                finished = await command.finished()
        assert finished.status == 0
        assert_arrived(CALLER_WORDS, answered.heard)
        assert_arrived(AGENT_WORDS, heard.samples)
    roles = [(device["role"], device["name"]) for device in finished.report["devices"]]
    assert sorted(roles) == [("microphone", "default"), ("speaker", "default")]


async def test_a_microphone_that_is_not_there_is_told_before_the_call(sound_server: SoundServer) -> None:
    """One line, which lists what there is; nothing was sent."""
    async with FakeAnswerer() as answerer:
        options = ("--base-url", answerer.base_url, "--in", "mic:trumpet")
        finished = await run("call", *options, env=sound_server.environment)

    assert finished.status == 2
    assert answerer.calls == []
    (line,) = finished.lines
    assert line.startswith("rtc-client: there is no microphone 'trumpet': choose one of 0 ")
    assert "desk_microphone" in line


async def test_a_transcription_of_the_microphone(sound_server: SoundServer) -> None:
    """`rtc-client transcribe mic:NAME` sends what the microphone hears."""
    async with FakeAnswerer() as answerer:
        options = ("transcribe", "mic:desk_micro", "--base-url", answerer.base_url)
        async with running(*options, env=sound_server.environment) as command:
            answered = await answerer.wait_for_call(LIMIT_S)
            await answered.wait_heard(0.2)
            with sound_server.saying(CALLER_WORDS) as said:
                await said.over()
            await answered.hang_up()
            finished = await command.finished()

        assert finished.status == 0, finished.stderr
        assert_arrived(CALLER_WORDS, answered.heard)
