"""The promise that the judge demands nothing that the reference client does not do: its recordings pass, every one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from rtc_client.testing import SeenRequest, Violation
from rtc_client.testing.rules.requests import (
    call_id_of,
    check_first_frame,
    check_handshake,
    check_later_frame,
    check_post,
    check_posted_offer,
)
from rtc_client.testing.rules.retries import Tries
from rtc_client.testing.wire.posted_offer import read_offer
from rtc_client.testing.wire.server_events import requested_handoff

GOLDEN = Path(__file__).parent.parent / "golden"
RECORDINGS = sorted(path.stem for path in GOLDEN.glob("*.json"))
AVAS = [name for name in RECORDINGS if not name.startswith("m_ws_")]


def seen(event: dict[str, Any]) -> SeenRequest:
    """A recorded request as an answerer sees it; the host's port was cut from recordings, no byte of the body."""
    method, target, version = event["line"].split(" ")
    headers = [(name, value.replace("PORT", "4321")) for name, value in event["headers"] if name != "<cut>"]
    body = event.get("body", "").encode()
    return SeenRequest(
        method=method,
        target=target,
        headers=headers,
        body=body,
        at_s=event["t"],
        http_version=version.removeprefix("HTTP/"),
    )


class Judged:
    """A recording, read as the answerer would have: what was judged, and what was found."""

    def __init__(self, name: str) -> None:
        self.violations: list[Violation] = []
        self.n_judged = 0
        self.call_ids: set[str | None] = set()
        self._tries = Tries()
        self._post: SeenRequest | None = None
        self._handshake: SeenRequest | None = None
        self._session: dict[str, object] = {}
        self._is_first = False
        self._handoffs: set[str] = set()
        for event in json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))["events"]:
            self._take(event)

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"dir": "c2s", "kind": "http_request", "line": str() as line} if "/realtime/calls?" in line:
                self._post = seen(event)
                offer = read_offer(self._post)
                self._session = offer.session
                self._find(check_post(self._post), check_posted_offer(offer), self._tries.post_came(self._post))
            case {"dir": "s2c", "kind": "http_response", "status": int() as status} if self._post is not None:
                self._tries.post_answered(self._post, status)
                self.call_ids |= {call_id_of(v) for n, v in event.get("headers", []) if n.lower() == "location"}
            case {"dir": "c2s", "kind": "ws_open"}:
                self._handshake = seen(event)
                call_id = dict(self._handshake.query).get("call_id", "")
                assert self._post is None or call_id in self.call_ids
                self._find(
                    check_handshake(self._handshake, self._post), self._tries.handshake_came(self._handshake, call_id)
                )
                self._is_first = True
            case {"dir": "s2c", "kind": "ws_accept" | "http_response"} if self._handshake is not None:
                call_id = dict(self._handshake.query).get("call_id", "")
                self._tries.handshake_answered(self._handshake, call_id, event.get("status", 101))
            case {"dir": "c2s", "kind": "ws_text", "text": str() as text}:
                self._find(
                    check_first_frame(text, self._session)
                    if self._is_first
                    else check_later_frame(text, self._handoffs)
                )
                self._is_first = False
            case {"dir": "s2c", "kind": "ws_text", "text": str() as text}:
                self._handoffs |= {handoff for handoff in [requested_handoff(text)] if handoff is not None}

    def _find(self, *found: list[Violation]) -> None:
        self.n_judged += 1
        for violations in found:
            self.violations += violations


@pytest.mark.parametrize("name", AVAS)
def test_nothing_that_the_reference_client_sends_is_a_violation(name: str) -> None:
    """Requests, bodies, handshakes, frames, and when it tries again."""
    assert Judged(name).violations == []


def test_the_recordings_hold_something_to_judge() -> None:
    """All but those of calls that the reference client refuses before it sends anything."""
    silent = {name for name in AVAS if not Judged(name).n_judged}

    assert silent <= {"b_v2_on_webrtc_param", "c_voices"}
    assert sum(Judged(name).n_judged for name in AVAS) > 80


def test_the_direct_websocket_is_not_this_protocol() -> None:
    """A handshake without a call is what its recording shows, and it is a violation."""
    assert {(v.section, v.message) for v in Judged("m_ws_v1").violations} >= {
        ("1.5", "the query must not hold model"),
        ("1.3", "the query must end with call_id, and name it once"),
    }
