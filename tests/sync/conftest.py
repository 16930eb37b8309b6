"""Fixtures of the sync door: an answerer in a thread of its own, and a way to run scripts that call it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Final

import pytest

from rtc_client import CallConfig
from rtc_client.testing import AgentScript, AtTime, FakeAnswerer, SpokenTurn, Tone
from tests.signals import restore_default_signals

LIMIT_S: Final = 30.0


@pytest.fixture
def answerer() -> Iterator[FakeAnswerer]:
    """An answerer whose agent says "beep" once; it stands until the test is over, and was not violated."""
    beep = SpokenTurn(voice=Tone(frequency_hz=660, duration_s=0.2), text="beep", when=AtTime(0.1))
    began: Future[tuple[FakeAnswerer, Callable[[], object]]] = Future()

    async def serve() -> None:
        over = asyncio.Event()
        loop = asyncio.get_running_loop()
        async with FakeAnswerer(script=AgentScript(turns=[beep])) as running:
            began.set_result((running, lambda: loop.call_soon_threadsafe(over.set)))
            await over.wait()

    def work() -> None:
        try:
            asyncio.run(serve())
        except BaseException as error:
            began.set_exception(error)
            raise

    thread = threading.Thread(target=work, name="answerer")
    thread.start()
    running, end = began.result(LIMIT_S)
    try:
        yield running
        assert running.violations == []
    finally:
        end()
        thread.join(LIMIT_S)


@pytest.fixture
def config(answerer: FakeAnswerer) -> CallConfig:
    """What calls the answerer; a call ends when the beep has been over for 0.3 s."""
    return CallConfig(api_key="sk-sync", base_url=answerer.base_url, linger_s=0.3)


class Script:
    """A program in a process of its own, with warnings as errors and `config` at hand."""

    HEAD: Final = """
import os, signal, sys, threading, time
from rtc_client import *
from rtc_client import sync
config = CallConfig.from_env(linger_s=0.3)
def say(word):
    print(word, flush=True)
"""

    def __init__(self, text: str, base_url: str, folder: Path) -> None:
        file = folder / "script.py"
        file.write_text(self.HEAD + text, encoding="utf-8")
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", file],
            env=os.environ | {"OPENAI_API_KEY": "sk-sync", "OPENAI_BASE_URL": base_url},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=restore_default_signals,  # noqa: PLW1509 - it makes three system calls
        )

    def wait_for(self, word: str) -> None:
        """Return once it has said a word on a line of its own."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == word + "\n", self.process.stderr and self.process.stderr.read()

    def end(self) -> tuple[int, list[str], str]:
        """Return its exit status, the lines it has said since, and its complaints."""
        try:
            out, err = self.process.communicate(timeout=LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            out, err = self.process.communicate()
            pytest.fail(f"the script did not end: {out} {err}")
        return self.process.returncode, out.splitlines(), err


@pytest.fixture
def script(answerer: FakeAnswerer, tmp_path: Path) -> Callable[[str], Script]:
    """Return what starts a script."""
    return lambda text: Script(text, answerer.base_url, tmp_path)
