"""`rtc-client answer`: the fake answerer for programs that are not written in Python."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from rtc_client.cli.commands.parsing import frequency_hz, set_up_logging
from rtc_client.cli.console.stdio import print_error, print_line
from rtc_client.cli.demo_speech import AGENT_SPEECH, AGENT_TEXT
from rtc_client.cli.exit_status import INTERNAL_ERROR, SCENARIO_NOT_MET, USAGE
from rtc_client.cli.signals import on_signals
from rtc_client.errors import ConfigError
from rtc_client.testing import (
    AfterCaller,
    AgentScript,
    AtTime,
    Clip,
    Echo,
    FakeAnswerer,
    ScenarioFailed,
    SpokenTurn,
    Tone,
    Voice,
    load_scenario,
)

_GREETING_AT_S: Final = 0.3
_MAX_REPLIES: Final = 100
_TONE_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class AnswerOptions:
    """The options as they were given."""

    port: int
    host: str
    voice: str | None = None
    text: str | None = field(default=None, repr=False)
    caller_text: str | None = field(default=None, repr=False)
    scenario: Path | None = None
    cassette: Path | None = None
    lenient: bool = False


def run_answer(options: AnswerOptions, *, verbose: bool) -> int:
    """Answer calls until a signal or a `POST /_shutdown` comes, and return the exit status.

    Without a scenario the agent greets when the call connects and replies whenever the caller has spoken and stopped.
    After a `POST /_shutdown` the status is 0, or `SCENARIO_NOT_MET`, with what was not met on stderr.
    """
    set_up_logging(verbose=verbose)
    try:
        return asyncio.run(_serve(_answerer(options)))
    except ConfigError as error:
        print_error("\n".join(f"rtc-client: {line}" for line in str(error).splitlines()))
    except OSError as error:
        print_error(f"rtc-client: cannot listen at {options.host} port {options.port}: {error.strerror}")
    return USAGE


def _answerer(options: AnswerOptions) -> FakeAnswerer:
    """Raises ConfigError for a scenario, a cassette or a voice that cannot be used."""
    host, port, lenient = options.host, options.port, options.lenient
    if options.cassette is not None:
        if (options.scenario, options.voice, options.text, options.caller_text) != (None, None, None, None):
            raise ConfigError(
                "--cassette says what the agent does: leave out --scenario, --voice, --text, --caller-text"
            )
        return FakeAnswerer(cassette=options.cassette, host=host, port=port, lenient=lenient)
    if options.scenario is None:
        script = _script(options.voice, options.text, options.caller_text)
        return FakeAnswerer(script=script, host=host, port=port, lenient=lenient)
    if (options.voice, options.text, options.caller_text) != (None, None, None):
        raise ConfigError("--scenario says what the agent does: leave out --voice, --text and --caller-text")
    scenario = load_scenario(options.scenario)
    return FakeAnswerer(scenario=scenario, check_on_exit=False, host=host, port=port, lenient=lenient)


async def _serve(answerer: FakeAnswerer) -> int:
    stopped = asyncio.Event()
    with on_signals(stopped.set) as signalled:
        async with answerer:
            ready = {
                "base_url": answerer.base_url,
                "backend_url": answerer.backend_url,
                "page_url": answerer.page_url,
                "port": answerer.port,
            }
            if print_line(json.dumps(ready), 0) != 0:
                print_error("rtc-client: nobody can be told where the answerer is")
                return INTERNAL_ERROR
            shutdown = asyncio.create_task(answerer.shutdown_asked.wait(), name="answer-shutdown")
            shutdown.add_done_callback(lambda _: stopped.set())
            try:
                await stopped.wait()
            finally:
                shutdown.cancel()
        return _verdict(answerer) if signalled.status is None else signalled.status


def _verdict(answerer: FakeAnswerer) -> int:
    """Say what was not met of the scenario; return the exit status."""
    try:
        answerer.check()
    except ScenarioFailed as failure:
        print_error(str(failure))
        return SCENARIO_NOT_MET
    return 0


def _script(name: str | None, text: str | None, caller_text: str | None) -> AgentScript:
    sound, words = _voice(name, text)
    if sound is None:
        return AgentScript(caller_text=caller_text)
    greeting = SpokenTurn(voice=sound, text=words, when=AtTime(_GREETING_AT_S))
    if isinstance(sound, Echo):
        return AgentScript(turns=[greeting], caller_text=caller_text)
    reply = SpokenTurn(voice=sound, text=words, when=AfterCaller())
    return AgentScript(turns=[greeting, *[reply] * _MAX_REPLIES], caller_text=caller_text)


def _voice(name: str | None, text: str | None) -> tuple[Voice | None, str]:
    if name is None:
        return Clip(AGENT_SPEECH), AGENT_TEXT if text is None else text
    words = text or ""
    if name == "none":
        return None, words
    if name == "echo":
        return Echo(), words
    if name.startswith("tone:"):
        try:
            return Tone(frequency_hz=frequency_hz("--voice", name.removeprefix("tone:")), duration_s=_TONE_S), words
        except ValueError as error:
            raise ConfigError(f"--voice {name} cannot be played: {error}") from None
    return Clip(Path(name)), words
