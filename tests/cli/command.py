"""Runs the command as its user does, in a process of its own, with warnings as errors and asyncio in debug mode."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from rtc_client import TranscriptEntry
from tests.signals import restore_default_signals

COMMAND: Final = (sys.executable, "-X", "dev", "-W", "error", str(Path(sys.executable).with_name("rtc-client")))

KEY: Final = "sk-cli-test-4d2a90ee"
LIMIT_S: Final = 40.0

COMPLAINTS: Final = (
    "Traceback", "Warning", "was never retrieved", "was destroyed but it is pending", "never awaited",
    "Exception ignored", "Unclosed",
)  # fmt: skip
"""What a process says that has left something behind."""

KEYS: Final = {"call_id", "exit_status", "end", "error", "timings_ms", "audio", "events", "transcript"}
ENTRY: Final = {one.name for one in fields(TranscriptEntry)}
PHASES: Final = {"gather", "post", "ice", "dtls", "first_rtp", "sideband", "setup"}
TOTALS: Final = {"packets", "bytes", "lost", "level_dbfs"}


@dataclass(frozen=True)
class Finished:
    """A run of the command that is over."""

    status: int
    stdout: str
    stderr: str
    took_s: float

    @property
    def lines(self) -> list[str]:
        """What was said on stderr."""
        return self.stderr.splitlines()

    @property
    def report(self) -> dict[str, Any]:
        """The one JSON object on stdout, with all documented keys."""
        assert self.stdout.count("\n") == 1, self.stdout
        report: dict[str, Any] = json.loads(self.stdout)
        assert report.keys() >= KEYS
        assert report["timings_ms"].keys() == PHASES
        assert report["audio"]["sent"].keys() == report["audio"]["received"].keys() == TOTALS
        assert report["end"].keys() == {"reason", "by", "detail"}
        assert report["error"] is None or report["error"].keys() == {"type", "message"}
        assert report["exit_status"] == self.status
        assert all(
            entry.keys() >= {"role", "text", "final", "at_ms", "end_ms", "written"} for entry in report["transcript"]
        )
        return report


@dataclass
class Running:
    """A run of the command that is still going on."""

    process: asyncio.subprocess.Process
    began_s: float
    _ending: asyncio.Task[tuple[bytes, bytes]] | None = field(default=None, repr=False)

    def send(self, number: signal.Signals) -> None:
        """Send a signal, and measure from here how long the end takes."""
        self.began_s = time.monotonic()
        self.process.send_signal(number)

    async def first_line(self) -> str:
        """Return the first line of stdout; only before `finished`."""
        assert self.process.stdout is not None
        async with asyncio.timeout(LIMIT_S):
            return (await self.process.stdout.readline()).decode()

    async def finished(self, limit_s: float = LIMIT_S) -> Finished:
        """Return how it ended; it must not have left anything behind."""
        async with asyncio.timeout(limit_s):
            stdout, stderr = (output.decode() for output in await self.process.communicate())
        took_s = time.monotonic() - self.began_s
        assert self.process.returncode is not None
        assert not [complaint for complaint in COMPLAINTS if complaint in stderr], stderr
        return Finished(self.process.returncode, stdout, stderr, took_s)


@asynccontextmanager
async def running(
    *arguments: str, key: str | None = KEY, env: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> AsyncIterator[Running]:
    """Start the command, `before` it another one; it is killed if it still runs when the block is left."""
    process = await asyncio.create_subprocess_exec(
        *before,
        *COMMAND,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environment(key, env),
        preexec_fn=restore_default_signals,
    )
    try:
        yield Running(process, time.monotonic())
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def run(
    *arguments: str, key: str | None = KEY, env: dict[str, str] | None = None, before: tuple[str, ...] = ()
) -> Finished:
    """Run the command to its end."""
    async with running(*arguments, key=key, env=env, before=before) as command:
        return await command.finished()


def environment(key: str | None = KEY, more: dict[str, str] | None = None) -> dict[str, str]:
    """Return our own environment without what could change a call, and with this key."""
    ours = ("OPENAI_", "RTC_CLIENT_", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "PYTHONUTF8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    kept |= {"COLUMNS": "100", "TERM": "xterm-256color"}
    return kept | ({} if key is None else {"OPENAI_API_KEY": key}) | (more or {})
