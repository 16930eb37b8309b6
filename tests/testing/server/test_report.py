"""Promises of the report: everything that went over the wire and was measured, for programs, without keys.

The caller is the independent one, and the report is read as any program reads it, by plain HTTP.

In real time: `test_a_relay_tells_what_it_lost`.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.clock import MonotonicClock
from rtc_client.testing import AgentScript, FakeAnswerer, Impairment, SpokenTurn, Tone
from rtc_client.testing.wire.server_events import caller_said, caller_said_piece
from rtc_client.testing.wire.wire_log import MAX_ENTRIES, MAX_TEXT, REDACTED, WireLog
from tests.testing.caller import IDENTITY, SESSION, SESSION_UPDATE, compact, form, joined, post, until
from tests.testing.conftest import Place

KEY = IDENTITY["authorization"].removeprefix("Bearer ")
TEXT = {
    "type": "conversation.item.create",
    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Typed, é."}]},
}


async def get(answerer: FakeAnswerer, path: str = "/_report", **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        return await client.get(f"http://127.0.0.1:{answerer.port}{path}", headers=headers)


async def told(answerer: FakeAnswerer, path: str = "/_report") -> dict[str, Any]:
    """Return the report, as a program gets it."""
    response = await get(answerer, path)
    assert response.status_code == 200, response.text
    report: dict[str, Any] = response.json()
    return report


def tone() -> Samples:
    at_s = np.arange(2 * SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    sine: Samples = np.rint(3277 * np.sqrt(2) * np.sin(2 * np.pi * 500 * at_s)).astype(np.int16)  # -20 dBFS
    return sine


async def test_a_whole_call_is_told(place: Place) -> None:
    """State, times, transcript, media both ways and every message, of a call in progress and of one that ended."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=0.4, level_dbfs=-20), text="Hello you.")])
    async with FakeAnswerer(script=script) as answerer:
        placed = await place(answerer, tone())
        async with joined(answerer, placed.call_id) as sideband:
            await placed.caller.connected()
            call = await answerer.wait_for_call()
            await sideband.send(compact(TEXT))
            await call.wait_heard(0.8)
            await call.wait_sent(lambda event: "transcript" in event)
            await call.send_event(caller_said_piece("I"))
            await call.send_event(caller_said("I spoke."))
            during = await told(answerer)
        await call.ended()
        after = await told(answerer)

    (seen,) = during["calls"]
    assert (seen["state"], seen["is_media_connected"], seen["is_sideband_joined"]) == ("active", True, True)
    (seen,) = after["calls"]
    assert (seen["state"], seen["ended_by"], seen["sideband_close_code"]) == ("ended", "client_sideband", 1000)
    assert list(seen["times_s"]) == ["placed", "answered", "sideband_joined", "media_connected", "ended"]
    assert list(seen["times_s"].values()) == sorted(seen["times_s"].values())
    assert {(said["role"], said["by"], said["text"], said["final"]) for said in seen["transcript"]} == {
        ("caller", "text", "Typed, é.", True),
        ("agent", "voice", "Hello you.", True),
        ("caller", "voice", "I spoke.", True),
    }
    assert (seen["session"], seen["violations"], after["violations"]) == (SESSION, [], [])
    assert seen["offer_sdp"].startswith("v=0")
    assert seen["answer_sdp"] == placed.response.text

    media = seen["media"]
    assert media["received"]["packets"] >= 40
    assert media["received"]["level_dbfs"] == pytest.approx(-20, abs=1.5)
    assert media["received"]["voiced_s"] >= 0.7
    assert media["received"]["packets_lost"] == 0
    assert media["sent"]["voiced_s"] == pytest.approx(0.4, abs=0.05)
    assert seen["times_s"]["media_connected"] <= media["sent"]["first_voiced_at_s"] < seen["times_s"]["ended"]

    wire = after["wire"]
    assert [entry["number"] for entry in wire] == list(range(1, len(wire) + 1))
    assert {entry["call_id"] for entry in wire} == {placed.call_id}
    assert [(entry["direction"], entry["kind"]) for entry in wire[:6]] == [
        ("c2s", "http_request"), ("s2c", "http_response"), ("c2s", "ws_open"), ("s2c", "ws_accept"),
        ("c2s", "ws_text"), ("s2c", "ws_text"),
    ]  # fmt: skip
    assert "m=audio" in wire[0]["body"]
    assert (wire[1]["status"], wire[1]["answers"], wire[1]["body"]) == (201, 1, placed.response.text)
    assert json.loads(wire[4]["text"]) == SESSION_UPDATE
    texts = [json.loads(entry["text"]) for entry in wire if entry["kind"] == "ws_text"]
    assert [text for text in texts if text in call.sent] == call.sent
    assert TEXT in texts
    closes = [(entry["direction"], entry["code"]) for entry in wire if entry["kind"] == "ws_close"]
    assert closes == [("c2s", 1000), ("s2c", 1000)]


async def test_what_comes_of_a_bad_client_is_told(answerer: FakeAnswerer) -> None:
    """A violation, a refusal, a dropped connection, a request to nowhere: each is in the report, of no call."""
    answerer.faults.refuse_post(503, body="busy")
    answerer.faults.drop_post()
    body, content_type = form("v=0\r\n")

    await post(answerer.base_url, body, content_type, query="intent=quicksilver")
    with pytest.raises(httpx.RemoteProtocolError):
        await post(answerer.base_url, body, content_type)
    await get(answerer, "/v1/nowhere")
    report = await told(answerer)

    assert report["calls"] == []
    assert any(one["section"] == "1.1" and "architecture" in one["message"] for one in report["violations"])
    assert [(entry["kind"], entry.get("status")) for entry in report["wire"]] == [
        ("http_request", None), ("http_response", 503),
        ("http_request", None), ("tcp_close", None),
        ("http_request", None), ("http_response", 404),
    ]  # fmt: skip
    assert report["wire"][1]["body"] == "busy"
    assert [entry["answers"] for entry in report["wire"][1::2]] == [1, 3, 5]


