"""CommandHandoff: a program answers each request, from stdin to stdout, in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from rtc_client.delegates.child_process import Program
from rtc_client.delegates.handoff_request import HandoffRequest, Progress
from rtc_client.errors import CommandFailed, ConfigError
from rtc_client.protocol.wire.codec import dump_json

CommandInput = Literal["json", "text"]
CommandOutput = Literal["lines", "whole"]


class CommandHandoff:
    """Runs a program for each request; any number of calls may share one.

    The program gets one line of JSON on stdin, which then ends: `handoff_id`, `item_id`, `input` (what is asked),
    `input_transcript`, `active_transcript` (a list of `role` and `text`), and `text` (all of it, for a model). With
    `stdin="text"` it gets that `text` alone.

    Each line that it prints is sent at once, as progress; the last one, after which it ends, is the final text. With
    `output="whole"` all that it prints is one text, sent when it ends. Empty lines are not sent. An exit status that is
    not 0 fails the handoff (`CommandFailed`); the agent is told the status, nobody what was on stderr but who asks the
    exception.

    It runs in a process group of its own. When the handoff is cancelled or takes too long, the whole group gets
    SIGTERM, and SIGKILL half a second later; the same happens to what it has left running when it ends.

    Args:
        command: A command line, which is split as a shell would but not run by one, or program and arguments.
        stdin: What the program is given.
        output: What of its output is a text.
        cwd: Where it runs; here if None.
        env: Variables on top of our own environment.

    Raises:
        ConfigError: The command is empty or cannot be split, or a setting is none of those.
    """

    def __init__(
        self,
        command: str | Sequence[str],
        *,
        stdin: CommandInput = "json",
        output: CommandOutput = "lines",
        cwd: str | Path | None = None,
        env: Mapping[str, str] | None = None,
    ) -> None:
        if stdin not in get_args(CommandInput) or output not in get_args(CommandOutput):
            raise ConfigError("a CommandHandoff has stdin json or text, and output lines or whole")
        try:
            self._command = shlex.split(command) if isinstance(command, str) else [str(word) for word in command]
        except ValueError as error:
            raise ConfigError(f"the command of a handoff cannot be split into words: {error}") from None
        if not self._command:
            raise ConfigError("the command of a handoff is empty: name a program")
        self._stdin = stdin
        self._output = output
        self._cwd = cwd
        self._env = env

    async def __aenter__(self) -> CommandHandoff:
        """Look whether there is such a program.

        Raises:
            ConfigError: There is none.
        """
        path = {**os.environ, **(self._env or {})}.get("PATH")
        program = self._command[0]
        if self._cwd is not None and "/" in program:
            program = str(Path(self._cwd) / program)
        if shutil.which(program, path=path) is None:
            raise ConfigError(f"the program {self._command[0]!r} of a handoff cannot be found, or not be run")
        return self

    async def __aexit__(self, *error: object) -> None:
        """Let go of nothing: each request has ended its own program."""

    async def __call__(self, request: HandoffRequest) -> AsyncGenerator[str]:
        """Run the program and yield its texts as they come.

        Raises:
            CommandFailed: It cannot be run, or ended with another status than 0.
        """
        program = Program(self._given(request))
        # In a task of its own: a program that is cancelled while it is begun is one that nobody would end.
        beginning = asyncio.create_task(self._begin(program), name="handoff-command-begin")
        try:
            await asyncio.shield(beginning)
            if self._output == "whole":
                whole = await program.whole()
                await program.check()
                yield whole.rstrip("\n")
                return
            held = ""
            async with contextlib.aclosing(program.lines()) as lines:
                async for line in lines:
                    if held.strip():
                        yield Progress(held)
                    held = "" if line is None else line
            try:
                await program.check()
            except CommandFailed:
                if held.strip():
                    yield Progress(held)
                raise
            if held.strip():
                yield held
        finally:
            await program.stop(beginning)

    async def _begin(self, program: Program) -> None:
        env = None if self._env is None else {**os.environ, **self._env}
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: program, *self._command, cwd=self._cwd, env=env, start_new_session=True
            )
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it holds a null byte"
            raise CommandFailed(f"The program cannot be run: {reason}.") from error

    def _given(self, request: HandoffRequest) -> bytes:
        if self._stdin == "text":
            return request.text.encode() + b"\n"
        entries = [{"role": entry.role, "text": entry.text} for entry in request.active_transcript]
        given = {
            "handoff_id": request.handoff_id,
            "item_id": request.item_id,
            "input": request.input,
            "input_transcript": request.input_transcript,
            "active_transcript": entries,
            "text": request.text,
        }
        return dump_json(given).encode() + b"\n"
