"""Promises about devices that fail: the call goes on in silence, it is told, and they are opened again."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from typing import TypeVar

import pytest

from rtc_client import Call, DeviceLost, DeviceRestored, Microphone, Speaker, connect
from rtc_client.testing import FakeAnswerer
from rtc_client.testing.asserts import assert_tone
from tests.behaviour.calls import config_for
from tests.cli.command import LIMIT_S
from tests.cli.on_terminal import on_terminal
from tests.devices.driving import driven
from tests.devices.sound_server import SoundServer
from tests.devices.tones import tone

pytestmark = pytest.mark.real_time("sound devices run on a clock of their own")

Report = TypeVar("Report", DeviceLost, DeviceRestored)


def saying(pattern: str) -> Callable[[str], object]:
    """Return whether a text says it."""
    return lambda text: re.search(pattern, text)


async def _told(call: Call, kind: type[Report], n: int) -> list[Report]:
    """Return the first `n` reports of a kind among the events of a call."""
    found: list[Report] = []
    async with asyncio.timeout(20):
        async for event in call.events():
            if isinstance(event, kind):
                found.append(event)
                if len(found) == n:
                    break
    return found


async def test_a_device_that_is_pulled_out_and_plugged_in_again(bare_sound_server: SoundServer) -> None:
    """It is told once each time, by events and in the result; meanwhile the agent hears silence, not nothing."""
    server = bare_sound_server
    module = server.plug_in_spare()
    async with FakeAnswerer() as answerer:
        call = connect(config_for(answerer), source=Microphone("spare_micro"), sink=Speaker("spare_speaker"))
        async with call:
            server.pull_out(module)
            lost = await _told(call, DeviceLost, 2)
            server.plug_in_spare()
            back = await _told(call, DeviceRestored, 2)
            with server.saying(tone(500, 1), sink="spare") as said:
                await said.over()
        answered = answerer.calls[0]
        await answered.ended()

    assert {(one.role, one.name, one.message) for one in lost} == {
        ("microphone", "spare_microphone", "the microphone spare_microphone stopped"),
        ("speaker", "spare_speaker", "the speaker spare_speaker stopped"),
    }
    assert {one.role for one in back} == {"microphone", "speaker"}
    assert min(one.silent_s for one in back) > 0.3
    assert [device.losses for device in call.result.devices] == [1, 1]
    assert "lost once" in call.result.as_text()
    assert_tone(answered.heard, 500)


async def test_who_looks_at_the_call_is_told_above_the_live_view(bare_sound_server: SoundServer) -> None:
    """A line when the device goes, a line when it is back; the report says how long it was gone."""
    module = bare_sound_server.plug_in_spare()
    options = ("--in", "mic:spare_micro", "--out", "speaker:spare_speaker")
    async with (
        FakeAnswerer() as answerer,
        on_terminal("call", "--base-url", answerer.base_url, *options) as terminal,
    ):
        await (await answerer.wait_for_call(LIMIT_S)).wait_heard(0.2)
        bare_sound_server.pull_out(module)
        for role in ("microphone", "speaker"):
            await terminal.until(saying(f"spare_{role} stopped; the call goes on, and it is tried again"))
        bare_sound_server.plug_in_spare()
        for role in ("microphone", "speaker"):
            await terminal.until(saying(rf"spare_{role} is back after \d+\.\d s"))
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 130
        await terminal.until(saying(r"microphone spare_microphone.*, lost once, silent for"))


async def test_a_device_that_is_pulled_out_beside_another_one(sound_server: SoundServer) -> None:
    """The sound server goes on with the other one, and so does the sound: at once, or, if that takes it long, anew."""
    module = sound_server.plug_in_spare()
    with sound_server.listening("ear.monitor") as heard:
        async with driven(None, Speaker("spare_speaker"), tone(440, 30)) as both:
            await both.reach(25)
            n_before = len(heard.samples)
            sound_server.pull_out(module)
            await both.reach(75)
            if both.desk.of(DeviceLost):
                await both.desk.until(DeviceRestored)
                await both.reach(both.n_ticks + 50)

    assert_tone(heard.samples[n_before:], 440)


async def test_a_device_that_does_not_open_yet_is_opened_later(sound_server: SoundServer) -> None:
    """The call begins without it."""
    async with driven(Microphone("spare_microphone")) as both:
        lost = await both.desk.until(DeviceLost)
        module = sound_server.plug_in_spare()
        await both.desk.until(DeviceRestored)
        with sound_server.saying(tone(500, 1.5), sink="spare"):
            await both.reach(both.n_ticks + 60)
        assert "spare_microphone" in lost.message
        assert_tone(both.samples, 500)
    sound_server.pull_out(module)


async def test_a_sound_server_that_is_killed_and_comes_back(own_sound_server: SoundServer) -> None:
    """Both devices are lost, the clockwork never waits for them, and both work again afterwards."""
    async with driven(Microphone("desk_microphone"), Speaker("loop_speaker"), tone(440, 30)) as both:
        await both.reach(50)
        own_sound_server.stop(brutally=True)
        await both.desk.until(DeviceLost, 2)
        own_sound_server.start()
        await both.desk.until(DeviceRestored, 2)
        n_before = len(both.samples)
        await both.reach(both.n_ticks + 75)

    assert_tone(both.samples[n_before:], 440)
    assert {record().losses for record in both.desk.records} == {1}