async def test_no_key_is_told(place: Place) -> None:
    """Keys in headers and queries are taken out, and taken out again wherever a client repeats them."""
    async with FakeAnswerer() as answerer:
        body, content_type = form("v=0", {**SESSION, "instructions": f"my key is {KEY}"})
        secret, query = "hdr-secret-5520", "api-key=query-secret-9184&intent=quicksilver&architecture=avas"
        await post(
            answerer.base_url, body, content_type, query=query, **{"x-provider-key": secret, "cookie": "id=abcdef12"}
        )
        placed = await place(answerer)
        async with joined(answerer, placed.call_id) as sideband:
            await sideband.send(compact({"type": "mine", "text": f"{KEY} query-secret-9184"}))
            await (await answerer.wait_for_call()).wait_received(2)
            text = (await get(answerer)).text

    for key in (KEY, secret, "query-secret-9184", "abcdef12"):
        assert key not in text
    assert f"Bearer {REDACTED}" in text
    assert f"api-key={REDACTED}&intent=quicksilver" in text


async def test_one_call_alone_can_be_asked_for(place: Place) -> None:
    """`?call_id=` leaves out what belongs to others; a call that is none is 404."""
    async with FakeAnswerer() as answerer:
        placed = [await place(answerer) for _ in range(2)]
        report = await told(answerer, f"/_report?call_id={placed[1].call_id}")
        missing = await get(answerer, "/_report?call_id=rtc_none")

    assert [call["call_id"] for call in report["calls"]] == [placed[1].call_id]
    assert {entry["call_id"] for entry in report["wire"]} == {placed[1].call_id}
    assert missing.status_code == 404


@pytest.mark.both_clocks
async def test_a_relay_tells_what_it_lost(place: Place) -> None:
    """The figures of a bad network stand with the media of the call that went through it."""
    async with FakeAnswerer(relay=Impairment(loss_ratio=0.5)) as answerer:
        placed = await place(answerer, tone())
        await placed.caller.connected()
        call = await answerer.wait_for_call()
        await until(lambda: call.packets_received >= 10)
        relay = (await told(answerer))["calls"][0]["media"]["relay"]

    assert 0 < relay["to_agent"]["rtp_lost"] < relay["to_agent"]["rtp_packets"]


async def test_asking_is_no_client_traffic(answerer: FakeAnswerer) -> None:
    """Report, page, its stream and commands are neither recorded nor judged, whatever they are sent with."""
    for path in ("/", "/favicon.ico", "/_report", "/_nothing"):
        await get(answerer, path)

    assert (answerer.requests, answerer.handshakes, answerer.violations) == ([], [], [])
    assert (await told(answerer))["wire"] == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Host": "elsewhere.example"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
async def test_other_web_sites_are_refused(answerer: FakeAnswerer, headers: dict[str, str]) -> None:
    """What a foreign page makes a browser send gets 403 and does nothing."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        base = f"http://127.0.0.1:{answerer.port}"
        answers = [
            await client.get(f"{base}/_report", headers=headers),
            await client.get(f"{base}/_events", headers=headers),
            await client.post(f"{base}/_shutdown", headers=headers),
        ]

    assert [answer.status_code for answer in answers] == [403] * 3
    assert not answerer.shutdown_asked.is_set()


@pytest.mark.parametrize("host", ["localhost:80", "127.0.0.1", "[::1]:8000", "answerer:8000", "x.localhost"])
async def test_its_own_names_are_served(answerer: FakeAnswerer, host: str) -> None:
    """Addresses, localhost and the name of a container cannot belong to another web site."""
    assert (await get(answerer, Host=host, Origin=f"http://{host}")).status_code == 200


async def test_shutdown_is_asked_for(answerer: FakeAnswerer) -> None:
    """`POST /_shutdown` is answered, and whoever runs the answerer is told."""
    async with httpx.AsyncClient(trust_env=False, verify=False) as client:
        response = await client.post(f"http://127.0.0.1:{answerer.port}/_shutdown")

    assert response.status_code == 202
    async with asyncio.timeout(1):
        await answerer.shutdown_asked.wait()


def test_the_log_is_bounded() -> None:
    """The oldest entries are forgotten and counted, and of a long frame the beginning is kept with its length."""
    log = WireLog(MonotonicClock())
    for _ in range(MAX_ENTRIES + 5):
        log.add_frame("c2s", "frame", None)
    log.add_frame("c2s", "x" * (MAX_TEXT + 1), None)
    log.add_frame("c2s", bytes(5_000_000), None)

    *_, text, binary = log.since(0)
    assert (log.n_forgotten, log.last_number) == (7, MAX_ENTRIES + 7)
    assert [entry.number for entry in log.since(log.last_number - 2)] == [text.number, binary.number]
    assert log.since(log.last_number) == []
    assert (len(str(text.fields["text"])), text.fields["cut_from_characters"]) == (MAX_TEXT, MAX_TEXT + 1)
    assert (len(str(binary.fields["base64"])), binary.fields["n_bytes"]) == (MAX_TEXT, 5_000_000)


def test_long_texts_do_not_fill_the_memory() -> None:
    """Entries are few when they are long."""
    log = WireLog(MonotonicClock())
    for _ in range(2_000):
        log.add_frame("s2c", "x" * MAX_TEXT, None)

    assert 100 < len(log.since(0)) < 600
