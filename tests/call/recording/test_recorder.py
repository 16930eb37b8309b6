"""Promises of the recorder: at devices each voice lies where it was captured or heard; no disk holds a call up.

In real time: `test_a_full_disk_has_room_for_how_the_call_ended`.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtc_client import CallRecorder, CallResult, RecordingEnded, SilenceSource, WireMessage
from rtc_client.audio.files.stereo_recording import FORMATS, RecordingFormat
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SILENCE, PcmFrame, Samples
from rtc_client.audio.sinks.basic import NullSink, TeeSink
from rtc_client.call.recording.folder import Item, RecordingFolder
from tests.behaviour.recordings import Recorded, events, played

TONE: Samples = np.full(FRAME_SAMPLES, 5_000, dtype=np.int16)


class FakeClock:
    """Time that stands where it was put."""

    def __init__(self) -> None:
        self.at_s = 1_000.0

    def now_s(self) -> float:
        return self.at_s

    async def sleep_until(self, at_s: float) -> None:
        raise NotImplementedError


class Microphone(SilenceSource):
    """A source that captured its frame at a time."""

    captured_s: float | None = None


class Loudspeaker(NullSink):
    """A sink that will play its frame at a time."""

    heard_s: float | None = None
    tap = None
    queued_samples = played_samples = 0
    dropped_samples = 0

    def drop(self) -> int:
        return 0


async def recorded(
    recorder: CallRecorder, frame_of: Callable[[int, Microphone, Loudspeaker], tuple[Samples, Samples]]
) -> Recorded:
    """Record a second of what `frame_of` says happens in each period, 100 s into a call of the clock."""
    clock, microphone, speaker = FakeClock(), Microphone(), Loudspeaker()
    caller, agent = recorder.ears(microphone, TeeSink(NullSink(), speaker), clock)
    recorder.attach(CallResult, lambda notice: None)
    await recorder.open()
    for index in range(50):
        clock.at_s = 1_000 + index * FRAME_S + (0.003 if index % 7 else 0.0)
        said, heard = frame_of(index, microphone, speaker)
        agent.drop(speaker.dropped_samples)
        caller.write(PcmFrame(said, index * FRAME_SAMPLES))
        agent.write(PcmFrame(heard, index * FRAME_SAMPLES))
    await recorder.finish()
    return played(recorder.audio_path)


async def saved(recorder: CallRecorder) -> None:
    """Return once what the recorder has begun to save is written."""
    assert recorder._saving is not None
    await asyncio.wait([recorder._saving], timeout=10)


def onset(samples: Samples) -> int:
    return int(np.argmax(samples != 0))


async def test_at_devices_voices_lie_where_they_were_captured_and_heard(tmp_path: Path) -> None:
    """What left at 0.5 s was captured 30 ms before; what was played then is heard 25 ms later. Silence lies between."""

    def frame_of(index: int, microphone: Microphone, speaker: Loudspeaker) -> tuple[Samples, Samples]:
        microphone.captured_s = 1_000 + index * FRAME_S - 0.030
        speaker.heard_s = 1_000 + index * FRAME_S + 0.025
        frame = TONE if 25 <= index < 30 else SILENCE
        return frame, frame

    both = await recorded(CallRecorder(tmp_path, format="wav"), frame_of)

    assert onset(both.caller) == 12_000 - 720
    assert onset(both.agent) == 12_000 + 600
    assert np.count_nonzero(both.caller) == np.count_nonzero(both.agent) == 5 * FRAME_SAMPLES


async def test_what_no_device_captured_or_played_is_where_it_was_sent_or_not_there(tmp_path: Path) -> None:
    """A file before the microphone lies where it was sent; what a lost loudspeaker did not play is silence."""

    def frame_of(index: int, microphone: Microphone, speaker: Loudspeaker) -> tuple[Samples, Samples]:
        microphone.captured_s = None if index < 20 else 1_000 + index * FRAME_S - 0.030
        speaker.heard_s = None if index < 20 else 1_000 + index * FRAME_S
        return TONE if index in (10, 30) else SILENCE, TONE if index in (10, 30) else SILENCE

    both = await recorded(CallRecorder(tmp_path, format="flac"), frame_of)

    assert onset(both.caller) == 10 * FRAME_SAMPLES
    assert onset(both.caller[6_000:]) == 30 * FRAME_SAMPLES - 720 - 6_000
    assert onset(both.agent) == 30 * FRAME_SAMPLES
    assert np.count_nonzero(both.agent) == FRAME_SAMPLES


async def test_what_a_loudspeaker_dropped_was_not_heard(tmp_path: Path) -> None:
    """The last 30 ms of what it was given are silence, whether they were about to be saved or not."""
    for index in (12, 25):

        def frame_of(
            now: int, microphone: Microphone, speaker: Loudspeaker, dropped_at: int = index
        ) -> tuple[Samples, Samples]:
            speaker.dropped_samples = 720 if now == dropped_at else 0
            speaker.heard_s = 1_000 + now * FRAME_S + 0.03
            return SILENCE, TONE if now < dropped_at else SILENCE

        both = await recorded(CallRecorder(tmp_path / str(index), format="wav"), frame_of)

        assert np.count_nonzero(both.agent) == index * FRAME_SAMPLES - 720
        assert onset(both.agent) == 720
        assert not both.agent[index * FRAME_SAMPLES :].any()


async def test_a_disk_that_stands_still_costs_sound_and_neither_memory_nor_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What does not fit is silence in its place and counted, as are events; what comes later lies where it was said."""
    gate, write = threading.Event(), RecordingFolder.write

    def write_later(folder: RecordingFolder, items: list[Item]) -> None:
        gate.wait(10)
        write(folder, items)

    monkeypatch.setattr(RecordingFolder, "write", write_later)
    monkeypatch.setattr(CallRecorder, "MAX_BEHIND_BYTES", 200_000)
    recorder = CallRecorder(tmp_path, format="wav")
    log = recorder.beside(None)
    caller, agent = recorder.ears(None, None, FakeClock())
    recorder.attach(lambda: CallResult(recording=recorder.report), lambda notice: None)
    await recorder.open()

    def speak(first: int, last: int) -> None:
        for index in range(first, last):
            caller.write(PcmFrame(TONE, index * FRAME_SAMPLES))
            agent.write(PcmFrame(TONE, index * FRAME_SAMPLES))

    speak(0, 500)
    log(WireMessage(at_s=1.0, direction="in", event={"type": "lost"}))
    gate.set()
    await saved(recorder)
    speak(600, 650)
    log(WireMessage(at_s=2.0, direction="in", event={"type": "kept"}))
    await recorder.finish()

    report = json.loads((tmp_path / "call.json").read_text())["recording"]
    kept = played(recorder.audio_path).caller
    assert len(kept) == 650 * FRAME_SAMPLES
    n_kept = np.count_nonzero(kept[: 500 * FRAME_SAMPLES])
    assert 90_000 < 2 * n_kept < 210_000
    assert kept[600 * FRAME_SAMPLES :].all()
    assert report["dropped_s"] == pytest.approx(20 - 2 * n_kept / 24_000, abs=0.1)
    assert report["dropped_events"] == 1
    assert [line["event"]["type"] for line in events(tmp_path)] == ["kept"]


