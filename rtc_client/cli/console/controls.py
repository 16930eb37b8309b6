"""What the keys do to a call: mute, talk, type, hang up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rtc_client.audio.sources.basic import FileSource
from rtc_client.call.call import Call
from rtc_client.cli.console.key_input import HeldKey, KeyReader, Line
from rtc_client.clock import MonotonicClock
from rtc_client.errors import CallClosed, RtcClientError

GOODBYE_S: Final = 10.0
"""How long `q` waits for the agent to finish, in seconds; a second `q` does not."""
_MAX_TASKS: Final = 16
"""Things asked for by a key that are still being done; further ones are left out."""


@dataclass(frozen=True, slots=True)
class ControlOptions:
    """How a call is controlled."""

    push_to_talk: bool = False
    """The microphone is closed but while space is held, or `m` has opened it."""
    say_file: Path | None = None
    """What `f` says into the call."""


class Controls:
    """The keys of one call. `take` gets what the terminal sends; nothing it does raises."""

    def __init__(
        self, call: Call, options: ControlOptions, now_s: Callable[[], float] = MonotonicClock().now_s
    ) -> None:
        self._call = call
        self._options = options
        self._now_s = now_s
        self._reader = KeyReader()
        self._space = HeldKey()
        self._is_open = not options.push_to_talk
        self._release: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_leaving = False
        self.line: Line | None = None
        """What is being typed; None while nothing is."""
        self.note = ""
        """What came of the last key, for people; empty for nothing."""
        self._apply()

    @property
    def is_talking(self) -> bool:
        """Whether the key to talk is held."""
        return self._options.push_to_talk and self._space.is_held(self._now_s())

    @property
    def help(self) -> str:
        """The keys, on one line."""
        if self.line is not None:
            return "Enter sends, Esc gives up"
        keys = ["hold space to talk"] if self._options.push_to_talk else []
        keys += ["m opens the microphone" if self._call.muted and not self.is_talking else "m mutes", "t types a text"]
        if self._options.say_file is not None:
            keys.append("f says the file")
        keys.append("q hangs up" if not self._is_leaving else "q hangs up now")
        return " · ".join(keys)

    def take(self, block: bytes) -> None:
        """Take what the terminal sends."""
        for char in self._reader.feed(block):
            if self.line is None:
                self._press(char)
            elif self.line.type(char):
                text, self.line = self.line.text, None
                if text.strip():
                    self._do("say", self._call.say(text))

    async def aclose(self) -> None:
        """Give up what is still being done."""
        if self._release is not None:
            self._release.cancel()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def say_file(self) -> None:
        """Say the file into the call."""
        if (path := self._options.say_file) is not None:
            self._do("play", self._call.play(FileSource(path)))

    def _press(self, char: str) -> None:
        self.note = ""
        match char.lower():  # with the capitals locked, too
            case "m":
                self._is_open = not self._is_open
                self._apply()
            case " " if self._options.push_to_talk:
                self._space.press(self._now_s())
                self._apply()
            case "t":
                self.line = Line()
            case "f":
                self.say_file()
            case "q":
                self._hang_up()
            case _:
                pass

    def _apply(self) -> None:
        """Open or close the microphone, and look again when the key to talk counts as let go."""
        if self._release is not None:
            self._release.cancel()
            self._release = None
        is_talking = self.is_talking
        if self._is_open or is_talking:
            self._call.unmute()
        else:
            self._call.mute()
        if is_talking:
            self._release = asyncio.get_running_loop().call_later(self._space.until_s - self._now_s(), self._apply)

    def _hang_up(self) -> None:
        if self._is_leaving:
            self._do("hang-up", self._call.hangup())
        else:
            self._is_leaving = True
            self.note = "hanging up once the agent has finished"
            self._do("goodbye", self._call.hangup(after="playout", limit_s=GOODBYE_S))

    def _do(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        if len(self._tasks) >= _MAX_TASKS:
            work.close()
            self.note = "too much at once"
            return
        task = asyncio.create_task(self._noting(work), name=f"key-{name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: work.close())

    async def _noting(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except CallClosed:
            self.note = "the call is not up"
        except RtcClientError as error:
            self.note = str(error)
