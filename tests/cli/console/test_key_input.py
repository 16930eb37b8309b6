"""Promises of the keys: what a terminal sends is understood, and a key that cannot tell its release is held anyway."""

from __future__ import annotations

from itertools import pairwise

import pytest

from rtc_client.cli.console.key_input import FIRST_HOLD_S, REPEAT_HOLD_S, HeldKey, KeyReader, Line


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([b"mq"], "mq"),
        ([b"\x1b[A", b"m"], "m"),
        ([b"\x1b[1;5Cq"], "q"),
        ([b"\x1bOPt"], "t"),
        ([b"\x1b[2", b"00~t"], "t"),
        ([b"\x1b"], "\x1b"),
        ([b"\x1b", b"m"], "\x1bm"),
        ([b"\x1bmq"], "q"),
        (["ü€".encode()[:1], "ü€".encode()[1:4], "ü€".encode()[4:]], "ü€"),
        ([b"\xff\xfem"], "m"),
    ],
    ids=repr,
)
def test_characters_are_taken_and_other_keys_are_not(blocks: list[bytes], expected: str) -> None:
    """Arrows, function keys and Alt are no letters, wherever a read ends; a lone Escape is one."""
    reader = KeyReader()

    assert "".join(reader.feed(block) for block in blocks) == expected


@pytest.mark.parametrize(
    ("typed", "text"),
    [
        ("hello", "hello"),
        ("helpo\x7f\x08lo", "hello"),
        ("hello there\x17you", "hello you"),
        ("hello\x15bye", "bye"),
        ("a\tb\x00c", "abc"),
        ("\x7f\x7fa", "a"),
        ("x" * 3_000, "x" * 2_000),
    ],
    ids=lambda text: text[:12].encode().hex(),
)
def test_a_line_is_typed_and_mended(typed: str, text: str) -> None:
    """Backspace, Ctrl-W and Ctrl-U do what they do elsewhere; what cannot be seen is not typed."""
    line = Line()

    assert not any(line.type(char) for char in typed)
    assert line.text == text
    assert line.type("\r")
    assert line.text == text


def test_an_escape_gives_a_line_up() -> None:
    """It is over, and empty."""
    line = Line()
    line.type("a")

    assert line.type("\x1b")
    assert line.text == ""


@pytest.mark.parametrize("delay_s", [0.25, 0.5, 0.66])
@pytest.mark.parametrize("rate_hz", [10.9, 25, 33])
def test_a_key_that_is_held_is_held_all_the_time_and_let_go_soon(delay_s: float, rate_hz: float) -> None:
    """With any usual delay before it repeats itself, and any usual rate."""
    key = HeldKey()
    presses = [100.0, *(100.0 + delay_s + k / rate_hz for k in range(round(2 * rate_hz)))]

    for earlier, later in pairwise(presses):
        key.press(earlier)
        assert key.is_held(earlier)
        assert key.is_held(later - 0.001), "it was let go in between"
    key.press(presses[-1])

    assert not key.is_held(presses[-1] + REPEAT_HOLD_S)


def test_a_tap_is_held_until_it_could_have_repeated_itself() -> None:
    """A second tap, which is not a repetition, as long again; before the first it is not held."""
    key = HeldKey()
    assert not key.is_held(100.0)

    key.press(100.0)
    assert key.is_held(100.0 + FIRST_HOLD_S - 0.001)
    key.press(100.5)

    assert key.is_held(100.5 + FIRST_HOLD_S - 0.001)
    assert not key.is_held(100.5 + FIRST_HOLD_S)
