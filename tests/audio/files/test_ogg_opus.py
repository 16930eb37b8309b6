"""Promises of Ogg/Opus files: others can read them, every sound lies where it belongs, and a cut-off file plays."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rtc_client.audio.codecs.opus import OpusEncoder, OpusError
from rtc_client.audio.codecs.opus_packet import MIN_PACKET_SAMPLES, SILENT_PACKET, frame_bounds, packet_samples
from rtc_client.audio.files.ogg_opus import VENDOR, OggOpusWriter, read_ogg_opus, read_stream
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable

PTIME_SAMPLES = 960
SILK_60_MS = bytes([3 << 3]) + bytes(20)
CELT_2_5_MS = b"\xe0\xff\xfe"


@pytest.fixture(scope="module")
def speech() -> list[bytes]:
    """One second of a voice, all of it loud, in packets of 20 ms."""
    samples = read_audio(CALLER_SPEECH)[SAMPLE_RATE_HZ // 2 :][:SAMPLE_RATE_HZ]
    encoder = OpusEncoder()
    return [encoder.encode(samples[i : i + FRAME_SAMPLES]) for i in range(0, len(samples), FRAME_SAMPLES)]


def packets_by_pyav(path: Path) -> list[bytes]:
    """Read with FFmpeg, which we did not write."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


def duration_by_pyav(path: Path) -> int:
    """Return the samples, at 48 kHz, that FFmpeg decodes."""
    with av.open(str(path)) as container:
        return sum(frame.samples for frame in container.decode(container.streams.audio[0]))


def found_at(part: Samples, whole: Samples) -> float:
    """Return the second of `whole` at which `part` sounds."""
    n = 1 << (len(whole) + len(part)).bit_length()
    score = np.fft.irfft(np.fft.rfft(whole.astype(float), n) * np.conj(np.fft.rfft(part.astype(float), n)), n)
    return float(np.argmax(score[: len(whole)])) / SAMPLE_RATE_HZ


