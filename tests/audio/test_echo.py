"""Echo control of a call: which mode is chosen, what aec leaves of an echo and of the caller, and what is told."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio import aec
from rtc_client.audio.echo import EchoCancelled, chosen_mode
from rtc_client.audio.echo_settings import EchoMode, EchoSettings
from rtc_client.audio.echo_warning import EchoHeard
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.played import PlayedSound
from rtc_client.errors import ConfigError
from tests.audio.room import Room, Signal, agent_speech, caller_speech, captured, frames

T0_S = 100.0

needs_aec = pytest.mark.skipif(not aec.is_installed(), reason="the extra aec is not installed")


class Captures:
    """A microphone out of an array; it knows when each frame was captured, except those in `unknown`."""

    def __init__(self, samples: Samples, unknown: frozenset[int] = frozenset()) -> None:
        self._frames = frames(samples)
        self._unknown = unknown
        self.n_read = 0
        self.is_open = False

    async def open(self) -> None:
        self.is_open = True

    async def aclose(self) -> None:
        self.is_open = False

    def read(self) -> Samples | None:
        if self.ended:
            return None
        self.n_read += 1
        return self._frames[self.n_read - 1]

    @property
    def ended(self) -> bool:
        return self.n_read == len(self._frames)

    @property
    def captured_s(self) -> float | None:
        return None if self.n_read - 1 in self._unknown else T0_S + (self.n_read - 1) * FRAME_S


async def through(
    near: Samples, far: Samples, mode: EchoMode, *, unknown: frozenset[int] = frozenset(), **switches: bool
) -> tuple[Samples, list[EchoHeard]]:
    """Return what `EchoCancelled` makes of a microphone beside a loudspeaker, and what it tells."""
    played, told = PlayedSound(), list[EchoHeard]()
    source = EchoCancelled(Captures(near, unknown), played, EchoSettings(mode=mode, **switches), on_heard=told.append)
    await source.open()
    out = []
    for index, frame in enumerate(frames(far)):
        played.add(frame, T0_S + 0.03 + index * FRAME_S)
        sample = source.read()
        assert sample is not None
        out.append(sample)
    await source.aclose()
    return np.concatenate(out), told


def late(far: Samples) -> Samples:
    """Return what `through` plays 30 ms behind what is captured, as it is heard."""
    return np.concatenate((np.zeros(round(0.03 * SAMPLE_RATE_HZ), dtype=np.int16), far))[: len(far)]


def test_auto_is_what_the_machine_can_do(monkeypatch: pytest.MonkeyPatch) -> None:
    """`auto` is aec where its extra is installed, else half-duplex; the others are what they are called."""
    monkeypatch.setattr("rtc_client.audio.echo.is_installed", lambda: True)
    assert chosen_mode(EchoSettings()) == "aec"
    monkeypatch.setattr("rtc_client.audio.echo.is_installed", lambda: False)
    assert chosen_mode(EchoSettings()) == "half-duplex"
    assert chosen_mode(EchoSettings(mode="headphones")) == "headphones"
    assert chosen_mode(EchoSettings(mode="aec")) == "aec"


def test_a_mode_that_does_not_exist_is_refused() -> None:
    """The error names those that do."""
    with pytest.raises(ConfigError, match="one of auto, headphones, half-duplex, aec"):
        EchoSettings(mode="full-duplex")  # type: ignore[arg-type]


async def test_aec_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening fails with one line, and nothing stays open."""
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)  # so says import's own rule: there is no such module
    microphone = Captures(np.tile(SILENCE, 3))
    source = EchoCancelled(microphone, PlayedSound(), EchoSettings(mode="aec"))

    assert not aec.is_installed()
    with pytest.raises(ConfigError, match=r'pip install "rtc-client\[aec\]"'):
        await source.open()
    assert not microphone.is_open


async def test_headphones_change_nothing_and_tell_once() -> None:
    """The microphone passes as it is; an echo that is there all the same is told, with its delay."""
    far = agent_speech(10)
    room = Room(level_db=-10, delay_s=0.06)
    near = captured(room.echo_of(late(far)), room.noise(len(far)))

    out, (heard,) = await through(near, far, "headphones")

    assert np.array_equal(out, near)
    assert heard.mode == "headphones"
    assert heard.delay_s == pytest.approx(0.06, abs=0.002)


