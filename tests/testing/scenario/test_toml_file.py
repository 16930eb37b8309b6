"""Promises of scenario files: what stands in one is the scenario, and every mistake is told with its line."""

from __future__ import annotations

import contextlib
import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.errors import ConfigError
from rtc_client.testing import (
    ANY,
    CALLER_TEXT,
    AfterCaller,
    AfterMessage,
    AfterPrevious,
    AtTime,
    Clip,
    Echo,
    EndCall,
    Expect,
    ExpectHangUp,
    ExpectNot,
    ExpectSilence,
    ExpectSpeech,
    RequestHandoff,
    Scenario,
    ScenarioInvalid,
    SendEvent,
    SendFrame,
    SendSessionUpdated,
    SpokenTurn,
    StartFault,
    Tone,
    VadSettings,
    load_scenario,
    parse_scenario,
)
from rtc_client.testing.scenario.scenario import Step
from rtc_client.testing.scenario.toml_lines import find_lines
from tests.snippets import find_snippets

DOCS = Path(__file__).parents[3] / "rtc_client" / "testing" / "docs"

STEPS: list[tuple[str, Step]] = [
    ('speak = "tone:660"\nduration_s = 2\nlevel_dbfs = -30\ntext = "hi"\nwait = false',
     SpokenTurn(voice=Tone(frequency_hz=660, duration_s=2, level_dbfs=-30), text="hi", wait=False)),
    ('speak = "echo"\nduration_s = 2\ndelay_s = 0.5\nat_s = 1',
     SpokenTurn(voice=Echo(duration_s=2, delay_s=0.5), when=AtTime(1))),
    ('text = "words alone"\nafter = "caller"', SpokenTurn(text="words alone", when=AfterCaller())),
    ('send = { type = "x", n = 1 }\npause_s = 0.5', SendEvent(event={"type": "x", "n": 1}, when=AfterPrevious(0.5))),
    ('frame = "no JSON"\npause_s = [0.5, 1]', SendFrame(frame="no JSON", when=AfterPrevious((0.5, 1.0)))),
    ('frame_base64 = "AP8="', SendFrame(frame=b"\x00\xff")),
    ('update_session = { instructions = "x" }', SendSessionUpdated(session={"instructions": "x"})),
    ('handoff = "do it"', RequestHandoff(input_transcript="do it", answer=ANY)),
    ('handoff = "do it"\nanswer = false', RequestHandoff(input_transcript="do it", answer=None)),
    ('handoff = ""\nanswer = "done"\nwithin_s = 2\nhandoff_id = "h"\nitem_id = "i"\nwait = false',
     RequestHandoff(input_transcript="", answer="done", within_s=2, handoff_id="h", item_id="i", wait=False)),
    ('expect = { type = "x", n = { any = true } }\nwithin_s = 1\nafter = "text"\nafter_within_s = 9',
     Expect(message={"type": "x", "n": {"any": True}}, within_s=1, when=AfterMessage(CALLER_TEXT, 0.0, 9.0))),
    ('expect_text = { matches = "bye" }',
     Expect(message={"type": "conversation.item.create",
                     "item": {"role": "user", "content": [{"text": {"matches": "bye"}}]}})),
    ('expect_not = { type = "x" }\nfor_s = 1', ExpectNot(message={"type": "x"}, for_s=1)),
    ('expect_speech = true\nwithin_s = 1', ExpectSpeech(within_s=1)),
    ('expect_silence = true\nfor_s = 1\nwait = false', ExpectSilence(for_s=1, wait=False)),
    ('expect_hang_up = true\nafter = { type = "y" }', ExpectHangUp(when=AfterMessage({"type": "y"}))),
    ('fault = "refuse_post"\nwith = { status = 503, times = 2, headers = [["Retry-After", "1"]] }\nlasts_s = 3',
     StartFault(name="refuse_post", options={"status": 503, "times": 2, "headers": [["Retry-After", "1"]]}, lasts_s=3)),
    ("hang_up = true", EndCall()),
]  # fmt: skip


@pytest.mark.parametrize(("text", "step"), STEPS)
def test_every_step_can_be_written(text: str, step: Step) -> None:
    """In a file as in Python."""
    assert parse_scenario(f"[[steps]]\n{text}\n").steps == [step]


def test_the_settings_of_a_scenario_can_be_written() -> None:
    """All of them, each as it is called in Python."""
    text = """
        name = "n"
        seed = 5
        begins = "answer"
        caller_text = ["a", "b"]
        silence = "nothing"
        hang_up_after_s = 60
        hang_up_when_done = true
        must_finish = false
        hearing = { silence_s = 0.4, start_dbfs = -30 }
        [[whenever]]
        after = { type = "x" }
        send = { type = "y" }
    """

    assert parse_scenario(text) == Scenario(
        steps=[],
        whenever=[SendEvent(event={"type": "y"}, when=AfterMessage({"type": "x"}))],
        name="n",
        seed=5,
        begins="answer",
        caller_text=("a", "b"),
        silence="nothing",
        hang_up_after_s=60,
        hang_up_when_done=True,
        must_finish=False,
        hearing=VadSettings(silence_s=0.4, start_dbfs=-30),
    )


