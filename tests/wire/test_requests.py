"""What we put on the wire to place a call, held against the recordings of the reference client (a_*)."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from rtc_client import connect
from tests.wire.recordings import Happening, episode
from tests.wire.replay import KEY, assert_same_frame, compact, config_of, place, replaying
from tests.wire.server import Request

OURS = {"originator", "user-agent", "host", "content-length", "sec-websocket-key"}
"""Headers whose values name us, our port, or chance."""


def header_names(headers: list[Any]) -> list[str]:
    return sorted(name.lower() for name, _ in headers)


def assert_same_request(ours: Request, recorded: Happening) -> None:
    """Check the request line, the set of headers, and every value that does not name one of us two."""
    assert ours.line == recorded["line"]
    assert header_names(ours.headers) == header_names(recorded["headers"])
    for name, value in recorded["headers"]:
        if name.lower() == "content-type":
            assert without_boundary(ours.header("content-type") or "") == without_boundary(value)
        elif name.lower() not in OURS:
            assert ours.header(name.lower()) == value


def without_boundary(content_type: str) -> str:
    return re.sub(r"boundary=.*", "boundary=…", content_type)


def framing(content_type: str, body: bytes) -> tuple[str, str, str]:
    """Return a multipart body with what is in it cut out, its SDP, and its session as text."""
    boundary = content_type.partition("boundary=")[2]
    text = body.decode().replace(boundary, "…")
    sdp = text.partition("\r\n\r\n")[2].partition("\r\n--…")[0]
    session = text.rpartition("\r\n\r\n")[2].partition("\r\n--…")[0]
    return text.replace(sdp, "<sdp>").replace(session, "<session>"), sdp, session


def assert_same_multipart(ours: Request, recorded: Happening) -> None:
    """Check the body byte for byte, except the boundary, the SDP and the order of keys in the session."""
    content_type = dict(recorded["headers"])["content-type"]
    their_framing, _, their_session = framing(content_type, recorded["body"].encode())
    our_framing, our_sdp, our_session = framing(ours.header("content-type") or "", ours.body)
    assert our_framing == their_framing
    assert our_sdp.startswith("v=0\r\n")
    assert our_sdp.endswith("\r\n")
    assert json.loads(our_session) == json.loads(their_session)
    assert our_session == compact(json.loads(our_session))


async def test_api_base_gets_what_the_reference_client_sends() -> None:
    """Request lines, header sets, the multipart body and the first two frames are those of a_v1_webrtc_happy."""
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay, connect(config_of(replay, recorded)) as call:
        await call.say("hello from app")
        await replay.server.until(lambda: len(replay.texts) == 2)

    assert_same_request(replay.server.posts[0], recorded.post)
    assert_same_multipart(replay.server.posts[0], recorded.post)
    assert_same_request(replay.server.handshakes[0], recorded.handshake)
    assert_same_frame(replay.texts[0], recorded.sent_frames[0])
    assert_same_frame(replay.texts[1], recorded.sent_frames[1])


async def test_leaving_closes_in_order_and_hangs_up() -> None:
    """We end a call with a close frame and a POST of hang-up; the reference client of a_v1_webrtc_happy drops TCP.

    On purpose: a call that the server believes to be up is billed.
    """
    recorded = episode("a_v1_webrtc_happy")
    assert recorded.all("tcp_close")
    assert not recorded.all("ws_close")
    async with replaying(recorded) as replay:
        call = await place(replay, recorded)
        await replay.server.until(lambda: replay.close_codes)

    assert replay.close_codes == [1000]
    (hangup,) = replay.server.hangups
    assert hangup.line == "POST /v1/realtime/calls/rtc_test123/hangup HTTP/1.1"
    assert hangup.header("authorization") == f"Bearer {KEY}"
    assert hangup.body == b""
    assert call.call_id == "rtc_test123"


async def test_backend_base_gets_json() -> None:
    """A base with /backend-api gets the JSON body of a_v1_webrtc_backend_api, and its sideband at /v1/realtime."""
    recorded = episode("a_v1_webrtc_backend_api")
    async with replaying(recorded) as replay:
        backend = replay.server.base_url.removesuffix("/v1") + "/backend-api/codex"
        await place(replay, recorded, base_url=backend)

    post = replay.server.posts[0]
    assert_same_request(post, recorded.post)
    body, theirs = json.loads(post.body), json.loads(recorded.post["body"])
    assert body.keys() == theirs.keys() == {"sdp", "session"}
    assert body["session"] == theirs["session"]
    assert body["sdp"].startswith("v=0\r\n")
    assert post.body.decode() == compact(body)
    assert_same_request(replay.server.handshakes[0], recorded.handshake)
    assert_same_frame(replay.texts[0], recorded.sent_frames[0])
    assert replay.server.hangups[0].target == "/backend-api/codex/realtime/calls/rtc_test123/hangup"


async def test_one_base_is_enough() -> None:
    """Offer and sideband both derive from the base URL, as in a_v1_webrtc_default_bases."""
    recorded = episode("a_v1_webrtc_default_bases")
    async with replaying(recorded) as replay:
        await place(replay, recorded)

    assert_same_request(replay.server.posts[0], recorded.post)
    assert_same_request(replay.server.handshakes[0], recorded.handshake)
    assert_same_frame(replay.texts[0], recorded.sent_frames[0])


async def test_provider_query_and_headers_are_on_both() -> None:
    """Provider parameters stand where a_v1_webrtc_provider_extras has them, its header is on every request."""
    recorded = episode("a_v1_webrtc_provider_extras")
    async with replaying(recorded) as replay:
        await place(replay, recorded, query={"api-version": "x1"}, headers={"x-extra": "yes"})

    assert_same_request(replay.server.posts[0], recorded.post)
    assert_same_multipart(replay.server.posts[0], recorded.post)
    assert_same_request(replay.server.handshakes[0], recorded.handshake)
    assert replay.server.hangups[0].header("x-extra") == "yes"
    assert replay.server.hangups[0].target.endswith("/hangup?api-version=x1")


async def test_everyone_is_told_the_same_about_who_calls() -> None:
    """Originator, user agent, session id and key are the same on offer, sideband and hang-up."""
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        await place(replay, recorded, session_id=None)

    for name in ("originator", "user-agent", "x-session-id", "authorization", "openai-alpha"):
        assert len({request.header(name) for request in replay.server.requests}) == 1, name
    (post,) = replay.server.posts
    assert post.header("originator") == "rtc_client"
    assert re.fullmatch(r"rtc_client/\d+\.\d+\.\d+\S*", post.header("user-agent") or "")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", post.header("x-session-id") or "")


async def test_user_headers_win_on_every_request() -> None:
    """A header of the user's replaces ours of the same name, in any case, on offer, sideband and hang-up."""
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        await place(replay, recorded, headers={"User-Agent": "mine/1", "Authorization": "Basic abc"})

    for request in replay.server.requests:
        assert request.header("user-agent") == "mine/1"
        assert request.header("authorization") == "Basic abc"


