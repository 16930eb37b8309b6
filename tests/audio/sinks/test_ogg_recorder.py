"""Promises of the recorder: packets arrive in the file as they came, in time, whatever happens to the process."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.files.ogg_opus import OggOpusWriter, read_ogg_opus
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.audio.sinks.base import PacketSink
from rtc_client.audio.sinks.ogg_recorder import OggRecorder
from rtc_client.cli.demo_speech import CALLER_SPEECH
from rtc_client.errors import AudioFileUnreadable, ConfigError

PTIME_SAMPLES = 960


@pytest.fixture(scope="module")
def speech() -> list[bytes]:
    return [payload for payload, _ in read_ogg_opus(CALLER_SPEECH)]


def packets_by_pyav(path: Path) -> list[bytes]:
    """Read with FFmpeg, which we did not write."""
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]


async def until(condition: Callable[[], bool]) -> None:
    """Give other tasks and threads turns until the condition holds; the test's time limit is the bound."""
    while True:
        if condition():
            return
        await asyncio.sleep(0)


async def saved(recorder: OggRecorder) -> None:
    """Wait for what is being written."""
    await until(lambda: recorder._saving is not None and recorder._saving.done())


@pytest.mark.parametrize("n_packets", [1, 49, 50, 51, 200])
async def test_a_recording_holds_every_packet_as_it_came(n_packets: int, speech: list[bytes], tmp_path: Path) -> None:
    recorder: PacketSink = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    for i, payload in enumerate(speech[:n_packets]):
        recorder.write_packet(payload, i * PTIME_SAMPLES)
        await asyncio.sleep(0)
    await recorder.aclose()

    assert packets_by_pyav(tmp_path / "a.ogg") == speech[:n_packets]


async def test_gaps_are_kept_in_time(speech: list[bytes], tmp_path: Path) -> None:
    """A call that starts late, loses two packets, and pauses for four seconds: every word is where it was said."""
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    for i, payload in enumerate(speech):
        if i not in {60, 61}:
            recorder.write_packet(payload, 30_000 + i * PTIME_SAMPLES + (192_000 if i >= 120 else 0))
    await recorder.aclose()

    heard, said = read_audio(tmp_path / "a.ogg"), whole(speech)
    assert len(heard) == 15_000 + 96_000 + len(speech) * PTIME_SAMPLES // 2
    assert not heard[:15_000].any()
    assert similar(heard[15_000:][:28_000], said[:28_000]) > 0.95
    assert similar(heard[15_000 + 40_000 :][:17_000], said[40_000:][:17_000]) > 0.95
    assert not heard[15_000 + 59_000 :][:90_000].any()
    assert similar(heard[15_000 + 96_000 + 60_000 :][:40_000], said[60_000:][:40_000]) > 0.95
    assert recorder.discarded_packets == 0


def whole(payloads: list[bytes]) -> Samples:
    from rtc_client.audio.codecs.opus import OpusDecoder

    decoder = OpusDecoder()
    return np.concatenate([decoder.decode(payload) for payload in payloads])


def similar(a: Samples, b: Samples) -> float:
    return float(np.corrcoef(a.astype(float), b.astype(float))[0, 1])


async def test_what_is_no_opus_or_comes_too_late_is_left_out_and_counted(speech: list[bytes], tmp_path: Path) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    for i, payload in enumerate(speech[:100]):
        recorder.write_packet(payload, i * PTIME_SAMPLES)
        if i in {10, 20, 30}:
            recorder.write_packet(b"", i * PTIME_SAMPLES)
            recorder.write_packet(b"\xff\x7f\xff", i * PTIME_SAMPLES)
            recorder.write_packet(payload, i * PTIME_SAMPLES)
    await recorder.aclose()

    assert packets_by_pyav(tmp_path / "a.ogg") == speech[:100]
    assert recorder.discarded_packets == 9


async def test_a_recording_is_playable_during_the_call(speech: list[bytes], tmp_path: Path) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    for i, payload in enumerate(speech[:151]):
        recorder.write_packet(payload, i * PTIME_SAMPLES)
        if i % 50 == 49:
            await saved(recorder)

    assert len(read_audio(tmp_path / "a.ogg")) >= 2 * SAMPLE_RATE_HZ
    await recorder.aclose()


