"""Promises about clocks that do not agree: ten minutes at 200 ppm change neither the delay nor the sound."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.devices.capture_buffer import CaptureBuffer
from rtc_client.audio.devices.clock_drift import RecentPeak
from rtc_client.audio.devices.playback_buffer import PlaybackBuffer
from rtc_client.audio.files.stereo_alignment import AGENT, CALLER, Origin, StereoAligner
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, PcmFrame, Samples
from rtc_client.call.recording.recorder import Ear
from tests.devices.card import Captured, Card, Played, noise_db, ticks, tone

CLICK_S = 20.0
SETTLED = 1_500
"""Ticks, half a minute: what is learnt at the beginning is no drift."""


@pytest.mark.parametrize(("ppm", "minutes"), [(200, 4), (-200, 10)])
def test_a_microphone_off_by_200_ppm_is_heard_without_a_click_for_ten_minutes(ppm: float, minutes: float) -> None:
    """The level of the ring stays where it is, no frame is missing, and a sine stays a sine.

    After four minutes the clocks are 48 ms apart, four times what the ring may hold: the other sign needs no more.
    """
    captured = Captured(Card(ppm), minutes)

    levels_ms = 1000 * np.array(captured.levels_s[SETTLED:])
    assert captured.n_missing <= 2
    assert captured.buffer.counts.underruns == 0
    assert captured.buffer.counts.skipped_s == 0
    assert 4 < levels_ms.min() < levels_ms.max() < 14, (levels_ms.min(), levels_ms.max())
    assert noise_db(captured.samples[SETTLED:], SAMPLE_RATE_HZ).max() < -65
    assert captured.buffer.drift * 1e6 == pytest.approx(ppm, abs=40)


@pytest.mark.parametrize(("ppm", "minutes"), [(200, 10), (-200, 4)])
def test_a_speaker_off_by_200_ppm_plays_without_a_click_for_ten_minutes(ppm: float, minutes: float) -> None:
    """As the microphone, in the other direction."""
    played = Played(Card(ppm), minutes)

    levels_ms = 1000 * np.array(played.levels_s[SETTLED:])
    assert played.buffer.counts.underruns == 0
    assert played.buffer.counts.skipped_s == 0
    assert 0 < levels_ms.min() < levels_ms.max() < 12, (levels_ms.min(), levels_ms.max())
    assert noise_db(played.samples[SETTLED * 960 :], 48_000).max() < -65
    assert played.buffer.drift * 1e6 == pytest.approx(ppm, abs=40)


class Now:
    """The time of the simulation."""

    at_s = 0.0

    def now_s(self) -> float:
        return self.at_s

    async def sleep_until(self, deadline_s: float) -> None:
        raise NotImplementedError


def test_a_recording_at_cards_that_drift_apart_lies_where_it_was_captured_and_heard() -> None:
    """One card is 200 ppm too fast, the other too slow, which makes 72 ms in three minutes: clicks lie within 5 ms."""
    now, origin, tracks = Now(), Origin(), StereoAligner()
    microphone, speaker = Card(200, seed=1), Card(-200, seed=3)
    capture, playback = CaptureBuffer(microphone.rate_hz, 1), PlaybackBuffer(speaker.rate_hz)
    captured_s: float | None = None
    heard_s: float | None = None
    caller = Ear(lambda at, sound: tracks.put(CALLER, at, sound), lambda: captured_s, origin, now, is_speaker=False)
    agent = Ear(lambda at, sound: tracks.put(AGENT, at, sound), lambda: heard_s, origin, now, is_speaker=True)
    out: Samples = np.empty((speaker.n_block, 1), dtype=np.int16)
    truly_heard_s: list[float] = []
    blocks: list[Samples] = []
    for index, now.at_s in ticks(3):
        for _, first_s, called_s in microphone.until(now.at_s):
            block = np.zeros((microphone.n_block, 1), dtype=np.int16)
            at = round((-first_s % CLICK_S) * microphone.true_hz)
            block[at : at + 96] = 20_000 * (first_s > 1)
            capture.take(block, called_s - first_s, called_s)
        for _, first_s, called_s in speaker.until(now.at_s):
            playback.fill(out, first_s + 0.02 - called_s, called_s)
            if len(loud := np.flatnonzero(out > 3_000)):
                truly_heard_s.append(first_s + 0.02 + int(loud[0]) / speaker.true_hz)
        frame = capture.read(now.at_s)
        captured_s = None if frame is None else capture.captured_s
        caller.write(PcmFrame(SILENCE if frame is None else frame, index * FRAME_SAMPLES))
        click = np.zeros(FRAME_SAMPLES, dtype=np.int16)
        click[100:148] = 20_000 * (index % 1_000 == 500)
        heard_s = playback.write(PcmFrame(click, index * FRAME_SAMPLES), now.at_s)
        agent.write(PcmFrame(click, index * FRAME_SAMPLES))
        blocks += tracks.take()
    agent.keep_rest()
    recorded = np.concatenate([*blocks, *tracks.finish(0)])

    captured, heard = (
        clicks(origin.at_s + np.flatnonzero(recorded[:, voice] > 3_000) / SAMPLE_RATE_HZ) for voice in (CALLER, AGENT)
    )
    assert len(captured) == 8
    assert np.abs(captured - CLICK_S * np.arange(1, 9)).max() < 0.005
    assert len(heard) == 9
    assert np.abs(heard - clicks(np.array(truly_heard_s))).max() < 0.005


def clicks(loud_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return when each click began, given when it was loud."""
    began_s: NDArray[np.float64] = loud_s[np.diff(loud_s, prepend=-1.0) > 0.1]
    return began_s