def test_sound_files_are_found_beside_the_scenario(tmp_path: Path) -> None:
    """Wherever one stands."""
    (tmp_path / "hello.wav").write_bytes(b"RIFF")
    (tmp_path / "s.toml").write_text('[[steps]]\nspeak = "hello.wav"\n')

    (step,) = load_scenario(tmp_path / "s.toml").steps

    assert isinstance(step, SpokenTurn)
    assert step.voice == Clip(tmp_path / "hello.wav")


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a = \n", 1, "no TOML"),
        ("name = 'x'\n\nseed = 1 1\n", 3, "no TOML"),
        ('x = """never closed', 1, "no TOML"),
        ("sed = 1", 1, "did you mean seed?"),
        ("\nseed = 1.5", 2, "a whole number"),
        ("seed = true", 1, "a whole number"),
        ("name = 3", 1, "a string"),
        ('begins = "now"', 1, "media or answer"),
        ("caller_text = [1]", 1, "a list of strings"),
        ("\nhang_up_after_s = -1", 2, "hang_up_after_s"),
        ("hang_up_after_s = '5'", 1, "a number"),
        ("\n[hearing]\nsilence_s = 0\n", 3, "silence_s > 0"),
        ("[hearing]\n\nsilense_s = 1\n", 3, "did you mean silence_s?"),
        ("steps = 3", 1, "[[steps]]"),
        ("[[steps]]\n", 1, "needs an action"),
        ("[[steps]]\nat_s = 1\n", 1, "needs an action"),
        ("[[steps]]\nspeek = 'tone:440'\n", 2, "did you mean speak?"),
        ("[[steps]]\nspeak = 'tone:440'\nhang_up = true\n", 3, "one thing"),
        ("[[steps]]\nspeak = 'tone:high'\n", 2, "frequency"),
        ("[[steps]]\nspeak = 'tone:440'\nlevel_dbfs = 0\n", 2, "clip"),
        ("[[steps]]\nspeak = 'tone:440'\ndelay_s = 1\n", 3, "does not go with"),
        ("[[steps]]\nspeak = 'gone.wav'\n", 2, "no sound file gone.wav"),
        ("[[steps]]\nspeak = 1\n", 2, "a string"),
        ("[[steps]]\ntext = 'x'\nwithin_s = 1\n", 3, "within_s is no key"),
        ("[[steps]]\nframe_base64 = '*'\n", 2, "base64"),
        ("[[steps]]\nsend = { when = 1979-05-27 }\n", 2, "JSON"),
        ("[[steps]]\nexpect = 'text'\n", 2, "a table"),
        ("[[steps]]\nexpect = {}\nwithin_s = -1\n", 3, "within_s"),
        ("[[steps]]\nexpect = { a = [\n  { b = { matches = '(' } },\n] }\n", 2, "no regular expression"),
        ("[[steps]]\nexpect_not = {}\n", 2, "needs for_s"),
        ("[[steps]]\nexpect_hang_up = 'yes'\n", 2, "must be true"),
        ("[[steps]]\nhandoff = 'x'\nanswer = 3\n", 3, "answer must be"),
        ("[[steps]]\nfault = 'refuse_pots'\n", 2, "did you mean refuse_post?"),
        ("[[steps]]\nfault = 'refuse_post'\n", 2, "needs status"),
        ("[[steps]]\nfault = 'refuse_post'\nwith = { statu = 1 }\n", 2, "does not take statu"),
        ("[[steps]]\nhang_up = true\nat_s = 1\npause_s = 2\n", 4, "exclude"),
        ("[[steps]]\nhang_up = true\nafter = 'never'\n", 3, "after must be"),
        ("[[steps]]\nhang_up = true\nafter_within_s = 1\n", 3, "needs after"),
        ("[[steps]]\nhang_up = true\npause_s = [1]\n", 3, "pause_s"),
        ("[[steps]]\nhang_up = true\npause_s = [2, 1]\n", 3, "pause_s"),
        ("[[steps]]\nhang_up = true\n\n[[steps]]\ntext = 'x'\n", 1, "nothing can come after"),
        ("[[steps]]\ntext = 'x'\n[[steps]]\nspeak = 'echo'\n[[steps]]\ntext = 'x'\n", 3, "last step"),
        ("[[whenever]]\ntext = 'x'\n", 1, "after which message"),
        ("[[whenever]]\nhang_up = true\nafter = 'text'\n", 2, "is for [[steps]]"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, line: int, says: str) -> None:
    """And with what to write instead, where one can know it."""
    with pytest.raises(ScenarioInvalid) as invalid:
        parse_scenario(text, Path("s.toml"))

    assert re.search(re.escape(says), invalid.value.problems[0].message), invalid.value
    assert invalid.value.problems[0].line == line
    assert str(invalid.value).startswith(f"s.toml:{line}: ")
    assert isinstance(invalid.value, ConfigError)


