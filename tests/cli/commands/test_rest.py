"""Promises of `hangup` and `secret`: one request beside a call, told in a line or an object, with an exit status."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rtc_client import connect
from rtc_client.testing import CallEnd, FakeAnswerer, SipState
from tests.behaviour.calls import config_for
from tests.cli.command import KEY, run

pytestmark = pytest.mark.programs


async def test_hangup_ends_a_call_of_another_program(answerer: FakeAnswerer) -> None:
    """By its id and a key; the call is over for its caller."""
    async with connect(config_for(answerer)) as call:
        assert call.call_id is not None
        finished = await run("hangup", call.call_id, "--base-url", answerer.base_url)
        await call.wait_ended()

    assert (finished.status, finished.stdout, finished.stderr) == (0, f"call {call.call_id} is hung up\n", "")
    assert await answerer.calls[0].ended() is CallEnd.CLIENT_HANGUP


async def test_hangup_as_json(answerer: FakeAnswerer) -> None:
    """One object, also when the service refuses, with its words and status."""
    ringing = answerer.ring()
    done = await run("hangup", ringing.call_id, "--json", env={"OPENAI_BASE_URL": answerer.base_url})
    refused = await run("hangup", ringing.call_id, "--json", "--base-url", answerer.base_url)

    assert (done.status, ringing.state) == (0, SipState.HUNG_UP)
    assert json.loads(done.stdout) == {"call_id": ringing.call_id, "exit_status": 0, "error": None}
    assert refused.status == 3
    message = "the service refused to hang up with HTTP 404: no such call"
    assert json.loads(refused.stdout) == {
        "call_id": ringing.call_id,
        "exit_status": 3,
        "error": {"type": "RequestRejected", "message": message, "status": 404},
    }
    assert refused.lines == [f"rtc-client: {message}"]


async def test_secret_is_printed_and_nothing_else(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """So that a script can take it; its session comes from a file."""
    file = tmp_path / "session.json"
    file.write_text('{"type": "transcription"}')
    options = ("--base-url", answerer.base_url, "--session", f"@{file}", "--expires-after", "30")
    plain = await run("secret", *options, "--verbose")
    as_json = await run("secret", *options, "--json")

    first, second = answerer.client_secrets
    assert (plain.status, plain.stdout) == (0, f"{first.value}\n")
    assert first.value not in plain.stderr
    assert KEY not in plain.stderr
    assert json.loads(as_json.stdout) == {
        "value": second.value,
        "expires_at": second.expires_at,
        "session": second.session,
        "exit_status": 0,
        "error": None,
    }
    assert second.session["type"] == "transcription"
    assert answerer.requests[0].header("authorization") == f"Bearer {KEY}"


@pytest.mark.parametrize(
    ("arguments", "key", "says"),
    [
        (("hangup", "rtc_1"), None, "set OPENAI_API_KEY"),
        (("hangup", "rtc/1"), KEY, "the call id is malformed"),
        (("secret", "--expires-after", "5"), KEY, "10 to 7200"),
        (("secret", "--session", "{"), KEY, "--session needs a JSON object"),
        (("secret", "--session", '{"type": "quicksilver"}'), KEY, "realtime or transcription"),
        (("secret", "--header", "authorization: Bearer x"), KEY, "never from the command line"),
    ],
)
async def test_what_cannot_work_is_a_usage_error(arguments: tuple[str, ...], key: str | None, says: str) -> None:
    """Nothing is sent: there is nobody at this base."""
    finished = await run(*arguments, "--base-url", "http://127.0.0.1:9/v1", key=key)

    assert finished.status == 2
    assert finished.stdout == ""
    assert len(finished.lines) == 1
    assert says in finished.stderr
