"""Promise: a model is told of a function what its signature says, and a function gets only what that allows."""

from __future__ import annotations

import enum
import functools
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import jsonschema
import msgspec
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client import ConfigError, InvalidArguments, ToolContext, ToolFailed, TypedTool
from rtc_client.protocol.delegation.docstring import read_docstring
from rtc_client.protocol.delegation.tool_schema import MAX_RESULT_BYTES, dump_result, read_signature


class Colour(enum.Enum):
    """What it looks like."""

    RED = "red"
    BLUE = "blue"


class Size(msgspec.Struct):
    """How big."""

    width: Annotated[int, msgspec.Meta(ge=1, le=100)]
    height: int | None = None


@dataclass
class Place:
    town: str
    sizes: list[Size]


@dataclass
class Town:
    name: str


class Guest(pydantic.BaseModel):
    """Who comes."""

    name: str = pydantic.Field(min_length=2)
    towns: list[Town] = []


class Party(pydantic.BaseModel):
    guests: list[Guest]


def many(
    count: int,
    colour: Colour,
    mode: Literal["slow", "fast"] = "slow",
    place: Place | None = None,
    words: Annotated[list[str], msgspec.Meta(max_length=3)] | None = None,
    *,
    ratio: Annotated[float, msgspec.Meta(ge=0, le=1, description="A part of one.")] = 0.5,
    by_name: dict[str, bool] = {},  # noqa: B006 - it is not changed
) -> str:
    """Do many things.

    When asked.

    Args:
        count: How many,
            altogether.
        mode (str): How fast.
        ratio: Not this.

    Returns:
        Nothing of interest.
    """
    return ""


def test_the_schema_says_what_the_signature_and_the_docstring_say() -> None:
    """Types, limits, defaults and descriptions; the text before `Args:` is the function's."""
    signature = read_signature(many)

    assert (signature.name, signature.description) == ("many", "Do many things.\n\nWhen asked.")
    schema = signature.parameters
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["required"] == ["count", "colour"]
    assert schema["additionalProperties"] is False
    properties: Any = schema["properties"]
    assert properties["count"] == {"type": "integer", "description": "How many, altogether."}
    assert properties["mode"] == {"enum": ["fast", "slow"], "description": "How fast.", "default": "slow"}
    assert properties["ratio"]["description"] == "A part of one."
    assert (properties["ratio"]["minimum"], properties["ratio"]["default"]) == (0, 0.5)
    assert properties["by_name"]["default"] == {}
    assert properties["colour"] == {"$ref": "#/$defs/Colour"}
    shared: Any = schema["$defs"]
    assert shared.keys() == {"Colour", "Place", "Size"}
    assert sorted(shared["Colour"]["enum"]) == ["blue", "red"]


def test_arguments_become_values_of_the_declared_types() -> None:
    """What is left out is left to the function's own default."""
    text = '{"count": 2, "colour": "red", "place": {"town": "Ulm", "sizes": [{"width": 3}]}}'

    assert read_signature(many).arguments(text) == {
        "count": 2,
        "colour": Colour.RED,
        "place": Place("Ulm", [Size(3)]),
    }


SIGNATURE = read_signature(many)
VALIDATOR = jsonschema.Draft202012Validator(SIGNATURE.parameters)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-200, 200)
    | st.floats(-2, 2).filter(lambda n: not n.is_integer())
    | st.text(max_size=4),
    lambda values: st.lists(values, max_size=4) | st.dictionaries(st.text(max_size=4), values, max_size=3),
    max_leaves=6,
)
SIZES = st.lists(
    st.fixed_dictionaries({"width": st.integers(0, 101)}, optional={"height": st.none() | st.integers(0, 9)}),
    max_size=2,
)
FITTING = st.fixed_dictionaries(
    {"count": st.integers(-9, 9), "colour": st.sampled_from(["red", "blue"])},
    optional={
        "mode": st.sampled_from(["slow", "fast"]),
        "place": st.none() | st.fixed_dictionaries({"town": st.text(max_size=3), "sizes": SIZES}),
        "words": st.none() | st.lists(st.text(max_size=2), max_size=4),
        "ratio": st.integers(0, 1) | st.floats(-0.2, 1.2),
        "by_name": st.dictionaries(st.text(max_size=2), st.booleans(), max_size=2),
    },
)
NAMES = ["count", "colour", "mode", "place", "words", "ratio", "by_name", "other"]


