"""Reads a scenario from a TOML file, and names the line of each mistake.

TOML only: Python reads it by itself, and a bare `on`, `no` or `12:30` in it is not quietly something else.
"""

from __future__ import annotations

import base64
import binascii
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Final, TypeVar

from rtc_client.errors import ConfigError
from rtc_client.testing.scenario import scenario as sc
from rtc_client.testing.scenario.script import (
    AfterCaller,
    AfterMessage,
    AfterPrevious,
    AtTime,
    Clip,
    Echo,
    Pause,
    SpokenTurn,
    Tone,
    Voice,
    When,
)
from rtc_client.testing.scenario.toml_lines import find_lines
from rtc_client.testing.scenario.toml_tables import Place, Problem, TableReader, hint, is_number, listed
from rtc_client.testing.sound.vad import VadSettings
from rtc_client.testing.wire.json_patterns import ANY, CALLER_TEXT, Pattern

T = TypeVar("T")

MAX_FILE_BYTES: Final = 1024 * 1024

_TOP: Final = (
    "name", "seed", "begins", "caller_text", "silence", "hang_up_after_s", "hang_up_when_done", "must_finish",
    "hearing", "steps", "whenever",
)  # fmt: skip
_WHEN: Final = ("at_s", "after", "after_within_s", "pause_s")
_ACTIONS: Final[Mapping[str, tuple[str, ...]]] = {
    "speak": ("text", "duration_s", "level_dbfs", "delay_s", "wait"),
    "send": (),
    "frame": (),
    "frame_base64": (),
    "update_session": (),
    "handoff": ("answer", "within_s", "handoff_id", "item_id", "wait"),
    "expect": ("within_s", "wait"),
    "expect_text": ("within_s", "wait"),
    "expect_not": ("for_s", "wait"),
    "expect_speech": ("within_s", "wait"),
    "expect_silence": ("for_s", "wait"),
    "expect_hang_up": ("within_s",),
    "fault": ("with", "lasts_s"),
    "hang_up": (),
}
"""What a step does, and the keys that may stand beside it. `text` alone is an action too."""
_REACTIONS: Final = ("speak", "send", "frame", "frame_base64")


class ScenarioInvalid(ConfigError):
    """A scenario file cannot be used; the text names every one of its `problems`, each as `file:line: what`."""

    def __init__(self, path: Path, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(f"{path}:{problem.line}: {problem.message}" for problem in problems))
        self.path = path
        self.problems = tuple(problems)


