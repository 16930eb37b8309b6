"""Promise: a recorded call is kept whole: both voices where they were said and played, its events, result and words.

In real time: `test_both_voices_lie_where_they_were_said_and_played`.
"""

from __future__ import annotations

import asyncio
import math
import resource
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtc_client import (
    ArraySource,
    CallRecorder,
    ConfigError,
    EndReason,
    NumpySink,
    OfferRejected,
    OggRecorder,
    PcmFrame,
    RecordingEnded,
    WireMessage,
    connect,
)
from rtc_client.audio.frames import Samples
from rtc_client.testing import AfterCaller, AgentScript, AtTime, Clip, FakeAnswerer, Network, SpokenTurn
from rtc_client.testing.network.udp_relay import Impairment
from tests.behaviour.calls import config_for, until
from tests.behaviour.recordings import Recorded, cues, events, played, report
from tests.behaviour.speech import AGENT_WORDS, CALLER_WORDS, SAME, locate, seconds

QUESTION, ANSWER = "When do you open?", "Of course. On Sunday."
SCRIPT = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), text=ANSWER, when=AfterCaller())], caller_text=QUESTION)
LEAST_BITS = 2
"""As much as the dither of a player may be."""
HALF_A_SECOND: Samples = np.zeros(12_000, dtype=np.int16)


def lag_samples(recorded: Samples, kept: Samples) -> int:
    """Return how much later a sound lies in the recording than in what the call itself said it was."""
    n_fft = 1 << (len(recorded) + len(kept)).bit_length()
    one, other = (np.fft.rfft(sound.astype(np.float64), n_fft) for sound in (recorded, kept))
    best = int(np.argmax(np.fft.irfft(one * np.conj(other), n_fft)))
    return best if best < n_fft // 2 else best - n_fft


class Timed(NumpySink):
    """Knows when position 0 was, by the clock on the wall: a frame may be handed over late, for a process stalls."""

    def __init__(self) -> None:
        super().__init__()
        self.origin_s = math.inf

    def write(self, frame: PcmFrame) -> None:
        super().write(frame)
        self.origin_s = min(self.origin_s, time.monotonic() - frame.position_samples / 24_000)


