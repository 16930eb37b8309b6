"""The state of a call: its table, walked."""

from __future__ import annotations

import itertools

import pytest

from rtc_client.protocol.call_state import TRANSITIONS, CallState, Input, next_state

S, I = CallState, Input  # noqa: E741 - as the table reads

LEGAL = {
    (S.IDLE, I.DIALED): S.GATHERING,
    (S.IDLE, I.SOCKET_DIALED): S.CONNECTING,
    (S.GATHERING, I.OFFER_READY): S.OFFERING,
    (S.OFFERING, I.ANSWER_APPLIED): S.CONNECTING,
    (S.CONNECTING, I.MEDIA_CONNECTED): S.ACTIVE,
    (S.CLOSING, I.CLOSED): S.ENDED,
} | {
    (state, I.END_DECIDED): S.CLOSING
    for state in (S.IDLE, S.GATHERING, S.OFFERING, S.CONNECTING, S.ACTIVE)
}  # fmt: skip


@pytest.mark.parametrize(("state", "happened"), list(itertools.product(CallState, Input)))
def test_every_pair_of_state_and_input(state: CallState, happened: Input) -> None:
    """What is in the table leads where it says; everything else leads nowhere and changes nothing."""
    before = dict(TRANSITIONS)

    assert next_state(state, happened) == LEGAL.get((state, happened))
    assert before == TRANSITIONS


def test_a_call_walks_from_idle_to_ended() -> None:
    """The way of a call that comes up and is ended."""
    state = S.IDLE
    for happened in (I.DIALED, I.OFFER_READY, I.ANSWER_APPLIED, I.MEDIA_CONNECTED, I.END_DECIDED, I.CLOSED):
        reached = next_state(state, happened)
        assert reached is not None
        state = reached

    assert state is S.ENDED


def test_every_call_can_end_and_an_ended_one_stays() -> None:
    """From every state an end can be reached, none is a trap, and nothing leads out of `ended`."""
    for state in S:
        closing = next_state(state, I.END_DECIDED) or state
        assert (next_state(closing, I.CLOSED) or closing) is S.ENDED
    assert [next_state(S.ENDED, happened) for happened in I] == [None] * len(I)
