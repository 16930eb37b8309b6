"""Promise: the keys of the live view do what its help line says, and the terminal is left as it was, whatever happens.

By a real terminal, which is the process's own.
"""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rtc_client.audio.files.reader import read_audio, write_wav
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.behaviour.calls import until
from tests.behaviour.recordings import report
from tests.cli.command import COMPLAINTS, running
from tests.cli.on_terminal import SHOW, Terminal, on_terminal

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


async def is_up(terminal: Terminal) -> None:
    """Return once the call is up and keys are at hand."""
    await terminal.until(lambda text: "active" in text and "q hangs up" in text)
    assert terminal.is_raw()


def latest(text: str) -> str:
    """Return what was drawn last."""
    return text[text.rindex("╭") :] if "╭" in text else ""


async def test_m_mutes_t_types_f_says_a_file_and_q_hangs_up(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Each is seen, and comes to the far side; typed letters are text while a line is typed."""
    write_wav(tmp_path / "words.wav", read_audio(CALLER_SPEECH)[4_800:19_200])
    async with on_terminal(
        "call", "--base-url", answerer.base_url, "--say-file", str(tmp_path / "words.wav")
    ) as terminal:
        await is_up(terminal)
        far = await answerer.wait_for_call()
        await until(lambda: far.levels[0].n_voiced > 10)
        terminal.press("m")
        await terminal.until(lambda text: "muted" in latest(text) and "m opens the microphone" in latest(text))
        n_voiced = far.levels[0].n_voiced
        terminal.press("f")
        await until(lambda: far.levels[0].n_voiced > n_voiced + 10)
        terminal.press("\x1b[AM")
        await terminal.until(lambda text: "m mutes" in latest(text))
        terminal.press("t")
        await terminal.until(lambda text: "Enter sends" in latest(text))
        terminal.press("quit, Mr. Müller?x\x7f\r")
        message = await far.wait_received(lambda one: one["type"] == "conversation.item.create")
        await terminal.until(lambda text: "caller quit, Mr. Müller?" in latest(text))
        terminal.press("q")
        assert await terminal.ended() == 0
        await terminal.until(lambda text: "hangup by the caller" in text)
        assert not terminal.is_raw()

    assert message["item"]["content"] == [{"type": "input_text", "text": "quit, Mr. Müller?"}]  # type: ignore[index]
    assert terminal.drawn.endswith(SHOW) or SHOW in terminal.drawn
    assert not [complaint for complaint in COMPLAINTS if complaint in terminal.text]


async def test_space_talks_while_it_is_held(answerer: FakeAnswerer) -> None:
    """With push-to-talk nothing of the microphone leaves but then; as far as a terminal tells, it repeats itself."""
    async with on_terminal("call", "--base-url", answerer.base_url, "--in", "tone:440", "--push-to-talk") as terminal:
        await is_up(terminal)
        far = await answerer.wait_for_call()
        await terminal.until(lambda text: "muted" in latest(text) and "hold space to talk" in latest(text))
        n_voiced = far.levels[0].n_voiced
        for _ in range(8):
            terminal.press(" ")
            await asyncio.sleep(0.1)
        await terminal.until(lambda text: "talking" in latest(text))
        await terminal.until(lambda text: "talking" not in latest(text))
        await until(lambda: far.levels[0].n_voiced >= n_voiced + 35)
        held = far.levels[0].n_voiced
        await asyncio.sleep(0.3)
        assert far.levels[0].n_voiced <= held + 15
        terminal.press("qq")
        assert await terminal.ended() == 0

    assert n_voiced == 0


async def test_q_waits_for_the_goodbye_and_a_second_one_does_not(answerer: FakeAnswerer) -> None:
    """It says so."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Tone(duration_s=30), text="Goodbye", when=AtTime(0.1))])

    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        await terminal.until(lambda text: "Goodbye" in text and "q hangs up" in text)
        terminal.press("q")
        await terminal.until(lambda text: "once the agent has finished" in text and "q hangs up now" in text)
        assert terminal.process.returncode is None
        terminal.press("q")
        assert await terminal.ended() == 0
        assert not terminal.is_raw()


def interrupt(terminal: Terminal) -> None:
    terminal.press("\x03")


def interrupt_twice(terminal: Terminal) -> None:
    # Two of a kind may come as one; then it is the third that ends it at once.
    terminal.process.send_signal(signal.SIGINT)
    terminal.process.send_signal(signal.SIGINT)
    terminal.process.send_signal(signal.SIGTERM)


def quit_key(terminal: Terminal) -> None:
    terminal.press("\x1c")


def terminate(terminal: Terminal) -> None:
    terminal.process.send_signal(signal.SIGTERM)


@pytest.mark.parametrize(
    ("end", "statuses"),
    [(interrupt, {130}), (interrupt_twice, {130, 143}), (quit_key, {-signal.SIGQUIT}), (terminate, {143})],
    ids=["Ctrl-C", "twice", "Ctrl-backslash", "SIGTERM"],
)
async def test_the_terminal_is_as_it_was_whatever_ends_the_process(
    answerer: FakeAnswerer, end: Callable[[Terminal], None], statuses: set[int]
) -> None:
    """Keys are shown again, line by line, and the cursor is there."""
    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        await is_up(terminal)
        end(terminal)
        assert await terminal.ended() in statuses
        assert not terminal.is_raw()
        await terminal.until(lambda _: SHOW in terminal.drawn)


async def test_a_terminal_that_is_closed_hangs_up(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Its window, or the line to it: the server is told, the recording is finished, and nobody is waited for."""
    async with on_terminal("call", "--base-url", answerer.base_url, "--record", str(tmp_path)) as terminal:
        await is_up(terminal)
        terminal.close()
        terminal.process.send_signal(signal.SIGHUP)  # a shell tells it, too
        assert await terminal.ended() == 129

    assert (await answerer.wait_for_call()).hung_up_by_client
    assert report(tmp_path)["end"]["reason"] == "interrupted"


PROGRAM = """
import asyncio, sys
from rtc_client.cli.console.terminal import keys_to

async def main():
    pressed = asyncio.Event()

    def take(block):
        print("pressed", block.decode(), flush=True)
        pressed.set()

    with keys_to(take) as has_keys:
        print("keys", has_keys, flush=True)
        {how}

asyncio.run(main())
"""


@pytest.mark.parametrize("how", ["raise RuntimeError('a bug')", "sys.exit(3)"])
async def test_a_crash_leaves_the_terminal_as_it_was(how: str) -> None:
    """An exception that nobody foresaw, and an exit from within."""
    async with on_terminal(command=(sys.executable, "-c", PROGRAM.format(how=how))) as terminal:
        await terminal.until(lambda text: "keys True" in text)
        assert await terminal.ended() != 0
        assert not terminal.is_raw()


async def test_ctrl_z_gives_the_terminal_back_and_fg_takes_it_again(tmp_path: Path) -> None:
    """In a shell with jobs; one that is begun in the background leaves it alone, and is not stopped for touching it."""
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(how="await pressed.wait()"))
    background = tmp_path / "background.py"
    background.write_text(PROGRAM.format(how="pass"))
    modes = "stty -a | grep -ow -- '-\\?icanon'"
    script = f"set -m; {sys.executable} {program}; echo then; {modes}; fg; echo last; {modes};"
    script += f"{sys.executable} {background} & wait"

    async with on_terminal(command=("bash", "-c", script)) as terminal:
        await terminal.until(lambda text: "keys True" in text)
        assert terminal.is_raw()
        terminal.press("\x1a")
        await terminal.until(lambda text: re.search(r"then\s+icanon", text))
        await until(terminal.is_raw)
        terminal.press("x")
        await terminal.until(lambda text: re.search(r"pressed x\s+last\s+icanon\s+keys False", text))
        assert await terminal.ended() == 0


async def test_without_a_terminal_there_are_no_keys(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Push-to-talk needs one, and says so; a file can be said all the same."""
    async with running("call", "--base-url", answerer.base_url, "--push-to-talk") as command:
        finished = await command.finished()
    assert finished.status == 2
    assert re.search("--push-to-talk needs a terminal", finished.stderr)

    async with running("call", "--base-url", answerer.base_url, "--say-file", str(tmp_path / "none.wav")) as command:
        finished = await command.finished()
    assert finished.status == 2
    assert "none.wav does not exist" in finished.stderr

    async with running(
        "call", "--base-url", answerer.base_url, "--say-file", str(CALLER_SPEECH), "--max-duration", "1.5"
    ) as command:
        finished = await command.finished()
    assert finished.status == 0
    assert answerer.calls[0].levels[0].n_voiced > 40
