"""A program as delegate: what it is given, what of its output is sent, and how it is ended."""

from __future__ import annotations

import asyncio
import json
import os
import shlex
import sys
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from rtc_client import (
    ActiveEntry,
    CommandFailed,
    CommandHandoff,
    ConfigError,
    HandoffRequest,
    Progress,
)
from rtc_client.delegates.child_process import MAX_STDERR_BYTES
from tests.behaviour.calls import until

pytestmark = pytest.mark.programs

REQUEST = HandoffRequest(
    handoff_id="handoff_1",
    item_id="item_1",
    input_transcript="look & see",
    active_transcript=(ActiveEntry(role="user", text="hällo"), ActiveEntry(role="user", text="look & see")),
)


def python(code: str, **settings: Any) -> CommandHandoff:
    """Return a handoff to a program in Python."""
    return CommandHandoff([sys.executable, "-c", code], **settings)


async def texts_of(handoff: CommandHandoff) -> list[str]:
    return [text async for text in handoff(REQUEST)]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    # A child of a child that was killed may wait for somebody to ask how it ended.
    return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()


async def test_the_request_is_a_line_of_json() -> None:
    """All of it is on stdin, and then stdin ends: what reads it to its end does not hang."""
    (text,) = await texts_of(CommandHandoff("cat"))

    assert json.loads(text) == {
        "handoff_id": "handoff_1",
        "item_id": "item_1",
        "input": "look & see",
        "input_transcript": "look & see",
        "active_transcript": [{"role": "user", "text": "hällo"}, {"role": "user", "text": "look & see"}],
        "text": REQUEST.text,
    }


async def test_the_request_as_text() -> None:
    """With stdin="text" it is the text that a model would get."""
    assert await texts_of(CommandHandoff("cat", stdin="text", output="whole")) == [REQUEST.text]


async def test_each_line_is_progress_and_the_last_is_final() -> None:
    """Empty lines are left out, line ends of any kind taken off, and what has no line end is a line too."""
    texts = await texts_of(python("print('one'); print(); print('two\\r'); print('three', end='')"))

    assert texts == ["one", "two", "three"]
    assert [type(text) for text in texts] == [Progress, Progress, str]


async def test_progress_comes_while_the_program_runs() -> None:
    """A line is not held back until the next one: the program waits for somebody to have got it."""
    code = "import sys; print('begun', flush=True); sys.stdin.read(); import time; time.sleep(20)"
    began_s = time.monotonic()
    async with aclosing(python(code)(REQUEST)) as texts:
        assert await anext(texts) == "begun"
    assert time.monotonic() - began_s < 5


async def test_the_whole_output_is_one_text() -> None:
    """With output="whole" nothing is sent before the end."""
    assert await texts_of(python("print('one'); print('two')", output="whole")) == ["one\ntwo"]


async def test_what_is_not_utf8_is_replaced() -> None:
    """A character that is cut between two reads is whole; bytes that are none are replaced."""
    code = "import os, time; os.write(1, b'\\xc3'); time.sleep(.3); os.write(1, b'\\xa4\\xff')"
    assert await texts_of(python(code)) == ["ä\ufffd"]


@pytest.mark.parametrize(("ending", "how"), [("sys.exit(3)", "status 3"), ("os.kill(os.getpid(), 9)", "SIGKILL")])
async def test_another_status_than_0_fails(ending: str, how: str) -> None:
    """What was printed is sent, as progress; the error has the status and the end of stderr, and does not show it."""
    code = f"import os, sys; print('begun', flush=True); os.write(2, b'x' * 9000 + b'secret'); {ending}"
    texts = []
    with pytest.raises(CommandFailed, match=how) as caught:
        async for text in python(code)(REQUEST):
            texts.append(text)

    assert [(type(text), text) for text in texts] == [(Progress, "begun")]
    assert caught.value.status in (3, -9)
    assert len(caught.value.stderr) == MAX_STDERR_BYTES
    assert caught.value.stderr.endswith("secret")
    assert "secret" not in str(caught.value) + repr(caught.value)


async def test_a_program_that_reads_nothing_is_fine() -> None:
    """However much it is given."""
    request = HandoffRequest(handoff_id="h", input_transcript="x" * 1_000_000)
    assert [text async for text in CommandHandoff("echo done")(request)] == ["done"]


@pytest.mark.parametrize("deaf", [False, True])
async def test_cancelling_ends_the_whole_group(tmp_path: Path, *, deaf: bool) -> None:
    """Program and child are gone, also if they do not listen to SIGTERM."""
    ignore = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " if deaf else ""
    child = f"{ignore}import os, time, pathlib; pathlib.Path('child').write_text(str(os.getpid())); time.sleep(60)"
    run_child = f"subprocess.run([sys.executable, '-c', {child!r}])"
    code = f"{ignore}import subprocess, sys, os; print(os.getpid(), flush=True); {run_child}"
    pids: list[int] = []

    async def run() -> None:
        async for text in python(code, cwd=tmp_path)(REQUEST):
            pids.append(int(text))

    task = asyncio.create_task(run())
    await until(lambda: (tmp_path / "child").exists() and (tmp_path / "child").read_text())
    pids.append(int((tmp_path / "child").read_text()))
    began_s = time.monotonic()
    task.cancel()
    await asyncio.wait([task])

    assert task.cancelled()
    assert time.monotonic() - began_s < 1.4
    await until(lambda: not any(is_running(pid) for pid in pids))


async def test_cancelling_while_it_begins_leaves_nothing() -> None:
    """Whenever it comes, the program that was begun is ended."""
    for n_turns in range(12):
        task = asyncio.create_task(texts_of(CommandHandoff("sleep 60")), name="begins")
        for _ in range(n_turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()


async def test_what_a_program_leaves_running_is_ended() -> None:
    """A child in the background that holds stdout open does not hold the handoff up."""
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '60']).pid)"
    began_s = time.monotonic()
    (text,) = await texts_of(python(code))

    assert time.monotonic() - began_s < 3
    await until(lambda: not is_running(int(text)))


async def test_a_program_in_its_folder_with_its_variables(tmp_path: Path) -> None:
    """Variables come on top of ours; the program is looked for from its own folder."""
    script = tmp_path / "tell"
    script.write_text('#!/bin/sh\necho "$WORD in $(pwd)"\n')
    script.chmod(0o755)
    handoff = CommandHandoff("./tell", cwd=tmp_path, env={"WORD": "yes"})
    async with handoff:
        assert await texts_of(handoff) == [f"yes in {tmp_path}"]


@pytest.mark.parametrize("command", ["", [], "echo 'unfinished"])
def test_a_command_that_is_none_is_refused(command: Any) -> None:
    """Before anything is run."""
    with pytest.raises(ConfigError, match="command of a handoff"):
        CommandHandoff(command)


async def test_a_program_that_is_not_there() -> None:
    """It is missed when the call is entered; and if it went away since, the handoff fails."""
    handoff = CommandHandoff("no-such-program-anywhere")
    with pytest.raises(ConfigError, match="cannot be found"):
        await handoff.__aenter__()
    with pytest.raises(CommandFailed, match="cannot be run: No such file"):
        await texts_of(handoff)


def test_a_setting_that_is_none_is_refused() -> None:
    """By name."""
    with pytest.raises(ConfigError, match="json or text"):
        CommandHandoff(shlex.quote("cat"), stdin="xml")  # type: ignore[arg-type]
