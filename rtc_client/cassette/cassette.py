"""Cassette: one recorded call and its folder (`cassette.json`, `agent.opus`, `caller.opus`).

Version 1 of the format, as docs/cassettes.md of the fake answerer describes it. All methods block.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeAlias, cast, get_args

from rtc_client.audio.codecs.opus_packet import CLOCK_RATE_HZ, MIN_PACKET_SAMPLES, fillers, packet_samples
from rtc_client.audio.files.ogg_opus import OggOpusWriter, read_stream
from rtc_client.errors import CassetteUnusable

JsonObject: TypeAlias = dict[str, object]

FORMAT: Final = "rtc-client cassette"
VERSION: Final = 1
FILE: Final = "cassette.json"
MAX_BYTES: Final = 64 * 1024 * 1024
"""A longer `cassette.json` is none of ours."""

Kind: TypeAlias = Literal[
    "http_request", "http_response", "ws_open", "ws_accept", "ws_text", "ws_binary", "ws_close", "tcp_close"
]
KINDS: Final = frozenset(get_args(Kind))


@dataclass(frozen=True, slots=True, kw_only=True)
class WireEvent:
    """One thing that went over the wire."""

    at_s: float
    """Seconds since the offer was posted."""
    direction: Literal["c2s", "s2c"]
    """`c2s` is what the client sent."""
    kind: Kind
    fields: JsonObject = field(default_factory=dict, repr=False)
    """What belongs to the kind: `method`, `target`, `headers`, `status`; `event`, `text`, `base64`; `code`."""

    @property
    def is_frame(self) -> bool:
        """Whether it is a frame of the sideband with content."""
        return self.kind in ("ws_text", "ws_binary")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """One voice, as packets."""

    begins_s: float
    """When the first packet was sent or came, in seconds since the offer was posted."""
    packets: tuple[tuple[bytes, int], ...] = field(repr=False)
    """Opus packets and how long each lasts, at 48 kHz; where nothing was sent stand empty ones, or silence."""

    @property
    def duration_s(self) -> float:
        """How long it lasts."""
        return sum(n_samples for _, n_samples in self.packets) / CLOCK_RATE_HZ


@dataclass(frozen=True, slots=True, kw_only=True)
class Cassette:
    """A call as it was recorded."""

    recorded_by: Literal["answerer", "client", "reference"]
    """Which side wrote it; `reference` for a recording of the reference client."""
    offer_sdp: str = field(repr=False)
    session: JsonObject = field(repr=False)
    """The session object of the POST."""
    answer_sdp: str | None = field(repr=False)
    """None: the offer got no answer."""
    happenings: tuple[WireEvent, ...] = field(repr=False)
    """In order."""
    media_connected_s: float | None
    """When media connected, in seconds since the offer was posted; None if it never did."""
    ended_s: float | None
    ended_by: Literal["client", "server", "nobody"]
    agent: Sound | None = None
    """What the agent said, as packets."""
    caller: Sound | None = None
    """What the caller said, as packets."""

    def save(self, folder: Path | str) -> None:
        """Write the cassette into a folder, which is made if need be, over a cassette that was there.

        Raises:
            CassetteUnusable: If that cannot be done, or the folder holds something else.
        """
        folder = Path(folder)
        try:
            check_replaceable(folder)
            for name, sound in (("agent", self.agent), ("caller", self.caller)):
                if sound is None:
                    (folder / f"{name}.opus").unlink(missing_ok=True)
                else:
                    _write_sound(folder / f"{name}.opus", sound)
            (folder / FILE).write_text(_dump(self._as_json()), encoding="utf-8")
        except OSError as error:
            raise CassetteUnusable(f"the cassette {folder} cannot be written: {error.strerror or error}") from error

    def _as_json(self) -> JsonObject:
        return {
            "format": FORMAT,
            "version": VERSION,
            "recorded_by": self.recorded_by,
            "media_connected_s": _rounded(self.media_connected_s),
            "ended_s": _rounded(self.ended_s),
            "ended_by": self.ended_by,
            "agent_begins_s": None if self.agent is None else _rounded(self.agent.begins_s),
            "caller_begins_s": None if self.caller is None else _rounded(self.caller.begins_s),
            "offer_sdp": self.offer_sdp.splitlines(),
            "answer_sdp": None if self.answer_sdp is None else self.answer_sdp.splitlines(),
            "session": self.session,
            "events": [
                {"t": _rounded(one.at_s), "dir": one.direction, "kind": one.kind, **one.fields}
                for one in self.happenings
            ],
        }


def _dump(value: JsonObject) -> str:
    """Return JSON with a line for each key, and one for each item of a list: versions of a cassette can be compared."""
    lines = []
    for key, one in value.items():
        items = ",\n".join(f"  {json.dumps(item, ensure_ascii=False)}" for item in one) if isinstance(one, list) else ""
        lines.append(f' "{key}": ' + (f"[\n{items}\n ]" if items else json.dumps(one, ensure_ascii=False)))
    return "{\n" + ",\n".join(lines) + "\n}\n"


def check_replaceable(folder: Path) -> None:
    """Return if a cassette can be written into a folder, which is made if need be.

    Raises:
        CassetteUnusable: If the folder holds something else.
        OSError: If it cannot be made or read.
    """
    if folder.exists() and (not folder.is_dir() or (any(folder.iterdir()) and not (folder / FILE).exists())):
        raise CassetteUnusable(f"{folder} is no cassette, and is not overwritten: name another folder")
    folder.mkdir(parents=True, exist_ok=True)


def load(folder: Path | str) -> Cassette:
    """Return the cassette in a folder.

    Raises:
        CassetteUnusable: If there is none, or it is damaged, or of a later version.
        AudioFileUnreadable: If a voice that belongs to it cannot be read.
    """
    folder = Path(folder)
    value = read_json(folder / FILE)
    if value.get("format") != FORMAT:
        raise CassetteUnusable(f"{folder} holds no cassette: its {FILE} does not say so")
    if value.get("version") != VERSION:
        raise CassetteUnusable(f"{folder} is a cassette of version {value.get('version')!r}, and {VERSION} is known")
    try:
        return _parse(value, folder)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CassetteUnusable(f"{folder} is damaged: {FILE} is not as a cassette's must be ({error})") from error


def read_json(path: Path) -> JsonObject:
    """Return the JSON object in a file.

    Raises:
        CassetteUnusable: If it is none.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise CassetteUnusable(f"{path} is longer than any cassette")
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise CassetteUnusable(f"{path} cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise CassetteUnusable(f"{path} is not JSON") from error
    if not isinstance(value, dict):
        raise CassetteUnusable(f"{path} holds no JSON object")
    return value


def _parse(value: JsonObject, folder: Path) -> Cassette:
    recorded_by, ended_by = value["recorded_by"], value["ended_by"]
    if recorded_by not in ("answerer", "client", "reference") or ended_by not in ("client", "server", "nobody"):
        raise ValueError("recorded_by or ended_by")
    session, events = value["session"], value["events"]
    if not isinstance(session, dict) or not isinstance(events, list):
        raise TypeError("session or events")
    answer = value["answer_sdp"]
    return Cassette(
        recorded_by=recorded_by,
        offer_sdp=_joined(value["offer_sdp"]),
        session=session,
        answer_sdp=None if answer is None else _joined(answer),
        happenings=tuple(_happening(event) for event in events),
        media_connected_s=_seconds(value["media_connected_s"]),
        ended_s=_seconds(value["ended_s"]),
        ended_by=ended_by,
        agent=_read_sound(folder / "agent.opus", _seconds(value["agent_begins_s"])),
        caller=_read_sound(folder / "caller.opus", _seconds(value["caller_begins_s"])),
    )


def _happening(event: JsonObject) -> WireEvent:
    fields = dict(event)
    at_s, direction, kind = fields.pop("t"), fields.pop("dir"), fields.pop("kind")
    if not isinstance(at_s, int | float) or direction not in ("c2s", "s2c") or kind not in KINDS:
        raise ValueError("t, dir or kind of an event")
    return WireEvent(at_s=float(at_s), direction=direction, kind=cast("Kind", kind), fields=fields)


def _joined(lines: object) -> str:
    if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
        raise TypeError("the lines of an SDP")
    return "".join(f"{line}\r\n" for line in lines)


def _seconds(value: object) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number of seconds")
    return float(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)


def _write_sound(path: Path, sound: Sound) -> None:
    with OggOpusWriter(path) as writer:
        for payload, _ in sound.packets:
            writer.write(payload)


def _read_sound(path: Path, begins_s: float | None) -> Sound | None:
    return None if begins_s is None else Sound(begins_s=begins_s, packets=read_stream(path).packets)


def sound_of(placed: Sequence[tuple[bytes, int]], begins_s: float) -> Sound | None:
    """Return packets, each with its position at 48 kHz from `begins_s` on, as a voice; gaps are filled.

    Raises:
        OpusError: If one is malformed.
    """
    if not placed:
        return None
    packets: list[tuple[bytes, int]] = []
    first, end, last = placed[0][1], 0, b""
    for payload, position in placed:
        at = position - first
        if not payload or at <= end - MIN_PACKET_SAMPLES:
            continue
        for filler in fillers(at - end, last):
            packets.append((filler, packet_samples(filler)))
            end += packets[-1][1]
        packets.append((payload, packet_samples(payload)))
        end, last = end + packets[-1][1], payload
    return Sound(begins_s=begins_s + first / CLOCK_RATE_HZ, packets=tuple(packets))
