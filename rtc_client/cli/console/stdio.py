"""Writes on stdout and stderr; where nobody reads, or a disk is full, it returns a status.

Nothing heavy is imported here, so that `--help` is quick.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Final, TextIO

_STDERR: Final = 2


def make_lenient() -> None:
    """Let a name of a file, or a word of the agent, that stdout cannot show be shown escaped."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def encoding() -> str:
    """Return what stdout encodes in."""
    return getattr(sys.stdout, "encoding", None) or "utf-8"


def hush_libraries() -> None:
    """Let what native libraries write to stderr by themselves go nowhere; what we write is seen as before.

    PortAudio and ALSA tell there of everything that they try in vain, in the middle of a live view. Before anything has
    taken `sys.stderr`, as logging does.
    """
    if sys.stderr is None or not isinstance(sys.stderr, io.TextIOWrapper) or sys.stderr.fileno() != _STDERR:
        return
    sys.stderr.flush()
    ours = os.dup(_STDERR)
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    sys.stderr = open(ours, "w", buffering=1, encoding=encoding, errors=errors, closefd=False)  # noqa: SIM115
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, _STDERR)
    os.close(nowhere)


def print_line(text: str, status: int) -> int:
    """Print on stdout; return `status`, or 1 when nothing else is wrong but that it could not be delivered."""
    try:
        print(text, flush=True)
    except OSError as error:
        return undelivered(error, status)
    return status


def print_error(line: str) -> None:
    """Print a line on stderr; if nobody reads that either, the exit status has to do."""
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        _give_up(sys.stderr)


def flushed(status: int) -> int:
    """Deliver what was printed but not sent yet, as `print_line` does."""
    if sys.stdout is None:  # it was closed before we were started: nobody wants to read anything
        return status
    try:
        sys.stdout.flush()
    except OSError as error:
        return undelivered(error, status)
    return status


def undelivered(error: OSError, status: int) -> int:
    """Tell, unless the reader is merely gone, that stdout cannot be written; return `status`, or 1 for 0."""
    _give_up(sys.stdout)
    if not isinstance(error, BrokenPipeError):
        print_error(f"rtc-client: stdout cannot be written: {error.strerror}")
    return status or 1


def _give_up(stream: TextIO) -> None:
    """Let what is left in a stream go nowhere: the interpreter's own flush at exit would change the status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
