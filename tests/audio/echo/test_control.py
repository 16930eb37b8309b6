"""Echo control of a call: which mode is chosen, what aec leaves of an echo and of the caller, and what is told."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rtc_client.audio.echo.config import EchoMode, EchoSettings
from rtc_client.audio.echo.control import EchoCancelledSource, chosen_mode
from rtc_client.audio.echo.far_end import FarEndReference
from rtc_client.audio.echo.warning import EchoDetected
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.errors import ConfigError
from tests.audio.room import Room, agent_speech, caller_speech, captured, frames

T0_S = 100.0


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
) -> tuple[Samples, list[EchoDetected]]:
    """Return what `EchoCancelledSource` makes of a microphone beside a loudspeaker, and what it tells."""
    played, told = FarEndReference(), list[EchoDetected]()
    source = EchoCancelledSource(
        Captures(near, unknown), played, EchoSettings(mode=mode, **switches), on_heard=told.append
    )
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
    assert chosen_mode(EchoSettings()) == "aec"
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)  # so says import's own rule: there is no such module
    assert chosen_mode(EchoSettings()) == "half-duplex"
    assert chosen_mode(EchoSettings(mode="headphones")) == "headphones"
    assert chosen_mode(EchoSettings(mode="aec")) == "aec"


def test_a_mode_that_does_not_exist_is_refused() -> None:
    """The error names those that do."""
    with pytest.raises(ConfigError, match="one of auto, headphones, half-duplex, aec"):
        EchoSettings(mode="full-duplex")  # type: ignore[arg-type]


async def test_aec_without_its_extra_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening fails with one line, and nothing stays open."""
    monkeypatch.setitem(sys.modules, "pywebrtc_audio", None)
    microphone = Captures(np.tile(SILENCE, 3))
    source = EchoCancelledSource(microphone, FarEndReference(), EchoSettings(mode="aec"))

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
