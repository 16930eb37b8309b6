"""Promises of cassettes with real calls: recorded on either side, replayed as the server, compared.

In real time: `test_what_the_client_has_recorded_can_be_replayed`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtc_client import (
    ArraySource,
    CallConfig,
    CallResult,
    CassetteRecorder,
    CassetteUnusable,
    ConfigError,
    NullSink,
    NumpySink,
    OggRecorder,
    ToneSource,
    connect,
)
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import Samples
from rtc_client.cassette.cassette import Cassette, load
from rtc_client.cassette.comparison import differences
from rtc_client.cassette.reference_client import read
from rtc_client.cli.demo_speech import AGENT_SPEECH, AGENT_TEXT, CALLER_SPEECH
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.asserts import assert_contains, assert_tone
from tests.testing.caller import compact, form, joined, post
from tests.testing.recorded_sdp import SDP_OF_A_RECORDING

GOLDEN = Path(__file__).parents[2] / "golden"
AGENT, CALLER = (read_audio(path)[:36_000] for path in (AGENT_SPEECH, CALLER_SPEECH))
KEY = "sk-test-cassette-never-to-be-seen"
SCRIPT = AgentScript(
    turns=[SpokenTurn(voice=Clip(AGENT), text=AGENT_TEXT, when=AfterCaller())],
    caller_text="When does the museum open?",
    reply_to_text=SpokenTurn(text="I have read it."),
)


async def place(
    answerer: FakeAnswerer, recorder: CassetteRecorder | None = None, *, n_texts: int = 1, speech: bool = False
) -> tuple[CallResult, Samples]:
    """A call, with speech one like that of the demo; return its result and what was heard."""
    headers, linger_s = {"X-Token": "hidden-in-a-header"}, 1.5 if speech else 0.4
    config = CallConfig(api_key=KEY, base_url=answerer.base_url, linger_s=linger_s, headers=headers)
    source = ArraySource(CALLER) if speech else ToneSource(440, duration_s=0.2)
    heard = NumpySink()
    async with connect(config, source=source, sink=heard, cassette=recorder) as call:
        for n in range(n_texts):
            await call.say(f"Text {n}, by {KEY}.")
        result = await call.wait_ended()
    return result, heard.samples


def said(result: CallResult) -> list[tuple[str, str]]:
    return [(entry.role, entry.text) for entry in result.transcript]


async def test_a_recorded_call_is_replayed_and_the_second_recording_has_the_same_structure(tmp_path: Path) -> None:
    """The order of messages among it; words and sound are those of the recording, on the client's side."""
    ours = CassetteRecorder()
    async with FakeAnswerer(script=SCRIPT) as answerer:
        first, _ = await place(answerer, ours, speech=True)
        theirs = answerer.calls[0].cassette()
        assert answerer.violations == []
    theirs.save(tmp_path / "a")

    async with FakeAnswerer(cassette=tmp_path / "a") as answerer:
        second, heard = await place(answerer, speech=True)
        again = answerer.calls[0].cassette()
        assert answerer.violations == []

    assert said(second) == said(first)
    assert ("agent", AGENT_TEXT) in said(second)
    assert [str(one) for one in differences(load(tmp_path / "a"), again, sequence=True)] == []
    assert_contains(heard, AGENT)
    # What the client itself has recorded is the same call, seen from the other end.
    assert [str(one) for one in differences(theirs, ours.cassette())] == []
    _holds_no_secret(tmp_path / "a")
    ours.cassette().save(tmp_path / "ours")
    _holds_no_secret(tmp_path / "ours")
    _hears_the_same(theirs, ours.cassette())


def _holds_no_secret(folder: Path) -> None:
    content = b"".join(path.read_bytes() for path in folder.iterdir())
    for secret in (KEY, "hidden-in-a-header", "127.0.0.1"):
        assert secret.encode() not in content


def _hears_the_same(theirs: Cassette, ours: Cassette) -> None:
    assert theirs.agent is not None
    assert ours.agent is not None
    sent, came = (
        {payload for payload, _ in one.agent.packets if len(payload) > 10} for one in (theirs, ours) if one.agent
    )
    assert len(sent) > 50
    # The first packets may fall to the jitter buffer, and the last ones to the hang-up.
    assert len(sent & came) > 0.95 * len(sent)


@pytest.mark.both_clocks
async def test_what_the_client_has_recorded_can_be_replayed(tmp_path: Path) -> None:
    """So that a call to the real service becomes a test; a packet sink beside it gets its packets too."""
    recorder, sink, heard = CassetteRecorder(), OggRecorder(tmp_path / "agent.opus"), NumpySink()
    beep = SpokenTurn(voice=Tone(frequency_hz=660, duration_s=0.5), text="beep", when=AtTime(0.1))
    async with FakeAnswerer(script=AgentScript(turns=[beep])) as answerer:
        config = CallConfig(api_key=KEY, base_url=answerer.base_url, max_duration_s=1.0)
        async with connect(config, source=ToneSource(440), sink=sink, cassette=recorder) as call:
            await call.say("hello")
            first = await call.wait_ended()
    recorder.cassette().save(tmp_path / "call")

    async with FakeAnswerer(cassette=tmp_path / "call") as answerer:
        config = replace(config, base_url=answerer.base_url)
        async with connect(config, sink=heard) as call:
            await call.say("good day")
            second = await call.wait_ended()
        assert answerer.violations == []
    assert said(first) == [("caller", "hello"), ("agent", "beep")]
    assert said(second) == [("caller", "good day"), ("agent", "beep")]
    assert_tone(heard.samples, 660)
    assert_tone(tmp_path / "agent.opus", 660)


