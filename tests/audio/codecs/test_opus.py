"""Promises of Opus: speech comes through, FEC and concealment do what they say, and no bytes bring it down."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtc_client.audio.codecs import libopus
from rtc_client.audio.codecs.opus import (
    MAX_PAYLOAD_BYTES,
    OpusDecoder,
    OpusEncoder,
    OpusError,
    Signal,
    has_fec,
    is_dtx,
    libopus_version,
    packet_samples,
)
from rtc_client.audio.codecs.opus_packet import frame_bounds, frame_samples
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, Samples
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.errors import ConfigError, OpusUnavailable

SILK_STEREO_20_MS = 0b01001_1_00
ALL_DURATIONS_48K = {120, 240, 480, 960, 1920, 2880}


@pytest.fixture(scope="module")
def speech() -> Samples:
    return read_audio(CALLER_SPEECH)


def frames_of(samples: Samples, n_samples: int = FRAME_SAMPLES) -> list[Samples]:
    return [samples[i : i + n_samples] for i in range(0, len(samples) - n_samples + 1, n_samples)]


def encoded(samples: Samples, **settings: Any) -> list[bytes]:
    encoder = OpusEncoder(**settings)
    return [encoder.encode(frame) for frame in frames_of(samples)]


def decoded(payloads: list[bytes]) -> Samples:
    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def correlation(a: NDArray[Any], b: NDArray[Any]) -> float:
    return float(np.corrcoef(a.ravel().astype(float), b.ravel().astype(float))[0, 1])


def snr_db(said: Samples, heard: Samples) -> float:
    signal = said.astype(float)
    return float(10 * np.log10(np.sum(signal**2) / np.sum((signal - heard) ** 2)))


def spectra_db(samples: Samples) -> NDArray[np.float64]:
    """Power over time and frequency, above the level of a quiet room."""
    windows = np.lib.stride_tricks.sliding_window_view(samples, 512)[::256] * np.hanning(512)
    spectra: NDArray[np.float64] = 10 * np.log10(1e3 + np.abs(np.fft.rfft(windows)) ** 2)
    return spectra


def bit_rate(payloads: list[bytes]) -> float:
    return sum(map(len, payloads)) * 8 / (len(payloads) * 0.02)


# Round trips


@pytest.mark.parametrize("path", [CALLER_SPEECH, AGENT_SPEECH])
def test_speech_comes_out_as_it_went_in_and_in_its_place(path: Path) -> None:
    samples = read_audio(path)
    delay_samples = OpusEncoder().lookahead_samples
    assert delay_samples == 156  # 6.5 ms

    # A high-pass filter turns the phase of a voice, so its waveform says less than its spectrum.
    voice = decoded(encoded(samples))[delay_samples:]
    assert correlation(samples[: len(voice)], voice) > 0.85
    assert correlation(spectra_db(samples[: len(voice)]), spectra_db(voice)) > 0.95

    music = decoded(encoded(samples, signal="music"))[delay_samples:]
    assert correlation(samples[: len(music)], music) > 0.98
    assert snr_db(samples[: len(music)], music) > 15


@pytest.mark.parametrize("sample_rate_hz", [8_000, 12_000, 16_000, 24_000, 48_000])
def test_every_rate_of_opus_is_encoded_and_decoded_in_20_ms(sample_rate_hz: int) -> None:
    n_samples = sample_rate_hz // 50
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 / sample_rate_hz * np.arange(50 * n_samples))).astype(np.int16)
    encoder, decoder = OpusEncoder(sample_rate_hz=sample_rate_hz), OpusDecoder(sample_rate_hz=sample_rate_hz)

    heard = np.concatenate([decoder.decode(encoder.encode(frame)) for frame in frames_of(tone, n_samples)])

    assert heard.dtype == np.int16
    assert heard.shape == tone.shape
    assert (
        correlation(
            tone[n_samples * 10 : -n_samples], heard[n_samples * 10 + encoder.lookahead_samples :][: 39 * n_samples]
        )
        > 0.9
    )
    assert len(decoder.conceal()) == n_samples


def test_bit_rate_and_complexity_and_signal_have_effect(speech: Samples) -> None:
    low, high = encoded(speech, bit_rate=16_000), encoded(speech, bit_rate=64_000)

    assert bit_rate(low) < 18_000
    assert bit_rate(high) > 50_000
    assert encoded(speech, complexity=0) != encoded(speech, complexity=9)
    assert {payload[0] for payload in encoded(speech, signal="music")} != {payload[0] for payload in low}


def test_bit_rate_can_change_midway(speech: Samples) -> None:
    frames = frames_of(speech)
    encoder = OpusEncoder(bit_rate=16_000)
    before = [encoder.encode(frame) for frame in frames]
    encoder.set_bit_rate(64_000)

    after = [encoder.encode(frame) for frame in frames]

    assert bit_rate(after) > 2 * bit_rate(before)


def test_reset_makes_a_new_stream_and_keeps_the_settings(speech: Samples) -> None:
    frames = frames_of(speech)[:50]
    encoder = OpusEncoder(bit_rate=20_000)
    first = [encoder.encode(frame) for frame in frames]

    encoder.reset()

    assert [encoder.encode(frame) for frame in frames] == first
    decoder = OpusDecoder()
    heard = [decoder.decode(payload) for payload in first]
    decoder.reset()
    assert all(np.array_equal(decoder.decode(payload), was) for payload, was in zip(first, heard, strict=True))


def test_encode_into_writes_what_encode_returns_and_nothing_beside_it(speech: Samples) -> None:
    out = bytearray(b"\xaa" * 1_400)
    encoder = OpusEncoder()

    for frame, payload in zip(frames_of(speech), encoded(speech), strict=True):
        n_bytes = encoder.encode_into(frame, out, 12)
        assert out[12 : 12 + n_bytes] == payload
        assert out[:12] == b"\xaa" * 12
    assert out[12 + MAX_PAYLOAD_BYTES :] == b"\xaa" * (1_400 - 12 - MAX_PAYLOAD_BYTES)


def test_encode_into_takes_any_writable_buffer_and_changes_between_them(speech: Samples) -> None:
    frames = frames_of(speech)
    outs: list[Any] = [bytearray(1_300), memoryview(bytearray(1_300)), ctypes.create_string_buffer(1_300)]
    encoder = OpusEncoder()

    taken = [
        bytes(outs[i % 3])[:n] for i, frame in enumerate(frames) for n in [encoder.encode_into(frame, outs[i % 3])]
    ]

    assert taken == encoded(speech)


def test_a_packet_is_made_to_fit_the_room_there_is(speech: Samples) -> None:
    out = bytearray(40)
    encoder = OpusEncoder()

    lengths = [encoder.encode_into(frame, out, 10) for frame in frames_of(speech)]

    assert max(lengths) <= 30


@pytest.mark.parametrize("offset", [-1, 40, 41])
def test_no_room_is_refused_before_anything_is_written(offset: int) -> None:
    out = bytearray(40)
    with pytest.raises(ValueError, match="cannot be put"):
        OpusEncoder().encode_into(SILENCE, out, offset)
    assert out == bytearray(40)


def test_read_only_memory_is_refused() -> None:
    with pytest.raises(TypeError, match="writable"):
        OpusEncoder().encode_into(SILENCE, memoryview(bytes(40)))


@pytest.mark.parametrize("n_samples", [0, 1, 240, 479, 481, 960])
def test_anything_but_20_ms_is_refused(n_samples: int) -> None:
    with pytest.raises(ValueError, match="20 ms"):
        OpusEncoder().encode(np.zeros(n_samples, dtype=np.int16))


def test_samples_of_another_type_are_refused() -> None:
    with pytest.raises(TypeError):
        OpusEncoder().encode(np.zeros(FRAME_SAMPLES, dtype=np.float32))


@pytest.mark.parametrize(
    "settings",
    [
        {"sample_rate_hz": 44_100},
        {"bit_rate": 500},
        {"bit_rate": 600_000},
        {"complexity": 11},
        {"complexity": -1},
        {"loss_ratio": 1.1},
        {"loss_ratio": -0.1},
        {"loss_ratio": float("nan")},
        {"signal": "noise"},
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        OpusEncoder(**settings)


def test_a_decoder_refuses_a_rate_that_opus_does_not_know() -> None:
    with pytest.raises(ConfigError, match="44100"):
        OpusDecoder(sample_rate_hz=44_100)


# Loss


def heard_with_loss(payloads: list[bytes], *, use_fec: bool) -> tuple[Samples, list[int]]:
    """Decode a stream of which every tenth packet is lost; return its sound, and which frames were lost."""
    decoder = OpusDecoder()
    heard, lost = [], []
    for i, payload in enumerate(payloads):
        if i % 10 != 5 or i + 1 == len(payloads):
            heard.append(decoder.decode(payload))
            continue
        recovered = decoder.decode_fec(payloads[i + 1]) if use_fec else None
        if use_fec and recovered is None:
            heard.append(decoder.conceal())
            continue
        heard.append(decoder.conceal() if recovered is None else recovered)
        if has_fec(payloads[i + 1]):
            lost.append(i)
    return np.concatenate(heard), lost


def test_fec_recovers_a_lost_frame_far_better_than_concealment(speech: Samples) -> None:
    payloads = encoded(speech, loss_ratio=0.1)
    whole = frames_of(decoded(payloads))

    with_fec, lost = heard_with_loss(payloads, use_fec=True)
    without, lost_too = heard_with_loss(payloads, use_fec=False)

    assert lost == lost_too
    assert len(lost) > 12
    truth = np.concatenate([whole[i] for i in lost])
    by_fec = correlation(truth, np.concatenate([frames_of(with_fec)[i] for i in lost]))
    by_plc = correlation(truth, np.concatenate([frames_of(without)[i] for i in lost]))
    assert by_fec > 0.85
    assert by_fec > by_plc + 0.15


def test_packets_carry_fec_only_when_loss_is_expected_and_fec_is_on(speech: Samples) -> None:
    assert not any(map(has_fec, encoded(speech)))
    assert not any(map(has_fec, encoded(speech, fec=False, loss_ratio=0.1)))
    assert sum(map(has_fec, encoded(speech, loss_ratio=0.1))) > 100


def test_the_loss_ratio_can_change_midway(speech: Samples) -> None:
    frames = frames_of(speech)
    encoder = OpusEncoder()
    for frame in frames:
        encoder.encode(frame)
    encoder.set_loss_ratio(0.1)

    assert any(has_fec(encoder.encode(frame)) for frame in frames)


def test_a_packet_without_fec_has_nothing_to_recover(speech: Samples) -> None:
    decoder = OpusDecoder()
    assert all(decoder.decode_fec(payload) is None for payload in encoded(speech)[:20])
    assert decoder.decode_fec(b"") is None


def test_concealment_goes_on_where_the_sound_was_and_fades_out(speech: Samples) -> None:
    payloads = encoded(speech)
    decoder = OpusDecoder()
    loudest = max(range(len(payloads)), key=lambda i: float(np.abs(frames_of(speech)[i].astype(float)).mean()))
    before = [decoder.decode(payload) for payload in payloads[: loudest + 2]][-1]

    concealed = [np.abs(decoder.conceal().astype(float)).mean() for _ in range(25)]

    assert concealed[0] > 0.3 * np.abs(before.astype(float)).mean()
    assert concealed[-1] < 0.02 * concealed[0]


@pytest.mark.parametrize("n_samples", [60, 120, 240, 480, 960, 2880])
def test_any_duration_of_a_packet_can_be_concealed(n_samples: int) -> None:
    assert OpusDecoder().conceal(n_samples).shape == (n_samples,)


@pytest.mark.parametrize("n_samples", [-480, 0, 1, 479, 2940, 3000])
def test_other_durations_cannot_be_concealed(n_samples: int) -> None:
    with pytest.raises(ValueError, match=r"2\.5 ms"):
        OpusDecoder().conceal(n_samples)


# DTX


def test_dtx_makes_silence_tiny_and_lets_speech_through(speech: Samples) -> None:
    encoder = OpusEncoder(dtx=True)
    spoken = [encoder.encode(frame) for frame in frames_of(speech)]
    silent = [encoder.encode(SILENCE) for _ in range(100)]

    assert sum(map(is_dtx, silent)) > 80
    assert sum(map(is_dtx, spoken)) < len(spoken) / 4
    assert not any(map(is_dtx, encoded(speech)))
    heard = decoded(spoken + silent)
    assert np.abs(heard[-FRAME_SAMPLES:]).max() < 30
    assert len(heard) == FRAME_SAMPLES * (len(spoken) + len(silent))


def test_dtx_can_be_switched_midway() -> None:
    encoder = OpusEncoder()
    assert not any(is_dtx(encoder.encode(SILENCE)) for _ in range(50))
    encoder.set_dtx(True)
    assert sum(is_dtx(encoder.encode(SILENCE)) for _ in range(50)) > 30
    encoder.set_dtx(False)
    assert not any(is_dtx(encoder.encode(SILENCE)) for _ in range(50))


# Packets of others


def foreign_packets(n_channels: int, duration_ms: float, sample_rate_hz: int = 48_000) -> Iterator[bytes]:
    """Encode a second of a tone by FFmpeg's binding of libopus, which we did not write."""
    import av

    codec: Any = av.CodecContext.create("libopus", "w")
    codec.sample_rate, codec.format = sample_rate_hz, "s16"
    codec.layout = "stereo" if n_channels == 2 else "mono"
    codec.options = {"frame_duration": f"{duration_ms:g}", "application": "audio"}
    codec.open()
    tone = np.rint(8000 * np.sin(2 * np.pi * 440 / sample_rate_hz * np.arange(sample_rate_hz))).astype(np.int16)
    for block in frames_of(tone, int(sample_rate_hz * duration_ms / 1000)):
        frame = av.AudioFrame.from_ndarray(np.repeat(block, n_channels)[np.newaxis], "s16", codec.layout.name)
        frame.sample_rate = sample_rate_hz
        yield from (bytes(packet) for packet in codec.encode(frame))


