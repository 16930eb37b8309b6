"""Promises of the instruments: what they say of sound and of pacing is so, on cases whose answer is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from rtc_client.audio.frames import SAMPLE_RATE_HZ, Samples
from rtc_client.protocol.wire.codec import parse_event
from rtc_client.protocol.wire.events import KnownEvent
from tests.audio.room import Room
from tests.bench import echo, events, soak
from tests.bench.answerer import lateness_ms
from tests.bench.client import KINDS
from tests.bench.loss import TARGETS, Net, cases_of, script_of
from tests.bench.media import Measured, rows_of, summary
from tests.bench.quality import has_pesq, judge

MS = SAMPLE_RATE_HZ // 1000


@pytest.fixture(scope="module")
def said() -> Samples:
    return script_of(2).samples


@pytest.fixture(scope="module")
def spans() -> list[tuple[int, int]]:
    return script_of(2).spans


def test_sound_that_is_only_late_is_whole(said: Samples, spans: list[tuple[int, int]]) -> None:
    """A delay is told to the millisecond, and nothing is amiss."""
    quality = judge(said, np.pad(said, (50 * MS, 0)), spans, offset_s=0.03)

    assert quality.delay_ms == pytest.approx(80, abs=0.1)
    assert quality.stretch_ms == pytest.approx(0, abs=0.1)
    assert (quality.gap_ms, quality.missing_percent) == (0, 0)
    if has_pesq():
        assert quality.pesq > 4.5
        assert quality.stoi > 0.99
    else:
        assert math.isnan(quality.pesq)


def test_a_recording_that_begins_before_the_speech_is_aligned_as_well(
    said: Samples, spans: list[tuple[int, int]]
) -> None:
    """It does not matter which of the two recordings began first."""
    quality = judge(said, np.pad(said, (500 * MS, 0)), spans, offset_s=-0.4)

    assert quality.delay_ms == pytest.approx(100, abs=0.1)


def test_a_hole_in_speech_is_a_gap(said: Samples, spans: list[tuple[int, int]]) -> None:
    """Silence in place of speech is told by its length."""
    start, end = spans[1]
    loud = start + int(np.argmax(np.convolve(np.abs(said[start:end].astype(float)), np.ones(200 * MS), "valid")))
    heard = said.copy()
    heard[loud : loud + 200 * MS] = 0

    quality = judge(said, heard, spans, offset_s=0.0)

    assert 50 <= quality.gap_ms <= 200
    assert quality.missing_percent > 0


def test_sound_that_was_stretched_between_sentences_is_told(said: Samples, spans: list[tuple[int, int]]) -> None:
    """The delays of the utterances differ by what was inserted between them."""
    at = (spans[0][1] + spans[1][0]) // 2
    heard = np.concatenate((said[:at], np.zeros(40 * MS, dtype=np.int16), said[at:]))

    quality = judge(said, heard, spans, offset_s=0.0)

    assert quality.stretch_ms == pytest.approx(40, abs=0.1)
    assert quality.worst_delay_ms == pytest.approx(40, abs=0.1)


def test_nothing_at_all_is_all_missing(said: Samples, spans: list[tuple[int, int]]) -> None:
    """A call in which nothing was heard is judged as such, and ends no benchmark."""
    quality = judge(said, np.zeros(SAMPLE_RATE_HZ, dtype=np.int16), spans, offset_s=0.0)

    assert quality.missing_percent == 100


def test_lateness_is_counted_from_the_streams_own_grid() -> None:
    """Packets on the grid are not late, whatever its origin and wherever the timestamps wrap; one that is late is."""
    first_timestamp = 2**32 - 10 * 960
    arrivals = [
        (10**18 + n * 20_000_000 + (3_000_000 if n == 30 else 0), (first_timestamp + n * 960) % 2**32)
        for n in range(50)
    ]

    late_ms = lateness_ms(arrivals)

    assert late_ms[30] == pytest.approx(3.0, abs=0.01)
    assert max(late_ms[:30] + late_ms[31:]) == pytest.approx(0.0, abs=0.01)
    assert lateness_ms([]) == []


def test_ratios_are_of_neighbours_in_time() -> None:
    """A machine that is twice as slow for a while changes no ratio."""
    costs = {"shipped": 4.0, "live": 1.0, "bot": 0.25}
    measured = [
        Measured(
            kind=kind,
            n_calls=n,
            cpu_percent=costs[kind] * slowness,
            rss_mb=80 + 0.3 * n,
            threads=n,
            p99_lateness_ms=1,
            max_lateness_ms=2,
            first_audio_ms=20,
            heard_ratio=1,
            answerer_percent=0.5,
        )
        for slowness in (1.0, 2.0, 1.5)
        for n in (5, 20)
        for kind in KINDS
    ]

    told = summary(measured, spread=False)

    assert (told["cpu_ratio_full"], told["cpu_ratio_bot"], told["mb_per_call"]) == (4.0, 16.0, 0.3)
    assert {"p99_lateness_ms", "first_audio_ms"} <= told.keys()
    assert len(rows_of(measured)) == 6


def test_the_grid_has_every_target_three_times_with_and_without_fec() -> None:
    """Every network of the target table is met by ours with FEC and without, and by plain aiortc, by three seeds."""
    cases = cases_of(is_quick=False)

    for net in TARGETS:
        seeds = [(case.stack, case.fec) for case in cases if case.net == net]
        assert [seeds.count(one) for one in (("ours", True), ("ours", False), ("shipped", False))] == [3, 3, 3]
    assert str(Net(5, 3, 30)) == "5 in 3s/30"


def test_a_soak_tells_growth_from_what_is_learnt_at_the_beginning() -> None:
    """The first minute behind the settling stands beside the last; what is lost and concealed is of the whole call."""
    looks = [
        soak.Look(
            at_s=float(n),
            rss_mb=100 + (50 if n < 20 else 0) + n / 100,
            delay_ms=80.0 if n < 200 else 90.0,
            concealed_samples=240 * n,
            fec_packets_used=0,
            packets_received=45 * n,
            packets_lost=5 * n,
        )
        for n in range(1, 301)
    ]
    told = soak.summary(looks, ["a warning"])

    assert told["rss_mb_first_last"] == pytest.approx([100.61, 102.7], abs=0.02)
    assert told["delay_ms_first_last"] == [80.0, 90.0]
    assert told["concealed_percent"] == 1.0
    assert told["lost_percent"] == 10.0
    assert told["complaints"] == ["a warning"]


def test_a_turn_is_decoded_by_everybody() -> None:
    """Every frame of both mixes is a known event to us and to the official SDK; a call has no sound among them."""
    frames = {with_audio: events.frames_of_a_turn(with_audio=with_audio) for with_audio in (False, True)}

    for decode in events.decoders().values():
        assert all(decode(frame) is not None for frame in frames[True])
    assert all(isinstance(parse_event(frame), KnownEvent) for frame in frames[True])
    assert not any("output_audio.delta" in frame for frame in frames[False])
    found = events.summary(repeat=1, window_s=0.0)
    assert found["websocket"]["ours"] > found["websocket"]["openai"]
    assert len(events.table(found).splitlines()) == 4


def test_echo_control_is_measured_where_the_answer_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing takes nothing off, half duplex takes off its 40 dB, and the canceller more than 25."""
    monkeypatch.setattr(echo, "ROOMS", (Room(level_db=-6, delay_s=0.05),))

    rows = {row.mode: row for row in echo.measure(12.0, recorded=False, say=lambda line: None)}

    assert rows["headphones"].return_loss_db == 0
    assert rows["headphones"].stoi == rows["headphones"].stoi_before or math.isnan(rows["headphones"].stoi)
    assert rows["headphones"].is_warned
    assert rows["half-duplex"].return_loss_db == pytest.approx(40, abs=0.5)
    assert rows["half-duplex"].through_percent == 0
    if "aec" in rows:
        assert rows["aec"].return_loss_db > 25
        assert not rows["aec"].is_warned
    assert len(echo.table(list(rows.values())).splitlines()) == 2 + len(rows)
