"""How well speech came through: compares what was heard with what was said. Pure, and too slow for an event loop."""

from __future__ import annotations

import importlib.util
import math
import warnings
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples

SEARCH_S: Final = 1.0
"""No delay is longer, seconds."""
_PESQ_RATE_HZ: Final = 16_000
_MARGIN_SAMPLES: Final = SAMPLE_RATE_HZ // 4
_BLOCK_SAMPLES: Final = SAMPLE_RATE_HZ // 100
_SPEECH_RMS: Final = 32_768 * 10 ** (-40 / 20)
_GONE_RATIO: Final = 10 ** (-26 / 20)
_EDGE_BLOCKS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What became of the utterances of one call."""

    pesq: float
    """PESQ-WB, mean over the utterances; NaN where it is not installed."""
    stoi: float
    delay_ms: float
    """From said to heard, median over the utterances."""
    worst_delay_ms: float
    stretch_ms: float
    """By how much the delays of the utterances differ."""
    gap_ms: float
    """Longest silence within speech."""
    missing_percent: float
    """Speech in place of which there was silence."""


def has_pesq() -> bool:
    """Return whether both scores can be had."""
    return all(importlib.util.find_spec(name) for name in ("pesq", "pystoi"))


def judge(said: Samples, heard: Samples, spans: list[tuple[int, int]], offset_s: float) -> Quality:
    """Return the quality of `heard`; both are int16, mono, 24 kHz.

    `spans` are the utterances in `said`, first and last sample; sample 0 of what was heard was heard `offset_s` after
    sample 0 was said.
    """
    offset = round(offset_s * SAMPLE_RATE_HZ)
    scores: list[float] = []
    stois: list[float] = []
    delays_ms: list[float] = []
    longest, n_missing, n_speech = 0, 0, 0
    before = max(0, offset) + SAMPLE_RATE_HZ
    padded = np.pad(heard, (before, max(0, len(said) - len(heard)) + 3 * SAMPLE_RATE_HZ))
    origin = offset - before  # where padded[0] lies in the time of what was said
    for start, end in spans:
        utterance = said[start:end]
        at = start - origin
        place = _find(utterance, padded[at : at + len(utterance) + round(SEARCH_S * SAMPLE_RATE_HZ)])
        delays_ms.append(1000 * place / SAMPLE_RATE_HZ)
        there = padded[at + place : at + place + len(utterance)]
        there = np.pad(there, (0, len(utterance) - len(there)))
        gap, missing, speech = _silences(utterance, there)
        longest, n_missing, n_speech = max(longest, gap), n_missing + missing, n_speech + speech
        if has_pesq():
            around = padded[max(0, at + place - _MARGIN_SAMPLES) : at + place + len(utterance) + _MARGIN_SAMPLES]
            scores.append(_pesq(said[max(0, start - _MARGIN_SAMPLES) : end + _MARGIN_SAMPLES], around))
            stois.append(_stoi(utterance, there))
    return Quality(
        pesq=float(np.mean(scores)) if scores else math.nan,
        stoi=float(np.mean(stois)) if stois else math.nan,
        delay_ms=float(np.median(delays_ms)),
        worst_delay_ms=max(delays_ms),
        stretch_ms=max(delays_ms) - min(delays_ms),
        gap_ms=10.0 * longest,
        missing_percent=100 * n_missing / max(1, n_speech),
    )


def _find(utterance: Samples, searched: Samples) -> int:
    """Return where the utterance is found best, samples."""
    n_fft = 1 << (len(searched) + len(utterance)).bit_length()
    spectrum = np.fft.rfft(searched.astype(float), n_fft) * np.conj(np.fft.rfft(utterance.astype(float), n_fft))
    return int(np.argmax(np.fft.irfft(spectrum, n_fft)[: max(1, len(searched) - len(utterance))]))


def _silences(said: Samples, heard: Samples) -> tuple[int, int, int]:
    """Return the longest silence in the midst of speech, all silences, and the speech, in blocks of 10 ms."""
    said_rms, heard_rms = _block_rms(said), _block_rms(heard)
    is_speech = said_rms > _SPEECH_RMS
    # A stretch of sound may shift its edges: only what has speech all around counts.
    inside = is_speech.copy()
    around = said_rms.copy()
    for shift in range(1, _EDGE_BLOCKS + 1):
        for rolled in (np.roll(said_rms, shift), np.roll(said_rms, -shift)):
            inside &= rolled > _SPEECH_RMS
            around = np.minimum(around, rolled)
    gone = inside & (heard_rms < _GONE_RATIO * around)
    longest = run = 0
    for one in gone:
        run = run + 1 if one else 0
        longest = max(longest, run)
    return longest, int(gone.sum()), int(inside.sum())


def _block_rms(samples: Samples) -> NDArray[np.float64]:
    blocks = samples[: len(samples) // _BLOCK_SAMPLES * _BLOCK_SAMPLES].astype(np.float64).reshape(-1, _BLOCK_SAMPLES)
    rms: NDArray[np.float64] = np.sqrt((blocks**2).mean(axis=1))
    return rms


def _pesq(said: Samples, heard: Samples) -> float:
    import pesq

    try:
        return float(pesq.pesq(_PESQ_RATE_HZ, _at_16k(said), _at_16k(heard), "wb"))
    except (pesq.PesqError, ValueError):  # nothing that could be taken for speech
        return 1.0


def _stoi(said: Samples, heard: Samples) -> float:
    import pystoi

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(pystoi.stoi(_at_16k(said) / 32_768, _at_16k(heard) / 32_768, _PESQ_RATE_HZ))


def _at_16k(samples: Samples) -> Any:
    frame = av.AudioFrame.from_ndarray(samples[np.newaxis, :], format="s16", layout="mono")
    frame.sample_rate = SAMPLE_RATE_HZ
    resampler = av.AudioResampler(format="s16", layout="mono", rate=_PESQ_RATE_HZ)
    blocks = [block.to_ndarray()[0] for part in (frame, None) for block in resampler.resample(part)]
    return np.concatenate(blocks)
