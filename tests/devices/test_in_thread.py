"""Promises of work on devices in a thread: whoever waits may go at any moment, and nothing stays open behind them.

No device here: what is opened is an object, and the moments are held still.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

from rtc_client import ConfigError, Microphone
from rtc_client.audio.devices import portaudio as devices
from rtc_client.audio.devices import reopening_device as device_end
from rtc_client.audio.devices.portaudio import in_thread
from rtc_client.audio.devices.selection import DeviceUnavailable

LIMIT_S = 5.0


class Opening:
    """Something that takes as long as it is told to, and can be closed."""

    def __init__(self) -> None:
        self.begun, self.may_end, self.closed = threading.Event(), threading.Event(), threading.Event()

    def work(self) -> Opening:
        self.begun.set()
        assert self.may_end.wait(LIMIT_S)
        return self

    async def run(self, limit_s: float = LIMIT_S) -> Opening:
        return await in_thread(self.work, "test-open", undo=lambda opened: opened.closed.set(), limit_s=limit_s)


async def cancelled(task: asyncio.Task[Any]) -> bool:
    """Cancel a task, and return whether that is how it ended."""
    task.cancel()
    await asyncio.wait([task])
    return task.cancelled()


async def test_what_is_taken_stays_open() -> None:
    opening = Opening()
    opening.may_end.set()

    assert await opening.run() is opening
    for thread in threading.enumerate():
        if thread.name == "test-open":
            thread.join(LIMIT_S)
    assert not opening.closed.is_set()


async def test_what_opens_after_nobody_waits_is_closed() -> None:
    opening = Opening()
    task = asyncio.create_task(opening.run())
    await asyncio.to_thread(opening.begun.wait, LIMIT_S)

    assert await cancelled(task)
    opening.may_end.set()
    assert await asyncio.to_thread(opening.closed.wait, LIMIT_S)


@pytest.mark.parametrize("turns", [0, 1])
async def test_what_is_on_its_way_to_who_does_not_wait_any_more_is_closed(
    turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cancelled between the end of the work and its being told, or being told and being taken."""
    loop = asyncio.get_running_loop()
    is_on_its_way = threading.Event()
    call_soon_threadsafe = loop.call_soon_threadsafe

    def noted(callback: Callable[..., object], *arguments: Any) -> asyncio.Handle:
        handle = call_soon_threadsafe(callback, *arguments)
        is_on_its_way.set()
        return handle

    opening = Opening()
    task = asyncio.create_task(opening.run())
    await asyncio.to_thread(opening.begun.wait, LIMIT_S)
    await asyncio.sleep(0)
    monkeypatch.setattr(loop, "call_soon_threadsafe", noted)
    opening.may_end.set()
    # Not in a thread: the loop must not get to know of it.
    assert is_on_its_way.wait(LIMIT_S)
    monkeypatch.undo()
    for _ in range(turns):
        await asyncio.sleep(0)

    assert await cancelled(task)
    assert await asyncio.to_thread(opening.closed.wait, LIMIT_S)


async def test_what_takes_too_long_is_told_and_closed_when_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices._portaudio, "give_up", lambda: None)
    opening = Opening()

    with pytest.raises(DeviceUnavailable, match="does not answer"):
        await opening.run(limit_s=0.01)
    opening.may_end.set()
    assert await asyncio.to_thread(opening.closed.wait, LIMIT_S)


async def test_what_fails_is_raised_where_it_is_waited_for() -> None:
    def fail() -> None:
        raise DeviceUnavailable("busy", is_busy=True)

    with pytest.raises(DeviceUnavailable, match="busy"):
        await in_thread(fail, "test-fail", undo=lambda _: pytest.fail("there was nothing to undo"))


def test_giving_up_imports_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What hangs may be the import itself, and whoever imports then hangs as well."""
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    portaudio = devices._PortAudio()

    portaudio.give_up()

    assert portaudio.is_stuck


async def test_a_sound_system_that_does_not_answer_is_told_before_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_answer(*wanted: object) -> None:
        raise DeviceUnavailable("the sound system of this machine does not answer", is_busy=False)

    monkeypatch.setattr(device_end, "find_device", no_answer)

    with pytest.raises(ConfigError, match=r"no microphone .* does not answer; restart"):
        await Microphone().open()
