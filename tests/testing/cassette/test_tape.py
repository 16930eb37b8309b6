"""Promises of the tape: what is due when, where it waits for the client, what it finds; on a time of its own."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from rtc_client.cassette.cassette import Cassette, Kind, Sound, WireEvent
from rtc_client.errors import CassetteUnusable
from rtc_client.testing.cassette.tape import GRACE_S, CloseSideband, EndCall, Tape, TellFrame, check_replayable

Entry = tuple[float, Literal["c2s", "s2c"], Kind, dict[str, Any]]
UPDATE: Entry = (0.2, "c2s", "ws_text", {"event": {"type": "session.update", "session": {"instructions": "a"}}})
JOIN: Entry = (0.1, "c2s", "ws_open", {})
UPDATED: Entry = (0.21, "s2c", "ws_text", {"event": {"type": "session.updated", "session": {"id": "sess_<call-id>"}}})
TEXT: Entry = (3.0, "c2s", "ws_text", {"event": {"type": "conversation.item.create", "text": "hi"}})
UPDATED_TEXT = '{"type":"session.updated","session":{"id":"sess_rtc_9"}}'
OUR_UPDATE = '{"type":"session.update","session":{"instructions":"b"}}'


def said(at_s: float, word: str) -> Entry:
    return at_s, "s2c", "ws_text", {"event": {"type": "delta", "delta": word}}


def delta(word: str) -> TellFrame:
    return TellFrame(f'{{"type":"delta","delta":"{word}"}}')


def recorded(*entries: Entry, **changes: Any) -> Cassette:
    values: dict[str, Any] = {
        "recorded_by": "answerer",
        "offer_sdp": "",
        "session": {},
        "answer_sdp": "v=0\r\n",
        "happenings": tuple(WireEvent(at_s=t, direction=d, kind=k, fields=f) for t, d, k, f in entries),
        "media_connected_s": 1.0,
        "ended_s": 5.0,
        "ended_by": "client",
    }
    return Cassette(**values | changes)


def tape(*entries: Entry, **changes: Any) -> Tape:
    return Tape(recorded(*entries, **changes), "rtc_9", "0192")


def test_a_client_on_time_gets_everything_when_it_was_recorded() -> None:
    """Counted from the instant media connects, before which only answers are given; ids are this call's."""
    playing = tape(JOIN, UPDATE, UPDATED, said(1.5, "good"), said(2.0, "day"))
    assert playing.tick(100.0) == []
    playing.joined(100.1)
    assert playing.tick(100.1) == []
    assert playing.client_sent(OUR_UPDATE, 100.2) == []
    assert playing.tick(100.2) == [TellFrame(UPDATED_TEXT)]
    playing.media_connected(101.0)

    assert playing.tick(101.49) == []
    assert playing.tick(101.5) == [delta("good")]
    assert playing.tick(105.0) == [delta("day")]
    assert playing.ended(by_client=True) == []


def test_the_tape_waits_for_the_client() -> None:
    """What followed a message of the recorded client follows this client's, however late it comes."""
    playing = tape(JOIN, UPDATE, UPDATED, TEXT, said(3.1, "you"), said(4.1, "said"))
    playing.joined(0.0)
    playing.client_sent(OUR_UPDATE, 0.0)
    playing.media_connected(10.0)
    assert playing.tick(19.0) == [TellFrame(UPDATED_TEXT)]

    assert playing.client_sent('{"type":"conversation.item.create","text":"oh"}', 20.0) == []
    assert playing.tick(20.0) == [delta("you")]
    assert playing.tick(20.8) == []
    assert playing.tick(20.95) == [delta("said")]


def test_an_answer_comes_as_soon_when_the_client_is_early() -> None:
    """Within a quarter of a second of its message; what came later keeps its time."""
    playing = tape(JOIN, TEXT, said(3.01, "at once"), said(3.15, "soon"), said(3.5, "later"))
    playing.joined(0.0)
    playing.media_connected(10.0)
    playing.client_sent('{"type":"conversation.item.create","text":"oh"}', 10.5)

    assert playing.tick(10.5, frames_only=True) == [delta("at once")]
    assert playing.tick(10.6) == []
    assert playing.tick(10.65) == [delta("soon")]
    assert playing.tick(12.4) == []
    assert playing.tick(12.5) == [delta("later")]


def test_the_voice_runs_on_for_a_moment_and_then_waits_too() -> None:
    """So sound and words stay together."""
    packets = tuple((bytes([0x78, n, 1, 2]), 960) for n in range(150))
    playing = tape(JOIN, UPDATE, TEXT, agent=Sound(begins_s=1.0, packets=packets))
    playing.joined(0.0)
    playing.client_sent(OUR_UPDATE, 0.0)
    assert playing.next_packet(9.0) is None
    playing.media_connected(10.0)

    heard = [playing.next_packet(10.0 + 0.02 * n) for n in range(200)]
    n_heard = sum(packet is not None for packet in heard)
    assert n_heard == round((2.0 + GRACE_S) / 0.02) + 1
    assert heard[:n_heard] == [packet for packet, _ in packets[:n_heard]]
    playing.client_sent('{"type":"conversation.item.create","text":"oh"}', 14.0)
    assert [playing.next_packet(14.02 + 0.02 * n) for n in range(3)] == [p for p, _ in packets[n_heard : n_heard + 3]]


