"""Promises of the sinks: all sound arrives where it was meant to go, or somebody is told; nothing outlives the call."""

from __future__ import annotations

import asyncio
import wave
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtc_client.audio.files.wav import WavWriter
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples
from rtc_client.audio.sinks.base import Sink
from rtc_client.audio.sinks.basic import CallbackSink, NullSink, NumpySink, TeeSink, WavSink
from rtc_client.errors import AudioFileUnreadable, ConfigError


def frames(n_frames: int) -> list[PcmFrame]:
    """Contiguous frames, each holding its own number."""
    return [PcmFrame(np.full(FRAME_SAMPLES, i, dtype=np.int16), i * FRAME_SAMPLES) for i in range(n_frames)]


def joined(written: list[PcmFrame]) -> Samples:
    return np.concatenate([frame.samples for frame in written])


def read_wave(path: Path) -> Samples:
    """Read with the standard library, which we did not write."""
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE_HZ)
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks and threads turns until the condition holds; the test's time limit is the bound."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)


async def forget(frame: PcmFrame) -> None:
    """Take a frame and do nothing."""


SINKS: dict[str, Callable[[Path], Sink]] = {
    "null": lambda _: NullSink(),
    "numpy": lambda _: NumpySink(),
    "wav": lambda folder: WavSink(folder / "a.wav"),
    "callback": lambda _: CallbackSink(lambda frame: None),
    "async callback": lambda _: CallbackSink(forget),
    "tee": lambda folder: TeeSink(WavSink(folder / "b.wav"), CallbackSink(forget)),
}


@pytest.mark.parametrize("name", SINKS)
async def test_any_order_of_open_write_and_close_leaves_nothing_behind(name: str, tmp_path: Path) -> None:
    """A sink may be closed unopened, twice, and at once by two."""
    await SINKS[name](tmp_path).aclose()

    sink = SINKS[name](tmp_path)
    await sink.open()
    for frame in frames(60):
        sink.write(frame)
    await asyncio.gather(sink.aclose(), sink.aclose())
    await sink.aclose()


@pytest.mark.parametrize("turns", range(6))
@pytest.mark.parametrize("name", ["wav", "async callback", "tee"])
async def test_opening_and_closing_can_be_cancelled_at_any_moment(name: str, turns: int, tmp_path: Path) -> None:
    """A caller who gives up leaves no thread, task or file behind."""
    sink = SINKS[name](tmp_path)
    for step in (sink.open, sink.aclose):
        task = asyncio.create_task(step())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await sink.aclose()


@pytest.mark.parametrize("name", ["wav", "tee"])
async def test_a_sink_closed_while_it_opens_is_closed(name: str, tmp_path: Path) -> None:
    """Closing wins, whoever comes first, and the one who opens is told."""
    sink = SINKS[name](tmp_path)
    opening = asyncio.create_task(sink.open())
    await asyncio.sleep(0)

    await sink.aclose()

    with pytest.raises(ConfigError, match="closed"):
        await opening


@pytest.mark.parametrize("name", [name for name in SINKS if name != "null"])
async def test_a_sink_serves_one_call(name: str, tmp_path: Path) -> None:
    """Two calls in one sink would be one call's nonsense, so the second is refused."""
    sink = SINKS[name](tmp_path)
    await sink.open()

    with pytest.raises(ConfigError, match="one call"):
        await sink.open()
    await sink.aclose()


@pytest.mark.parametrize("n_frames", [0, 1, 49, 50, 51, 333])
async def test_a_wav_file_holds_every_sample(n_frames: int, tmp_path: Path) -> None:
    """What was written is in the file when the sink is closed, and another reader agrees."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()
    for frame in frames(n_frames):
        sink.write(frame)
        await asyncio.sleep(0)
    await sink.aclose()

    expected = joined(frames(n_frames)) if n_frames else np.zeros(0, dtype=np.int16)
    assert np.array_equal(read_wave(tmp_path / "a.wav"), expected)
    with pytest.raises(ValueError, match="between open"):
        sink.write(frames(1)[0])


async def test_a_wav_file_is_playable_during_the_call(tmp_path: Path) -> None:
    """A process killed after three seconds leaves a valid file with about two of them."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()
    for frame in frames(150):
        sink.write(frame)
        if (frame.position_samples + FRAME_SAMPLES) % SAMPLE_RATE_HZ == 0:
            await until(lambda: sink._saving is not None and sink._saving.done())

    assert len(read_wave(tmp_path / "a.wav")) >= 2 * SAMPLE_RATE_HZ
    await sink.aclose()


