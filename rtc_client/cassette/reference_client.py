"""Reads a cassette from its folder, or from a recording of the reference client (one JSON file)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from rtc_client.cassette.cassette import KINDS, Cassette, JsonObject, WireEvent, load, read_json
from rtc_client.cassette.redaction import Redactor
from rtc_client.errors import CassetteUnusable


def read(path: Path | str) -> Cassette:
    """Return the cassette in a folder, or the first call of a recording of the reference client.

    Raises:
        CassetteUnusable: If it is neither, or the recording holds no offer.
        AudioFileUnreadable: If a voice that belongs to it cannot be read.
    """
    path = Path(path)
    if path.is_dir():
        return load(path)
    value = read_json(path)
    if "codex_version" not in value:
        raise CassetteUnusable(f"{path} is neither the folder of a cassette nor a recording of the reference client")
    try:
        return of_recording(value)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteUnusable(f"{path} is no recording that can be used: {error}") from error


def of_recording(recording: JsonObject) -> Cassette:
    """Return the first call of a recording.

    Raises:
        ValueError: If it holds no offer.
    """
    events: list[Any] = [one for one in recording["events"] if one["dir"] in ("c2s", "s2c") and one["kind"] in KINDS]  # type: ignore[attr-defined]
    posts = [n for n, one in enumerate(events) if one["kind"] == "http_request" and "/realtime/calls" in one["line"]]
    if not posts:
        raise ValueError("it holds no offer")
    sockets = [one["ws"] for one in events if one["kind"] == "ws_open"]
    events = [one for one in _ours(events[posts[0] :]) if one.get("ws", -1) in (-1, *sockets[:1])]
    post = events[0]
    sdp, session = _offer(post["body"])
    answers = [one for one in events if one["kind"] == "http_response" and one["status"] < 300]
    locations = [value for one in answers for name, value in one.get("headers", []) if name.lower() == "location"]
    call_id = re.search(r"rtc_[^/?]+", locations[0]) if locations else None
    strip = Redactor(call_id=call_id and call_id[0], session_id=dict(post["headers"]).get("x-session-id"))
    closed = next((one for one in events if one["kind"] in ("ws_close", "tcp_close")), None)
    return Cassette(
        recorded_by="reference",
        offer_sdp=strip.sdp(sdp),
        session=session,
        answer_sdp=strip.sdp(str(answers[0].get("body", ""))) if answers else None,
        happenings=tuple(_happening(one, post["t"], strip) for one in events),
        media_connected_s=None,
        ended_s=None if closed is None else closed["t"] - post["t"],
        ended_by="nobody" if closed is None else "client" if closed["dir"] == "c2s" else "server",
    )


def _ours(events: list[Any]) -> list[Any]:
    """Leave out the reference client's requests to its own model, and their answers."""
    kept, is_ours = [], True
    for one in events:
        if one["kind"] == "http_request":
            is_ours = "/realtime" in one["line"]
        if is_ours or one["kind"] not in ("http_request", "http_response"):
            kept.append(one)
    return kept


def _offer(body: str) -> tuple[str, JsonObject]:
    if body.startswith("{"):
        whole = json.loads(body)
        return whole["sdp"], whole["session"]
    fence = body.partition("\r\n")[0]
    parts = [part.partition("\r\n\r\n")[2].removesuffix("\r\n") for part in body.split(fence)]
    return parts[1], json.loads(parts[2])


def _happening(event: dict[str, Any], began_s: float, strip: Redactor) -> WireEvent:
    kind = event["kind"]
    fields: JsonObject = {}
    if "line" in event:
        fields["method"], target, _ = event["line"].split(" ")
        fields["target"] = strip.target(target)
    if "headers" in event:
        fields["headers"] = strip.headers((name, value) for name, value in event["headers"] if name != "<cut>")
    if kind == "ws_text":
        fields |= frame_fields(event["text"], strip)
    elif kind == "ws_binary":
        fields["base64"] = ""
    fields |= {name: event[name] for name in ("status", "code", "reason") if name in event}
    return WireEvent(at_s=event["t"] - began_s, direction=event["dir"], kind=kind, fields=fields)


def frame_fields(text: str, strip: Redactor) -> JsonObject:
    """Return a text frame as a cassette holds it: the JSON value as `event`, or the `text` that is none."""
    try:
        return {"event": strip.value(json.loads(text))}
    except (ValueError, RecursionError):
        return {"text": strip.text(text)}
