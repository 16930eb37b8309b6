"""Promises of what is heard while one waits: softly, without a click, never over the agent's voice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from rtc_client.audio.files.reader import read_audio, write_wav
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.sources.hold_sound import HoldSound, comfort_tone, hold_loop
from rtc_client.cli.demo_speech import AGENT_SPEECH
from rtc_client.config import HandoffSettings
from rtc_client.errors import AudioFileUnreadable, ConfigError

SINE: Samples = np.rint(3_000 * np.sin(2 * np.pi * 200 * np.arange(24_000) / SAMPLE_RATE_HZ)).astype(np.int16)
SPEECH = read_audio(AGENT_SPEECH)[4_800:]


class Waiting:
    """Somebody who waits, or does not."""

    def __init__(self) -> None:
        self.is_so = False

    def __call__(self) -> bool:
        return self.is_so


def frames(sound: HoldSound, n_frames: int, agent: Samples = SILENCE) -> Samples:
    """Return what is heard in so many frames, in each of which the agent says the same, or what comes next of it."""
    pieces = [agent[k * FRAME_SAMPLES : (k + 1) * FRAME_SAMPLES] for k in range(n_frames)]
    return np.concatenate([sound.under(piece if len(piece) == FRAME_SAMPLES else SILENCE) for piece in pieces])


def test_nobody_who_waits_hears_nothing_but_the_agent() -> None:
    """Not even a copy is made."""
    sound = HoldSound(SINE, Waiting())

    assert sound.under(SILENCE) is SILENCE
    piece = SPEECH[:FRAME_SAMPLES]
    assert sound.under(piece) is piece


def test_who_waits_hears_it_again_and_again_and_its_end_fades() -> None:
    """The loop has no seam, its beginning and its end no click, and nothing is left behind."""
    waiting = Waiting()
    sound = HoldSound(SINE, waiting)

    waiting.is_so = True
    heard = frames(sound, 150)
    waiting.is_so = False
    faded = frames(sound, 16)

    assert level_dbfs(heard[24_000:]) == pytest.approx(level_dbfs(SINE), abs=0.1)
    own_step = int(np.abs(np.diff(SINE.astype(int))).max())
    assert np.abs(np.diff(np.concatenate([heard, faded]).astype(int))).max() <= own_step + 2
    assert level_dbfs(heard[:FRAME_SAMPLES]) < level_dbfs(SINE) - 20
    assert not faded[-FRAME_SAMPLES:].any()
    assert sound.under(SILENCE) is SILENCE


def test_the_agent_is_not_spoken_over() -> None:
    """Within 0.3 s of his first word only he is heard; his pauses between words are his, and then it comes back."""
    waiting = Waiting()
    waiting.is_so = True
    sound = HoldSound(SINE, waiting)
    frames(sound, 50)

    assert sound.is_alone
    frames(sound, 1, SPEECH)
    assert not sound.is_alone
    spoken = frames(sound, 100, SPEECH)
    after = frames(sound, 60)

    assert np.array_equal(spoken[9_600:], SPEECH[9_600:48_000])
    assert sound.is_alone
    assert level_dbfs(after[:9_600]) < -60
    assert level_dbfs(after[-4_800:]) == pytest.approx(level_dbfs(SINE), abs=0.5)


def test_frames_of_any_length_are_taken() -> None:
    """As a playout gives them."""
    waiting = Waiting()
    waiting.is_so = True
    sound = HoldSound(SINE, waiting)

    heard = [sound.under(np.zeros(n_samples, dtype=np.int16)) for n_samples in (480, 7, 0, 960, 333)]

    assert [len(frame) for frame in heard] == [480, 7, 0, 960, 333]


async def test_a_tone_or_a_file_is_held(tmp_path: Path) -> None:
    """The tone is soft and has no seam; of a file at most five minutes are kept."""
    tone = await hold_loop("tone")
    assert np.array_equal(tone, comfort_tone())
    assert -50 < level_dbfs(tone) < -35
    assert (tone[0], tone[-1]) == (0, 0)

    write_wav(tmp_path / "long.wav", np.tile(SINE, 310))
    assert len(await hold_loop(str(tmp_path / "long.wav"))) == 300 * SAMPLE_RATE_HZ
    with pytest.raises(AudioFileUnreadable, match=r"none\.wav"):
        await hold_loop(tmp_path / "none.wav")


def test_when_it_begins_is_checked() -> None:
    """It is no negative time."""
    with pytest.raises(ConfigError, match="hold_after_s"):
        HandoffSettings(hold="tone", hold_after_s=-1)
