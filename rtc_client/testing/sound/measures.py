"""Measures of a recording: when there is audio and how loud, which frequencies, where a clip lies. Pure.

Judging them is the work of `asserts.py`. All samples are int16, shape `(n_samples,)`, mono, 24 kHz.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FLOOR_DBFS, FULL_SCALE, VOICED_DBFS, level_dbfs, to_mono_int16

Recording: TypeAlias = "NDArray[Any] | str | Path | object"
"""Samples, an audio file, or what holds either: an `AnsweredCall`, a `NumpySink`, a closed `WavSink`."""

MS: Final = SAMPLE_RATE_HZ // 1000
"""Samples of a millisecond."""
SHORTEST_MS: Final = 15.0
"""A hole in a sound that is shorter is none, and neither is a sound: a click, or a period of a deep voice."""

_WINDOW: Final = 10 * MS
_TONE_WINDOW: Final = 100 * MS
_TONE_HOP: Final = 10 * MS
_TONE_FFT: Final = 4096
_BIN_HZ: Final = SAMPLE_RATE_HZ / _TONE_FFT
_BLOCK_WINDOWS: Final = 256
_LOBE_HZ: Final = 20.0
"""Half the width of a steady tone in a Hann window of 100 ms."""
_LOBE: Final = round(_LOBE_HZ / _BIN_HZ)
_PIECE: Final = 300 * MS
SLACK_MS: Final = 250.0
"""How far a piece may be moved: playout inserts and removes a few milliseconds at a time where the network wavers."""
_SLACK: Final = round(SLACK_MS * MS)
_QUIET_RATIO: Final = 0.05
_AS_GOOD: Final = 0.02
"""Places whose likeness differs by less are equally good: a steady tone fits at each of its periods."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of a recording, in milliseconds from its beginning."""

    start_ms: float
    end_ms: float

    @property
    def duration_ms(self) -> float:
        """How long it lasts, milliseconds."""
        return self.end_ms - self.start_ms

    def __str__(self) -> str:
        return f"{self.start_ms:.0f}–{self.end_ms:.0f} ms"


@dataclass(frozen=True, slots=True)
class Peak:
    """A frequency that stands out."""

    frequency_hz: float
    level_dbfs: float

    def __str__(self) -> str:
        return f"{self.frequency_hz:.0f} Hz ({self.level_dbfs:.0f} dBFS)"


@dataclass(frozen=True, slots=True)
class Found:
    """Where a recording resembles a clip most."""

    at_ms: float
    likeness: float
    """Normalised correlation of its pieces, louder ones counting more; 1.0 for the same samples at any loudness."""


