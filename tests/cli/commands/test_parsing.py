"""Promise: every option of `call` does what its help says."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtc_client import Transcript, TranscriptEntry
from rtc_client.audio.files.wav import write_wav
from rtc_client.cli.commands.call import transcript_file
from rtc_client.testing import (
    AgentScript,
    AtTime,
    Clip,
    EndCall,
    Expect,
    FakeAnswerer,
    RequestHandoff,
    Scenario,
    SpokenTurn,
    Tone,
)
from tests.behaviour.recordings import played, report
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS, SAME, locate
from tests.cli.command import KEY, run
from tests.cli.recorded import recorded
from tests.delegates.responses_server import message, serving

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


async def test_sound_goes_in_and_out_by_files(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """`--in` is what the agent hears, one file behind the other, `--out` is what it said, `--caller-out` what was sent;
    `--linger` ends it.
    """
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.5))])
    first, second, out, caller_out = (tmp_path / f"{name}.wav" for name in ("first", "second", "agent", "caller"))
    write_wav(first, CALLER_WORDS[:10_001])
    write_wav(second, CALLER_WORDS[10_001:])
    files = ("--in", str(first), "--in", str(second), "--out", str(out), "--caller-out", str(caller_out))

    began_s = time.monotonic()
    finished = await run("call", "--base-url", answerer.base_url, *files, "--linger", "0.4", "--json", "--quiet")
    took_s = time.monotonic() - began_s

    assert (finished.status, finished.stderr) == (0, "")
    assert finished.report["end"]["reason"] == "source_ended"
    # On the clock of the whole machine, so that delay can be measured from outside.
    in_s, out_s = (finished.report[name] - began_s for name in ("in_t0_monotonic", "out_t0_monotonic"))
    assert 0 < in_s < took_s - len(CALLER_WORDS) / 24_000
    assert out_s == pytest.approx(in_s, abs=0.1)
    assert finished.report["transport_path"] == "fast"
    agent = locate(AGENT_WORDS, recorded(out))
    assert agent.likeness > SAME
    assert 0.5 <= agent.at_s <= 1.0
    assert locate(CALLER_WORDS, recorded(caller_out)).likeness > 0.999
    (answered,) = answerer.calls
    await answered.ended()
    assert locate(CALLER_WORDS, answered.heard).likeness > SAME


async def test_a_call_is_recorded(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """`--record` leaves the folder in the format asked for; a full disk is one line on stderr, and no failure."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.0))])
    options = (
        "call",
        "--base-url",
        answerer.base_url,
        "--in",
        "tone:440",
        "--json",
        "--quiet",
        "--max-duration",
        "1.7",
    )
    recorded, full = await asyncio.gather(
        run(*options, "--record", str(tmp_path / "some" / "call"), "--record-format", "flac"),
        run(
            *options, "--record", str(tmp_path / "full"), "--record-format", "wav", before=("prlimit", "--fsize=60000")
        ),
    )

    assert (recorded.status, recorded.stderr) == (0, "")
    folder = tmp_path / "some" / "call"
    assert {path.name for path in folder.iterdir()} == {"call.flac", "call.json", "events.jsonl", "call.vtt"}
    both = played(folder / "call.flac")
    assert locate(AGENT_WORDS, both.agent).likeness > SAME
    assert np.abs(both.caller[12_000:36_000]).max() > 4_000
    assert recorded.report["recording"] == report(folder)["recording"]
    assert (full.status, len(full.lines)) == (0, 1)
    assert full.lines[0].startswith(f"rtc-client: {tmp_path}/full/call.wav, which ended after ")
    assert full.report["recording"]["failure"] == "file too large"


