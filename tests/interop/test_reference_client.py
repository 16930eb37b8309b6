"""Promises about a client that is not ours: the published reference client holds calls with the fake answerer.

The application above it is this test: its peer connection is plain aiortc, its offer goes out through the reference
client, and the answer comes back through it. What goes over the wire is held against the recordings.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from rtc_client.audio.frames import Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.testing import AnsweredCall, CallEnd, FakeAnswerer, load_scenario
from tests.cli.command import running
from tests.interop.reference_application import application, place, start
from tests.interop.reference_install import INSTALL_LIMIT_S, PINNED
from tests.testing.caller import until
from tests.wire.recordings import episode

pytestmark = [
    pytest.mark.real_time("the reference client is a program with a clock of its own"),
    pytest.mark.timeout(60 + INSTALL_LIMIT_S),
]

SCENARIO = Path(__file__).with_name("reference_call.toml")


async def test_a_whole_call_of_the_reference_client(version: str, program: Path) -> None:
    """Audio both ways, text, transcripts, a handoff that is carried out and answered, and an end in good order."""
    async with (
        FakeAnswerer(scenario=load_scenario(SCENARIO)) as answerer,
        application(program, answerer.base_url) as (app, backend, caller),
    ):
        call = await start(app, caller, answerer)
        await app.in_call("appendText", text="hello from app")
        heard = await app.is_told("thread/realtime/transcript/done")
        spoken = await app.is_told("thread/realtime/transcript/done", lambda params: params["role"] == "assistant")
        added = await app.is_told("thread/realtime/itemAdded")
        await app.is_told("turn/completed")
        await app.in_call("stop")
        closed = await app.is_told("thread/realtime/closed")
        ended = await call.ended()
        await until(lambda: caller.peer.connectionState == "closed")
        started = await app.is_told("thread/realtime/started")

    assert started["version"] == "v1"
    assert (await app.is_told("thread/realtime/sdp"))["sdp"] == call.answer_sdp
    _is_tone(call.heard, 440, -20)
    _is_tone(_from_the_first_sound(caller.heard()), 660, -20)
    assert (heard["role"], heard["text"], spoken["text"]) == ("user", "a steady hum", "beep boop")
    said = [{"role": "user", "text": "a steady hum"}, {"role": "assistant", "text": "beep boop"}]
    assert added["item"]["active_transcript"] == [*said, {"role": "user", "text": "please do it"}]
    assert "<input>please do it</input>" in json.dumps(backend.requests[0]["input"])
    assert (closed["reason"], ended) == ("requested", CallEnd.CLIENT_SIDEBAND)
    assert call.sideband_close_code == (None if version == PINNED else 1000)
    assert answerer.violations == []
    _is_as_recorded(version, answerer, call)


def _is_as_recorded(version: str, answerer: FakeAnswerer, call: AnsweredCall) -> None:
    """Hold what the reference client sent against its recordings, byte for byte but for names and numbers.

    A newer version orders its headers differently and adds two; nothing else may differ.
    """
    happy, handoff = episode("a_v1_webrtc_happy"), episode("j_handoff_simple")
    (post,), (handshake,) = answerer.requests, answerer.handshakes
    before = _canonical(happy.post["headers"]), _canonical(happy.handshake["headers"])
    now = _canonical(post.headers), _canonical(handshake.headers)
    if version == PINNED:
        assert now == before
    else:
        more = [(name, "ID") for name in ("session-id", "thread-id")]
        assert tuple(map(sorted, now)) == tuple(sorted([*headers, *more]) for headers in before)
    assert f"{post.method} {post.target} HTTP/1.1" == happy.post["line"]
    target = handshake.target.replace(call.call_id, "rtc_test123")
    assert f"{handshake.method} {target} HTTP/1.1" == happy.handshake["line"]
    recorded_sdp = happy.all("rpc_request")[0]["params"]["transport"]["sdp"]
    assert post.body.decode() == happy.post["body"].replace(recorded_sdp, call.offer_sdp)
    assert call.received_frames == [*happy.sent_frames, handoff.sent_frames[-1]]


async def test_it_calls_the_command(program: Path) -> None:
    """With `rtc-client answer` and a scenario it holds the same call; status and report find no fault."""
    async with (
        running("answer", "--scenario", str(SCENARIO), key=None) as command,
        httpx.AsyncClient(trust_env=False, verify=False) as http,
    ):
        ready = json.loads(await command.first_line())
        async with application(program, ready["base_url"]) as (app, backend, caller):
            await place(app, caller)
            await app.in_call("appendText", text="hello from app")
            await app.is_told("turn/completed")
            await app.in_call("stop")
            await until(lambda: caller.peer.connectionState == "closed")
        report = (await http.get(f"{ready['page_url']}_report")).json()
        await http.post(f"{ready['page_url']}_shutdown")
        ended = await command.finished()

    (call,) = report["calls"]
    frames = [entry["text"] for entry in report["wire"] if entry["kind"] == "ws_text" and entry["direction"] == "c2s"]
    assert frames == [*episode("a_v1_webrtc_happy").sent_frames, episode("j_handoff_simple").sent_frames[-1]]
    assert (call["ended_by"], ended.status, ended.stderr) == ("client_sideband", 0, "")
    said = sorted(turn["text"] for turn in call["transcript"])
    assert said == ["a steady hum", "beep boop", "hello from app"]
    assert call["media"]["received"]["packets_lost"] == call["media"]["sent"]["packets_lost"] == 0
    assert "<input>please do it</input>" in json.dumps(backend.requests[0]["input"])
    _is_tone(_from_the_first_sound(caller.heard()), 660, -20)
    assert report["violations"] == []


@pytest.mark.parametrize(
    "name", ["k_append_text_roles", "j_handoff_simple", "j_handoff_active_transcript", "j_standalone_output"]
)
async def test_it_sends_what_was_recorded(version: str, program: Path, name: str) -> None:
    """Application, model and server do what they did when it was recorded; the client sends the same frames."""
    recording = episode(name)
    said = [e["event"]["item"]["content"][0]["text"] for e in recording.all("sse") if "done" in e["event"]["type"]]
    async with (
        FakeAnswerer() as answerer,
        application(program, answerer.base_url, *said) as (app, _, caller),
    ):
        prompt = recording.all("rpc_request")[0]["params"]["prompt"]
        call = await start(app, caller, answerer, prompt)
        n_frames = n_turns = 0
        for happening in recording.events:
            match happening:
                case {"kind": "ws_text", "dir": "c2s"}:
                    n_frames += 1
                    await call.wait_received(n_frames, timeout_s=10)
                case {"kind": "ws_text", "dir": "s2c", "text": text} if "session.updated" not in text:
                    await call.send_frame(text)
                case {"kind": "notification", "method": "turn/completed"}:
                    n_turns += 1
                    await app.is_told("turn/completed", times=n_turns)
                case {"kind": "rpc_request", "method": method, "params": params} if not method.endswith("/start"):
                    await app.ask(method, params | {"threadId": app.thread_id})
                case {"kind": "rpc_request", "method": "turn/start", "params": params}:
                    await app.ask("turn/start", params | {"threadId": app.thread_id})

    assert call.received_frames == _as_sent_by(version, recording.sent_frames)
    assert answerer.violations == []


def _as_sent_by(version: str, frames: list[str]) -> list[str]:
    """Return recorded frames as a version sends them: since 0.145.0 output that answers no handoff has the prefix."""
    if version == PINNED:
        return frames
    bare = r'"handoff_id":"codex","output_text":"'
    return [frame.replace(bare, bare + r"\"Agent Final Message\":\n\n") for frame in frames]


def _canonical(headers: list[Any]) -> list[tuple[str, str]]:
    """Return headers with everything that differs between two runs replaced."""
    same = []
    for name, value in headers:
        text = re.sub(r"127\.0\.0\.1:\w+", "127.0.0.1:PORT", value)
        text = re.sub(r"/\S+ \(.*; .*\) \S+ \(", "/VERSION (SYSTEM) TERMINAL (", text)
        text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
        same.append((name, "CHANGING" if name.lower() in ("content-length", "sec-websocket-key") else text))
    return same


def _from_the_first_sound(samples: Samples) -> Samples:
    return samples[int(np.argmax(np.abs(samples) > 500)) :]


def _is_tone(samples: Samples, frequency_hz: float, level: float) -> None:
    middle = samples[round(0.2 * 24_000) : round(1.2 * 24_000)].astype(float)
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert spectrum.argmax() * 24_000 / len(middle) == pytest.approx(frequency_hz, abs=2)
    assert level_dbfs(middle.astype(np.int16)) == pytest.approx(level, abs=1)
