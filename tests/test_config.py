"""What a call needs to know: checked when it is made, before anything is sent."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from rtc_client import CallConfig, ConfigError, Deadlines, IceServer
from rtc_client.config import DEFAULT_BASE_URL
from rtc_client.protocol.wire.session import V1_VOICES

KEY = "sk-secret-key-0123456789"


def make(**settings: Any) -> CallConfig:
    return CallConfig(**({"api_key": KEY} | settings))


def test_key_alone_is_enough() -> None:
    """Everything else has a default: the API, v1, its voice and model, audio, a required sideband, no ICE server."""
    config = make()

    assert (config.base_url, config.sideband_url, config.sideband) == (DEFAULT_BASE_URL, None, "require")
    assert (config.version, config.output_modality, config.voice) == ("v1", "audio", "cove")
    assert (config.model, config.instructions, config.session.model) == ("gpt-realtime-1.5", "", "gpt-realtime-1.5")
    assert (config.ice_servers, config.query, dict(config.headers), config.remote_hangup) == ((), (), {}, True)


def test_deadlines_are_those_that_are_promised() -> None:
    """Every default is a promise of the documentation; changing one changes what callers wait for."""
    assert dataclasses.asdict(Deadlines()) == {
        "answer_s": 10.0, "key_s": 10.0, "signaling_s": 30.0, "gather_s": 5.0, "connect_s": 15.0, "first_rtp_s": 5.0,
        "silence_s": 12.0, "sideband_open_s": 10.0, "sideband_join_s": 30.0, "ping_interval_s": 5.0,
        "ping_timeout_s": 5.0, "remote_hangup_s": 2.0, "close_s": 3.0,
    }  # fmt: skip


@pytest.mark.parametrize("value", [0, -1, float("nan"), float("inf"), 86_400])
@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Deadlines)])
def test_deadline_that_is_none_is_refused(name: str, value: float) -> None:
    """Zero, less, not a number, or for ever: the deadline is named."""
    with pytest.raises(ConfigError, match=name):
        Deadlines(**{name: value})


def test_config_cannot_be_changed() -> None:
    """What was checked stays as it was checked, also when the mapping it was made of changes."""
    headers = {"x-a": "1"}
    config = make(headers=headers)
    headers["Host"] = "evil"

    with pytest.raises(dataclasses.FrozenInstanceError):
        config.voice = "marin"  # type: ignore[misc]
    assert dict(config.headers) == {"x-a": "1"}
    with pytest.raises(ConfigError):
        dataclasses.replace(config, voice="marin")


@pytest.mark.parametrize("key", ["", " ", "sk 1", "sk-1\n", "sk-1\r\nx: y", "sk-ü", "\x00", "sk\x7f"])
def test_key_that_is_none_is_refused(key: str) -> None:
    """A missing or malformed key is told as such, and is not repeated."""
    with pytest.raises(ConfigError, match="API key") as refused:
        CallConfig(api_key=key)

    assert len(key) < 3 or key not in str(refused.value)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"version": "v2"}, "AVAS realtime calls require realtime v1"),
        ({"version": "v3"}, "AVAS realtime calls require realtime v1"),
        ({"version": ""}, "require realtime v1"),
        ({"output_modality": "text"}, "output modality"),
        ({"voice": "marin"}, "belongs to realtime v2; a v1 call has: juniper, maple"),
        ({"voice": "nope"}, "is not a voice of realtime v1; a v1 call has: juniper"),
        ({"voice": ""}, "is not a voice"),
        ({"voice": "Cove"}, "is not a voice"),
        ({"mode": "transcription"}, "transport websocket, version v2"),
        ({"mode": "x"}, "conversation, transcription"),
        ({"transport": "sip"}, "webrtc, websocket"),
        ({"transport": "websocket", "version": "v3"}, "one of v1, v2"),
        ({"transport": "websocket", "voice": "cove"}, "belongs to realtime v1; a v2 call has: alloy, ash"),
        ({"transport": "websocket", "version": "v1", "voice": "marin"}, "belongs to realtime v2"),
        ({"transport": "websocket", "version": "v1", "mode": "transcription"}, "version v2"),
        ({"transport": "websocket", "version": "v1", "output_modality": "text"}, "audio output only"),
        ({"transport": "websocket", "output_modality": "video"}, "one of audio, text"),
        ({"transport": "websocket", "sideband": "off"}, "no sideband"),
        ({"transport": "websocket", "query": {"model": "x"}}, "model"),
        ({"transcription_model": ""}, "the transcription model"),
        ({"sideband": "maybe"}, "require, prefer, off"),
        ({"base_url": "ftp://h"}, "the base URL"),
        ({"base_url": "http://192.0.2.1/v1"}, "allow_insecure"),
        ({"sideband_url": "ws://192.0.2.1/v1"}, "the sideband URL"),
        ({"sideband_url": "h"}, "the sideband URL"),
        ({"model": ""}, "the model"),
        ({"model": "a\nb"}, "the model"),
        ({"instructions": "a\ud800"}, "the instructions"),
        ({"session_id": ""}, "the session id"),
        ({"session_id": "a\r\nb: c"}, "the session id"),
        ({"max_duration_s": 0}, "maximum duration"),
        ({"max_duration_s": -1.0}, "maximum duration"),
        ({"max_duration_s": float("nan")}, "maximum duration"),
        ({"linger_s": -0.1}, "linger"),
        ({"linger_s": float("nan")}, "linger"),
        ({"headers": {"x a": "1"}}, "header"),
        ({"headers": {"": "1"}}, "header"),
        ({"headers": {"x-ü": "1"}}, "header"),
        ({"headers": {"x-a": "1\r\nx-b: 2"}}, "the header x-a"),
        ({"headers": {"x-a": ""}}, "the header x-a"),
        ({"headers": {"x-a": " 1"}}, "the header x-a"),
        ({"headers": {"x-a": "ü"}}, "the header x-a"),
        ({"headers": {"Content-Length": "1"}}, "frames the request"),
        ({"headers": {"HOST": "h"}}, "frames the request"),
        ({"headers": {"transfer-encoding": "chunked"}}, "frames the request"),
        ({"headers": {"Sec-WebSocket-Extensions": "permessage-deflate"}}, "frames the request"),
        ({"query": {"call_id": "x"}}, "call_id"),
        ({"query": {"intent": "x"}}, "intent"),
        ({"query": (("architecture", "x"),)}, "architecture"),
        ({"query": {"": "x"}}, "query parameter"),
        ({"query": {"a": "\ud800"}}, "query parameter"),
        ({"ice_servers": [IceServer(url="http://h")]}, "ICE server"),
        ({"ice_servers": [IceServer(url="stun:")]}, "ICE server"),
        ({"ice_servers": [IceServer(url="turn:h:3478")]}, "user name and a credential"),
    ],
)  # fmt: skip
def test_value_that_cannot_work_is_refused(settings: dict[str, Any], words: str) -> None:
    """The message names the setting and what would work, in one line."""
    with pytest.raises(ConfigError, match=words) as refused:
        make(**settings)

    assert str(refused.value).isprintable()
    assert KEY not in str(refused.value)


@pytest.mark.parametrize(
    "settings",
    [
        {"base_url": "http://127.0.0.1:8/v1"},
        {"base_url": "http://192.0.2.1/v1", "allow_insecure": True},
        {"sideband_url": "wss://h.test/x?y=z"},
        {"headers": {"Authorization": "Basic abc", "User-Agent": "mine"}},
        {"query": [("a", "1"), ("a", "2")]},
        {"max_duration_s": 0.5, "linger_s": 0},
        {"ice_servers": [IceServer(url="stun:h:3478")]},
        {"ice_servers": [IceServer(url="turns:h?transport=tcp", username="u", credential="c")]},
        *({"voice": voice} for voice in V1_VOICES),
        *({"sideband": policy} for policy in ("require", "prefer", "off")),
    ],
)  # fmt: skip
def test_value_that_works_passes(settings: dict[str, Any]) -> None:
    """Nothing that can work is refused."""
    make(**settings)


def test_query_takes_pairs_or_a_mapping() -> None:
    """Either way the order is kept, and so are repeated names."""
    assert make(query={"b": "1", "a": "2"}).query == (("b", "1"), ("a", "2"))
    assert make(query=[("a", "1"), ("a", "2")]).query == (("a", "1"), ("a", "2"))


def test_nothing_secret_is_shown() -> None:
    """Key, header values, session id, instructions and TURN credential are in no repr."""
    server = IceServer(url="turn:h", username="u", credential="turn-secret")
    config = make(
        headers={"x-token": "token-secret"}, session_id="sess-secret", instructions="be secret", ice_servers=[server]
    )

    assert "secret" not in repr(config)
    assert config.secrets == (KEY, "token-secret")


def test_environment_fills_in_what_is_not_given() -> None:
    """The key and our own variables are read, what is passed wins, and an empty variable is not set."""
    environ = {
        "OPENAI_API_KEY": KEY,
        "OPENAI_BASE_URL": "https://h.test/v1",
        "RTC_CLIENT_SIDEBAND_URL": "wss://s.test",
        "RTC_CLIENT_MODEL": "m-1",
        "RTC_CLIENT_VOICE": "sol",
        "RTC_CLIENT_INSTRUCTIONS": "",
    }

    config = CallConfig.from_env(environ, voice="ember")

    assert (config.api_key, config.base_url, config.sideband_url) == (KEY, "https://h.test/v1", "wss://s.test")
    assert (config.model, config.voice, config.instructions) == ("m-1", "ember", "")


def test_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a mapping, the process's own variables count."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)

    assert CallConfig.from_env().api_key == KEY


@pytest.mark.parametrize(
    ("environ", "overrides", "words"),
    [
        ({}, {}, "set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": ""}, {}, "set OPENAI_API_KEY"),
        ({"OPENAI_API_KEY": KEY, "RTC_CLIENT_VOICE": "marin"}, {}, "marin"),
        ({"OPENAI_API_KEY": KEY}, {"colour": "red"}, "no such setting"),
    ],
)
def test_environment_that_cannot_work_is_refused(
    environ: dict[str, str], overrides: dict[str, str], words: str
) -> None:
    """A missing key says how to give one; wrong values are refused like any other."""
    with pytest.raises(ConfigError, match=words):
        CallConfig.from_env(environ, **overrides)


def test_defaults_follow_the_transport() -> None:
    """WebRTC speaks v1 with the voice cove, a websocket v2 with marin unless v1 is asked for."""
    told = [
        (config.version, config.voice)
        for config in (make(), make(transport="websocket"), make(transport="websocket", version="v1"))
    ]

    assert told == [("v1", "cove"), ("v2", "marin"), ("v1", "cove")]
    assert make(transport="websocket", output_modality="text").session.output_modality == "text"
