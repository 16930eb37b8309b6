"""Offers that are refused, tried again, or answered with an odd Location (d_*).

In real time: `test_500_twice_then_201_is_a_call`.
"""

from __future__ import annotations

import itertools
import json

import pytest

from rtc_client import AnswerInvalid, EndReason, OfferRejected, connect
from tests.wire.recordings import Episode, episode
from tests.wire.replay import HastyClock, assert_schedule, config_of, place, replaying


def server_words(recorded: Episode) -> str:
    body = recorded.all("http_response")[0]["body"]
    message: str = json.loads(body)["error"]["message"]
    return message


@pytest.mark.parametrize(("name", "status"), [("d_post_400", 400), ("d_post_429", 429)])
async def test_refusal_is_final(name: str, status: int) -> None:
    """A 400, and a 429 that does not say when to come back, are tried once and told with the server's own words.

    The reference client shows the whole JSON body of a 400, and says "exceeded retry limit" of a 429 it tried once.
    """
    recorded = episode(name)
    async with replaying(recorded) as replay:
        call = connect(config_of(replay, recorded))
        with pytest.raises(OfferRejected) as refused:
            await call.__aenter__()

    assert len(replay.server.requests) == len(recorded.all("http_request")) == 1
    assert (refused.value.status, refused.value.message) == (status, server_words(recorded))
    assert str(refused.value) == f"the answerer refused the offer with HTTP {status}: {server_words(recorded)}"
    assert call.result.end is not None
    assert (call.result.end.reason, call.result.end.by) == (EndReason.REFUSED, "server")


async def test_500_is_tried_five_times() -> None:
    """A 500 is tried five times, 200, 400, 800 and 1600 ms apart ±10 %, with the same bytes, as in d_post_500."""
    recorded = episode("d_post_500")
    times_s = [post["t"] for post in recorded.all("http_request")]
    assert_schedule([later - sooner for sooner, later in itertools.pairwise(times_s)], 4)
    clock = HastyClock()
    async with replaying(recorded) as replay:
        with pytest.raises(OfferRejected, match=server_words(recorded)) as refused:
            await connect(config_of(replay, recorded), clock=clock).__aenter__()

    assert refused.value.status == 500
    assert len(replay.server.requests) == len(recorded.all("http_request")) == 5
    assert len({post.body for post in replay.server.posts}) == 1
    assert_schedule(clock.waits_s, 4)


@pytest.mark.both_clocks
async def test_500_twice_then_201_is_a_call() -> None:
    """Two 500 in a row are waited out, in real time, and the call of d_post_500_then_ok comes up on the third try."""
    recorded = episode("d_post_500_then_ok")
    async with replaying(recorded) as replay:
        await place(replay, recorded)

    first, second, third = replay.server.posts
    assert 0.18 <= second.at_s - first.at_s < 0.18 + 0.5
    assert 0.36 <= third.at_s - second.at_s < 0.36 + 0.5
    assert len(replay.server.handshakes) == 1


@pytest.mark.parametrize(
    ("name", "call_id"), [("d_post_location_bare", "rtc_bare"), ("d_post_location_query", "rtc_abc")]
)
async def test_call_id_is_found_in_every_form_of_location(name: str, call_id: str) -> None:
    """A bare id, and an absolute URL with more segments and a query, name the call that the reference client joins."""
    recorded = episode(name)
    async with replaying(recorded) as replay:
        call = await place(replay, recorded)

    assert call.call_id == call_id
    assert replay.server.handshakes[0].line == recorded.handshake["line"]
    assert replay.server.hangups[0].target == f"/v1/realtime/calls/{call_id}/hangup"


async def test_answer_without_location_is_no_call() -> None:
    """Without a Location there is no id: one try, no sideband, and nothing to hang up, as in d_post_no_location."""
    recorded = episode("d_post_no_location")
    async with replaying(recorded) as replay:
        with pytest.raises(AnswerInvalid, match="no Location") as refused:
            await connect(config_of(replay, recorded)).__aenter__()

    assert "missing Location" in recorded.error
    assert refused.value.call_id is None
    assert len(replay.server.requests) == len(recorded.all("http_request")) == 1
