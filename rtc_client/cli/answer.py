"""`rtc-client answer`: the fake answerer for programs that are not written in Python."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from rtc_client.audio.assets import AGENT_SPEECH, AGENT_TEXT
from rtc_client.cli.call import frequency_hz, set_up_logging
from rtc_client.cli.outcome import INTERNAL_ERROR, USAGE
from rtc_client.cli.signals import on_signals
from rtc_client.cli.streams import complain, say
from rtc_client.errors import ConfigError
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, Echo, FakeAnswerer, SpokenTurn, Tone, Voice

_GREETING_AT_S: Final = 0.3
_MAX_REPLIES: Final = 100
_TONE_S: Final = 2.0


def run_answer(
    port: int, host: str, *, voice: str | None, text: str | None, caller_text: str | None, verbose: bool
) -> int:
    """Answer calls until a signal or a `POST /_shutdown` comes; return the exit status, 0 for the latter.

    The agent greets when the call connects and replies whenever the caller has spoken and stopped.
    """
    set_up_logging(verbose=verbose)
    try:
        return asyncio.run(_serve(port, host, _script(voice, text, caller_text)))
    except ConfigError as error:
        print(f"rtc-client: {error}", file=sys.stderr)
    except OSError as error:
        print(f"rtc-client: cannot listen at {host} port {port}: {error.strerror}", file=sys.stderr)
    return USAGE


async def _serve(port: int, host: str, script: AgentScript) -> int:
    stopped = asyncio.Event()
    with on_signals(stopped.set) as signalled:
        async with FakeAnswerer(script=script, host=host, port=port) as answerer:
            ready = {
                "base_url": answerer.base_url,
                "backend_url": answerer.backend_url,
                "page_url": answerer.page_url,
                "port": answerer.port,
            }
            if say(json.dumps(ready), 0) != 0:
                complain("rtc-client: nobody can be told where the answerer is")
                return INTERNAL_ERROR
            shutdown = asyncio.create_task(answerer.shutdown_asked.wait(), name="answer-shutdown")
            shutdown.add_done_callback(lambda _: stopped.set())
            try:
                await stopped.wait()
            finally:
                shutdown.cancel()
        return signalled.status or 0


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
