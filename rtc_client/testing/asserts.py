"""Assertions on audio for tests of voice calls: each says what was heard instead, and can keep it as a WAV file.

What is asserted on is a `Recording`: int16 samples at 24 kHz, an audio file, an `AnsweredCall` (what the caller said),
a `NumpySink` or a closed `WavSink` (what the agent said). All times are milliseconds from the recording's first
sample. Every assertion takes `save`, the path of a WAV file for the sound that failed it; under the pytest plugin it
is saved without being asked. The measures themselves are in `sound/measures.py`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NoReturn

import numpy as np

from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import VOICED_DBFS, level_dbfs
from rtc_client.testing.saved_audio import keep_failure
from rtc_client.testing.sound import measures as sound
from rtc_client.testing.sound.measures import Found, Recording, Stretch

__all__ = [
    "Found", "Recording", "Stretch",
    "assert_aligned", "assert_contains", "assert_heard_within", "assert_level", "assert_no_gap",
    "assert_stopped_within", "assert_tone",
]  # fmt: skip

SAME: Final = 0.8
"""Speech that went through Opus at 24 kbit/s still is this like what was spoken; other speech is below 0.5."""
_ALIGNED_REACH_MS: Final = 1000.0


def assert_heard_within(
    recording: Recording,
    within_ms: float,
    *,
    after_ms: float = 0.0,
    above_dbfs: float = VOICED_DBFS,
    save: Path | str | None = None,
) -> float:
    """Assert that there is sound no later than `within_ms` after an instant; return how much later it is, in ms.

    Sound that is going on at the instant counts as heard at once.

    Raises:
        AssertionError: If it comes later, or never.
    """
    __tracebackhide__ = True
    samples = sound.samples_of(recording)
    later = [part for part in sound.sounds(samples, above_dbfs) if part.end_ms > after_ms]
    of_instant = f" of {after_ms:.0f} ms" if after_ms else ""
    if not later:
        _fail(f"nothing was heard within {within_ms:.0f} ms{of_instant}, nor later", samples, save)
    took_ms = max(0.0, later[0].start_ms - after_ms)
    if took_ms > within_ms:
        _fail(f"nothing was heard within {within_ms:.0f} ms{of_instant}: it took {took_ms:.0f} ms", samples, save)
    return took_ms


def assert_stopped_within(
    recording: Recording,
    within_ms: float,
    *,
    of_ms: float,
    above_dbfs: float = VOICED_DBFS,
    save: Path | str | None = None,
) -> float:
    """Assert that sound ends no later than `within_ms` after an instant and does not come back; return when, in ms.

    The end of the recording is an end of the sound.

    Raises:
        AssertionError: If there is sound later, or if there was none before the instant that could have stopped.
    """
    __tracebackhide__ = True
    samples = sound.samples_of(recording)
    parts = sound.sounds(samples, above_dbfs)
    if not any(part.start_ms < of_ms for part in parts):
        _fail(f"there was nothing to stop: no sound before {of_ms:.0f} ms", samples, save)
    took_ms = max(0.0, parts[-1].end_ms - of_ms)
    if took_ms > within_ms:
        said = f"the sound did not stop within {within_ms:.0f} ms of {of_ms:.0f} ms"
        _fail(f"{said}: it was last heard {took_ms:.0f} ms after that", samples, save)
    return took_ms


def assert_no_gap(
    recording: Recording,
    longer_than_ms: float,
    *,
    from_ms: float | None = None,
    to_ms: float | None = None,
    above_dbfs: float = VOICED_DBFS,
    save: Path | str | None = None,
) -> float:
    """Assert that sound has no hole longer than this, between its first and last; return the longest, in ms.

    With `from_ms` there must be sound from there on, with `to_ms` up to there. Holes of less than 15 ms are not seen.

    Raises:
        AssertionError: If there is a longer one, or no sound at all.
    """
    __tracebackhide__ = True
    samples = sound.samples_of(recording)
    part = sound.cut(samples, 0.0, to_ms)
    found = [one for one in sound.sounds(part, above_dbfs) if from_ms is None or one.end_ms > from_ms]
    if not found:
        _fail("there is no sound in which a gap could be", samples, save)
    starts = [one.start_ms for one in found] + ([] if to_ms is None else [to_ms])
    ends = ([] if from_ms is None else [from_ms]) + [one.end_ms for one in found]
    holes = [
        Stretch(end, start)
        for end, start in zip(ends, starts[1:] if from_ms is None else starts, strict=False)
        if start > end
    ]
    longest = max(holes, key=lambda hole: hole.duration_ms, default=Stretch(0.0, 0.0))
    if longest.duration_ms > longer_than_ms:
        n_more = sum(hole.duration_ms > longer_than_ms for hole in holes) - 1
        others = f", and {n_more} more that are too long" if n_more else ""
        _fail(f"there is a gap of {longest.duration_ms:.0f} ms at {longest}{others}", samples, save)
    return longest.duration_ms


def assert_tone(
    recording: Recording,
    frequency_hz: float,
    *,
    within_hz: float = 5.0,
    for_ms: float = 150.0,
    share: float = 0.5,
    above_dbfs: float = VOICED_DBFS,
    from_ms: float = 0.0,
    to_ms: float | None = None,
    save: Path | str | None = None,
) -> Stretch:
    """Assert that a steady tone is heard for at least `for_ms` at a stretch; return where it is heard longest.

    It may be off by `within_hz`.
    Of every tenth of a second it must hold this `share` of the power: take less for a tone among others. A vowel may
    be steady for a tenth of a second too, so `for_ms` is longer.

    Raises:
        AssertionError: If it is not there, or not long enough.
    """
    __tracebackhide__ = True
    samples = sound.samples_of(recording)
    part = sound.cut(samples, from_ms, to_ms)
    found = sound.find_tone(part, frequency_hz, within_hz=within_hz, share=share, above_dbfs=above_dbfs)
    if found.longest is None:
        held = f", which never holds more than {found.best_share:.0%} of the power" if found.best_share >= 0.01 else ""
        _fail(f"there is no tone of {frequency_hz:g} ± {within_hz:g} Hz{held}", part, save)
    where = Stretch(found.longest.start_ms + from_ms, found.longest.end_ms + from_ms)
    if where.duration_ms < for_ms:
        said = f"the tone of {frequency_hz:g} Hz lasts {where.duration_ms:.0f} ms at {where}, not {for_ms:.0f} ms"
        _fail(said, part, save)
    return where


def assert_contains(
    recording: Recording,
    clip: Recording,
    *,
    at_ms: float | None = None,
    within_ms: float = 50.0,
    likeness: float = SAME,
    save: Path | str | None = None,
) -> Found:
    """Assert that a clip is in the recording, with `at_ms` beginning there; return where, and how like it is.

    It may begin `within_ms` earlier or later.
    Loudness does not matter. `likeness` is a normalised correlation, 0 to 1; lossy networks want a lower one.

    Raises:
        AssertionError: If it is not in there, or elsewhere.
        ValueError: If the clip is silent.
    """
    __tracebackhide__ = True
    samples, wanted = sound.samples_of(recording), sound.samples_of(clip)
    found = sound.locate(wanted, samples, near_ms=at_ms)
    if at_ms is not None and not _is_at(found, at_ms, within_ms, likeness):
        # A clip that is spoken more than once may fit best elsewhere.
        begin_ms = max(0.0, at_ms - within_ms - sound.SLACK_MS)
        end_ms = at_ms + within_ms + sound.SLACK_MS + len(wanted) / sound.MS
        here = sound.locate(wanted, sound.cut(samples, begin_ms, end_ms), near_ms=at_ms - begin_ms)
        here = Found(here.at_ms + begin_ms, here.likeness)
        found = here if _is_at(here, at_ms, within_ms, likeness) else found
    if found.likeness < likeness:
        said = f"the clip is not in there: its best likeness is {found.likeness:.2f}, at {found.at_ms:.0f} ms"
        _fail(f"{said}; {likeness:g} was wanted", samples, save)
    if at_ms is not None and abs(found.at_ms - at_ms) > within_ms:
        said = f"the clip begins at {found.at_ms:.0f} ms (likeness {found.likeness:.2f})"
        _fail(f"{said}, not within {within_ms:.0f} ms of {at_ms:.0f} ms", samples, save)
    return found


def assert_level(
    recording: Recording,
    *,
    at_least_dbfs: float | None = None,
    at_most_dbfs: float | None = None,
    from_ms: float = 0.0,
    to_ms: float | None = None,
    only_sound: bool = False,
    save: Path | str | None = None,
) -> float:
    """Assert that the RMS level lies within bounds, and return it, in dBFS.

    The bounds are `at_least_dbfs` and `at_most_dbfs`; one is enough.
    Silence counts, unless `only_sound` leaves out what is below -50 dBFS.

    Raises:
        AssertionError: If it is lower or higher, or if there is not a sample to measure.
        ValueError: If no bound is given.
    """
    __tracebackhide__ = True
    if at_least_dbfs is None and at_most_dbfs is None:
        raise ValueError("give at_least_dbfs, at_most_dbfs, or both")
    part = sound.cut(sound.samples_of(recording), from_ms, to_ms)
    if not len(part):
        _fail("there is not a sample whose level could be measured", part, save)
    level = sound.sounding_dbfs(part) if only_sound else level_dbfs(part)
    what = f"the level{' of the sound' if only_sound else ''} is {level:.1f} dBFS"
    if at_least_dbfs is not None and level < at_least_dbfs:
        _fail(f"{what}, below {at_least_dbfs:g} dBFS", part, save)
    if at_most_dbfs is not None and level > at_most_dbfs:
        _fail(f"{what}, above {at_most_dbfs:g} dBFS", part, save)
    return level


def assert_aligned(
    first: Recording,
    second: Recording | None = None,
    *,
    offset_ms: float = 0.0,
    within_ms: float = 20.0,
    likeness: float = SAME,
    save: Path | str | None = None,
) -> float:
    """Assert that two channels hold the same sound at the same time; return their mean offset, in ms.

    Without `second`, `first` is an array of two channels, shape `(n_samples, 2)`. With `offset_ms` the sound of the
    second must lie so much later. Each 0.3 s of sound is compared, and must be like the other by `likeness`: neither
    may drift by more than `within_ms`. The pieces found must make up at least half of those with sound.

    Raises:
        AssertionError: If a piece lies elsewhere, or the channels have no sound in common.
    """
    __tracebackhide__ = True
    one, other = _channels(first, second)
    if not sound.sounds(one):
        _fail("there is no sound in the first channel", one, save)
    reach_ms = within_ms + _ALIGNED_REACH_MS
    found = sound.align(one, other, near_ms=offset_ms, reach_ms=reach_ms, likeness=likeness)
    both = f"; the second channel holds {sound.describe(other)}"
    if not found.offsets or len(found.offsets) < found.n_pieces / 2:
        said = f"only {len(found.offsets)} of {found.n_pieces} pieces of the first channel's sound are in the second"
        said += f" within {reach_ms:.0f} ms (best likeness {found.best_likeness:.2f}; {likeness:g} was wanted)"
        _fail(said + both, one, save)
    at_ms, worst_ms = max(found.offsets, key=lambda piece: abs(piece[1] - offset_ms))
    if abs(worst_ms - offset_ms) > within_ms:
        first_ms, last_ms = found.offsets[0][1], found.offsets[-1][1]
        said = f"the second channel lies {worst_ms:+.0f} ms off the first at {at_ms:.0f} ms, not {offset_ms:+.0f} ms"
        _fail(f"{said} ± {within_ms:.0f} ms (first {first_ms:+.0f} ms, last {last_ms:+.0f} ms){both}", one, save)
    return float(np.mean([offset for _, offset in found.offsets]))


def _is_at(found: Found, at_ms: float, within_ms: float, likeness: float) -> bool:
    return found.likeness >= likeness and abs(found.at_ms - at_ms) <= within_ms


def _channels(first: Recording, second: Recording | None) -> tuple[Samples, Samples]:
    if second is not None:
        return sound.samples_of(first), sound.samples_of(second)
    if not isinstance(first, np.ndarray) or first.ndim != 2 or first.shape[1] != 2:
        raise TypeError("pass two recordings, or one array of two channels, shape (n_samples, 2)")
    return sound.samples_of(first[:, 0]), sound.samples_of(first[:, 1])


def _fail(said: str, samples: Samples, save: Path | str | None) -> NoReturn:
    __tracebackhide__ = True
    lines = [said, f"heard: {sound.describe(samples)}"]
    if (path := keep_failure(samples, save)) is not None:
        lines.append(f"saved: {path}")
    raise AssertionError("\n".join(lines))
