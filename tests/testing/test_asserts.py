"""Promises of the assertions on sound: speech, tones and noise, through Opus and loss, with near misses each way.

In real time: `test_a_whole_call_is_asserted_on`.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtc_client import CallConfig, NumpySink, ToneSource, WavSink, connect
from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, PcmFrame, Samples
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from rtc_client.testing import AgentScript, FakeAnswerer, SpokenTurn, Tone
from rtc_client.testing.asserts import (
    assert_aligned,
    assert_contains,
    assert_heard_within,
    assert_level,
    assert_no_gap,
    assert_stopped_within,
    assert_tone,
)
from rtc_client.testing.saved_audio import SavedAudio, failures_kept_on
from rtc_client.testing.scenario.voices import tone_samples
from rtc_client.testing.sound import measures as sound

AGENT = read_audio(AGENT_SPEECH)
CALLER = read_audio(CALLER_SPEECH)
OPUS_DELAY_MS = 10
"""What the codec takes: a sound comes out of it some 7 ms later."""


def silence(ms: float) -> Samples:
    return np.zeros(round(24 * ms), dtype=np.int16)


def tone(frequency_hz: float, ms: float, level_dbfs: float = -20.0) -> Samples:
    return tone_samples(Tone(frequency_hz=frequency_hz, duration_s=ms / 1000, level_dbfs=level_dbfs))


def noise(ms: float, level_dbfs: float) -> Samples:
    amplitude = 32_768 * 10 ** (level_dbfs / 20)
    return np.random.default_rng(7).normal(scale=amplitude, size=round(24 * ms)).astype(np.int16)


def joined(*parts: Samples) -> Samples:
    return np.concatenate(parts)


def through_opus(samples: Samples, *, bit_rate: int = 24_000, lost: Callable[[int], bool] = lambda _: False) -> Samples:
    """Return what a listener gets; lost packets are concealed."""
    encoder, decoder = OpusEncoder(bit_rate=bit_rate), OpusDecoder()
    padded = np.pad(samples, (0, -len(samples) % FRAME_SAMPLES))
    packets = [encoder.encode(padded[at : at + FRAME_SAMPLES]) for at in range(0, len(padded), FRAME_SAMPLES)]
    return joined(*(decoder.conceal() if lost(n) else decoder.decode(packet) for n, packet in enumerate(packets)))


def complaint(assertion: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return what an assertion that must fail says."""
    with pytest.raises(AssertionError) as caught:
        assertion(*arguments, **options)
    return str(caught.value)


# --- heard within, stopped within ------------------------------------------------------------------------------------


@pytest.mark.parametrize("voice", [tone(440, 300), AGENT, noise(300, -30)], ids=["tone", "speech", "noise"])
def test_what_is_heard_in_time_is_told_from_what_is_late(voice: Samples) -> None:
    """A sound that begins at 300 ms is heard within 310 ms, and not within 290."""
    recording = joined(silence(300), voice)

    assert assert_heard_within(recording, 310) == pytest.approx(300, abs=5)
    assert "nothing was heard within 290 ms: it took 30" in complaint(assert_heard_within, recording, 290)


def test_what_is_heard_counts_from_its_instant() -> None:
    """With an instant, sound before it is no answer, and sound that goes on through it is."""
    recording = joined(tone(440, 200), silence(500), tone(440, 200))

    assert assert_heard_within(recording, 410, after_ms=300) == pytest.approx(400, abs=2)
    assert assert_heard_within(recording, 0, after_ms=100) == 0
    assert "within 390 ms of 300 ms: it took 400 ms" in complaint(assert_heard_within, recording, 390, after_ms=300)
    assert "nor later" in complaint(assert_heard_within, recording, 500, after_ms=1000)


def test_silence_noise_and_clicks_are_not_heard() -> None:
    """Digital silence, comfort noise, and a click of a few samples are not sound; no samples at all are none either."""
    click = silence(300)
    click[2000:2005] = 30_000

    for recording in (silence(500), noise(500, -60), click, through_opus(silence(500)), silence(0)):
        assert "nothing was heard within 1000 ms, nor later" in complaint(assert_heard_within, recording, 1000)


def test_what_stops_in_time_is_told_from_what_goes_on() -> None:
    """Speech cut off 200 ms after an instant stopped within 210 ms of it, and not within 190."""
    recording = through_opus(joined(sound.cut(AGENT, 0, 500), silence(500)))

    took_ms = assert_stopped_within(recording, 200 + 2 * OPUS_DELAY_MS, of_ms=300)
    assert took_ms == pytest.approx(200, abs=2 * OPUS_DELAY_MS)
    assert "did not stop within 170 ms of 300 ms: it was last heard 2" in complaint(
        assert_stopped_within, recording, 170, of_ms=300
    )