async def test_a_wav_file_that_cannot_be_created_is_refused_by_open(tmp_path: Path) -> None:
    """A bad path is known before anything is sent."""
    sink = WavSink(tmp_path / "missing" / "a.wav")

    with pytest.raises(AudioFileUnreadable, match="cannot be written"):
        await sink.open()
    await sink.aclose()


async def test_a_full_disk_is_an_error_of_the_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system refuses comes out of write(), once it is known, and not again from aclose()."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()
    monkeypatch.setattr(WavWriter, "append", _no_space)
    for frame in frames(50):
        sink.write(frame)
    await until(lambda: sink._saving is not None and sink._saving.done())

    with pytest.raises(OSError, match="no space"):
        sink.write(frames(1)[0])
    await sink.aclose()
    assert len(read_wave(tmp_path / "a.wav")) == 0


async def test_a_disk_that_fills_up_at_the_end_is_said_by_aclose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last second can fail too, and nobody writes after it."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()
    monkeypatch.setattr(WavWriter, "append", _no_space)
    sink.write(frames(1)[0])

    with pytest.raises(OSError, match="no space"):
        await sink.aclose()


async def test_a_header_that_cannot_be_written_is_said_by_aclose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A recording whose end is not in its header is not finished, and that is not kept quiet; the file is closed."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()
    sink.write(frames(1)[0])
    monkeypatch.setattr(WavWriter, "flush", lambda writer: _no_space(writer, SILENCE))

    with pytest.raises(OSError, match="no space"):
        await sink.aclose()


async def test_a_disk_that_never_answers_does_not_fill_the_memory(tmp_path: Path) -> None:
    """A minute behind is an error, not a hole and not a growing buffer."""
    sink = WavSink(tmp_path / "a.wav")
    await sink.open()

    for frame in frames(3_000):  # no turn of the loop in between: nothing is saved meanwhile
        sink.write(frame)

    with pytest.raises(TimeoutError, match="behind"):
        sink.write(frames(1)[0])
    await sink.aclose()


async def test_the_numpy_sink_keeps_what_it_got() -> None:
    """Samples are there during and after the call, as a copy that is the reader's own."""
    sink = NumpySink()
    await sink.open()
    for frame in frames(3):
        sink.write(frame)
    during = sink.samples
    sink.write(PcmFrame(np.ones(7, dtype=np.int16), 3 * FRAME_SAMPLES))
    during[:] = 0
    await sink.aclose()

    assert len(during) == 3 * FRAME_SAMPLES
    assert np.array_equal(sink.samples, np.concatenate([joined(frames(3)), np.ones(7, dtype=np.int16)]))


async def test_the_numpy_sink_is_bounded() -> None:
    """What comes after its limit is counted, and what it kept stays in its place."""
    sink = NumpySink(max_s=0.03)
    await sink.open()
    for frame in frames(3):
        sink.write(frame)
    await sink.aclose()

    assert np.array_equal(sink.samples, joined(frames(3))[:720])
    assert sink.dropped_samples == 720
    with pytest.raises(ConfigError, match="positive"):
        NumpySink(max_s=0)


