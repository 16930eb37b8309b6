"""What mode aec leaves of an echo and of the caller, also where rooms and clocks move."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.echo import canceller as aec
from rtc_client.audio.echo.adaptive_filter import AdaptiveEchoFilter
from rtc_client.audio.echo.canceller import EchoCanceller
from rtc_client.audio.echo.config import EchoSettings
from rtc_client.audio.echo.control import EchoControl
from rtc_client.audio.echo.residual_suppressor import DELAY_SAMPLES, ResidualEchoSuppressor
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from tests.audio.room import Room, Signal, agent_speech, caller_speech, captured, frames

PLAIN = EchoSettings(mode="aec", noise_suppression=False)

pytestmark = pytest.mark.skipif(not aec.is_installed(), reason="the extra aec is not installed")


@pytest.mark.parametrize(
    "room",
    [
        Room(level_db=-6, delay_s=0.04),
        Room(level_db=-12, delay_s=0.4),
        Room(level_db=-12, delay_s=0.1, rt60_s=0.6),
        Room(level_db=-20, delay_s=0.1),
    ],
    ids=["loud", "late", "reverberant", "soft"],
)
def test_an_echo_is_30_db_weaker_and_the_caller_over_it_is_understood(room: Room) -> None:
    """Both speak at once again and again; after three seconds, where only the agent speaks, it is 30 dB weaker."""
    far = agent_speech(14)
    said = caller_speech(14, pause_s=2.0)
    echo = room.echo_of(far)
    near = captured(echo, said, room.noise(len(far)))

    out, is_warned = through(near, far)

    only_agent = alone(echo, said)
    assert only_agent.sum() > SAMPLE_RATE_HZ
    assert level_dbfs(out[only_agent]) < level_dbfs(near[only_agent]) - 30
    assert likeness(out, said) > 0.9
    assert likeness(out, far) < 0.3
    assert not is_warned


def test_a_caller_who_is_as_loud_as_the_echo_comes_through() -> None:
    """Under double talk all the time, what is left follows the caller, and not the agent."""
    far = agent_speech(14)
    room = Room(level_db=-3, delay_s=0.08)
    said = caller_speech(14, level_db=-26)
    near = captured(room.echo_of(far), said, room.noise(len(far)))

    out, _ = through(near, far)

    assert likeness(near, said) < 0.6
    assert likeness(out, said) > 0.85
    assert likeness(out, far) < 0.3


def test_a_room_that_changes_is_learned_again() -> None:
    """Somebody turns the laptop and the volume up: two seconds later the echo is 25 dB weaker again."""
    far = agent_speech(16)
    before, after = Room(level_db=-12, delay_s=0.05), Room(level_db=-6, delay_s=0.06, seed=7)
    half = 8 * SAMPLE_RATE_HZ
    echo = np.concatenate((before.echo_of(far)[:half], after.echo_of(far)[half:]))
    near = captured(echo, before.noise(len(far)))

    out, _ = through(near, far)

    later = slice(half + 2 * SAMPLE_RATE_HZ, None)
    assert level_dbfs(out[later]) < level_dbfs(near[later]) - 25


def test_two_clocks_that_wander_apart_are_followed() -> None:
    """Microphone and loudspeaker go up to 100 ppm apart, to and fro, as resamplers do that keep rings filled."""
    far = agent_speech(14)
    room = Room(level_db=-12, delay_s=0.05)
    places = np.arange(len(far)) + 2.4 * np.sin(2 * np.pi * np.arange(len(far)) / SAMPLE_RATE_HZ)
    echo = resampled(room.echo_of(far), places)
    near = captured(echo, room.noise(len(far)))

    out, _ = through(near, far)

    settled = slice(4 * SAMPLE_RATE_HZ, None)
    assert level_dbfs(out[settled]) < level_dbfs(near[settled]) - 20


def test_without_an_echo_the_caller_passes() -> None:
    """Nothing is played: our own canceller changes no sample, and what comes out is as loud as what went in."""
    said = caller_speech(4, level_db=-23)
    echo_filter, suppressor = AdaptiveEchoFilter(), ResidualEchoSuppressor()

    out, _ = through(said, np.zeros_like(said))
    ours = np.concatenate([suppressor.process(echo_filter.process(frame, SILENCE)) for frame in frames(said)])

    assert np.array_equal(ours[DELAY_SAMPLES:], said[:-DELAY_SAMPLES])
    assert level_dbfs(out) == pytest.approx(level_dbfs(said), abs=1.0)
    # What AEC3 gives out, which is heard here, lies where ours does: they may be faded into each other.
    pieces = [likeness_at(out, said, DELAY_SAMPLES + lag) for lag in (-2, -1, 0, 1, 2)]
    assert max(pieces) == pieces[2] > 0.9


def likeness_at(out: Samples, said: Samples, delay_samples: int) -> float:
    """Return the correlation of what came out with what was said so much earlier, from the second second on."""
    late, early = (
        samples[SAMPLE_RATE_HZ + delay : 3 * SAMPLE_RATE_HZ + delay].astype(float)
        for samples, delay in ((out, delay_samples), (said, 0))
    )
    return float(np.dot(late, early) / np.sqrt(np.dot(late, late) * np.dot(early, early)))


def test_clocks_that_run_apart_fast_are_left_to_aec3() -> None:
    """Two devices 800 ppm apart, as their resamplers may be at first: AEC3, which follows, is heard."""
    far = agent_speech(14)
    room = Room(level_db=-6, delay_s=0.1)
    places = np.linspace(0, (1 - 800e-6) * (len(far) - 1), len(far))
    near = captured(resampled(room.echo_of(far), places), room.noise(len(far)))

    out, _ = through(near, far)

    settled = slice(4 * SAMPLE_RATE_HZ, None)
    assert level_dbfs(out[settled]) < level_dbfs(near[settled]) - 12


def test_noise_suppression_takes_noise_and_leaves_the_caller() -> None:
    """A noise of -50 dBFS is 6 dB weaker between what is said, and the caller as loud as before."""
    said = caller_speech(10, level_db=-23, pause_s=2.0)
    near = captured(said, Room(level_db=-6, delay_s=0, noise_dbfs=-50).noise(len(said)))
    canceller = EchoCanceller(EchoSettings(mode="aec"))

    silence = np.zeros(FRAME_SAMPLES, dtype=np.int16)
    out = np.concatenate([canceller.process(frame, silence) for frame in frames(near)])

    settled = slice(4 * SAMPLE_RATE_HZ, None)
    speaks = np.array([level_dbfs(frame) > -60 for frame in frames(said)])
    quiet = np.repeat(np.convolve(speaks, np.ones(31), "same") == 0, FRAME_SAMPLES)
    quiet[: settled.start] = False
    assert level_dbfs(out[quiet]) < level_dbfs(near[quiet]) - 6
    assert level_dbfs(out[settled]) == pytest.approx(level_dbfs(said[settled]), abs=1.0)


def through(near: Samples, far: Samples) -> tuple[Samples, bool]:
    """Return what comes out, and whether it was told that the agent is heard."""
    control, out, is_warned = EchoControl(PLAIN), [], False
    for pair in zip(frames(near), frames(far), strict=True):
        out.append(control.process(*pair))
        is_warned |= control.poll() is not None
    return np.concatenate(out), is_warned


def alone(echo: Signal, said: Samples) -> NDArray[np.bool_]:
    """Return by sample where, after 3 s, the echo is heard and no caller within a tenth of a second."""
    speaks = np.array([level_dbfs(frame) > -60 for frame in frames(said)])
    near_by = np.convolve(speaks, np.ones(11), "same") > 0
    heard = np.array([level_dbfs(frame) > -60 for frame in frames(captured(echo))])
    only = np.repeat(heard & ~near_by, FRAME_SAMPLES)
    only[: 3 * SAMPLE_RATE_HZ] = False
    return only


def resampled(signal: Signal, places: Signal) -> Signal:
    """Return a signal at places between its samples, interpolated eightfold."""
    spectrum = np.fft.rfft(signal)
    finer = np.fft.irfft(spectrum, 8 * len(signal)) * 8
    return np.interp(places * 8, np.arange(len(finer)), finer)


def likeness(one: Samples, other: Samples) -> float:
    """Return how well the loudness of `one` follows that of `other` after 3 s, up to 40 ms later."""
    first, second = (
        np.sqrt(np.mean(samples[3 * SAMPLE_RATE_HZ :].astype(np.float64).reshape(-1, 120) ** 2, axis=1))
        for samples in (one, other)
    )
    return max(float(np.corrcoef(first[k:], second[: len(second) - k])[0, 1]) for k in range(8))
