"""Pieces, texts and news of items become a transcript, in the order of the chain, in whatever order they came.

More than 600 lines: one builder, and every order in which its events may come.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.entry_store import MAX_CHARS
from rtc_client.protocol.transcript.transcript import Transcript, TranscriptEntry

Told: TypeAlias = Callable[[TranscriptBuilder], None]
"""One thing a scribe is told."""


def written_down(*told: Told) -> Transcript:
    scribe = TranscriptBuilder()
    for tell in told:
        tell(scribe)
    return scribe.entries


def said(entries: Sequence[TranscriptEntry]) -> list[tuple[str, str]]:
    return [(entry.role, entry.text) for entry in entries]


def only(entries: Sequence[TranscriptEntry]) -> TranscriptEntry:
    (entry,) = entries
    return entry


def added(item_id: str, previous: str | None, at_ms: int, role: Any = None, **more: Any) -> Told:
    return lambda scribe: scribe.item_added(item_id, at_ms, role=role, previous_item_id=previous, **more)


def piece(role: Any, text: str, at_ms: int, item_id: str | None = None, **more: Any) -> Told:
    return lambda scribe: scribe.delta(role, text, at_ms, item_id=item_id, **more)


def settled(role: Any, text: str, at_ms: int, item_id: str | None = None, **more: Any) -> Told:
    return lambda scribe: scribe.settle(role, text, at_ms, item_id=item_id, **more)


# Where an entry stands.


def test_late_text_of_the_caller_stands_where_its_item_does() -> None:
    """The words of the caller come when the agent has answered already; they stand before the answer all the same."""
    entries = written_down(
        added("question", None, 1_000, "caller", is_awaited=True),
        added("answer", "question", 1_200, "agent"),
        piece("agent", "Ten ", 1_300, "answer"),
        settled("agent", "Ten o'clock.", 1_500, "answer"),
        settled("caller", "What time?", 2_000, "question"),
    )

    assert said(entries) == [("caller", "What time?"), ("agent", "Ten o'clock.")]
    assert [(e.at_ms, e.end_ms) for e in entries] == [(1_000, 2_000), (1_200, 1_500)]


def test_a_turn_whose_words_have_not_come_has_a_place_already() -> None:
    """While the agent answers, the question is an empty entry that is not final."""
    entries = written_down(
        added("question", None, 1_000, "caller", is_awaited=True), piece("agent", "Ten", 1_300, "answer")
    )

    assert said(entries) == [("caller", ""), ("agent", "Ten")]
    assert not entries[0].final
    assert not entries[0].never_arrived


def test_an_item_that_is_put_in_between_stands_there() -> None:
    """Of two items that name the same predecessor the newer comes first, and what is nobody's words is a link."""
    entries = written_down(
        settled("caller", "one", 10, "a"),
        added("call", "a", 20),
        added("c", "call", 30),
        settled("agent", "three", 35, "c"),
        added("b", "call", 90),
        settled("agent", "two", 95, "b"),
    )

    assert said(entries) == [("caller", "one"), ("agent", "two"), ("agent", "three")]
    assert [entry.at_ms for entry in entries] == [10, 30, 30]


def test_a_chain_that_bites_its_tail_is_still_an_order() -> None:
    """Items that name each other, or themselves, are all there."""
    entries = written_down(
        *[settled("agent", name, n, name) for n, name in enumerate("abc")],
        added("a", "c", 10),
        added("b", "a", 10),
        added("c", "b", 10),
        settled("caller", "self", 20, "d"),
        added("d", "d", 20),
    )

    assert [entry.text for entry in entries] == ["a", "b", "c", "self"]


def test_words_without_an_item_stand_where_they_came() -> None:
    """Between the items of a chain, by time."""
    entries = written_down(
        added("a", None, 10),
        settled("caller", "first", 15, "a"),
        settled("agent", "in between", 20),
        added("b", "a", 30),
        settled("caller", "last", 40, "b"),
    )

    assert [entry.text for entry in entries] == ["first", "in between", "last"]


