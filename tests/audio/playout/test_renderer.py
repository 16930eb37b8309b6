"""Promises of the renderer: 20 ms for every slot, and nothing in them that was not spoken: no click, no gap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtc_client.audio.codecs.opus import OpusDecoder, OpusEncoder, is_dtx
from rtc_client.audio.codecs.opus_packet import OpusError
from rtc_client.audio.files.reader import read_audio
from rtc_client.audio.frames import FRAME_S, FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.pcm import level_dbfs
from rtc_client.audio.playout.jitter_buffer import JitterBuffer
from rtc_client.audio.playout.renderer import Renderer
from rtc_client.audio.playout.slots import Part, PartKind, PlayoutSlot, Urgency
from rtc_client.cli.demo_speech import AGENT_SPEECH, CALLER_SPEECH
from tests.audio.network_sim import Heard, Network, Sent, listen, stream

DECODE, FEC, CONCEAL, COMFORT, SILENT = PartKind
LINK_S = 0.020


class PcmDecoder:
    """Takes samples for packets, so that it is known to the sample what should be heard."""

    def __init__(self) -> None:
        self.concealed = 0

    def decode(self, payload: bytes) -> Samples:
        if payload == b"bad":
            raise OpusError("not Opus")
        return np.frombuffer(payload, dtype=np.int16).copy()

    def decode_fec(self, payload: bytes) -> Samples | None:
        return None if payload == b"bad" else self.decode(payload)

    def conceal(self, n_samples: int | None = None) -> Samples:
        self.concealed += 1
        return np.full(n_samples or FRAME_SAMPLES, 1000, dtype=np.int16)


def voice(n_samples: int, pitch_hz: float = 120.0, amplitude: int = 6000) -> Samples:
    """Return something like a vowel: int16, shape `(n_samples,)`, harmonics of a pitch that wavers a little."""
    time_s = np.arange(n_samples) / SAMPLE_RATE_HZ
    phase = 2 * np.pi * pitch_hz * (time_s + 0.002 * np.sin(2 * np.pi * 0.5 * time_s))
    wave = sum(np.sin(k * phase) / k for k in range(1, 12))
    return np.rint(amplitude * np.asarray(wave) / 2).astype(np.int16)


def speech_parts(samples: Samples) -> list[Part]:
    return [
        Part(DECODE, FRAME_SAMPLES, samples[i : i + FRAME_SAMPLES].tobytes())
        for i in range(0, len(samples) - FRAME_SAMPLES + 1, FRAME_SAMPLES)
    ]


def largest_jump(samples: Samples) -> int:
    return int(np.abs(np.diff(samples.astype(np.int32))).max(initial=0))


def render_all(renderer: Renderer, parts: list[Part], ask: Callable[[int], tuple[int, Urgency]]) -> tuple[Samples, int]:
    """Render parts as a buffer hands them out, asking for stretches; return the sound, and samples inserted."""
    frames: list[Samples] = []
    inserted = rest = 0
    while parts:
        taken = []
        n_samples, urgency = ask(len(frames))
        while (rest < (2 if n_samples < 0 else 1) * FRAME_SAMPLES) and parts:
            taken.append(parts.pop(0))
            rest += taken[-1].n_samples
        slot = PlayoutSlot(taken, n_samples, urgency)
        frames.append(renderer.render(slot))
        inserted += slot.stretched_samples
        rest += slot.stretched_samples - FRAME_SAMPLES
        assert renderer.rest_samples == max(0, rest)
    return np.concatenate(frames), inserted


# --- slots ---


def test_plain_slots_come_out_as_they_were_decoded() -> None:
    samples = voice(100 * FRAME_SAMPLES)

    heard, inserted = render_all(Renderer(PcmDecoder()), speech_parts(samples), lambda _: (0, Urgency.NOW))

    assert inserted == 0
    assert np.array_equal(heard[FRAME_SAMPLES:], samples[FRAME_SAMPLES:])


def test_first_sound_is_faded_in() -> None:
    """Out of silence, 5 ms."""
    loud = np.full(FRAME_SAMPLES, 20_000, dtype=np.int16)

    heard = Renderer(PcmDecoder()).render(PlayoutSlot(speech_parts(loud)))

    assert abs(int(heard[0])) < 200
    assert largest_jump(heard) < 200
    assert np.array_equal(heard[120:], loud[120:])


@pytest.mark.parametrize("n_samples", [240, 480, 960, 1440, 2880])
def test_packets_of_any_duration_come_out_whole(n_samples: int) -> None:
    samples = voice(n_samples * 40)
    parts = [Part(DECODE, n_samples, samples[i : i + n_samples].tobytes()) for i in range(0, len(samples), n_samples)]

    heard, _ = render_all(Renderer(PcmDecoder()), parts, lambda _: (0, Urgency.NOW))

    assert np.array_equal(heard[120:], samples[120 : len(heard)])


any_parts = st.builds(
    Part,
    st.sampled_from(list(PartKind)),
    st.integers(1, 24).map(lambda n: n * 60),
    st.sampled_from([b"bad", b"", voice(480).tobytes(), voice(60).tobytes()]),
    st.integers(0, 100).map(lambda n: n * 60),
    st.booleans(),
)


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.lists(any_parts, max_size=3), st.integers(-2000, 2000), st.sampled_from(Urgency)), max_size=30
    )
)
def test_every_slot_is_20_ms_whatever_is_in_it(slots: list[tuple[list[Part], int, Urgency]]) -> None:
    """Even slots that no buffer hands out: too little in them, too much, refused by the decoder."""
    renderer = Renderer(PcmDecoder())
    for parts, stretch_samples, urgency in slots:
        samples = renderer.render(PlayoutSlot(parts, stretch_samples, urgency))

        assert samples.shape == (FRAME_SAMPLES,)
        assert samples.dtype == np.int16
        assert renderer.rest_samples <= 10 * FRAME_SAMPLES


def test_packet_that_the_decoder_refuses_is_concealed() -> None:
    renderer = Renderer(PcmDecoder())

    heard = renderer.render(PlayoutSlot([Part(DECODE, FRAME_SAMPLES, b"bad")]))

    assert renderer.undecodable == 1
    assert heard[-1] == 1000


# --- stretching ---


@pytest.mark.parametrize("pitch_hz", [75, 120, 220, 390])
@pytest.mark.parametrize("n_wanted", [-480, 480], ids=["remove", "insert"])
def test_voice_is_stretched_by_whole_periods_without_a_click(n_wanted: int, pitch_hz: int) -> None:
    """What a voice is stretched by is a multiple of its period, and the wave goes on as smoothly as before."""
    samples = voice(150 * FRAME_SAMPLES, pitch_hz)
    period = SAMPLE_RATE_HZ / pitch_hz
    renderer = Renderer(PcmDecoder())

    def ask(n_slots: int) -> tuple[int, Urgency]:
        return (n_wanted if n_slots % 10 == 9 else 0), Urgency.WHEN_UNHEARD

    heard, inserted = render_all(renderer, speech_parts(samples), ask)

    assert abs(inserted) > 5 * 60
    assert inserted * n_wanted > 0
    assert largest_jump(heard[FRAME_SAMPLES:]) <= 1.05 * largest_jump(samples)
    # Still that voice: as like itself one period on as it was.
    lag = round(period)
    part = heard[FRAME_SAMPLES : 140 * FRAME_SAMPLES if n_wanted > 0 else 100 * FRAME_SAMPLES].astype(np.float64)
    likeness = float(part[:-lag] @ part[lag:]) / float(part @ part)
    assert likeness > 0.9


@pytest.mark.parametrize("n_wanted", [-480, -37, 37, 480])
def test_silence_is_stretched_at_once(n_wanted: int) -> None:
    """Where nobody speaks, sound is inserted and removed by up to 15 ms a slot, to the sample."""
    rng = np.random.default_rng(1)
    room = np.rint(rng.normal(0, 20, 40 * FRAME_SAMPLES)).astype(np.int16)
    left = n_wanted
    renderer = Renderer(PcmDecoder())
    frames: list[Samples] = []
    rest = 0
    parts = speech_parts(room)
    while left and len(parts) > 2:
        taken = [parts.pop(0)] + ([parts.pop(0)] if left < 0 and rest < FRAME_SAMPLES else [])
        slot = PlayoutSlot(taken if rest < FRAME_SAMPLES or left < 0 else [], left)
        rest += sum(part.n_samples for part in slot.parts)
        frames.append(renderer.render(slot))
        rest += slot.stretched_samples - FRAME_SAMPLES
        left -= slot.stretched_samples

    assert left == 0
    assert len(frames) <= 4
    assert largest_jump(np.concatenate(frames)) <= 1.2 * largest_jump(room)


def test_voice_is_not_stretched_for_the_sake_of_silence() -> None:
    slot = PlayoutSlot(speech_parts(voice(2 * FRAME_SAMPLES)), -100, Urgency.WHEN_SILENT)

    Renderer(PcmDecoder()).render(slot)

    assert slot.stretched_samples == 0


def test_what_is_unlike_itself_is_left_alone_at_first_and_not_for_ever() -> None:
    """Noise as loud as speech has no period; within a few seconds it is stretched all the same."""
    rng = np.random.default_rng(2)
    noise = np.rint(rng.normal(0, 3000, 400 * FRAME_SAMPLES)).astype(np.int16)
    renderer = Renderer(PcmDecoder())
    parts = speech_parts(noise)
    first: int | None = None
    for n_slots in range(300):
        slot = PlayoutSlot([parts.pop(0)], 240, Urgency.WHEN_UNHEARD)
        renderer.render(slot)
        if slot.stretched_samples:
            first = n_slots
            break

    assert first is not None
    assert 20 <= first <= 250


# --- loss and silence ---


def test_concealment_fades_between_80_and_120_ms() -> None:
    renderer = Renderer(PcmDecoder())
    renderer.render(PlayoutSlot(speech_parts(np.full(FRAME_SAMPLES, 1000, dtype=np.int16))))

    frames = [renderer.render(PlayoutSlot([Part(CONCEAL, FRAME_SAMPLES, b"", n * FRAME_SAMPLES)])) for n in range(6)]
    silence = renderer.render(PlayoutSlot([Part(SILENT, FRAME_SAMPLES)]))

    assert all((frame == 1000).all() for frame in frames[:4])
    fade = np.concatenate(frames[4:])
    assert (np.diff(fade) <= 0).all()
    assert fade[0] >= 998
    assert fade[-1] <= 2
    assert not silence.any()


def test_concealment_does_not_die_away_at_once() -> None:
    """However faint what the decoder makes up, the level falls by no more than 5 dB a slot, and comes back smoothly."""
    renderer = Renderer(PcmDecoder())
    before, after = (np.full(FRAME_SAMPLES, level, dtype=np.int16) for level in (4000, 1000))
    renderer.render(PlayoutSlot(speech_parts(before)))

    frames = [renderer.render(PlayoutSlot([Part(CONCEAL, FRAME_SAMPLES, b"", n * FRAME_SAMPLES)])) for n in range(4)]
    frames.append(renderer.render(PlayoutSlot(speech_parts(after))))

    ends = [frame[-1] for frame in frames]
    assert ends == pytest.approx([4000 * 10 ** (-5 * n / 20) for n in (1, 2)] + [1000, 1000, 1000], rel=0.01)
    assert largest_jump(np.concatenate(frames)) < 10


def test_sound_goes_into_silence_without_a_click() -> None:
    decoder = PcmDecoder()
    renderer = Renderer(decoder)
    last = renderer.render(PlayoutSlot(speech_parts(np.full(FRAME_SAMPLES, 1000, dtype=np.int16))))

    frames = [last, *(renderer.render(PlayoutSlot([Part(SILENT, FRAME_SAMPLES)])) for _ in range(3))]

    assert largest_jump(np.concatenate(frames)[200:]) <= 20
    assert not frames[2].any()
    assert decoder.concealed == 1


def test_new_stream_is_faded_over() -> None:
    """Where one stream ends and another begins, 5 ms of what was expected go over into what came."""
    renderer = Renderer(PcmDecoder())
    low = Part(DECODE, FRAME_SAMPLES, np.full(FRAME_SAMPLES, 1000, dtype=np.int16).tobytes())
    high = Part(DECODE, FRAME_SAMPLES, np.full(FRAME_SAMPLES, 9000, dtype=np.int16).tobytes(), 0, is_joined=True)

    heard = np.concatenate([renderer.render(PlayoutSlot([part])) for part in (low, low, high)])

    assert largest_jump(heard[200:]) <= 8000 / 120 + 1
    assert heard[-1] == 9000


# --- with libopus ---


def encoded(samples: Samples, *, fec: bool = True, loss_ratio: float = 0.1, dtx: bool = False) -> list[bytes]:
    encoder = OpusEncoder(bit_rate=32_000, fec=fec, loss_ratio=loss_ratio, dtx=dtx)
    n_frames = len(samples) // FRAME_SAMPLES
    return [encoder.encode(samples[i * FRAME_SAMPLES : (i + 1) * FRAME_SAMPLES]) for i in range(n_frames)]


def conversation() -> Samples:
    """Both shipped voices, with pauses: some 18 seconds of real speech."""
    pause = np.zeros(SAMPLE_RATE_HZ // 2, dtype=np.int16)
    caller, agent = read_audio(CALLER_SPEECH), read_audio(AGENT_SPEECH)
    return np.concatenate([pause, pause, caller, pause, agent, pause, caller, pause, agent, pause])


def likeness(heard: Samples, reference: Samples) -> float:
    """Return how alike they are where the reference speaks: the mean correlation of pieces of 60 ms, 0 to 1.

    Pieces may lie up to 45 ms off the delay that fits most, as adaptation moves them. No ear is in it, but what is
    missing, concealed badly or put in the wrong place counts as little.
    """
    size, reach = SAMPLE_RATE_HZ * 60 // 1000, SAMPLE_RATE_HZ * 45 // 1000
    n_fft = 1 << (len(heard) + len(reference)).bit_length()
    spectrum = np.fft.rfft(heard, n_fft) * np.conj(np.fft.rfft(reference, n_fft))
    delay = int(np.argmax(np.fft.irfft(spectrum)[: SAMPLE_RATE_HZ // 2]))
    heard = np.concatenate((np.zeros(reach, dtype=np.int16), heard, np.zeros(delay + reach + size, dtype=np.int16)))
    scores = []
    for begin in range(0, len(reference) - size, size):
        if level_dbfs(reference[begin : begin + size]) < -35:
            continue
        piece = reference[begin : begin + size].astype(np.float32)
        window = heard[begin + delay : begin + delay + 2 * reach + size].astype(np.float32)
        sums = np.concatenate((np.zeros(1), np.cumsum(window.astype(np.float64) ** 2)))
        energies = sums[size:] - sums[:-size]
        products = np.correlate(window, piece, "valid")
        scores.append(float((products / np.sqrt(np.maximum(energies * float(piece @ piece), 1.0))).max()))
    return float(np.mean(scores))


GATES = {
    # loss, in a row, jitter: likeness to what the codec alone makes, without and with FEC; without FEC the latter fail
    "0 / 0": (0.00, 1, 0.00, 0.999, 0.999),
    "1 % / 30 ms": (0.01, 1, 0.03, 0.985, 0.995),
    "5 % / 30 ms": (0.05, 1, 0.03, 0.955, 0.985),
    "5 % / 60 ms": (0.05, 1, 0.06, 0.955, 0.985),
    "10 % / 60 ms": (0.10, 1, 0.06, 0.935, 0.980),
    "5 % in threes / 30 ms": (0.05, 3, 0.03, 0.960, 0.965),
}


@pytest.mark.parametrize("has_fec", [False, True], ids=["plc", "fec"])
@pytest.mark.parametrize("gate", GATES.values(), ids=GATES.keys())
def test_speech_is_heard_through_a_bad_network(gate: tuple[float, int, float, float, float], has_fec: bool) -> None:
    """Over three seeds, what is heard is like what was sent, and no piece of it is missing for long."""
    loss, in_a_row, jitter_s, plc_likeness, fec_likeness = gate
    payloads = encoded(conversation(), fec=has_fec, loss_ratio=max(loss, 0.01))
    alone = OpusDecoder()
    reference = np.concatenate([alone.decode(payload) for payload in payloads])
    network = Network(loss_ratio=loss, losses_in_a_row=in_a_row, jitter_s=jitter_s)
    scores = []
    for seed in range(3):
        arrivals = network.carry(stream(payloads, start_s=seed * 0.0073), seed)
        heard = listen(arrivals, decoder=OpusDecoder(), duration_s=arrivals[-1].at_s)
        scores.append(likeness(heard.samples, reference))
        assert all(len(frame) == FRAME_SAMPLES for frame in heard.frames)
        assert heard.longest_run_ms(CONCEAL, SILENT) <= 120

    assert np.mean(scores) >= (fec_likeness if has_fec else plc_likeness), scores


def test_loss_and_stretch_do_not_click() -> None:
    """At 10 % loss and 0 to 60 ms jitter no step is larger than the codec alone makes in the same speech."""
    payloads = encoded(conversation())
    alone = OpusDecoder()
    reference = np.concatenate([alone.decode(payload) for payload in payloads])

    arrivals = Network(loss_ratio=0.1, jitter_s=0.06).carry(stream(payloads), 5)
    heard = listen(arrivals, decoder=OpusDecoder(), duration_s=arrivals[-1].at_s)

    assert heard.counters.inserted_samples > 0
    assert largest_jump(heard.samples) <= 1.1 * largest_jump(reference)


def test_pause_with_dtx_sounds_like_the_room_and_counts_as_nothing() -> None:
    """Comfort noise goes on at the level of the room while nothing is sent, and no loss is counted."""
    rng = np.random.default_rng(3)
    room = rng.normal(0, 30, 6 * SAMPLE_RATE_HZ)
    room[SAMPLE_RATE_HZ : 2 * SAMPLE_RATE_HZ] += voice(SAMPLE_RATE_HZ)
    payloads = encoded(np.rint(room).astype(np.int16), dtx=True)
    sent: list[bytes] = []
    for payload in payloads:  # as libwebrtc does it: the first packet of a pause is sent, the others are not
        is_repeated = is_dtx(payload) and sent and (is_dtx(sent[-1]) or not sent[-1])
        sent.append(b"" if is_repeated else payload)
    assert sent.count(b"") > 50

    heard = listen(at(stream(sent)), decoder=OpusDecoder(), duration_s=6.0)

    assert heard.counters.concealed_samples == 0
    quiet = [frame for frame, kinds in zip(heard.frames, heard.kinds, strict=True) if kinds == {COMFORT}]
    assert len(quiet) > 50
    assert -75 < level_dbfs(np.concatenate(quiet)) < -50


def at(sent: list[Sent]) -> list[Sent]:
    return [Sent(one.at_s + LINK_S, one.packet) for one in sent]


def test_drift_is_followed_without_a_click() -> None:
    """Clocks 2000 ppm apart, ten times what is real, so that half a minute shows what minutes would."""
    payloads = encoded(np.concatenate([conversation()] * 2))
    alone = OpusDecoder()
    reference = np.concatenate([alone.decode(payload) for payload in payloads])
    for ppm in (-2000, 2000):
        arrivals = at(stream(payloads, drift_ppm=ppm))
        heard = listen(arrivals, decoder=OpusDecoder(), duration_s=arrivals[-1].at_s - 0.02)

        assert max(heard.delays_s[50:]) < 0.065
        assert heard.counters.concealed_slots <= 2
        assert largest_jump(heard.samples) <= 1.1 * largest_jump(reference)
        assert_same_sound(heard, reference)


def assert_same_sound(heard: Heard, reference: Samples) -> None:
    levels = [level_dbfs(samples) for samples in (heard.samples, reference)]
    assert abs(levels[0] - levels[1]) < 0.5
    assert likeness(heard.samples, reference) > 0.9


def test_first_packet_is_audible_within_40_ms() -> None:
    tone = encoded(voice(50 * FRAME_SAMPLES))
    for phase_ms in range(0, 20, 5):
        arrivals = at(stream(tone, start_s=1 + phase_ms / 1000))
        heard = listen(arrivals, decoder=OpusDecoder())

        loud = next(i for i, frame in enumerate(heard.frames) if level_dbfs(frame) > -40)
        assert loud * FRAME_S - arrivals[0].at_s <= 0.040


def test_stream_that_begins_anew_does_not_click() -> None:
    first, second = encoded(voice(50 * FRAME_SAMPLES)), encoded(voice(50 * FRAME_SAMPLES, 210, 9000))
    arrivals = at(stream(first) + stream(second, start_s=1.0, ssrc=9))

    heard = listen(arrivals, decoder=OpusDecoder(), duration_s=1.9)

    assert largest_jump(heard.samples) <= 1.2 * largest_jump(voice(50 * FRAME_SAMPLES, 210, 9000))
    assert not [i for i in range(10, 90) if level_dbfs(heard.frames[i]) < -40]


def test_nothing_is_decoded_before_something_comes() -> None:
    decoder = PcmDecoder()
    renderer, buffer = Renderer(decoder), JitterBuffer()

    frames = [renderer.render(buffer.pop(i * FRAME_S)) for i in range(50)]

    assert all(np.array_equal(frame, SILENCE) for frame in frames)
    assert decoder.concealed == 0
