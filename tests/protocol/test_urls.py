"""Every URL of a call, from its base (protocol.md section 1.3)."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client import ConfigError
from rtc_client.protocol import urls

AVAS = "intent=quicksilver&architecture=avas"
PAIRS = st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4)


@pytest.mark.parametrize(
    ("base", "query", "url"),
    [
        ("https://api.openai.com/v1", (), f"https://api.openai.com/v1/realtime/calls?{AVAS}"),
        ("https://h/v1/", (), f"https://h/v1/realtime/calls?{AVAS}"),
        ("https://h", (), f"https://h/realtime/calls?{AVAS}"),
        ("https://h/backend-api/codex", (), f"https://h/backend-api/codex/realtime/calls?{AVAS}"),
        ("http://[::1]:80/v1", (), f"http://[::1]:80/v1/realtime/calls?{AVAS}"),
        ("https://h/v1", (("api-version", "x1"),), f"https://h/v1/realtime/calls?api-version=x1&{AVAS}"),
        ("https://h/v1?a=1", (("b", "2"),), f"https://h/v1/realtime/calls?a=1&b=2&{AVAS}"),
        ("https://h/v1", (("k&=", "v w/ü"),), f"https://h/v1/realtime/calls?k%26%3D=v%20w%2F%C3%BC&{AVAS}"),
    ],
)
def test_offer_is_posted_to(base: str, query: urls.Query, url: str) -> None:
    """The path is appended, provider parameters come before the AVAS pair."""
    assert urls.calls_url(base, query) == url


@pytest.mark.parametrize(
    ("base", "query", "url"),
    [
        ("https://h", (), "wss://h/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("https://h/", (), "wss://h/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("https://h/v1", (), "wss://h/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("https://h/v1/", (), "wss://h/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("http://h:8/x/v1", (), "ws://h:8/x/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("wss://h/v1/realtime", (), "wss://h/v1/realtime?intent=quicksilver&call_id=rtc_a"),
        ("ws://h/other", (), "ws://h/other?intent=quicksilver&call_id=rtc_a"),
        ("ws://h/v1?foo=bar", (), "ws://h/v1/realtime?foo=bar&intent=quicksilver&call_id=rtc_a"),
        ("ws://h/v1", (("api-version", "x1"),), "ws://h/v1/realtime?intent=quicksilver&api-version=x1&call_id=rtc_a"),
    ],
)
def test_sideband_is_joined_at(base: str, query: urls.Query, url: str) -> None:
    """The base's query first, then intent, the provider's parameters, and the call id."""
    assert urls.sideband_url(base, query, "rtc_a") == url


@pytest.mark.parametrize(
    ("base", "query", "is_v1", "url"),
    [
        ("https://h/v1", (), True, "wss://h/v1/realtime?intent=quicksilver&model=m%201"),
        ("https://h/v1", (), False, "wss://h/v1/realtime?model=m%201"),
        ("http://h:8", (), False, "ws://h:8/v1/realtime?model=m%201"),
        ("ws://h/other?foo=bar", (("a", "1"),), True, "ws://h/other?foo=bar&intent=quicksilver&model=m%201&a=1"),
        ("ws://h/v1", (("a", "1"),), False, "ws://h/v1/realtime?model=m%201&a=1"),
    ],
)
def test_a_call_over_a_websocket_is_at(base: str, query: urls.Query, is_v1: bool, url: str) -> None:
    """The base's query first, then intent on v1, the model, and the provider's parameters."""
    assert urls.direct_url(base, query, "m 1", is_v1=is_v1) == url


@pytest.mark.parametrize(
    ("base", "given_url", "sideband"),
    [
        ("https://h/v1", None, "https://h/v1"),
        ("https://h/v1", "wss://other/x", "wss://other/x"),
        ("https://h:8/backend-api/codex", None, "https://h:8/v1/realtime"),
        ("http://127.0.0.1:8/backend-api", None, "http://127.0.0.1:8/v1/realtime"),
        ("https://chatgpt.com/backend-api/codex", None, "https://api.openai.com/v1/realtime"),
        ("https://chatgpt.com/backend-api/codex", "wss://other", "wss://other"),
        ("https://notchatgpt.com/backend-api", None, "https://notchatgpt.com/v1/realtime"),
    ],
)
def test_base_of_the_sideband(base: str, given_url: str | None, sideband: str) -> None:
    """The given one, else the call's; beside a /backend-api it is /v1/realtime, and chatgpt.com has it elsewhere."""
    assert urls.sideband_base(base, given_url) == sideband


