"""Promises of what is said into a running call: in turn, without a click, and what it raises is nobody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from rtc_client import (
    ArraySource,
    CallClosed,
    ConfigError,
    FileSource,
    PushSource,
    SourceFailed,
    ToneSource,
)
from rtc_client.audio.frames import FRAME_SAMPLES, SILENCE, Samples
from rtc_client.call.media.announcements import Announcements


def constant(value: int, n_frames: int = 1) -> Samples:
    return np.full(n_frames * FRAME_SAMPLES, value, dtype=np.int16)


class Ticking:
    """A call of which only the insertions are there."""

    def __init__(self) -> None:
        self.insertions = Announcements()

    def play(self, source: Any, *, mixed: bool = False) -> asyncio.Task[None]:
        return asyncio.create_task(self.insertions.play(source, mixed=mixed))

    async def said(self, n_frames: int, own: Samples = SILENCE) -> Samples:
        frames = []
        for _ in range(n_frames):
            for _ in range(5):
                await asyncio.sleep(0)
            frames.append(self.insertions.over(own))
        return np.concatenate(frames)


def steps(samples: Samples) -> int:
    """Return the largest step between two samples."""
    return int(np.abs(np.diff(samples.astype(int))).max())


async def test_it_takes_the_place_of_the_source_which_fades_out_and_in() -> None:
    """Behind it the source goes on."""
    call = Ticking()
    assert call.insertions.over(SILENCE) is SILENCE
    playing = call.play(ArraySource(constant(500, 4)))

    said = await call.said(7, constant(1_000))

    fade_out, alone, fade_in, own = np.split(said, [480, 4 * 480, 5 * 480])
    assert fade_out[0] > 1_400
    assert fade_out[-1] == 500
    assert (alone == 500).all()
    assert fade_in[0] < 100
    assert fade_in[-1] == 1_000
    assert (own == 1_000).all()
    await playing


async def test_mixed_it_is_the_sum() -> None:
    """Both voices are heard, each as it is."""
    call = Ticking()
    playing = call.play(ArraySource(constant(500, 2)), mixed=True)

    said = await call.said(3, constant(1_000))

    assert (said[:960] == 1_500).all()
    assert (said[960:] == 1_000).all()
    await playing


async def test_one_is_said_behind_the_other() -> None:
    """In the order in which they were asked for."""
    call = Ticking()
    playing = [call.play(ArraySource(constant(value, 2))) for value in (100, 200, 300)]

    said = await call.said(12)

    assert [value for value in np.unique(said, return_index=False).tolist() if value] == [100, 200, 300]
    assert [int(np.argmax(said == value)) // 480 for value in (100, 200, 300)] == sorted(
        int(np.argmax(said == value)) // 480 for value in (100, 200, 300)
    )
    assert int((said == 300).sum()) == 960
    await asyncio.gather(*playing)


async def test_who_gives_it_up_hears_it_die_away() -> None:
    """No click, and the next one has its turn."""
    call = Ticking()
    playing = call.play(ToneSource(230, -12.0))
    said = [await call.said(3)]
    playing.cancel()
    said.append(await call.said(2))

    assert steps(np.concatenate(said)) < 1.3 * steps(said[0])
    assert not (await call.said(1)).any()
    with pytest.raises(asyncio.CancelledError):
        await playing
    following = call.play(ArraySource(constant(7)))
    assert (await call.said(1) == 7).all()
    await following


async def test_who_waits_may_give_up_too() -> None:
    """What was never opened is closed all the same."""
    call = Ticking()
    first, second = call.play(ArraySource(constant(1, 3))), call.play(FileSource("no such file.wav"))
    await call.said(1)
    second.cancel()
    await call.said(4)

    await first
    with pytest.raises(asyncio.CancelledError):
        await second


class Failing(PushSource):
    def read(self) -> Samples | None:
        raise OSError("the tape is torn")


class Misshapen(PushSource):
    def read(self) -> Samples | None:
        return np.zeros(3, dtype=np.int16)


@pytest.mark.parametrize("kind", [Failing, Misshapen])
async def test_what_it_raises_is_told_to_who_plays_it(kind: type[PushSource]) -> None:
    """The source of the call goes on, and so do those that wait."""
    call = Ticking()
    playing, following = call.play(kind()), call.play(ArraySource(constant(5)))

    said = await call.said(4, constant(1_000))

    assert (said == 1_000).any()
    with pytest.raises(SourceFailed):
        await playing
    await following


async def test_what_cannot_be_opened_is_never_begun() -> None:
    """The error is the source's own."""
    call = Ticking()
    with pytest.raises(ConfigError, match=r"no such file\.wav"):
        await call.play(FileSource("no such file.wav"))
    assert not call.insertions.is_playing


async def test_the_end_of_the_call_is_told() -> None:
    """To who is heard, to who waits, and to who comes later."""
    call = Ticking()
    playing = [call.play(ToneSource(440)), call.play(ToneSource(330))]
    await call.said(2)

    call.insertions.end()

    for one in [*playing, call.play(ToneSource(220))]:
        with pytest.raises(CallClosed):
            await one


async def test_a_source_that_is_late_leaves_silence() -> None:
    """Not a piece of what the microphone hears meanwhile."""
    call = Ticking()
    pushed = PushSource()
    playing = call.play(pushed)
    assert not (await call.said(3, constant(1_000)))[480:].any()
    pushed.push(constant(9))
    pushed.finish()
    assert (await call.said(1, constant(1_000)) == 9).all()
    await playing