def test_pauses_in_the_voice_are_pauses() -> None:
    """What stands for nothing is not sent."""
    packets = ((b"\x78aaa", 960), (b"\x78", 960), (b"\x78bbb", 960))
    playing = tape(agent=Sound(begins_s=1.0, packets=packets))
    playing.media_connected(10.0)

    assert [playing.next_packet(10.0 + 0.02 * n) for n in range(4)] == [b"\x78aaa", None, b"\x78bbb", None]


@pytest.mark.parametrize(
    ("frame", "messages"),
    [
        (OUR_UPDATE, []),
        (
            '{"type":"session.update","session":{"instructions":1}}',
            ["message 1 (session.update): session.instructions is not as recorded"],
        ),
        (
            '{"type":"session.update"}',
            [
                "message 1 (session.update): session is missing",
                "message 1 (session.update): session.instructions is missing",
            ],
        ),
        (OUR_UPDATE[:-1] + ',"secret":1}', ["message 1 (session.update): it has a key that the recorded one has not"]),
        ('{"type":"other"}', ["message 1: it is not the recorded one, session.update"]),
        ("no JSON", ["message 1: it is not the recorded one, session.update"]),
        (b"\x00", ["message 1: it is not the recorded one, session.update"]),
    ],
)
def test_a_client_that_sends_something_else_is_told_on(frame: str | bytes, messages: list[str]) -> None:
    """By structure: other words are none."""
    violations = tape(JOIN, UPDATE).client_sent(frame, 0.0)

    assert [(violation.section, violation.message) for violation in violations] == [("cassette", m) for m in messages]


def test_too_much_and_too_little_is_told_on() -> None:
    """A message more than was recorded, and one that never came; the server's own end excuses that."""
    playing = tape(JOIN, UPDATE, TEXT)
    assert playing.client_sent(OUR_UPDATE, 0.0) == []
    assert [v.message for v in playing.ended(by_client=True)] == [
        "the client has ended the call without what was recorded: conversation.item.create"
    ]
    assert playing.ended(by_client=False) == []
    playing.client_sent('{"type":"conversation.item.create","text":""}', 0.1)
    assert [v.message for v in playing.client_sent("{}", 0.2)] == ["message 3: the recorded client has sent no more"]


def test_what_the_server_did_to_the_sideband_is_done() -> None:
    """Raw frames, a close code, a dropped connection, and the end of the call; not how sidebands close behind it."""
    playing = tape(
        JOIN,
        (1.1, "s2c", "ws_text", {"text": "{broken"}),
        (1.2, "s2c", "ws_binary", {"base64": "AAE="}),
        (1.3, "s2c", "ws_close", {"code": 1011}),
        (1.5, "c2s", "ws_open", {}),
        (1.6, "s2c", "tcp_close", {}),
        (2.1, "s2c", "ws_close", {"code": 1000}),
        ended_s=2.0,
        ended_by="server",
    )
    playing.joined(0.0)
    playing.media_connected(0.0)

    assert playing.tick(0.45) == [TellFrame("{broken"), TellFrame(b"\x00\x01"), CloseSideband(1011)]
    assert playing.tick(9.0) == []
    playing.joined(9.0)
    assert playing.tick(9.0) == [CloseSideband(None)]
    assert playing.tick(19.0) == [EndCall()]
    assert playing.tick(20.0) == []


def test_the_answer_to_a_close_frame_of_the_client_is_not_replayed() -> None:
    """It would hang up on a client that stays a little longer; a sideband that is joined again counts anew."""
    playing = tape(
        JOIN,
        (1.5, "c2s", "ws_close", {"code": 1011}),
        (1.5, "s2c", "ws_close", {"code": 1011}),
        (1.6, "c2s", "ws_open", {}),
        (1.7, "s2c", "ws_close", {"code": 1012}),
        ended_s=1.9,
    )
    playing.joined(0.0)
    playing.media_connected(0.0)
    playing.joined(0.6)

    assert playing.tick(9.0) == [CloseSideband(1012)]


def test_a_call_without_media_is_counted_from_its_sideband() -> None:
    """As in the recordings of the reference client."""
    playing = tape(JOIN, UPDATE, UPDATED, said(0.6, "x"), media_connected_s=None)
    playing.joined(50.0)
    playing.client_sent(OUR_UPDATE, 50.0)

    assert playing.tick(50.2) == [TellFrame(UPDATED_TEXT)]
    assert playing.tick(50.51) == [delta("x")]


def test_a_call_that_was_refused_cannot_be_replayed() -> None:
    """It says so."""
    with pytest.raises(CassetteUnusable, match="nothing to replay"):
        check_replayable(recorded(answer_sdp=None))
