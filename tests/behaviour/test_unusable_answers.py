"""Promise: an answer of which no call can be made is one kind of error, in time, and its call is hung up.

In real time: `test_a_server_that_is_not_ready_yet_is_tried_again`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rtc_client import (
    AnswererUnreachable,
    AnswerInvalid,
    EndReason,
    MediaTimeout,
    OfferRejected,
    connect,
)
from rtc_client.testing import FakeAnswerer
from tests.behaviour.calls import config_for

GOOD_ANSWER: dict[str, str] = {}

UNUSABLE: dict[str, Callable[[str], str | bytes]] = {
    "empty": lambda good: "",
    "no SDP": lambda good: "hello",
    "a web page": lambda good: "<!doctype html><html></html>",
    "JSON": lambda good: '{"sdp": "v=0"}',
    "not UTF-8": lambda good: b"v=0\r\n\xff\xfe",
    "over a megabyte": lambda good: good + "a=x:" + "y" * 1_100_000 + "\r\n",
    "no m-line": lambda good: good[: good.index("m=")],
    "video": lambda good: good.replace("m=audio", "m=video"),
    "rejected": lambda good: re.sub(r"m=audio \d+", "m=audio 0", good),
    "a second m-line": lambda good: good + good[good.index("m=") :],
    "no fingerprint": lambda good: re.sub(r"a=fingerprint:.*\r\n", "", good),
    "a malformed fingerprint": lambda good: re.sub(r"a=fingerprint:.*\r\n", "a=fingerprint:sha-256 XX\r\n", good),
    "no credentials": lambda good: re.sub(r"a=ice-(ufrag|pwd):.*\r\n", "", good),
    "another codec": lambda good: good.replace("opus/48000/2", "speex/8000"),
    "a codec we did not offer": lambda good: re.sub(r"(m=audio \d+ \S+) .*\r\n", r"\1 77\r\n", good),
    "both are active": lambda good: good.replace("a=setup:active", "a=setup:actpass"),
    "a malformed candidate": lambda good: re.sub(r"a=candidate:.*\r\n", "a=candidate:nonsense\r\n", good),
    "cut in half": lambda good: good[: len(good) // 3],
}


@pytest.mark.parametrize("how", UNUSABLE)
async def test_an_unusable_answer_is_refused_and_its_call_hung_up(answerer: FakeAnswerer, how: str) -> None:
    """AnswerInvalid carries the call id, nothing of the answer is repeated, and the server is told by REST."""
    good = await _a_good_answer()
    answerer.faults.change_answer(UNUSABLE[how](good))
    call = connect(config_for(answerer))

    with pytest.raises(AnswerInvalid) as invalid:
        async with call:
            pass

    (answered,) = answerer.calls
    assert invalid.value.call_id == call.call_id == answered.call_id
    assert answered.hung_up_by_client
    assert "\n" not in str(invalid.value)
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.REFUSED, "server")


async def test_the_answer_that_is_spoilt_above_is_good_when_it_is_not(answerer: FakeAnswerer) -> None:
    """The control: unspoilt it is a usable answer, though nobody is at its address."""
    answerer.faults.change_answer(await _a_good_answer())

    with pytest.raises(MediaTimeout):
        async with connect(config_for(answerer, deadlines={"connect_s": 0.3})):
            pass


@pytest.mark.parametrize(
    "location", [None, "", "/v1/realtime/calls/", "/v1/other", "/v1/realtime/calls/rtc_1;rm", "/v1/realtime/calls/%72"]
)
async def test_an_answer_that_names_no_call_is_refused(answerer: FakeAnswerer, location: str | None) -> None:
    """Without a call id that we would put into a URL there is no call, and nothing that we could hang up."""
    answerer.faults.change_location(location)
    call = connect(config_for(answerer))

    with pytest.raises(AnswerInvalid):
        async with call:
            pass

    assert call.call_id is None
    assert len(answerer.requests) == 1


@pytest.mark.parametrize(("status", "n_tries"), [(400, 1), (401, 1), (403, 1), (404, 1), (429, 1), (302, 1)])
async def test_a_refusal_is_told_with_its_status_and_tried_once(
    answerer: FakeAnswerer, status: int, n_tries: int
) -> None:
    """OfferRejected has the status and the server's words on one line; there is no call to hang up."""
    answerer.faults.refuse_post(status, body='{"error":{"message":"no\\nway"}}', times=5)
    call = connect(config_for(answerer))

    with pytest.raises(OfferRejected) as rejected:
        async with call:
            pass

    assert rejected.value.status == status
    assert "\n" not in str(rejected.value)
    assert len(answerer.requests) == n_tries
    assert answerer.handshakes == []


@pytest.mark.both_clocks
async def test_a_server_that_is_not_ready_yet_is_tried_again(answerer: FakeAnswerer) -> None:
    """503, then a dropped connection, then an answer: a call, and the result says how long it took."""
    answerer.faults.refuse_post(503)
    answerer.faults.drop_post()

    async with connect(config_for(answerer)) as call:
        pass

    assert len(answerer.calls) == 1
    assert call.result.timings_ms.post is not None
    assert call.result.timings_ms.post >= 500


async def test_nobody_at_the_port_is_told_as_unreachable() -> None:
    """AnswererUnreachable, with its cause, by the network."""
    async with FakeAnswerer() as answerer:
        config = config_for(answerer, deadlines={"signaling_s": 0.3})
    call = connect(config)

    with pytest.raises(AnswererUnreachable) as unreachable:
        async with call:
            pass

    assert unreachable.value.__cause__ is not None
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.REFUSED, "network")


async def test_an_answer_that_never_comes_is_awaited_once(answerer: FakeAnswerer) -> None:
    """The request is not repeated, because the call may exist."""
    answerer.faults.hold_answer()
    call = connect(config_for(answerer, deadlines={"answer_s": 0.3}))

    with pytest.raises(AnswererUnreachable):
        async with call:
            pass

    assert len(answerer.requests) == 1


async def _a_good_answer() -> str:
    """Return the SDP of an answer that is good, though not for the call that will get it."""
    if not GOOD_ANSWER:
        async with FakeAnswerer() as answerer, connect(config_for(answerer)):
            GOOD_ANSWER["sdp"] = answerer.calls[0].answer_sdp
    return GOOD_ANSWER["sdp"]
