"""Supervisor: owns a call's tasks and decides its one end; the first decision wins."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

from rtc_client.errors import RtcClientError
from rtc_client.protocol.call_state import End, EndReason

log = logging.getLogger(__name__)


class Supervisor:
    """Starts named tasks, ends the call when one of them fails, and stops them all.

    `on_end(end)` is called once, when the end is decided.
    """

    def __init__(self, on_end: Callable[[End], None]) -> None:
        self._on_end = on_end
        self._tasks: set[asyncio.Task[None]] = set()
        self._ended = asyncio.Event()
        self.end: End | None = None
        self.error: Exception | None = None

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Run `work` as a task of this call, and return it; whatever it raises ends the call."""
        task = asyncio.create_task(self._run(work), name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        # A task that is cancelled before its first step never awaits its work.
        task.add_done_callback(lambda _: work.close())
        return task

    def decide(self, end: End, error: Exception | None = None) -> bool:
        """End the call; return False, changing nothing, when its end had been decided before."""
        if self.end is not None:
            return False
        self.end, self.error = end, error
        self._ended.set()
        self._on_end(end)
        return True

    async def wait_decided(self) -> None:
        """Return once the end is decided."""
        await self._ended.wait()

    async def stop(self, timeout_s: float) -> None:
        """Cancel every task and wait for them, for at most `timeout_s`."""
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            _, pending = await asyncio.wait(tasks, timeout=timeout_s)
            for task in pending:
                log.warning("a task of the call did not stop in time", extra={"task": task.get_name()})

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except RtcClientError as error:
            self.decide(End(reason=EndReason.FAILED, by="program", detail=str(error)), error)
        except Exception as error:  # the outermost frame of a task: what nobody foresaw ends the call, by name
            log.exception("a task of the call failed")
            self.decide(End(reason=EndReason.FAILED, by="program", detail=type(error).__name__), error)