def test_words_without_an_id_are_of_the_turn_that_waits_longest_for_any() -> None:
    """A dialect may name its items and not say whose words it transcribes."""
    entries = written_down(
        added("a", None, 10, "caller", is_awaited=True),
        piece("agent", "Yes?", 20),
        added("b", "a", 30, "caller", is_awaited=True),
        lambda scribe: scribe.failed("b", 35),
        added("c", "b", 38, "caller", is_awaited=True),
        piece("caller", "One", 40),
        settled("caller", "One.", 50),
        settled("caller", "Three.", 60),
    )

    assert [(e.text, e.item_id) for e in entries] == [
        ("One.", "a"), ("Yes?", None), ("", "b"), ("Three.", "c")
    ]  # fmt: skip


def test_what_an_item_says_of_itself_counts_only_where_nothing_else_was_said() -> None:
    """Not against the last word of its text, before it or after it; and not where words come without an id."""
    of_itself = settled("agent", "of itself", 20, "a", is_repeat=True)
    for told in ((settled("agent", "Word.", 10, "a"), of_itself), (of_itself, settled("agent", "Word.", 30, "a"))):
        assert said(written_down(*told)) == [("agent", "Word.")]
    assert said(written_down(piece("agent", "of", 10, "a"), of_itself)) == [("agent", "of itself")]
    assert said(written_down(settled("agent", "Word.", 10), settled("caller", "?", 15), of_itself)) == [
        ("agent", "Word."), ("caller", "?")
    ]  # fmt: skip


def test_the_callers_words_begin_when_its_speech_did() -> None:
    """With an id or without one: words that come late stand before the answer, with the place of their sound."""
    for item_id in ("item", None):
        entries = written_down(
            lambda scribe, item_id=item_id: scribe.speech_started(item_id, 500, audio_start_ms=480),  # type: ignore[misc]
            lambda scribe, item_id=item_id: scribe.speech_stopped(item_id, audio_end_ms=1_480),  # type: ignore[misc]
            piece("agent", "Ten o'cl", 1_900),
            settled("caller", "What time?", 2_000, item_id),
            piece("agent", "ock.", 2_100),
        )

        assert said(entries) == [("caller", "What time?"), ("agent", "Ten o'clock.")]
        assert (entries[0].at_ms, entries[0].audio_start_ms, entries[0].audio_end_ms) == (500, 480, 1_480)
        assert (entries[0].starts_ms, entries[0].stops_ms) == (480, 1_480)


def test_a_beginning_of_speech_is_that_of_one_turn() -> None:
    """The words after those are where they came, if nobody said when they were spoken."""
    entries = written_down(
        lambda scribe: scribe.speech_started(None, 500, audio_start_ms=480),
        settled("caller", "One.", 1_000),
        settled("agent", "Yes?", 1_500),
        settled("caller", "Two.", 2_000),
    )

    assert [(e.text, e.at_ms, e.audio_start_ms) for e in entries] == [
        ("One.", 500, 480), ("Yes?", 1_500, None), ("Two.", 2_000, None)
    ]  # fmt: skip


def test_a_turn_that_late_words_of_the_caller_cut_in_two_becomes_one_again() -> None:
    """Without any word of when the caller spoke, the agent's last word still takes in what it had said before."""
    pieces = (piece("agent", "Ten ", 10), settled("caller", "What time?", 20), piece("agent", "o'clock", 30))

    assert said(written_down(*pieces)) == [("agent", "Ten "), ("caller", "What time?"), ("agent", "o'clock")]
    assert said(written_down(*pieces, settled("agent", "Ten o'clock.", 40))) == [
        ("agent", "Ten o'clock."),
        ("caller", "What time?"),
    ]


def test_an_earlier_turn_is_not_taken_for_a_part_of_a_later_one() -> None:
    """It ended because the caller spoke, and what the agent says next only begins like it."""
    entries = written_down(
        piece("agent", "Yes", 10), settled("caller", "Sure?", 20), settled("agent", "Yesterday.", 30)
    )

    assert [entry.text for entry in entries] == ["Yes", "Sure?", "Yesterday."]


