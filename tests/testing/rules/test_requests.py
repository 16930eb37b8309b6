"""Promises of the judge: what the reference client sent passes, and each rule catches its breach; no event loop."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from rtc_client.testing import SeenRequest, Violation
from rtc_client.testing.rules.offer_sdp import check_offer
from rtc_client.testing.rules.requests import (
    call_id_of,
    check_close_code,
    check_first_frame,
    check_handshake,
    check_hangup,
    check_later_frame,
    check_post,
    check_posted_offer,
)
from rtc_client.testing.wire.posted_offer import parse_form, read_offer
from tests.testing.caller import SESSION, SESSION_UPDATE, compact, form

SDP = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n"
    "c=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendrecv\r\na=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\n"
    "a=fingerprint:sha-256 " + ":".join(["00"] * 32) + "\r\na=setup:actpass\r\na=rtcp-mux\r\n"
    "a=rtpmap:111 opus/48000/2\r\n"
)

# Recorded from the reference client 0.144.0 (a_v1_webrtc_happy, a_v1_webrtc_backend_api, a_v1_webrtc_provider_extras).
POST_HEADERS = [
    ("openai-alpha", "quicksilver=v1"),
    ("x-session-id", "01a1f79c-9739-7cd3-9161-4945a7bc26f1"),
    ("content-type", "multipart/form-data; boundary=codex-realtime-call-boundary"),
    ("authorization", "Bearer dummy-api-key"),
    ("accept", "*/*"),
    ("originator", "capture"),
    ("user-agent", "capture/0.144.0 (Debian 12.0.0; x86_64) unknown (capture; 0)"),
    ("host", "127.0.0.1:4321"),
    ("content-length", "0"),
]
JSON_HEADERS = [(name, "application/json" if name == "content-type" else value) for name, value in POST_HEADERS]
HANDSHAKE_HEADERS = [
    ("Host", "127.0.0.1:4321"),
    ("Connection", "Upgrade"),
    ("Upgrade", "websocket"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "Mc/ObQEDUwKKyMrrTOzqVA=="),
    ("user-agent", "capture/0.144.0 (Debian 12.0.0; x86_64) unknown (capture; 0)"),
    ("originator", "capture"),
    ("authorization", "Bearer dummy-api-key"),
    ("x-session-id", "01a1f79c-9739-7cd3-9161-4945a7bc26f1"),
    ("openai-alpha", "quicksilver=v1"),
]


BUNDLE = "the offer must bundle its m-lines: a=group:BUNDLE with the mid of each"
ICE = "the offer must have a=ice-ufrag and a=ice-pwd of at least 4 and 22 characters"
FRAMING = "the form must be framed as the notes show it, to the byte: CRLF, two headers a part, no more"


def post_seen(
    query: str = "intent=quicksilver&architecture=avas",
    headers: list[tuple[str, str]] | None = None,
    body: bytes = b"",
    path: str = "/v1/realtime/calls",
) -> SeenRequest:
    sent = [
        (name, str(len(body)) if (name, value) == ("content-length", "0") else value)
        for name, value in headers or POST_HEADERS
    ]
    return SeenRequest(method="POST", target=f"{path}?{query}", headers=sent, body=body, at_s=0.0)


def handshake_seen(
    query: str = "intent=quicksilver&call_id=rtc_test123", headers: list[tuple[str, str]] | None = None
) -> SeenRequest:
    target = f"/v1/realtime?{query}"
    return SeenRequest(method="GET", target=target, headers=headers or HANDSHAKE_HEADERS, body=b"", at_s=0.0)


def changed(headers: list[tuple[str, str]], name: str, value: str | None) -> list[tuple[str, str]]:
    """The headers with one replaced, added, or (None) taken away."""
    others = [pair for pair in headers if pair[0].lower() != name]
    return others if value is None else [*others, (name, value)]


def test_what_the_reference_client_posts_passes() -> None:
    """Both shapes, byte for byte (the recordings as a whole are judged in test_strict_recordings.py)."""
    body, _ = form(SDP, boundary="codex-realtime-call-boundary")
    as_json = compact({"sdp": SDP, "session": SESSION}).encode()
    api = post_seen(body=body)
    backend = post_seen(headers=JSON_HEADERS, body=as_json, path="/backend-api/codex/realtime/calls")

    for request in (api, backend):
        assert check_post(request) + check_posted_offer(read_offer(request)) == []
        assert read_offer(request).sdp == SDP
        assert read_offer(request).session == SESSION


def test_a_providers_query_is_allowed_where_the_reference_client_puts_it() -> None:
    """Before the pair of the POST, and between intent and call id of the sideband."""
    assert check_post(post_seen("api-version=x1&intent=quicksilver&architecture=avas")) == []
    assert check_handshake(handshake_seen("intent=quicksilver&api-version=x1&call_id=rtc_a"), None) == []
    assert check_handshake(handshake_seen("foo=bar&intent=quicksilver&call_id=rtc_a"), None) == []


@pytest.mark.parametrize(
    "query",
    [
        "",
        "architecture=avas&intent=quicksilver",
        "intent=quicksilver&architecture=avas&api-version=x1",
        "intent=quicksilver&intent=quicksilver&architecture=avas",
        "intent=quicksilver",
    ],
)
def test_another_query_on_the_post_is_a_violation(query: str) -> None:
    """Order and number of the pairs are the protocol's."""
    assert {violation.section for violation in check_post(post_seen(query))} == {"1.1"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("openai-alpha", None),
        ("openai-alpha", "quicksilver=v2"),
        ("x-session-id", None),
        ("x-session-id", ""),
        ("authorization", None),
        ("authorization", "Bearer "),
        ("authorization", "Basic abc"),
        ("originator", None),
        ("user-agent", None),
        ("accept", None),
        ("accept", "text/html"),
        ("content-type", "application/json"),
        ("content-type", None),
        ("content-length", None),
        ("content-length", "7"),
        ("content-encoding", "gzip"),
        ("user-agent", "Mozilla"),
    ],
)
def test_a_wrong_header_on_the_post_is_a_violation(name: str, value: str | None) -> None:
    """Each header the protocol demands is looked at."""
    (violation,) = check_post(post_seen(headers=changed(POST_HEADERS, name, value)))

    assert violation.section == "1.1"


