"""Promises of what the answerer keeps of a caller's sound; no event loop."""

from __future__ import annotations

import numpy as np

from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import Tone
from rtc_client.testing.scenario.voices import tone_samples
from rtc_client.testing.sound.heard_audio import EchoLine, HeardAudio


def block(value: int, n_samples: int = 960) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    return np.full(n_samples, value, dtype=np.int16)


def test_frames_lie_where_their_timestamps_say() -> None:
    """A hole is silence, and what follows is not moved forward."""
    heard = HeardAudio()
    heard.place(5_000, block(1000, 4_800))
    heard.place(5_000 + 9_600, block(1000, 4_800))

    samples = heard.samples()

    assert len(samples) == 7_200
    assert level_dbfs(samples[200:2_200]) > -31
    assert level_dbfs(samples[2_600:4_600]) < -60
    assert level_dbfs(samples[5_000:7_000]) > -31


def test_a_new_stream_goes_behind_the_old_one() -> None:
    """A jump of the timestamp by hours does not make hours of silence, nor one backward lose sound."""
    heard = HeardAudio()
    for timestamp in (0, 1 << 32, (1 << 32) + 960, 17):
        heard.place(timestamp, block(1))

    assert len(heard.samples()) == 4 * 480


def test_memory_is_bounded() -> None:
    """Beyond the limit frames are counted and dropped."""
    heard = HeardAudio(limit_s=1.0)
    for n in range(60):
        heard.place(n * 960, block(1))

    assert len(heard.samples()) == 24_000
    assert heard.n_frames == 60
    assert heard.n_frames_dropped == 10


def test_an_echo_comes_back_after_its_delay() -> None:
    """Silence until then, the sound afterwards."""
    line = EchoLine(0.1)
    sound = np.repeat(tone_samples(Tone(duration_s=0.5)), 2)
    frames = [sound[n : n + 960] for n in range(0, len(sound), 960)]

    back = []
    for n, frame in enumerate(frames):
        line.push(frame, n * 0.02)
        back.append(level_dbfs(line.pop(n * 0.02)) > -40)

    assert back.index(True) in (5, 6, 7)
    assert all(back[7:])


def test_an_echo_is_whole_though_its_frames_came_in_bursts() -> None:
    """Arrivals may waver by as much as the delay."""
    line = EchoLine(0.1)
    sound = np.repeat(tone_samples(Tone(duration_s=2.0)), 2)
    frames = [sound[n : n + 960] for n in range(0, len(sound), 960)]

    back = []
    for n in range(0, len(frames), 4):
        for frame in frames[n : n + 4]:
            line.push(frame, n * 0.02)
        back += [level_dbfs(line.pop((n + m) * 0.02)) > -40 for m in range(4)]

    assert all(back[7:])


def test_an_echo_that_nobody_plays_does_not_grow() -> None:
    """Its memory is that of its delay."""
    line = EchoLine(0.1)
    for n in range(1_000):
        line.push(block(1), n * 0.02)

    assert len(line._frames) == 30