@st.composite
def nearly_fitting(draw: st.DrawFn) -> object:
    """Arguments of which, often, one is odd."""
    arguments = draw(FITTING)
    odd = draw(st.dictionaries(st.sampled_from(NAMES), JSON, max_size=1))
    return arguments | odd


@given(nearly_fitting() | JSON)
def test_arguments_are_taken_if_and_only_if_the_schema_allows_them(value: object) -> None:
    """A validator that is not ours judges by the schema; we judge by the types. Nothing but our exception is raised."""
    is_valid = VALIDATOR.is_valid(value)

    try:
        SIGNATURE.arguments(json.dumps(value))
    except InvalidArguments:
        assert not is_valid
    else:
        assert is_valid


@given(st.text())
def test_whatever_a_model_writes_raises_nothing_else(text: str) -> None:
    """Also what is no JSON; none of it is likely to fit."""
    with pytest.raises(InvalidArguments):
        SIGNATURE.arguments(text)


def with_models(party: Party, spare: Guest | None = None, n: Annotated[int, pydantic.Field(gt=0)] = 1) -> None:
    """Invite."""


def test_pydantic_models_give_their_schema_and_validate() -> None:
    """Beside one another, nested, and for constraints; what is wrong is said without what was written."""
    signature = read_signature(with_models)
    validator = jsonschema.Draft202012Validator(signature.parameters)
    arguments = {"party": {"guests": [{"name": "Al", "towns": [{"name": "Ulm"}]}]}}

    assert validator.is_valid(arguments)
    assert not validator.is_valid({"party": {"guests": [{"name": "A"}]}})
    assert not validator.is_valid({"party": {"guests": []}, "n": 0})
    taken = signature.arguments(json.dumps(arguments))
    assert taken == {"party": Party(guests=[Guest(name="Al", towns=[Town("Ulm")])])}
    with pytest.raises(
        InvalidArguments, match=r"'party' is not valid: .*at least 2 characters at guests\.0\.name"
    ) as bad:
        signature.arguments('{"party": {"guests": [{"name": "Q"}]}}')
    assert "Q" not in str(bad.value)
    with pytest.raises(InvalidArguments, match="greater than 0"):
        signature.arguments('{"party": {"guests": []}, "n": 0}')


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[1]", "must be one JSON object"),
        ('{"count": 1', "must be one JSON object"),
        ("[" * 100_000, "must be one JSON object"),
        ('{"colour": "red"}', "'count' is missing"),
        ('{"count": "1", "colour": "red"}', "'count' is not valid: Expected `int`, got `str`"),
        ('{"count": 1, "colour": "red", "ratio": 2}', "'ratio' is not valid: Expected `float` <= 1"),
        ('{"count": 1, "colour": "red", "place": {"town": "U", "sizes": [{}]}}', r"`width` at `\$\.sizes\[0\]`"),
        ('{"count": 1, "colour": "red", "size": 1}', "there is no argument 'size'"),
        ("", "'count' is missing; the argument 'colour' is missing"),
    ],
)
def test_what_is_wrong_with_arguments_is_said_in_words(text: str, complaint: str) -> None:
    """Which argument, and what it should be."""
    with pytest.raises(InvalidArguments, match=complaint):
        SIGNATURE.arguments(text)


class Checked(msgspec.Struct):
    n: int

    def __post_init__(self) -> None:
        raise OSError("not in a validator, sk-secret")


def checked(value: Checked) -> None: ...


def test_a_type_whose_own_check_fails_oddly_is_not_valid() -> None:
    """Of what it raises only the name is told."""
    with pytest.raises(InvalidArguments, match="cannot be read") as bad:
        read_signature(checked).arguments('{"value": {"n": 1}}')

    assert "sk-secret" not in str(bad.value)


# --- functions that are no tools -------------------------------------------------------------------------------------


def untyped(a, b: int) -> None: ...  # type: ignore[no-untyped-def]
def rest(*numbers: int) -> None: ...
def named(**numbers: int) -> None: ...
def placed(a: int, /) -> None: ...
def odd(a: complex) -> None: ...
def nested(a: dict[str, list[Callable[[], int]]]) -> None: ...
def two(a: Size | Place) -> None: ...
def unknown(a: Nowhere) -> None: ...  # type: ignore[name-defined]  # noqa: F821
def generating() -> Any:
    yield 1


class Model(pydantic.BaseModel):
    value: Callable[[], int]


def unschemed(a: Model) -> None: ...


