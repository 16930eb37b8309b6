"""Delegation: what a delegate gets, and the limits of what it may answer (protocol.md section 9)."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rtc_client import ConfigError
from rtc_client.protocol.delegation.handoff import (
    MAX_CHARS,
    MAX_OUTPUT_TOKENS,
    OUTPUT_PREFIX,
    STANDALONE_ID,
    ActiveTranscript,
    LongOutput,
    V1Replies,
    appended,
    approximate_tokens,
    cut_output,
    delegation_text,
    split_output,
    truncate_middle,
)
from rtc_client.protocol.wire.codec import dump_command
from rtc_client.protocol.wire.commands import AppendHandoffOutput

SENDABLE = st.text(st.characters(exclude_categories=["Cs"]))
LONG = st.builds(lambda piece, n, end: piece * n + end, SENDABLE.filter(bool), st.integers(1, 3_000), SENDABLE)
MARK = re.compile(r"…(\d+) tokens truncated…")


def taken(transcript: ActiveTranscript, input_transcript: str) -> list[tuple[str, str]]:
    return [(entry.role, entry.text) for entry in transcript.take(input_transcript)]


# --- the active transcript -------------------------------------------------------------------------------------------


def test_pieces_of_one_role_are_joined_until_the_other_speaks() -> None:
    """Pieces of one role are one entry until the other role speaks; the request is the last entry."""
    transcript = ActiveTranscript()
    transcript.add_delta("user", "turn it ")
    transcript.add_delta("user", "on")
    transcript.add_delta("assistant", "sure, ")
    transcript.add_delta("assistant", "working")
    transcript.add_delta("user", "thanks")

    expected = [("user", "turn it on"), ("assistant", "sure, working"), ("user", "thanks"), ("user", "please do it")]
    assert taken(transcript, "  please do it\n") == expected


def test_each_handoff_begins_anew() -> None:
    """What one handoff got, the next does not get again; pieces behind a handoff begin an entry of their own."""
    transcript = ActiveTranscript()
    transcript.add_delta("user", "one")
    assert taken(transcript, "") == [("user", "one")]
    transcript.add_delta("user", " two")
    transcript.add_delta("user", "!")

    assert taken(transcript, "") == [("user", " two!")]


def test_a_request_that_was_said_before_is_not_repeated() -> None:
    """The same request again comes back empty, wherever in the session the user said just that."""
    transcript = ActiveTranscript()
    assert taken(transcript, "do it") == [("user", "do it")]
    assert taken(transcript, "do it") == []
    transcript.add_delta("assistant", "do that")
    assert taken(transcript, "do that") == [("assistant", "do that"), ("user", "do that")]
    transcript.add_delta("user", " Spoken. ")
    assert taken(transcript, "Spoken.") == [("user", " Spoken. ")]


def test_a_settled_text_replaces_its_pieces() -> None:
    """The settled text stands in place of the pieces of its role, if these are last and of this handoff."""
    transcript = ActiveTranscript()
    transcript.add_delta("user", "turn it om")
    transcript.settle("user", "Turn it on.")
    transcript.settle("assistant", "Yes.")
    transcript.settle("user", "")
    assert taken(transcript, "") == [("user", "Turn it on."), ("assistant", "Yes.")]
    transcript.settle("assistant", "Done.")
    assert taken(transcript, "") == [("assistant", "Done.")]


def test_a_session_of_any_length_has_a_bound() -> None:
    """Of a flood of words the latest are kept, and the next handoff still gets what is its own."""
    transcript = ActiveTranscript()
    for _ in range(12):
        transcript.add_delta("user", "u" * (MAX_CHARS // 10))
        transcript.add_delta("assistant", "a" * (MAX_CHARS // 10))
    entries = transcript.take("now")
    assert sum(len(entry.text) for entry in entries) <= MAX_CHARS + len("now")
    assert entries[-1].text == "now"
    transcript.add_delta("user", "u" * (2 * MAX_CHARS))
    assert [len(entry.text) for entry in transcript.take("")] == [2 * MAX_CHARS]


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "take"]), SENDABLE)))
def test_nothing_said_is_lost_or_told_twice(happenings: list[tuple[str, str]]) -> None:
    """Each word of each role reaches exactly one handoff, in order, whatever the pieces and requests."""
    transcript = ActiveTranscript()
    told: list[str] = []
    for role, text in happenings:
        if role == "take":
            told += [entry.text for entry in transcript.take("")]
        else:
            transcript.add_delta(role, text)  # type: ignore[arg-type]
    told += [entry.text for entry in transcript.take("")]

    assert "".join(told) == "".join(text for role, text in happenings if role != "take")


def test_the_text_of_a_delegation() -> None:
    """It is the reference client's user turn, escaped; the transcript stands in for an empty request."""
    transcript = ActiveTranscript()
    transcript.add_delta("user", "turn it on <now> & go")
    entries = transcript.take("please")

    assert delegation_text("please", entries) == (
        "<realtime_delegation>\n  <input>please</input>\n"
        "  <transcript_delta>user: turn it on &lt;now&gt; &amp; go\nuser: please</transcript_delta>\n"
        "</realtime_delegation>"
    )
    assert "<input>user: turn it on &lt;now&gt; &amp; go</input>" in delegation_text("", entries[:1])
    assert delegation_text("again", ()) == "<realtime_delegation>\n  <input>again</input>\n</realtime_delegation>"