async def test_the_folder_can_be_read_while_the_call_is_on(tmp_path: Path) -> None:
    """Result and captions are brought up to date every few seconds, and never half written."""
    result = CallResult()
    recorder = CallRecorder(tmp_path, format="wav")
    caller, agent = recorder.ears(None, None, FakeClock())
    recorder.attach(lambda: result, lambda notice: None)
    await recorder.open()
    assert json.loads((tmp_path / "call.json").read_text())["call_id"] is None
    result = replace(result, call_id="rtc_1")

    for index in range(300):
        for ear in (caller, agent):
            ear.write(PcmFrame(SILENCE, index * FRAME_SAMPLES))
        await asyncio.sleep(0)
    await saved(recorder)

    assert json.loads((tmp_path / "call.json").read_text())["call_id"] == "rtc_1"
    await recorder.finish()
    await recorder.finish()


async def test_a_disk_that_is_full_at_the_end_is_told_by_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the last moments lack is not kept quiet, in `call.json` neither."""

    def no_space(folder: RecordingFolder) -> None:
        raise OSError(28, "No space left on device")

    told: list[RecordingEnded] = []
    recorder = CallRecorder(tmp_path, format="wav")
    recorder.attach(lambda: CallResult(recording=recorder.report), told.append)
    await recorder.open()
    finish = RecordingFolder._finish_audio

    def fail(folder: RecordingFolder) -> None:
        finish(folder)
        no_space(folder)

    monkeypatch.setattr(RecordingFolder, "_finish_audio", fail)
    await recorder.finish()

    assert recorder.report.failure == "no space left on device"
    assert [notice.message for notice in told] == ["no space left on device"]
    assert json.loads((tmp_path / "call.json").read_text())["recording"]["failure"] == "no space left on device"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)]
    if shutil.which("mount") is None:
        pytest.skip("no small disk can be made here: there is no program mount")
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no small disk can be made here: {done.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # at once, or when nothing of it is open any more


@pytest.mark.both_clocks
@pytest.mark.parametrize("format", FORMATS)
async def test_a_full_disk_has_room_for_how_the_call_ended(format: RecordingFormat, small_disk: Path) -> None:
    """Result and captions are written whole; what was recorded before can be played, and nothing lies behind it."""
    result = CallResult()
    recorder = CallRecorder(small_disk / "call", format=format)
    caller, agent = recorder.ears(None, None, FakeClock())
    recorder.attach(lambda: replace(result, recording=recorder.report), lambda notice: None)
    await recorder.open()
    noise = np.random.default_rng(3).integers(-9_000, 9_000, 60 * 24_000, dtype=np.int16)
    for start in range(0, len(noise), FRAME_SAMPLES):
        for ear in (caller, agent):
            ear.write(PcmFrame(noise[start : start + FRAME_SAMPLES], start))
        if start % 24_000 == 0 and recorder._saving is not None:
            await saved(recorder)
    assert recorder.report.failure == "no space left on device"
    result = replace(result, call_id="rtc_1", duration_s=60.0)
    await recorder.finish()

    report = json.loads((small_disk / "call" / "call.json").read_text())
    assert (report["call_id"], report["recording"]["failure"]) == ("rtc_1", "no space left on device")
    kept = played(recorder.audio_path).caller
    assert 1.0 < len(kept) / 24_000 <= report["recording"]["failed_at_s"]
    if format != "ogg":
        assert np.array_equal(kept, noise[: len(kept)])
