"""Promise: whatever becomes of the offer ends in one named error, or in a call; no call is left open, no key strays.

The faults `refuse_post`, `drop_post`, `hold_answer`, `change_location` and `change_answer` are met in
`test_unusable_answers.py`, `dead_candidates` and `wrong_fingerprint` in `test_no_media.py`.

In real time: `test_a_closed_port_is_unreachable_and_an_open_one_takes_the_next_call`.
"""

from __future__ import annotations

import pytest

from rtc_client import (
    AnswererUnreachable,
    AnswerInvalid,
    CallState,
    EndReason,
    OfferRejected,
    connect,
)
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for, until_state


@pytest.mark.both_clocks
async def test_a_closed_port_is_unreachable_and_an_open_one_takes_the_next_call(answerer: FakeAnswerer) -> None:
    """AnswererUnreachable within the deadline while nobody listens; then a call as ever."""
    async with answerer.faults.refuse_connections():
        with pytest.raises(AnswererUnreachable) as unreachable:
            async with connect(config_for(answerer, deadlines={"signaling_s": 0.3})):
                pass
    assert isinstance(unreachable.value.__cause__, Exception)
    assert answerer.requests == []

    async with connect(config_for(answerer, max_duration_s=0.1)) as call:
        result = await call.wait_ended()

    assert result.error is None


async def test_a_port_that_closes_during_a_call_does_not_end_it(answerer: FakeAnswerer) -> None:
    """What is connected stays connected; the call is known only by its own legs."""
    async with connect(config_for(answerer, max_duration_s=0.5, remote_hangup=False)) as call:
        await until_state(call, CallState.ACTIVE)
        async with answerer.faults.refuse_connections():
            result = await call.wait_ended()

    assert result.error is None
    assert result.end is not None
    assert result.end.reason is EndReason.MAX_DURATION


async def test_a_redirect_is_a_refusal(answerer: FakeAnswerer) -> None:
    """302 is not followed: the key goes to nobody but whom it was given for."""
    async with FakeAnswerer() as elsewhere:
        fault = answerer.faults.redirect_post(f"{elsewhere.base_url}/realtime/calls")
        with pytest.raises(OfferRejected) as rejected:
            async with connect(config_for(answerer)):
                pass

        assert rejected.value.status == 302
        assert elsewhere.requests == []
    assert fault.n_met == 1


@pytest.mark.parametrize("name", ["garble_answer", "answer_without_audio"])
async def test_an_answer_that_is_none_is_refused_and_its_call_hung_up(answerer: FakeAnswerer, name: str) -> None:
    """Not UTF-8, or no audio in it: AnswerInvalid at once, and the server is told to end the call it has begun."""
    getattr(answerer.faults, name)()
    call = connect(config_for(answerer))

    with pytest.raises(AnswerInvalid) as invalid:
        async with call:
            pass

    assert invalid.value.call_id == answerer.calls[0].call_id
    assert answerer.calls[0].hung_up_by_client
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.REFUSED, "server")


async def test_an_answer_without_candidates_is_a_call_because_the_server_asks(answerer: FakeAnswerer) -> None:
    """The server's own checks show where it is (a peer-reflexive candidate): the call comes up as ever."""
    with answerer.faults.answer_without_candidates() as fault:
        async with connect(config_for(answerer, max_duration_s=0.3)) as call:
            result = await call.wait_ended()

    assert fault.n_met == 1
    assert result.error is None
    assert result.received.packets > 0
    assert answerer.calls[0].packets_received > 0
