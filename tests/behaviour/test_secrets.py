"""Promise: the key, the headers of the user and what is said are in no log record, no repr and no error text.

In real time: `test_a_whole_call_logged_in_full_shows_no_secret_and_no_word`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

import pytest

from rtc_client import (
    AnswerInvalid,
    ArraySource,
    CallConfig,
    CallLost,
    IceServer,
    OfferRejected,
    RtcClientError,
    connect,
)
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn, VadSettings
from tests.behaviour.calls import API_KEY, cancel_and_wait, config_for
from tests.behaviour.logs import everything_in
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS

INSTRUCTIONS: Final = "PLAIN-INSTRUCTIONS-7731"


HEADER: Final = "plain-header-value-5520"


PROVIDER_KEY: Final = "plain-query-value-9184"


AGENT_TEXT: Final = "PLAIN-AGENT-WORDS-2207"


CALLER_TEXT: Final = "PLAIN-CALLER-WORDS-6142"


SENT_TEXT: Final = "PLAIN-SENT-WORDS-8896"


SERVER_TEXT: Final = "PLAIN-SERVER-WORDS-3015"


SESSION_ID: Final = "plain-session-4471"


SECRETS: Final = (API_KEY, INSTRUCTIONS, HEADER, PROVIDER_KEY, SESSION_ID)


SPEECH: Final = (AGENT_TEXT, CALLER_TEXT, SENT_TEXT, SERVER_TEXT)


def secret_config(answerer: FakeAnswerer) -> CallConfig:
    """Return a config full of secrets."""
    return config_for(
        answerer,
        instructions=INSTRUCTIONS,
        headers={"x-provider-key": HEADER},
        query={"api-key": PROVIDER_KEY},
        session_id=SESSION_ID,
        linger_s=0.5,
    )


def leaks_in(text: str) -> set[str]:
    """Return which of the secrets, and of the words of the call, are in a text."""
    return {secret for secret in (*SECRETS, *SPEECH) if secret in text}


@pytest.mark.both_clocks
async def test_a_whole_call_logged_in_full_shows_no_secret_and_no_word(
    answerer: FakeAnswerer, caplog: pytest.LogCaptureFixture
) -> None:
    """With every logger of the process at DEBUG, also those of the libraries below us, nothing is given away."""
    answerer.script = AgentScript(
        turns=[
            SpokenTurn(text=AGENT_TEXT, when=AtTime(0.0)),
            SpokenTurn(voice=Clip(AGENT_WORDS), text=AGENT_TEXT, when=AfterCaller()),
        ],
        caller_text=CALLER_TEXT,
        hearing=VadSettings(silence_s=0.2),
    )
    with caplog.at_level(logging.DEBUG), _all_loggers_at_debug():
        async with connect(secret_config(answerer), source=ArraySource(CALLER_WORDS)) as call:
            await call.say(SENT_TEXT)
            answered = await answerer.wait_for_call()
            await answered.wait_sent(lambda event: event.get("transcript") == CALLER_TEXT)
            await answered.send_event({"type": "error", "error": {"message": SERVER_TEXT}})
            await answered.send_event({"type": "secret.event", "words": SERVER_TEXT})
            answered.drop_sideband()
            await answered.sideband_joined(times=2)
            result = await call.wait_ended()

    assert {entry.text for entry in result.transcript} >= {AGENT_TEXT, CALLER_TEXT}
    assert len(caplog.records) > 10
    leaks = {(record.name, record.getMessage()[:80]) for record in caplog.records if leaks_in(everything_in(record))}
    assert leaks == set()


async def test_calls_that_fail_log_no_secret(answerer: FakeAnswerer, caplog: pytest.LogCaptureFixture) -> None:
    """A refusal that repeats our key, a redirect, a broken answer, a lost call and a cancelled one give nothing."""
    errors: list[BaseException] = []
    with caplog.at_level(logging.DEBUG), _all_loggers_at_debug():
        answerer.faults.refuse_post(401, body=f'{{"error":{{"message":"bad key {API_KEY} for {HEADER}"}}}}')
        errors.append(await _failing(answerer, OfferRejected))
        answerer.faults.redirect_post(f"http://elsewhere.invalid/{API_KEY}")
        errors.append(await _failing(answerer, OfferRejected))
        answerer.faults.change_answer(f"v=0\r\ns={API_KEY}\r\n")
        errors.append(await _failing(answerer, AnswerInvalid))
        answerer.faults.change_location(f"/v1/realtime/calls/{API_KEY}!")
        errors.append(await _failing(answerer, AnswerInvalid))
        answerer.faults.refuse_sideband(401, body=API_KEY)
        errors.append(await _failing(answerer, RtcClientError))
        with pytest.raises(CallLost) as lost:
            async with connect(secret_config(answerer)) as call:
                answered = answerer.calls[-1]
                await answered.wait_sent(lambda event: event["type"] == "session.updated")
                event: dict[str, object] = {
                    "type": "error",
                    "error": {"message": SERVER_TEXT, "code": "session_expired"},
                }
                await answered.send_event(event)
                await call.wait_ended()
        errors.append(lost.value)
        answerer.faults.hold_answer()
        dialing = asyncio.create_task(connect(secret_config(answerer)).__aenter__())
        await answerer.wait_for_request(n=len(answerer.requests) + 1)
        await cancel_and_wait(dialing)

    for error in errors:
        assert not leaks_in(f"{error} {error!r}"), type(error)
    leaks = {(record.name, record.getMessage()[:80]) for record in caplog.records if leaks_in(everything_in(record))}
    assert leaks == set()


async def test_nothing_that_a_program_would_print_shows_a_secret(answerer: FakeAnswerer) -> None:
    """repr and str of config, events, entries, frames and result."""
    answerer.script = AgentScript(turns=[SpokenTurn(text=AGENT_TEXT, when=AtTime(0.0))])
    config = secret_config(answerer)
    wire: list[object] = []

    async with connect(config, wire_log=wire.append) as call:
        await call.say(SENT_TEXT)
        answered = await answerer.wait_for_call()
        await answered.wait_sent(lambda event: event.get("transcript") == AGENT_TEXT)
        await answered.send_event({"type": "secret.event", "words": SERVER_TEXT})
        await answered.send_event({"type": "error", "error": {"message": SERVER_TEXT, "type": "x"}})
        await answered.send_event({"type": "conversation.item.added", "item": {"text": SERVER_TEXT}})
        await answered.hang_up()
        events = [event async for event in call.events()]

    assert len(events) > 6
    assert len(wire) > 6
    shown: list[object] = [config, call, call.result, *events, *call.transcript, *wire, *answerer.calls]
    assert {secret for thing in shown for secret in leaks_in(f"{thing!r} {thing}")} == set()
    assert "credential-1" not in repr(IceServer(url="turn:127.0.0.1:3478", username="u", credential="credential-1"))


async def _failing(answerer: FakeAnswerer, kind: type[RtcClientError]) -> RtcClientError:
    with pytest.raises(kind) as failed:
        async with connect(secret_config(answerer)) as call:
            await call.wait_ended()
    return failed.value


class _all_loggers_at_debug:  # noqa: N801 - used as a function would be
    """Every logger that exists at DEBUG while the block runs; a level that the library has set itself stays."""

    def __enter__(self) -> None:
        loggers = [logging.getLogger(name) for name in logging.root.manager.loggerDict]
        self._levels = [(logger, logger.level) for logger in loggers if not logger.name.startswith("rtc_client")]
        for logger, _ in self._levels:
            logger.setLevel(logging.DEBUG)

    def __exit__(self, *_: object) -> None:
        for logger, level in self._levels:
            logger.setLevel(level)