@pytest.mark.parametrize("n_channels", [1, 2])
@pytest.mark.parametrize("duration_ms", [2.5, 5, 10, 20, 40, 60, 80, 100, 120])
def test_packets_of_any_duration_mono_or_stereo_become_mono(duration_ms: float, n_channels: int) -> None:
    decoder = OpusDecoder()
    heard = []
    for payload in foreign_packets(n_channels, duration_ms):
        samples = decoder.decode(payload)
        assert len(samples) == packet_samples(payload, 24_000) == round(24 * duration_ms)
        heard.append(samples)

    sound = np.concatenate(heard)
    spectrum = np.abs(np.fft.rfft(sound[4_800:16_800].astype(float)))
    assert np.argmax(spectrum) * 2 == 440
    assert 7_000 < np.abs(sound[4_800:16_800]).max() < 9_000


# Malformed packets

payloads_of_any_kind = st.one_of(
    st.binary(max_size=1_500),
    # Code 3 with its counts and paddings is rare among random bytes.
    st.builds(
        lambda toc, count, rest: bytes([toc | 3, count]) + rest,
        st.integers(0, 255),
        st.integers(0, 255),
        st.binary(max_size=400),
    ),
)


@given(payloads_of_any_kind)
@example(b"")
@example(b"\x4b")
@example(b"\x4b\x00")
@example(b"\xff\x7f\xff")
def test_our_reading_of_a_packet_is_that_of_libopus(payload: bytes) -> None:
    lib = ctypes.CDLL(next(libopus.candidates()))
    sizes = (ctypes.c_int16 * 48)()
    start = ctypes.c_int()
    n_frames = lib.opus_packet_parse(payload, len(payload), None, None, sizes, ctypes.byref(start))

    if n_frames > 0:
        bounds = frame_bounds(payload)
        assert [n_bytes for _, n_bytes in bounds] == sizes[:n_frames]
        assert bounds[0][0] == start.value
        assert packet_samples(payload) == lib.opus_packet_get_nb_samples(payload, len(payload), 48_000)
        assert frame_samples(payload) in ALL_DURATIONS_48K
    else:
        with pytest.raises(OpusError):
            frame_bounds(payload)
    if payload and hasattr(lib, "opus_packet_has_lbrr"):
        assert has_fec(payload) == (lib.opus_packet_has_lbrr(payload, len(payload)) > 0)


