"""`rtc-client demo`: one call to the embedded fake answerer, and what it leaves in a folder."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from rtc_client.audio.sinks.basic import WavSink
from rtc_client.audio.sources.basic import FileSource
from rtc_client.call.connect import connect
from rtc_client.call.recording.recorder import CallRecorder
from rtc_client.call.result import CallResult
from rtc_client.cli.commands.call import print_result, run_until_end
from rtc_client.cli.commands.parsing import set_up_logging
from rtc_client.cli.console.stdio import print_error
from rtc_client.cli.demo_speech import AGENT_SPEECH, AGENT_TEXT, CALLER_SPEECH, CALLER_TEXT
from rtc_client.cli.exit_status import as_json, exit_status, failure
from rtc_client.config import CallConfig
from rtc_client.delegates.handoff_request import HandoffRequest, Progress
from rtc_client.errors import ConfigError
from rtc_client.testing import AfterCaller, Clip, FakeAnswerer, RequestHandoff, Scenario, SpokenTurn

_KEY: Final = "demo-key-for-the-fake-answerer"
_LINGER_S: Final = 1.5
_MAX_DURATION_S: Final = 30.0
_HOURS: Final = "On Sunday the museum opens at ten, the tour is at noon."


def _look_up(request: HandoffRequest) -> Iterator[str]:
    """Do what the agent asks for before it answers the caller."""
    yield Progress("Looking it up.")
    yield _HOURS


def run_demo(folder: Path, *, json: bool, quiet: bool, verbose: bool) -> int:
    """Place the call, write the folder, tell the result, and return the exit status."""
    set_up_logging(verbose=verbose)
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigError(f"the folder {folder} cannot be made: {error.strerror}") from None
        result, signalled = asyncio.run(_demo_call(folder, quiet=quiet))
    except ConfigError as error:
        return print_result(failure(error), None, json=json, quiet=quiet)
    report = as_json(result, exit_status(result, signalled=signalled))
    (folder / "call.json").write_text(report + "\n", encoding="utf-8")
    status = print_result(result, signalled, json=json, quiet=quiet)
    if not quiet:
        print_error(f"written   {folder}/call.ogg, call.vtt, caller.wav, agent.wav, call.json, events.jsonl")
    return status


async def _demo_call(folder: Path, *, quiet: bool) -> tuple[CallResult, int | None]:
    scenario = Scenario(
        steps=[
            RequestHandoff(input_transcript="the opening hours on Sunday", answer=_HOURS, when=AfterCaller()),
            SpokenTurn(voice=Clip(AGENT_SPEECH), text=AGENT_TEXT),
        ],
        caller_text=CALLER_TEXT,
    )
    async with FakeAnswerer(scenario=scenario, check_on_exit=False) as answerer:
        config = CallConfig(
            api_key=_KEY,
            base_url=answerer.base_url,
            instructions="You are the voice of a demonstration.",
            linger_s=_LINGER_S,
            max_duration_s=_MAX_DURATION_S,
        )
        call = connect(
            config,
            source=FileSource(CALLER_SPEECH),
            sink=WavSink(folder / "agent.wav"),
            caller_sink=WavSink(folder / "caller.wav"),
            recorder=CallRecorder(folder),
            metered=True,
            handoff=_look_up,
        )
        return await run_until_end(call, (), quiet=quiet)
