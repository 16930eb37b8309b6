"""Promise: `rtc-client answer` is the fake answerer for other programs: ready when it says so, and gone when told."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rtc_client.audio.files.wav import write_wav
from tests.behaviour.speech import AGENT_WORDS, SAME, locate
from tests.cli.answering import ready
from tests.cli.command import run, running
from tests.cli.recorded import recorded

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


async def test_a_call_to_it_hears_its_greeting(tmp_path: Path) -> None:
    """The first line names the base, a call of ours to it is a whole call, and SIGTERM ends it with 143."""
    out, voice = tmp_path / "agent.wav", tmp_path / "voice.wav"
    write_wav(voice, AGENT_WORDS)
    async with running("answer", "--voice", str(voice), "--text", "Of course.", key=None) as server:
        line = await ready(server)
        assert line["base_url"] == f"http://127.0.0.1:{line['port']}/v1"
        call = await run(
            "call", "--base-url", line["base_url"], "--max-duration", "2.2", "--out", str(out), "--json", "--quiet"
        )
        server.send(signal.SIGTERM)
        ended = await server.finished()

    assert (call.status, call.stderr) == (0, "")
    assert locate(AGENT_WORDS, recorded(out)).likeness > SAME
    assert [entry["text"].strip() for entry in call.report["transcript"]] == ["Of course."]
    assert (ended.status, ended.stdout, ended.stderr) == (143, "", "")
    assert ended.took_s < 3


async def test_it_ends_its_calls_when_it_is_interrupted(tmp_path: Path) -> None:
    """SIGINT in the midst of a call: the caller is told, in good order, and the status is 130."""
    async with running("answer", "--voice", "tone:300", key=None) as server:
        base_url = (await ready(server))["base_url"]
        async with running("call", "--base-url", base_url, "--json") as call:
            assert call.process.stderr is not None
            assert (await call.process.stderr.readline()).startswith(b"connected: call ")
            server.send(signal.SIGINT)
            call_ended = await call.finished()
        ended = await server.finished()

    assert (ended.status, call_ended.status) == (130, 0)
    assert call_ended.report["end"] == {"reason": "remote_hangup", "by": "server", "detail": ""}


async def test_what_cannot_be_served_is_a_usage_error(tmp_path: Path) -> None:
    """A port that is taken, an address that is not ours, a voice that is none: 2, with one line."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        finished = await asyncio.gather(
            run("answer", "--port", port),
            run("answer", "--host", "192.0.2.77"),
            run("answer", "--voice", "tone:x"),
            run("answer", "--voice", str(tmp_path / "missing.wav")),
            run("answer", "--port", "70000"),
        )

    assert [(ended.status, len(ended.lines), ended.stdout) for ended in finished] == [(2, 1, "")] * 5
    assert port in finished[0].lines[0]


