"""Promise: readers of a stream are independent, bounded and end; a hush keeps away one turn and no more. No call."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from rtc_client import CallLost, MediaConnected, NoAudioYet
from rtc_client.call.events.event_log import EventLog
from rtc_client.call.media.output_gate import (
    GIVES_WAY_FRAMES,
    LONG_PAUSE_FRAMES,
    NOISE_FRAMES,
    OPEN_PAUSE_FRAMES,
    PAUSE_FRAMES,
    OutputGate,
)
from rtc_client.call.media.streams import CAPACITY_CHUNKS, Subscription

VOICE = np.full(480, 5000, dtype=np.int16)
SILENCE = np.zeros(480, dtype=np.int16)


async def test_readers_get_what_comes_from_when_they_were_made() -> None:
    """Each all of it, whoever else reads; nothing is kept while nobody does."""
    stream: Subscription[int] = Subscription(100)
    stream.put(0, 1)
    assert not stream.is_read
    first = stream.subscribe()
    stream.put(1, 1)
    second = stream.subscribe()
    stream.put(2, 1)
    stream.close(None)

    assert [item async for item in first] == [1, 2]
    assert [item async for item in second] == [2]
    assert [item async for item in stream.subscribe()] == []
    assert stream.dropped == 0


async def test_a_reader_that_falls_behind_loses_the_oldest() -> None:
    """By size and by number, counted; another reader loses nothing, and one item larger than the bound is kept."""
    stream: Subscription[int] = Subscription(10)
    slow, quick = stream.subscribe(), stream.subscribe()
    seen = []
    for n in range(8):
        stream.put(n, 4)
        seen.append(await anext(quick))
    assert seen == list(range(8))
    assert stream.dropped == 6
    stream.put(8, 1000)
    assert await anext(slow) == 8
    for n in range(CAPACITY_CHUNKS + 5):
        stream.put(n, 0)
    assert await anext(quick) == 5


async def test_a_reader_that_nobody_holds_is_none() -> None:
    """Leaving a loop early costs nothing."""
    stream: Subscription[int] = Subscription(10)
    reader = stream.subscribe()
    assert stream.is_read
    del reader
    gc.collect()
    assert not stream.is_read


@pytest.mark.parametrize("kind", ["stream", "feed"])
async def test_a_step_that_is_cancelled_loses_nothing_and_the_end_stays_the_end(kind: str) -> None:
    """A limit on one step is usual; the error at the end is raised once, and asking again ends again."""
    lost = CallLost("network", "gone")
    stream: Subscription[object] = Subscription(10)
    feed = EventLog()
    reader = stream.subscribe() if kind == "stream" else feed.read()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(anext(reader), 0.01)
    waiting = asyncio.create_task(anext(reader))
    await asyncio.sleep(0)
    for event in (MediaConnected(), NoAudioYet(after_s=1)):
        stream.put(event, 1)
        feed.append(event)
    assert await waiting == MediaConnected()
    stream.close(lost)
    feed.close(lost)

    assert await anext(reader) == NoAudioYet(after_s=1)
    with pytest.raises(CallLost):
        await anext(reader)
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await anext(reader)


def hushed(*, voiced: int = 0) -> OutputGate:
    """Return a hush that has just begun, and behind which the agent talked on for some frames."""
    hush = OutputGate()
    hush.begin()
    for _ in range(voiced):
        assert not hush.filtered(VOICE).any()
    return hush


def silent_frames(hush: OutputGate, limit: int = 200) -> int:
    """Return after how many frames of silence the agent is heard again."""
    return next(n for n in range(1, limit) if hush.filtered(SILENCE) is not None and not hush.is_on)


def test_what_a_hush_keeps_away_is_counted_and_told_of_once() -> None:
    """Sound, not silence."""
    hush, told = hushed(), []
    hush.on_dropped = lambda: told.append(1)
    hush.filtered(SILENCE)
    assert not told
    for _ in range(3):
        hush.filtered(VOICE)
    assert (told, hush.dropped_samples) == ([1], 3 * 480)


@pytest.mark.parametrize("voiced", [0, 40, GIVES_WAY_FRAMES])
def test_an_agent_that_gives_way_is_heard_again_after_a_short_pause(voiced: int) -> None:
    """Whether it fell silent at once, or a second later."""
    assert silent_frames(hushed(voiced=voiced)) == PAUSE_FRAMES


def test_an_agent_that_talks_on_is_not_heard_again_between_two_sentences() -> None:
    """Nobody gave way long after the caller had spoken: 1.9 s are a pause, and 2 s are the end."""
    hush = hushed(voiced=GIVES_WAY_FRAMES + 1)
    for _ in range(2):
        for _ in range(LONG_PAUSE_FRAMES - 1):
            hush.filtered(SILENCE)
        hush.filtered(VOICE)
        assert hush.is_on
    assert silent_frames(hush) == LONG_PAUSE_FRAMES


def test_a_pause_in_a_turn_whose_last_word_has_not_come_is_longer() -> None:
    """That of an agent who gave way, too."""
    hush = hushed()
    hush.is_turn_open = lambda: True
    assert silent_frames(hush) == OPEN_PAUSE_FRAMES


@pytest.mark.parametrize(("spoken", "pause"), [(NOISE_FRAMES - 1, PAUSE_FRAMES), (NOISE_FRAMES, LONG_PAUSE_FRAMES)])
def test_who_was_silenced_by_a_noise_is_heard_again_behind_a_pause(spoken: int, pause: int) -> None:
    """What only our own ear took for speech, and was too short for a word."""
    hush = hushed()
    hush.is_doubtful = hush.is_caller_speaking = True
    for _ in range(spoken):
        hush.filtered(VOICE)
    hush.is_caller_speaking = False
    for _ in range(GIVES_WAY_FRAMES + 1):
        hush.filtered(VOICE)
    assert silent_frames(hush) == pause


def test_as_long_as_the_caller_speaks_a_short_pause_is_none() -> None:
    """Who is silent meanwhile has given way once he has finished; but nobody is silenced for ever by a noise."""
    hush = hushed()
    hush.is_caller_speaking = True
    for _ in range(GIVES_WAY_FRAMES + 10):
        hush.filtered(VOICE)
    for _ in range(LONG_PAUSE_FRAMES - 1):
        hush.filtered(SILENCE)
    assert hush.is_on
    hush.is_caller_speaking = False
    assert silent_frames(hush) == 1
    hush.begin()
    hush.is_caller_speaking = True
    assert silent_frames(hush) == LONG_PAUSE_FRAMES
