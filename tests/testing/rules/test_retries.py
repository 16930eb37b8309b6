"""Promises of the judge of repeated requests: what, how often and when; no event loop."""

from __future__ import annotations

import pytest

from rtc_client.testing import SeenRequest, Violation
from rtc_client.testing.rules.retries import REUSED_KEY, Tries

ON_TIME = [0.0, 0.21, 0.62, 1.45, 3.08]


def post(at_s: float, body: bytes = b"offer") -> SeenRequest:
    return SeenRequest(method="POST", target="/", headers=[("x-session-id", "s")], body=body, at_s=at_s)


def handshake(at_s: float, key: str | None = None) -> SeenRequest:
    headers = [("sec-websocket-key", key or f"key at {at_s}")]
    return SeenRequest(method="GET", target="/", headers=headers, body=b"", at_s=at_s)


def posted(times_s: list[float], status: int, retry_after: str | None = None) -> list[Violation]:
    """What is found when the same offer comes at these times and always gets this status."""
    tries = Tries()
    found = []
    for at_s in times_s:
        found += tries.post_came(post(at_s))
        tries.post_answered(post(at_s), status, retry_after)
    return found


@pytest.mark.parametrize("status", [500, 503])
def test_five_tries_with_growing_pauses_pass(status: int) -> None:
    """Also later ones: a machine may be busy."""
    assert posted(ON_TIME, status) == []
    assert posted([2 * at_s for at_s in ON_TIME], status) == []


def test_a_sixth_try_is_a_violation() -> None:
    """However late it comes."""
    assert posted([*ON_TIME, 10.0], 503) == [Violation("3", "an offer must not be tried more than 5 times")]


def test_a_hasty_try_is_a_violation() -> None:
    """Each pause has its length, less 10 %."""
    assert posted([0.0, 0.17], 503) == [Violation("3", "an offer must not be tried again before 200 ms, less 10 %")]
    assert posted([0.0, 0.2, 0.5], 503) == [Violation("3", "an offer must not be tried again before 400 ms, less 10 %")]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422, 429])
def test_a_try_after_a_final_refusal_is_a_violation(status: int) -> None:
    """One try each."""
    assert posted([0.0, 5.0], status) == [
        Violation("3", f"an offer that was refused with {status} must not be repeated")
    ]


def test_a_try_as_late_as_retry_after_asks_passes() -> None:
    """The reference client makes none; an earlier one is a violation."""
    assert posted([0.0, 2.01], 429, "2") == []
    assert posted([0.0, 1.5], 429, "2") == [Violation("3", "an offer must not be repeated before Retry-After says")]


def test_an_offer_that_was_answered_is_not_repeated() -> None:
    """Two calls would come of it; neither is one that is not answered yet."""
    assert posted([0.0, 5.0], 201) == [Violation("3", "an offer that was answered must not be repeated")]
    tries = Tries()
    tries.post_came(post(0.0))
    assert tries.post_came(post(5.0)) == [Violation("3", "an offer must not be repeated before its answer has come")]


def test_another_offer_is_no_repetition() -> None:
    """It has other bytes."""
    tries = Tries()
    for n in range(8):
        assert tries.post_came(post(0.01 * n, b"offer %d" % n)) == []
        tries.post_answered(post(0.01 * n, b"offer %d" % n), 400)


def test_handshakes_have_the_same_schedule_and_a_join_ends_it() -> None:
    """Section 4: any failure, 404 as well; once joined, the next one counts from the start."""
    tries = Tries()
    for at_s in ON_TIME:
        assert tries.handshake_came(handshake(at_s), "rtc_a") == []
        tries.handshake_answered(handshake(at_s), "rtc_a", 404)
    assert tries.handshake_came(handshake(9.0), "rtc_a") == [
        Violation("4", "a handshake must not be tried more than 5 times")
    ]
    tries.handshake_answered(handshake(9.0), "rtc_a", 101)
    assert tries.handshake_came(handshake(9.1), "rtc_a") == []
    tries.handshake_answered(handshake(9.1), "rtc_a", 500)
    assert tries.handshake_came(handshake(9.15), "rtc_a") == [
        Violation("4", "a handshake must not be tried again before 200 ms, less 10 %")
    ]


def test_a_handshake_key_is_used_once() -> None:
    """By any call."""
    tries = Tries()

    assert tries.handshake_came(handshake(0.0, "k"), "rtc_a") == []
    assert tries.handshake_came(handshake(0.1, "k"), "rtc_b") == [REUSED_KEY]