@pytest.mark.parametrize("base", ["/v1", "/backend-api/codex"])
async def test_text_goes_out_as_it_is_written(base: str) -> None:
    """Characters beyond ASCII, quotes and line breaks of the instructions arrive unescaped as UTF-8, in both shapes."""
    instructions = 'Grüße, "你好" 🎧\u2028\n\\ é'
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        base_url = replay.server.base_url.removesuffix("/v1") + base
        await place(replay, recorded, base_url=base_url, instructions=instructions)

    assert 'Grüße, \\"你好\\" 🎧\u2028\\n\\\\ é'.encode() in replay.server.posts[0].body
    assert json.loads(replay.texts[0])["session"]["instructions"] == instructions
    assert "Grüße" in replay.texts[0]


async def test_instructions_are_sent_even_when_empty() -> None:
    """The key `instructions` is always there."""
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        await place(replay, recorded, instructions="")

    assert b'"instructions":""' in replay.server.posts[0].body
    assert '"instructions":""' in replay.texts[0]


async def test_no_proxy_stands_before_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is for the outside world; a call on this machine does not go through it."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    recorded = episode("a_v1_webrtc_happy")
    async with replaying(recorded) as replay:
        await place(replay, recorded)

    assert len(replay.server.posts) == len(replay.server.handshakes) == len(replay.server.hangups) == 1