def test_a_violation_does_not_tell_the_value_it_is_about() -> None:
    """It may be a key, or speech."""
    headers = changed(POST_HEADERS, "authorization", "Token hidden")
    frame = compact({"type": "conversation.handoff.append", "handoff_id": 1, "output_text": "hidden", "more": "hidden"})

    assert "hidden" not in repr(check_post(post_seen("key=hidden", headers)) + check_later_frame(frame))


def test_a_header_sent_twice_is_a_violation() -> None:
    """A user's header takes the place of ours, it does not join it."""
    twice = [*POST_HEADERS, ("Originator", "other")]

    assert check_post(post_seen(headers=twice)) == [
        Violation("1.1", "the header originator must be there, once, and not empty")
    ]


def test_the_backend_base_takes_json() -> None:
    """The shape of the body follows from the base."""
    (violation,) = check_post(post_seen(path="/backend-api/codex/realtime/calls"))

    assert violation.section == "1.2"


def session_with(**changes: Any) -> dict[str, Any]:
    return {name: value for name, value in {**SESSION, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    ("session", "message"),
    [
        (session_with(model=...), "session must have the key model"),
        (session_with(model=""), "session.model must not be empty"),
        (session_with(output_modalities=["text"]), "session must not have the key output_modalities"),
        (session_with(tools=[]), "session must not have the key tools"),
        (session_with(type="realtime"), "session.type must be 'quicksilver'"),
        (session_with(instructions=7), "session.instructions must be a str"),
        (session_with(audio=None), "session.audio must be an object"),
        (
            session_with(audio={**SESSION["audio"], "input": {"format": {"type": "audio/pcm", "rate": 24000.0}}}),
            "session.audio.input.format.rate must be 24000",
        ),
        (
            session_with(audio={**SESSION["audio"], "output": {"voice": "marin"}}),
            "session.audio.output.voice must be one of arbor, breeze, cove, ember, juniper, maple, sol, spruce, vale",
        ),
    ],
)
def test_another_session_is_a_violation(session: dict[str, Any], message: str) -> None:
    """The session object has the keys and values of v1, no others."""
    body, content_type = form(SDP, session)
    request = post_seen(headers=changed(POST_HEADERS, "content-type", content_type), body=body)

    section = "2" if "voice" in message else "1.1"
    assert check_posted_offer(read_offer(request)) == [Violation(section, message)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(SESSION, ensure_ascii=False), "the session must be compact JSON"),
        (json.dumps(SESSION, separators=(",", ":")), "the session must hold non-ASCII characters unescaped"),
        (compact(SESSION)[:-1] + ',"type":"quicksilver"}', "the session must name each key once"),
    ],
)
def test_json_that_is_written_otherwise_is_a_violation(text: str, message: str) -> None:
    """Compact, unescaped, each key once."""
    body, content_type = form(SDP, text)
    request = post_seen(headers=changed(POST_HEADERS, "content-type", content_type), body=body)

    assert check_posted_offer(read_offer(request)) == [Violation("1.1", message)]