def test_sound_that_comes_back_has_not_stopped() -> None:
    """A pause is no stop, and what never sounded cannot stop."""
    recording = joined(silence(200), tone(440, 200), silence(300), tone(440, 100))

    assert "it was last heard 500 ms after" in complaint(assert_stopped_within, recording, 300, of_ms=300)
    assert "there was nothing to stop: no sound before 150 ms" in complaint(
        assert_stopped_within, recording, 300, of_ms=150
    )


# --- gaps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hole_ms", [20, 60, 200])
def test_a_hole_is_measured(hole_ms: int) -> None:
    """A hole is no longer than it is, and no shorter."""
    recording = joined(silence(100), tone(440, 300), silence(hole_ms), tone(440, 300), silence(400))

    assert assert_no_gap(recording, hole_ms + 5) == pytest.approx(hole_ms, abs=4)
    said = complaint(assert_no_gap, recording, hole_ms - 5)
    assert re.match(rf"there is a gap of {hole_ms} ms at 400–{400 + hole_ms} ms\n", said)


def test_lost_packets_that_nobody_conceals_are_a_gap() -> None:
    """Where packets of an Opus stream leave silence there is a gap, where they are concealed there is none."""
    said = joined(tone(300, 1000))
    heard = through_opus(said)
    holed = heard.copy()
    holed[20 * FRAME_SAMPLES : 23 * FRAME_SAMPLES] = 0

    assert assert_no_gap(through_opus(said, lost=lambda n: n == 20), 15) == 0
    assert "gap of 60 ms at 400–460 ms" in complaint(assert_no_gap, holed, 40)


def test_the_edges_belong_to_a_gap_when_they_are_given() -> None:
    """Silence before and after counts between two times, and only then."""
    recording = joined(silence(300), tone(440, 500), silence(200))

    assert assert_no_gap(recording, 20) == 0
    assert "gap of 300 ms at 0–300 ms, and 1 more" in complaint(assert_no_gap, recording, 20, from_ms=0, to_ms=1000)
    assert assert_no_gap(recording, 20, from_ms=310, to_ms=790) == 0
    assert "no sound in which a gap could be" in complaint(assert_no_gap, silence(500), 20)
    assert "no sound in which a gap could be" in complaint(assert_no_gap, recording, 20, from_ms=900)


# --- tones -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("frequency_hz", [120, 440, 1000, 3400, 9000])
def test_a_tone_is_told_from_its_neighbours(frequency_hz: int) -> None:
    """A tone is found at its frequency, and not 8 Hz beside it."""
    recording = through_opus(joined(silence(200), tone(frequency_hz, 400), silence(200)), bit_rate=64_000)

    where = assert_tone(recording, frequency_hz)
    assert where.duration_ms == pytest.approx(400, abs=30)
    assert where.start_ms == pytest.approx(200, abs=30)
    for near_hz in (frequency_hz - 8, frequency_hz + 8):
        said = complaint(assert_tone, recording, near_hz)
        assert f"no tone of {near_hz} ± 5 Hz" in said
        peak_hz = int(said.partition("strongest frequencies ")[2].split()[0])
        assert peak_hz == pytest.approx(frequency_hz, abs=2)


def test_a_short_tone_is_not_a_long_one() -> None:
    """How long a tone lasts is measured, in the part that is looked at."""
    recording = joined(silence(200), tone(700, 250), silence(200))

    assert assert_tone(recording, 700, for_ms=220).duration_ms == pytest.approx(250, abs=15)
    assert "lasts 2" in complaint(assert_tone, recording, 700, for_ms=300)
    assert assert_tone(recording, 700, for_ms=80, from_ms=300).start_ms == pytest.approx(300, abs=15)
    assert "no tone of 700" in complaint(assert_tone, recording, 700, from_ms=500)


def test_speech_noise_and_silence_are_no_tone() -> None:
    """No frequency of two spoken sentences, of noise, or of silence passes for a tone."""
    for recording in (AGENT, CALLER, noise(1000, -20), silence(300), silence(0)):
        for frequency_hz in range(90, 4000, 223):
            complaint(assert_tone, recording, frequency_hz)


