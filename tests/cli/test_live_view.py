"""Promise: on a terminal a call is shown while it runs, and the terminal is left as it was."""

from __future__ import annotations

import asyncio
import os
import pty
import re
import signal
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from fcntl import ioctl
from termios import TIOCSWINSZ

from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.cli.command import COMMAND, COMPLAINTS, environment

HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"


@dataclass
class Terminal:
    """A process on a terminal of its own, and everything that was drawn on it."""

    process: asyncio.subprocess.Process
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
async def on_terminal(*arguments: str) -> AsyncIterator[Terminal]:
    """Run the command on a terminal of 100 columns and 30 rows."""
    master, slave = pty.openpty()
    loop = asyncio.get_running_loop()
    try:
        ioctl(slave, TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
        process = await asyncio.create_subprocess_exec(
            *COMMAND, *arguments, stdin=slave, stdout=slave, stderr=slave, env=environment()
        )
        terminal = Terminal(process)
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


async def test_levels_words_state_and_time_are_drawn_and_the_cursor_comes_back(answerer: FakeAnswerer) -> None:
    """Both meters move, both voices are read as they speak, and what stays is the report with a visible cursor."""
    turn = SpokenTurn(voice=Tone(duration_s=1.2), text="Good \x1b]0;evil\x07 evening everybody", when=AtTime(0.2))
    answerer.script = AgentScript(turns=[turn], caller_text="hello there", hang_up_after_s=3.0)

    async with on_terminal(
        "call", "--base-url", answerer.base_url, "--in", "tone:440", "--sideband", "require"
    ) as terminal:
        await terminal.until(lambda text: "active" in text and "events on" in text)
        await terminal.until(lambda text: re.search(r"caller +█+░* +-?\d+ dBFS", text))
        await terminal.until(lambda text: re.search(r"agent +█+░* +-?\d+ dBFS", text))
        await terminal.until(lambda text: "Good" in text and "hello" in text)
        await terminal.until(lambda text: "0:01" in text)
        while_running = terminal.drawn
        status = await terminal.ended()
        await terminal.until(lambda text: "remote_hangup by the server" in text)

    assert status == 0
    assert while_running.count(HIDE) == 1
    assert SHOW not in while_running
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)
    assert str(answerer.calls[0].call_id) in while_running
    assert "evening everybody" in terminal.text
    assert "\x1b]" not in terminal.drawn
    assert not [complaint for complaint in COMPLAINTS if complaint in terminal.text]


async def test_the_cursor_comes_back_after_an_interrupt_and_after_a_refusal(answerer: FakeAnswerer) -> None:
    """However the call ends."""
    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        await terminal.until(lambda text: "active" in text)
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 130
        await terminal.until(lambda text: "interrupted by the caller" in text)
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)

    answerer.faults.refuse_post(401)
    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        assert await terminal.ended() == 3
        await terminal.until(lambda text: "rtc-client: the answerer refused the offer with HTTP 401" in text)
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)


async def test_quiet_draws_nothing(answerer: FakeAnswerer) -> None:
    """Not even a control sequence."""
    async with on_terminal("call", "--base-url", answerer.base_url, "--quiet", "--max-duration", "0.2") as terminal:
        assert await terminal.ended() == 0

    assert terminal.drawn == ""