def test_escapes_that_json_needs_are_none() -> None:
    """Line feeds, quotes, backslashes before a u, and control characters are written as escapes."""
    frame = {"type": "conversation.handoff.append", "handoff_id": "codex", "output_text": 'a\n"b"\x1fé\\ \\u00e9'}

    assert check_later_frame(compact(frame)) == []


@pytest.mark.parametrize(
    ("was", "becomes", "message"),
    [
        (b"application/sdp", b"text/plain", "the content type of the part sdp must be application/sdp"),
        (b'name="sdp"', b'name="sdp"; filename="o.sdp"', "the parts of the form must have no filename"),
        (b"\r\n--some-boundary--\r\n", b"\r\n--some-boundary--", FRAMING),
        (b"Content-Type: application/sdp", b"content-type: application/sdp", FRAMING),
        (b"Content-Type: application/sdp", b"Content-Type: application/sdp\r\nContent-Length: 5", FRAMING),
    ],
)
def test_a_form_that_is_framed_otherwise_is_a_violation(was: bytes, becomes: bytes, message: str) -> None:
    """Two parts, without file names, with their content types, and nothing else, to the byte."""
    body, content_type = form(SDP)
    odd = body.replace(was, becomes)
    assert odd != body
    request = post_seen(headers=changed(POST_HEADERS, "content-type", content_type), body=odd)

    assert check_posted_offer(read_offer(request)) == [Violation("1.1", message)]


def test_the_parts_of_a_form_have_an_order() -> None:
    """The offer, then the session; nothing behind them."""
    body, content_type = form(SDP)
    _, offer, session, _ = body.split(b"--some-boundary")
    fence = b"--some-boundary"
    for parts in ([session, offer], [offer, session, offer.replace(b'"sdp"', b'"more"')]):
        odd = fence + fence.join(parts) + fence + b"--\r\n"
        request = post_seen(headers=changed(POST_HEADERS, "content-type", content_type), body=odd)

        assert check_posted_offer(read_offer(request)) == [
            Violation("1.1", "the form must have the parts sdp and session, in this order, and no other")
        ]


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("multipart/form-data", b"--x\r\n\r\n\r\n--x--"),
        ("multipart/form-data; boundary=x", b"--y--"),
        ("multipart/form-data; boundary=x", b"--x\r\nno blank line\r\n--x--"),
        ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0\r\n--x--'),
        ("application/json", b'{"sdp":"v=0"}'),
        ("application/json", b"[]"),
        ("application/json", b"\xff"),
        ("text/plain", b"v=0"),
    ],
)
def test_a_body_without_offer_and_session_is_refused(content_type: str, body: bytes) -> None:
    """What cannot be read raises one exception type."""
    with pytest.raises(ValueError, match=r".+"):
        read_offer(post_seen(headers=changed(POST_HEADERS, "content-type", content_type), body=body))


def test_an_offer_that_ends_in_a_line_feed_is_kept_whole() -> None:
    """The SDP is taken verbatim, whatever the boundary and its quotes."""
    body, _ = form("v=0\r\n\r\n", boundary="a b")

    assert parse_form('multipart/form-data; boundary="a b"', body)[0].body == b"v=0\r\n\r\n"


