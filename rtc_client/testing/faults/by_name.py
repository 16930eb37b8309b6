"""Begins a fault by its name, from plain values, for scenarios and for people."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Mapping
from typing import Final

from rtc_client.testing.faults.effects import Headers
from rtc_client.testing.faults.faults import Fault, Faults

FAULT_NAMES: Final = tuple(
    name
    for name, method in vars(Faults).items()
    if inspect.isfunction(method) and not name.startswith("_") and method.__annotations__["return"] == "Fault"
)
"""Every fault there is, by the name of its method."""


def check_fault(name: str, options: Mapping[str, object]) -> None:
    """Return if there is such a fault, and it takes these options.

    Raises:
        ValueError: If not; the text says what there is.
    """
    if name not in FAULT_NAMES:
        near = difflib.get_close_matches(name, FAULT_NAMES, n=1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FAULT_NAMES)}"
        raise ValueError(f"there is no fault {name!r}: {hint}")
    if name != "refuse_connections":
        begin_fault(Faults(), name, options)
    elif options:
        raise ValueError("the fault refuse_connections takes nothing")


def begin_fault(faults: Faults, name: str, options: Mapping[str, object]) -> Fault:
    """Begin a fault by its name.

    Raises:
        ValueError: If it does not take these options.
    """
    method = getattr(faults, name)
    parameters = inspect.signature(method).parameters
    for key, value in options.items():
        if key not in parameters:
            known = ", ".join(parameters) or "nothing"
            raise ValueError(f"the fault {name} does not take {key}: it takes {known}")
        if not _is_of(value, str(parameters[key].annotation)):
            raise ValueError(f"{key} of the fault {name} must be {parameters[key].annotation}")
    for key, parameter in parameters.items():
        if parameter.default is parameter.empty and key not in options:
            raise ValueError(f"the fault {name} needs {key}")
    values = {key: _pairs(value) if key == "headers" else value for key, value in options.items()}
    fault = method(**values)
    assert isinstance(fault, Fault)  # noqa: S101 - that is how FAULT_NAMES was made
    return fault


_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "bytes": (bytes,),
    "None": (type(None),),
    "Headers": (tuple, list),
}


def _is_of(value: object, annotation: str) -> bool:
    kinds = tuple(kind for name in annotation.split(" | ") for kind in _TYPES[name])
    return isinstance(value, kinds) and not isinstance(value, bool)


def _pairs(value: object) -> Headers:
    pairs = value if isinstance(value, list | tuple) else ()
    found = tuple(tuple(pair) for pair in pairs if isinstance(pair, list | tuple))
    if len(found) != len(pairs) or not all(len(p) == 2 and all(isinstance(text, str) for text in p) for p in found):
        raise ValueError('headers must be pairs of strings: [["Retry-After", "1"]]')
    return found