def test_what_happens_once_is_not_kept_ready_for_what_happens_again_is() -> None:
    peak = RecentPeak(0.006, ceiling=0.06)

    assert peak.add(0.020, 0.0) == 0.006
    assert peak.add(0.005, 0.02) == pytest.approx(0.006, abs=1e-4)
    assert peak.add(0.020, 2.0) == pytest.approx(0.020 * 0.5**0.2)
    assert peak.add(0.005, 12.0) == pytest.approx(0.010 * 0.5**0.2)


def _levels_after_a_hold_up(said: Samples) -> tuple[list[float], PlaybackBuffer]:
    """Return the level of the ring at each tick, in ms; for 50 ms in the third second the card takes nothing."""
    card, buffer = Card(0), PlaybackBuffer(48_000)
    levels_ms = []
    for index, now_s in ticks(len(said) / FRAME_SAMPLES / 50 / 60):
        for _, first_s, called_s in card.until(now_s):
            if not 3.0 < called_s < 3.05:
                buffer.fill(np.empty((card.n_block, 1), dtype=np.int16), first_s + 0.02 - called_s, called_s)
        levels_ms.append(1000 * buffer.level_s(now_s))
        start = index * FRAME_SAMPLES
        buffer.write(PcmFrame(said[start : start + FRAME_SAMPLES], start), now_s)
    return levels_ms, buffer


def test_what_a_hold_up_of_the_speaker_left_behind_goes_in_the_next_pause() -> None:
    """Within half a second of silence the delay is what it was; nothing is cut from the tone before it."""
    places = np.arange(6 * SAMPLE_RATE_HZ, dtype=np.float64)
    said = tone(places, SAMPLE_RATE_HZ)
    said[4 * SAMPLE_RATE_HZ : 5 * SAMPLE_RATE_HZ] = 0

    levels_ms, buffer = _levels_after_a_hold_up(said)

    assert np.mean(levels_ms[160:199]) > np.mean(levels_ms[100:149]) + 30
    assert np.mean(levels_ms[225:299]) < np.mean(levels_ms[100:149]) + 8
    assert 0.02 < buffer.counts.skipped_s < 0.06
    assert buffer.dropped_samples == round(buffer.counts.skipped_s * SAMPLE_RATE_HZ)


def test_what_a_hold_up_of_ours_left_behind_at_the_microphone_goes_in_the_next_pause() -> None:
    """Frames come without a gap, and in the pause the delay becomes what it was."""
    card, buffer = Card(0), CaptureBuffer(48_000, 1)
    levels_ms, frames = [], []
    for index, now_s in ticks(6 / 60):
        for first, first_s, called_s in card.until(now_s):
            block = tone(np.arange(first, first + card.n_block, dtype=np.float64), card.true_hz)
            if 4.0 < called_s < 5.0:
                block[:] = 3
            buffer.take(block[:, np.newaxis], called_s - first_s, called_s)
        if index in (150, 151):
            continue
        levels_ms.append(1000 * buffer.level_s(now_s))
        frames.append(buffer.read(now_s))

    assert all(frame is not None for frame in frames[2:])
    assert np.mean(levels_ms[160:196]) > np.mean(levels_ms[100:149]) + 30
    assert np.mean(levels_ms[225:290]) < np.mean(levels_ms[100:149]) + 8
    assert 0.02 < buffer.counts.skipped_s < 0.06
