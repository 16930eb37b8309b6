"""Sound that comes and goes as text."""

from __future__ import annotations

import base64

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.audio.codecs.base64_pcm import DeltaDecoder, DeltaEncoder
from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.audio.sources.basic import ToneSource


def text(samples: np.ndarray[tuple[int, ...], np.dtype[np.int16]]) -> str:
    return base64.b64encode(samples.astype("<i2").tobytes()).decode()


@given(st.binary(max_size=4000), st.lists(st.integers(1, 500), max_size=30))
def test_pieces_cut_anywhere_make_the_same_sound(pcm: bytes, lengths: list[int]) -> None:
    """A delta may end within a sample: the next one goes on there."""
    pcm = pcm[: len(pcm) // 2 * 2]
    decoder, pieces, at = DeltaDecoder(), [], 0
    for length in [*lengths, len(pcm)]:
        if piece := pcm[at : at + length]:
            pieces.append(decoder.decode(base64.b64encode(piece).decode()))
        at += length

    got = np.concatenate(pieces) if pieces else np.zeros(0, dtype=np.int16)
    assert got.astype("<i2").tobytes() == pcm
    assert decoder.malformed == 0


def test_what_the_encoder_says_the_decoder_understands() -> None:
    """Two frames a message, little-endian, nothing lost between them."""
    samples = np.arange(-480, 480, dtype=np.int16)
    encoder = DeltaEncoder(2)

    assert encoder.push(samples[:480]) is None
    message = encoder.push(samples[480:])

    assert message is not None
    assert np.array_equal(DeltaDecoder().decode(message), samples)
    assert encoder.push(samples[:480]) is None


@pytest.mark.parametrize(("rate_hz", "channels"), [(16_000, 1), (48_000, 2), (24_000, 2), (8_000, 1)])
def test_other_rates_and_channels_are_heard_at_ours(rate_hz: int, channels: int) -> None:
    """A tone of 440 Hz stays one, as long as it was."""
    seconds = 0.5
    at_s = np.arange(round(rate_hz * seconds)) / rate_hz
    mono = np.rint(8000 * np.sin(2 * np.pi * 440 * at_s)).astype(np.int16)
    sound = np.repeat(mono[:, np.newaxis], channels, axis=1).reshape(-1)
    decoder = DeltaDecoder()
    pieces = [decoder.decode(text(piece), rate_hz, channels) for piece in np.array_split(sound, 5)]

    heard = np.concatenate([*pieces, decoder.flush()])

    assert len(heard) == pytest.approx(seconds * SAMPLE_RATE_HZ, abs=2)
    loudest_hz = np.argmax(np.abs(np.fft.rfft(heard))) * SAMPLE_RATE_HZ / len(heard)
    assert loudest_hz == pytest.approx(440, abs=3)


@pytest.mark.parametrize(
    ("delta", "rate_hz", "channels"),
    [("%%%%", 24_000, 1), ("AAA", 24_000, 1), ("", 24_000, 1), ("AAAA", 0, 1), ("AAAA", 24_000, 0),
     ("AAAA", 24_000, 99), ("AAAA", 2**31, 1), ("ÄÄÄÄ", 24_000, 1)],
)  # fmt: skip
def test_what_is_no_sound_is_counted(delta: str, rate_hz: int, channels: int) -> None:
    """It makes no sample, and does not spoil what comes behind it."""
    decoder = DeltaDecoder()

    assert len(decoder.decode(delta, rate_hz, channels)) == 0
    assert decoder.malformed == 1
    frame = ToneSource(440).read()
    assert frame is not None
    assert np.array_equal(decoder.decode(text(frame)), frame)