async def test_half_duplex_leaves_no_echo_to_tell_of() -> None:
    """What passes is 38 dB weaker, and nobody is warned."""
    far = agent_speech(10)
    room = Room(level_db=-10, delay_s=0.06)
    near = captured(room.echo_of(late(far)), room.noise(len(far)))

    out, told = await through(near, far, "half-duplex")

    assert level_dbfs(out) < level_dbfs(near) - 38
    assert told == []


async def test_only_what_was_captured_is_processed() -> None:
    """Frames of a file in front of the microphone, which were not captured, pass as they are."""
    far = agent_speech(4, pause_s=0)
    near = caller_speech(4)
    unknown = frozenset(range(60, 120))

    out, _ = await through(near, far, "half-duplex", unknown=unknown, break_through=False)

    part = slice(60 * FRAME_SAMPLES, 120 * FRAME_SAMPLES)
    assert np.array_equal(out[part], near[part])
    assert level_dbfs(out[part.stop :]) < level_dbfs(near[part.stop :]) - 30


@needs_aec
@pytest.mark.parametrize(("level_db", "delay_s"), [(-6.0, 0.02), (-12.0, 0.15), (-12.0, 0.3)])
async def test_aec_takes_25_db_off_an_echo_with_double_talk(level_db: float, delay_s: float) -> None:
    """After three seconds 25 dB less of the agent are left, in a call in which both speak at once again and again."""
    far = agent_speech(14)
    room = Room(level_db=level_db, delay_s=delay_s)
    echo = room.echo_of(late(far))
    said = caller_speech(14, pause_s=2.0)
    near = captured(echo, said, room.noise(len(far)))

    out, told = await through(near, far, "aec", noise_suppression=False)

    only_agent = np.repeat(alone(echo, said), FRAME_SAMPLES)
    only_agent[: 3 * SAMPLE_RATE_HZ] = False
    assert only_agent.sum() > SAMPLE_RATE_HZ
    assert level_dbfs(out[only_agent]) < level_dbfs(near[only_agent]) - 25
    assert told == []


@needs_aec
async def test_aec_leaves_the_caller() -> None:
    """Under double talk, the echo as loud as the caller, what is left follows the caller, and not the agent."""
    far = agent_speech(14)
    room = Room(level_db=-3, delay_s=0.08)
    said = caller_speech(14, level_db=-26)
    near = captured(room.echo_of(late(far)), said, room.noise(len(far)))

    out, _ = await through(near, far, "aec")

    assert likeness(near, said)[0] < 0.6
    assert likeness(out, said)[0] > 0.7
    assert likeness(out, far)[0] < 0.3


@needs_aec
async def test_aec_passes_a_caller_who_is_alone() -> None:
    """Without an agent the caller comes out as loud as they went in, to within 1 dB, a little later."""
    said = caller_speech(8, level_db=-23)

    out, told = await through(said, np.zeros_like(said), "aec")

    assert level_dbfs(out) == pytest.approx(level_dbfs(said), abs=1.0)
    assert not np.array_equal(out, said)
    assert likeness(out, said)[0] > 0.95
    assert told == []


def alone(echo: Signal, said: Samples) -> NDArray[np.bool_]:
    """Return in which frames the echo is heard, and no caller within a tenth of a second."""
    speaks = np.array([level_dbfs(frame) > -60 for frame in frames(said)])
    near_by = np.convolve(speaks, np.ones(11), "same") > 0
    heard = np.array([level_dbfs(frame) > -60 for frame in frames(captured(echo))])
    return heard & ~near_by


def likeness(one: Samples, other: Samples) -> tuple[float, int]:
    """Return how well the loudness of `one` follows that of `other` after 3 s, and how many times 5 ms later."""
    first, second = (
        np.sqrt(np.mean(samples[3 * SAMPLE_RATE_HZ :].astype(np.float64).reshape(-1, 120) ** 2, axis=1))
        for samples in (one, other)
    )
    return max((float(np.corrcoef(first[k:], second[: len(second) - k])[0, 1]), k) for k in range(8))
