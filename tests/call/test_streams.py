"""Promise: readers of a stream are independent, bounded and end; a hush keeps away one turn and no more. No call."""

from __future__ import annotations

import asyncio
import gc

import numpy as np
import pytest

from rtc_client import CallLost, MediaConnected, NoAudioYet
from rtc_client.call.feed import EventFeed
from rtc_client.call.hush import PAUSE_FRAMES, Hush
from rtc_client.call.streams import CAPACITY_CHUNKS, Stream

VOICE = np.full(480, 5000, dtype=np.int16)
SILENCE = np.zeros(480, dtype=np.int16)


async def test_readers_get_what_comes_from_when_they_were_made() -> None:
    """Each all of it, whoever else reads; nothing is kept while nobody does."""
    stream: Stream[int] = Stream(100)
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
    stream: Stream[int] = Stream(10)
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
    stream: Stream[int] = Stream(10)
    reader = stream.subscribe()
    assert stream.is_read
    del reader
    gc.collect()
    assert not stream.is_read


@pytest.mark.parametrize("kind", ["stream", "feed"])
async def test_a_step_that_is_cancelled_loses_nothing_and_the_end_stays_the_end(kind: str) -> None:
    """A limit on one step is usual; the error at the end is raised once, and asking again ends again."""
    lost = CallLost("network", "gone")
    stream: Stream[object] = Stream(10)
    feed = EventFeed()
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


def test_a_hush_ends_with_a_pause() -> None:
    """Shorter pauses are those between words; what was kept away is counted and told of once."""
    hush, told = Hush(), []
    hush.on_dropped = lambda: told.append(1)
    hush.begin()
    for _ in range(PAUSE_FRAMES - 1):
        hush.filtered(SILENCE)
    assert not told
    for _ in range(3):
        assert not hush.filtered(VOICE).any()
    for _ in range(PAUSE_FRAMES):
        assert hush.is_on
        hush.filtered(SILENCE)
    assert not hush.is_on
    assert (told, hush.dropped_samples) == ([1], 3 * 480)
