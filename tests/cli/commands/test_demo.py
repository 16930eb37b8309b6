"""Promise: the demo places a real call within twenty seconds and leaves its files, whatever was there before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtc_client.cli.demo_speech import AGENT_TEXT, CALLER_TEXT
from tests.behaviour.recordings import cues, played
from tests.behaviour.speech import AGENT, CALLER, SAME, locate, seconds
from tests.cli.command import run
from tests.cli.recorded import recorded

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")

FILES = {"call.ogg", "call.vtt", "caller.wav", "agent.wav", "call.json", "events.jsonl"}


async def test_the_demo_leaves_what_was_said(tmp_path: Path) -> None:
    """Both voices are in their recordings, report and events agree, and older and longer files are gone."""
    folder = tmp_path / "some" / "folder"
    folder.mkdir(parents=True)
    for name in FILES:
        (folder / name).write_bytes(b"older\n" * 500_000)

    finished = await run("demo", "--dir", str(folder), key=None)

    assert finished.status == 0
    assert finished.took_s < 20
    assert {path.name for path in folder.iterdir()} == FILES
    agent, caller = recorded(folder / "agent.wav"), recorded(folder / "caller.wav")
    assert locate(AGENT, agent).likeness > SAME
    assert locate(CALLER, caller).likeness > SAME
    assert locate(AGENT, agent).at_s > seconds(CALLER) - 1
    assert abs(seconds(agent) - seconds(caller)) < 0.1
    both = played(folder / "call.ogg")
    assert locate(AGENT, both.agent).at_s == pytest.approx(locate(AGENT, agent).at_s, abs=0.02)
    assert locate(CALLER, both.caller).at_s == pytest.approx(locate(CALLER, caller).at_s, abs=0.02)
    assert [voice for voice, *_ in cues(folder / "call.vtt")] == ["Caller", "Agent"]
    report = json.loads((folder / "call.json").read_text(encoding="utf-8"))
    assert (report["exit_status"], report["error"]) == (0, None)
    assert [(entry["role"], entry["text"].strip()) for entry in report["transcript"]] == [
        ("caller", CALLER_TEXT.strip()),
        ("agent", AGENT_TEXT.strip()),
    ]
    assert [(one["outcome"], one["n_outputs"]) for one in report["handoffs"]] == [("answered", 2)]
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert sum(event["direction"] == "in" for event in events) == sum(report["events"].values())
    assert CALLER_TEXT.strip() in finished.stderr
    assert AGENT_TEXT.strip() in finished.stdout


async def test_a_demo_that_cannot_write_says_so(tmp_path: Path) -> None:
    """A file where the folder should be is a usage error, with its one line and its object."""
    (tmp_path / "file").write_text("")
    finished = await run("demo", "--dir", str(tmp_path / "file"), "--json", key=None)

    assert (finished.status, len(finished.lines)) == (2, 1)
    assert finished.report["error"]["type"] == "ConfigError"
