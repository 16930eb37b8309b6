"""How the tests of this folder place calls: against a fake answerer, with a key that would be recognised anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final

from rtc_client import Call, CallConfig, CallState, Deadlines
from rtc_client.testing import FakeAnswerer

API_KEY: Final = "sk-test-9f1c27be-never-to-be-seen"

TURNS: Final = 200
SETTLE_S: Final = 5.0
"""Limit of everything that has to happen soon."""


def config_for(answerer: FakeAnswerer, *, deadlines: dict[str, float] | None = None, **settings: Any) -> CallConfig:
    """Return a config that calls `answerer`; `deadlines` names those that differ from the default."""
    values: dict[str, Any] = {"api_key": API_KEY, "base_url": answerer.base_url, **settings}
    return CallConfig(deadlines=Deadlines(**(deadlines or {})), **values)


async def until(is_so: Callable[[], object], limit_s: float = SETTLE_S) -> None:
    """Return once a condition that nobody announces has become true."""
    async with asyncio.timeout(limit_s):
        while not is_so():  # noqa: ASYNC110 - there is nothing to wait for, by design of the condition
            await asyncio.sleep(0.002)


async def until_state(call: Call, state: CallState) -> None:
    """Return once `call` is in `state`, even if it stays there for a few turns of the loop only."""
    async with asyncio.timeout(SETTLE_S):
        while call.state is not state:
            for _ in range(TURNS):
                await asyncio.sleep(0)
                if call.state is state:
                    return
            await asyncio.sleep(0.002)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and return when it has ended, however it did."""
    task.cancel()
    await asyncio.wait([task])


@asynccontextmanager
async def deaf_to_hang_ups(port: int, asked: asyncio.Event | None = None) -> AsyncIterator[str]:
    """Yield the base URL of a relay to the answerer at `port`; a request to hang up goes nowhere and sets `asked`."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while block := await reader.read(65_536):
                if b"/hangup" not in block:
                    writer.write(block)
                elif asked is not None:
                    asked.set()
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        onward = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, onward[1]), pump(onward[0], writer))

    server = await asyncio.start_server(relay, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