# What comes twice.


def test_an_event_that_comes_twice_is_known_by_its_id() -> None:
    """The first time it is new, then it is not; without an id, or with one beyond reason, it always is."""
    scribe = TranscriptBuilder()

    assert [scribe.is_new("e1"), scribe.is_new("e1"), scribe.is_new("e2")] == [True, False, True]
    assert [scribe.is_new(None), scribe.is_new(None), scribe.is_new("")] == [True, True, True]
    assert [scribe.is_new("x" * 10_000), scribe.is_new("x" * 10_000)] == [True, True]
    assert [scribe.is_new(str(n)) for n in range(100_000)] == [True] * 100_000
    assert (scribe.is_new("99999"), scribe.is_new("0")) == (False, True)  # as many as are remembered


def test_a_settled_text_that_comes_twice_is_one_entry() -> None:
    """With an id always; without one when nothing else was said in between."""
    for item_id in ("item", None):
        twice = [settled("caller", "Yes.", 10, item_id), settled("caller", "Yes.", 20, item_id)]
        assert said(written_down(*twice)) == [("caller", "Yes.")]
        assert only(written_down(*twice)).end_ms == 10
    again = written_down(settled("caller", "Yes.", 10), settled("agent", "Sure?", 20), settled("caller", "Yes.", 30))
    assert [entry.text for entry in again] == ["Yes.", "Sure?", "Yes."]


def test_pieces_after_the_last_word_change_nothing() -> None:
    """What is settled does not grow, in whatever order it came."""
    entries = written_down(settled("agent", "one two", 10, "a"), piece("agent", " two", 20, "a"))

    assert said(entries) == [("agent", "one two")]


def test_two_names_for_the_same_pieces_count_once() -> None:
    """Whichever name is ahead, and whatever the pieces are cut into; the ids may be with one of them only."""
    for item_id in (None, "item"):
        entries = written_down(
            piece("agent", "one", 10, name="v1"),
            piece("agent", "one two", 20, item_id, name="GA"),
            piece("agent", " two", 30, name="v1"),
            piece("agent", " three", 40, name="v1"),
            piece("agent", " three four", 50, item_id, name="GA"),
            piece("agent", " four", 60, name="v1"),
        )
        assert said(entries) == [("agent", "one two three four")]


def test_two_names_for_the_same_last_word_are_one_entry() -> None:
    """With an id in both, in one, or in none."""
    for first in (None, "item"):
        for second in (None, "item"):
            entries = written_down(settled("caller", "Yes.", 10, first), settled("caller", "Yes.", 20, second))
            assert said(entries) == [("caller", "Yes.")]
            assert only(entries).item_id == (first or second)


def test_other_words_under_another_name_are_other_words() -> None:
    """Names may also share the words of a turn between them."""
    entries = written_down(piece("agent", "sure, ", 10, name="v1"), piece("agent", "working", 20, name="GA"))

    assert said(entries) == [("agent", "sure, working")]


# What was not heard, and what never came.


def test_an_entry_that_was_cut_short_says_what_was_heard() -> None:
    """By how much of its sound was heard, in whole words; without knowing its length only that it was cut."""
    text = "We open at ten on Sunday."
    cut = written_down(
        settled("agent", text, 10, "a"),
        lambda scribe: scribe.sound("a", 1_000, 15),
        lambda scribe: scribe.sound("a", 1_500, 16),
        lambda scribe: scribe.truncated("a", 1_500, 20),
    )
    unknown = written_down(settled("agent", text, 10, "a"), lambda scribe: scribe.truncated("a", 1_500, 20))
    nothing = written_down(settled("agent", text, 10, "a"), lambda scribe: scribe.truncated("a", 0, 20))

    assert (only(cut).interrupted, only(cut).heard_ms, only(cut).unheard_text) == (True, 1_500, "on Sunday.")
    assert only(cut).as_words() == "We open at ten [not heard: on Sunday.]"
    assert (only(unknown).interrupted, only(unknown).heard_chars) == (True, None)
    assert only(unknown).as_words() == f"{text} [interrupted]"
    assert only(nothing).as_words() == f"[not heard: {text}]"


