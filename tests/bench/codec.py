"""`bench codec`: what each way of coding a voice costs, and how it sounds where nothing gets lost.

`SILK` is what libopus makes of a voice by itself, up to 64,000 bits per second: SILK below 8 kHz, and CELT above.
`CELT` is all of it CELT, which a call sends until packets get lost.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder, Signal
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from tests.bench.loss import Script
from tests.bench.quality import judge

BIT_RATES: Final = (24_000, 32_000, 40_000)
COMPLEXITIES: Final = (1, 3, 5, 10)
CODINGS: Final[tuple[tuple[str, Signal], ...]] = (("SILK", "voice"), ("CELT", "music"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """What became of the sentences: means over all frames."""

    coding: str
    bit_rate: int
    complexity: int
    encode_us: float
    decode_us: float
    kilobits_per_s: float
    pesq: float
    stoi: float


def measure(script: Script, progress: Callable[[str], None]) -> list[Coded]:
    """Return all combinations, coded one after another in this process."""
    found = []
    for bit_rate, complexity, (coding, signal) in itertools.product(BIT_RATES, COMPLEXITIES, CODINGS):
        progress(f"{coding} at {bit_rate} bits per second, complexity {complexity}")
        found.append(_coded(script, coding, signal, bit_rate, complexity))
    return found


def _coded(script: Script, coding: str, signal: Signal, bit_rate: int, complexity: int) -> Coded:
    # As a call changes it: the encoder stays one for voices (libopus' VOIP), which is the better for CELT as well.
    encoder = OpusEncoder(bit_rate=bit_rate, complexity=complexity)
    encoder.set_signal(signal)
    decoder = OpusDecoder()
    heard: list[Samples] = []
    encode_s = decode_s = 0.0
    n_bytes = 0
    said = script.samples[: len(script.samples) // FRAME_SAMPLES * FRAME_SAMPLES]
    for frame in said.reshape(-1, FRAME_SAMPLES):
        at_s = time.perf_counter()
        packet = encoder.encode(frame)
        encoded_s = time.perf_counter()
        heard.append(decoder.decode(packet))
        encode_s, decode_s = encode_s + encoded_s - at_s, decode_s + time.perf_counter() - encoded_s
        n_bytes += len(packet)
    quality = judge(script.samples, np.concatenate(heard), script.spans, 0.0)
    return Coded(
        coding=coding,
        bit_rate=bit_rate,
        complexity=complexity,
        encode_us=round(1e6 * encode_s / len(heard), 1),
        decode_us=round(1e6 * decode_s / len(heard), 1),
        kilobits_per_s=round(8 * n_bytes / (len(said) / SAMPLE_RATE_HZ) / 1000, 1),
        pesq=round(quality.pesq, 2),
        stoi=round(quality.stoi, 3),
    )


def table(found: Sequence[Coded]) -> str:
    """Return all of it, a line each."""
    lines = ["coding  bits/s complexity  encode µs  decode µs   kb/s  PESQ   STOI"]
    lines += [
        f"{one.coding:6} {one.bit_rate:7} {one.complexity:10} {one.encode_us:10.1f} {one.decode_us:10.1f} "
        f"{one.kilobits_per_s:6.1f} {one.pesq:5.2f} {one.stoi:6.3f}"
        for one in found
    ]
    return "\n".join(lines)


def as_json(found: Sequence[Coded]) -> list[dict[str, object]]:
    """Return the same for machines."""
    return [asdict(one) for one in found]
