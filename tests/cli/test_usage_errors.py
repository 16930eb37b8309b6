"""Promise: what cannot work is refused with status 2 and one line that says what would, before any request was made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from rtc_client.testing import FakeAnswerer
from tests.cli.command import Finished, run

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
    "a recording that is no WAV": (["--out", "agent.mp3"], "agent.wav"),
    "a recording in no folder": (["--out", "missing/agent.wav"], "missing/agent.wav"),
    "events in no folder": (["--events", "missing/events.jsonl"], "missing/events.jsonl"),
    "instructions that are not there": (["--instructions", "@missing.txt"], "missing.txt"),
    "instructions that are no text": (["--instructions", "@binary.txt"], "UTF-8"),
    "a text with nowhere to go": (["--say", "hello", "--sideband", "off"], "--sideband"),
}


async def test_every_usage_error_is_told_before_any_request(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Status 2, one line, one JSON object, nothing secret in either, and a server that has seen nothing."""
    (tmp_path / "no.wav").write_text("no audio")
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    four_at_once = asyncio.Semaphore(4)

    async def refused(options: list[str], **how: Any) -> Finished:
        base = [] if "--base-url" in options else ["--base-url", answerer.base_url]
        async with four_at_once:
            return await run("call", "--json", *base, *options, before=_in_folder(tmp_path), **how)

    keys = {"no key": None, "an empty key": "", "a key with a space": f"{SECRET} x", "a key with more": f"{SECRET}\n"}
    finished = await asyncio.gather(
        *(refused(options) for options, _ in CASES.values()), *(refused([], key=key) for key in keys.values())
    )

    says = {name: word for name, (_, word) in CASES.items()} | dict.fromkeys(keys, "API key")
    for (name, word), ended in zip(says.items(), finished, strict=True):
        assert (ended.status, len(ended.lines)) == (2, 1), (name, ended)
        assert ended.lines[0].startswith("rtc-client: "), (name, ended)
        assert word in ended.lines[0], (name, ended)
        assert SECRET not in ended.stderr + ended.stdout, name
        assert ended.report["error"]["type"] in ("ConfigError", "AudioFileUnreadable"), (name, ended)
        assert ended.report["error"]["message"] == ended.lines[0].removeprefix("rtc-client: "), (name, ended)
        assert ended.report["call_id"] is None
    assert answerer.requests == []
    assert answerer.handshakes == []


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


def _in_folder(folder: Path) -> tuple[str, ...]:
    """Return what starts a command in another folder."""
    return ("bash", "-c", 'cd -- "$0" && exec "$@"', str(folder))