@pytest.mark.parametrize(
    ("sdp", "message"),
    [
        ("v=0\r\na=group:BUNDLE\r\n", "the offer must have one audio m-line, not 0"),
        (SDP + SDP[SDP.index("m=") :], "the offer must have one audio m-line, not 2"),
        (
            SDP.replace("BUNDLE 0", "BUNDLE 0 1") + "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:1\r\n",
            "the offer must hold audio (and at most a data channel), nothing else",
        ),
        (SDP.replace("\r\n", "\n"), "the offer must begin with v=0, and its lines must end in CRLF"),
        (SDP.removeprefix("v=0\r\n"), "the offer must begin with v=0, and its lines must end in CRLF"),
        (SDP.replace("a=group:BUNDLE 0\r\n", ""), BUNDLE),
        (SDP.replace("a=mid:0\r\n", ""), BUNDLE),
        (SDP.replace("BUNDLE 0", "BUNDLE 1"), BUNDLE),
        (SDP.replace("sendrecv", "recvonly"), "the audio m-line must be sendrecv"),
        (SDP.replace("opus/48000/2", "PCMU/8000"), "the audio m-line must offer opus/48000/2"),
        (SDP.replace("UDP/TLS/RTP/SAVPF", "RTP/AVP"), "the audio m-line must be UDP/TLS/RTP/SAVPF"),
        (SDP.replace("a=rtcp-mux\r\n", ""), "the audio m-line must have a=rtcp-mux"),
        (SDP.replace("a=ice-ufrag:abcd\r\n", ""), ICE),
        (SDP.replace("abcdefghijklmnopqrstuvwx", "short"), ICE),
        (SDP.replace("sha-256", "sha-1"), "the offer must have a sha-256 fingerprint"),
        (SDP.replace("actpass", "active"), "the offer must have a=setup:actpass"),
    ],
)
def test_another_offer_is_a_violation(sdp: str, message: str) -> None:
    """One bundled audio m-line, both ways, secured, with Opus."""
    assert check_offer(sdp) == [message]


def test_what_belongs_to_the_session_may_stand_there() -> None:
    """RFC 8866 section 5.13: an attribute of the session is one of each m-line that has none of its own."""
    line = "a=setup:actpass\r\n"

    assert check_offer(SDP.replace(line, "").replace("t=0 0\r\n", f"t=0 0\r\n{line}")) == []


def test_a_data_channel_is_free() -> None:
    """The application decides about it."""
    channel = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:1\r\na=sctp-port:5000\r\n"

    assert check_offer(SDP.replace("BUNDLE 0", "BUNDLE 0 1") + channel) == []


def test_the_handshake_of_the_reference_client_passes() -> None:
    """With the headers of its POST."""
    assert check_handshake(handshake_seen(), post_seen()) == []


@pytest.mark.parametrize(
    ("query", "section"),
    [
        ("call_id=rtc_a", "1.5"),
        ("call_id=rtc_a&intent=quicksilver", "1.3"),
        ("intent=quicksilver&call_id=rtc_a&call_id=rtc_b", "1.3"),
        ("intent=quicksilver&model=gpt-realtime-1.5&call_id=rtc_a", "1.5"),
        ("intent=quicksilver&architecture=avas&call_id=rtc_a", "1.5"),
    ],
)
def test_another_query_on_the_sideband_is_a_violation(query: str, section: str) -> None:
    """Intent, then what the provider adds, then the call id, nothing else."""
    assert [violation.section for violation in check_handshake(handshake_seen(query), None)] == [section]


@pytest.mark.parametrize("name", ["x-session-id", "originator", "user-agent", "authorization"])
def test_a_handshake_by_somebody_else_is_a_violation(name: str) -> None:
    """Who joins the sideband is who placed the call."""
    value = {"authorization": "Bearer other", "user-agent": "other/1"}.get(name, "other")

    (violation,) = check_handshake(handshake_seen(headers=changed(HANDSHAKE_HEADERS, name, value)), post_seen())

    assert violation == Violation("1.5", f"the header {name} must be the same as on the POST")


PROVIDERS_QUERY = Violation("1.3", "the provider's query must be there, as on the POST")


@pytest.mark.parametrize(
    ("query", "violation"),
    [
        ("intent=quicksilver&api-version=x1&call_id=rtc_a", None),
        ("foo=bar&intent=quicksilver&api-version=x1&call_id=rtc_a", None),
        ("intent=quicksilver&call_id=rtc_a", PROVIDERS_QUERY),
        ("intent=quicksilver&api-version=x2&call_id=rtc_a", PROVIDERS_QUERY),
        (
            "intent=quicksilver&api-version=x1&more=1&call_id=rtc_a",
            Violation("1.3", "between intent and call_id stands the provider's query, as on the POST"),
        ),
    ],
)
def test_a_providers_query_is_the_same_on_both(query: str, violation: Violation | None) -> None:
    """What stands before the pair of the POST stands between intent and call id; a base of its own may add to it."""
    post = post_seen("api-version=x1&intent=quicksilver&architecture=avas")

    assert check_handshake(handshake_seen(query), post) == ([] if violation is None else [violation])


