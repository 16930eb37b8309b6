"""A sideband that the server closes or drops (h_*).

In real time: `test_broken_sideband_is_joined_again`.
"""

from __future__ import annotations

import pytest

from rtc_client import EndReason, SidebandJoined, SidebandLost, connect
from tests.wire.recordings import episodes
from tests.wire.replay import all_events, assert_same_frame, config_of, replaying


async def test_close_1000_is_the_servers_hangup() -> None:
    """The first close of h_server_close completes the call; we answer the close frame and hang nothing up.

    The reference client answers no close frame, and reports every close alike as `transport_closed`.
    """
    recorded = episodes("h_server_close")[0]
    assert recorded.told[-1] == ("closed", {"reason": "transport_closed"})
    async with replaying(recorded) as replay, connect(config_of(replay, recorded)) as call:
        replay.go.set()
        result = await call.wait_ended()
        await replay.server.until(lambda: replay.close_codes)

    assert result.error is None
    assert result.end is not None
    assert (result.end.reason, result.end.by) == (EndReason.REMOTE_HANGUP, "server")
    assert replay.close_codes == [1000]
    assert replay.server.hangups == []
    assert len(replay.server.handshakes) == 1


@pytest.mark.both_clocks
@pytest.mark.parametrize(("n", "code"), [(1, 1011), (2, None)])
async def test_broken_sideband_is_joined_again(n: int, code: int | None) -> None:
    """After a close 1011, or TCP gone without one, we join again with session.update first, and the call goes on.

    The reference client ends the call in both cases of h_server_close, and never joins again.
    """
    recorded = episodes("h_server_close")[n]
    assert recorded.told[-1][0] == "closed"
    async with replaying(recorded) as replay, connect(config_of(replay, recorded)) as call:
        replay.go.set()
        await replay.server.until(lambda: len(replay.frames) == 2 and replay.frames[1])
        await call.say("still here")
        await replay.server.until(lambda: len(replay.texts) == 3)

    notices = [e for e in await all_events(call) if isinstance(e, SidebandJoined | SidebandLost)]
    assert notices == [SidebandJoined(again=False), SidebandLost(code=code), SidebandJoined(again=True)]
    assert_same_frame(replay.frames[1][0].text, recorded.sent_frames[0])
    assert replay.server.handshakes[1].line == replay.server.handshakes[0].line
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP
    assert len(replay.server.hangups) == 1