def test_what_was_heard_is_the_least_of_what_is_said_of_it() -> None:
    """We say where we ceased to play, the server says where it cut: in either order."""
    for first_ms, second_ms in ((300, 500), (500, 300)):
        entry = only(
            written_down(
                settled("agent", "One.", 10, "a"),
                lambda scribe, ms=first_ms: scribe.interrupted(20, item_id="a", heard_ms=ms),  # type: ignore[misc]
                lambda scribe, ms=second_ms: scribe.truncated("a", ms, 30),  # type: ignore[misc]
            )
        )
        assert entry.heard_ms == 300


def test_a_cancelled_response_cuts_what_it_did_not_finish() -> None:
    """Its items that were complete before are whole; the one in progress is final as far as it came."""
    entries = written_down(
        settled("agent", "One.", 10, "a", response_id="r"),
        lambda scribe: scribe.item_done("a", 11, is_complete=True),
        added("b", "a", 12, "agent"),
        piece("agent", "Tw", 15, "b", response_id="r"),
        lambda scribe: scribe.response_cut("r"),
    )

    assert [(e.text, e.final, e.interrupted) for e in entries] == [("One.", True, False), ("Tw", True, True)]


def test_sound_that_was_thrown_away_cuts_the_end_of_its_response() -> None:
    """Also of one whose text was complete: it was written faster than it was spoken."""
    entries = written_down(
        settled("agent", "One.", 10, "a", response_id="r"),
        lambda scribe: scribe.item_done("a", 11, is_complete=True),
        settled("agent", "Two.", 12, "b", response_id="r"),
        lambda scribe: scribe.item_done("b", 13, is_complete=True),
        lambda scribe: scribe.response_cut("r", is_cleared=True),
    )

    assert [entry.interrupted for entry in entries] == [False, True]


def test_we_may_cut_the_agent_short_ourselves() -> None:
    """What it said last, or an item, whether the text of it was settled or not."""
    for last in (piece("agent", "Two", 20), settled("agent", "Two", 20), settled("agent", "Two", 20, "item")):
        entries = written_down(settled("agent", "One.", 10), last, lambda scribe: scribe.interrupted(30, heard_ms=400))
        assert [(e.interrupted, e.heard_ms) for e in entries] == [(False, None), (True, 400)]
    named = written_down(
        settled("agent", "One.", 10, "a"),
        settled("agent", "Two.", 20, "b"),
        lambda scribe: scribe.interrupted(30, item_id="a"),
    )
    assert [entry.interrupted for entry in named] == [True, False]
    assert written_down(lambda scribe: scribe.interrupted(30)) == ()


def test_words_that_came_after_the_cut_were_not_heard() -> None:
    """Where nobody tells how long the sound was; how much of it was heard is told by when the entry was first heard."""
    asked: list[int] = []

    def heard_since(at_ms: int) -> int:
        asked.append(at_ms)
        return 120

    told = (
        settled("caller", "When?", 50),
        piece("agent", "We open at", 100),
        lambda scribe: scribe.interrupted(1_000, heard_since=heard_since),
        lambda scribe: scribe.interrupted(1_100, heard_since=heard_since),
        piece("agent", " ten on Sunday.", 1_200),
    )
    for last in ((), (settled("agent", "We open at ten on Sunday.", 1_300),)):
        answer = written_down(*told, *last)[1]
        assert (answer.heard_ms, answer.unheard_text) == (880, " ten on Sunday.")
    assert set(asked) == {100}