@pytest.mark.parametrize("name", ["x-extra", "version", "session-id"])
def test_a_providers_headers_are_the_same_on_both(name: str) -> None:
    """Those of a later version of the reference client as well."""
    post = post_seen(headers=[*POST_HEADERS, (name, "yes")])

    assert check_handshake(handshake_seen(headers=[*HANDSHAKE_HEADERS, (name, "yes")]), post) == []
    assert check_handshake(handshake_seen(), post) == [
        Violation("1.3", "the provider's headers must be the same as on the POST")
    ]


def test_an_older_http_is_a_violation() -> None:
    """The request line says 1.1."""
    assert check_post(replace(post_seen(), http_version="1.0")) == [Violation("1.1", "the request must be HTTP/1.1")]


@pytest.mark.parametrize(
    ("location", "call_id"),
    [
        ("/v1/realtime/calls/rtc_test123", "rtc_test123"),
        ("rtc_bare", "rtc_bare"),
        ("https://host/v1/realtime/calls/rtc_a/rtc_b?x=rtc_c", "rtc_b"),
        ("/calls/0192d3a1-7b1c-7d2e-8f00-0123456789ab/answer", "0192d3a1-7b1c-7d2e-8f00-0123456789ab"),
        ("/calls/rtc_", None),
        ("/calls/12", None),
    ],
)
def test_the_call_id_is_read_from_a_location(location: str, call_id: str | None) -> None:
    """Section 1.4, from the right."""
    assert call_id_of(location) == call_id


HANGUP_HEADERS = [pair for pair in POST_HEADERS if pair[0] not in ("content-type", "content-length")]


def hangup_seen(
    path: str = "/v1/realtime/calls/rtc_a/hangup", headers: list[tuple[str, str]] | None = None
) -> SeenRequest:
    return SeenRequest(method="POST", target=path, headers=headers or HANGUP_HEADERS, body=b"", at_s=0.0)


def test_a_hang_up_by_the_caller_passes() -> None:
    """The same caller, at the same base, with the provider's query, once."""
    assert check_hangup(hangup_seen(), post_seen(), is_repeated=False) == []
    extra = post_seen("api-version=x1&intent=quicksilver&architecture=avas")
    with_query = hangup_seen("/v1/realtime/calls/rtc_a/hangup?api-version=x1")
    assert check_hangup(with_query, extra, is_repeated=False) == []
    assert check_hangup(hangup_seen(), extra, is_repeated=False) == [PROVIDERS_QUERY]


@pytest.mark.parametrize("name", ["openai-alpha", "x-session-id", "originator", "user-agent", "authorization"])
def test_a_hang_up_by_somebody_else_is_a_violation(name: str) -> None:
    """Without a header, it is not the same caller either."""
    found = check_hangup(hangup_seen(headers=changed(HANGUP_HEADERS, name, None)), post_seen(), is_repeated=False)

    assert Violation("1.1", f"the header {name} must be there, once, and not empty") in found
    assert {violation.section for violation in found} == {"1.1"}


def test_a_hang_up_elsewhere_or_again_is_a_violation() -> None:
    """The base is that of the POST."""
    elsewhere = hangup_seen("/backend-api/codex/realtime/calls/rtc_a/hangup")

    assert check_hangup(elsewhere, post_seen(), is_repeated=False) == [
        Violation("1.3", "a call is hung up at the base where it was placed")
    ]
    assert check_hangup(hangup_seen(), post_seen(), is_repeated=True) == [Violation("1", "a call is hung up once")]


@pytest.mark.parametrize("code", [None, 1000, 1002, 1011])
def test_a_sideband_that_ends_as_it_may_passes(code: int | None) -> None:
    """By TCP alone, by 1000, or by a websocket's own codes for failures."""
    assert check_close_code(code) == []


@pytest.mark.parametrize("code", [1001, 1005])
def test_a_sideband_that_ends_by_another_code_is_a_violation(code: int) -> None:
    """1005 stands for a close frame without any."""
    assert [violation.section for violation in check_close_code(code)] == ["11"]


@pytest.mark.parametrize("name", ["sec-websocket-protocol", "sec-websocket-extensions"])
def test_asking_for_more_than_a_plain_websocket_is_a_violation(name: str) -> None:
    """No subprotocol, no compression."""
    headers = changed(HANDSHAKE_HEADERS, name, "permessage-deflate")

    assert [v.section for v in check_handshake(handshake_seen(headers=headers), post_seen())] == ["1.5"]


