"""Promise: any client event can be sent; on realtime v1, one that is not proven there only when it is asked for."""

from __future__ import annotations

import pytest

from rtc_client import (
    AppendAudio,
    AppendHandoffOutput,
    CallClosed,
    CancelResponse,
    CommandFault,
    CreateItem,
    InputText,
    InvalidCommand,
    MessageItem,
    SidebandRejected,
    connect,
)
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for


async def test_proven_commands_arrive_in_their_turn(answerer: FakeAnswerer) -> None:
    """What the reference client sends is sent, typed or raw, in the order of the calls."""
    async with connect(config_for(answerer)) as call:
        await call.send(CreateItem(item=MessageItem(role="user", content=(InputText(text="one"),))))
        await call.send(AppendAudio(audio="AQID"))
        await call.send(AppendHandoffOutput(handoff_id="codex", output_text="two"))
        await call.send_raw({"type": "input_audio_buffer.append", "audio": "AQIDBA=="})
        await call.send_raw('{"audio":"","type":"input_audio_buffer.append"}')
        answered = await answerer.wait_for_call()
        await answered.wait_received(6)

    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "one"}]}
    assert answered.received[1:] == [
        {"type": "conversation.item.create", "item": message},
        {"type": "input_audio_buffer.append", "audio": "AQID"},
        {"type": "conversation.handoff.append", "handoff_id": "codex", "output_text": "two"},
        {"type": "input_audio_buffer.append", "audio": "AQIDBA=="},
        {"type": "input_audio_buffer.append", "audio": ""},
    ]


async def test_unproven_commands_are_refused_and_pass_when_asked_for() -> None:
    """The refusal names the way; nothing was sent, and the call goes on. A strict answerer says what passed."""
    async with FakeAnswerer() as answerer, connect(config_for(answerer)) as call:
        named = AppendAudio(audio="", event_id="mine")
        for sending in (call.send(CancelResponse()), call.send_raw({"type": "response.cancel"}), call.send(named)):
            with pytest.raises(InvalidCommand, match=r"allow_unproven=True") as refusal:
                await sending
            assert refusal.value.fault is CommandFault.UNPROVEN
        with pytest.raises(InvalidCommand):
            await call.send_raw("no JSON", allow_unproven=True)
        await call.send(CancelResponse(response_id="r"), allow_unproven=True)
        await call.send_raw({"type": "session.explode"}, allow_unproven=True)
        answered = await answerer.wait_for_call()
        await answered.wait_received(3)

    assert answered.received[1:] == [{"type": "response.cancel", "response_id": "r"}, {"type": "session.explode"}]
    assert len(answerer.violations) == 2


async def test_commands_need_a_call_with_a_sideband(answerer: FakeAnswerer) -> None:
    """Without one, and after the end, each way of sending is refused like a text."""
    async with connect(config_for(answerer, sideband="off")) as call:
        with pytest.raises(SidebandRejected):
            await call.send(AppendAudio(audio=""))
        with pytest.raises(SidebandRejected):
            await call.send_raw({"type": "input_audio_buffer.append", "audio": ""})
    async with connect(config_for(answerer)) as call:
        await call.hangup()
        with pytest.raises(CallClosed):
            await call.send(AppendAudio(audio=""))