def load_scenario(path: Path | str) -> sc.Scenario:
    """Return the scenario that a TOML file holds. Sound files in it are found from the file's own folder.

    Raises:
        ScenarioInvalid: If it cannot be read, or anything in it is not as it must be.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ScenarioInvalid(path, [Problem(1, f"cannot be read: {error.strerror}")]) from error
    if len(data) > MAX_FILE_BYTES:
        raise ScenarioInvalid(path, [Problem(1, f"is larger than {MAX_FILE_BYTES} bytes")])
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ScenarioInvalid(path, [Problem(line, "is not UTF-8")]) from None
    return parse_scenario(text, path)


def parse_scenario(text: str, path: Path = Path("scenario.toml")) -> sc.Scenario:
    """Return the scenario that a TOML text holds; `path` is what it is called, and where its sound files are.

    Raises:
        ScenarioInvalid: If anything in it is not as it must be.
    """
    try:
        table = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise ScenarioInvalid(path, [_syntax_problem(error)]) from None
    reader = _Reader(find_lines(text), path.parent)
    scenario = reader.scenario(table)
    if scenario is None or reader.problems:
        raise ScenarioInvalid(path, sorted(reader.problems, key=lambda problem: problem.line))
    return scenario


def _syntax_problem(error: Exception) -> Problem:
    place = re.search(r" \(at line (\d+), column \d+\)| \(at end of document\)", str(error))
    message = str(error).replace(place[0], "") if place else str(error)
    return Problem(int(place[1]) if place and place[1] else 1, f"is no TOML: {message}")


class _Reader(TableReader):
    """Reads the tables of a scenario."""

    def __init__(self, lines: Mapping[Place, int], folder: Path) -> None:
        super().__init__(lines)
        self._folder = folder

    def scenario(self, table: dict[str, object]) -> sc.Scenario | None:
        self.only(table, _TOP, ())
        steps = self._tables(table, "steps", self._step)
        whenever = self._tables(table, "whenever", self._reaction)
        hearing = self.get(table, ("hearing",), dict, {})
        known = tuple(field.name for field in fields(VadSettings))
        self.only(hearing, known, ("hearing",))
        levels = {key: self.number(hearing, ("hearing", key), 0.0) for key in known if key in hearing}
        texts = table.get("caller_text")
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            texts = tuple(texts)
        elif texts is not None and not isinstance(texts, str):
            self.wrong(("caller_text",), "caller_text must be a string, or a list of strings")
            texts = None
        settings: dict[str, object] = {
            "name": self.get(table, ("name",), str, ""),
            "seed": self.get(table, ("seed",), int, 0),
            "begins": self.one_of(table, "begins", ("media", "answer")),
            "silence": self.one_of(table, "silence", ("send", "nothing")),
            "hang_up_when_done": self.get(table, ("hang_up_when_done",), bool, False),
            "must_finish": self.get(table, ("must_finish",), bool, True),
        }
        if "hang_up_after_s" in table:
            settings["hang_up_after_s"] = self.number(table, ("hang_up_after_s",), 0.0)
        vad = self.made(("hearing", ""), lambda: VadSettings(**levels), hearing)
        if self.problems or vad is None:
            return None
        try:
            return sc.Scenario(steps=steps, whenever=whenever, caller_text=texts, hearing=vad, **settings)  # type: ignore[arg-type]
        except sc.StepInvalid as error:
            self.wrong(("steps", error.number - 1), error.why)
        except ValueError as error:
            self.wrong((str(error).split()[3],) if "hang_up_after_s" in str(error) else (), str(error))
        return None

    def _tables(
        self, table: dict[str, object], key: str, read: Callable[[dict[str, object], Place], T | None]
    ) -> list[T]:
        items = table.get(key, [])
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            self.wrong((key,), f"{key} must be tables: [[{key}]]")
            return []
        found = [read(item, (key, n)) for n, item in enumerate(items)]
        return [item for item in found if item is not None]

    def _reaction(self, table: dict[str, object], place: Place) -> sc.Reaction | None:
        action = self._action(table, place)
        if action is not None and action not in (*_REACTIONS, "text"):
            self.wrong((*place, action), f"{action} is for [[steps]]; here may stand {listed(_REACTIONS)}")
            return None
        step = self._step(table, place)
        if step is not None and not isinstance(step.when, AfterMessage):
            self.wrong(place, 'after must say after which message: after = { type = ... }, or after = "text"')
        return step  # type: ignore[return-value]

    def _step(self, table: dict[str, object], place: Place) -> sc.Step | None:
        action = self._action(table, place)
        if action is None:
            return None
        n_before = len(self.problems)
        beside = ("wait",) if action == "text" else _ACTIONS[action]
        self.only(table, (action, *beside, *_WHEN), place, what=f"a step with {action}")
        when = self._when(table, place)
        make = self._maker(action, table, place, when)
        if len(self.problems) > n_before:
            return None
        return self.made((*place, action), make, table)

    def _action(self, table: dict[str, object], place: Place) -> str | None:
        found = [key for key in _ACTIONS if key in table]
        if not found and "text" in table:
            return "text"
        if len(found) == 1:
            return found[0]
        if found:
            self.wrong((*place, found[1]), f"a step does one thing: {listed(found)} need a step each")
        elif unknown := [key for key in table if key not in _WHEN]:
            self.wrong((*place, unknown[0]), f"{unknown[0]} is no action{hint(unknown[0], _ACTIONS)}")
        else:
            self.wrong(place, f"a step needs an action: {listed(_ACTIONS)}")
        return None

    def _maker(self, action: str, table: dict[str, object], place: Place, when: When) -> Callable[[], sc.Step]:
        wait = self.get(table, (*place, "wait"), bool, True)
        within_s = self.number(table, (*place, "within_s"), sc.EXPECTED_WITHIN_S)
        text = self.get(table, (*place, "text"), str, "")
        match action:
            case "speak" | "text":
                voice = self._voice(table, place) if action == "speak" else None
                return lambda: SpokenTurn(voice=voice, text=text, when=when, wait=wait)
            case "send":
                event = self.get(table, (*place, action), dict, {})
                return lambda: sc.SendEvent(event=event, when=when)
            case "frame":
                frame = self.get(table, (*place, action), str, "")
                return lambda: sc.SendFrame(frame=frame, when=when)
            case "frame_base64":
                coded = self.get(table, (*place, action), str, "")
                return lambda: sc.SendFrame(frame=_decoded(coded), when=when)
            case "update_session":
                session = self.get(table, (*place, action), dict, {})
                return lambda: sc.SendSessionUpdated(session=session, when=when)
            case "handoff":
                return self._handoff(table, place, when, within_s=within_s, wait=wait)
            case "expect" | "expect_text":
                message: Pattern = self.get(table, (*place, action), dict, {}) if action == "expect" else _text(table)
                return lambda: sc.Expect(message=message, within_s=within_s, when=when, wait=wait)
            case "expect_not":
                unwanted = self.get(table, (*place, action), dict, {})
                for_s = self.needed_number(table, place, "for_s", action)
                return lambda: sc.ExpectNot(message=unwanted, for_s=for_s, when=when, wait=wait)
            case "expect_silence":
                self.must_be_true(table, (*place, action))
                for_s = self.needed_number(table, place, "for_s", action)
                return lambda: sc.ExpectSilence(for_s=for_s, when=when, wait=wait)
            case "expect_speech":
                self.must_be_true(table, (*place, action))
                return lambda: sc.ExpectSpeech(within_s=within_s, when=when, wait=wait)
            case "expect_hang_up":
                self.must_be_true(table, (*place, action))
                return lambda: sc.ExpectHangUp(within_s=within_s, when=when)
            case "fault":
                name = self.get(table, (*place, action), str, "")
                options = self.get(table, (*place, "with"), dict, {})
                lasts_s = self.number(table, (*place, "lasts_s"), 0.0) if "lasts_s" in table else None
                return lambda: sc.StartFault(name=name, options=options, lasts_s=lasts_s, when=when)
            case _:
                self.must_be_true(table, (*place, action))
                return lambda: sc.EndCall(when=when)

    def _handoff(
        self, table: dict[str, object], place: Place, when: When, *, within_s: float, wait: bool
    ) -> Callable[[], sc.Step]:
        transcript = self.get(table, (*place, "handoff"), str, "")
        handoff_id = self.get(table, (*place, "handoff_id"), str, "") or None
        item_id = self.get(table, (*place, "item_id"), str, "") or None
        answer = table.get("answer", ANY)
        if answer is False:
            answer = None
        elif not isinstance(answer, str | dict):
            self.wrong((*place, "answer"), "answer must be a string, { matches = ... }, or false for none")
        return lambda: sc.RequestHandoff(
            input_transcript=transcript,
            answer=answer,
            within_s=within_s,
            handoff_id=handoff_id,
            item_id=item_id,
            when=when,
            wait=wait,
        )

    def _voice(self, table: dict[str, object], place: Place) -> Voice | None:
        spoken = self.get(table, (*place, "speak"), str, "")
        given = {key: self.number(table, (*place, key), 0.0) for key in _ACTIONS["speak"][1:4] if key in table}
        kind, _, frequency = spoken.partition(":")
        taken: tuple[str, ...] = ()
        if kind == "tone":
            taken = ("duration_s", "level_dbfs")
        elif spoken == "echo":
            taken = ("duration_s", "delay_s")
        for key in given:
            if key not in taken:
                self.wrong((*place, key), f"{key} does not go with this voice")
                return None

        def make() -> Voice:
            if kind == "tone":
                return Tone(frequency_hz=_frequency_hz(frequency), **given)
            return Echo(**given) if spoken == "echo" else Clip(_found(self._folder / spoken))

        return self.made((*place, "speak"), make, table)

    def _when(self, table: dict[str, object], place: Place) -> When:
        pause_s = self._pause(table, (*place, "pause_s"))
        within_s = self.number(table, (*place, "after_within_s"), 0.0) if "after_within_s" in table else None
        after = table.get("after", "previous")
        others = [key for key in ("after", "pause_s", "after_within_s") if key in table]
        if "at_s" in table and others:
            self.wrong((*place, others[0]), f"at_s and {others[0]} exclude each other")
            return AfterPrevious()
        if "after_within_s" in table and after == "previous":
            self.wrong((*place, "after_within_s"), 'after_within_s needs after = "caller", "text" or a message')
        key = "at_s" if "at_s" in table else "after"
        when = self.made((*place, key), lambda: self._beginning(table, place, after, pause_s, within_s), table)
        return when or AfterPrevious()

    def _beginning(
        self, table: dict[str, object], place: Place, after: object, pause_s: Pause, within_s: float | None
    ) -> When:
        if "at_s" in table:
            return AtTime(self.number(table, (*place, "at_s"), 0.0))
        if after == "previous":
            return AfterPrevious(pause_s)
        if after == "caller":
            return AfterCaller(pause_s, within_s)
        if after == "text":
            return AfterMessage(CALLER_TEXT, pause_s, within_s)
        if isinstance(after, dict):
            return AfterMessage(after, pause_s, within_s)
        raise ValueError('after must be "previous", "caller", "text" or a message: { type = ... }')

    def _pause(self, table: dict[str, object], place: Place) -> Pause:
        value = table.get("pause_s", 0.0)
        if isinstance(value, list) and len(value) == 2 and all(is_number(item) for item in value):
            return (float(value[0]), float(value[1]))
        if is_number(value):
            return float(value)  # type: ignore[arg-type]
        self.wrong(place, "pause_s must be seconds, or the shortest and the longest: [0.2, 0.8]")
        return 0.0


def _text(table: dict[str, object]) -> Pattern:
    """Return the pattern of a text from the caller, in which only the text itself is given."""
    return {"type": CALLER_TEXT["type"], "item": {"role": "user", "content": [{"text": table["expect_text"]}]}}


def _frequency_hz(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ValueError('a tone needs its frequency in Hz: "tone:440"') from None


def _decoded(coded: str) -> bytes:
    try:
        return base64.b64decode(coded, validate=True)
    except binascii.Error:
        raise ValueError("frame_base64 is not base64") from None


def _found(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"there is no sound file {path.name} in {path.parent}")
    return path