# --- long output -----------------------------------------------------------------------------------------------------


def test_the_measured_cut() -> None:
    """6,300 characters became 4,018: 2,010 of the head with the prefix, the mark, and 1,986 of the tail."""
    text = "".join(chr(ord("a") + i % 26) for i in range(6_300))
    (command,) = V1Replies().output("handoff_1", text, is_progress=False)
    assert isinstance(command, AppendHandoffOutput)
    sent = command.output_text

    assert len(sent) == 4_018
    head, tail = sent.split("…582 tokens truncated…")
    assert (head, tail) == ((OUTPUT_PREFIX + text)[:2_010], text[-1_986:])


@pytest.mark.parametrize(
    ("text", "max_tokens", "cut"),
    [
        ("short output", 100, "short output"),
        ("abcdef", 0, "…2 tokens truncated…"),
        ("", 0, ""),
        ("😀" * 10 + "\nsecond line with text\n", 8, "😀😀😀😀…8 tokens truncated… line with text\n"),
        ("😀" * 5, 1, "…4 tokens truncated…"),
        ("😀" * 5, 3, "😀…2 tokens truncated…😀"),
    ],
)
def test_the_cut_where_characters_have_several_bytes(text: str, max_tokens: int, cut: str) -> None:
    """No character is torn: the cases of the reference client's own tests, and two at the edges."""
    assert truncate_middle(text, max_tokens) == cut


@given(LONG, st.integers(0, 60))
@example("é" * 40, 12)
@example("a", 0)
def test_what_is_cut_fits(text: str, max_tokens: int) -> None:
    """The cut text has at most as many tokens as it may, mark included, and nothing in it was not there, in order."""
    cut = cut_output(text, max_tokens)

    assert approximate_tokens(cut) <= max_tokens
    if approximate_tokens(text) <= max_tokens:
        assert cut == text
    elif cut:
        marks = [m for m in MARK.finditer(cut) if text.startswith(cut[: m.start()]) and text.endswith(cut[m.end() :])]
        assert marks
        assert len((cut[: marks[0].start()] + cut[marks[0].end() :]).encode()) <= max_tokens * 4