@dataclass(frozen=True, slots=True)
class ToneFound:
    """What of one tone is in a recording."""

    longest: Stretch | None
    """Where it is heard longest without a break."""
    best_share: float
    """The largest part of a tenth of a second's power that is at its frequency, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Alignment:
    """How two channels lie to each other."""

    offsets: tuple[tuple[float, float], ...]
    """For each piece that was found: where it lies in the first channel, and how much later in the second; ms."""
    n_pieces: int
    """Pieces of sound in the first channel."""
    best_likeness: float


def samples_of(recording: Recording) -> Samples:
    """Return the samples of a recording. Arrays may have any type and shape that `to_mono_int16` takes.

    Raises:
        TypeError: If it is no recording.
        ConfigError: If an array is not understood.
        AudioFileUnreadable: If a file cannot be read.
    """
    # A path comes first: the parts of one are called all sorts of things.
    if isinstance(recording, str | Path):
        return read_audio(recording)
    for name in ("heard", "samples"):
        if isinstance(held := getattr(recording, name, None), np.ndarray):
            recording = held
            break
    if isinstance(recording, np.ndarray):
        return to_mono_int16(recording) if recording.size else np.zeros(0, dtype=np.int16)
    if isinstance(path := getattr(recording, "path", None), str | Path):
        return read_audio(path)
    raise TypeError(
        f"a {type(recording).__name__} is no recording: pass int16 samples at 24 kHz, an audio file, an AnsweredCall, "
        "a NumpySink, or a WavSink that is closed"
    )


def length_ms(recording: Recording) -> float:
    """Return how long a recording is, in milliseconds; while it goes on, this is where "now" lies in it."""
    return len(samples_of(recording)) / MS


def cut(samples: Samples, start_ms: float, end_ms: float | None = None) -> Samples:
    """Return a part of a recording; what lies outside of it is not there."""
    end = len(samples) if end_ms is None else round(end_ms * MS)
    return samples[max(0, round(start_ms * MS)) : max(0, end)]


def sounds(samples: Samples, above_dbfs: float = VOICED_DBFS) -> list[Stretch]:
    """Return where there is sound: wherever 10 ms are at this RMS level or above. Edges are exact to some ms."""
    if not len(samples):
        return []
    # With silence around it, a window ends where a sound begins and begins where it ends.
    padded = np.pad(samples.astype(np.float64) / FULL_SCALE, _WINDOW)
    energy = np.concatenate(([0.0], np.cumsum(padded**2)))
    mean_square = (energy[_WINDOW::MS] - energy[:-_WINDOW:MS]) / _WINDOW
    # A microvolt of rounding in the running sum is not sound.
    is_loud = mean_square >= max(10 ** (above_dbfs / 10), 1e-12)
    end_ms = len(samples) / MS
    found: list[Stretch] = []
    for first, behind in _runs(is_loud):
        stretch = Stretch(max(0.0, first - 1.0), min(end_ms, behind - 10.0))
        if found and stretch.start_ms - found[-1].end_ms < SHORTEST_MS:
            found[-1] = Stretch(found[-1].start_ms, stretch.end_ms)
        else:
            found.append(stretch)
    return [stretch for stretch in found if stretch.duration_ms >= SHORTEST_MS]


def sounding_dbfs(samples: Samples, above_dbfs: float = VOICED_DBFS) -> float:
    """Return the RMS level of the parts with sound alone; `FLOOR_DBFS` when there are none."""
    parts = [cut(samples, part.start_ms, part.end_ms) for part in sounds(samples, above_dbfs)]
    return level_dbfs(np.concatenate(parts)) if parts else FLOOR_DBFS


def strongest(samples: Samples, n: int = 3) -> list[Peak]:
    """Return the frequencies that stand out most, strongest first: at most `n`, within 40 dB of each other.

    Their levels are those of the louder parts.
    """
    mean_square = np.array([float(np.mean(window**2)) for window in _windows(samples, _TONE_WINDOW // 2)])
    if not mean_square.any():
        return []
    blocks = _spectra(samples, _TONE_WINDOW // 2, mean_square >= 0.05 * mean_square.max())
    sums, counts = zip(*((block.sum(axis=0), len(block)) for block in blocks), strict=True)
    mean = np.sum(sums, axis=0) / sum(counts)
    inner = mean[1:-1]
    tops = 1 + np.flatnonzero((inner > mean[:-2]) & (inner >= mean[2:]) & (inner > mean.max() * 1e-4))
    peaks: list[Peak] = []
    for top in sorted(tops.tolist(), key=lambda index: -float(mean[index])):
        frequency_hz = _peak_hz(mean, top)
        if all(abs(frequency_hz - peak.frequency_hz) > 2 * _LOBE_HZ for peak in peaks):
            peaks.append(Peak(frequency_hz, 10 * math.log10(float(mean[top]))))
        if len(peaks) == n:
            break
    return peaks


def find_tone(samples: Samples, frequency_hz: float, *, within_hz: float, share: float, above_dbfs: float) -> ToneFound:
    """Return where a steady tone is heard that holds `share` of the power of each tenth of a second."""
    around = (frequency_hz - within_hz - _LOBE_HZ, frequency_hz + within_hz + _LOBE_HZ)
    low, high = (min(_TONE_FFT // 2 - 1, max(1, round(edge_hz / _BIN_HZ))) for edge_hz in around)
    shares, levels = [], []
    for row in (row for block in _spectra(samples, _TONE_HOP) for row in block):
        top = low + int(np.argmax(row[low : high + 1]))
        is_it = row[top] > 0 and abs(_peak_hz(row, top) - frequency_hz) <= within_hz
        lobe = row[max(0, top - _LOBE) : top + _LOBE + 1]
        shares.append(float(lobe.sum() / row.sum()) if is_it else 0.0)
        levels.append(float(row[top]))
    # A window of which half lies in the tone holds half the amplitude, so the edges of a tone are where 6 dB are gone.
    floor = max(10 ** (above_dbfs / 10), max(levels, default=0.0) / 4)
    is_tone = [one >= share and level >= floor for one, level in zip(shares, levels, strict=True)]
    hop_ms = _TONE_HOP / MS
    runs = [Stretch(first * hop_ms, behind * hop_ms) for first, behind in _runs(np.array(is_tone, dtype=bool))]
    return ToneFound(max(runs, key=lambda run: run.duration_ms, default=None), max(shares, default=0.0))


def locate(clip: Samples, recording: Samples, *, near_ms: float | None = None) -> Found:
    """Return where `clip` lies in `recording`; with `near_ms`, the place nearest to it of those that are as good.

    Both are compared in pieces of 0.3 s, each where it fits best near its place, so that a pitch period more or less
    between two words does not make them other words.

    Raises:
        ValueError: If the clip is silent.
    """
    pieces = _loud_pieces(clip)
    sound = np.pad(recording.astype(np.float64), (0, max(0, len(clip) - len(recording))))
    anchor, pattern = max(pieces, key=lambda entry: float(entry[1] @ entry[1]))
    near = None if near_ms is None else round(near_ms * MS) + anchor
    origin = _best_place(pattern, sound, near)[0] - anchor
    starts, likenesses, energies = [], [], []
    for start, piece in pieces:
        first = max(0, origin + start - _SLACK)
        around = sound[first : max(0, origin + start + len(piece) + _SLACK)]
        place, alike = _best_place(piece, around, origin + start - first)
        starts.append(first + place - start)
        likenesses.append(alike)
        energies.append(float(piece @ piece))
    # A piece that was lost lies nowhere: the first that is there tells where the clip begins.
    first_there = next(n for n, alike in enumerate(likenesses) if alike >= 0.8 * max(likenesses))
    return Found(starts[first_there] / MS, float(np.average(likenesses, weights=energies)))


def align(first: Samples, second: Samples, *, near_ms: float, reach_ms: float, likeness: float) -> Alignment:
    """Return how much later the sound of `first` lies in `second`, piece by piece of 0.3 s.

    Each is sought up to `reach_ms` around `near_ms`, and counts when it is this alike.

    Raises:
        ValueError: If `first` is silent.
    """
    sound, reach = second.astype(np.float64), round(reach_ms * MS)
    pieces = _loud_pieces(first)
    found: list[tuple[float, float]] = []
    best = 0.0
    for start, piece in pieces:
        expected = start + round(near_ms * MS)
        begin = max(0, expected - reach)
        place, alike = _best_place(piece, sound[begin : max(0, expected + len(piece) + reach)], expected - begin)
        best = max(best, alike)
        if alike >= likeness:
            found.append((start / MS, (begin + place - start) / MS))
    return Alignment(tuple(found), len(pieces), best)


def describe(samples: Samples) -> str:
    """Return what there is to hear, in one line: length, level, where there is sound, strongest frequencies."""
    if not len(samples):
        return "nothing at all, not a single sample"
    text = f"{len(samples) / MS:.0f} ms at {level_dbfs(samples):.1f} dBFS"
    parts = sounds(samples)
    if not parts:
        return f"{text}, no sound above {VOICED_DBFS:g} dBFS"
    shown = ", ".join(map(str, parts[:4])) + (f" and {len(parts) - 4} more" if len(parts) > 4 else "")
    peaks = ", ".join(map(str, strongest(samples)))
    return f"{text}, sound at {shown} ({sounding_dbfs(samples):.1f} dBFS), strongest frequencies {peaks or 'none'}"


def _runs(flags: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Return the stretches of True: index of the first, and of the first behind."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], flags.astype(np.int8), [0])))).tolist()
    return list(zip(edges[::2], edges[1::2], strict=True))


def _windows(samples: Samples, hop: int) -> NDArray[np.float64]:
    """Return a view of windows of 100 ms centred each `hop`, full scale 1.0: shape `(n_windows, n_samples)`."""
    amplitude = np.pad(samples.astype(np.float64) / FULL_SCALE, (_TONE_WINDOW // 2, _TONE_WINDOW))
    return np.lib.stride_tricks.sliding_window_view(amplitude, _TONE_WINDOW)[: len(samples) : hop]


def _spectra(samples: Samples, hop: int, chosen: NDArray[np.bool_] | None = None) -> Iterator[NDArray[np.float64]]:
    """Yield the power of those windows, in blocks of rows; the top of a sine in it is the sine's mean square."""
    windows = _windows(samples, hop)
    indices = np.arange(len(windows)) if chosen is None else np.flatnonzero(chosen)
    shape = np.hanning(_TONE_WINDOW)
    for start in range(0, len(indices), _BLOCK_WINDOWS):
        block = windows[indices[start : start + _BLOCK_WINDOWS]] * shape
        power: NDArray[np.float64] = 2 * np.abs(np.fft.rfft(block, _TONE_FFT)) ** 2 / shape.sum() ** 2
        power[:, :_LOBE] = 0.0  # a constant offset is no frequency
        yield power