@pytest.mark.parametrize(
    ("function", "complaint"),
    [
        (untyped, "parameter a of the tool untyped has no type"),
        (rest, "a model names its arguments"),
        (named, "a model names its arguments"),
        (placed, "a model names its arguments"),
        (odd, "parameter a of the tool odd is of a type"),
        (nested, "parameter a of the tool nested is of a type"),
        (two, "parameter a of the tool two is of a type"),
        (unschemed, "parameter a of the tool unschemed is of a type"),
        (unknown, "'Nowhere' at the top"),
        (generating, "generator"),
        (lambda: None, "cannot be called '<lambda>'"),
        (functools.partial(many, 1), "cannot be called ''"),
        (dict.fromkeys, "tool fromkeys"),
        (3, "a tool is a function"),
    ],
)
def test_a_function_that_a_model_could_not_call_is_refused(function: Any, complaint: str) -> None:
    """At decoration, by one sentence that says what is wrong."""
    with pytest.raises(ConfigError, match=re.escape(complaint)):
        TypedTool(function)


@pytest.mark.parametrize("name", ["a b", "ä", "x" * 65, "a.b", "a\n", "background_agent", "remain_silent"])
def test_a_name_that_the_api_does_not_allow_is_refused(name: str) -> None:
    """Or one that is taken in every session."""
    with pytest.raises(ConfigError):
        TypedTool(many, name=name)


@pytest.mark.parametrize("limit_s", [0, -1, float("nan"), 86_400])
def test_a_limit_that_is_none_is_refused(limit_s: float) -> None:
    """A tool has a time limit."""
    with pytest.raises(ConfigError, match="time limit"):
        TypedTool(many, limit_s=limit_s)


class Desk:
    """Not this."""

    def price(self, item: str, context: ToolContext) -> int:
        """Tell the price."""
        return len(item)

    async def __call__(self, item: str) -> int:
        """Sell it."""
        return len(item)


def test_methods_partials_and_objects_are_tools_too() -> None:
    """What is bound is not told, and neither is the context."""
    method, partial = TypedTool(Desk().price), TypedTool(functools.partial(many, 1), name="few")
    called = TypedTool(Desk(), name="sell", description="Given.")

    assert (method.name, method.description) == ("price", "Tell the price.")
    assert method.parameters["properties"] == {"item": {"type": "string"}}
    assert method.arguments('{"item": "hat"}', 7) == {"item": "hat", "context": 7}
    assert partial.description.startswith("Do many things.")
    assert partial.parameters["required"] == ["colour"]
    assert (called.description, called.parameters["required"]) == ("Given.", ["item"])
    assert repr(called) == "TypedTool(name='sell', respond=True, limit_s=30)"


# --- results ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        ("ä", '"ä"'),
        (Place("Ulm", [Size(1)]), '{"town":"Ulm","sizes":[{"width":1,"height":null}]}'),
        ([Guest(name="Al")], '[{"name":"Al","towns":[]}]'),
        (Colour.BLUE, '"blue"'),
    ],
)
def test_results_are_json(value: object, text: str) -> None:
    """Structs, dataclasses, enums and pydantic models among them."""
    assert dump_result(value) == text


@pytest.mark.parametrize("value", [object(), 1j, "\ud800", "x" * MAX_RESULT_BYTES])
def test_a_result_that_cannot_be_told_is_a_failure(value: object) -> None:
    """In words that do not repeat it."""
    with pytest.raises(ToolFailed, match="the result"):
        dump_result(value)


# --- docstrings ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "text", "parameters"),
    [
        ([], "", {}),
        (["Do it."], "Do it.", {}),
        (
            ["Args:", "  a: One.", "    More: of it.", "", "  *b (int): Two."],
            "",
            {"a": "One. More: of it.", "b": "Two."},
        ),
        (["Do.", "", "Raises:", "  a: Not this.", "Args:", "  a:", "    This."], "Do.", {"a": "This."}),
        (["Do: it.", "", "Returns: no section.", "Args:"], "Do: it.\n\nReturns: no section.", {}),
    ],
)
def test_docstrings_are_read(lines: Sequence[str], text: str, parameters: dict[str, str]) -> None:
    """Google style; what is none of it is text."""
    read = read_docstring("\n".join(lines))

    assert (read.text, read.parameters) == (text, parameters)


@given(st.text(alphabet="ab:\n ()Args*", max_size=60))
def test_no_docstring_is_too_odd(text: str) -> None:
    """Every text gives something."""
    assert read_docstring(text) is not None