@pytest.mark.parametrize("ptime_ms", [20, 60])
def test_a_killed_process_leaves_all_but_the_last_second(ptime_ms: int, tmp_path: Path) -> None:
    path = tmp_path / "a.ogg"
    code = f"""
import asyncio, sys, time
from rtc_client.audio.sinks.ogg_recorder import OggRecorder
async def main():
    recorder = OggRecorder(sys.argv[1])
    await recorder.open()
    for i in range(6_660 // {ptime_ms}):
        recorder.write_packet({"SILENT" if ptime_ms == 20 else "SILK_60_MS"}, i * 48 * {ptime_ms})
        if recorder._saving is not None:
            await asyncio.wait([recorder._saving])
    print("written", flush=True)
    time.sleep(60)
SILENT, SILK_60_MS = {SILENT_PACKET!r}, {bytes([3 << 3]) + bytes(20)!r}
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)

    kept_s = len(read_audio(path)) / SAMPLE_RATE_HZ
    assert 6.66 - 1.0 - 2 * ptime_ms / 1000 <= kept_s <= 6.66
    assert len(read_ogg_opus(path)) == round(kept_s * 1000 / ptime_ms)


async def test_a_file_that_cannot_be_created_is_refused_by_open(tmp_path: Path) -> None:
    for path in (tmp_path / "missing" / "a.ogg", tmp_path):
        recorder = OggRecorder(path)
        with pytest.raises(AudioFileUnreadable, match="cannot be written"):
            await recorder.open()
        await recorder.aclose()


def _no_space(writer: OggOpusWriter, payloads: list[bytes], granule: int, flags: int = 0) -> None:
    raise OSError(28, "no space left on device")


async def test_a_full_disk_is_an_error_of_the_next_packet(
    speech: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is said once, and not again by aclose()."""
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    monkeypatch.setattr(OggOpusWriter, "_write_page", _no_space)
    for i in range(50):
        recorder.write_packet(speech[i], i * PTIME_SAMPLES)
    recorder.write_packet(speech[50], 50 * PTIME_SAMPLES)
    await saved(recorder)

    with pytest.raises(OSError, match="no space"):
        recorder.write_packet(speech[51], 51 * PTIME_SAMPLES)
    await recorder.aclose()


async def test_a_disk_that_fills_up_at_the_end_is_said_by_aclose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    monkeypatch.setattr(OggOpusWriter, "_write_page", _no_space)
    recorder.write_packet(SILENT_PACKET, 0)

    with pytest.raises(OSError, match="no space"):
        await recorder.aclose()


async def test_a_disk_that_never_answers_does_not_fill_the_memory(tmp_path: Path) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    await recorder.open()
    for i in range(OggRecorder.MAX_BEHIND):  # no turn of the loop in between: nothing is saved meanwhile
        recorder.write_packet(SILENT_PACKET, i * PTIME_SAMPLES)

    with pytest.raises(TimeoutError, match="behind"):
        recorder.write_packet(SILENT_PACKET, OggRecorder.MAX_BEHIND * PTIME_SAMPLES)
    await recorder.aclose()


async def test_a_recorder_serves_one_call_and_only_while_it_is_open(tmp_path: Path) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    with pytest.raises(ValueError, match="between open"):
        recorder.write_packet(SILENT_PACKET, 0)
    await recorder.open()
    with pytest.raises(ConfigError, match="one call"):
        await recorder.open()
    await asyncio.gather(recorder.aclose(), recorder.aclose())
    await recorder.aclose()
    with pytest.raises(ValueError, match="between open"):
        recorder.write_packet(SILENT_PACKET, 0)
    await OggRecorder(tmp_path / "b.ogg").aclose()


@pytest.mark.parametrize("turns", range(6))
async def test_opening_and_closing_can_be_cancelled_at_any_moment(turns: int, tmp_path: Path) -> None:
    """A caller who gives up leaves no thread, task or file behind."""
    recorder = OggRecorder(tmp_path / "a.ogg")
    for step in (recorder.open, recorder.aclose):
        task = asyncio.create_task(step())
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
    await recorder.aclose()


async def test_a_recorder_closed_while_it_opens_is_closed(tmp_path: Path) -> None:
    recorder = OggRecorder(tmp_path / "a.ogg")
    opening = asyncio.create_task(recorder.open())
    await asyncio.sleep(0)

    await recorder.aclose()

    with pytest.raises(ConfigError, match="closed"):
        await opening
