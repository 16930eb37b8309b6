"""When an agent is asked to speak of what it has called: once for each response, behind the last result."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.turns.tool_follow_up import MAX_OPEN, ToolFollowUp
from rtc_client.protocol.wire.codec import parse_event


def told(calling: ToolFollowUp, what: str, response_id: str) -> bool:
    return calling.on_event(parse_event(f'{{"type":"response.{what}","response":{{"id":"{response_id}"}}}}'))


@given(st.lists(st.booleans(), min_size=1, max_size=5), st.data())
def test_each_response_is_asked_about_once_in_any_order(wanted: list[bool], data: st.DataObject) -> None:
    """Whatever the order of results and the end of the response, behind the last of them, if one of them is wanted."""
    calling = ToolFollowUp()
    told(calling, "created", "r1")
    for n in range(len(wanted)):
        calling.called(f"call_{n}", "r1")
    order = data.draw(st.permutations([*range(len(wanted)), -1]))
    asked = [
        told(calling, "done", "r1") if n < 0 else calling.answered(f"call_{n}", is_wanted=wanted[n]) for n in order
    ]
    assert asked == [False] * len(wanted) + [any(wanted)]


def test_calls_without_a_response_are_of_the_one_that_began_last() -> None:
    """Where a server tells of no responses, they are of one."""
    calling = ToolFollowUp()
    calling.called("a")
    calling.called("b")
    assert [calling.answered("a"), calling.answered("b"), calling.answered("b")] == [False, True, False]
    told(calling, "created", "r1")
    calling.called("c")
    assert not calling.answered("c")
    assert not told(calling, "cancelled", "r2")
    assert told(calling, "done", "r1")


def test_a_flood_is_bounded() -> None:
    """Of responses that never end, and of calls that are never answered, the oldest are forgotten."""
    calling = ToolFollowUp()
    for n in range(3 * MAX_OPEN):
        told(calling, "created", f"r{n}")
        calling.called(f"call_{n}", f"r{n}")
    assert not calling.answered("call_0")
    assert not calling.answered(f"call_{3 * MAX_OPEN - 1}")
    assert told(calling, "done", f"r{3 * MAX_OPEN - 1}")
    assert not told(calling, "done", "r0")
