"""The recordings of `tests/golden`, cut into calls; playing one to our client is `replay.py`'s."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

GOLDEN = Path(__file__).parent.parent / "golden"

Happening: TypeAlias = dict[str, Any]
"""One entry of a recording: `t`, `dir`, `kind` and what belongs to that kind."""


@dataclass(frozen=True, slots=True)
class Episode:
    """One call of a recording: from the application's start to the next, or to the end."""

    events: tuple[Happening, ...]

    def all(self, *kinds: str, direction: str | None = None) -> list[Happening]:
        """Return what is of these kinds, in order."""
        return [e for e in self.events if e["kind"] in kinds and direction in (None, e["dir"])]

    @property
    def post(self) -> Happening:
        """The first request of the offer."""
        return self.all("http_request")[0]

    @property
    def handshake(self) -> Happening:
        """The first request to join the sideband."""
        return self.all("ws_open")[0]

    @property
    def sent_frames(self) -> list[str]:
        """The texts the reference client sent over its sideband."""
        return [e["text"] for e in self.all("ws_text", direction="c2s")]

    @property
    def told(self) -> list[tuple[str, dict[str, Any]]]:
        """What the application above the reference client was told, in order: method and parameters."""
        told = []
        for e in self.all("notification"):
            params = {name: value for name, value in e["params"].items() if name != "threadId"}
            told.append((e["method"].removeprefix("thread/realtime/"), params))
        return told

    @property
    def error(self) -> str:
        """The message the application was told."""
        message: str = next(params["message"] for method, params in self.told if method == "error")
        return message

    @property
    def session_id(self) -> str:
        value: str = dict(self.post["headers"])["x-session-id"]
        return value

    @property
    def session(self) -> dict[str, Any]:
        """The session object of the offer."""
        body: str = self.post["body"]
        value: dict[str, Any] = json.JSONDecoder().raw_decode(body[body.index('{"audio"') :])[0]
        return value


@cache
def episodes(name: str) -> tuple[Episode, ...]:
    """Return the calls of a recording, by the name of its file."""
    recording = json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))
    assert recording["codex_version"] == "0.144.0"
    calls: list[list[Happening]] = []
    for event in recording["events"]:
        if event["kind"] == "rpc_request" and event["method"] == "thread/realtime/start":
            calls.append([])
        if calls:
            calls[-1].append(event)
    return tuple(Episode(tuple(call)) for call in calls)


def episode(name: str) -> Episode:
    """Return the only call of a recording."""
    (only,) = episodes(name)
    return only
