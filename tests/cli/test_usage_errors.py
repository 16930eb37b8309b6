"""Promise: what cannot work is refused with status 2 and one line that says what would, before any request was made."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path

import pytest

from rtc_client.cli.main import main
from rtc_client.testing import FakeAnswerer
from tests.cli.command import KEY, Finished, run

pytestmark = pytest.mark.programs

SECRET = "sk-must-not-be-shown"

CASES: dict[str, tuple[list[str], str]] = {
    "a malformed header": (["--header", "nonsense"], "--header"),
    "the key on the command line": (["--header", f"Authorization: Bearer {SECRET}"], "OPENAI_API_KEY"),
    "the key in other letters": (["--header", f"aUTHORIZATION:{SECRET}"], "OPENAI_API_KEY"),
    "a header that frames the request": (["--header", "Content-Length: 3"], "Content-Length"),
    "a header with a line break": (["--header", "x-a: 1\r\nx-b: 2"], "x-a"),
    "a malformed query": (["--query", "nonsense"], "--query"),
    "a query parameter of ours": (["--query", "intent=other"], "intent"),
    "a v2 voice": (["--voice", "marin"], "cove"),
    "an unknown voice": (["--voice", "nobody"], "cove"),
    "an insecure URL": (["--base-url", "http://example.com/v1"], "--allow-insecure"),
    "an insecure sideband": (["--sideband-url", "ws://example.com/v1/realtime"], "--allow-insecure"),
    "no URL at all": (["--base-url", "nonsense"], "URL"),
    "an unknown policy": (["--sideband", "perhaps"], "require"),
    "an unknown option": (["--nonsense"], "--nonsense"),
    "an argument too many": (["nonsense"], "nonsense"),
    "a value that is missing": (["--out"], "--out"),
    "a duration that is no number": (["--max-duration", "long"], "--max-duration"),
    "a duration of nothing": (["--max-duration", "0"], "duration"),
    "a negative linger time": (["--linger", "-1"], "linger"),
    "a file that is not there": (["--in", "missing.wav"], "missing.wav"),
    "a file that is no audio": (["--wav", "no.wav"], "no.wav"),
    "a folder for a file": (["--in", "."], ""),
    "a tone without a number": (["--in", "tone:loud"], "tone:440"),
    "a tone nobody can hear": (["--in", "tone:99999"], "99999"),
    "two sources": (["--in", "silence", "--wav", "no.wav"], "--wav"),
    "a source behind one without an end": (["--in", "silence", "--in", "no.wav"], "never ends"),
    "a file to be said that is not there": (["--say-file", "missing.wav"], "missing.wav"),
    "a key to talk without a terminal": (["--push-to-talk"], "terminal"),
    "a hold sound that is no audio": (["--hold", "no.wav"], "no.wav"),
    "an unknown way to interrupt": (["--barge-in", "shout"], "server"),
    "a recording that is no WAV": (["--out", "agent.mp3"], "agent.wav"),
    "a recording in no folder": (["--out", "missing/agent.wav"], "missing/agent.wav"),
    "events in no folder": (["--events", "missing/events.jsonl"], "missing/events.jsonl"),
    "a transcript in a format that is none": (["--transcript", "talk.srt"], ".vtt"),
    "a transcript in no folder": (["--transcript", "missing/talk.txt"], "missing/talk.txt"),
    "instructions that are not there": (["--instructions", "@missing.txt"], "missing.txt"),
    "instructions that are no text": (["--instructions", "@binary.txt"], "UTF-8"),
    "a handoff to a program that is not there": (
        ["--handoff-command", "no-such-program-anywhere x"],
        "no-such-program",
    ),
    "a handoff to a program in an open quote": (["--handoff-command", "echo 'x"], "words"),
    "a handoff to two": (["--handoff-command", "cat", "--handoff-openai", "m"], "--handoff-openai"),
    "a handoff that nobody can ask for": (["--handoff-command", "cat", "--sideband", "off"], "sideband"),
    "a text with nowhere to go": (["--say", "hello", "--sideband", "off"], "--sideband"),
}


KEYS: dict[str, str | None] = {
    "no key": None,
    "an empty key": "",
    "a key with a space": f"{SECRET} x",
    "a key and a line break": f"{SECRET}\n",
}

AS_PROCESSES = ("the key on the command line", "a file that is no audio")
KEYS_AS_PROCESSES = ("no key", "a key and a line break")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with files that cannot be used."""
    (tmp_path / "no.wav").write_text("no audio")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    return tmp_path


