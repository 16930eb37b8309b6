"""Promises of Microphone and Speaker on real PortAudio: clean sound, known times, and silence at once when asked."""

from __future__ import annotations

import json
import statistics

import numpy as np
import pytest

from rtc_client import (
    AudioDevice,
    DeviceLost,
    Microphone,
    Speaker,
    find_device,
    list_devices,
)
from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.testing.asserts import assert_stopped_within, assert_tone
from rtc_client.testing.sound.measures import locate
from tests.behaviour.speech import CALLER_WORDS
from tests.cli.command import run
from tests.devices.driving import assert_arrived, driven, likenesses, pulses
from tests.devices.sound_server import SoundServer
from tests.devices.tones import tone

pytestmark = pytest.mark.real_time("sound devices run on a clock of their own")


async def test_what_is_played_is_captured(sound_server: SoundServer) -> None:
    """A sentence that goes out of a speaker into a room is what the microphone in it brings, but for what is told."""
    said = np.concatenate((np.zeros(SAMPLE_RATE_HZ // 4, dtype=np.int16), CALLER_WORDS))
    async with driven(Microphone("desk_microphone"), Speaker("loop_speaker"), said) as both:
        await both.reach(125)
        records = [record() for record in both.desk.records]

    assert_arrived(CALLER_WORDS, both.samples)
    at_s = locate(CALLER_WORDS, both.samples).at_ms / 1000
    unlike = [alike for alike in likenesses(CALLER_WORDS, both.samples, at_s) if alike < 0.9]
    assert len(unlike) <= 2 * sum(record.xruns + record.underruns for record in records), (unlike, records)
    assert both.desk.of(DeviceLost) == []


async def test_captured_and_heard_times_agree(sound_server: SoundServer) -> None:
    """A pulse was captured when it was said that it would be heard: by two devices' word, to 15 ms."""
    async with driven(Microphone("desk_microphone"), Speaker("loop_speaker"), pulses(8, 0.25)) as both:
        await both.reach(165)

    # A device of a busy machine may lose a pulse or two.
    pairs = [(heard, caught) for heard in both.pulses for caught in both.caught if 0 < caught[0] - heard[0] < 0.2]
    assert len(both.pulses) == 8
    assert 5 <= len(pairs) <= 8
    differences_s = [captured[1] - heard[1] for heard, captured in pairs]
    assert abs(statistics.median(differences_s)) < 0.015, differences_s
    # What we add on each side is measured by scripts/bench devices; here only that nothing piles up.
    assert statistics.median(captured[0] - heard[0] for heard, captured in pairs) < 0.15, pairs


async def test_what_is_dropped_is_not_heard(sound_server: SoundServer) -> None:
    """After `drop` the speaker is silent within 60 ms; what was not heard is counted, what follows is heard."""
    speaker = Speaker("desk_speaker")
    said = np.concatenate((tone(440, 1.0), np.zeros(SAMPLE_RATE_HZ // 2, dtype=np.int16), tone(880, 0.5)))
    with sound_server.listening() as heard:
        async with driven(None, speaker, said) as both:
            await both.reach(25)
            assert 0 < speaker.queued_samples < SAMPLE_RATE_HZ // 10
            played = speaker.played_samples
            n_dropped = speaker.drop()
            dropped_at = len(heard.samples)
            both._said = np.concatenate((np.zeros(36 * 480, dtype=np.int16), tone(880, 0.6)))
            assert 0 < n_dropped == speaker.dropped_samples < SAMPLE_RATE_HZ // 10
            assert speaker.queued_samples == 0
            assert 0 < played <= 25 * 480 - n_dropped
            await both.reach(80)

    # The recording is some 10 ms behind, as is the device.
    before = heard.samples[: dropped_at + SAMPLE_RATE_HZ // 5]
    assert_stopped_within(before, 60, of_ms=1000 * dropped_at / SAMPLE_RATE_HZ)
    assert_tone(heard.samples, 880)


async def test_devices_are_listed_with_what_they_can_do(sound_server: SoundServer) -> None:
    """Name, direction, channels, rates; the default is marked; what is heard is metered."""
    with sound_server.saying(tone(500, 40)):
        finished = await run("devices", "--json", "--meter-for", "1.5", env=sound_server.environment)
        table = await run("devices", env=sound_server.environment)

    assert finished.status == table.status == 0
    found = {(one["name"], one["direction"]): one for one in json.loads(finished.stdout)["devices"]}
    microphone = found["desk_microphone", "input"]
    assert 48_000 in microphone["usable_rates_hz"]
    assert microphone["sample_rate_hz"] in microphone["usable_rates_hz"]
    assert -30 < microphone["level_dbfs"] < -10
    assert found["default", "output"]["is_default"]
    assert not found["desk_speaker", "output"]["is_default"]
    assert "desk_microphone" in table.stdout
    assert table.stderr == ""


def test_a_device_is_found_by_a_part_of_its_name(sound_server: SoundServer) -> None:
    by_name: AudioDevice = find_device("input", "DESK_mic")

    assert by_name.name == "desk_microphone"
    assert find_device("input", by_name.index) == by_name
    assert find_device("output").name == "default"
    assert by_name in list_devices()