def _peak_hz(power: NDArray[np.float64], top: int) -> float:
    """Return the frequency of a peak between the bins: the top of the parabola through three logarithms."""
    left, middle, right = np.log(np.maximum(power[top - 1 : top + 2], 1e-30)).tolist()
    bend = left - 2 * middle + right
    shift = 0.5 * (left - right) / bend if bend else 0.0
    return float((top + max(-1.0, min(1.0, shift))) * _BIN_HZ)


def _loud_pieces(clip: Samples) -> list[tuple[int, NDArray[np.float64]]]:
    """Return the pieces of 0.3 s of a clip, and where each begins, without those that are much quieter than others."""
    starts = range(0, max(1, len(clip) - _PIECE // 2), _PIECE)
    pieces = [(start, clip[start : start + _PIECE].astype(np.float64)) for start in starts]
    loudest = max(float(piece @ piece) for _, piece in pieces)
    if loudest == 0:
        raise ValueError("a clip that is silent can be found anywhere: pass one with sound")
    return [(start, piece) for start, piece in pieces if float(piece @ piece) > _QUIET_RATIO * loudest]


def _best_place(pattern: NDArray[np.float64], sound: NDArray[np.float64], near: int | None) -> tuple[int, float]:
    """Return where a pattern fits best, and how well, 0 to 1; of equally good places that nearest to `near`."""
    if len(sound) < len(pattern):
        return 0, 0.0
    n_fft = 1 << (len(pattern) + len(sound)).bit_length()
    product = np.fft.rfft(sound, n_fft) * np.conj(np.fft.rfft(pattern, n_fft))
    correlation = np.fft.irfft(product, n_fft)[: len(sound) - len(pattern) + 1]
    energy = np.concatenate(([0.0], np.cumsum(sound**2)))
    # A place that is all but silent (below -80 dBFS) resembles nothing, though rounding might say so.
    quiet = len(pattern) * (FULL_SCALE * 1e-4) ** 2
    windows = np.maximum(energy[len(pattern) :] - energy[: -len(pattern)], quiet)
    likeness: NDArray[np.float64] = correlation / np.sqrt(windows * float(pattern @ pattern))
    best = int(np.argmax(likeness))
    if near is not None:
        as_good = np.flatnonzero(likeness >= likeness[best] - _AS_GOOD)
        best = int(as_good[np.argmin(np.abs(as_good - near))])
    return best, max(0.0, float(likeness[best]))
