"""Keeps the audio of a failed test as WAV files. Imports nothing heavy: pytest loads it at its start."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rtc_client.audio.frames import Samples

MAX_FILES: Final = 100
"""On one shelf; a test that fails in a loop does not fill the disk."""


class SavedAudio:
    """A folder for the sound of one test, asked for when there is something to put there."""

    def __init__(self, find_folder: Callable[[], Path | None]) -> None:
        """`find_folder` returns an existing folder, or None for nowhere; it is asked once."""
        self._find_folder = find_folder
        self._folder: Path | None = None
        self._n_files: Counter[str] = Counter()

    def put(self, name: str, samples: Samples) -> Path | None:
        """Save samples as the next `name-1.wav`; return where, or None if there is no room for them."""
        from rtc_client.errors import AudioFileUnreadable

        if self._n_files.total() >= MAX_FILES:
            return None
        try:
            self._folder = self._folder or self._find_folder()
            if self._folder is None:
                return None
            self._n_files[name] += 1
            return save(samples, self._folder / f"{name}-{self._n_files[name]}.wav")
        except (OSError, AudioFileUnreadable):
            return None  # the failure of the test is what matters


_shelf: SavedAudio | None = None


@contextmanager
def failures_kept_on(shelf: SavedAudio) -> Iterator[None]:
    """For the time of the block let assertions on sound keep what failed them. Not for two threads at once."""
    global _shelf  # noqa: PLW0603 - an assertion deep in a test has no other way to know
    before, _shelf = _shelf, shelf
    try:
        yield
    finally:
        _shelf = before


def keep_failure(samples: Samples, path: Path | str | None) -> Path | None:
    """Save samples at `path`, or on the shelf for failures; return where, or None when there is nowhere to put them.

    Raises:
        AudioFileUnreadable: If a path was given and cannot be written.
    """
    if path is not None:
        return save(samples, Path(path))
    return None if _shelf is None else _shelf.put("failed", samples)


def save(samples: Samples, path: Path) -> Path:
    """Save samples (int16, mono, 24 kHz) as a WAV file, and return its path.

    Raises:
        AudioFileUnreadable: If it cannot be written.
    """
    from rtc_client.audio.files.wav import write_wav

    write_wav(path, samples)
    return path
