"""Promise: every public name says what it is, with shapes, units and exceptions. The rules: docstrings.py."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.frames import Samples
from tests import docstrings


def test_every_public_name_says_what_has_to_be_known() -> None:
    """Nothing is missing: names, fields, parameters, units, shapes, exceptions."""
    assert list(docstrings.shortcomings()) == []


def test_the_names_that_are_explained_once_are_read_from_the_reference() -> None:
    """An empty glossary, or one that is not found, would let nothing pass; one that is too long, everything."""
    assert {"item_id", "timeout_s", "cached_tokens"} <= docstrings.glossary()
    assert len(docstrings.glossary()) < 90


RIDDLES = re.compile(
    r"\b(?:it is|is it) (?:looked|waited|told)\b|\btold of\b|\banew\b|\bbefall|\bof late\b|\bin the midst\b"
    r"|\bwhat comes of\b|\belsewhere[.\"]|\b(?:is|are|stands?) not (?:here|known here|decided here)\b"
    r"|\w+\.py's\b|\bhe (?:is|was|has)\b"
)
"""Words by which a sentence says what a thing is not, or leaves the reader to guess who does what."""


def test_the_first_sentences_of_modules_are_plain() -> None:
    """They say what the module is and does, in words that a reader can look up."""
    root = Path(docstrings.__file__).parent.parent / "rtc_client"
    found = {}
    for path in sorted(root.rglob("*.py")):
        first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n\n")[0]
        if riddle := RIDDLES.search(first):
            found[str(path.relative_to(root))] = riddle[0]

    assert found == {}


# --- that the rules can fail -----------------------------------------------------------------------------------------


def silent(loudness: float) -> None:
    pass


def unit(loudness: float) -> float:
    """Return the loudness doubled."""
    return loudness


def parameter(loudness_dbfs: float, fondness: str) -> None:
    """Take the loudness."""


def shape(samples: Samples) -> NDArray[np.int16]:
    """Return the samples, as int16."""
    return samples


def dtype(samples: Samples) -> None:
    """Take the samples, shape `(n_samples,)`."""


def raising(name: str) -> None:
    """Raise for a name."""
    if name:
        raise ValueError(name)


def gone(name: str) -> None:
    """Take a name.

    Raises:
        NoSuchError: Never, for there is none.
    """


def good(samples: Samples, offset_samples: int, name: str = "") -> float:
    """Return how loud the samples behind an offset are, in dBFS.

    Args:
        samples: int16, shape `(n_samples,)`, mono.
        offset_samples: Where to begin.

    Raises:
        ValueError: There are none.
    """
    if name:
        raise ValueError(name)
    return 0.0


@pytest.mark.parametrize(
    ("function", "complaints"),
    [
        (silent, {"has no docstring"}),
        (unit, {"is a number without a unit", "returns a number without a unit"}),
        (parameter, {"is not told of"}),
        (shape, {"is an array without a shape"}),
        (dtype, {"is an array without a dtype"}),
        (raising, {"raises ValueError and does not say so"}),
        (gone, {"says that it raises NoSuchError, which does not exist"}),
        (good, set()),
    ],
)
def test_what_a_function_does_not_say_is_noticed(function: Any, complaints: set[str]) -> None:
    """Each rule complains of what breaks it, and of nothing else."""
    node = ast.parse(inspect.getsource(function)).body[0]
    assert isinstance(node, ast.FunctionDef)

    found = list(docstrings.of_function("f", node, __name__, ""))

    assert {line.partition(": ")[2] for line in found} == complaints


@dataclass
class Undocumented:
    fondness: str


@dataclass
class Halfway:
    """Something."""

    fondness: str
    warmth: float
    """How warm it is."""
    heat_hz: float
    """How hot it is."""

    def method(self) -> None:
        pass

    def _private(self) -> None:
        pass


@pytest.mark.parametrize(
    ("owner", "complaints"),
    [
        (Undocumented, {"C: has no docstring", "C.fondness: is not told of"}),
        (
            Halfway,
            {"C.fondness: is not told of", "C.warmth: is a number without a unit", "C.method: has no docstring"},
        ),
    ],
)
def test_what_a_class_does_not_say_is_noticed(
    owner: type, complaints: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own docstring, its fields and its methods are looked at, the private ones are not."""
    node = ast.parse(inspect.getsource(owner)).body[0]
    monkeypatch.setattr(owner, "__module__", "rtc_client.of_a_test")
    monkeypatch.setattr(docstrings, "_class", lambda _: node)

    assert set(docstrings.of_class("C", owner)) == complaints
