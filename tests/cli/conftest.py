"""Fixtures of the command's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from rtc_client.testing import FakeAnswerer


@pytest.fixture
async def answerer() -> AsyncIterator[FakeAnswerer]:
    """An answerer whose agent is silent; a test may give it a script, and faults."""
    async with FakeAnswerer() as running:
        yield running
        assert running.violations == []