_any_decoder: list[OpusDecoder] = []


@given(payloads_of_any_kind)
def test_random_bytes_never_bring_the_decoder_down(payload: bytes) -> None:
    if not _any_decoder:
        _any_decoder.append(OpusDecoder())
    decoder = _any_decoder[0]
    try:
        samples = decoder.decode(payload)
        assert len(samples) == packet_samples(payload, 24_000)
    except OpusError:
        with pytest.raises(OpusError):
            frame_bounds(payload)
    recovered = decoder.decode_fec(payload)
    assert (recovered is not None) == has_fec(payload)
    assert len(decoder.conceal()) == FRAME_SAMPLES


@given(st.integers(0, 200), st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_speech_never_brings_the_decoder_down(i: int, damages: list[tuple[int, int]]) -> None:
    payloads = damaged_speech()
    payload = bytearray(payloads[i])
    for at, value in damages:
        payload[at % len(payload)] = value
    decoder = OpusDecoder()
    decoder.decode(payloads[max(0, i - 1)])
    for decode in (decoder.decode_fec, decoder.decode):
        try:
            decode(bytes(payload))
        except OpusError:
            continue
    assert len(decoder.decode(payloads[i])) == FRAME_SAMPLES


_damaged: list[bytes] = []


def damaged_speech() -> list[bytes]:
    if not _damaged:
        _damaged.extend(encoded(read_audio(CALLER_SPEECH), loss_ratio=0.1))
    return _damaged


def test_a_malformed_packet_leaves_the_decoder_as_it_was(speech: Samples) -> None:
    payloads = encoded(speech)
    undisturbed, disturbed = OpusDecoder(), OpusDecoder()
    for payload in payloads:
        for malformed in (
            b"",
            b"\x4b",
            b"\x4b\x00",
            b"\xff\x7f\xff",
            bytes([SILK_STEREO_20_MS | 1, 1, 2, 3, 4, 5])[:4],
        ):
            with pytest.raises(OpusError):
                disturbed.decode(malformed)
        assert np.array_equal(undisturbed.decode(payload), disturbed.decode(payload))


def test_a_malformed_packet_has_no_duration() -> None:
    for payload in (b"", b"\x4b", b"\x4b\x00", b"\x4b\x3f"):
        with pytest.raises(OpusError):
            packet_samples(payload)
        assert not has_fec(payload)


# Memory and threads


def test_buffers_live_as_long_as_libopus_may_use_them(speech: Samples) -> None:
    frames, expected = frames_of(speech)[:40], encoded(speech)[:40]
    litter: list[Any] = []

    for round_ in range(25):
        encoder, decoder = OpusEncoder(), OpusDecoder()
        for i, frame in enumerate(frames):
            # Everything handed in is gone at once, and its memory is used by others before the next frame.
            payload = encoder.encode(frame.copy())
            assert payload == expected[i]
            encoder_out = bytearray(1_300)
            OpusEncoder().encode_into(frame[:], encoder_out)
            decoder.decode(bytes(bytearray(payload)))
            litter.append(np.full(5_000 + 97 * round_, -1, dtype=np.int16))
            del encoder_out
        del encoder, decoder
        litter.clear()
        gc.collect()


def test_the_buffer_of_encode_into_stays_in_place_while_its_address_is_kept() -> None:
    out = bytearray(1_300)
    encoder = OpusEncoder()
    encoder.encode_into(SILENCE, out)

    with pytest.raises(BufferError):
        out.extend(bytes(1_000_000))
    encoder.encode_into(SILENCE, bytearray(1_300))
    out.extend(b"it may move now")


def test_encoders_in_many_threads_do_not_disturb_each_other(speech: Samples) -> None:
    frames, expected = frames_of(speech), encoded(speech)
    results: dict[int, list[bytes]] = {}

    def encode(i: int) -> None:
        encoder = OpusEncoder()
        results[i] = [encoder.encode(frame) for frame in frames]

    threads = [threading.Thread(target=encode, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert all(results[i] == expected for i in range(4))


# The library


def test_libopus_says_its_version() -> None:
    assert libopus_version().startswith("libopus ")


@pytest.fixture
def candidates(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    def only(*names: str) -> None:
        monkeypatch.setattr(libopus, "candidates", lambda: iter(names))
        libopus.libopus.cache_clear()

    yield only
    libopus.libopus.cache_clear()


def test_without_libopus_one_error_says_what_to_install(candidates: Callable[..., None]) -> None:
    candidates()
    for make in (OpusEncoder, OpusDecoder, libopus_version):
        with pytest.raises(OpusUnavailable, match="libopus0"):
            make()


def test_a_library_without_the_functions_is_passed_over(candidates: Callable[..., None]) -> None:
    good = next(libopus.candidates())
    candidates("libc.so.6", "libnowhere.so", good)
    assert libopus_version()
    candidates("libc.so.6")
    with pytest.raises(OpusUnavailable, match="opus_encoder_get_size"):
        libopus_version()


def test_the_systems_library_is_the_second_choice(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(libopus, "av", SimpleNamespace(__file__=str(tmp_path / "av" / "__init__.py")))
    monkeypatch.setattr(ctypes.util, "find_library", lambda name: f"lib{name}.so.0")
    assert list(libopus.candidates()) == ["libopus.so.0"]


def test_importing_loads_no_libopus() -> None:
    imports = "import rtc_client.audio.codecs.opus, rtc_client.audio.codecs.libopus as o"
    code = f"{imports}; raise SystemExit(o.libopus.cache_info().currsize)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_signal_type_is_encoded(speech: Samples) -> None:
    signals: tuple[Signal, ...] = ("voice", "music", "auto")
    assert all(encoded(speech, signal=signal) for signal in signals)
