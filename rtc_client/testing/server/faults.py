"""FaultMenu: begins and ends faults by their names, over HTTP.

What a fault does is `testing/faults/faults.py`'s; the routes are `control.py`'s.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from rtc_client.testing.calls.answered_call import AnsweredCall
from rtc_client.testing.faults.by_name import FAULT_NAMES, begin_fault
from rtc_client.testing.faults.effects import ERRORS
from rtc_client.testing.faults.faults import MET_BY_POSTS, Fault, Faults
from rtc_client.testing.wire.server_events import JsonObject

MAX_RUNNING: Final = 256

_EXAMPLES: Final[Mapping[str, object]] = {
    "status": 503,
    "location": "/elsewhere",
    "for_s": 2.0,
    "kind": next(iter(ERRORS)),
}
"""For options that have no default, or one that JSON cannot say."""
_UNREACHABLE: Final = "refuse_connections"
"""It closes the very port by which it would have to be ended."""


@cache
def menu() -> tuple[JsonObject, ...]:
    """Return every fault that can be begun here: its name, what it does, its options, and whether a POST meets it."""
    return tuple(
        {
            "name": name,
            "what": (inspect.getdoc(getattr(Faults, name)) or "").partition("\n")[0],
            "options": _options(getattr(Faults, name)),
            "in_call": name not in MET_BY_POSTS,
        }
        for name in FAULT_NAMES
        if name != _UNREACHABLE
    )


def _options(method: Callable[..., Fault]) -> JsonObject:
    options: JsonObject = {}
    for name, parameter in list(inspect.signature(method).parameters.items())[1:]:
        default = parameter.default
        if default is parameter.empty or (isinstance(default, float) and math.isinf(default)):
            options[name] = _EXAMPLES[name]
        elif isinstance(default, int | float):
            options[name] = default
    return options


@dataclass(slots=True)
class _Begun:
    fault: Fault
    call: AnsweredCall | None


class FaultMenu:
    """The faults that were begun over HTTP, by their numbers."""

    def __init__(self, faults: Faults) -> None:
        """`faults` are those of the answerer."""
        self._faults = faults
        self._begun: dict[int, _Begun] = {}
        self._n_begun = 0

    def begin(self, name: str, options: JsonObject, call: AnsweredCall | None) -> int:
        """Begin a fault in one call, or for all; return the number by which it can be ended.

        Raises:
            ValueError: If there is no such fault here, it does not take these options, or too many are running.
        """
        names = [str(one["name"]) for one in menu()]
        if name not in names:
            raise ValueError(f"there is no such fault to be begun here; there are {', '.join(names)}")
        if call is not None and name in MET_BY_POSTS:
            raise ValueError(f"the fault {name} is met by a POST: begin it for all calls")
        if len(self.running()) >= MAX_RUNNING:
            raise ValueError(f"{MAX_RUNNING} faults are running already: end some")
        fault = begin_fault(self._faults if call is None else call.faults, name, options)
        self._n_begun += 1
        self._begun[self._n_begun] = _Begun(fault, call)
        return self._n_begun

    def end(self, number: int) -> bool:
        """End a fault; return whether there was one by this number."""
        begun = self._begun.pop(number, None)
        if begun is not None:
            begun.fault.end()
        return begun is not None

    def running(self) -> list[JsonObject]:
        """Return those that are neither ended nor met as often as asked for."""
        over = [
            number
            for number, begun in self._begun.items()
            if begun.fault.n_left == 0 or (begun.call is not None and begun.call.ended_by is not None)
        ]
        for number in over:
            del self._begun[number]
        return [
            {
                "number": number,
                "name": begun.fault.name,
                "call_id": None if begun.call is None else begun.call.call_id,
                "n_met": begun.fault.n_met,
                "n_left": begun.fault.n_left,
            }
            for number, begun in self._begun.items()
        ]
