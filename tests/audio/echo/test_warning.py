"""That the agent hears itself is noticed at any usual level and delay, once, and never with two different speakers."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client.audio.echo.detector import EchoDetector
from rtc_client.audio.echo.warning import EchoDetected, EchoWarning
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from tests.audio.room import Room, agent_speech, caller_speech, captured, frames

SECONDS = 12.0


def findings(near: Samples, far: Samples) -> list[tuple[float, EchoDetected]]:
    """Return what is found, and after how many seconds."""
    trace = EchoDetector()
    warning = EchoWarning(trace, "headphones")
    found = []
    for index, pair in enumerate(zip(frames(near), frames(far), strict=True)):
        trace.add(*pair)
        if (heard := warning.poll()) is not None:
            found.append((index * FRAME_SAMPLES / SAMPLE_RATE_HZ, heard))
    return found


@pytest.mark.parametrize("level_db", [-6.0, -20.0])
@pytest.mark.parametrize("delay_s", [0.01, 0.1, 0.4])
def test_an_echo_is_found_once_with_its_delay_and_level(level_db: float, delay_s: float) -> None:
    """One finding in a whole call, after a few seconds of the agent, with the delay to the millisecond."""
    room = Room(level_db=level_db, delay_s=delay_s)
    played = agent_speech(SECONDS)
    echo = room.echo_of(played)

    ((after_s, heard),) = findings(captured(echo, room.noise(len(played))), played)

    assert after_s < 5
    assert heard.delay_s == pytest.approx(delay_s, abs=0.001)
    assert heard.level_dbfs == pytest.approx(-23 + level_db, abs=8)


def test_an_echo_is_found_under_a_caller_who_speaks_all_the_time() -> None:
    """Double talk, the caller 3 dB above the echo."""
    room = Room(level_db=-6, delay_s=0.08)
    played = agent_speech(SECONDS)
    near = captured(room.echo_of(played), caller_speech(SECONDS, level_db=-26), room.noise(len(played)))

    ((_, heard),) = findings(near, played)

    assert heard.delay_s == pytest.approx(0.08, abs=0.001)


@pytest.mark.parametrize("shift_s", [0.0, 0.7, 1.9])
@pytest.mark.parametrize("swapped", [False, True])
def test_two_speakers_at_once_are_no_echo(shift_s: float, swapped: bool) -> None:
    """Two voices that speak at the same time, for half a minute, are never taken for one and its echo."""
    caller = np.roll(caller_speech(30, level_db=-23), round(shift_s * SAMPLE_RATE_HZ))
    agent = agent_speech(30)
    near, far = (agent, caller) if swapped else (caller, agent)

    assert findings(captured(near), far) == []


def test_an_echo_too_weak_to_matter_is_not_told() -> None:
    """What lies below the level of a voice is not worth a warning: nobody would take it for one."""
    room = Room(level_db=-40, delay_s=0.05, noise_dbfs=-80)
    played = agent_speech(SECONDS)

    assert findings(captured(room.echo_of(played), room.noise(len(played))), played) == []


def test_silence_and_noise_are_no_echo() -> None:
    """A silent or noisy microphone beside a speaking agent is no echo, nor is a speaking caller beside a silent one."""
    n_samples = round(SECONDS) * SAMPLE_RATE_HZ
    silence = np.zeros(n_samples, dtype=np.int16)
    noise = captured(np.random.default_rng(3).normal(0, 800, n_samples))

    assert findings(silence, agent_speech(SECONDS)) == []
    assert findings(noise, agent_speech(SECONDS)) == []
    assert findings(caller_speech(SECONDS), silence) == []
    assert findings(noise, captured(np.random.default_rng(4).normal(0, 800, n_samples))) == []


def test_the_cure_is_named() -> None:
    """Where the canceller was not on, it is the cure; where it was, headphones are."""
    heard = EchoDetected(mode="half-duplex", delay_s=0.1, level_dbfs=-30.0)

    assert "--echo aec" in heard.cure
    assert "headphones" in heard.cure
    assert "aec" not in EchoDetected(mode="aec", delay_s=0.1, level_dbfs=-30.0).cure
