"""HandoffTool: a tool as the handler of a handoff sees it."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from typing import Any

from rtc_client.errors import CallClosed, WrongThread


@dataclass(frozen=True, slots=True, kw_only=True)
class HandoffTool:
    """A tool of the call, for the handler of a handoff. Made by the call: see `HandoffRequest.tools`."""

    name: str
    description: str
    """When and how to call it, in words for a model; may be empty."""
    parameters: Mapping[str, object] = field(repr=False)
    """JSON Schema of its arguments, an object."""
    start: Callable[[Mapping[str, object]], Coroutine[Any, Any, str]] = field(repr=False)
    """What `run` awaits."""
    loop: asyncio.AbstractEventLoop = field(repr=False)
    """The event loop of the call."""

    async def run(self, arguments: Mapping[str, object]) -> str:
        """Return the JSON that a model is to be told: the result, or `{"error": …}` in words; it is no exception.

        The arguments are checked against the schema, and the tool's time limit holds. Every call is in
        `call.result.tool_calls`. Cancelling it cancels the tool, and so does the end of the call.

        Raises:
            CallClosed: The call is over.
            ConfigError: The arguments hold what JSON cannot say.
        """
        return await self.start(arguments)

    def run_blocking(self, arguments: Mapping[str, object]) -> str:
        """Do what `run` does, and wait for it: for a handler that is not async, which runs in a thread.

        Raises:
            WrongThread: This is the thread of the call, which would wait for itself: await `run` there.
            CallClosed: The call is over.
        """
        if _running_loop() is self.loop:
            raise WrongThread(f"the tool {self.name} runs in this thread, which would wait for itself: await run()")
        work = self.start(arguments)
        try:
            return asyncio.run_coroutine_threadsafe(work, self.loop).result()
        except concurrent.futures.CancelledError:
            raise CallClosed("the call is over") from None
        except RuntimeError:
            if not self.loop.is_closed():
                raise
            work.close()
            raise CallClosed("the call is over") from None


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
