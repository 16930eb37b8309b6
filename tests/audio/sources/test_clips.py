"""Promises of clips: encoded once, played the same by every call, and a cache is never mistaken for another."""

from __future__ import annotations

import shutil
import threading
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from rtc_client.audio.codecs.opus import OpusDecoder, has_fec, packet_samples
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.files.ogg_opus import OggOpusWriter
from rtc_client.audio.files.reader import read_audio, write_wav
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.sources import clips
from rtc_client.audio.sources.base import PacketSource
from rtc_client.audio.sources.basic import SilenceSource
from rtc_client.audio.sources.clips import ClipEncoding, ClipSource, OpusClip
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable, ConfigError

QUICK = ClipEncoding(complexity=2)  # below that there is no FEC at this bit rate


@pytest.fixture(scope="module")
def clip() -> OpusClip:
    return OpusClip.from_file(CALLER_SPEECH, encoding=QUICK)


@pytest.fixture
def encodings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every clip that is encoded."""
    made: list[int] = []
    encode = clips._encode

    def counted(samples: Samples, encoding: ClipEncoding) -> Any:
        made.append(len(samples))
        return encode(samples, encoding)

    monkeypatch.setattr(clips, "_encode", counted)
    return made


def decoded(clip: OpusClip) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload) for payload in clip.packets])


def test_a_clip_holds_all_of_a_file_in_packets_of_20_ms(clip: OpusClip) -> None:
    samples = read_audio(CALLER_SPEECH)

    assert clip.n_samples == len(samples)
    assert clip.n_frames == -(-(len(samples) + clip.lookahead_samples) // FRAME_SAMPLES)
    assert clip.duration_s == pytest.approx(clip.n_frames * 0.02)
    assert {packet_samples(clip.packet(i)) for i in range(clip.n_frames)} == {960}
    with pytest.raises(IndexError):
        clip.packet(clip.n_frames)
    heard = decoded(clip)[clip.lookahead_samples :][: len(samples)]
    assert np.corrcoef(heard.astype(float), samples.astype(float))[0, 1] > 0.85
    assert sum(map(has_fec, clip.packets)) > clip.n_frames / 2
    assert "4." in repr(clip)


def test_settings_have_effect(clip: OpusClip) -> None:
    plain = OpusClip.from_file(CALLER_SPEECH, encoding=ClipEncoding(complexity=2, loss_ratio=0, bit_rate=16_000))

    assert not any(map(has_fec, plain.packets))
    assert sum(map(len, plain.packets)) < 0.7 * sum(map(len, clip.packets))
    with pytest.raises(ConfigError):
        OpusClip.from_file(CALLER_SPEECH, encoding=ClipEncoding(bit_rate=1))


def test_an_array_of_any_rate_and_shape_becomes_a_clip() -> None:
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(48_000) / 48_000)

    one = OpusClip.from_array(tone, 48_000, encoding=QUICK)
    other = OpusClip.from_array(np.stack([tone, tone], axis=1).astype(np.float32), 48_000, encoding=QUICK)

    assert one.n_samples == SAMPLE_RATE_HZ
    assert one.packets == other.packets
    spectrum = np.abs(np.fft.rfft(decoded(one)[6_000:18_000].astype(float)))
    assert np.argmax(spectrum) * 2 == 440
    with pytest.raises(ConfigError):
        OpusClip.from_array(np.zeros(0))


def test_the_shortest_sound_is_a_clip() -> None:
    clip = OpusClip.from_array(np.ones(1, dtype=np.int16), encoding=QUICK)
    assert (clip.n_samples, clip.n_frames) == (1, 1)


# Files


def test_a_saved_clip_is_loaded_as_it_was_and_others_play_it(clip: OpusClip, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    clip.save(path)

    loaded = OpusClip.load(path)

    assert loaded.packets == clip.packets
    assert (loaded.n_samples, loaded.lookahead_samples) == (clip.n_samples, clip.lookahead_samples)
    with av.open(str(path)) as container:
        assert sum(frame.samples for frame in container.decode(audio=0)) == 2 * clip.n_samples
    said, heard = read_audio(CALLER_SPEECH), read_audio(path)
    assert np.corrcoef(heard.astype(float), said.astype(float))[0, 1] > 0.85
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_others_in_packets_of_20_ms_is_a_clip() -> None:
    loaded = OpusClip.load(AGENT_SPEECH)

    assert abs(loaded.n_samples - len(read_audio(AGENT_SPEECH))) <= 1
    assert loaded.lookahead_samples == 156


def test_what_is_no_clip_is_refused(clip: OpusClip, tmp_path: Path) -> None:
    with pytest.raises(AudioFileUnreadable, match="does not exist"):
        OpusClip.load(tmp_path / "none.ogg")
    write_wav(tmp_path / "a.wav", np.ones(480, dtype=np.int16))
    with pytest.raises(AudioFileUnreadable, match="Ogg"):
        OpusClip.load(tmp_path / "a.wav")
    with OggOpusWriter(tmp_path / "short.ogg") as writer:
        writer.write(b"\xf0\xff\xfe")
    with pytest.raises(AudioFileUnreadable, match="20 ms"):
        OpusClip.load(tmp_path / "short.ogg")
    with pytest.raises(AudioFileUnreadable, match="cannot be written"):
        clip.save(tmp_path / "none" / "a.ogg")


# The cache


def test_a_cache_is_used_while_content_and_settings_are_the_same(tmp_path: Path, encodings: list[int]) -> None:
    source, cache = tmp_path / "prompt.ogg", tmp_path / "cache.ogg"
    shutil.copy(CALLER_SPEECH, source)
    first = OpusClip.from_file(source, cache=cache, encoding=QUICK)

    again = OpusClip.from_file(source, cache=cache, encoding=QUICK)
    moved = OpusClip.from_file(shutil.copy(source, tmp_path / "elsewhere.ogg"), cache=cache, encoding=QUICK)

    assert len(encodings) == 1
    assert first.packets == again.packets == moved.packets
    assert first.n_samples == again.n_samples

    OpusClip.from_file(source, cache=cache, encoding=ClipEncoding(complexity=2, bit_rate=20_000))
    assert len(encodings) == 2
    OpusClip.from_file(source, cache=cache, encoding=QUICK)
    assert len(encodings) == 3
    shutil.copy(AGENT_SPEECH, source)
    other = OpusClip.from_file(source, cache=cache, encoding=QUICK)
    assert len(encodings) == 4
    assert OpusClip.load(cache).packets == other.packets


def test_an_array_is_cached_too(tmp_path: Path, encodings: list[int]) -> None:
    cache = tmp_path / "cache.ogg"
    samples = read_audio(CALLER_SPEECH)[:24_000]
    for _ in range(3):
        OpusClip.from_array(samples, cache=cache, encoding=QUICK)
    assert len(encodings) == 1
    OpusClip.from_array(samples, 48_000, cache=cache, encoding=QUICK)
    OpusClip.from_array(samples[:-1], 48_000, cache=cache, encoding=QUICK)
    assert len(encodings) == 3


def test_a_damaged_cache_is_made_anew(tmp_path: Path, encodings: list[int]) -> None:
    cache = tmp_path / "cache.ogg"
    whole = OpusClip.from_file(CALLER_SPEECH, cache=cache, encoding=QUICK)
    content = cache.read_bytes()

    for damaged in (b"", content[:300], content[:5_000] + b"\x00" + content[5_001:]):
        cache.write_bytes(damaged)
        assert OpusClip.from_file(CALLER_SPEECH, cache=cache, encoding=QUICK).packets == whole.packets
        assert cache.read_bytes() == content
    assert len(encodings) == 4


def test_a_truncated_cache_is_not_taken_for_a_shorter_clip(tmp_path: Path) -> None:
    cache = tmp_path / "cache.ogg"
    whole = OpusClip.from_file(CALLER_SPEECH, cache=cache, encoding=QUICK)
    content = cache.read_bytes()
    pages = [at for at in range(len(content)) if content.startswith(b"OggS", at)]

    for at in pages[2:]:
        cache.write_bytes(content[:at])
        assert OpusClip.from_file(CALLER_SPEECH, cache=cache, encoding=QUICK).packets == whole.packets


def test_only_a_clip_is_overwritten(tmp_path: Path) -> None:
    recording, wav, source = tmp_path / "call.ogg", tmp_path / "a.wav", tmp_path / "prompt.ogg"
    with OggOpusWriter(recording) as writer:
        writer.write(SILENT_PACKET)
    write_wav(wav, np.ones(480, dtype=np.int16))
    OpusClip.from_file(CALLER_SPEECH, encoding=QUICK).save(source)

    for path in (recording, wav, source):
        content = path.read_bytes()
        with pytest.raises(ConfigError, match="name another file"):
            OpusClip.from_file(source, cache=path, encoding=QUICK)
        assert path.read_bytes() == content


def test_a_cache_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(AudioFileUnreadable, match="cannot be written"):
        OpusClip.from_file(CALLER_SPEECH, cache=tmp_path / "none" / "a.ogg", encoding=QUICK)
    with pytest.raises(AudioFileUnreadable, match="cannot be read"):
        OpusClip.from_file(CALLER_SPEECH, cache=tmp_path, encoding=QUICK)


def test_a_source_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "none.wav"):
        with pytest.raises(AudioFileUnreadable, match="cannot be read"):
            OpusClip.from_file(path)


def test_many_may_fill_one_cache_at_once(tmp_path: Path) -> None:
    cache = tmp_path / "cache.ogg"
    made: list[OpusClip] = []
    threads = [
        threading.Thread(target=lambda: made.append(OpusClip.from_file(CALLER_SPEECH, cache=cache, encoding=QUICK)))
        for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({clip.packets for clip in made}) == 1
    assert len(made) == 5
    assert OpusClip.load(cache).packets == made[0].packets
    assert list(tmp_path.iterdir()) == [cache]


# Sources


async def test_a_source_hands_out_the_packets_of_its_clip_and_ends(clip: OpusClip) -> None:
    source = ClipSource(clip)
    await source.open()
    assert not source.ended

    taken = [source.read_packet() for _ in range(clip.n_frames)]

    assert tuple(taken) == clip.packets
    assert source.ended
    assert source.read_packet() is None
    assert source.read() is None
    await source.aclose()


async def test_a_source_is_also_a_source_of_samples(clip: OpusClip) -> None:
    source = ClipSource(clip)
    await source.open()

    frames = []
    while (frame := source.read()) is not None:
        assert frame.shape == (FRAME_SAMPLES,)
        frames.append(frame)

    assert np.array_equal(np.concatenate(frames), decoded(clip))
    assert source.ended
    await source.aclose()


async def test_a_source_can_repeat_for_ever(clip: OpusClip) -> None:
    source = ClipSource(clip, repeat=True)
    await source.open()

    taken = [source.read_packet() for _ in range(3 * clip.n_frames + 5)]

    assert tuple(taken) == clip.packets * 3 + clip.packets[:5]
    assert not source.ended
    await source.aclose()
    assert source.ended
    assert source.read_packet() is None


async def test_sources_of_one_clip_do_not_disturb_each_other(clip: OpusClip) -> None:
    one, other = ClipSource(clip), ClipSource(clip)
    await one.open()
    await other.open()
    first = [one.read_packet() for _ in range(10)]
    assert [other.read_packet() for _ in range(10)] == first
    await one.aclose()
    assert other.read_packet() == clip.packet(10)
    await other.aclose()


async def test_a_source_serves_one_call(clip: OpusClip) -> None:
    source = ClipSource(clip)
    await source.open()
    with pytest.raises(ConfigError, match="one call"):
        await source.open()


def test_who_sends_can_tell_a_source_of_packets(clip: OpusClip) -> None:
    assert isinstance(ClipSource(clip), PacketSource)
    assert not isinstance(SilenceSource(), PacketSource)


def test_nothing_is_decoded_unless_samples_are_asked_for(clip: OpusClip, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips, "OpusDecoder", None)
    source = ClipSource(clip)
    assert all(source.read_packet() for _ in range(clip.n_frames))