async def test_a_plain_callback_is_called_at_once() -> None:
    """A function gets every frame from within write(), and what it raises, write() raises."""
    heard: list[PcmFrame] = []
    sink = CallbackSink(heard.append)
    await sink.open()
    written = frames(3)
    for frame in written:
        sink.write(frame)
    await sink.aclose()
    assert heard == written

    failing = CallbackSink(lambda frame: 1 // 0)
    await failing.open()
    with pytest.raises(ZeroDivisionError):
        failing.write(written[0])
    await failing.aclose()


async def test_a_function_that_returns_a_coroutine_is_refused() -> None:
    """A lambda around a coroutine function would never be awaited, so it is said."""
    sink = CallbackSink(lambda frame: asyncio.sleep(0))
    await sink.open()

    with pytest.raises(TypeError, match="async def"):
        sink.write(frames(1)[0])
    await sink.aclose()


class Collector:
    """A callback in each of its async shapes."""

    def __init__(self) -> None:
        self.heard: list[PcmFrame] = []

    async def __call__(self, frame: PcmFrame) -> None:
        await asyncio.sleep(0)
        self.heard.append(frame)

    async def method(self, frame: PcmFrame) -> None:
        await self(frame)

    async def keyed(self, key: str, frame: PcmFrame) -> None:
        await self(frame)


@pytest.mark.parametrize("shape", ["object", "method", "partial"])
async def test_an_async_callback_gets_every_frame_in_order(shape: str) -> None:
    """One task awaits it frame after frame; aclose() waits until the last is delivered."""
    collector = Collector()
    callbacks: dict[str, Any] = {
        "object": collector,
        "method": collector.method,
        "partial": partial(collector.keyed, "key"),
    }
    sink = CallbackSink(callbacks[shape])
    await sink.open()
    written = frames(20)
    for frame in written:
        sink.write(frame)
    assert collector.heard == []

    await sink.aclose()

    assert collector.heard == written
    assert sink.dropped_samples == 0


async def test_a_slow_async_callback_loses_the_oldest_frames_and_they_are_counted() -> None:
    """The queue is bounded; a consumer that falls behind hears the newest sound."""
    collector = Collector()
    sink = CallbackSink(collector, capacity_s=0.1)
    await sink.open()
    written = frames(8)
    for frame in written:
        sink.write(frame)
    await sink.aclose()

    assert collector.heard == written[3:]
    assert sink.dropped_samples == 3 * FRAME_SAMPLES


async def test_a_queue_that_holds_nothing_is_refused() -> None:
    """Every queue has a bound, and room for a frame."""
    with pytest.raises(ConfigError, match="positive"):
        CallbackSink(forget, capacity_s=0)


async def test_what_an_async_callback_raises_comes_out_of_the_next_write() -> None:
    """The consumer's own exception reaches the call, and the callback is not called again."""
    calls = 0

    async def fail(frame: PcmFrame) -> None:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError("mine")

    sink = CallbackSink(fail)
    await sink.open()
    sink.write(frames(1)[0])
    await until(lambda: calls == 1)

    with pytest.raises(ZeroDivisionError, match="mine"):
        sink.write(frames(1)[0])
    await sink.aclose()
    assert calls == 1


async def test_what_an_async_callback_raises_at_the_end_comes_out_of_aclose() -> None:
    """The last frame can fail too, and nobody writes after it; a cancellation of its own is a failure as well."""

    async def cancelled(frame: PcmFrame) -> None:
        raise asyncio.CancelledError

    sink = CallbackSink(cancelled)
    await sink.open()
    sink.write(frames(1)[0])

    with pytest.raises(RuntimeError, match="was cancelled"):
        await sink.aclose()


async def test_closing_can_be_given_up_when_a_callback_hangs() -> None:
    """Cancelling aclose() cancels the callback and drops the rest: no consumer can hold a call open."""
    entered = asyncio.Event()

    async def hang(frame: PcmFrame) -> None:
        entered.set()
        await asyncio.Event().wait()

    sink = CallbackSink(hang)
    await sink.open()
    for frame in frames(3):
        sink.write(frame)
    await entered.wait()
    closing = asyncio.create_task(sink.aclose())
    await asyncio.sleep(0)

    closing.cancel()
    await asyncio.wait([closing])

    await sink.aclose()
    assert sink.dropped_samples == 2 * FRAME_SAMPLES


async def test_a_tee_hands_every_frame_to_every_sink() -> None:
    """A sink that raises does not keep the others from hearing, and its error is told."""
    first, last = NumpySink(), NumpySink()
    tee = TeeSink(first, CallbackSink(lambda frame: 1 // 0), last)
    await tee.open()

    with pytest.raises(ZeroDivisionError):
        tee.write(frames(1)[0])
    await tee.aclose()

    assert len(first.samples) == len(last.samples) == FRAME_SAMPLES


async def test_a_tee_that_cannot_be_opened_leaves_no_part_open(tmp_path: Path) -> None:
    """When the second file is refused, the first is closed again."""
    tee = TeeSink(WavSink(tmp_path / "a.wav"), WavSink(tmp_path / "missing" / "a.wav"))

    with pytest.raises(AudioFileUnreadable, match="missing"):
        await tee.open()

    assert len(read_wave(tmp_path / "a.wav")) == 0


def _no_space(self: WavWriter, samples: Samples) -> None:
    raise OSError(28, "no space left on device")
