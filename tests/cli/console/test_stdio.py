"""Promise: whatever becomes of stdout, stderr and the events file, there is a status and no traceback."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn
from tests.cli.command import Finished, run

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")

SHORT = ("--max-duration", "0.3")


def shell(command: str) -> tuple[str, ...]:
    """Return what runs the command, as `"$@"`, within a shell's line."""
    return ("bash", "-c", command, "bash")


async def test_a_full_disk_behind_stdout_is_told(answerer: FakeAnswerer) -> None:
    """Status 1 and one line: the result was not delivered."""
    finished = await run(
        "call", "--base-url", answerer.base_url, "--json", "--quiet", *SHORT, before=shell('exec "$@" >/dev/full')
    )

    assert finished.status == 1
    assert finished.lines == ["rtc-client: stdout cannot be written: No space left on device"]


@pytest.mark.parametrize("redirection", [">&-", "2>&-", "2>/dev/full", "2> >(true)"])
async def test_streams_that_were_closed_or_are_full_do_not_fail_the_call(
    answerer: FakeAnswerer, redirection: str
) -> None:
    """Who closes a stream does not want to read it; the status is the call's."""
    finished = await run("call", "--base-url", answerer.base_url, *SHORT, before=shell(f'exec "$@" {redirection}'))

    assert finished.status == 0
    assert ("max_duration" in finished.stdout) == redirection.startswith("2")


async def test_an_events_file_that_cannot_be_written_ends_the_call(answerer: FakeAnswerer) -> None:
    """An incomplete list of events would lie: status 1, one line, one object, and the server is told."""
    finished = await run("call", "--base-url", answerer.base_url, "--json", "--quiet", "--events", "/dev/full")

    assert (finished.status, len(finished.lines)) == (1, 1)
    assert "the events file /dev/full cannot be written: No space left on device" in finished.lines[0]
    assert finished.report["end"]["reason"] == "failed"
    assert answerer.calls[0].hung_up_by_client


async def test_words_that_stdout_cannot_say_are_escaped(answerer: FakeAnswerer) -> None:
    """On an ASCII stdout the object is still JSON with the words in it, and the report is still a report."""
    words = "Zwölf Uhr – 十二時"
    answerer.script = AgentScript(turns=[SpokenTurn(text=words, when=AtTime(0.0))])
    env = {"PYTHONIOENCODING": "ascii"}
    as_json = await run("call", "--base-url", answerer.base_url, "--json", "--quiet", *SHORT, env=env)
    as_text = await run("call", "--base-url", answerer.base_url, *SHORT, env=env)

    assert (as_json.status, as_text.status) == (0, 0)
    assert [entry["text"] for entry in as_json.report["transcript"]] == [words]
    assert as_json.stdout.isascii()
    assert "Zw\\xf6lf Uhr" in as_text.stdout


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take no such name")
async def test_a_file_name_that_is_no_text_is_told(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Bytes that are not UTF-8 in an argument: a usage error like any other, and its object is JSON."""
    finished: Finished = await run(
        "call", "--base-url", answerer.base_url, "--json", before=shell("exec \"$@\" --in $'n\\xf6.wav'")
    )

    assert (finished.status, len(finished.lines)) == (2, 1)
    assert finished.report["error"]["type"] == "AudioFileUnreadable"
    assert "wav" in json.dumps(finished.report)
