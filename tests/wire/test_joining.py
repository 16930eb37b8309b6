"""Joining the sideband: refusals, tries, and what the user queued meanwhile (e_*, f_*).

In real time: `test_sideband_is_joined_while_the_media_still_connects`.
"""

from __future__ import annotations

import json

import pytest

from rtc_client import CallEnded, Deadlines, EndReason, MediaError, SidebandRejected, connect
from tests.wire.recordings import episode
from tests.wire.replay import (
    HastyClock,
    all_events,
    assert_same_frame,
    assert_schedule,
    config_of,
    first_frame_of,
    replaying,
)


async def test_404_three_times_then_accepted_is_joined() -> None:
    """A sideband that is not there yet is joined on the fourth try, session.update first, as the recording has it."""
    recorded = episode("e_sideband_404_x3_then_ok")
    clock = HastyClock()
    async with replaying(recorded) as replay, connect(config_of(replay, recorded), clock=clock) as call:
        frame = await first_frame_of(replay)

    assert_same_frame(frame, recorded.sent_frames[0])
    assert len(replay.server.handshakes) == len(recorded.all("ws_open")) == 4
    assert len({handshake.header("sec-websocket-key") for handshake in replay.server.handshakes}) == 4
    assert len({handshake.header("authorization") for handshake in replay.server.handshakes}) == 1
    assert_schedule(clock.waits_s, 3)
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.HANGUP


async def test_500_for_good_ends_the_call() -> None:
    """Five tries on the schedule of e_sideband_500, then the call is refused; we hang it up, which nobody recorded."""
    recorded = episode("e_sideband_500")
    clock = HastyClock()
    async with replaying(recorded) as replay:
        call = connect(config_of(replay, recorded), clock=clock)
        with pytest.raises(SidebandRejected, match=r"HTTP 500 \(5 tries\)") as refused:
            async with call:
                await call.wait_ended()

    assert refused.value.status == 500
    assert len(replay.server.handshakes) == len(recorded.all("ws_open")) == 5
    assert_schedule(clock.waits_s, 4)
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.REFUSED, "server")
    assert isinstance((await all_events(call))[-1], CallEnded)
    assert len(replay.server.hangups) == 1


@pytest.mark.both_clocks
async def test_sideband_is_joined_while_the_media_still_connects() -> None:
    """The two legs come up side by side: session.update is out although no media path will ever be there."""
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        replay.media.faults.dead_candidates()
        call = connect(config_of(replay, recorded, deadlines=Deadlines(connect_s=1.0)))
        with pytest.raises(MediaError):
            await call.__aenter__()

    assert_same_frame(replay.texts[0], recorded.sent_frames[0])
    assert replay.close_codes == [1000]
    assert len(replay.server.hangups) == 1
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.NO_MEDIA


async def test_texts_before_the_sideband_keep_their_order() -> None:
    """What the user says before the sideband is up follows session.update in the user's order, and nothing is lost.

    In f_text_before_sideband the reference client puts queued audio before older texts. We have one queue, and no
    audio in it: a WebRTC call speaks by RTP.
    """
    recorded = episode("f_text_before_sideband")
    texts = [e["params"]["text"] for e in recorded.all("rpc_request") if e["method"].endswith("appendText")]
    async with replaying(recorded) as replay, connect(config_of(replay, recorded)) as call:
        for text in texts[:3]:
            await call.say(text)
        assert replay.texts == []
        assert not call.sideband_joined
        replay.accept.set()
        await call.say(texts[3])
        await replay.server.until(lambda: len(replay.texts) == 5)

    assert_same_frame(replay.texts[0], recorded.sent_frames[0])
    theirs = [frame for frame in recorded.sent_frames[1:] if "input_audio_buffer" not in frame]
    assert [json.loads(text) for text in replay.texts[1:]] == [json.loads(text) for text in theirs]
