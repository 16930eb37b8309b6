"""Compares JSON values with the exact shapes of the protocol (sections 1.1, 1.5, 6). Pure.

A shape is a dict (exactly these keys), a list (exactly these items), a type, a set of strings, or a literal value.
"""

from __future__ import annotations

import json
import re
from typing import Final, TypeAlias

Shape: TypeAlias = "dict[str, Shape] | list[Shape] | frozenset[str] | type | str | int"

VOICES: Final = frozenset({"juniper", "maple", "spruce", "ember", "vale", "breeze", "arbor", "sol", "cove"})

_AUDIO: Final[Shape] = {
    "input": {"format": {"type": "audio/pcm", "rate": 24_000}},
    "output": {"voice": str},
}

POSTED_SESSION: Final[Shape] = {"audio": _AUDIO, "type": "quicksilver", "model": str, "instructions": str}

SESSION_UPDATE: Final[Shape] = {
    "type": "session.update",
    "session": {"type": "quicksilver", "instructions": str, "audio": _AUDIO},
}

COMMANDS: Final[dict[str, Shape]] = {
    "conversation.item.create": {
        "type": str,
        "item": {
            "type": "message",
            "role": frozenset({"user", "developer", "assistant"}),
            "content": [{"type": frozenset({"input_text", "output_text"}), "text": str}],
        },
    },
    "input_audio_buffer.append": {"type": str, "audio": str},
    "conversation.handoff.append": {"type": str, "handoff_id": str, "output_text": str},
}

_STRING: Final = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_ESCAPED_NON_ASCII: Final = re.compile(r"(?<!\\)(?:\\\\)*\\u(?!00[0-7])[0-9a-fA-F]{4}")


def misfits(value: object, shape: Shape, where: str) -> list[str]:
    """Return one sentence for each place where `value` has not the shape; never the value itself."""
    if isinstance(shape, dict):
        return _misfits_of_object(value, shape, where)
    if isinstance(shape, list):
        if not isinstance(value, list) or len(value) != len(shape):
            return [f"{where} must be a list of {len(shape)}"]
        pairs = enumerate(zip(value, shape, strict=True))
        return [text for n, (item, its_shape) in pairs for text in misfits(item, its_shape, f"{where}[{n}]")]
    if isinstance(shape, frozenset):
        return (
            [] if isinstance(value, str) and value in shape else [f"{where} must be one of {', '.join(sorted(shape))}"]
        )
    if isinstance(shape, type):
        return [] if type(value) is shape else [f"{where} must be a {shape.__name__}"]
    return [] if type(value) is type(shape) and value == shape else [f"{where} must be {shape!r}"]


def _misfits_of_object(value: object, shape: dict[str, Shape], where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where} must be an object"]
    found = [f"{where} must have the key {key}" for key in shape if key not in value]
    found += [f"{where} must not have the key {key}" for key in value if key not in shape]
    for key, its_shape in shape.items():
        if key in value:
            found += misfits(value[key], its_shape, f"{where}.{key}")
    return found


def is_compact(text: str) -> bool:
    """Return whether JSON text has no white space between its tokens."""
    return re.search(r"\s", _STRING.sub("", text)) is None


def is_unescaped(text: str) -> bool:
    """Return whether JSON text holds its non-ASCII characters as they are."""
    return not any(_ESCAPED_NON_ASCII.search(string) for string in _STRING.findall(text))


def has_repeated_key(text: str) -> bool:
    """Return whether an object in JSON text names a key twice."""
    repeated = False

    def build(pairs: list[tuple[str, object]]) -> dict[str, object]:
        nonlocal repeated
        repeated = repeated or len(dict(pairs)) < len(pairs)
        return dict(pairs)

    json.loads(text, object_pairs_hook=build)
    return repeated