def test_a_cut_survives_that_a_turn_becomes_one_again() -> None:
    """Late words of the caller had cut it in two, and we cut the second part."""
    answer, question = written_down(
        piece("agent", "We open ", 100),
        piece("caller", "When?", 200),
        piece("agent", "at ten", 300),
        lambda scribe: scribe.interrupted(900, heard_since=lambda at_ms: at_ms),
        piece("agent", " on Sunday.", 1_000),
        settled("agent", "We open at ten on Sunday.", 1_300),
    )

    assert (answer.text, answer.interrupted) == ("We open at ten on Sunday.", True)
    assert (answer.heard_ms, answer.unheard_text) == (800, " on Sunday.")
    assert not question.interrupted


def test_words_that_never_came_are_flagged() -> None:
    """Because their transcription failed, or because the call was over first; not if they come after all."""
    failed = only(written_down(lambda scribe: scribe.failed("a", 10)))
    late = written_down(lambda scribe: scribe.failed("a", 10), settled("caller", "Hi.", 20, "a"))
    ended = written_down(
        added("a", None, 10, "caller", is_awaited=True),
        settled("agent", "Yes?", 20, "b"),
        piece("agent", "And", 30, "c"),
        lambda scribe: scribe.end(),
    )

    assert (failed.role, failed.text, failed.final, failed.never_arrived) == ("caller", "", False, True)
    assert failed.as_words() == "[never arrived]"
    assert (only(late).text, only(late).never_arrived) == ("Hi.", False)
    assert [(e.text, e.never_arrived) for e in ended] == [("", True), ("Yes?", False), ("And", True)]
    assert ended[2].as_words() == "And [never arrived]"


def test_a_turn_in_which_nothing_was_said_is_none() -> None:
    """A cough: the server heard speech, and understood no word."""
    assert written_down(added("a", None, 10, "caller", is_awaited=True), settled("caller", "", 20, "a")) == ()


def test_the_sound_of_a_response_lies_where_it_was_sent() -> None:
    """Its first entry begins with it and its last one ends with it; one that was cut ends where it was."""
    entries = written_down(
        settled("agent", "One.", 10, "a", response_id="r"),
        settled("agent", "Two.", 20, "b", response_id="r"),
        lambda scribe: scribe.response_heard("r", start_ms=100),
        lambda scribe: scribe.response_heard("r", end_ms=900),
        settled("agent", "Three.", 30, "c", response_id="s"),
        lambda scribe: scribe.response_heard("s", start_ms=2_000),
        lambda scribe: scribe.truncated("c", 300, 2_300),
    )

    assert [(e.audio_start_ms, e.audio_end_ms) for e in entries] == [(100, None), (None, 900), (2_000, 2_300)]


# What is written.


def test_what_was_sent_as_text_is_written_once() -> None:
    """When it is sent, and again when the server tells of its item, which gives it its place."""
    told = [
        settled("agent", "Hello?", 5, "a"),
        lambda scribe: scribe.written("caller", "Good day.", 10),
        lambda scribe: scribe.written("caller", "Good day.", 20),
        lambda scribe: scribe.written("caller", "Good day.", 30, item_id="x", previous_item_id="a"),
        lambda scribe: scribe.written("caller", "Good day.", 30, item_id="x", previous_item_id="a"),
        lambda scribe: scribe.written("caller", "Another's.", 40, item_id="y", previous_item_id="x"),
    ]  # fmt: skip
    entries = written_down(*told)
    named = written_down(*told, lambda scribe: scribe.written("caller", "Good day.", 50, item_id="z"))

    assert [(e.text, e.item_id, e.written) for e in entries] == [
        ("Hello?", "a", False),
        ("Good day.", "x", True),
        ("Good day.", None, True),
        ("Another's.", "y", True),
    ]
    assert all(entry.final for entry in entries)
    assert [entry.item_id for entry in named] == ["a", "x", "z", "y"]


def test_texts_that_the_server_never_tells_of_are_not_looked_for_for_ever() -> None:
    """Of those sent without an id the last 64 may still be told of."""
    scribe = TranscriptBuilder()
    for n in range(100):
        scribe.written("caller", f"text {n}", n)
    scribe.written("caller", "text 0", 200, item_id="x")
    scribe.written("caller", "text 99", 200, item_id="y")

    assert [entry.text for entry in scribe.entries].count("text 0") == 2
    assert [entry.text for entry in scribe.entries].count("text 99") == 1


