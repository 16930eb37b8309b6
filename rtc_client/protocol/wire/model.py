"""Model: the base of every value of the realtime protocol, and how one is read leniently.

A model is a frozen `msgspec.Struct`: it is made with keywords, compared by value, and on the wire leaves out what is
None. A field that may be absent, null or set (three things to a server) is absent by default, which is `UNSET`.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from functools import cache
from typing import Any, Final, TypeAlias, TypeVar, Union, get_args, get_origin

import msgspec
from msgspec import UNSET, UnsetType
from msgspec.structs import FieldInfo, fields

JsonObject: TypeAlias = dict[str, object]
RawEvent: TypeAlias = Mapping[str, object]

__all__ = ["UNSET", "JsonObject", "Model", "RawEvent", "Tagged", "UnknownModel", "UnsetType", "read", "to_json"]

_SHOWN: Final = ("id", "type", "role", "status", "name", "model", "voice", "server_label", "code", "why", "object")
_HIDDEN: Final = "…"


class Model(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the protocol: frozen, made with keywords.

    Its repr shows numbers, ids and names, and no text that was said, no instructions, no audio, no key.
    """

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__struct_fields__ if name != "raw")
        shown = (f"{name}={_shown(name, value)}" for name, value in values if value is not None and value is not UNSET)
        return f"{type(self).__name__}({', '.join(shown)})"


class Tagged(Model, frozen=True, kw_only=True):
    """A value that says on the wire what it is, by its `type`."""

    @property
    def type(self) -> str:
        """The name on the wire."""
        return str(self.__struct_config__.tag)


class UnknownModel(Tagged, frozen=True, kw_only=True, tag="\x00unknown"):
    """Something of a kind, or in a shape, that is not known; it is kept as it was on the wire."""

    raw: object
    """The JSON value."""

    @property
    def type(self) -> str:
        """The name on the wire; empty when there is none to be had."""
        return self._text("type") or ""

    @property
    def id(self) -> str | None:
        """Its `id`, where it has one."""
        return self._text("id")

    def _text(self, key: str) -> str | None:
        value = self.raw.get(key) if isinstance(self.raw, dict) else None
        return value if isinstance(value, str) else None


_M = TypeVar("_M", bound=msgspec.Struct)


def read(kind: type[_M], raw: RawEvent) -> _M | None:
    """Return `raw` as a value of `kind`; None when something that it must have is missing or odd.

    An optional field of an odd shape counts as absent, at any depth; so does an element of an odd shape in a list.
    """
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        return _salvaged(kind, raw)


def to_json(model: Model) -> JsonObject:
    """Return the JSON object that a model is on the wire."""
    value: JsonObject = msgspec.json.decode(msgspec.json.encode(model))
    return value


class _Odd:
    """Stands for a value that is not what it must be."""


_ODD: Final = _Odd()
_fields = cache(fields)


def _salvaged(kind: type[_M], raw: RawEvent) -> _M | None:
    values: dict[str, object] = {}
    for field in _fields(kind):
        value = _value_of(field, raw)
        if value is not _ODD:
            values[field.name] = value
        elif field.required:
            return None
    return kind(**values)


def _value_of(field: FieldInfo, raw: RawEvent) -> object:
    return _value(field.type, raw[field.encode_name]) if field.encode_name in raw else _ODD


def _value(kind: Any, raw: object) -> object:
    try:
        return msgspec.convert(raw, kind)
    except msgspec.ValidationError:
        pass
    if get_origin(kind) in (Union, types.UnionType):
        return _one_of(get_args(kind), raw)
    if get_origin(kind) is tuple and isinstance(raw, list):
        values = (_value(get_args(kind)[0], value) for value in raw)
        return tuple(value for value in values if value is not _ODD)
    if _is_model(kind) and isinstance(raw, dict):
        value = _salvaged(kind, raw)
        return _ODD if value is None else value
    return _ODD


def _one_of(kinds: tuple[Any, ...], raw: object) -> object:
    name = raw.get("type") if isinstance(raw, dict) else None
    named = [kind for kind in kinds if not _is_model(kind) or kind.__struct_config__.tag in (None, name)]
    is_open = UnknownModel in kinds
    # A kind that is not said, or not known, is read as the first one, unless there is a place for it.
    for kind in named if is_open or any(map(_is_model, named)) else kinds:
        value = _value(kind, raw)
        if value is not _ODD:
            return value
    return UnknownModel(raw=raw) if is_open else _ODD


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _shown(name: str, value: object) -> str:
    if isinstance(value, bool | int | float | Model):
        return repr(value)
    if isinstance(value, tuple) and all(isinstance(one, Model) for one in value):
        return repr(value)
    if name in _SHOWN or name.endswith("_id"):
        return repr(value)
    return _HIDDEN
