"""Where the sound that failed an assertion is kept, as WAV files. Imports nothing heavy: pytest loads it at start."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rtc_client.audio.frames import Samples

MAX_FILES: Final = 100
"""In one folder; a test that fails in a loop does not fill the disk."""

_folder: Callable[[], Path] | None = None


@contextmanager
def failures_saved_in(folder: Callable[[], Path]) -> Iterator[None]:
    """For the time of the block let assertions on sound keep what failed them in a folder, asked for when it is needed.

    Not for two threads at once.
    """
    global _folder  # noqa: PLW0603 - an assertion deep in a test has no other way to know
    before, _folder = _folder, folder
    try:
        yield
    finally:
        _folder = before


def save_failure(samples: Samples, path: Path | str | None) -> Path | None:
    """Save samples at `path`, or in the folder for failures; return where, or None when there is nowhere to put them.

    Raises:
        AudioFileUnreadable: If a path was given and cannot be written.
    """
    if path is not None:
        return save(samples, Path(path))
    return None if _folder is None else save_in(_folder(), "failed", samples)


def save_in(folder: Path, name: str, samples: Samples) -> Path | None:
    """Save samples under the first free name (`name-1.wav`); None if there are too many, or the disk refuses."""
    from rtc_client.errors import AudioFileUnreadable

    paths = (folder / f"{name}-{n}.wav" for n in range(1, MAX_FILES + 1))
    try:
        return next((save(samples, path) for path in paths if not path.exists()), None)
    except (OSError, AudioFileUnreadable):
        return None


def save(samples: Samples, path: Path) -> Path:
    """Save samples (int16, mono, 24 kHz) as a WAV file, and return its path.

    Raises:
        AudioFileUnreadable: If it cannot be written.
    """
    from rtc_client.audio.wav import write_wav

    write_wav(path, samples)
    return path
