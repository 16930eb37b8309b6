"""Promises of the voice detector: it hears speech within 60 ms, and neither noise, nor clicks, nor our own echo."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, Samples
from rtc_client.audio.pcm import FULL_SCALE, level_dbfs
from rtc_client.audio.vad import SpeechEdge, VoiceActivityDetector, voice_dbfs
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH

VOICES = {"caller": CALLER_SPEECH, "agent": AGENT_SPEECH}
LEAD_S = 2.0


def noise(colour: str, n_samples: int, dbfs: float) -> NDArray[np.float64]:
    """Return noise whose power falls with frequency by the colour's law, at an RMS level."""
    rng = np.random.default_rng(11)
    if colour == "hum":
        t = np.arange(n_samples) / SAMPLE_RATE_HZ
        samples = np.sin(2 * np.pi * 50 * t) + 0.3 * np.sin(2 * np.pi * 150 * t)
    else:
        frequencies = np.fft.rfftfreq(n_samples)
        frequencies[0] = frequencies[1]
        power = {"white": 0.0, "pink": 0.5, "brown": 1.0}[colour]
        samples = np.fft.irfft(np.fft.rfft(rng.standard_normal(n_samples)) / frequencies**power, n_samples)
    scale = FULL_SCALE * 10 ** (dbfs / 20) / np.sqrt(np.mean(samples**2))
    scaled: NDArray[np.float64] = samples * scale
    return scaled


def edges(samples: NDArray[np.float64], echo_dbfs: float = -100.0) -> list[tuple[float, SpeechEdge]]:
    """Return the edges, and by when they were told: the end of the 20 ms in which they are, in seconds."""
    detector, found = VoiceActivityDetector(), []
    pcm = np.clip(np.rint(samples), -32_768, 32_767).astype(np.int16)
    for start in range(0, len(pcm) - FRAME_SAMPLES + 1, FRAME_SAMPLES):
        edge = detector.push(pcm[start : start + FRAME_SAMPLES], echo_dbfs)
        if edge is not None:
            found.append(((start + FRAME_SAMPLES) / SAMPLE_RATE_HZ, edge))
    return found


def framed(voice: Path) -> tuple[Samples, float]:
    """Return a voice, and where in it the first 20 ms of speech begin, in seconds."""
    speech = read_audio(voice)
    levels = [level_dbfs(speech[k : k + FRAME_SAMPLES]) for k in range(0, len(speech), FRAME_SAMPLES)]
    return speech, next(k for k, level in enumerate(levels) if level >= -40) * 0.02


@pytest.mark.parametrize("level_dbfs", [-100.0, -55.0, -40.0])
@pytest.mark.parametrize("colour", ["white", "pink", "brown", "hum"])
@pytest.mark.parametrize("name", VOICES)
def test_a_voice_in_noise_is_heard_within_60_ms_and_the_noise_is_not(name: str, colour: str, level_dbfs: float) -> None:
    """20 dB of noise below the voice: nothing before it, its start by the third frame, its end within half a second."""
    speech, onset_s = framed(VOICES[name])
    lead, tail = np.zeros(round(LEAD_S * SAMPLE_RATE_HZ)), np.zeros(SAMPLE_RATE_HZ)
    samples = np.concatenate([lead, speech.astype(np.float64), tail])

    # The noise is not known before it was heard.
    found = [edge for edge in edges(samples + noise(colour, len(samples), level_dbfs)) if edge[0] > 1]

    # The frame in which speech begins is on the wire when it is over; the sink is silent from the next one on.
    first_on_the_wire_s = LEAD_S + onset_s + 0.02
    began_s, edge = found[0]
    assert edge is SpeechEdge.STARTED
    assert -0.021 <= began_s - first_on_the_wire_s <= 0.061
    ended_s, edge = found[-1]
    assert edge is SpeechEdge.STOPPED
    assert LEAD_S + len(speech) / SAMPLE_RATE_HZ - 0.3 <= ended_s <= LEAD_S + len(speech) / SAMPLE_RATE_HZ + 0.5
    assert len(found) <= 6, "the voice falls to pieces"


@pytest.mark.parametrize("colour", ["white", "pink", "brown", "hum"])
def test_a_minute_of_loud_noise_is_no_speech(colour: str) -> None:
    """It is followed, if it was there for a second."""
    loud = noise(colour, 60 * SAMPLE_RATE_HZ, -32.0)

    assert [at_s for at_s, edge in edges(loud) if edge is SpeechEdge.STARTED and at_s > 1.0] == []


def test_noise_that_begins_is_forgotten_within_two_seconds() -> None:
    """A fan that is switched on may be taken for speech once, not for ever."""
    fan = np.concatenate([noise("pink", 3 * SAMPLE_RATE_HZ, -70.0), noise("pink", 10 * SAMPLE_RATE_HZ, -30.0)])

    found = edges(fan)

    assert [edge for _, edge in found] == [SpeechEdge.STARTED, SpeechEdge.STOPPED]
    assert found[-1][0] < 5.5


def test_a_click_is_no_speech() -> None:
    """Key strokes of 25 ms, loud, twice a second."""
    samples = noise("pink", 5 * SAMPLE_RATE_HZ, -60.0)
    for start in range(SAMPLE_RATE_HZ, 5 * SAMPLE_RATE_HZ, SAMPLE_RATE_HZ // 2):
        samples[start : start + 600] += noise("white", 600, -15.0) * np.linspace(1, 0, 600)

    assert edges(samples) == []


def test_silence_between_two_sounds_is_not_the_noise() -> None:
    """A caller who was muted comes back into the same room."""
    room = noise("pink", 2 * SAMPLE_RATE_HZ, -32.0)

    assert [at_s for at_s, _ in edges(np.concatenate([room, np.zeros(3 * SAMPLE_RATE_HZ), room])) if at_s > 1] == []


def test_what_may_be_echo_is_no_speech_and_a_louder_voice_is() -> None:
    """Whoever handles echo says how loud it may be."""
    speech, _ = framed(AGENT_SPEECH)
    echo = np.concatenate([np.zeros(SAMPLE_RATE_HZ), speech * 10 ** (-20 / 20)])
    peak_dbfs = max(voice_dbfs(echo[k : k + 240].astype(np.int16)) for k in range(0, len(echo) - 240, 240))

    assert edges(echo) != []
    assert edges(echo, echo_dbfs=peak_dbfs) == []
    assert edges(echo + np.concatenate([np.zeros(SAMPLE_RATE_HZ), 1.5 * speech]), echo_dbfs=peak_dbfs) != []


def test_blocks_of_any_length_are_the_same_as_frames() -> None:
    """What a device gives need not be 20 ms."""
    speech = np.concatenate([np.zeros(4_800, dtype=np.int16), read_audio(CALLER_SPEECH)])
    whole, pieces = VoiceActivityDetector(), VoiceActivityDetector()
    n_edges = [0, 0]
    for start in range(0, len(speech), FRAME_SAMPLES):
        n_edges[0] += whole.push(speech[start : start + FRAME_SAMPLES]) is not None
    for start in range(0, len(speech), 77):
        n_edges[1] += pieces.push(speech[start : start + 77]) is not None

    assert n_edges[0] == n_edges[1] > 0
    assert whole.noise_dbfs == pytest.approx(pieces.noise_dbfs)
