"""Promises about a client that is not ours: the reference client meets refusals and faults as the notes say."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rtc_client.testing import AnsweredCall, CallEnd, FakeAnswerer
from tests.interop.reference_application import application, place, start
from tests.interop.reference_install import INSTALL_LIMIT_S, PINNED
from tests.testing.caller import NO_SAMPLES, Caller

pytestmark = [
    pytest.mark.real_time("the reference client is a program with a clock of its own"),
    pytest.mark.timeout(60 + INSTALL_LIMIT_S),
]

Do = Callable[[AnsweredCall], Awaitable[None]]


async def test_it_posts_json_to_a_backend_base(program: Path) -> None:
    """A base with /backend-api gets offer and session as one JSON object, and the call is held."""
    async with (
        FakeAnswerer() as answerer,
        application(program, answerer.base_url, call_url=answerer.backend_url) as (app, _, caller),
    ):
        call = await start(app, caller, answerer)
        await app.in_call("stop")
        await call.ended()

    (post,) = answerer.requests
    assert post.path == "/backend-api/codex/realtime/calls"
    assert list(json.loads(post.body)) == ["sdp", "session"]
    assert answerer.violations == []


async def test_it_posts_again_after_500(program: Path) -> None:
    """A POST refused with 500 twice is sent a third time, and the call is held."""
    async with FakeAnswerer() as answerer, application(program, answerer.base_url) as (app, _, caller):
        answerer.faults.refuse_post(500, times=2)
        await start(app, caller, answerer)

    assert [request.method for request in answerer.requests] == ["POST"] * 3
    assert answerer.violations == []


async def test_it_does_not_post_again_after_400(program: Path) -> None:
    """A POST refused with 400 is not sent again; the application is told what the body says."""
    async with FakeAnswerer() as answerer, application(program, answerer.base_url) as (app, _, caller):
        answerer.faults.refuse_post(400, body="no such model")
        with pytest.raises(AssertionError, match="no such model"):
            await place(app, caller)

    assert len(answerer.requests) == 1
    assert answerer.violations == []


async def test_a_sideband_refused_with_404(version: str, program: Path) -> None:
    """0.144.0 joins at the fourth try; for the newest a 404 is final."""
    async with FakeAnswerer() as answerer, application(program, answerer.base_url) as (app, _, caller):
        answerer.faults.refuse_sideband(404, times=3)
        if version == PINNED:
            await start(app, caller, answerer)
        else:
            await place(app, caller)
            closed = await app.is_told("thread/realtime/closed")
            assert closed["reason"] == "error"

    assert len(answerer.handshakes) == (4 if version == PINNED else 1)
    assert answerer.violations == []


async def _hang_up(call: AnsweredCall) -> None:
    await call.hang_up()


async def _send_error(call: AnsweredCall) -> None:
    await call.send_event({"type": "error", "error": {"message": "session expired"}})


async def _send_binary(call: AnsweredCall) -> None:
    await call.send_frame(b"\x00")


@pytest.mark.parametrize(
    ("do", "reason", "errors", "ended"),
    [
        (_hang_up, "transport_closed", [], CallEnd.AGENT),
        (_send_error, "error", ["session expired"], CallEnd.CLIENT_SIDEBAND),
        (_send_binary, "error", ["unexpected binary realtime websocket event"], CallEnd.CLIENT_SIDEBAND),
    ],
    ids=["close-frame", "error-event", "binary-frame"],
)
async def test_how_a_call_ends(program: Path, do: Do, reason: str, errors: list[str], ended: CallEnd) -> None:
    """A close frame ends it, and so do an error event and a binary frame: the application is told which."""
    async with FakeAnswerer() as answerer, application(program, answerer.base_url) as (app, _, caller):
        call = await start(app, caller, answerer)
        await do(call)
        closed = await app.is_told("thread/realtime/closed")
        assert await call.ended() is ended

    assert closed["reason"] == reason
    assert [params["message"] for method, params in app.told if method == "thread/realtime/error"] == errors
    assert answerer.violations == []


async def test_a_second_call_takes_the_place_of_the_first(program: Path) -> None:
    """The application starts another call while one is on: the first sideband is dropped, and its call has ended."""
    async with FakeAnswerer() as answerer, application(program, answerer.base_url) as (app, _, caller):
        first = await start(app, caller, answerer)
        another = Caller(NO_SAMPLES)
        try:
            transport = {"type": "webrtc", "sdp": await another.offer()}
            await app.in_call("start", outputModality="audio", transport=transport, prompt="two")
            second = await answerer.wait_for_call(n=2)
            await second.sideband_joined()
            assert await first.ended() is CallEnd.CLIENT_SIDEBAND
        finally:
            await another.close()

    assert second.session["instructions"] == "two\n\nstartup context"
    assert answerer.violations == []
