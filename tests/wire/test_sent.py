"""What the application has the client send (k_append_text_roles), and what becomes of it on the wire."""

from __future__ import annotations

from rtc_client import AppendAudio, Call, connect
from tests.wire.recordings import Happening, episode
from tests.wire.replay import assert_same_frame, config_of, replaying


async def do(call: Call, request: Happening) -> None:
    """Do what the application above the reference client did."""
    match request:
        case {"method": "thread/realtime/appendText", "params": {"text": str(text)}}:
            await call.say(text, role=request["params"].get("role", "user"))
        case {"method": "thread/realtime/appendAudio", "params": {"audio": {"data": str(data)}}}:
            await call.send(AppendAudio(audio=data))
        case _:
            raise AssertionError(request["method"])


async def test_texts_and_audio_go_out_as_recorded() -> None:
    """Texts of each role, an empty one, and audio, whose rate and channels are not sent: frame by frame the same."""
    recorded = episode("k_append_text_roles")
    (start, *requests) = recorded.all("rpc_request")
    assert start["method"] == "thread/realtime/start"
    async with replaying(recorded) as replay, connect(config_of(replay, recorded)) as call:
        for request in requests:
            await do(call, request)
        await replay.server.until(lambda: len(replay.texts) == len(recorded.sent_frames))

    for ours, theirs in zip(replay.texts, recorded.sent_frames, strict=True):
        assert_same_frame(ours, theirs)