def test_what_is_taken_away_makes_room() -> None:
    """A call in which a hundred thousand coughs were taken for words has room for the words after them."""
    scribe = TranscriptBuilder()
    for n in range(100_000):
        scribe.delta("caller", "Hm.", n)
        scribe.settle("caller", "", n)
    scribe.settle("caller", "Hello.", 100_000)

    assert scribe.dropped_chars == 0
    assert said(scribe.entries) == [("caller", "Hello.")]


# Whatever comes.

NAMES = ("i1", "i2", "i3", "i4", "i5")


@st.composite
def conversations(draw: st.DrawFn) -> list[list[Told]]:
    """For each item of a chain what is told of it, each at its own time, in the order in which it must come."""
    told: list[list[Told]] = []
    previous: str | None = None
    for n, name in enumerate(NAMES[: draw(st.integers(1, len(NAMES)))]):
        role: Any = draw(st.sampled_from(["caller", "agent"]))
        at_ms = 100 * n
        pieces = draw(st.lists(st.text(max_size=4), max_size=3))
        item: list[Told] = [
            added(name, previous, at_ms, role, is_awaited=role == "caller"),
            *[piece(role, text, at_ms + 10 + k, name, response_id=f"r{n}") for k, text in enumerate(pieces)],
        ]
        if draw(st.booleans()):
            item.append(settled(role, "".join(pieces) + draw(st.text(max_size=2)), at_ms + 50, name))
        if role == "agent" and draw(st.booleans()):
            item.append(lambda scribe, name=name, at_ms=at_ms: scribe.truncated(name, 20, at_ms + 60))  # type: ignore[misc]
        if role == "agent" and draw(st.booleans()):
            item.append(lambda scribe, n=n: scribe.response_cut(f"r{n}"))  # type: ignore[misc]
        if role == "caller" and draw(st.booleans()):
            item.append(lambda scribe, name=name, at_ms=at_ms: scribe.failed(name, at_ms + 60))  # type: ignore[misc]
        told.append(item)
        previous = name
    return told


@given(conversations(), st.data())
def test_any_order_and_repetition_gives_the_same_transcript(items: list[list[Told]], data: st.DataObject) -> None:
    """Only pieces of one item must stay in order; everything else may overtake anything, and come twice with its id."""
    in_turn = [(f"e{n}.{k}", tell) for n, item in enumerate(items) for k, tell in enumerate(item)]
    expected = TranscriptBuilder()
    for event_id, tell in in_turn:
        assert expected.is_new(event_id)
        tell(expected)
    expected.end()

    queues = [[(f"e{n}.{k}", tell) for k, tell in enumerate(item)] for n, item in enumerate(items)]
    came: list[tuple[str, Told]] = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        came.append(queue.pop(0))
        came += data.draw(st.lists(st.sampled_from(came), max_size=2))
    scribe = TranscriptBuilder()
    for event_id, tell in came:
        if scribe.is_new(event_id):
            tell(scribe)
    scribe.end()

    assert scribe.entries == expected.entries
    assert scribe.entries.as_webvtt() == expected.entries.as_webvtt()


@given(st.permutations(range(12)))
def test_settled_items_come_out_the_same_in_any_order_at_all(order: list[int]) -> None:
    """Also their own events may change places, as long as each text has its last word."""
    told = [
        step
        for n, name in enumerate(NAMES[:3])
        for step in (
            added(name, NAMES[n - 1] if n else None, 100 * n, "caller" if n % 2 else "agent"),
            piece("caller" if n % 2 else "agent", "half a ", 100 * n + 10, name),
            piece("caller" if n % 2 else "agent", "word", 100 * n + 20, name),
            settled("caller" if n % 2 else "agent", f"{n}: half a word", 100 * n + 30, name),
        )
    ]

    assert written_down(*[told[n] for n in order]) == written_down(*told)