async def test_texts_events_and_everything_that_goes_into_a_request(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """`--say` in order, `--query` and `--header` on both requests, model, voice and instructions in the session."""
    (tmp_path / "instructions.txt").write_text("Sei höflich.\nImmer.", encoding="utf-8")
    events = tmp_path / "events.jsonl"
    answerer.script = AgentScript(turns=[SpokenTurn(text="Grüezi mitenand", when=AtTime(0.0))])
    finished = await run(
        "call", "--base-url", answerer.base_url, "--json", "--quiet", "--max-duration", "0.7",
        "--query", "deployment=a b&c", "--query", "x=", "--header", "X-Team: voice", "--header", "x-empty-ish:0",
        "--model", "gpt-realtime-test", "--voice", "maple", "--instructions", f"@{tmp_path}/instructions.txt",
        "--say", "one", "--say", "zwei ü", "--say", "--three", "--events", str(events),
        "--transcript", str(tmp_path / "talk.VTT"),
    )  # fmt: skip

    assert (finished.status, finished.stderr) == (0, "")
    (answered,) = answerer.calls
    assert answered.session["instructions"] == "Sei höflich.\nImmer."
    assert answered.session["model"] == "gpt-realtime-test"
    assert answered.session["audio"]["output"] == {"voice": "maple"}  # type: ignore[index]
    post, handshake = answerer.requests[0], answerer.handshakes[0]
    for request in (post, handshake):
        assert [value.replace("+", "%20") for name, value in request.query if name == "deployment"] == ["a%20b%26c"]
        assert ("x", "") in request.query
        assert request.header("x-team") == "voice"
        assert request.header("x-empty-ish") == "0"
    messages = [frame for frame in answered.received if frame["type"] == "conversation.item.create"]
    assert [_text_in(frame) for frame in messages] == ["one", "zwei ü", "--three"]
    _check_events(events, answered.received, answered.sent)
    captions = (tmp_path / "talk.VTT").read_text(encoding="utf-8")
    assert captions.startswith("WEBVTT\n")
    assert captions.endswith("\n<v Agent>Grüezi mitenand</v>\n")
    written = [entry["text"] for entry in finished.report["transcript"] if entry["written"]]
    assert written == ["one", "zwei ü", "--three"]


@pytest.mark.parametrize("name", ["talk.txt", "talk.json", "talk.vtt"])
def test_the_name_of_a_transcript_says_what_is_in_it(name: str, tmp_path: Path) -> None:
    """Text, JSON or captions, in the place of an older file; nothing of an older one is left if nothing was said."""
    path = tmp_path / name
    path.write_text("old " * 1_000)
    entry = TranscriptEntry(role="agent", text="Grüezi", final=True, at_ms=1_500)
    with transcript_file(path) as write:
        assert path.read_text() == ""
        assert write(Transcript([entry]))

    expected = {
        "talk.txt": "00:01 agent:  Grüezi\n",
        "talk.json": f"{json.dumps([entry.as_json()], ensure_ascii=False, separators=(',', ':'))}\n",
        "talk.vtt": "WEBVTT\n\n00:00:01.500 --> 00:00:02.500\n<v Agent>Grüezi</v>\n",
    }
    assert path.read_text(encoding="utf-8") == expected[name]


def test_a_transcript_that_cannot_be_written_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where the disk is full: the call was held, so its result is told all the same."""
    (tmp_path / "talk.txt").symlink_to("/dev/full")
    with transcript_file(tmp_path / "talk.txt") as write:
        assert not write(Transcript([TranscriptEntry(role="agent", text="x", final=True, at_ms=0)]))
    assert "No space left on device" in capsys.readouterr().err


def _check_events(path: Path, received: list[dict[str, Any]], sent: list[dict[str, Any]]) -> None:
    """Each line has its three keys, and each direction holds what the answerer saw, in order."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(line.keys() == {"at_s", "direction", "event"} for line in lines)
    assert [line["event"] for line in lines if line["direction"] == "out"] == received
    assert [line["event"] for line in lines if line["direction"] == "in"] == sent
    assert [line["at_s"] for line in lines] == sorted(line["at_s"] for line in lines)
    assert "ü" in path.read_text(encoding="utf-8")


async def test_the_environment_and_what_wins_over_it(answerer: FakeAnswerer) -> None:
    """Variables set what options leave open; an option wins over its variable."""
    env = {
        "OPENAI_BASE_URL": answerer.base_url,
        "RTC_CLIENT_MODEL": "from-environment",
        "RTC_CLIENT_VOICE": "maple",
        "RTC_CLIENT_INSTRUCTIONS": "Say hello.",
    }
    short = ("--quiet", "--max-duration", "0.1")
    await asyncio.gather(run("call", *short, env=env), run("call", *short, "--model", "from-option", env=env))

    models = {str(answered.session["model"]) for answered in answerer.calls}
    assert models == {"from-environment", "from-option"}
    assert {answered.session["instructions"] for answered in answerer.calls} == {"Say hello."}
    assert answerer.requests[0].header("authorization") == "Bearer sk-cli-test-4d2a90ee"


async def test_quiet_says_nothing_when_all_is_well(answerer: FakeAnswerer) -> None:
    """Neither on stdout nor on stderr."""
    finished = await run("call", "--base-url", answerer.base_url, "--quiet", "--max-duration", "0.2")

    assert (finished.status, finished.stdout, finished.stderr) == (0, "", "")


async def test_otherwise_what_happens_is_told_line_by_line_and_then_reported(answerer: FakeAnswerer) -> None:
    """Where stderr is no terminal: a line per turn on stderr, without control characters; the report on stdout."""
    turn = SpokenTurn(voice=Tone(duration_s=0.3), text="Good \x1b[31mmorning\x07.", when=AtTime(0.0))
    answerer.script = AgentScript(turns=[turn], hang_up_when_done=True)
    finished = await run("call", "--base-url", answerer.base_url)

    assert finished.status == 0
    assert finished.lines[0] == f"connected: call {answerer.calls[0].call_id}"
    assert finished.lines[1].startswith("agent: Good ")
    assert len(finished.lines) == 2
    assert "remote_hangup by the server" in finished.stdout
    assert "\x1b" not in finished.stderr + finished.stdout
    assert "\x07" not in finished.stderr + finished.stdout


@pytest.mark.parametrize("duration_s", [0.25, 1.0])
async def test_the_maximum_duration_may_be_a_fraction(answerer: FakeAnswerer, duration_s: float) -> None:
    """It counts from connected."""
    finished = await run(
        "call", "--base-url", answerer.base_url, "--in", "tone:440", "--max-duration", str(duration_s), "--json"
    )

    assert finished.report["end"]["reason"] == "max_duration"
    assert finished.report["duration_s"] == pytest.approx(duration_s, abs=0.15)


async def test_the_server_is_told_unless_that_is_switched_off(answerer: FakeAnswerer) -> None:
    """`--no-remote-hangup` leaves the call to be found out by the server."""
    base = ("call", "--base-url", answerer.base_url, "--max-duration", "0.1", "--quiet")
    await run(*base)
    await run(*base, "--no-remote-hangup")

    assert [answered.hung_up_by_client for answered in answerer.calls] == [True, False]


async def test_the_backend_shape_and_a_call_without_sideband(answerer: FakeAnswerer) -> None:
    """`--base-url` with `/backend-api` posts JSON; `--sideband off` joins nothing."""
    base = ("call", "--base-url", answerer.backend_url, "--max-duration", "0.2", "--quiet")
    with_events, without = await asyncio.gather(run(*base), run(*base, "--sideband", "off"))

    assert (with_events.status, without.status) == (0, 0)
    assert len(answerer.handshakes) == 1
    assert {answered.post.header("content-type") for answered in answerer.calls} == {"application/json"}


def _text_in(frame: dict[str, Any]) -> object:
    return frame["item"]["content"][0]["text"]


async def test_a_program_does_what_the_agent_asks_for(tmp_path: Path) -> None:
    """`--handoff-command` gives it the request, and sends what it prints; lines on stderr and the report tell of it."""
    program = "sh -c 'cat > request.json; echo begun; sleep 0.4; echo done'"
    steps: list[Any] = [RequestHandoff(input_transcript="please", answer="begun"), output("done"), EndCall()]
    async with FakeAnswerer(scenario=Scenario(steps=steps)) as answerer:
        before = ("env", "-C", str(tmp_path))
        finished = await run(
            "call", "--base-url", answerer.base_url, "--handoff-command", program, "--json", before=before
        )
        assert answerer.violations == []

    assert finished.status == 0
    assert json.loads((tmp_path / "request.json").read_text())["input"] == "please"
    assert [(one["outcome"], one["n_outputs"]) for one in finished.report["handoffs"]] == [("answered", 2)]
    assert any(line.startswith("handoff handoff_1: answered after ") for line in finished.lines)


async def test_a_model_does_what_the_agent_asks_for() -> None:
    """`--handoff-openai` asks it with the key and the base of the environment."""
    pytest.importorskip("openai")
    steps: list[Any] = [RequestHandoff(input_transcript="please", answer="At nine."), EndCall()]
    async with FakeAnswerer(scenario=Scenario(steps=steps)) as answerer, serving([message("At nine.")]) as server:
        env = {"OPENAI_BASE_URL": server.base_url, "PYTHONWARNINGS": "default"}
        arguments = ("--base-url", answerer.base_url, "--handoff-openai", "m", "--json", "--quiet")
        finished = await run("call", *arguments, env=env)
        assert answerer.violations == []

    assert (finished.status, finished.stderr) == (0, "")
    assert (server.requests[0]["model"], server.authorizations) == ("m", [f"Bearer {KEY}"])
    assert [one["outcome"] for one in finished.report["handoffs"]] == ["answered"]


def output(text: str) -> Expect:
    return Expect(message={"type": "conversation.handoff.append", "output_text": {"matches": text}})
