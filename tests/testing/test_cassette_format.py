"""Promises of cassettes as values and files: what is written is read, what is secret is gone, what differs is named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.sources.clips import OpusClip
from rtc_client.cassette.cassette import Cassette, Sound, WireEvent, load, sound_of
from rtc_client.cassette.comparison import differences
from rtc_client.cassette.redaction import Redactor, strip_sdp_line
from rtc_client.cassette.reference_client import read
from rtc_client.errors import CassetteUnusable
from rtc_client.testing import Tone
from rtc_client.testing.scenario.voices import tone_samples

GOLDEN = Path(__file__).parent.parent / "golden"
PACKETS = tuple((packet, 960) for packet in OpusClip.from_array(tone_samples(Tone(duration_s=0.1))).packets)


def cassette(*events: dict[str, Any], **changes: Any) -> Cassette:
    happenings = tuple(
        WireEvent(at_s=0.1 * n, direction="s2c", kind="ws_text", fields={"event": event})
        for n, event in enumerate(events)
    )
    values: dict[str, Any] = {
        "recorded_by": "answerer",
        "offer_sdp": "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=rtpmap:111 opus/48000/2\r\n",
        "session": {"type": "quicksilver"},
        "answer_sdp": "v=0\r\n",
        "happenings": happenings,
        "media_connected_s": 0.5,
        "ended_s": 2.0,
        "ended_by": "client",
    }
    return Cassette(**values | changes)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """All of it: the voices are the same packets."""
    written = cassette(
        {"type": "x", "é": [1, None, True]},
        agent=Sound(begins_s=0.5, packets=PACKETS),
        caller=Sound(begins_s=0.75, packets=PACKETS[:2]),
    )
    written.save(tmp_path / "call")

    assert load(tmp_path / "call") == written
    assert {path.name for path in (tmp_path / "call").iterdir()} == {"cassette.json", "agent.opus", "caller.opus"}


def test_a_cassette_is_replaced_and_nothing_else_is(tmp_path: Path) -> None:
    """A mistaken argument costs nobody a folder."""
    cassette(agent=Sound(begins_s=0, packets=PACKETS)).save(tmp_path / "call")
    cassette().save(tmp_path / "call")
    assert load(tmp_path / "call").agent is None
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_text("x")

    with pytest.raises(CassetteUnusable, match="is not overwritten"):
        cassette().save(tmp_path / "photos")
    with pytest.raises(CassetteUnusable, match="is not overwritten"):
        cassette().save(tmp_path / "photos" / "a.jpg")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: "no JSON", "is not JSON"),
        (lambda value: "[]", "holds no JSON object"),
        (lambda value: json.dumps(value | {"format": "else"}), "holds no cassette"),
        (lambda value: json.dumps(value | {"version": 2}), "of version 2, and 1 is known"),
        (lambda value: json.dumps({k: v for k, v in value.items() if k != "session"}), "is damaged"),
        (lambda value: json.dumps(value | {"events": [{"t": 0, "dir": "up", "kind": "ws_text"}]}), "is damaged"),
        (lambda value: json.dumps(value | {"offer_sdp": "v=0"}), "is damaged"),
        (lambda value: json.dumps(value | {"ended_s": "soon"}), "is damaged"),
    ],
)
def test_what_is_no_cassette_is_refused(tmp_path: Path, change: Any, message: str) -> None:
    """In one sentence."""
    cassette().save(tmp_path)
    file = tmp_path / "cassette.json"
    file.write_text(change(json.loads(file.read_text())))

    with pytest.raises(CassetteUnusable, match=message):
        load(tmp_path)


def test_nothing_is_no_cassette(tmp_path: Path) -> None:
    """Neither is a file of another kind."""
    with pytest.raises(CassetteUnusable, match="cannot be read"):
        load(tmp_path / "none")
    (tmp_path / "else.json").write_text("{}")
    with pytest.raises(CassetteUnusable, match="neither the folder"):
        read(tmp_path / "else.json")


def test_gaps_of_a_voice_are_filled() -> None:
    """So that a player hears the pause; packets lie where they were."""
    packets = [payload for payload, _ in PACKETS[:2]]
    sound = sound_of([(packets[0], 4_800), (packets[1], 4_800 + 5 * 960)], begins_s=1.0)

    assert sound is not None
    assert sound.begins_s == pytest.approx(1.1)
    assert sound.duration_s == pytest.approx(0.12)
    assert [len(payload) for payload, _ in sound.packets[1:-1]] == [1] * 4


# Stripping.


def test_secrets_are_gone_wherever_they_turn_up() -> None:
    """From header and query, and then from texts as well; so are the names of the call."""
    strip = Redactor(call_id="rtc_1", session_id="0192-abc", secrets=["sk-one"])
    headers = strip.headers(
        [
            ("Authorization", "Bearer sk-two"),
            ("X-Session-Id", "0192-abc"),
            ("X-Provider-Token", "sk-three"),
            ("X-Other", "unknown"),
            ("Content-Type", "multipart/form-data; boundary=abc"),
            ("Location", "https://10.0.0.7:81/v1/realtime/calls/rtc_1"),
        ]
    )
    target = strip.target("/v1/realtime?intent=quicksilver&api-key=sk-four&region=eu&call_id=rtc_1")

    assert headers == [
        ["authorization", "Bearer <secret>"],
        ["x-session-id", "<session-id>"],
        ["x-provider-token", "<secret>"],
        ["x-other", "<value>"],
        ["content-type", "multipart/form-data; boundary=<boundary>"],
        ["location", "/v1/realtime/calls/<call-id>"],
    ]
    assert target == "/v1/realtime?intent=quicksilver&api-key=<secret>&region=<value>&call_id=<call-id>"
    assert strip.value({"a": ["sk-one sk-two", {"b": "sk-three/sk-four rtc_1"}], "c": 1}) == {
        "a": ["<secret> <secret>", {"b": "<secret>/<secret> <call-id>"}],
        "c": 1,
    }


@pytest.mark.parametrize("name", ["offer.sdp", "answer.sdp"])
def test_an_sdp_keeps_its_lines_and_loses_what_is_its_own(name: str) -> None:
    """No address, no port, no fingerprint, no name."""
    sdp = (GOLDEN / name).read_text()
    stripped = Redactor(call_id=None, session_id=None).sdp(sdp)

    assert stripped.count("\r\n") == len(sdp.splitlines())
    for own in (
        "192.0.2.2",
        "127.0.0.1",
        "fd00",
        "42658",
        "TgMJ",
        "rlO2",
        "03:67",
        "84:26",
        "cname:",
        "-4a0d-",
        "4004153531",
    ):
        assert own not in stripped
    assert "a=candidate:0 1 udp 0 0.0.0.0 9 typ host" in stripped
    assert "a=rtpmap:96 opus/48000/2" in stripped


@pytest.mark.parametrize(
    ("line", "stripped"),
    [
        ("i=Jo's phone", ""),
        (
            "a=candidate:1 1 UDP 2 abc.local 5 typ srflx raddr 10.1.1.1 rport 9",
            "a=candidate:0 1 udp 0 0.0.0.0 9 typ srflx",
        ),
        (
            "a=candidate:1 1 tcp 2 10.0.0.1 9 typ host tcptype active",
            "a=candidate:0 1 tcp 0 0.0.0.0 9 typ host tcptype active",
        ),
        ("a=x-server:10.2.3.4 fd00::12", "a=x-server:0.0.0.0 ::"),
        ("m=video 0 RTP/AVP 96", "m=video 0 RTP/AVP 96"),
        ("a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid", "a=extmap:1 urn:ietf:params:rtp-hdrext:sdes:mid"),
    ],
)
def test_single_lines_of_an_sdp(line: str, stripped: str) -> None:
    """Each kind by its own rule, unknown ones by their looks."""
    assert strip_sdp_line(line) == stripped


# Structure.


def test_words_times_and_ids_are_no_difference() -> None:
    """Neither is how often something was said."""
    a = cassette({"type": "delta", "item_id": "a", "delta": "good"}, {"type": "delta", "item_id": "a", "delta": "day"})
    b = cassette({"type": "delta", "item_id": "b", "delta": "hello"}, ended_s=7.0, media_connected_s=1.0)

    assert differences(a, b) == []
    assert differences(a, b, sequence=True) == []


@pytest.mark.parametrize(
    ("event", "sentence"),
    [
        ({"type": "x", "n": "1"}, "server sends x n: integer in A, string in B"),
        ({"type": "x"}, "server sends x n: only in A (integer)"),
        ({"type": "x", "n": 1, "more": {}}, "server sends x more: only in B (object)"),
        ({"type": "x", "n": 1.5}, "server sends x n: integer in A, number in B"),
    ],
)
def test_the_shape_of_an_event_is_compared(event: dict[str, Any], sentence: str) -> None:
    """By path, with what stands there."""
    a, b = cassette({"type": "x", "n": 1}), cassette(event)

    assert [str(one) for one in differences(a, b)] == [sentence]


def test_an_event_that_only_one_has_is_told_once() -> None:
    """Not field by field."""
    a, b = cassette({"type": "x"}), cassette({"type": "x"}, {"type": "y", "n": 1, "m": {"k": 2}})

    assert [str(one) for one in differences(a, b)] == ["server sends y: only in B"]


def test_the_order_of_messages_is_compared_on_request() -> None:
    """Only the first message of each side counts otherwise."""
    a = cassette({"type": "x"}, {"type": "y"}, {"type": "z"})
    b = cassette({"type": "x"}, {"type": "z"}, {"type": "y"})

    assert differences(a, b) == []
    assert [one.where for one in differences(a, b, sequence=True)] == ["order of messages"]


def test_sdps_and_sessions_are_compared() -> None:
    """A codec, a constant of the session."""
    a = cassette()
    b = replace(a, offer_sdp=a.offer_sdp.replace("opus", "OPUS"), session={"type": "realtime"})

    assert [str(one) for one in differences(a, b)] == [
        'posted session type: "quicksilver" in A, "realtime" in B',
        "offer m-line 0 (audio) codecs: opus/48000/2 in A, OPUS/48000/2 in B",
    ]


def test_sound_that_is_missing_is_told_unless_none_was_kept() -> None:
    """A recording of the reference client holds no sound at all."""
    a = cassette(agent=Sound(begins_s=0, packets=PACKETS))
    silent = cassette(agent=Sound(begins_s=0, packets=((SILENT_PACKET, 960),)))

    assert [str(one) for one in differences(a, silent)] == ["sound of the agent: packets of 20 ms in A, none in B"]
    assert differences(a, cassette()) == []


# Recordings of the reference client.


@pytest.mark.parametrize("name", [path.stem for path in sorted(GOLDEN.glob("*.json")) if path.stem[0] not in "bcm"])
def test_every_recording_of_a_call_can_be_converted(name: str, tmp_path: Path) -> None:
    """And written and read; it does not differ from itself."""
    recording = read(GOLDEN / f"{name}.json")
    recording.save(tmp_path)

    assert differences(load(tmp_path), recording, sequence=True) == []
    assert recording.session["type"] == "quicksilver"
    assert "dummy-api-key" not in (tmp_path / "cassette.json").read_text()


def test_recordings_of_one_dialect_differ_only_in_what_happened() -> None:
    """The two shapes of the POST are told; so is a refusal."""
    happy, backend = (read(GOLDEN / f"a_v1_webrtc_{name}.json") for name in ("default_bases", "backend_api"))
    assert {one.where for one in differences(happy, backend)} <= {
        "offer request",
        "offer request header content-type",
        "answer 201 header location",
    }
    refused = {one.where: one for one in differences(happy, read(GOLDEN / "d_post_400.json"))}
    assert "answer with status 400" in refused


def test_a_recording_without_an_offer_is_refused() -> None:
    """The reference client has sent nothing."""
    with pytest.raises(CassetteUnusable, match="holds no offer"):
        read(GOLDEN / "c_voices.json")
