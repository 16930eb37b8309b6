"""Timeline, retry schedule and redaction: a few lines of code each."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.protocol.backoff import MAX_TRIES, delay_s
from rtc_client.protocol.call_timeline import PHASES, CallTimeline, Milestone
from rtc_client.protocol.redact import MAX_CHARS, one_line, printable
from rtc_client.protocol.wire.fast_frames import without_sound

# --- timeline --------------------------------------------------------------------------------------------------------


def test_phases_are_the_times_between_facts() -> None:
    """Each phase is measured between the facts at its ends, in milliseconds, whatever the order they were noted in."""
    timeline = CallTimeline()
    at_s = {
        Milestone.FIRST_RTP: 102.5, Milestone.DIALED: 100.0, Milestone.GATHERED: 100.1, Milestone.ANSWERED: 100.35,
        Milestone.ICE_COMPLETED: 100.5, Milestone.DTLS_CONNECTED: 101.0, Milestone.SIDEBAND_JOINED: 100.4,
        Milestone.ENDED: 110.0,
    }  # fmt: skip
    for fact, when_s in at_s.items():
        assert timeline.mark(fact, when_s)

    timings = timeline.timings()

    assert (timings.gather, timings.post, timings.ice, timings.dtls) == (100.0, 250.0, 150.0, 500.0)
    assert (timings.first_rtp, timings.sideband, timings.setup) == (1500.0, 50.0, 1000.0)


def test_phase_that_was_not_finished_has_no_time() -> None:
    """None, not zero: it never came to an end."""
    timeline = CallTimeline()
    timeline.mark(Milestone.DIALED, 1.0)

    timings = timeline.timings()

    assert [getattr(timings, phase) for phase in PHASES] == [None] * len(PHASES)


def test_fact_happens_once() -> None:
    """A sideband joined again does not move the time at which it was joined first."""
    timeline = CallTimeline()

    assert timeline.mark(Milestone.SIDEBAND_JOINED, 1.0)
    assert not timeline.mark(Milestone.SIDEBAND_JOINED, 9.0)
    assert timeline.at_s(Milestone.SIDEBAND_JOINED) == 1.0
    assert timeline.at_s(Milestone.DIALED) is None


def test_time_since_a_fact_never_runs_backwards() -> None:
    """Zero before it happened, and never less."""
    timeline = CallTimeline()
    timeline.mark(Milestone.DIALED, 5.0)

    assert timeline.since_s(Milestone.DIALED, 7.5) == 2.5
    assert timeline.since_s(Milestone.DIALED, 4.0) == 0.0
    assert timeline.since_s(Milestone.ENDED, 7.5) == 0.0


# --- retries ---------------------------------------------------------------------------------------------------------


@given(st.integers())
def test_waits_are_those_of_the_reference_client(seed: int) -> None:
    """200, 400, 800 and 1600 ms, ±10 %; after five tries there is no other."""
    rng = random.Random(seed)

    waits_s = [delay_s(tries, rng) for tries in range(1, 7)]

    assert MAX_TRIES == 5
    for wait_s, nominal_s in zip(waits_s, (0.2, 0.4, 0.8, 1.6), strict=False):
        assert wait_s is not None
        assert 0.9 * nominal_s <= wait_s <= 1.1 * nominal_s
    assert waits_s[4:] == [None, None]


def test_waits_are_spread() -> None:
    """Callers that fail together do not come back together."""
    rng = random.Random(7)

    assert len({delay_s(1, rng) for _ in range(50)}) == 50


# --- redaction -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("two\r\nlines\tand  spaces ", "two lines and spaces"),
        ("\x1b[31mred\x07", "[31mred"),
        ("right\u202eto left\u2066", "right to left"),
        ("a\u2028b\u2029c\x85d\u200be", "a b c d e"),
        ("lone \ud800 half", "lone half"),
        ("Grüße 你好 🎧", "Grüße 你好 🎧"),
        ("key sk-1 and sk-1-long", "key [redacted] and [redacted]-long"),
        ("", ""),
    ],
)
def test_foreign_text_becomes_one_clean_line(text: str, line: str) -> None:
    """No control or direction characters, no line breaks, no key; everything else as it was."""
    assert one_line(text, ["sk-1"]) == line


def test_longest_secret_goes_first() -> None:
    """A secret that contains another is hidden whole when it is given first, as `CallConfig.secrets` does."""
    assert one_line("abc-def", ["abc-def", "abc"]) == "[redacted]"


@given(st.text(), st.text(min_size=4, alphabet="sk-0123456789"), st.integers(min_value=10, max_value=400))
def test_whatever_a_server_says_no_secret_comes_out(text: str, secret: str, max_chars: int) -> None:
    """Wherever the key stands in it, the line is short, printable, and holds no key."""
    line = one_line(f"{text}{secret} {text}", [secret], max_chars=max_chars)

    assert len(line) <= max_chars
    assert secret not in line
    assert "\n" not in line
    assert not any(character < " " or character == "\x7f" for character in line)


def test_secret_cannot_hide_behind_the_cut_or_a_control_character() -> None:
    """A key broken up by what is taken out, or cut by the end of the line, is not put together again."""
    key = "sk-0123456789"

    assert key not in one_line(f"sk-01234\x0056789 {key}", [key])
    assert key[:9] not in one_line("x" * (MAX_CHARS - 10) + key, [key])


def test_foreign_words_cannot_steer_a_terminal() -> None:
    """What a voice said is shown on one line without escape sequences; joiners within words and emoji stay."""
    assert printable("a\x1b[2Jb\r\nc\u202ed  e") == "a [2Jb c d e"
    assert printable("👩\u200d💻 نمی\u200cخواهم") == "👩\u200d💻 نمی\u200cخواهم"


def test_an_event_is_kept_without_its_sound() -> None:
    """Whichever way it went, and whatever else is in it; everything else is as it was."""
    for name, field in (
        ("input_audio_buffer.append", "audio"),
        ("response.output_audio.delta", "delta"),
        ("conversation.output_audio.delta", "data"),
    ):
        kept = {"type": name, "item_id": "i", field: "[2560 characters]"}
        assert without_sound({"type": name, "item_id": "i", field: "A" * 2560}) == kept
    odd = [{"type": "response.output_audio.delta", "delta": None}, {"type": ["x"]}, {"delta": "words"}, "text", None]
    for event in [*odd, {"type": "conversation.output_transcript.delta", "delta": "words"}]:
        assert without_sound(event) == event
