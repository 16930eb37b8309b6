"""Promise: on a terminal a call is shown while it runs, and the terminal is left as it was."""

from __future__ import annotations

import re
import signal

import pytest

from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.cli.command import COMPLAINTS
from tests.cli.on_terminal import HIDE, SHOW, on_terminal

pytestmark = pytest.mark.real_time("the command is a process of its own, and its calls last as long as calls do")


async def test_levels_words_state_and_time_are_drawn_and_the_cursor_comes_back(answerer: FakeAnswerer) -> None:
    """Both meters move, both voices are read as they speak, and what stays is the report with a visible cursor."""
    turn = SpokenTurn(voice=Tone(duration_s=1.2), text="Good \x1b]0;evil\x07 evening everybody", when=AtTime(0.2))
    answerer.script = AgentScript(turns=[turn], caller_text="hello there", hang_up_after_s=3.0)

    async with on_terminal(
        "call", "--base-url", answerer.base_url, "--in", "tone:440", "--sideband", "require"
    ) as terminal:
        await terminal.until(lambda text: "active" in text and "events on" in text)
        await terminal.until(lambda text: re.search(r"caller +█+░* +-?\d+ dBFS", text))
        await terminal.until(lambda text: re.search(r"agent +█+░* +-?\d+ dBFS", text))
        await terminal.until(lambda text: "Good" in text and "hello" in text)
        await terminal.until(lambda text: "0:01" in text)
        while_running = terminal.drawn
        status = await terminal.ended()
        await terminal.until(lambda text: "remote_hangup by the server" in text)

    assert status == 0
    assert while_running.count(HIDE) == 1
    assert SHOW not in while_running
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)
    assert str(answerer.calls[0].call_id) in while_running
    assert "evening everybody" in terminal.text
    assert "\x1b]" not in terminal.drawn
    assert not [complaint for complaint in COMPLAINTS if complaint in terminal.text]


async def test_the_cursor_comes_back_after_an_interrupt_and_after_a_refusal(answerer: FakeAnswerer) -> None:
    """However the call ends."""
    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        await terminal.until(lambda text: "active" in text)
        terminal.process.send_signal(signal.SIGINT)
        assert await terminal.ended() == 130
        await terminal.until(lambda text: "interrupted by the caller" in text)
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)

    answerer.faults.refuse_post(401)
    async with on_terminal("call", "--base-url", answerer.base_url) as terminal:
        assert await terminal.ended() == 3
        await terminal.until(lambda text: "rtc-client: the answerer refused the offer with HTTP 401" in text)
    assert terminal.drawn.rindex(SHOW) > terminal.drawn.rindex(HIDE)


async def test_quiet_draws_nothing(answerer: FakeAnswerer) -> None:
    """Not even a control sequence."""
    async with on_terminal("call", "--base-url", answerer.base_url, "--quiet", "--max-duration", "0.2") as terminal:
        assert await terminal.ended() == 0

    assert terminal.drawn == ""
