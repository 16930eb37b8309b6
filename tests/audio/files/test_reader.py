"""Promises of reading audio files and writing WAV; what we write is read back by the standard library."""

from __future__ import annotations

import os
import wave
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.files.reader import AudioFileReader, WavWriter, read_audio, write_wav
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.errors import AudioFileUnreadable


def beep(rate_hz: int) -> NDArray[np.float64]:
    """A second of silence, then two of a sine with peak 0.9."""
    t = np.arange(3 * rate_hz) / rate_hz
    return 0.9 * np.sin(2 * np.pi * 440 * t) * (t >= 1)


def encode(path: Path, codec: str, rate_hz: int, layout: str, audio: NDArray[Any], sample_format: str) -> None:
    """Write planar or packed `audio` with PyAV."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=rate_hz, layout=layout)
        assert isinstance(stream, av.AudioStream)
        frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(audio), format=sample_format, layout=layout)
        frame.sample_rate = rate_hz
        frame.pts, frame.time_base = 0, Fraction(1, rate_hz)
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def read_wave(path: Path) -> Samples:
    """Read with the standard library, which we did not write."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE_HZ)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


@pytest.mark.parametrize(
    ("name", "codec", "rate_hz", "n_channels"),
    [
        ("a.wav", "pcm_s16le", 44_100, 2),
        ("a.wav", "pcm_s16le", 24_000, 1),
        ("a.wav", "pcm_mulaw", 8_000, 1),
        ("a.flac", "flac", 48_000, 6),
        ("a.mp3", "mp3", 44_100, 2),
        ("a.ogg", "libopus", 48_000, 2),
    ],
)
def test_any_file_is_heard_at_its_time_and_level(
    tmp_path: Path, name: str, codec: str, rate_hz: int, n_channels: int
) -> None:
    """Whatever format, rate and channels: same duration, same moment, same level, and no clipping by mixing down."""
    path = tmp_path / name
    audio = np.repeat((beep(rate_hz) * 32767).astype(np.int16)[:, np.newaxis], n_channels, axis=1)
    layout = {1: "mono", 2: "stereo", 6: "5.1"}[n_channels]
    planar = codec == "mp3"
    encode(path, codec, rate_hz, layout, audio.T if planar else audio.reshape(1, -1), "s16p" if planar else "s16")

    samples = read_audio(path)

    assert samples.dtype == np.int16
    assert abs(len(samples) - 3 * SAMPLE_RATE_HZ) <= 1
    onset = int(np.argmax(np.abs(samples) > 3000))
    assert onset / SAMPLE_RATE_HZ == pytest.approx(1.0, abs=0.002)
    assert level_dbfs(samples[30_000:60_000]) == pytest.approx(-3.93, abs=0.5)


def test_opposite_channels_of_a_float_file_are_averaged(tmp_path: Path) -> None:
    """Stereo at full scale in one channel comes out at half scale, not at 0.7."""
    path = tmp_path / "a.wav"
    audio = np.stack([np.full(48_000, 0.5), np.zeros(48_000)]).astype(np.float32)
    encode(path, "pcm_f32le", 48_000, "stereo", audio.T.reshape(1, -1), "flt")

    assert read_audio(path)[12_000] == pytest.approx(0.25 * 32768, abs=8)


def test_blocks_of_the_reader_are_the_file_and_stay_small(tmp_path: Path) -> None:
    """A long file comes in pieces that add up to the whole, so no file needs its length in memory."""
    path = tmp_path / "long.wav"
    sound = np.random.default_rng(1).integers(-9000, 9000, 10 * SAMPLE_RATE_HZ).astype(np.int16)
    write_wav(path, sound)

    with AudioFileReader(path) as reader:
        blocks = list(reader)

    assert max(map(len, blocks)) <= SAMPLE_RATE_HZ
    assert np.array_equal(np.concatenate(blocks), sound)


def test_tags_in_an_odd_encoding_do_not_keep_a_file_from_being_read(tmp_path: Path) -> None:
    """Sound matters, a broken title does not."""
    path = tmp_path / "latin1.wav"
    write_wav(path, np.ones(2400, dtype=np.int16))
    info = b"LIST" + (16).to_bytes(4, "little") + b"INFOINAM" + (4).to_bytes(4, "little") + b"\xe4\xf6\xfc\0"
    path.write_bytes(path.read_bytes() + info)

    assert len(read_audio(path)) == 2400


def test_a_file_may_change_its_rate_midway(tmp_path: Path) -> None:
    """Two MP3 files of different rates, one appended to the other, keep the duration of both."""
    for name, rate_hz in (("a.mp3", 44_100), ("b.mp3", 22_050)):
        encode(tmp_path / name, "mp3", rate_hz, "mono", (beep(rate_hz) * 32767).astype(np.int16)[np.newaxis], "s16p")
    both = tmp_path / "both.mp3"
    both.write_bytes((tmp_path / "a.mp3").read_bytes() + (tmp_path / "b.mp3").read_bytes())

    samples = read_audio(both)

    assert len(samples) == pytest.approx(6 * SAMPLE_RATE_HZ, abs=0.2 * SAMPLE_RATE_HZ)
    assert level_dbfs(samples[-24_000:-4_800]) == pytest.approx(-3.93, abs=0.5)