def asked(url: str, body: object = None, method: str | None = None) -> tuple[int, dict[str, Any]]:
    """Return status and JSON of a control route, asked as a program in any language would."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    data = None if body is None else json.dumps(body).encode()
    try:
        with opener.open(urllib.request.Request(url, data=data, method=method), timeout=10) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as refusal:
        return refusal.code, json.load(refusal)


async def test_a_program_watches_a_call_and_takes_part(tmp_path: Path) -> None:
    """By plain HTTP: report, event, fault, hang-up, shutdown; the status is 0, and no key is told."""
    events = tmp_path / "events.jsonl"
    async with running("answer", "--voice", "tone:300", "--text", "Hello.", key=None) as server:
        line = await ready(server)
        origin = f"http://127.0.0.1:{line['port']}"
        assert line["page_url"] == f"{origin}/"
        options = ("--in", "tone:500", "--json", "--quiet", "--events", str(events))
        async with running("call", "--base-url", line["base_url"], *options, key="sk-watched-5c1d") as call:

            async def when(is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
                async with asyncio.timeout(10):
                    while True:
                        report = (await asyncio.to_thread(asked, f"{origin}/_report"))[1]
                        if report["calls"] and is_so(report["calls"][0]):
                            return report
                        await asyncio.sleep(0.05)

            report = await when(lambda seen: seen["is_sideband_joined"] and seen["media"]["received"]["voiced_s"] > 0.2)
            call_id = report["calls"][0]["call_id"]
            url = f"{origin}/_calls/{call_id}"
            answers = [
                asked(f"{url}/event", {"type": "from.another.language"}),
                asked(f"{url}/event", {"no": "type"}),
                asked(f"{url}/faults", {"name": "unknown_events"}),
                asked(f"{url}/faults", {"name": "no_such_fault"}),
                asked(f"{origin}/_faults"),
                asked(f"{origin}/_faults/1", method="DELETE"),
                asked(f"{origin}/_faults/1", method="DELETE"),
                asked(f"{origin}/_calls/rtc_none/hang_up", {}),
                asked(f"{url}/hang_up", {}),
            ]
            ended_call = await call.finished()
        text = json.dumps(await when(lambda seen: seen["state"] == "ended"))
        assert asked(f"{url}/event", {"type": "too.late"})[0] == 409
        assert asked(f"{origin}/_shutdown", {}) == (202, {"closing": True})
        ended = await server.finished()

    assert [status for status, _ in answers] == [200, 400, 200, 400, 200, 200, 404, 404, 200]
    running_faults = answers[4][1]["running"]
    assert [(one["name"], one["call_id"]) for one in running_faults] == [("unknown_events", call_id)]
    assert {"refuse_post", "stop_audio", "vanish"} <= {one["name"] for one in answers[4][1]["menu"]}
    assert (ended.status, ended.stdout, ended.stderr) == (0, "", "")
    assert ended_call.report["end"] == {"reason": "remote_hangup", "by": "server", "detail": ""}
    assert "from.another.language" in events.read_text()
    assert "from.another.language" in text
    assert "sk-watched-5c1d" not in text


async def test_a_page_is_told_what_is_new() -> None:
    """The stream of events brings calls, levels and messages as they come, and ends with the server."""
    async with running("answer", key=None) as server:
        line = await ready(server)
        reader, writer = await asyncio.open_connection("127.0.0.1", line["port"])
        writer.write(b"GET /_events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        seen: dict[str, list[Any]] = {}
        name = ""
        options = ("--base-url", line["base_url"], "--max-duration", "0.8", "--quiet")
        async with running("call", *options) as call, asyncio.timeout(20):
            while not any(told["state"] == "ended" for changed in seen.get("calls", []) for told in changed):
                text = (await reader.readline()).decode().rstrip()
                if text.startswith("event: "):
                    name = text.removeprefix("event: ")
                elif text.startswith("data: "):
                    seen.setdefault(name, []).append(json.loads(text.removeprefix("data: ")))
            assert (await call.finished()).status == 0
        server.send(signal.SIGTERM)
        async with asyncio.timeout(3):
            while await reader.read(65_536):
                pass
        writer.close()
        await writer.wait_closed()
        assert (await server.finished()).status == 143

    assert len(seen["meters"]) >= 2
    entries = [entry for told in seen["wire"] for entry in told["entries"]]
    assert [entry["number"] for entry in entries] == list(range(1, len(entries) + 1))
    assert len(seen["faults"]) == 1


async def test_a_scenario_file_says_what_must_be(tmp_path: Path) -> None:
    """A scenario that is met is status 0 after a shutdown; one that is not is 6, with the difference on stderr."""
    met, unmet = tmp_path / "met.toml", tmp_path / "unmet.toml"
    met.write_text('[[steps]]\nspeak = "tone:440"\nduration_s = 0.2\n\n[[steps]]\nhang_up = true\n')
    unmet.write_text('[[steps]]\nexpect = { type = "conversation.item.create" }\nwithin_s = 0.4\n')
    statuses, said = [], []
    for scenario in (met, unmet):
        async with running("answer", "--scenario", str(scenario), key=None) as server:
            line = await ready(server)
            await run("call", "--base-url", line["base_url"], "--max-duration", "1", "--quiet")
            report = asked(f"http://127.0.0.1:{line['port']}/_report")[1]["calls"][0]["scenario"]
            assert report["is_met"] is (scenario == met)
            asked(f"http://127.0.0.1:{line['port']}/_shutdown", {})
            ended = await server.finished()
        statuses.append(ended.status)
        said.append(ended.stderr)

    assert (statuses, said[0]) == ([0, 6], "")
    assert "conversation.item.create" in said[1]


async def test_a_scenario_with_mistakes_is_a_usage_error(tmp_path: Path) -> None:
    """Each mistake has its line; a voice beside a scenario is refused."""
    wrong = tmp_path / "wrong.toml"
    wrong.write_text("[[steps]]\nspeek = 1\n")
    finished = await asyncio.gather(
        run("answer", "--scenario", str(wrong)), run("answer", "--scenario", str(wrong), "--voice", "none")
    )

    assert [(ended.status, ended.stdout) for ended in finished] == [(2, "")] * 2
    assert f"{wrong}:2:" in finished[0].lines[0]
    assert "--voice" in finished[1].lines[0]


@pytest.mark.parametrize("verb", ["call", "answer"])
async def test_nobody_reading_stdout_any_more_is_no_traceback(verb: str) -> None:
    """A pipe that was closed early ends in a status, not in a traceback; a server that cannot say where it is ends."""
    async with running("answer", key=None) as server:
        base_url = (await ready(server))["base_url"]
        options = ("--base-url", base_url, "--max-duration", "0.2", "--json", "--quiet") if verb == "call" else ()
        # `true` reads nothing and is gone before the command has started.
        pipe = ("bash", "-c", '"$@" | true; exit "${PIPESTATUS[0]}"', "bash")
        finished = await run(verb, *options, before=pipe)

    assert finished.status == 1
    assert len(finished.lines) <= 1
