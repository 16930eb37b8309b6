"""What is played is found again by the time at which it is heard, sample by sample, whatever the clocks do."""

from __future__ import annotations

import numpy as np
import pytest

from rtc_client.audio.echo.far_end import CAPACITY_S, MAX_LEAD_S, SLACK_S, FarEndReference
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, PcmFrame, Samples

T0_S = 5_000.0


def counted(n_frames: int) -> list[Samples]:
    """Frames in which no sample is like its neighbours, so that one in the wrong place shows."""
    return list((np.arange(n_frames * FRAME_SAMPLES) % 30_011).astype(np.int16).reshape(n_frames, FRAME_SAMPLES))


def test_a_sound_is_read_at_the_time_at_which_it_is_heard() -> None:
    """What was captured when a sample was heard meets that sample, a lead before it."""
    played, frames = FarEndReference(), counted(10)
    for index, frame in enumerate(frames):
        played.add(frame, T0_S + index * FRAME_S)

    read = played.read(T0_S + 2 * FRAME_S, FRAME_SAMPLES)

    assert played.lead_s == MAX_LEAD_S
    assert list(read) == list(frames[2 + round(MAX_LEAD_S / FRAME_S)])


def test_inexact_times_tear_no_hole_into_the_reference() -> None:
    """Times that tremble by some milliseconds, on both sides, leave the stream without a gap and without a jump."""
    rng = np.random.default_rng(1)
    played, frames = FarEndReference(), counted(200)
    read: list[Samples] = []
    for index, frame in enumerate(frames):
        now_s = T0_S + index * FRAME_S
        played.add(frame, now_s + 0.05 + rng.uniform(-0.004, 0.004))
        read.append(played.read(now_s - 0.01 + rng.uniform(-0.004, 0.004), FRAME_SAMPLES))

    heard = np.concatenate(read[10:]).astype(int)

    assert set(np.unique(np.diff(heard))) <= {1, -30_010}
    assert played.jumps == 0


def test_a_stream_that_moves_is_followed() -> None:
    """A gap in what is played is silence in the reference, and what comes after it is where it is heard."""
    played, frames = FarEndReference(), counted(4)
    played.add(frames[0], T0_S)
    played.add(frames[1], T0_S + FRAME_S + 0.1)
    played.add(frames[2], T0_S + 2 * FRAME_S + 0.1)
    played.add(frames[3], T0_S + 3 * FRAME_S + 0.1)

    in_the_gap = played.read(T0_S + 0.06 - MAX_LEAD_S, FRAME_SAMPLES)
    behind_it = played.read(T0_S + FRAME_S + 0.1 - MAX_LEAD_S, FRAME_SAMPLES)

    assert not in_the_gap.any()
    assert list(behind_it) == list(frames[1])
    assert played.jumps == 1


def test_what_was_dropped_before_it_was_heard_is_no_reference() -> None:
    """A frame that is heard earlier than the end of what was told before takes the place of it."""
    played, frames = FarEndReference(), counted(8)
    for index in range(6):
        played.add(frames[index], T0_S + index * FRAME_S)
    played.add(frames[7], T0_S + 2 * FRAME_S)

    read = [played.read(T0_S + index * FRAME_S - MAX_LEAD_S, FRAME_SAMPLES) for index in range(3)]

    assert [list(frame) for frame in read] == [list(frames[0]), list(frames[1]), list(frames[7])]


def test_the_lead_is_no_longer_than_what_is_known() -> None:
    """Where little is known beforehand the reference is less early, instead of full of holes."""
    played, frames = FarEndReference(), counted(50)
    read: list[Samples] = []
    for index, frame in enumerate(frames):
        now_s = T0_S + index * FRAME_S
        # A device that tells of 10 ms, and a microphone of 15 ms, before the frame that is written in this tick.
        read.append(played.read(now_s - 0.015, FRAME_SAMPLES))
        played.add(frame, now_s + 0.01)

    heard = np.concatenate(read[5:]).astype(int)

    assert played.lead_s == pytest.approx(0.005, abs=0.001)
    assert set(np.unique(np.diff(heard))) == {1}


def test_nothing_played_is_silence() -> None:
    """Before anything was played, and where nothing was, there is silence of the length that was asked for."""
    played = FarEndReference()

    assert not played.read(T0_S, FRAME_SAMPLES).any()
    played.tap(PcmFrame(np.ones(FRAME_SAMPLES, dtype=np.int16), 0), None)
    assert not played.read(T0_S, FRAME_SAMPLES).any()
    played.tap(PcmFrame(np.ones(FRAME_SAMPLES, dtype=np.int16), 0), T0_S)
    assert not played.read(T0_S + 1, 7).any()
    assert len(played.read(T0_S + 1, 7)) == 7


def test_old_sound_is_forgotten() -> None:
    """What lies further back than the capacity is silence, and memory does not grow."""
    played = FarEndReference()
    frame = np.ones(FRAME_SAMPLES, dtype=np.int16)
    n_frames = 3 * round(CAPACITY_S / FRAME_S)
    for index in range(n_frames):
        played.add(frame, T0_S + index * FRAME_S)
    end_s = T0_S + n_frames * FRAME_S

    assert not played.read(end_s - CAPACITY_S - 0.1, FRAME_SAMPLES).any()
    assert played.read(end_s - CAPACITY_S + 0.1, FRAME_SAMPLES).all()
    assert SLACK_S * SAMPLE_RATE_HZ < FRAME_SAMPLES