async def check_a_recorded_call(answerer: FakeAnswerer, recorder: CallRecorder, **settings: Any) -> None:
    """Hold a call in which the caller asks and the agent answers: each channel is what was sent and what was played."""
    said, heard = Timed(), Timed()
    source = ArraySource(np.concatenate((HALF_A_SECOND, CALLER_WORDS)))
    config = config_for(answerer, **{"linger_s": 1.0} | settings)
    async with connect(config, source=source, sink=heard, caller_sink=said, recorder=recorder) as call:
        result = await call.wait_ended()

    recorded = played(recorder.audio_path)
    for channel, kept in ((recorded.caller, said.samples), (recorded.agent, heard.samples)):
        assert lag_samples(channel, kept) == 0
        assert len(channel) == pytest.approx(len(kept), abs=480)
        if recorder.format != "ogg":
            assert np.array_equal(channel[: len(kept)], kept)
    caller, agent = locate(CALLER_WORDS, recorded.caller), locate(AGENT_WORDS, recorded.agent)
    assert min(caller.likeness, agent.likeness) > 0.8
    assert caller.at_s >= 0.49
    assert said.origin_s == pytest.approx(heard.origin_s, abs=0.03)
    assert np.abs(recorded.agent[: 24_000 * 3 // 2]).max() <= LEAST_BITS
    check_cues(recorder, recorded)
    assert (recorder.path / "events.jsonl").stat().st_size < 50_000, "sound lies in the one file"
    assert result.recording is not None
    assert result.recording.failure is None
    assert result.recording.duration_s == pytest.approx(result.duration_s, abs=0.06)


def check_cues(recorder: CallRecorder, recorded: Recorded) -> None:
    """Each caption has the words of its voice, and begins and ends with its speech."""
    caller_cue, agent_cue = cues(recorder.path / "call.vtt")
    assert (caller_cue[0], caller_cue[3], agent_cue[0], agent_cue[3]) == ("Caller", QUESTION, "Agent", ANSWER)
    for (_, start_s, end_s, _), channel in ((caller_cue, recorded.caller), (agent_cue, recorded.agent)):
        loud = np.flatnonzero(np.abs(channel.astype(np.int32)) > 300) / 24_000
        assert start_s - 0.02 <= loud[0] <= start_s + 0.2
        assert end_s - 0.2 <= loud[-1] <= end_s + 0.02


@pytest.mark.both_clocks
async def test_both_voices_lie_where_they_were_said_and_played(tmp_path: Path) -> None:
    """Each channel is, to the sample, what was sent and what was played, in every format, over either transport."""
    async with FakeAnswerer(script=SCRIPT) as answerer:
        kinds: list[tuple[Any, dict[str, Any]]] = [
            ("ogg", {}),
            ("wav", {"transport": "websocket"}),
            ("flac", {"media_path": "plain"}),
        ]
        await asyncio.gather(
            *(
                check_a_recorded_call(answerer, CallRecorder(tmp_path / format, format=format), **settings)
                for format, settings in kinds
            )
        )


async def test_loss_moves_nothing(tmp_path: Path) -> None:
    """Where the network loses 5 % both ways, both voices still lie where they were said and played."""
    impairment = Impairment(loss_ratio=0.05, delay_s=0.01, jitter_s=0.01)
    network = Network(to_agent=impairment, to_caller=impairment)
    async with FakeAnswerer(script=SCRIPT, relay=network) as answerer:
        await check_a_recorded_call(answerer, CallRecorder(tmp_path))


async def test_result_and_events_lie_beside_the_sound(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """`call.json` is the result, `events.jsonl` what the wire log was told."""
    answerer.script = SCRIPT
    frames: list[WireMessage] = []
    recorder = CallRecorder(tmp_path)
    source = ArraySource(np.concatenate((HALF_A_SECOND, CALLER_WORDS)))
    config = config_for(answerer, linger_s=1.0)
    async with connect(config, source=source, recorder=recorder, wire_log=frames.append) as call:
        result = await call.wait_ended()

    assert {path.name for path in tmp_path.iterdir()} == {"call.ogg", "call.json", "events.jsonl", "call.vtt"}
    kept = report(tmp_path)
    assert (kept["call_id"], kept["end"]["reason"], kept["error"]) == (result.call_id, "source_ended", None)
    assert kept["recording"]["file"] == str(recorder.audio_path)
    assert kept["transcript"] == result.transcript.as_json()
    told = events(tmp_path)
    assert [line["event"] for line in told] == [frame.event for frame in frames]
    assert {line["direction"] for line in told} == {"in", "out"}


async def test_a_recording_takes_nothing_from_a_sink_of_packets(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Beside a sink that takes packets undecoded, the recording has its samples."""
    answerer.script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT_WORDS), when=AtTime(0.1))], hang_up_when_done=True)
    recorder, packets = CallRecorder(tmp_path / "call"), OggRecorder(tmp_path / "agent.opus")
    async with connect(config_for(answerer), sink=packets, recorder=recorder) as call:
        await call.wait_ended()

    assert locate(AGENT_WORDS, played(recorder.audio_path).agent).likeness > SAME
    assert packets.discarded_packets == 0
    assert packets.path.stat().st_size > 2_000


_CALLS = """
import asyncio, sys
from rtc_client import ArraySource, CallConfig, CallRecorder, connect
from rtc_client.testing import AgentScript, AtTime, Clip, FakeAnswerer, SpokenTurn
from tests.behaviour.speech import AGENT, CALLER

async def main(*folders):
    script = AgentScript(turns=[SpokenTurn(voice=Clip(AGENT), text="Of course.", when=AtTime(0))])
    async with FakeAnswerer(script=script) as answerer:
        config = CallConfig(api_key="any-key", base_url=answerer.base_url, linger_s=60)

        async def hold(folder):
            recorder = CallRecorder(folder, format=folder.rpartition("/")[2])
            async with connect(config, source=ArraySource(CALLER), recorder=recorder) as call:
                while call.elapsed_s < 2.3:
                    await asyncio.sleep(0.01)
                await recorded.wait()
                await call.wait_ended()

        recorded = asyncio.Barrier(len(folders) + 1)
        calls = [asyncio.create_task(hold(folder)) for folder in folders]
        await recorded.wait()
        print(flush=True)
        await asyncio.wait(calls)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.real_time("the call is in a process of its own")
async def test_a_killed_process_leaves_all_but_the_last_second(tmp_path: Path) -> None:
    """After `kill -9` in the midst of a call its sound can be played to within a second, and the rest be read."""
    folders = [tmp_path / format for format in ("ogg", "wav", "flac")]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _CALLS, *map(str, folders), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        async with asyncio.timeout(30):
            await process.stdout.readline()
    finally:
        process.send_signal(signal.SIGKILL)
        await process.communicate()

    for folder in folders:
        recorded = played(folder / f"call.{folder.name}")
        assert seconds(recorded.caller) >= 1.3
        assert recorded.caller[-12_000:].any()
        assert recorded.agent[-12_000:].any()
        assert report(folder)["end"] is None
        assert any(line["event"].get("type") == "session.updated" for line in events(folder))
        assert (folder / "call.vtt").read_text(encoding="utf-8").startswith("WEBVTT")


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process can grow beyond 100 kB: to whoever writes it, the disk is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.usefixtures("small_files")
async def test_a_full_disk_ends_the_recording_and_not_the_call(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """It is told once, with where; the call goes on; what was recorded before can be played; the result says so."""
    recorder = CallRecorder(tmp_path, format="wav")
    ended: list[RecordingEnded] = []
    config = config_for(answerer, max_duration_s=2.0)
    async with connect(config, source=ArraySource(np.tile(CALLER_WORDS, 3)), recorder=recorder) as call:
        async for event in call.events():
            if isinstance(event, RecordingEnded):
                ended.append(event)
        result = call.result

    assert result.end is not None
    assert (result.end.reason, result.error) == (EndReason.MAX_DURATION, None)
    assert [event.message for event in ended] == ["file too large"]
    assert result.recording is not None
    assert result.recording.failure == "file too large"
    assert result.recording.failed_at_s == ended[0].at_s == pytest.approx(1.25, abs=0.4)
    assert 0.7 <= seconds(played(recorder.audio_path).caller) <= 1.05
    assert report(tmp_path)["recording"]["failure"] == "file too large"


async def test_a_folder_that_cannot_be_made_is_told_before_the_call(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Nothing is sent; and neither a second call nor an unknown format is recorded."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=r"recording .* cannot be made"):
        await connect(config_for(answerer), recorder=CallRecorder(tmp_path / "file" / "call")).__aenter__()
    assert answerer.calls == []
    with pytest.raises(ConfigError, match="choose ogg, wav, flac"):
        CallRecorder(tmp_path, format="mp3")  # type: ignore[arg-type]
    recorder = CallRecorder(tmp_path / "call")
    connect(config_for(answerer), recorder=recorder)
    with pytest.raises(ConfigError, match="one call"):
        connect(config_for(answerer), recorder=recorder)


async def test_a_call_that_never_came_about_is_recorded_as_that(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """A refused call leaves its folder with why, and a file that can be opened."""
    answerer.faults.refuse_post(403)
    with pytest.raises(OfferRejected):
        await connect(config_for(answerer), recorder=CallRecorder(tmp_path, format="wav")).__aenter__()

    assert report(tmp_path)["error"]["type"] == "OfferRejected"
    assert (tmp_path / "call.wav").stat().st_size == 44


async def test_an_older_recording_is_replaced(answerer: FakeAnswerer, tmp_path: Path) -> None:
    """Nothing of the older call is left beside the new one's."""
    for name in ("call.flac", "call.ogg", "call.json", "events.jsonl", "call.vtt"):
        (tmp_path / name).write_bytes(b"an earlier call\n" * 10_000)
    async with connect(config_for(answerer), recorder=CallRecorder(tmp_path)) as call:
        await until(lambda: call.elapsed_s > 0.3)

    assert not (tmp_path / "call.flac").exists()
    assert b"earlier" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
