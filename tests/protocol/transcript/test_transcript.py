"""Deltas and settled texts become entries of who said what."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.transcript.builder import TranscriptBuilder
from rtc_client.protocol.transcript.entry_store import MAX_CHARS
from rtc_client.protocol.transcript.transcript import Role


def said(transcript: TranscriptBuilder) -> list[tuple[str, str, bool]]:
    return [(entry.role, entry.text, entry.final) for entry in transcript.entries]


def test_pieces_of_one_voice_are_joined() -> None:
    """A voice's pieces are one entry, at the time of the first, until the other voice speaks."""
    transcript = TranscriptBuilder()
    for role, delta, at_ms in (("caller", "hel", 10), ("caller", "lo", 20), ("agent", "yes", 30), ("caller", "!", 40)):
        transcript.delta(role, delta, at_ms)  # type: ignore[arg-type]

    assert said(transcript) == [("caller", "hello", False), ("agent", "yes", False), ("caller", "!", False)]
    assert [entry.at_ms for entry in transcript.entries] == [10, 30, 40]


def test_settled_text_replaces_its_pieces() -> None:
    """The settled text stands where its first piece stood, also when the other voice came between the pieces."""
    transcript = TranscriptBuilder()
    transcript.delta("caller", "turn it", 10)
    transcript.delta("agent", "mhm", 20)
    transcript.delta("caller", "om", 30)
    transcript.settle("caller", "Turn it on.", 40)

    assert said(transcript) == [("caller", "Turn it on.", True), ("agent", "mhm", False)]
    assert transcript.entries[0].at_ms == 10


def test_settled_text_without_pieces_is_an_entry() -> None:
    """A server that sends no deltas is understood."""
    transcript = TranscriptBuilder()
    transcript.settle("caller", "one", 10)
    transcript.settle("caller", "two", 20)

    assert said(transcript) == [("caller", "one", True), ("caller", "two", True)]
    assert [entry.at_ms for entry in transcript.entries] == [10, 20]


def test_what_was_said_before_a_settled_text_is_settled() -> None:
    """Realtime v1 has no event that ends an agent's text: the caller's next settled turn does."""
    transcript = TranscriptBuilder()
    transcript.delta("agent", "hello", 10)
    transcript.delta("caller", "hi", 20)
    transcript.settle("caller", "Hi.", 30)
    transcript.delta("agent", "again", 40)

    assert said(transcript) == [("agent", "hello", True), ("caller", "Hi.", True), ("agent", "again", False)]


def test_pieces_after_a_settled_text_begin_a_new_entry() -> None:
    """A turn that is over does not grow."""
    transcript = TranscriptBuilder()
    transcript.settle("agent", "One.", 10)
    transcript.delta("agent", "tw", 20)
    transcript.delta("agent", "o", 30)

    assert said(transcript) == [("agent", "One.", True), ("agent", "two", False)]


def test_empty_texts_leave_no_entry() -> None:
    """An empty delta adds nothing, and an empty settled text takes its pieces away: nothing was said after all."""
    transcript = TranscriptBuilder()
    transcript.delta("caller", "", 5)
    transcript.delta("caller", "uh", 10)
    transcript.settle("caller", "", 20)

    assert said(transcript) == []


def test_entries_are_a_copy() -> None:
    """Whoever keeps the entries keeps them as they were."""
    transcript = TranscriptBuilder()
    transcript.delta("agent", "a", 10)
    kept = transcript.entries
    transcript.delta("agent", "b", 20)
    transcript.settle("agent", "c", 30)

    assert [entry.text for entry in kept] == ["a"]
    assert "'a'" not in repr(kept)


def test_flood_has_a_bound_and_is_counted() -> None:
    """A server that never stops fills a bounded memory; what does not fit is counted, and settling makes room again."""
    transcript = TranscriptBuilder()
    for _ in range(20):
        transcript.delta("agent", "x" * 100_000, 10)
    kept = sum(len(entry.text) for entry in transcript.entries)
    assert kept <= MAX_CHARS
    assert transcript.dropped_chars >= 20 * 100_000 - kept > 0

    transcript.settle("agent", "short", 20)
    transcript.delta("caller", "there is room", 30)
    assert said(transcript) == [("agent", "short", True), ("caller", "there is room", False)]


def test_flood_of_tiny_entries_has_a_bound() -> None:
    """Voices that take turns letter by letter cannot fill the memory with entries either."""
    transcript = TranscriptBuilder()
    for n in range(60_000):
        transcript.delta("agent" if n % 2 else "caller", "x", n)

    assert len(transcript.entries) < 20_000
    assert transcript.dropped_chars > 0


ROLES = st.sampled_from(["caller", "agent"])


@given(st.lists(st.tuples(st.booleans(), ROLES, st.text(max_size=5)), max_size=40))
def test_nothing_is_lost_and_order_is_kept(happenings: list[tuple[bool, Role, str]]) -> None:
    """Settled texts all stand there in order for each voice; times never go back; no entry is empty."""
    transcript = TranscriptBuilder()
    for at_ms, (settles, role, text) in enumerate(happenings):
        if settles:
            transcript.settle(role, text and f"{text}{at_ms}", at_ms)
        else:
            transcript.delta(role, text, at_ms)

    entries = transcript.entries
    for role in ("caller", "agent"):
        settled = [
            f"{text}{n}" for n, (settles, who, text) in enumerate(happenings) if settles and who == role and text
        ]
        texts = iter([entry.text for entry in entries if entry.role == role])
        assert all(text in texts for text in settled)
    assert all(entry.text for entry in entries)
    assert [entry.at_ms for entry in entries] == sorted(entry.at_ms for entry in entries)
    assert transcript.dropped_chars == 0


@given(st.lists(st.tuples(ROLES, st.text(min_size=1, max_size=5)), max_size=30))
def test_deltas_alone_are_all_there(deltas: list[tuple[Role, str]]) -> None:
    """Until something settles, each voice's pieces joined are what it said."""
    transcript = TranscriptBuilder()
    for at_ms, (role, delta) in enumerate(deltas):
        transcript.delta(role, delta, at_ms)

    for role in ("caller", "agent"):
        joined = "".join(entry.text for entry in transcript.entries if entry.role == role)
        assert joined == "".join(delta for who, delta in deltas if who == role)
    assert all(one.role != other.role for one, other in zip(transcript.entries, transcript.entries[1:], strict=False))
