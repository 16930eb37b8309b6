"""ServerEvent: the base of every server event, and the type of unknown ones.

Events are frozen `msgspec.Struct`s, not dataclasses: made of a decoded object in a third of the time
(`scripts/bench events`).
"""

from __future__ import annotations

from types import MappingProxyType
from typing import Final, Literal, TypeAlias

from rtc_client.protocol.wire.model import Model, RawEvent

UnknownWhy: TypeAlias = Literal[
    "unknown type", "unexpected shape", "no type", "not an object", "malformed JSON", "binary frame"
]

_NOTHING: Final[RawEvent] = MappingProxyType({})


class ServerEvent(Model, frozen=True, kw_only=True):
    """A frame from the server. Its repr shows ids, names and numbers, and nothing that was said."""

    type: str
    """The name on the wire; empty when there is none to be had."""
    event_id: str | None = None
    """The server's name for this event; None where it gave none."""
    raw: object = _NOTHING
    """The frame as it was on the wire: the JSON value, else the text, else the bytes."""


class KnownEvent(ServerEvent, frozen=True, kw_only=True):
    """A server event of a known name and shape. Ids and indexes are None where the server left them out."""

    raw: RawEvent = _NOTHING
    """The whole event as it was on the wire, with what has no field here."""


class UnknownEvent(ServerEvent, frozen=True, kw_only=True):
    """A frame that is no `KnownEvent`, kept whole and counted, never fatal."""

    why: UnknownWhy
    """What is not known of it."""
