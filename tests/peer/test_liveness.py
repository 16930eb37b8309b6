"""Promises about telling a far side that is gone from one that is silent, and from one that has hung up.

In real time: `test_a_far_side_that_vanishes_is_lost`.
"""

from __future__ import annotations

import asyncio
import time

import aioice.ice
import pytest

from rtc_client import CallLost
from rtc_client.config import MediaPath
from tests.peer.support import PATHS, a_pair

SILENCE_S = 0.6


@pytest.mark.both_clocks
@pytest.mark.parametrize("path", PATHS)
async def test_a_far_side_that_vanishes_is_lost(path: MediaPath) -> None:
    """Without a datagram of any kind for the deadline, the call is lost, and says why."""
    async with a_pair(path=path, silence_s=SILENCE_S) as pair:
        await pair.connect()
        watching = asyncio.create_task(pair.near.watch())
        await pair.told.bell.until(lambda: pair.told.heard or None, timeout_s=5, what=lambda: "a frame")
        vanished_s = time.monotonic()

        pair.far.peer.vanish()
        with pytest.raises(CallLost) as lost:
            await watching

        assert lost.value.reason == "no_datagrams"
        assert SILENCE_S * 0.9 < time.monotonic() - vanished_s < SILENCE_S * 2


async def test_a_far_side_that_only_answers_checks_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent that sends no media at all is there for as long as its ICE consents."""
    monkeypatch.setattr(aioice.ice, "CONSENT_INTERVAL", SILENCE_S / 3)
    async with a_pair(silence_s=SILENCE_S) as pair:
        await pair.connect()
        pair.far.stop_media()
        watching = asyncio.create_task(pair.near.watch())

        done, _ = await asyncio.wait([watching], timeout=3 * SILENCE_S)

        assert not done
        watching.cancel()
        await asyncio.wait([watching])


async def test_the_default_deadline_is_longer_than_the_time_between_two_checks() -> None:
    """With aioice's own interval, and one answer lost, a silent far side still is not taken for a dead one."""
    async with a_pair() as pair:
        assert pair.near._deadlines.silence_s >= 2 * 1.2 * aioice.ice.CONSENT_INTERVAL - 1e-9


@pytest.mark.parametrize("path", PATHS)
async def test_a_far_side_that_hangs_up_is_not_lost(path: MediaPath) -> None:
    """A close_notify ends the watch without an error, at once."""
    async with a_pair(path=path) as pair:
        await pair.connect()
        watching = asyncio.create_task(pair.near.watch())
        await pair.told.bell.until(lambda: pair.told.heard or None, timeout_s=5, what=lambda: "a frame")

        await pair.far.peer.aclose()

        await asyncio.wait_for(watching, 1)


@pytest.mark.parametrize("path", PATHS)
async def test_a_path_that_breaks_is_lost(path: MediaPath) -> None:
    """Sockets that die under the call are no hang-up of the far side."""
    async with a_pair(path=path) as pair:
        await pair.connect()
        await pair.told.bell.until(lambda: pair.told.heard or None, timeout_s=5, what=lambda: "a frame")
        pair.near._guard.last_dtls_s = None  # the handshake is long over

        pair.near._connection._nominated[1].protocol.transport.abort()
        with pytest.raises(CallLost) as lost:
            await asyncio.wait_for(pair.near.watch(), 1)

        assert lost.value.reason in ("transport_closed", "sender_stopped")
