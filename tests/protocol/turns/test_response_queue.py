"""When a request for a response may leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.turns.response_queue import ResponseQueue
from rtc_client.protocol.wire.codec import parse_event
from rtc_client.protocol.wire.events import ErrorEvent

ACTIVE = parse_event(
    '{"type":"error","error":{"message":"Conversation already has an active response in progress: r"}}'
)
CODED = parse_event('{"type":"error","error":{"code":"conversation_already_has_active_response","message":"x"}}')
OTHER = parse_event('{"type":"error","error":{"message":"no"}}')


def test_a_request_leaves_when_nothing_is_active() -> None:
    """At once, and again when its response is over."""
    sequence = ResponseQueue()

    assert sequence.ask("a") == "a"
    sequence.created()
    assert sequence.ended() is None
    assert sequence.ask("b") == "b"


def test_a_second_one_waits_and_a_third_takes_its_place() -> None:
    """There is one place to wait; what is wanted last is what is wanted."""
    sequence = ResponseQueue()
    sequence.created()  # by the server's turn detection

    assert [sequence.ask("a"), sequence.ask("b")] == [None, None]
    assert sequence.is_held
    assert sequence.ended() == "b"
    assert not sequence.is_held
    assert sequence.ended() is None


@pytest.mark.parametrize("error", [ACTIVE, CODED])
def test_a_refused_request_is_kept(error: ErrorEvent) -> None:
    """The server began a response by itself while ours was on its way: ours is asked again when that is over."""
    sequence = ResponseQueue()

    assert sequence.ask("a") == "a"
    sequence.created()  # it looks like ours, and is not
    sequence.refused(error)
    assert sequence.is_active
    assert sequence.ended() == "a"


def test_a_newer_request_is_not_lost_for_a_refused_one() -> None:
    """What waits already is asked for in place of what was refused."""
    sequence = ResponseQueue()
    sequence.ask("a")
    sequence.ask("b")
    assert isinstance(ACTIVE, ErrorEvent)
    sequence.refused(ACTIVE)

    assert sequence.ended() == "b"
    assert sequence.ended() is None


def test_another_error_changes_nothing() -> None:
    """It is about something else, as far as anybody can tell."""
    sequence = ResponseQueue()
    sequence.ask("a")
    assert isinstance(OTHER, ErrorEvent)
    sequence.refused(OTHER)

    assert sequence.is_active
    assert sequence.ended() is None


@given(st.lists(st.sampled_from(["ask", "created", "ended", "refused"]), max_size=40))
def test_never_two_at_a_time(steps: list[str]) -> None:
    """Whatever happens: between two that leave, the first one ended, and none that waits is lost."""
    sequence = ResponseQueue()
    is_out = False
    for step in steps:
        match step:
            case "ask":
                frame = sequence.ask("a")
                assert frame is None or not is_out
                is_out = is_out or frame is not None
                assert frame is not None or sequence.is_held
            case "created":
                sequence.created()
                is_out = True
            case "ended":
                is_held = sequence.is_held
                frame = sequence.ended()
                assert (frame is not None) == is_held
                is_out = False
                if frame is not None:
                    assert sequence.ask(frame) == frame
                    is_out = True
            case _:
                assert isinstance(ACTIVE, ErrorEvent)
                sequence.refused(ACTIVE)
                is_out = True
        assert sequence.is_active == is_out


def test_requests_that_somebody_waits_for_are_held_in_turn() -> None:
    """Each of them, beside the one that nobody waits for; one that is withdrawn never leaves."""
    sequence = ResponseQueue()
    assert sequence.ask("a", "1") == "a"
    for frame, awaited_as in (("b", "2"), ("x", None), ("c", "3"), ("y", None), ("d", "4")):
        assert sequence.ask(frame, awaited_as) is None
    sequence.withdraw("3")

    left = [sequence.ended() for _ in range(4)]
    assert left == ["b", "y", "d", None]


def test_a_request_that_is_refused_for_itself_sets_the_next_one_free() -> None:
    """There is no response of it to wait for. One that was in the way of a response goes first when that is over."""
    refusal = parse_event('{"type":"error","error":{"code":"invalid_value","message":"no","event_id":"1"}}')
    assert isinstance(refusal, ErrorEvent)
    assert isinstance(CODED, ErrorEvent)
    sequence = ResponseQueue()
    sequence.ask("a", "1")
    sequence.ask("b", "2")

    assert sequence.refused(refusal) == "b"
    assert sequence.ask("b", "2") == "b"
    assert sequence.refused(refusal) is None
    sequence.ask("c", "3")
    assert sequence.refused(CODED) is None
    assert [sequence.ended(), sequence.ended()] == ["b", "c"]
