"""Runs the command on a terminal of its own, presses its keys, and keeps everything that was drawn."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import struct
import termios
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from termios import TIOCSWINSZ

from tests.cli.command import COMMAND, environment
from tests.signals import restore_default_signals

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@dataclass
class Terminal:
    """A process on a terminal of its own, and everything that was drawn on it."""

    process: asyncio.subprocess.Process
    slave: int
    """The end of the terminal that the process has."""
    _master: int
    _drawn: bytearray = field(default_factory=bytearray)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def draw(self, block: bytes) -> None:
        """Take what the process has written."""
        self._drawn += block
        self._news.set()

    @property
    def drawn(self) -> str:
        """Everything so far, with its control sequences."""
        return self._drawn.decode(errors="replace")

    @property
    def text(self) -> str:
        """Everything so far, without colours and cursor movements."""
        return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", self.drawn)

    def press(self, keys: str) -> None:
        """Press keys, all at once."""
        os.write(self._master, keys.encode())

    def is_raw(self) -> bool:
        """Return whether keys come one by one, and are not shown."""
        return not termios.tcgetattr(self.slave)[3] & (termios.ICANON | termios.ECHO)

    def close(self) -> None:
        """Close it, as if its window were closed."""
        asyncio.get_running_loop().remove_reader(self._master)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for end in (self.slave, self._master):
            os.dup2(nowhere, end)
        os.close(nowhere)

    async def until(self, is_so: Callable[[str], object]) -> None:
        """Return once the text fulfils a condition."""
        async with asyncio.timeout(20):
            while not is_so(self.text):
                self._news.clear()
                await self._news.wait()

    async def ended(self) -> int:
        """Return the exit status, once everything that was written has been drawn."""
        async with asyncio.timeout(20):
            return await self.process.wait()


@asynccontextmanager
async def on_terminal(*arguments: str, command: Sequence[str] | None = None) -> AsyncIterator[Terminal]:
    """Run the command, ours unless another is named, on a terminal of its own of 100 columns and 30 rows."""
    master, slave = pty.openpty()
    loop = asyncio.get_running_loop()
    try:
        ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *(COMMAND if command is None else command),
            *arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(),
            start_new_session=True,
            preexec_fn=_own_the_terminal,
        )
        terminal = Terminal(process, slave, master)
        loop.add_reader(master, lambda: terminal.draw(os.read(master, 65_536)))
        try:
            yield terminal
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
            loop.remove_reader(master)
    finally:
        os.close(slave)
        os.close(master)


def _own_the_terminal() -> None:
    """Make stdin the terminal of the new session, so that its keys Ctrl-C, Ctrl-Z and Ctrl-backslash send signals."""
    restore_default_signals()
    ioctl(0, termios.TIOCSCTTY, 0)
