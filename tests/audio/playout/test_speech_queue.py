"""What was said and is not heard yet: order, what was heard of each item, what a barge-in throws away."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.playout.speech_queue import SpeechQueue


def sound(n_samples: int, first: int = 1) -> Samples:
    return np.arange(first, first + n_samples, dtype=np.int64).astype(np.int16)


def test_what_comes_out_is_what_went_in() -> None:
    """Pieces of any length come out in frames, the last filled up with silence, then nothing."""
    queue = SpeechQueue()
    queue.push(sound(700), "a")
    queue.push(sound(300, 701), "b")

    frames = [queue.take_frame() for _ in range(4)]

    assert frames[3] is None
    whole = np.concatenate([frame for frame in frames if frame is not None])
    assert np.array_equal(whole[:1000], sound(1000))
    assert not whole[1000:].any()
    assert len(whole) == 3 * FRAME_SAMPLES
    assert len(queue) == 0


def test_a_cut_tells_what_was_heard_of_each_item() -> None:
    """The item that was being played by what was played of it, later ones by nothing; the ones before it not at all."""
    queue = SpeechQueue()
    queue.push(sound(FRAME_SAMPLES), "over")
    queue.push(sound(SAMPLE_RATE_HZ), "playing", 2)
    queue.push(sound(500), "later")
    for _ in range(6):
        queue.take_frame()

    items = queue.cut()

    assert [(item.item_id, item.content_index, item.heard_ms) for item in items] == [
        ("playing", 2, 100),
        ("later", 0, 0),
    ]
    assert queue.take_frame() is None
    assert queue.cut_samples == SAMPLE_RATE_HZ - 5 * FRAME_SAMPLES + 500


def test_what_still_comes_of_a_cut_item_is_not_heard() -> None:
    """Until another response begins; another item is heard at once."""
    queue = SpeechQueue()
    queue.push(sound(FRAME_SAMPLES), "a")
    queue.cut()
    queue.push(sound(FRAME_SAMPLES), "a")
    assert queue.take_frame() is None
    queue.push(sound(FRAME_SAMPLES), "b")
    assert queue.take_frame() is not None
    queue.begin()
    queue.push(sound(FRAME_SAMPLES), "a")
    assert queue.take_frame() is not None


def test_nothing_is_cut_when_all_of_it_was_heard() -> None:
    """An item that was played to its end is not told of."""
    queue = SpeechQueue()
    queue.push(sound(100), "a")
    queue.take_frame()

    assert queue.cut() == []


def test_sound_beyond_the_bound_is_left_out_and_counted() -> None:
    """What waits already is in the midst of a word: it stays."""
    queue = SpeechQueue(capacity_s=0.04)
    queue.push(sound(1000), "a")
    queue.push(sound(100), "a")

    assert len(queue) == 960
    assert queue.dropped_samples == 140
    (item,) = queue.cut()
    assert item.received_samples == 960


@given(
    st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abc"), st.integers(0, 3000)),
            st.sampled_from(["take", "cut", "begin"]),
        ),
        max_size=60,
    )
)
def test_never_more_heard_than_received(steps: list[tuple[str, int] | str]) -> None:
    """Whatever happens, a truncation lies within what came of an item, and every sample is accounted for."""
    queue = SpeechQueue(capacity_s=0.2)
    n_pushed = n_heard = 0
    for step in steps:
        match step:
            case (item_id, n_samples):
                queue.push(np.ones(n_samples, dtype=np.int16), item_id)
                n_pushed += n_samples
            case "take":
                frame = queue.take_frame()
                n_heard += 0 if frame is None else int(frame.sum())
            case "cut":
                for item in queue.cut():
                    assert 0 <= item.heard_samples < item.received_samples
                    assert item.heard_ms * SAMPLE_RATE_HZ <= item.received_samples * 1000
            case _:
                queue.begin()
        assert n_pushed == n_heard + len(queue) + queue.dropped_samples + queue.cut_samples