def test_all_mistakes_are_told_at_once() -> None:
    """In the order of their lines."""
    with pytest.raises(ScenarioInvalid) as invalid:
        parse_scenario("seed = 'x'\n[[steps]]\nspeek = 1\n[[steps]]\nexpect = {}\nwithin_s = 'x'\nfor_s = 1\n")

    assert [problem.line for problem in invalid.value.problems] == [1, 3, 6, 7]


def test_a_file_that_cannot_be_read_is_told_too(tmp_path: Path) -> None:
    """Missing, a folder, not UTF-8, or far too long."""
    for name, content in (
        ("gone", None),
        ("folder", None),
        ("latin", b'\n\nname = "\xe9"'),
        ("long", b"#" * 2_000_000),
    ):
        path = tmp_path / name
        if name == "folder":
            path.mkdir()
        elif content is not None:
            path.write_bytes(content)
        with pytest.raises(ScenarioInvalid) as invalid:
            load_scenario(path)
        assert str(invalid.value).startswith(f"{path}:{3 if name == 'latin' else 1}: ")


def test_the_file_in_the_documentation_is_a_scenario() -> None:
    """With a step of every kind that it explains."""
    (shown,) = [s.text for s in find_snippets((DOCS / "scenarios.md").read_text()) if s.language == "toml"]

    scenario = parse_scenario(shown)

    assert [type(step) for step in scenario.steps] == [
        SpokenTurn, Expect, RequestHandoff, StartFault, Expect, Expect, EndCall,
    ]  # fmt: skip
    assert len(scenario.whenever) == 1


# --- lines ---


def _places(value: object, place: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    found = [place] if place else []
    if isinstance(value, dict):
        found += [p for key, inner in value.items() for p in _places(inner, (*place, key))]
    if isinstance(value, list):
        found += [p for n, inner in enumerate(value) for p in _places(inner, (*place, n))]
    return found


def test_every_key_has_its_line() -> None:
    """In tables, sub-tables, arrays of tables, inline tables and lists, behind strings that look like TOML."""
    text = '''# [[not]] = a table
"quoted key".sub = 1
multi = """
[[steps]] "" ""
x = 1"""
raw = \'\'\'
[no]\'\'\'
list = [ # "
  "a]",
  { b = [1, 2], c = "}" },
]
[table]
x = 1
[[steps]]
expect = { type = "x", item = { a.b = 1 } }
[steps.more]
y = 2
[[steps]]
z = 1979-05-27 07:32:00Z
'''
    lines = find_lines(text)

    assert set(_places(tomllib.loads(text))) <= set(lines)
    assert {place: lines[place] for place in [
        ("quoted key", "sub"), ("multi",), ("raw",), ("list", 1, "b", 1), ("table", "x"), ("steps", 0),
        ("steps", 0, "expect", "item", "a", "b"), ("steps", 0, "more", "y"), ("steps", 1), ("steps", 1, "z"),
    ]} == {
        ("quoted key", "sub"): 2, ("multi",): 3, ("raw",): 6, ("list", 1, "b", 1): 10, ("table", "x"): 13,
        ("steps", 0): 14, ("steps", 0, "expect", "item", "a", "b"): 15, ("steps", 0, "more", "y"): 17,
        ("steps", 1): 18, ("steps", 1, "z"): 19,
    }  # fmt: skip


_values = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-_. \"'é", max_size=4), inner, max_size=3),
    max_leaves=8,
)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    if isinstance(value, list):
        return "[" + ",\n".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_toml(key)} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return str(value)


@given(st.lists(st.tuples(st.text("abé.", max_size=4), _values), max_size=4, unique_by=lambda pair: pair[0]))
def test_whatever_tomllib_reads_has_its_lines(pairs: list[tuple[str, object]]) -> None:
    """Every key and item of any document, on a line that is in it."""
    text = "".join(f"{_toml(key)} = {_toml(value)}\n" for key, value in pairs)

    lines = find_lines(text)

    assert set(_places(tomllib.loads(text))) <= set(lines)
    assert all(1 <= line <= text.count("\n") for line in lines.values())


@given(st.text(st.characters(codec="utf-8"), max_size=60))
def test_any_text_is_a_scenario_or_a_clear_refusal(text: str) -> None:
    """Never another exception."""
    with contextlib.suppress(ScenarioInvalid):
        parse_scenario(text)


def test_a_clip_of_samples_is_for_python_alone() -> None:
    """A scenario in Python may hold an array, which a file cannot."""
    assert Scenario(steps=[SpokenTurn(voice=Clip(np.zeros(480, dtype=np.int16)))]).steps
