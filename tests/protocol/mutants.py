"""Server events that are nearly right: samples with parts taken out, exchanged with those of others, or made odd."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any, Final

from tests.protocol import samples

_KNOWN: Final = [*samples.SAMPLES.values(), *samples.VARIANTS]
_ODD: Final[list[Any]] = [
    None, True, 0, -1, 1e308, 2**70, -(2**63), 0.5, "", "x", "\U0001f642" * 3, [], {}, [None], {"type": "message"},
    {"type": "function_call"}, "response.done", "item_1", "a" * 300, [{"type": "audio"}], {"id": 3},
]  # fmt: skip


def mutant(rng: random.Random) -> dict[str, Any]:
    """Return an event with a known name of which up to three parts are not what they should be."""
    event: dict[str, Any] = copy.deepcopy(rng.choice(_KNOWN))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        places = [place for place in _places(event) if place and place != ("type",)]
        if places:
            _change(event, rng.choice(places), rng)
    return event


def torn(event: dict[str, Any], rng: random.Random) -> str:
    """Return an event as JSON, now and then without its end."""
    text = json.dumps(event)
    return text[: rng.randrange(len(text))] if rng.random() < 0.05 else text


def _change(event: dict[str, Any], place: tuple[Any, ...], rng: random.Random) -> None:
    *parents, last = place
    owner: Any = event
    for key in parents:
        owner = owner[key]
    match rng.randrange(4):
        case 0 if isinstance(owner, dict):
            del owner[last]
        case 1:
            foreign: Any = rng.choice(_KNOWN)
            for key in rng.choice(list(_places(foreign))):
                foreign = foreign[key]
            owner[last] = copy.deepcopy(foreign)
        case _:
            owner[last] = copy.deepcopy(rng.choice(_ODD))


def _places(value: Any, here: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield here
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _places(part, (*here, key))
