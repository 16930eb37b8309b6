"""Half duplex: when the microphone is turned down and by how much, and who breaks through."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client.audio.echo.detector import EchoDetector
from rtc_client.audio.echo.half_duplex import ATTACK_S, DUCKED_DB, HANGOVER_FRAMES, RELEASE_FRAMES, Ducking
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, level_dbfs
from tests.audio.room import Room, agent_speech, caller_speech, captured, frames

STEADY = np.full(FRAME_SAMPLES, 1_000, dtype=np.int16)


class HalfDuplex:
    """Ducking with its trace, frame by frame."""

    def __init__(self, *, break_through: bool = True) -> None:
        self._trace = EchoDetector()
        self.ducking = Ducking(self._trace, break_through=break_through)

    def process(self, near: Samples, far: Samples) -> Samples:
        return self.ducking.process(near, *self._trace.add(near, far))

    def run(self, near: Samples, far: Samples) -> tuple[Samples, list[bool]]:
        """Return what was let through, and in which frames the caller broke through."""
        out, through = [], []
        for pair in zip(frames(near), frames(far), strict=True):
            out.append(self.process(*pair))
            through.append(self.ducking.is_through)
        return np.concatenate(out), through


def test_the_microphone_is_untouched_while_the_agent_is_silent() -> None:
    """Without an agent every sample passes as it is."""
    half = HalfDuplex()

    assert all(half.process(STEADY, SILENCE) is STEADY for _ in range(50))
    assert half.ducking.echo_dbfs == FLOOR_DBFS


def test_it_is_turned_down_within_the_frame_in_which_the_agent_begins() -> None:
    """After the attack the microphone is 40 dB weaker, without a step on the way there."""
    half = HalfDuplex()
    half.process(STEADY, SILENCE)
    n_attack = round(ATTACK_S * SAMPLE_RATE_HZ)

    out = half.process(STEADY, STEADY)

    assert out[0] == 1_000
    assert np.all(np.diff(out[:n_attack].astype(int)) < 0)
    assert np.all(out[n_attack:] == round(1_000 * 10 ** (DUCKED_DB / 20)))


def test_what_is_heard_on_hold_turns_nothing_down() -> None:
    """The microphone passes as it is, what may be echo in it is told, and the agent's first sound turns it down."""
    trace = EchoDetector()
    ducking = Ducking(trace)

    for _ in range(20):
        assert ducking.process(STEADY, *trace.add(STEADY, STEADY), is_hold=True) is STEADY
    assert ducking.echo_dbfs == pytest.approx(level_dbfs(STEADY) + ducking.coupling_db, abs=0.1)
    assert ducking.ducked_frames == 0
    assert level_dbfs(ducking.process(STEADY, *trace.add(STEADY, STEADY))[-240:]) < level_dbfs(STEADY) - 39


def test_it_comes_back_after_the_hangover() -> None:
    """240 ms after the agent's last sound the microphone comes back, within 60 ms, without a step."""
    half = HalfDuplex(break_through=False)
    for _ in range(20):
        half.process(STEADY, STEADY)

    levels = [half.process(STEADY, SILENCE) for _ in range(HANGOVER_FRAMES + RELEASE_FRAMES)]
    ducked, released = levels[: HANGOVER_FRAMES - 1], np.concatenate(levels[HANGOVER_FRAMES - 1 :]).astype(int)

    assert all(np.all(frame == 10) for frame in ducked)
    assert 0 <= np.diff(released).min() <= np.diff(released).max() <= 2
    assert released[RELEASE_FRAMES * FRAME_SAMPLES - 1] == 1_000


@pytest.mark.parametrize("level_db", [-3.0, -12.0, -25.0])
@pytest.mark.parametrize("delay_s", [0.02, 0.12])
def test_an_echo_does_not_break_through(level_db: float, delay_s: float) -> None:
    """However loud the loudspeaker is, the agent alone stays 38 dB below what the microphone heard of it."""
    room = Room(level_db=level_db, delay_s=delay_s, noise_dbfs=-90)
    played = agent_speech(12)
    heard = captured(room.echo_of(played), room.noise(len(played)))

    out, through = HalfDuplex().run(heard, played)

    assert not any(through)
    assert level_dbfs(out) < level_dbfs(heard) - 38


def test_an_echo_that_grows_in_the_midst_of_a_call_does_not_break_through() -> None:
    """Turning the volume up by 18 dB is not taken for a caller who speaks up."""
    played = agent_speech(16)
    half_samples = len(played) // 2
    quiet, loud = (Room(level_db=level_db, delay_s=0.05).echo_of(played) for level_db in (-24.0, -6.0))
    heard = captured(np.concatenate((quiet[:half_samples], loud[half_samples:])))

    _, through = HalfDuplex().run(heard, played)

    assert sum(through) == 0


def test_a_caller_who_speaks_up_breaks_through() -> None:
    """Somebody clearly louder than the echo is heard within a third of a second; half a second later it is over."""
    room = Room(level_db=-24, delay_s=0.05)
    played = agent_speech(12)
    said = caller_speech(12, level_db=-20)
    said[: 6 * SAMPLE_RATE_HZ] = 0
    begins = 6 * 50 + int(np.argmax([level_dbfs(frame) > -40 for frame in frames(said[6 * SAMPLE_RATE_HZ :])]))
    heard = captured(room.echo_of(played), said, room.noise(len(played)))
    half = HalfDuplex()

    out, through = half.run(heard, played)

    assert not any(through[:begins])
    assert any(through[begins : begins + 17])
    assert half.ducking.breaks_through >= 1
    let_through = np.repeat(through, FRAME_SAMPLES)
    assert level_dbfs(out[let_through]) == pytest.approx(level_dbfs(heard[let_through]), abs=0.5)


def test_breaking_through_can_be_switched_off() -> None:
    """Without it the microphone stays down while the agent is heard, whoever shouts."""
    played = agent_speech(6, pause_s=0.1)
    said = caller_speech(6, level_db=-10)

    _, through = HalfDuplex(break_through=False).run(captured(said), played)

    assert not any(through)


def test_it_tells_how_loud_an_echo_it_may_be() -> None:
    """The level up to which a frame may be echo is that of the expected echo: ducked, or let through."""
    room = Room(level_db=-12, delay_s=0.02)
    played = agent_speech(8)
    half = HalfDuplex()
    half.run(captured(room.echo_of(played)), played)
    loudest = np.argmax([level_dbfs(frame) for frame in frames(played)])

    out = half.process(frames(captured(room.echo_of(played)))[loudest], frames(played)[loudest])

    assert -14 < half.ducking.coupling_db < -5
    assert half.ducking.echo_dbfs >= level_dbfs(out)
