"""How the tests of this folder place calls: against a fake answerer, with a key that would be recognised anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from rtc_client import Call, CallConfig, CallState, Deadlines
from rtc_client.testing import FakeAnswerer

API_KEY: Final = "sk-test-9f1c27be-never-to-be-seen"

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
    """Return once `call` is in `state`."""
    await until(lambda: call.state is state)


async def cancel_and_wait(task: asyncio.Task[Any]) -> None:
    """Cancel a task and return when it has ended, however it did."""
    task.cancel()
    await asyncio.wait([task])