def test_the_first_frame_of_the_reference_client_passes() -> None:
    """Whatever the order of its keys."""
    assert check_first_frame(compact(SESSION_UPDATE), SESSION) == []
    assert check_first_frame(compact(dict(reversed(SESSION_UPDATE.items()))), SESSION) == []


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("[]", "the first frame must be session.update"),
        ('{"type":"response.create"}', "the first frame must be session.update"),
        (
            compact({**SESSION_UPDATE, "session": {**SESSION_UPDATE["session"], "model": "m"}}),
            "session.update.session must not have the key model",
        ),
        (
            compact({**SESSION_UPDATE, "session": {**SESSION_UPDATE["session"], "instructions": "other"}}),
            "session.update.session.instructions must be the same as in the POST",
        ),
        (json.dumps(SESSION_UPDATE, ensure_ascii=False), "session.update must be compact JSON"),
    ],
)
def test_another_first_frame_is_a_violation(frame: str, message: str) -> None:
    """It is session.update with the session of the POST, without the model."""
    assert check_first_frame(frame, SESSION) == [Violation("1.5", message)]


def item(role: str, kind: str, text: object = "hi") -> dict[str, Any]:
    content = [{"type": kind, "text": text}]
    return {"type": "conversation.item.create", "item": {"type": "message", "role": role, "content": content}}


@pytest.mark.parametrize(
    "frame",
    [
        item("user", "input_text"),
        item("developer", "input_text", ""),
        item("assistant", "output_text"),
        {"type": "input_audio_buffer.append", "audio": "AQID"},
        {"type": "conversation.handoff.append", "handoff_id": "codex", "output_text": "done"},
    ],
)
def test_the_messages_of_section_6_pass(frame: dict[str, Any]) -> None:
    """All there are on v1."""
    assert check_later_frame(compact(frame)) == []


def output(text: str, handoff_id: str = "handoff_1") -> str:
    return compact({"type": "conversation.handoff.append", "handoff_id": handoff_id, "output_text": text})


def test_output_belongs_to_a_handoff_of_this_call() -> None:
    """Or to none, by the name of `codex`."""
    assert check_later_frame(output("done"), {"handoff_1"}) == check_later_frame(output("done", "codex")) == []
    assert check_later_frame(output("done"), {"handoff_2"}) == [
        Violation("9", "a handoff_id must be one that was requested in this call, or 'codex'")
    ]


def test_long_output_is_cut_in_the_middle() -> None:
    """1,000 tokens of 4 bytes, with a mark in place of the rest."""
    cut = "a" * 2010 + "…582 tokens truncated…" + "b" * 1986

    assert check_later_frame(output(cut), {"handoff_1"}) == []
    assert check_later_frame(output('"Agent Final Message":\n\n' + "a" * 4_000), {"handoff_1"}) == []
    assert check_later_frame(output("a" * 4_001), {"handoff_1"}) == [
        Violation("9", "an output_text of more than 4000 bytes is cut in the middle")
    ]


@pytest.mark.parametrize(
    "frame",
    [
        item("assistant", "input_text"),
        item("user", "output_text"),
        item("system", "input_text"),
        item("user", "input_text", None),
        {**item("user", "input_text"), "event_id": "e1"},
        {"type": "input_audio_buffer.append", "audio": "not base64!"},
        {"type": "input_audio_buffer.append", "audio": "AQID", "sample_rate": 24000},
        {"type": "response.create"},
        {"type": "conversation.item.truncate", "item_id": "item_b", "content_index": 0, "audio_end_ms": 300},
        {**item("user", "input_text"), "item": {"type": "function_call_output", "call_id": "call_2", "output": ""}},
        {"type": 1},
        SESSION_UPDATE,
        [],
    ],
)
def test_any_other_message_is_a_violation(frame: object) -> None:
    """Also those of v2, and a second session.update."""
    assert {violation.section for violation in check_later_frame(compact(frame))} == {"6"}


def test_no_secret_is_in_a_repr() -> None:
    """Neither the key, nor the query, nor the body."""
    text = repr(post_seen("key=hidden&intent=quicksilver&architecture=avas", body=b"hidden"))

    assert "hidden" not in text
    assert "dummy-api-key" not in text
