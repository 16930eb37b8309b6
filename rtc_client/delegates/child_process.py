"""Runs a program: gives it its input, reads what it prints, and ends it with every process it started."""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from rtc_client.errors import CommandFailed

MAX_STDERR_BYTES: Final = 4_000
"""Of what a program writes to stderr, the end is kept."""
MAX_TEXT_CHARS: Final = 1_000_000
"""A line that is longer ends there; of a whole output what comes behind is dropped."""
_MAX_CHUNKS: Final = 16
"""Of up to 256 kB each, which wait to be sent; then the program waits."""
_LAST_LINE_S: Final = 0.25
"""A line after which nothing comes for this long, while the program runs, was progress."""
_TERMINATE_S: Final = 0.5
"""What a program has between SIGTERM and SIGKILL, and its children between its end and SIGKILL."""


class Program(asyncio.SubprocessProtocol):
    """A program at work: its three pipes, its group and its end."""

    def __init__(self, given: bytes) -> None:
        self._given = given
        self._pid = 0
        self._transport: asyncio.SubprocessTransport | None = None
        self._printed: deque[bytes] = deque()
        self._news = asyncio.Event()
        self._is_all_printed = self._is_paused = False
        self._stderr = b""
        self._exited = asyncio.Event()
        self._closed = asyncio.Event()
        self._ending: asyncio.Task[None] | None = None
        self._is_group_gone = False

    # What asyncio tells of it.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The program runs: give it the request, and let stdin end there."""
        assert isinstance(transport, asyncio.SubprocessTransport)  # noqa: S101 - it is one of a subprocess
        self._transport, self._pid = transport, transport.get_pid()
        stdin = transport.get_pipe_transport(0)
        if isinstance(stdin, asyncio.WriteTransport):
            stdin.write(self._given)
            stdin.close()
        self._ending = asyncio.create_task(self._end_the_rest(), name="handoff-command")

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        """It printed something; while much is waiting to be sent, the program has to wait too."""
        if fd == 2:
            self._stderr = (self._stderr + data)[-MAX_STDERR_BYTES:]
            return
        self._printed.append(data)
        self._news.set()
        self._pause(is_paused=len(self._printed) >= _MAX_CHUNKS)

    def pipe_connection_lost(self, fd: int, exc: Exception | None) -> None:
        """It will print nothing more."""
        if fd == 1:
            self._is_all_printed = True
            self._news.set()

    def process_exited(self) -> None:
        """It ended, but what it has left running may still print."""
        self._exited.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, and so did all its pipes."""
        self._closed.set()

    # What it prints.

    async def chunks(self) -> AsyncGenerator[str]:
        """Yield what it prints, as it comes; what is not UTF-8 is replaced."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        while True:
            while self._printed:
                yield decoder.decode(self._printed.popleft())
            if self._is_all_printed:
                break
            self._pause(is_paused=False)
            self._news.clear()
            await self._news.wait()
        yield decoder.decode(b"", final=True)

    async def whole(self) -> str:
        """Return all that it prints, up to `MAX_TEXT_CHARS`."""
        whole = ""
        async for chunk in self.chunks():
            whole += chunk[: MAX_TEXT_CHARS - len(whole)]
        return whole

    async def lines(self) -> AsyncGenerator[str | None]:
        """Yield each line without its end, and None whenever nothing has come behind one for a while."""
        chunks = self.chunks()
        reading: asyncio.Future[str] | None = None
        rest = ""
        try:
            while True:
                reading = reading or asyncio.ensure_future(anext(chunks))
                done, _ = await asyncio.wait({reading}, timeout=_LAST_LINE_S)
                if not done:
                    yield None
                    await asyncio.wait({reading})
                try:
                    rest += reading.result()
                except StopAsyncIteration:
                    break
                reading = None
                *lines, rest = rest.split("\n")
                if len(rest) > MAX_TEXT_CHARS:
                    lines, rest = [*lines, rest], ""
                for line in lines:
                    yield line.removesuffix("\r")
            if rest:
                yield rest
        finally:
            if reading is not None and not reading.done():
                reading.cancel()
                await asyncio.wait({reading})
            await chunks.aclose()

    # Its end.

    async def check(self) -> None:
        """Return when the program has ended well, and what it left running is gone.

        Raises:
            CommandFailed: It has ended otherwise.
        """
        assert self._transport is not None  # noqa: S101 - it was begun
        assert self._ending is not None  # noqa: S101
        await asyncio.wait([self._ending])
        status = self._transport.get_returncode()
        if status == 0 or status is None:
            return
        how = f"with the status {status}" if status > 0 else f"by the signal {_signal_name(-status)}"
        stderr = self._stderr.decode(errors="replace")
        raise CommandFailed(f"The program ended {how}.", status=status, stderr=stderr)

    async def stop(self, beginning: asyncio.Task[None]) -> None:
        """End the program and its children once it has begun, also when we are being cancelled."""
        stopping = asyncio.create_task(self._stop(beginning), name="handoff-command-stop")
        try:
            await asyncio.shield(stopping)
        except asyncio.CancelledError:
            await asyncio.wait([stopping])
            raise

    async def _stop(self, beginning: asyncio.Task[None]) -> None:
        await asyncio.wait([beginning])
        if self._transport is None:  # it could not be run
            return
        if not self._exited.is_set():
            self._signal(signal.SIGTERM)
            await _soon(self._exited)
        self._signal(signal.SIGKILL)
        await _soon(self._exited)
        if self._ending is not None:
            self._ending.cancel()
            await asyncio.wait([self._ending])
        self._transport.close()
        await _soon(self._closed)

    async def _end_the_rest(self) -> None:
        """End what the program has left running, which may hold its pipes open; what left its group is let go."""
        await self._exited.wait()
        if self._signal(signal.SIGTERM):
            await asyncio.sleep(_TERMINATE_S)
            self._signal(signal.SIGKILL)
        self._is_group_gone = True
        while not self._closed.is_set():
            await _soon(self._closed)
            if not self._is_paused:
                self.pipe_connection_lost(1, None)
                return

    def _signal(self, number: signal.Signals) -> bool:
        """Signal the whole group; return whether there is one. Its id is the program's, and taken while it is there."""
        if self._is_group_gone:
            return False
        try:
            os.killpg(self._pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _pause(self, *, is_paused: bool) -> None:
        stdout = None if self._transport is None else self._transport.get_pipe_transport(1)
        if is_paused == self._is_paused or not isinstance(stdout, asyncio.ReadTransport) or stdout.is_closing():
            return
        self._is_paused = is_paused
        if is_paused:
            stdout.pause_reading()
        else:
            stdout.resume_reading()


async def _soon(event: asyncio.Event) -> None:
    """Return once `event` is set, or after `_TERMINATE_S`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_TERMINATE_S):
            await event.wait()


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