def padded(n_bytes: int) -> bytes:
    """Return a valid packet of 20 ms of that length, most of it padding."""
    n_padding = n_bytes - 4
    lengths = b"\xff" * (n_padding // 255)
    rest = n_padding - 255 * len(lengths) - 1
    if rest < 0:
        lengths, rest = lengths[:-1], rest + 255
        return bytes([0xFB, 0x41]) + lengths + bytes([rest]) + b"\xff\xfe" + bytes(254 * len(lengths) + rest)
    return bytes([0xFB, 0x41]) + lengths + bytes([rest]) + b"\xff\xfe" + bytes(254 * len(lengths) + rest)


# What others make of our files


def test_packets_come_out_unchanged(speech: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with OggOpusWriter(path, comments={"TITLE": "größer = besser"}) as writer:
        for payload in speech * 3:
            assert writer.write(payload)

    assert packets_by_pyav(path) == speech * 3
    assert read_ogg_opus(path) == [(payload, PTIME_SAMPLES) for payload in speech * 3]
    assert read_stream(path).comments == {"TITLE": "größer = besser"}
    assert read_stream(path).vendor == VENDOR
    with av.open(str(path)) as container:
        assert container.streams.audio[0].metadata["TITLE"] == "größer = besser"


def test_pre_skip_and_end_cut_the_sound_to_what_was_encoded(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    samples = read_audio(AGENT_SPEECH)[: SAMPLE_RATE_HZ * 2 + 77]
    encoder = OpusEncoder(signal="music")
    lookahead_samples = encoder.lookahead_samples
    needed = np.pad(samples, (0, -(len(samples) + lookahead_samples) % FRAME_SAMPLES + lookahead_samples))
    writer = OggOpusWriter(path, pre_skip_samples=2 * lookahead_samples)
    for i in range(0, len(needed), FRAME_SAMPLES):
        writer.write(encoder.encode(needed[i : i + FRAME_SAMPLES]))
    writer.close(end_samples=2 * (len(samples) + lookahead_samples))

    assert duration_by_pyav(path) == 2 * len(samples)
    heard = read_audio(path)
    assert len(heard) == len(samples)
    assert np.corrcoef(heard.astype(float), samples.astype(float))[0, 1] > 0.98


@pytest.mark.parametrize("n_bytes", [5, 254, 255, 256, 258, 259, 509, 510, 511, 1275, 4000, 60_000, 255 * 254])
def test_packets_of_any_length_fit(n_bytes: int, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    payloads = [SILENT_PACKET, padded(n_bytes), SILENT_PACKET, *[padded(n_bytes)] * 3]
    assert frame_bounds(payloads[1])[0][1] == 2
    assert len(payloads[1]) == n_bytes
    with OggOpusWriter(path) as writer:
        for payload in payloads:
            writer.write(payload)

    assert packets_by_pyav(path) == payloads
    assert [payload for payload, _ in read_ogg_opus(path)] == payloads


def test_a_file_without_packets_is_a_moment_of_silence(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    OggOpusWriter(path).close()

    assert not read_audio(path).any()


# Gaps


@pytest.mark.parametrize("start_s", [0, 0.02, 0.5, 3.3])
@pytest.mark.parametrize("gap_s", [0.02, 0.1, 0.4, 1.0, 1.02, 7.13])
def test_sound_lies_at_the_right_time_whatever_the_gaps(
    start_s: float, gap_s: float, speech: list[bytes], tmp_path: Path
) -> None:
    plain, gappy = tmp_path / "plain.ogg", tmp_path / "gappy.ogg"
    with OggOpusWriter(plain) as writer:
        for payload in speech:
            writer.write(payload)
    with OggOpusWriter(gappy) as writer:
        for begin_s in (start_s, start_s + 1 + gap_s):
            for i, payload in enumerate(speech):
                assert writer.write(payload, round(begin_s * 48_000) + i * PTIME_SAMPLES)

    alone, heard = read_audio(plain), read_audio(gappy)
    expected_s = start_s + 2 + gap_s
    assert duration_by_pyav(gappy) == round(expected_s * 48_000)
    half = len(heard) - round((1 + gap_s / 2) * SAMPLE_RATE_HZ)
    assert found_at(alone, heard[:half]) == pytest.approx(start_s, abs=0.001)
    assert found_at(alone, heard[half:]) + half / SAMPLE_RATE_HZ == pytest.approx(start_s + 1 + gap_s, abs=0.001)
    assert not heard[: round(start_s * SAMPLE_RATE_HZ)].any()


def test_a_short_gap_is_concealed_and_a_long_one_is_silent(speech: list[bytes], tmp_path: Path) -> None:
    paths = {gap_s: tmp_path / f"{gap_s}.ogg" for gap_s in (0.04, 3.0)}
    for gap_s, path in paths.items():
        with OggOpusWriter(path) as writer:
            for payload in speech:
                writer.write(payload)
            writer.write(speech[0], 48_000 + round(gap_s * 48_000))

    short, long = read_audio(paths[0.04]), read_audio(paths[3.0])

    assert packets_by_pyav(paths[0.04])[50:52] == [bytes([speech[-1][0] & 0xFC])] * 2
    assert np.abs(short[SAMPLE_RATE_HZ:][:FRAME_SAMPLES].astype(int)).max() > 100
    assert not long[round(1.2 * SAMPLE_RATE_HZ) : round(3.9 * SAMPLE_RATE_HZ)].any()


@given(
    st.lists(
        st.tuples(
            st.sampled_from([SILENT_PACKET, CELT_2_5_MS, SILK_60_MS, b"\xf9\xff\xfe\xff\xfe", b"\xfc\xff\xfe"]),
            st.one_of(st.integers(-3_000, 3_000), st.integers(0, 200_000)),
        ),
        max_size=30,
    )
)
@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_packet_lies_within_2_5_ms_of_its_time_or_is_left_out(
    tmp_path: Path, packets: list[tuple[bytes, int]]
) -> None:
    path = tmp_path / "a.ogg"
    asked_samples = 0
    with OggOpusWriter(path) as writer:
        for payload, gap_samples in packets:
            asked_samples += gap_samples
            before_samples = writer.end_samples
            if writer.write(payload, asked_samples):
                at_samples = writer.end_samples - packet_samples(payload)
                assert abs(at_samples - asked_samples) < MIN_PACKET_SAMPLES
                asked_samples += packet_samples(payload)
            else:
                assert asked_samples <= before_samples - MIN_PACKET_SAMPLES
                assert writer.end_samples == before_samples

    assert sum(n_samples for _, n_samples in read_ogg_opus(path)) == writer.end_samples
    assert read_stream(path).n_samples == writer.end_samples
    assert duration_by_pyav(path) == writer.end_samples


def test_rounding_of_positions_does_not_add_up(tmp_path: Path) -> None:
    with OggOpusWriter(tmp_path / "a.ogg") as writer:
        for i in range(1, 1_000):
            assert writer.write(SILENT_PACKET, i * (PTIME_SAMPLES + 50))
            assert abs(writer.end_samples - i * (PTIME_SAMPLES + 50) - PTIME_SAMPLES) < MIN_PACKET_SAMPLES


def test_a_malformed_packet_is_refused_and_moves_nothing(speech: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with OggOpusWriter(path) as writer:
        for i, payload in enumerate(speech):
            for malformed in (b"", b"\x4b", b"\xff\x7f\xff", padded(255 * 254 + 1)):
                with pytest.raises(OpusError):
                    writer.write(malformed, i * PTIME_SAMPLES)
            writer.write(payload, i * PTIME_SAMPLES)

    assert packets_by_pyav(path) == speech


# Files that end early


def test_a_killed_writer_leaves_a_file_that_plays_up_to_the_last_second(tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    code = (
        "import sys, time; from rtc_client.audio.files.ogg_opus import OggOpusWriter; w = OggOpusWriter(sys.argv[1])\n"
        "for i in range(333): w.write(b'\\xf8\\xff\\xfe')\n"
        "print('written', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)

    written_s = 333 * 0.02
    assert written_s - 1.03 <= duration_by_pyav(path) / 48_000 <= written_s
    assert written_s - 1.03 <= len(read_audio(path)) / SAMPLE_RATE_HZ <= written_s
    assert set(read_ogg_opus(path)) == {(SILENT_PACKET, PTIME_SAMPLES)}


def test_flush_hands_over_all_but_the_last_packet(speech: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with OggOpusWriter(path) as writer:
        for payload in speech[:7]:
            writer.write(payload)
        writer.flush()
        assert packets_by_pyav(path) == speech[:6]
        writer.flush()
        assert len(read_ogg_opus(path)) == 6
    assert packets_by_pyav(path) == speech[:7]


def test_a_file_cut_off_anywhere_gives_its_whole_pages_or_one_error(speech: list[bytes], tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole.ogg", tmp_path / "cut.ogg"
    with OggOpusWriter(whole) as writer:
        for payload in speech:
            writer.write(payload)
            writer.flush()
    content = whole.read_bytes()

    for n_bytes in range(0, len(content), 13):
        cut.write_bytes(content[:n_bytes])
        try:
            payloads = [payload for payload, _ in read_ogg_opus(cut)]
        except AudioFileUnreadable:
            assert n_bytes < 200
        else:
            assert payloads == speech[: len(payloads)]


def test_a_flipped_bit_is_found(speech: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    with OggOpusWriter(path) as writer:
        for payload in speech[:3]:
            writer.write(payload)
    content = path.read_bytes()

    for at in range(0, len(content), 3):
        path.write_bytes(content[:at] + bytes([content[at] ^ 16]) + content[at + 1 :])
        try:
            assert [payload for payload, _ in read_ogg_opus(path)] == speech[:3][: len(read_ogg_opus(path))]
        except AudioFileUnreadable:
            continue


@given(st.binary(max_size=300), st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_no_ogg_file_is_one_error(tmp_path: Path, content: bytes, is_ogg_at_first: bool) -> None:
    path = tmp_path / "a.ogg"
    path.write_bytes((CALLER_SPEECH.read_bytes()[:47] if is_ogg_at_first else b"") + content)
    with pytest.raises(AudioFileUnreadable):
        read_ogg_opus(path)


def test_missing_files_and_folders_are_said_to_be_that(tmp_path: Path) -> None:
    with pytest.raises(AudioFileUnreadable, match="does not exist"):
        read_ogg_opus(tmp_path / "none.ogg")
    with pytest.raises(AudioFileUnreadable, match="not a regular file"):
        read_ogg_opus(tmp_path)
    with pytest.raises(AudioFileUnreadable, match="cannot be written"):
        OggOpusWriter(tmp_path / "none" / "a.ogg")
    with pytest.raises(AudioFileUnreadable, match="no space"):
        OggOpusWriter("/dev/full")


@pytest.mark.parametrize("path", [CALLER_SPEECH, AGENT_SPEECH])
def test_files_of_others_are_read_as_ffmpeg_reads_them(path: Path) -> None:
    stream = read_stream(path)

    assert [payload for payload, _ in stream.packets] == packets_by_pyav(path)
    assert stream.n_samples == duration_by_pyav(path)
    assert stream.pre_skip_samples == 312


@contextmanager
def files_no_longer_than(n_bytes: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_told_and_leaves_whole_pages(speech: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    writer = OggOpusWriter(path)
    with files_no_longer_than(10_000), pytest.raises(OSError, match="large"):
        for payload in speech * 10:
            writer.write(payload)
    assert 5_000 < path.stat().st_size < 10_000
    n_before = len(read_ogg_opus(path))

    writer.close()  # there is room again

    assert n_before > 100
    assert [payload for payload, _ in read_ogg_opus(path)][: n_before + 50] == (speech * 10)[: n_before + 50]