@given(LONG, st.integers(1, 60))
def test_the_cut_is_balanced_and_says_what_is_missing(text: str, max_tokens: int) -> None:
    """Head and tail each get half of the bytes, less a torn character; the mark counts what is beyond the limit."""
    cut = truncate_middle(text, max_tokens)
    n_bytes, max_bytes = len(text.encode()), max_tokens * 4
    if n_bytes <= max_bytes:
        assert cut == text
        return
    n_head, n_tail = max_bytes // 2, max_bytes - max_bytes // 2
    head = text.encode()[:n_head].decode(errors="ignore")
    assert cut.startswith(head + "…")
    mark = MARK.match(cut, len(head))
    assert mark is not None
    assert int(mark[1]) == -(-(n_bytes - max_bytes) // 4)
    tail = cut[mark.end() :]
    assert text.endswith(tail)
    assert n_head - 3 <= len(head.encode()) <= n_head
    assert n_tail - 3 <= len(tail.encode()) <= n_tail


@given(SENDABLE | LONG, st.integers(4, 400))
def test_pieces_are_the_whole_text(text: str, max_bytes: int) -> None:
    """Joined, the pieces are the text; each fits, and none but the last is less than half full."""
    pieces = split_output(text, max_bytes)

    assert "".join(pieces) == text
    sizes = [len(piece.encode()) for piece in pieces]
    assert all(size <= max_bytes for size in sizes)
    assert all(size > max_bytes // 2 - 4 for size in sizes[:-1])


def test_pieces_end_where_a_reader_would_pause() -> None:
    """Behind a line if there is one in the second half, else behind a word."""
    assert split_output("one two\nthree four", 12) == ["one two\n", "three four"]
    assert split_output("one two three four", 12) == ["one two ", "three four"]
    assert split_output("onetwothreefour", 12) == ["onetwothreef", "our"]
    with pytest.raises(ValueError, match="4 bytes"):
        split_output("x", 3)


# --- what is sent ----------------------------------------------------------------------------------------------------


def frames(*commands: object) -> list[dict[str, str]]:
    return [json.loads(dump_command(command)) for command in commands]  # type: ignore[arg-type]


def test_every_message_of_a_handoff_has_the_prefix() -> None:
    """As 0.144.0 has it: progress too. With the rule of 0.145.0 progress is bare."""
    expected = {"type": "conversation.handoff.append", "handoff_id": "h", "output_text": OUTPUT_PREFIX + "working"}
    assert frames(*V1Replies().output("h", "working", is_progress=True)) == [expected]
    assert frames(*V1Replies(prefix="final").output("h", "working", is_progress=False)) == [expected]
    bare = frames(*V1Replies(prefix="final").output("h", "working", is_progress=True))
    assert bare == [expected | {"output_text": "working"}]


def test_standalone_output_is_bare() -> None:
    """Output that answers no handoff has the id codex and no prefix."""
    expected = {"type": "conversation.handoff.append", "handoff_id": "codex", "output_text": "standalone answer"}
    assert frames(*appended(STANDALONE_ID, "standalone answer")) == [expected]


@pytest.mark.parametrize("long_output", ["cut", "pieces"])
@given(text=LONG)
def test_no_output_is_longer_than_it_may_be(long_output: LongOutput, text: str) -> None:
    """Whatever a handler answers, no frame holds more than 1,000 tokens, and the prefix where it is not counted."""
    commands = V1Replies(long_output=long_output).output("h", text, is_progress=False)
    texts = [command.output_text for command in commands if isinstance(command, AppendHandoffOutput)]

    assert bool(texts) == bool(text.strip())
    assert all(approximate_tokens(t.removeprefix(OUTPUT_PREFIX)) <= MAX_OUTPUT_TOKENS for t in texts)
    if long_output == "pieces" and texts:
        assert "".join(texts) == OUTPUT_PREFIX + text


def test_output_that_cannot_be_sent_is_refused() -> None:
    """A lone surrogate is a ConfigError, and white space alone is not sent."""
    with pytest.raises(ConfigError, match="surrogate"):
        appended("h", "\ud800" + "x" * 10_000)
    assert appended("h", " \n") == ()