async def test_a_usage_error_of_the_process_is_told_before_any_request(answerer: FakeAnswerer, folder: Path) -> None:
    """Options and keys that cannot work, each in a process of its own, and a server that has seen nothing."""
    base = ("call", "--json", "--base-url", answerer.base_url)
    before = ("bash", "-c", 'cd -- "$0" && exec "$@"', str(folder))
    finished = await asyncio.gather(
        *(run(*base, *CASES[name][0], before=before) for name in AS_PROCESSES),
        *(run(*base, key=KEYS[name]) for name in KEYS_AS_PROCESSES),
    )

    says = [CASES[name][1] for name in AS_PROCESSES] + ["API key"] * len(KEYS_AS_PROCESSES)
    for word, ended in zip(says, finished, strict=True):
        _check(ended, word)
    assert answerer.requests == []
    assert answerer.handshakes == []


@pytest.mark.parametrize("name", CASES)
def test_every_usage_error_is_told_before_anybody_is_connected_to(
    name: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Status 2, one line, one JSON object, nothing secret in either, and nobody has come to the server's port."""
    options, word = CASES[name]
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        base_url = f"http://127.0.0.1:{server.getsockname()[1]}/v1"
        _check(_in_process(["call", "--json", "--base-url", base_url, *options], monkeypatch, capfd), word)
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", KEYS)
def test_a_key_that_cannot_be_one_is_told(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """None, an empty one, and one that no header can carry."""
    key = KEYS[name]
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("OPENAI_API_KEY", key)

    _check(_in_process(["call", "--json", "--base-url", "http://127.0.0.1:1/v1"], monkeypatch, capfd), "API key")


def _in_process(arguments: list[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Finished:
    """Run the command within this process, which takes a hundredth of the time of one of its own."""
    logger = logging.getLogger("rtc_client")
    level = logger.level
    monkeypatch.setattr(sys, "argv", ["rtc-client", *arguments])
    try:
        with pytest.raises(SystemExit) as exited:
            main()
    finally:
        logger.setLevel(level)
    stdout, stderr = capfd.readouterr()
    assert isinstance(exited.value.code, int)
    return Finished(exited.value.code, stdout, stderr, 0.0)


def _check(ended: Finished, word: str) -> None:
    assert (ended.status, len(ended.lines)) == (2, 1), ended
    assert ended.lines[0].startswith("rtc-client: "), ended
    assert word in ended.lines[0], ended
    assert SECRET not in ended.stderr + ended.stdout
    assert ended.report["error"]["type"] in ("ConfigError", "AudioFileUnreadable"), ended
    assert ended.report["error"]["message"] == ended.lines[0].removeprefix("rtc-client: "), ended
    assert ended.report["call_id"] is None


async def test_without_json_nothing_is_printed_on_stdout(answerer: FakeAnswerer) -> None:
    """An error is for stderr."""
    finished = await asyncio.gather(run("call", "--voice", "x"), run("call", "--nonsense"), run("nonsense"))

    assert [(ended.status, ended.stdout, len(ended.lines)) for ended in finished] == [(2, "", 1)] * 3


async def test_help_and_version_are_no_errors() -> None:
    """Every verb explains itself on stdout, with the exit statuses; so does the command alone."""
    verbs: tuple[list[str], ...] = (["--help"], ["call", "--help"], ["demo", "-h"], ["answer", "--help"], [])
    finished = await asyncio.gather(*(run(*verb, key=None) for verb in verbs), run("--version", key=None))

    assert [ended.status for ended in finished] == [0] * 6
    assert [ended.stderr for ended in finished] == [""] * 6
    for ended in finished[1:4]:
        assert "exit status" in " ".join(ended.stdout.split())
    assert "--max-duration" in finished[1].stdout
    assert "call" in finished[4].stdout
