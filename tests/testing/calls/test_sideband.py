"""Promises of the sideband: who may join, what is answered, the ways it ends.

In real time: `test_a_client_that_does_not_read_holds_up_nobody`.
"""

from __future__ import annotations

import asyncio
import json

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError, InvalidStatus

from rtc_client.testing import AgentScript, AnsweredCall, CallEnd, FakeAnswerer, SpokenTurn, Tone
from tests.testing.caller import compact, form, joined, post
from tests.testing.conftest import Place
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING

TEXT = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
}


@pytest.fixture
async def call(answerer: FakeAnswerer) -> AnsweredCall:
    """A call whose media never comes up."""
    await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
    return await answerer.wait_for_call()


async def test_each_session_update_is_answered(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """With the id of the session; and the handshake is recorded."""
    async with joined(answerer, call.call_id) as sideband:
        event = json.loads(await sideband.recv())

    assert event["type"] == "session.updated"
    assert event["session"]["id"] == f"sess_{call.call_id}"
    assert len(answerer.handshakes) == 1
    assert answerer.violations == []


async def test_what_the_client_sends_can_be_waited_for(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """By number or by content; raw frames are kept too."""
    async with joined(answerer, call.call_id) as sideband:
        await sideband.send(compact(TEXT))

        assert await call.wait_received(2) == TEXT
        assert (await call.wait_received(lambda frame: frame["type"] == "session.update")) == call.received[0]
        assert call.received_frames[1] == compact(TEXT)
        with pytest.raises(TimeoutError, match=r"3 frames of the client \(came: session.update, conversation.item.cr"):
            await call.wait_received(3, timeout_s=0.05)


async def test_wrong_frames_are_violations_and_the_sideband_stays(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """Malformed, binary, unknown: recorded, never fatal."""
    async with joined(answerer, call.call_id) as sideband:
        for frame in ("{", b"\x00", '{"type":"response.create"}', "[" * 100_000):
            await sideband.send(frame)
        await sideband.send(compact(TEXT))
        await call.wait_received(lambda received: received == TEXT)

    assert [violation.message for violation in answerer.violations] == [
        "a frame must be a JSON object",
        "a client sends no binary frame",
        "a client sends no message of this type",
        "a frame must be a JSON object",
    ]


async def test_nobody_joins_an_unknown_call(answerer: FakeAnswerer) -> None:
    """404, and it is recorded."""
    with pytest.raises(InvalidStatus) as refused:
        async with joined(answerer, "rtc_none"):
            pass

    assert refused.value.response.status_code == 404
    assert answerer.handshakes[0].path == "/v1/realtime"


async def test_nobody_joins_a_call_that_is_over(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """404 as well."""
    await call.hang_up()

    with pytest.raises(InvalidStatus):
        async with joined(answerer, call.call_id):
            pass


async def test_a_bare_tcp_close_is_the_end_of_a_call(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """The reference client ends calls so; there is no close code then."""
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        sideband.transport.abort()

    assert await call.ended() is CallEnd.CLIENT_SIDEBAND
    assert call.sideband_close_code is None


async def test_a_close_frame_of_the_client_ends_the_call(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """Its code is kept."""
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        await sideband.close(1001)

    assert await call.ended() is CallEnd.CLIENT_SIDEBAND
    assert call.sideband_close_code == 1001


async def test_a_client_that_closes_over_a_failure_may_rejoin(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """A code for a failure does not end the call."""
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        await sideband.close(1011)
    async with joined(answerer, call.call_id):
        await call.sideband_joined(times=2)

    assert call.ended_by in (None, CallEnd.CLIENT_SIDEBAND)


async def test_the_sideband_can_be_closed_or_dropped_and_joined_again(
    answerer: FakeAnswerer, call: AnsweredCall
) -> None:
    """With a code and a reason, or without a word; the call goes on."""
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        await call.close_sideband(1011, "why")
        await sideband.wait_closed()
        assert (sideband.close_code, sideband.close_reason) == (1011, "why")
        assert call.sideband_close_code == 1011
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined(times=2)
        call.drop_sideband()
        with pytest.raises(ConnectionClosedError):
            while True:
                await sideband.recv()
    async with joined(answerer, call.call_id):
        await call.sideband_joined(times=3)

    assert answerer.violations == []


async def test_raw_frames_reach_the_client(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """Text and binary as given; events compact and unescaped."""
    async with joined(answerer, call.call_id) as sideband:
        await sideband.recv()
        await call.send_frame('{"type":')
        await call.send_frame(b"\x00\x01")
        await call.send_event({"type": "error", "message": "é"})

        assert [await sideband.recv() for _ in range(3)] == ['{"type":', b"\x00\x01", '{"type":"error","message":"é"}']


async def test_sending_without_a_sideband_is_an_error(call: AnsweredCall) -> None:
    """A test learns that nobody was there."""
    with pytest.raises(ConnectionError, match="no sideband is joined"):
        await call.send_event({"type": "error"})


async def test_no_compression_is_agreed_to(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """A client that offers it is told no, and it is a violation."""
    url = f"{answerer.base_url}/realtime?intent=quicksilver&call_id={call.call_id}".replace("http", "ws")
    async with connect(url, proxy=None) as sideband:
        assert sideband.response is not None
        assert "sec-websocket-extensions" not in sideband.response.headers

    assert "no extension may be offered, permessage-deflate neither" in [v.message for v in answerer.violations]


async def test_what_the_agent_said_before_the_sideband_was_joined_is_told_then(place: Place) -> None:
    """A client that joins late misses nothing."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.1), text="good day")])
    async with FakeAnswerer(script=script) as answerer:
        await place(answerer)
        call = await answerer.wait_for_call()
        await call.media_connected()
        await call.wait_heard(0.5)
        async with joined(answerer, call.call_id) as sideband:
            kinds = [json.loads(await sideband.recv())["type"] for _ in range(4)]

    delta = "conversation.output_transcript.delta"
    assert kinds == ["session.updated", delta, delta, "response.output_audio_transcript.done"]


@pytest.mark.both_clocks
async def test_a_client_that_does_not_read_holds_up_nobody(answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """Hanging up takes a moment, not for ever, when the client never answers the close frame."""
    async with joined(answerer, call.call_id) as sideband:
        await call.sideband_joined()
        sideband.transport.pause_reading()

        async with asyncio.timeout(2):
            await call.hang_up()
        sideband.transport.abort()

    assert call.sideband_close_code is None