def test_a_damaged_packet_is_left_out_and_counted(tmp_path: Path) -> None:
    """Damage in the middle costs that part only."""
    path = tmp_path / "a.mp3"
    encode(path, "mp3", 44_100, "mono", (beep(44_100) * 32767).astype(np.int16)[np.newaxis, :], "s16p")
    data = bytearray(path.read_bytes())
    data[9000:9600] = np.random.default_rng(4).bytes(600)
    path.write_bytes(data)

    with AudioFileReader(path) as reader:
        n_samples = sum(map(len, reader))

    assert n_samples > 2.5 * SAMPLE_RATE_HZ
    assert reader.damaged_packets > 0


def test_each_unusable_file_is_named_in_one_clear_line(tmp_path: Path) -> None:
    """Every way for a file to be no audio has one exception, whose line names the file and says what is wrong."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("this is no sound\n" * 999)
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(3).bytes(20_000))
    write_wav(tmp_path / "zero.wav", np.zeros(0, dtype=np.int16))
    os.mkfifo(tmp_path / "pipe")
    with av.open(tmp_path / "video.mp4", "w") as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width = stream.height = 64
        for packet in (*stream.encode(av.VideoFrame(64, 64, "yuv420p")), *stream.encode(None)):
            container.mux(packet)
    for name, n_channels, rate_hz in (("slow.wav", 1, 100), ("crowd.wav", 9, 8_000)):
        with wave.open(str(tmp_path / name), "wb") as file:
            file.setparams((n_channels, 2, rate_hz, 0, "NONE", ""))
            file.writeframes(bytes(2 * n_channels * 1_000))
    wrong = {
        "slow.wav": "100 Hz is not a sample rate",
        "crowd.wav": "9 channels",
        "missing.wav": "does not exist",
        "folder": "is a folder",
        "empty.wav": "is empty",
        "text.wav": "is not an audio file",
        "noise.mp3": "is not an audio file",
        "zero.wav": "holds no audio",
        "pipe": "is not a regular file",
        "video.mp4": "has no audio stream",
        "nul\0.wav": "cannot be read",
    }
    for name, reason in wrong.items():
        with pytest.raises(AudioFileUnreadable) as caught:
            read_audio(tmp_path / name)
        text = str(caught.value)
        assert text.startswith(f"{tmp_path / name} ")
        assert reason in text
        assert "\n" not in text


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    """A file we may not read is refused before the call."""
    write_wav(tmp_path / "secret.wav", np.ones(10, dtype=np.int16))
    (tmp_path / "secret.wav").chmod(0)

    with pytest.raises(AudioFileUnreadable, match="permission denied"):
        read_audio(tmp_path / "secret.wav")


def test_an_address_is_never_fetched() -> None:
    """A URL is a file name like any other: nothing goes over the network."""
    with pytest.raises(AudioFileUnreadable, match="does not exist"):
        read_audio("http://127.0.0.1:9/a.wav")


def test_a_reader_that_was_closed_stays_closed(tmp_path: Path) -> None:
    """Closing ends a reader for good, whatever it was doing, so that no order of calls leaves a file open."""
    write_wav(tmp_path / "a.wav", np.ones(99_999, dtype=np.int16))
    reader = AudioFileReader(tmp_path / "a.wav")
    reader.open()
    reader.close()
    reader.close()

    assert reader.read_block() is None
    with pytest.raises(ValueError, match="closed"):
        reader.open()


def test_a_written_wav_is_read_back_by_others(tmp_path: Path) -> None:
    """Every sample arrives, extremes included."""
    sound = np.array([0, 1, -1, 32767, -32768], dtype=np.int16)

    write_wav(tmp_path / "a.wav", sound)

    assert np.array_equal(read_wave(tmp_path / "a.wav"), sound)


def test_a_wav_being_written_is_playable_and_at_most_a_second_short(tmp_path: Path) -> None:
    """A process killed in the midst of a call leaves a valid file."""
    frame = np.full(480, 7, dtype=np.int16)
    with WavWriter(tmp_path / "a.wav") as writer:
        assert len(read_wave(tmp_path / "a.wav")) == 0
        for n_frames in range(1, 176):
            writer.append(frame)
            assert n_frames * 480 - SAMPLE_RATE_HZ < len(read_wave(tmp_path / "a.wav")) <= n_frames * 480

    assert len(read_wave(tmp_path / "a.wav")) == 175 * 480


def test_a_wav_that_cannot_be_created_is_refused(tmp_path: Path) -> None:
    """A missing folder, or a folder in the file's place, is said at once."""
    with pytest.raises(AudioFileUnreadable, match="no such file"):
        WavWriter(tmp_path / "missing" / "a.wav")
    with pytest.raises(AudioFileUnreadable, match="directory"):
        WavWriter(tmp_path)
