"""Promises of `bench devices`' instruments: delays, slips and growth are told as they are, on cases that are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from tests.bench.device_call import complaints_of
from tests.bench.device_loop import Lap, laps_of, spread_ms
from tests.bench.devices import table
from tests.bench.stations import Passage, Station, followed, pulses

CARD_HZ = 48_000
BLOCK = 240


def passed(samples: Samples, rate_hz: int, block: int, *, late_s: float, whole: bool) -> list[Passage]:
    """Return the passages of a stream that is handed over block by block, at its beginning or, `whole`, at its end."""
    station = Station(rate_hz)
    for start in range(0, len(samples), block):
        at_s = (start + (block if whole else 0)) / rate_hz + late_s
        station.note(samples[start : start + block], at_s)
    return station.passages()


def card(said: Samples, *, lost: int = 0) -> Samples:
    """Return how a card at 48 kHz has it; `lost` samples are missing in its midst, between two pulses."""
    doubled = np.interp(np.arange(2 * len(said)) / 2, np.arange(len(said)), said).astype(np.int16)
    middle = len(doubled) // 2 + CARD_HZ // 4
    return np.concatenate((doubled[:middle], doubled[middle + lost :]))


def laps(*, lost: int = 0) -> list[Lap]:
    """Return the laps of pulses that reach the device 8 ms after they are written, and so on."""
    said = pulses(10.0, 0.5)
    places = (
        passed(said, SAMPLE_RATE_HZ, FRAME_SAMPLES, late_s=0.0, whole=False),
        passed(card(said), CARD_HZ, BLOCK, late_s=0.008, whole=False),
        passed(card(said, lost=lost), CARD_HZ, BLOCK, late_s=0.023, whole=True),
        passed(said, SAMPLE_RATE_HZ, FRAME_SAMPLES, late_s=0.030, whole=True),
    )
    assert [len(place) for place in places] == [20] * 4
    return laps_of(followed(places[0], *places[1:]))


def test_a_lap_is_told_in_its_parts() -> None:
    """Each part to a tenth of a millisecond, wherever in its block or frame a pulse lies."""
    told = laps()

    assert len(told) == 20
    for lap in told:
        assert lap.to_device_ms == pytest.approx(8, abs=0.1)
        assert lap.device_ms == pytest.approx(15, abs=0.1)
        # 7 ms behind what came of the card, and the frame itself.
        assert lap.to_encoder_ms == pytest.approx(20 + 7, abs=0.1)
        assert lap.slip_samples == 0


def test_samples_that_a_device_lost_are_told_once() -> None:
    """Where it was, and how many."""
    assert [lap.slip_samples for lap in laps(lost=480) if lap.slip_samples] == [-480]


def test_a_device_that_was_opened_anew_has_not_slipped() -> None:
    station = Station(CARD_HZ)
    sound = card(pulses(1.0, 0.5))
    paths = []
    for _ in range(2):
        station.begin_again()
        for start in range(0, len(sound), BLOCK):
            station.note(sound[start : start + BLOCK], start / CARD_HZ)
        (first, *_) = station.passages()
        paths.append([first] * 4)

    assert [lap.slip_samples for lap in laps_of(paths)] == [0, 0]


def test_other_sound_is_no_pulse() -> None:
    """Nor is half a one."""
    half = pulses(2.0, 0.5)
    half[np.arange(len(half)) % (SAMPLE_RATE_HZ // 2) < 500] //= 20
    tone = (8_000 * np.sin(np.arange(SAMPLE_RATE_HZ) * 0.2)).astype(np.int16)
    cut = np.concatenate((pulses(0.1, 0.1)[:190], np.zeros(SAMPLE_RATE_HZ, dtype=np.int16)))

    assert passed(tone, SAMPLE_RATE_HZ, FRAME_SAMPLES, late_s=0, whole=True) == []
    assert passed(cut, SAMPLE_RATE_HZ, FRAME_SAMPLES, late_s=0, whole=True) == []


def minute(**figures: Any) -> dict[str, Any]:
    return {"minute": 0, "to_encoder_ms": 27.0, "to_device_ms": 8.0, "slips": 0, "xruns": 0} | figures


@pytest.mark.parametrize(
    ("last", "heard", "complaint"),
    [
        (minute(), 600, None),
        (minute(slips=1, xruns=1), 600, None),
        (minute(to_encoder_ms=38.0), 600, "to_encoder_ms grew from 27.0 to 38.0"),
        (minute(slips=2, xruns=1), 600, "the devices lost samples 2 times and said so 1 times"),
        (minute(), 500, "not every pulse came back to the agent"),
    ],
)
def test_what_is_not_as_promised_is_complained_of(last: dict[str, Any], heard: int, complaint: str | None) -> None:
    found = {"minutes": [minute(), last], "pulses_written": 600, "pulses_heard_by_the_agent": heard}

    assert complaints_of(found) == ([] if complaint is None else [complaint])


def test_the_table_tells_what_is_ours_and_what_the_devices() -> None:
    told = laps()
    figures = {
        "capture_to_encoder_ms": spread_ms([lap.to_encoder_ms for lap in told]),
        "frame_to_device_ms": spread_ms([lap.to_device_ms for lap in told]),
        "devices_own_ms": spread_ms([lap.device_ms for lap in told]),
        "devices_own_as_they_say_ms": 30.0,
        "pulses": len(told),
        "callback_us": {"microphone": spread_ms([2.0])},
        "slips_samples": [],
        "devices": [],
    }

    assert "| captured, encoder | ours, 20 of it the frame | 27.0 | 27.0 | 27.0 | 30 |" in table(figures)
    assert "| decoded frame, device | ours | 8.0 | 8.0 | 8.0 | 30 |" in table(figures)