ANYTHING = st.one_of(st.none(), st.just(""), st.sampled_from(NAMES), st.text(max_size=3), st.just("x" * 300))
TIMES = st.integers(-5, 10**7)
TEXTS = st.text(max_size=6)
VOICES = st.sampled_from(["caller", "agent"])
FAMILY = st.sampled_from(["v1", "GA"])
FLAG = st.booleans()


METHODS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "delta": ([VOICES, TEXTS, TIMES], {"item_id": ANYTHING, "response_id": ANYTHING, "name": FAMILY}),
    "settle": ([VOICES, TEXTS, TIMES], {"item_id": ANYTHING, "part": st.integers(-2, 3), "is_repeat": FLAG}),
    "written": ([VOICES, TEXTS, TIMES], {"item_id": ANYTHING, "previous_item_id": ANYTHING}),
    "item_added": ([ANYTHING, TIMES], {"role": VOICES, "previous_item_id": ANYTHING, "is_awaited": FLAG}),
    "item_done": ([ANYTHING, TIMES], {"is_complete": FLAG}),
    "failed": ([ANYTHING, TIMES], {}),
    "truncated": ([ANYTHING, TIMES, TIMES], {}),
    "interrupted": ([TIMES], {"item_id": ANYTHING, "heard_ms": st.none() | TIMES}),
    "sound": ([ANYTHING, st.floats(-10, 10_000), TIMES], {}),
    "speech_started": ([ANYTHING, TIMES], {"audio_start_ms": st.none() | TIMES}),
    "speech_stopped": ([ANYTHING], {"audio_end_ms": st.none() | TIMES}),
    "response_heard": ([ANYTHING], {"start_ms": st.none() | TIMES, "end_ms": st.none() | TIMES}),
    "response_cut": ([ANYTHING], {"is_cleared": FLAG}),
    "end": ([], {}),
}


@st.composite
def anything_told(draw: st.DrawFn) -> Told:
    name = draw(st.sampled_from(sorted(METHODS)))
    positional, named = METHODS[name]
    arguments = [draw(value) for value in positional]
    keywords = {key: draw(value) for key, value in named.items()}
    return lambda scribe: getattr(scribe, name)(*arguments, **keywords)


@given(st.lists(anything_told(), max_size=40))
def test_nothing_it_is_told_can_break_it(told: list[Told]) -> None:
    """No exception; begin times never go back; an entry never ends before it begins; every export can be made."""
    scribe = TranscriptBuilder()
    for tell in told:
        tell(scribe)
        scribe.latest(3)
    entries = scribe.entries

    assert [entry.at_ms for entry in entries] == sorted(entry.at_ms for entry in entries)
    assert all(entry.at_ms <= entry.end_ms and entry.starts_ms <= entry.stops_ms for entry in entries)
    assert all(0 <= (entry.heard_chars or 0) <= len(entry.text) for entry in entries)
    assert len({entry.number for entry in entries}) == len(entries)
    assert entries.as_text().count("\n") == len(entries) == len(entries.as_json())
    assert scribe.latest(2) == entries[-2:]
    assert entries.as_webvtt().startswith("WEBVTT\n")


@pytest.mark.parametrize("tell", ["delta", "settle", "written", "item_added", "part"])
def test_a_flood_has_a_bound(tell: str) -> None:
    """However it comes: what does not fit is counted where it is text, and memory stays as it is."""
    scribe = TranscriptBuilder()
    for n in range(40_000):
        match tell:
            case "item_added":
                scribe.item_added(f"i{n}", n, role="caller", is_awaited=True)
            case "part":
                scribe.delta("agent", "x", n, item_id="i", part=n)
            case "delta":
                scribe.delta("agent", "x" * 50, n, item_id=f"i{n}")
            case "settle":
                scribe.settle("agent", "x" * 50, n, item_id=f"i{n}")
            case _:
                scribe.written("caller", "x" * 50, n)

    entries = scribe.entries
    assert len(entries) < 20_000
    assert sum(len(entry.text) for entry in entries) <= MAX_CHARS
    assert scribe.dropped_chars > 0
