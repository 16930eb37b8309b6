"""Promise: however a program leaves the block of a call, the call is closed and the program's own error comes out.

In real time: `test_a_timeout_around_the_call_closes_it_first`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from rtc_client import Call, CallClosed, CallLost, CallState, EndReason, SilenceSource, connect
from rtc_client.testing import CallEnd, FakeAnswerer
from tests.behaviour.calls import cancel_and_wait, config_for, until_state


class Mistake(Exception):
    """Only this test's code raises it."""


async def test_an_error_in_the_block_comes_out_as_it_is_after_the_close(answerer: FakeAnswerer) -> None:
    """The call ends as failed by the program, the server is told, and the error is the program's own."""
    mistake = Mistake()
    with pytest.raises(Mistake) as raised:
        async with connect(config_for(answerer)) as call:
            raise mistake

    assert raised.value is mistake
    assert call.state is CallState.ENDED
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.FAILED, "program")
    assert call.result.end.detail == "Mistake"
    assert await answerer.calls[0].ended() is CallEnd.CLIENT_HANGUP


async def test_an_error_in_the_block_wins_over_the_end_of_the_call(answerer: FakeAnswerer) -> None:
    """A call that was lost meanwhile does not hide what the program raised, nor the other way round."""
    with pytest.raises(Mistake):
        async with connect(config_for(answerer, deadlines={"silence_s": 0.4})) as call:
            (await answerer.wait_for_call()).vanish()
            await call.wait_ended()
            raise Mistake

    assert isinstance(call.result.error, CallLost)


@pytest.mark.both_clocks
async def test_a_timeout_around_the_call_closes_it_first(answerer: FakeAnswerer) -> None:
    """`asyncio.timeout` works as everywhere: the call is closed when TimeoutError comes out."""
    call = connect(config_for(answerer))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            async with call:
                await call.wait_ended()

    assert call.state is CallState.ENDED
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.INTERRUPTED, "caller")
    assert answerer.calls[0].hung_up_by_client


async def test_cancelling_whoever_dials_closes_everything(answerer: FakeAnswerer) -> None:
    """A task that is cancelled before the answer ends as cancelled, with nothing left open."""
    answerer.faults.hold_answer()
    call = connect(config_for(answerer))
    dialing = asyncio.create_task(call.__aenter__())
    await answerer.wait_for_request()

    await cancel_and_wait(dialing)

    assert dialing.cancelled()
    assert call.state is CallState.ENDED
    assert call.result.end is not None
    assert call.result.end.reason is EndReason.INTERRUPTED


async def test_cancelling_again_while_it_closes_does_not_stop_the_close(answerer: FakeAnswerer) -> None:
    """An impatient second cancellation gives the task back; the close goes on to its end by itself."""
    call = connect(config_for(answerer))

    async def hold() -> None:
        async with call:
            await call.wait_ended()

    holding = asyncio.create_task(hold())
    await until_state(call, CallState.ACTIVE)
    holding.cancel()
    await until_state(call, CallState.CLOSING)
    await cancel_and_wait(holding)

    await call.wait_ended()
    assert answerer.calls[0].hung_up_by_client


async def test_a_call_is_entered_once(answerer: FakeAnswerer) -> None:
    """Entering it again, while it is up or after its end, is refused and does the call no harm."""
    async with connect(config_for(answerer)) as call:
        with pytest.raises(CallClosed):
            await call.__aenter__()
        assert call.state is CallState.ACTIVE
        await answerer.calls[0].wait_heard(0.1)
    with pytest.raises(CallClosed):
        await call.__aenter__()

    assert call.result.error is None
    assert len(answerer.calls) == 1


async def test_two_that_enter_one_call_at_the_same_time_dial_it_once(answerer: FakeAnswerer) -> None:
    """Also while its source is still opening, the second is refused."""

    class Slow(SilenceSource):
        async def open(self) -> None:
            await asyncio.sleep(0)

    call = connect(config_for(answerer), source=Slow())
    entered: Sequence[Call | BaseException] = await asyncio.gather(
        call.__aenter__(), call.__aenter__(), return_exceptions=True
    )
    await call.hangup()

    assert entered[0] is call
    assert isinstance(entered[1], CallClosed)
    assert len(answerer.calls) == 1