def test_a_tone_among_others_needs_a_smaller_share() -> None:
    """Two tones at once have half the power each, and a tone below speech still less."""
    both = joined(tone(697, 400, -23)) + joined(tone(1209, 400, -23))

    assert_tone(both, 697, share=0.4)
    assert_tone(both, 1209, share=0.4)
    assert "never holds more than 5" in complaint(assert_tone, both, 697, share=0.7)


# --- clips -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bit_rate", [16_000, 40_000])
def test_a_clip_is_found_where_it_lies(bit_rate: int) -> None:
    """Speech that went through the codec is found to the millisecond, and not 60 ms beside it."""
    recording = through_opus(joined(silence(700), AGENT // 4, silence(300)), bit_rate=bit_rate)

    found = assert_contains(recording, AGENT)
    assert found.at_ms == pytest.approx(700 + OPUS_DELAY_MS, abs=OPUS_DELAY_MS)
    assert_contains(recording, AGENT_SPEECH, at_ms=700, within_ms=20)
    for wrong_ms in (640, 760):
        said = complaint(assert_contains, recording, AGENT, at_ms=wrong_ms, within_ms=40)
        assert re.match(rf"the clip begins at 70\d ms \(likeness 0.\d+\), not within 40 ms of {wrong_ms} ms\n", said)


def test_a_clip_survives_loss_and_a_changed_pace() -> None:
    """Concealed losses lower the likeness, and 12 ms inserted in a pause hardly at all."""
    lossy = through_opus(AGENT, lost=lambda n: n % 20 == 7)
    moved = joined(AGENT[: 24 * 800], silence(12), AGENT[24 * 800 :])

    assert 0.75 < assert_contains(lossy, AGENT, likeness=0.7).likeness < 0.99
    assert assert_contains(moved, AGENT).likeness > 0.95


def test_other_words_are_not_the_clip() -> None:
    """Another voice, noise, a half of the clip, and nothing at all are not the clip."""
    for recording in (CALLER, noise(6000, -20), AGENT[: len(AGENT) // 2], silence(500), silence(0)):
        said = complaint(assert_contains, recording, AGENT)
        likeness = re.match(
            r"the clip is not in there: its best likeness is (\d\.\d+), at \d+ ms; 0.8 was wanted", said
        )
        assert likeness
        assert float(likeness[1]) < 0.7
    with pytest.raises(ValueError, match="silent"):
        assert_contains(AGENT, silence(300))


def test_a_clip_that_is_spoken_twice_is_at_both_places() -> None:
    """With a time, the place nearest to it counts, also if the clip fits better elsewhere."""
    word = sound.cut(AGENT, 0, 600)
    recording = joined(word, silence(400), (word // 3), silence(400), tone(440, 1000))

    assert assert_contains(recording, word, at_ms=0).at_ms == pytest.approx(0, abs=1)
    assert assert_contains(recording, word, at_ms=1000).at_ms == pytest.approx(1000, abs=1)
    assert "not within 50 ms of 500 ms" in complaint(assert_contains, recording, word, at_ms=500)
    assert assert_contains(recording, tone(440, 300), at_ms=2300, within_ms=5).likeness > 0.99


# --- levels ----------------------------------------------------------------------------------------------------------


def test_a_level_lies_within_its_bounds() -> None:
    """A level is told to a tenth of a dB, from both sides, of all or of the sound alone."""
    recording = joined(silence(500), tone(440, 500, -20))

    assert assert_level(recording, at_least_dbfs=-23.1, at_most_dbfs=-22.9) == pytest.approx(-23.01, abs=0.02)
    assert "the level is -23.0 dBFS, below -22.9 dBFS" in complaint(assert_level, recording, at_least_dbfs=-22.9)
    assert "the level is -23.0 dBFS, above -23.1 dBFS" in complaint(assert_level, recording, at_most_dbfs=-23.1)
    assert assert_level(recording, at_least_dbfs=-20.1, only_sound=True) == pytest.approx(-20, abs=0.05)
    assert assert_level(recording, at_most_dbfs=-99, to_ms=500) == -100
    assert "the level of the sound is -100.0" in complaint(
        assert_level, silence(100), at_least_dbfs=-60, only_sound=True
    )
    assert "not a sample" in complaint(assert_level, recording, at_most_dbfs=0, from_ms=2000)
    with pytest.raises(ValueError, match="at_least_dbfs"):
        assert_level(recording)


# --- two channels ----------------------------------------------------------------------------------------------------


def test_channels_that_lie_apart_are_told_by_how_much() -> None:
    """The same speech 30 ms later is aligned at 30 ms, and not at 0."""
    later = through_opus(joined(silence(30), AGENT // 2))
    stereo = np.stack([np.pad(AGENT, (0, len(later) - len(AGENT))), later], axis=1)

    assert assert_aligned(stereo, offset_ms=30) == pytest.approx(30 + OPUS_DELAY_MS, abs=OPUS_DELAY_MS)
    assert assert_aligned(AGENT, AGENT) == 0
    said = complaint(assert_aligned, stereo, within_ms=25)
    assert re.match(r"the second channel lies \+3\d ms off the first at \d+ ms, not \+0 ms ± 25 ms", said)


def test_channels_that_drift_are_not_aligned() -> None:
    """Aligned at first and 40 ms apart at the end is not aligned, and both are said."""
    drifting = joined(AGENT[: 24 * 2300], silence(40), AGENT[24 * 2300 :])

    said = complaint(assert_aligned, AGENT, drifting, within_ms=25)

    assert "lies +40 ms off the first" in said
    assert "(first +0 ms, last +40 ms)" in said
    assert_aligned(AGENT, drifting, within_ms=45)


def test_channels_of_other_sound_are_not_aligned() -> None:
    """Two voices, and sound beside silence, have nothing in common; one channel is not two."""
    assert re.match(r"only 0 of \d+ pieces", complaint(assert_aligned, AGENT, CALLER))
    assert re.match(r"only 0 of \d+ pieces", complaint(assert_aligned, AGENT, silence(500)))
    assert "no sound in the first channel" in complaint(assert_aligned, silence(500), AGENT)
    with pytest.raises(TypeError, match="two channels"):
        assert_aligned(AGENT)


# --- what they take, and what they leave -----------------------------------------------------------------------------


def test_every_kind_of_recording_is_understood(tmp_path: Path) -> None:
    """Arrays of any type, files, and sinks are the same recording; anything else is refused by name."""
    voice = tone(500, 300)
    sink = NumpySink()

    async def write() -> WavSink:
        file = WavSink(tmp_path / "voice.wav")
        for one in (sink, file):
            await one.open()
            one.write(PcmFrame(voice, 0))
            await one.aclose()
        return file

    file = asyncio.run(write())

    arrays = (voice, (voice / 32_768).astype(np.float32), np.stack([voice, voice], axis=1))

    for recording in (*arrays, sink, file, file.path, str(file.path)):
        assert assert_tone(recording, 500).duration_ms == pytest.approx(300, abs=15)
        assert sound.length_ms(recording) == 300
    with pytest.raises(TypeError, match="a dict is no recording"):
        assert_tone({}, 500)


def test_what_failed_is_kept(tmp_path: Path) -> None:
    """The sound that failed is saved where the assertion is told to, or where the test run keeps such things."""
    recording = joined(silence(100), tone(440, 200))

    said = complaint(assert_heard_within, recording, 50, save=tmp_path / "late.wav")
    assert said.endswith(f"\nsaved: {tmp_path / 'late.wav'}")
    assert np.array_equal(read_audio(tmp_path / "late.wav"), recording)

    with failures_kept_on(SavedAudio(lambda: tmp_path)):
        first, second = (complaint(assert_tone, recording, hz) for hz in (300, 500))
    assert (first[-12:], second[-12:]) == ("failed-1.wav", "failed-2.wav")
    assert "saved" not in complaint(assert_tone, recording, 300)


@pytest.mark.both_clocks
async def test_a_whole_call_is_asserted_on() -> None:
    """The caller's tone arrives at the answerer, and the agent's at the caller, each within its time and level."""
    script = AgentScript(turns=[SpokenTurn(voice=Tone(frequency_hz=880, duration_s=0.5))])
    async with FakeAnswerer(script=script) as answerer:
        config = CallConfig(api_key="any-key", base_url=answerer.base_url, linger_s=0.2)
        heard = NumpySink()
        async with connect(config, source=ToneSource(440, duration_s=0.8), sink=heard) as call:
            await call.wait_ended()
        answered = answerer.calls[0]

        assert_tone(answered, 440, for_ms=500)
        assert_no_gap(answered, 40)
        assert_heard_within(heard, 500)
        assert_tone(heard, 880, for_ms=350)
        assert_contains(heard, tone(880, 300), likeness=0.9)
        assert_level(heard, at_least_dbfs=-22, at_most_dbfs=-18, only_sound=True)
        said = complaint(assert_tone, answered, 880)
        assert "strongest frequencies 440 Hz" in said
