"""Promises about listeners that raise: nothing of the peer dies in silence, whoever waits for it is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from rtc_client import CallLost
from tests.peer.support import Told, a_pair


class _Oops(Exception):
    """Something that no library expects."""


def _raising(*_: Any) -> Any:
    raise _Oops


def _raising_value_error(*_: Any) -> Any:
    raise ValueError


@pytest.mark.parametrize(("raising", "error"), [(_raising, _Oops), (_raising_value_error, ValueError)])
@pytest.mark.parametrize("name", ["ice_completed", "first_rtp", "next_frame", "heard"])
async def test_what_a_listener_raises_reaches_whoever_waits(
    name: str, raising: Callable[..., Any], error: type[Exception]
) -> None:
    """An exception in any listener comes out of `connected` or `watch`, as it was raised."""
    told = Told()
    async with a_pair(told.listener(**{name: raising}), told=told) as pair:

        async def wait() -> None:
            await pair.connect()
            pair.talk()
            await pair.near.watch()

        with pytest.raises(error):
            await asyncio.wait_for(wait(), 5)


async def test_a_listener_that_raises_leaves_the_rest_running() -> None:
    """The path stays up until whoever watches it has decided: silence is sent, and what comes is still taken."""
    told = Told()
    async with a_pair(told.listener(next_frame=_raising), told=told) as pair:
        await pair.connect()
        gate = pair.far.peer.gate
        await pair.far.bell.until(lambda: gate.n_rtp_received > 10 or None, timeout_s=5, what=lambda: "packets")

        assert pair.near._dtls.state == "connected"


async def test_a_sender_that_stops_is_told() -> None:
    """A frame that cannot be encoded ends aiortc's sender; the watch ends with it."""
    told = Told()
    async with a_pair(told.listener(next_frame=lambda position_samples: None), told=told) as pair:
        await pair.connect()

        with pytest.raises(CallLost) as lost:
            await asyncio.wait_for(pair.near.watch(), 5)

        assert lost.value.reason == "sender_stopped"