@given(pairs=PAIRS, call_id=st.text(min_size=1, max_size=20))
def test_nothing_in_a_query_can_change_what_follows_it(pairs: list[tuple[str, str]], call_id: str) -> None:
    """Whatever names and values are given, the query reads back as exactly those, in order."""
    try:
        "".join([*(name + value for name, value in pairs), call_id]).encode()
    except UnicodeEncodeError:
        return
    post = urlsplit(urls.calls_url("https://h/v1", pairs))
    join = urlsplit(urls.sideband_url("https://h/v1", pairs, call_id))
    hangup = urlsplit(urls.hangup_url("https://h/v1", pairs, call_id))

    avas = [("intent", "quicksilver"), ("architecture", "avas")]
    assert parse_qsl(post.query, keep_blank_values=True) == [*pairs, *avas]
    assert parse_qsl(join.query, keep_blank_values=True) == [avas[0], *pairs, ("call_id", call_id)]
    assert parse_qsl(hangup.query, keep_blank_values=True) == pairs
    assert (post.path, join.path) == ("/v1/realtime/calls", "/v1/realtime")
    assert hangup.path.count("/") == 5
    assert not {post.fragment, join.fragment, hangup.fragment} - {""}


@pytest.mark.parametrize(
    ("url", "is_local"),
    [
        ("http://localhost", True), ("http://LOCALHOST:1/", True), ("http://127.0.0.1", True),
        ("http://127.9.9.9", True), ("http://[::1]:1", True),
        ("http://localhost.evil.test", False), ("http://127.0.0.1.evil.test", False),
        ("http://evil.test/127.0.0.1", False),
        ("http://0.0.0.0", False), ("http://192.0.2.1", False), ("http://2130706433", False), ("http://", False),
        ("http://localhost@evil.test", False),
    ],
)  # fmt: skip
def test_loopback_is_told_by_the_host_alone(url: str, is_local: bool) -> None:
    """Only localhost and loopback addresses are this machine; what merely looks like them is not."""
    assert urls.is_loopback(url) is is_local


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("", "must start with"),
        ("api.openai.com/v1", "must start with"),
        ("ftp://h", "must start with"),
        ("ws://127.0.0.1", "must start with"),
        ("https://", "name a host"),
        ("https://[::1", "not a URL"),
        ("https://h:99999", "not a URL"),
        ("https://h:x", "not a URL"),
        ("https://me:secret@h/v1", "user name"),
        ("https://me@h/v1", "user name"),
        ("https://h/v1#a", "fragment"),
        ("https://h/v 1", "ASCII"),
        ("https://h/v\n1", "ASCII"),
        ("https://hä/v1", "ASCII"),
        ("http://h.test/v1", "not encrypted"),
    ],
)
def test_base_that_cannot_work_is_refused_by_name(url: str, words: str) -> None:
    """The message names the setting and what to do, and does not repeat a URL that may hold a password."""
    with pytest.raises(ConfigError, match=words) as refused:
        urls.check_base_url("the base URL", url, allow_insecure=False)

    assert str(refused.value).startswith("the base URL ")
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "insecure", "websocket"),
    [
        ("https://h.test/v1", False, False),
        ("http://127.0.0.1:1/v1", False, False),
        ("http://localhost/v1", False, False),
        ("http://h.test/v1", True, False),
        ("wss://h.test", False, True),
        ("ws://[::1]:1", False, True),
        ("ws://h.test", True, True),
        ("https://h.test", False, True),
    ],
)
def test_base_that_works_passes(url: str, insecure: bool, websocket: bool) -> None:
    """Encrypted anywhere, plain to this machine, plain elsewhere only when it is allowed."""
    urls.check_base_url("the URL", url, allow_insecure=insecure, websocket=websocket)
