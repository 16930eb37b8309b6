"""Promises of the file of a call: any player plays it, at any moment, sample by sample where the voices were put."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from rtc_client.audio.codecs.opus_packet import SILENT_STEREO_PACKET
from rtc_client.audio.files.ogg_opus import read_stream
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.files.stereo_alignment import AGENT, CALLER
from rtc_client.audio.files.stereo_recording import FORMATS, RecordingFormat, StereoRecording
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable
from tests.behaviour.recordings import played

CALLER_VOICE, AGENT_VOICE = read_audio(CALLER_SPEECH), read_audio(AGENT_SPEECH)
AGENT_AT = 12_345


def record(file: StereoRecording, until_samples: int) -> None:
    """Put what a call brings every 20 ms, and save four times a second."""
    for start in range(0, until_samples, FRAME_SAMPLES):
        file.put(CALLER, start, CALLER_VOICE[start : start + FRAME_SAMPLES])
        file.put(AGENT, AGENT_AT + start, AGENT_VOICE[start : start + FRAME_SAMPLES])
        if start % 6_000 == 0:
            file.save()


def by_soundfile(path: Path) -> Samples:
    """Return what libsndfile reads: int16, shape `(n, 2)`."""
    samples, rate_hz = soundfile.read(path, dtype="int16")
    assert rate_hz == SAMPLE_RATE_HZ
    return np.asarray(samples)


def alike(one: Samples, other: Samples) -> float:
    n = min(len(one), len(other))
    a, b = one[:n].astype(np.float64), other[:n].astype(np.float64)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


@pytest.mark.parametrize("format", FORMATS)
def test_ffmpeg_and_libsndfile_play_both_voices_where_they_were_put(format: RecordingFormat, tmp_path: Path) -> None:
    """The length is right to the sample, nothing of one voice is in the other channel, no sample off its place."""
    path = tmp_path / f"a.{format}"
    file = StereoRecording(path, format)
    record(file, 96_000)
    file.close(120_007)

    ours = played(path)
    theirs = by_soundfile(path)
    for caller, agent in ((ours.caller, ours.agent), (theirs[:, 0], theirs[:, 1])):
        assert len(caller) == len(agent) == 120_007
        if format != "ogg":
            assert np.array_equal(caller[:96_000], CALLER_VOICE[:96_000])
            assert np.array_equal(agent[AGENT_AT : AGENT_AT + 96_000], AGENT_VOICE[:96_000])
            assert not caller[96_000:].any()
            assert not agent[:AGENT_AT].any()
        else:
            shifted = [alike(caller[10:], CALLER_VOICE[10 + lag : 90_000]) for lag in (-1, 0, 1)]
            assert max(shifted) == shifted[1] > 0.97
            assert alike(agent[AGENT_AT:], AGENT_VOICE[:90_000]) > 0.97
            assert level_dbfs(agent[: AGENT_AT - 480]) < -85
            assert level_dbfs(caller[-12_000:]) < -85


@pytest.mark.parametrize("format", FORMATS)
def test_it_can_be_played_at_any_moment(format: RecordingFormat, tmp_path: Path) -> None:
    """Before it is closed, all but the last moments are there, for either library."""
    path = tmp_path / f"a.{format}"
    file = StereoRecording(path, format)
    record(file, 72_000 + 480)

    n_readable = [len(played(path).caller), len(by_soundfile(path))]

    assert 72_000 - 5_000 <= min(n_readable) <= max(n_readable) <= 72_480
    assert by_soundfile(path)[-12_000:, 1].any()
    file.close(0)


def test_silence_of_both_voices_is_neither_encoded_nor_long(tmp_path: Path) -> None:
    """An hour of it takes less than a megabyte; a voice that speaks again is where it was put, within a sample."""
    path = tmp_path / "a.ogg"
    file = StereoRecording(path, "ogg")
    click = np.zeros(FRAME_SAMPLES, dtype=np.int16)
    click[100:140] = 20_000
    n_frames = 3_600 * 50
    for index in range(n_frames):
        speaks = index % 30_000 == 29_000
        file.put(CALLER, index * FRAME_SAMPLES, click if speaks else SILENCE)
        file.put(AGENT, index * FRAME_SAMPLES, SILENCE)
        if index % 500 == 0:
            file.save()
    file.close(0)

    stream = read_stream(path)
    assert stream.n_samples == n_frames * FRAME_SAMPLES * 2
    assert path.stat().st_size < 1_000_000
    assert [payload for payload, _ in stream.packets].count(SILENT_STEREO_PACKET) > n_frames - 60
    last = [n for n, (payload, _) in enumerate(stream.packets) if payload != SILENT_STEREO_PACKET][-6:]
    assert abs(last[0] - (29_000 + 5 * 30_000)) <= 1  # in the 60th minute, where it was 3580 s before
    assert soundfile.info(path).frames == n_frames * FRAME_SAMPLES
    with soundfile.SoundFile(path) as opened:
        opened.seek((29_000 + 5 * 30_000) * FRAME_SAMPLES - SAMPLE_RATE_HZ)
        around = opened.read(2 * SAMPLE_RATE_HZ, dtype="int16")[:, 0].astype(np.int32)
    assert int(np.argmax(np.abs(around) > 5_000)) == pytest.approx(SAMPLE_RATE_HZ + 100, abs=2)


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process can grow beyond 40 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
@pytest.mark.parametrize("format", FORMATS)
def test_what_was_written_before_the_disk_was_full_can_be_played(format: RecordingFormat, tmp_path: Path) -> None:
    """The system's refusal is an OSError of `save`; closing does not hide the file, nor leave it open."""
    path = tmp_path / f"a.{format}"
    file = StereoRecording(path, format)
    noise = np.random.default_rng(3).integers(-9_000, 9_000, 20 * SAMPLE_RATE_HZ, dtype=np.int16)
    with pytest.raises(OSError, match="too large"):
        for start in range(0, len(noise), 6_000):
            for voice in (CALLER, AGENT):
                file.put(voice, start, noise[start : start + 6_000])
            file.save()
    with pytest.raises(OSError, match="too large"):
        file.close(len(noise))

    assert path.stat().st_size <= 40_000
    assert len(by_soundfile(path)) >= 6_000
    assert len(played(path).caller) >= 6_000


@pytest.mark.parametrize("format", FORMATS)
def test_a_file_that_cannot_be_made_is_refused(format: Any, tmp_path: Path) -> None:
    """A folder of that name, or a folder that is not there, is told at once."""
    for path in (tmp_path, tmp_path / "missing" / "a"):
        with pytest.raises(AudioFileUnreadable, match="cannot be written"):
            StereoRecording(path, format)


@pytest.mark.parametrize("format", FORMATS)
def test_a_call_without_sound_leaves_a_file(format: Any, tmp_path: Path) -> None:
    """It is empty, and no player fails on it; closing twice changes nothing."""
    path = tmp_path / f"a.{format}"
    file = StereoRecording(path, format)
    file.close(0)

    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) in (0, FRAME_SAMPLES * 2)  # an empty packet
