"""Promises of patterns: what they name must be there as they name it, and what they do not name is free."""

from __future__ import annotations

import pytest

from rtc_client.testing.wire.json_patterns import Mismatch, describe, mismatches, show

MESSAGE = {"type": "x", "n": 1, "ok": True, "none": None, "items": [{"text": "hello there", "extra": 1}, 2.5]}


@pytest.mark.parametrize(
    "pattern",
    [
        {},
        {"type": "x"},
        {"n": 1, "ok": True, "none": None},
        {"n": 1.0},
        {"items": [{"text": "hello there"}, 2.5]},
        {"items": [{"text": {"matches": "^hello"}}, {"any": True}]},
        {"items": {"any": True}, "none": {"any": True}},
        {"any": True},
    ],
)
def test_what_is_named_and_there_fits(pattern: object) -> None:
    """Whatever else the message holds."""
    assert mismatches(MESSAGE, pattern) == []


@pytest.mark.parametrize(
    ("pattern", "where"),
    [
        ({"gone": {"any": True}}, "gone"),
        ({"type": "y"}, "type"),
        ({"n": True}, "n"),
        ({"ok": 1}, "ok"),
        ({"n": "1"}, "n"),
        ({"n": {"matches": "1"}}, "n"),
        ({"type": {"a": 1}}, "type"),
        ({"items": [{"text": "hello there"}]}, "items"),
        ({"items": [{}, 2.5, {}]}, "items"),
        ({"items": [{"text": {"matches": "^there"}}, 2.5]}, "items[0].text"),
        ({"type": ["x"]}, "type"),
    ],
)
def test_what_is_not_as_named_is_shown_where_it_is(pattern: object, where: str) -> None:
    """By its path alone: the rest is as it should be."""
    assert [mismatch.where for mismatch in mismatches(MESSAGE, pattern)] == [where]


def test_a_mismatch_says_what_was_wanted_and_what_was_found() -> None:
    """Each in one line."""
    pattern = {"type": "y", "items": [{"text": {"matches": "bye"}}, {"any": True}], "gone": [1, None]}

    assert mismatches(MESSAGE, pattern) == [
        Mismatch("type", '"y"', '"x"'),
        Mismatch("items[0].text", "/bye/", '"hello there"'),
        Mismatch("gone", "[1, null]", "nothing"),
    ]
    assert describe(pattern) == '{type: "y", items: [{text: /bye/}, anything], gone: [1, null]}'


def test_long_values_are_cut() -> None:
    """A megabyte in a message does not become a megabyte in a report."""
    assert len(show("x" * 1_000_000)) < 150
    assert "1000002 characters" in show("x" * 1_000_000)
