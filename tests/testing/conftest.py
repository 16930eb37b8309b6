"""Fixtures of the answerer's tests; the caller they use is `caller.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from rtc_client.audio.frames import Samples
from rtc_client.testing import FakeAnswerer
from tests.testing.caller import NO_SAMPLES, Caller, Placed, form, post

Place = Callable[..., Awaitable[Placed]]


@pytest.fixture
async def place() -> AsyncIterator[Place]:
    """Place calls; whatever was placed is closed at the end."""
    callers: list[Caller] = []

    async def place_call(answerer: FakeAnswerer, samples: Samples | None = None) -> Placed:
        caller = Caller(NO_SAMPLES if samples is None else samples)
        callers.append(caller)
        response = await post(answerer.base_url, *form(await caller.offer()))
        if response.status_code == 201:
            await caller.accept(response.text)
        return Placed(caller, response)

    yield place_call
    for caller in callers:
        await caller.close()


@pytest.fixture
async def answerer() -> AsyncIterator[FakeAnswerer]:
    """An answerer whose agent is silent."""
    async with FakeAnswerer() as running:
        yield running
