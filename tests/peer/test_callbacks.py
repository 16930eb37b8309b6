"""Promises about listeners that raise: nothing of the peer dies in silence, whoever waits for it is told.

In real time: `test_a_sender_that_stops_is_told`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiortc.rtp import RtcpByePacket

from rtc_client import CallLost
from rtc_client.config import MediaPath
from tests.peer.support import Told, a_pair


class _Oops(Exception):
    """Something that no library expects."""


def _raising(*_: Any) -> Any:
    raise _Oops


def _raising_value_error(*_: Any) -> Any:
    raise ValueError


@pytest.mark.parametrize(("raising", "error"), [(_raising, _Oops), (_raising_value_error, ValueError)])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ice_completed", "fast"),
        ("first_rtp", "fast"),
        ("next_packet", "fast"),
        ("packet", "fast"),
        ("stream_ended", "fast"),
        ("first_rtp", "packets"),
        ("next_packet", "packets"),
        ("packet", "packets"),
        ("first_rtp", "plain"),
        ("next_frame", "plain"),
        ("heard", "plain"),
    ],
)
async def test_what_a_listener_raises_reaches_whoever_waits(
    name: str, path: MediaPath, raising: Callable[..., Any], error: type[Exception]
) -> None:
    """An exception in any listener comes out of `connected` or `watch`, as it was raised, on every path."""
    told = Told()
    async with a_pair(told.listener(**{name: raising}), told=told, path=path) as pair:

        async def wait() -> None:
            await pair.connect()
            pair.talk()
            if name == "stream_ended":
                await told.hears(0.1, within_s=5)
                ssrc = pair.far.peer._pc.getSenders()[0]._ssrc
                await pair.far.dtls._send_rtp(bytes(RtcpByePacket(sources=[ssrc])))
            await pair.near.watch()

        with pytest.raises(error):
            await asyncio.wait_for(wait(), 5)


async def test_a_listener_that_raises_leaves_the_rest_running() -> None:
    """The path stays up until whoever watches it has decided: silence is sent, and what comes is still taken."""
    told = Told()
    async with a_pair(told.listener(next_frame=_raising), told=told, path="plain") as pair:
        await pair.connect()
        gate = pair.far.peer.gate
        await pair.far.bell.until(lambda: gate.n_rtp_received > 10 or None, timeout_s=5, what=lambda: "packets")

        assert pair.near._dtls.state == "connected"


@pytest.mark.both_clocks
async def test_a_sender_that_stops_is_told() -> None:
    """A frame that cannot be encoded ends aiortc's sender; the watch ends with it."""
    told = Told()
    async with a_pair(told.listener(next_frame=lambda position_samples: None), told=told, path="plain") as pair:
        await pair.connect()

        with pytest.raises(CallLost) as lost:
            await asyncio.wait_for(pair.near.watch(), 5)

        assert lost.value.reason == "sender_stopped"
