"""The terminal as a keyboard: reads keys one by one, and restores the terminal however the process ends.

What the keys mean is in `key_input.py` and `controls.py`. Nothing heavy is imported here.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import signal
import sys
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

_SHOW_CURSOR: Final = "\x1b[?25h"
_LOCAL_FLAGS, _CONTROL_CHARACTERS = 3, 6
_DEADLY: Final = signal.SIGQUIT
"""Ends us at once, without a word of ours; other signals hang up first (`signals.py`)."""

_taken: list[Keyboard] = []


def is_terminal(stream: Any) -> bool:
    """Return whether somebody sits at a stream; a closed one, or none at all, is nobody."""
    try:
        return stream is not None and os.isatty(stream.fileno())
    except (OSError, ValueError):
        return False


def restore() -> None:
    """Leave the terminal as it was: for who ends the process without ceremony. Safe at any time."""
    for keyboard in _taken:
        keyboard.let_go()
    if is_terminal(sys.stderr):
        with suppress(OSError):
            os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())


@contextmanager
def keys_to(take: Callable[[bytes], object]) -> Iterator[bool]:
    """Give `take` the keys that are pressed at stdin's terminal while the block runs; yield whether there is one.

    There is none where stdin is no terminal, or belongs to somebody else: a process in the background. Ctrl-C and
    Ctrl-Z do what they always do, the latter on a terminal that is as it was.
    """
    if not is_terminal(sys.stdin):
        yield False
        return
    keyboard = Keyboard(sys.stdin.fileno(), take)
    if not keyboard.is_ours():
        yield False
        return
    loop = asyncio.get_running_loop()
    _taken.append(keyboard)
    atexit.register(restore)
    try:
        keyboard.take_hold()
        loop.add_signal_handler(signal.SIGTSTP, keyboard.suspend)
        loop.add_signal_handler(signal.SIGCONT, keyboard.take_hold)
        if signal.getsignal(_DEADLY) is signal.SIG_DFL:
            loop.add_signal_handler(_DEADLY, _die, _DEADLY)
        yield True
    finally:
        for number in (signal.SIGTSTP, signal.SIGCONT, _DEADLY):
            loop.remove_signal_handler(number)
        keyboard.let_go()
        _taken.remove(keyboard)
        atexit.unregister(restore)


class Keyboard:
    """A terminal in the mode in which keys come one by one and are not shown (cbreak), or as it was before."""

    def __init__(self, fd: int, take: Callable[[bytes], object]) -> None:
        self._fd = fd
        self._take = take
        self._before: list[Any] | None = None
        self._loop = asyncio.get_running_loop()

    def is_ours(self) -> bool:
        """Return whether we are in the foreground; who is not would be stopped for touching the terminal."""
        try:
            return os.tcgetpgrp(self._fd) == os.getpgrp()
        except OSError:
            return True  # nobody has jobs there

    def take_hold(self) -> None:
        """Let keys come one by one, if the terminal is ours."""
        if self._before is not None or not self.is_ours():
            return
        try:
            self._before = termios.tcgetattr(self._fd)
            ours = termios.tcgetattr(self._fd)
            ours[_LOCAL_FLAGS] &= ~(termios.ECHO | termios.ICANON)
            ours[_CONTROL_CHARACTERS][termios.VMIN], ours[_CONTROL_CHARACTERS][termios.VTIME] = 1, 0
            termios.tcsetattr(self._fd, termios.TCSADRAIN, ours)
        except termios.error:
            return
        self._loop.add_reader(self._fd, self._read)

    def let_go(self) -> None:
        """Leave the terminal as it was; what was typed and not read is forgotten. Safe to call twice."""
        before, self._before = self._before, None
        if before is None:
            return
        if not self._loop.is_closed():
            self._loop.remove_reader(self._fd)
        # Who was put into the background meanwhile would be stopped for it.
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTTOU})
        try:
            with suppress(termios.error):
                termios.tcsetattr(self._fd, termios.TCSAFLUSH, before)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, blocked)

    def suspend(self) -> None:
        """Stop the process as Ctrl-Z does, on a terminal that is as it was; return when it goes on."""
        restore()
        self._loop.remove_signal_handler(signal.SIGTSTP)
        os.kill(os.getpid(), signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self.suspend)
        self.take_hold()

    def _read(self) -> None:
        if not self.is_ours():
            self._loop.remove_reader(self._fd)
            return
        try:
            block = os.read(self._fd, 4_096)
        except OSError:
            block = b""
        if block:
            self._take(block)
        else:  # the terminal is gone
            self._loop.remove_reader(self._fd)


def _die(number: signal.Signals) -> None:
    restore()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