async def test_a_changed_event_is_named(tmp_path: Path) -> None:
    """One field of one event, in one of two cassettes."""
    async with FakeAnswerer(script=AgentScript(turns=[SpokenTurn(text="good day")])) as answerer:
        await place(answerer)
        cassette = answerer.calls[0].cassette()
    happenings = list(cassette.happenings)
    n = next(n for n, one in enumerate(happenings) if one.fields.get("event", {}) == _last_words("good day"))
    happenings[n] = replace(happenings[n], fields={"event": _last_words("good day") | {"transcript": {"text": "good"}}})
    moved = replace(cassette, happenings=tuple(happenings))

    assert [str(one) for one in differences(cassette, moved)] == [
        "server sends response.output_audio_transcript.done transcript: string in A, object in B",
        "server sends response.output_audio_transcript.done transcript.text: only in B (string)",
    ]


def _last_words(text: str) -> dict[str, Any]:
    return {"type": "response.output_audio_transcript.done", "transcript": text}


async def test_a_client_that_is_not_the_recorded_one_is_told_on() -> None:
    """A text too many; the first frame without its audio; a text that never came."""
    script = AgentScript(reply_to_text=SpokenTurn(text="yes"))
    async with FakeAnswerer(script=script) as answerer:
        await place(answerer)
        cassette = answerer.calls[0].cassette()

    async with FakeAnswerer(cassette=cassette) as answerer:
        await place(answerer, n_texts=2)
        await place(answerer, n_texts=0)
        assert [(v.section, v.message) for v in answerer.violations] == [
            ("cassette", "message 3: the recorded client has sent no more"),
            ("cassette", "the client has ended the call without what was recorded: conversation.item.create"),
        ]
        assert [v.call_id for v in answerer.violations] == [call.call_id for call in answerer.calls]


async def test_a_recording_of_the_reference_client_plays_the_server() -> None:
    """Words without sound, from the JSON file itself; the independent caller is not the recorded one."""
    async with FakeAnswerer(cassette=GOLDEN / "j_handoff_simple.json") as answerer:
        response = await post(answerer.base_url, *form(SDP_OF_A_RECORDING))
        call_id = response.headers["location"].rpartition("/")[2]
        async with joined(answerer, call_id) as sideband:
            events = [json.loads(await sideband.recv()) for _ in range(2)]
            handoff = {"type": "conversation.handoff.append", "handoff_id": events[1]["handoff_id"], "output_text": "a"}
            await sideband.send(compact(handoff))
            await answerer.calls[0].wait_received(2)
        await answerer.calls[0].ended()

        assert [event["type"] for event in events] == ["session.updated", "conversation.handoff.requested"]
        assert answerer.violations == []


async def test_our_client_differs_from_the_reference_client_where_it_means_to() -> None:
    """It hangs up over REST, and its offer is its own; requests, session and messages are the same."""
    recorder = CassetteRecorder()
    async with FakeAnswerer() as answerer:
        config = CallConfig(api_key=KEY, base_url=answerer.base_url, instructions="Be brief.", max_duration_s=0.2)
        async with connect(config, sink=NullSink(), cassette=recorder) as call:
            await call.wait_ended()

    found = [one.where for one in differences(read(GOLDEN / "a_v1_webrtc_default_bases.json"), recorder.cassette())]
    ours = [where for where in found if not where.startswith(("answer", "server", "first message of the server"))]
    assert [where for where in ours if not where.startswith("offer ")] == ["hang-up"]
    assert {where for where in ours if where.startswith("offer ")} == {
        "offer m-lines",
        "offer session attributes",
        "offer m-line 0 (audio) attributes",
        "offer m-line 0 (audio) codecs",
        "offer m-line 0 (audio) header extensions",
        "offer m-line 0 (audio) candidates",
    }


async def test_a_recorder_records_one_call_that_was_dialled() -> None:
    """Before that there is nothing; and nobody can ask it for a second."""
    recorder = CassetteRecorder()
    config = CallConfig(api_key=KEY, base_url="http://127.0.0.1:1/v1")
    connect(config, cassette=recorder)

    with pytest.raises(CassetteUnusable, match="no offer was sent"):
        recorder.cassette()
    with pytest.raises(ValueError, match="records one call"):
        connect(config, cassette=recorder)


async def test_a_refused_call_is_a_cassette_too() -> None:
    """With what was answered; it can be compared, not replayed."""
    recorder = CassetteRecorder()
    async with FakeAnswerer() as answerer:
        answerer.faults.refuse_post(422)
        with pytest.raises(Exception, match="422"):
            async with connect(CallConfig(api_key=KEY, base_url=answerer.base_url), cassette=recorder):
                pass
    cassette = recorder.cassette()

    assert cassette.answer_sdp is None
    assert [one.fields.get("status") for one in cassette.happenings if one.kind == "http_response"] == [422]
    with pytest.raises(ConfigError, match="nothing to replay"):
        FakeAnswerer(cassette=cassette)


def test_an_answerer_has_one_thing_to_do() -> None:
    """A script, a scenario or a cassette."""
    with pytest.raises(ValueError, match="only one of them"):
        FakeAnswerer(script=AgentScript(), cassette=GOLDEN / "a_v1_webrtc_happy.json")
    with pytest.raises(CassetteUnusable, match="cannot be read"):
        FakeAnswerer(cassette="nowhere")
