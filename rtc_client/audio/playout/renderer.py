"""Renderer: turns each slot of the jitter buffer into exactly 20 ms of audio.

Mostly a slot is one packet and its sound is 20 ms long: it is decoded and handed out as it is. Otherwise the parts
are put behind what is left over from the slot before, sound is inserted or removed if the buffer asks for it, the
first 20 ms go out and the rest stays.

What libopus conceals sometimes dies away at once, which is heard as a hole: it is held up, to fall by no more than 5 dB
in 20 ms. What could click is faded: concealment between 80 and 120 ms of loss, sound into silence and back within 5 ms,
and the seam where a stream starts again, over 5 ms of what the decoder thinks would have come. Between concealment and
the next packet libopus fades by itself.

Sound is inserted or removed (`time_stretch.py`) where nobody speaks, or at a seam where the wave repeats itself nearly
exactly. If no such place comes along, less and less likeness is asked for, so that the delay gets where it must.
"""

from __future__ import annotations

from typing import Final, Protocol

import numpy as np

from rtc_client.audio.codecs.opus_packet import OpusError
from rtc_client.audio.frames import FRAME_SAMPLES, SAMPLE_RATE_HZ, SILENCE, Samples
from rtc_client.audio.playout.slots import FADE_END_SAMPLES, FADE_START_SAMPLES, Part, PartKind, PlayoutSlot, Urgency
from rtc_client.audio.playout.time_stretch import fade, insert, insert_quiet, is_quiet, remove, remove_quiet

_SEAM_SAMPLES: Final = SAMPLE_RATE_HZ * 5 // 1000
_STEP_SAMPLES: Final = SAMPLE_RATE_HZ // 400
_MAX_REST_SAMPLES: Final = 10 * FRAME_SAMPLES

_DECAY: Final = 10 ** (-5 / 20 / FRAME_SAMPLES)
"""By how much concealment falls at most, from one sample to the next."""
_MAX_GAIN: Final = 8.0

_LIKENESS: Final = 0.9
"""What NetEQ asks of a segment before it stretches it (time_stretch.cc)."""
_URGENT_LIKENESS: Final = 0.7
_PATIENCE: Final = 0.01
"""How much less is asked for with every slot in vain; after some seconds any place will do."""

_DECODE: Final = PartKind.DECODE
_NOTHING: Final[Samples] = SILENCE[:0]


class Decoder(Protocol):
    """What decodes packets at `SAMPLE_RATE_HZ`; `opus.OpusDecoder` does. Arrays it returns are written to."""

    def decode(self, payload: bytes) -> Samples: ...

    def decode_fec(self, payload: bytes) -> Samples | None: ...

    def conceal(self, n_samples: int | None = None) -> Samples: ...


class Renderer:
    """Renders the slots of one jitter buffer, in their order and none left out."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._rest = _NOTHING
        self._last = SILENCE
        self._is_silent = True
        self._in_vain = 0
        self._loudness = 0.0
        self._gain = 1.0
        self.undecodable = 0
        """Packets that the decoder refused; they were concealed."""

    @property
    def rest_samples(self) -> int:
        """Samples decoded and not yet handed out."""
        return len(self._rest)

    def render(self, slot: PlayoutSlot) -> Samples:
        """Return the sound of a slot: int16, shape `(FRAME_SAMPLES,)`. How much it was stretched is put into it."""
        parts = slot.parts
        rest = self._rest
        if len(parts) == 1 and not slot.stretch_samples and not len(rest):
            samples = self._render_part(parts[0])
        elif parts:
            samples = np.concatenate([rest, *(self._render_part(part) for part in parts)])
        else:
            samples = rest
        if slot.stretch_samples:
            n_samples = len(samples)
            samples = self._stretch(slot, samples)
            slot.stretched_samples = len(samples) - n_samples
        if len(samples) != FRAME_SAMPLES:
            samples = self._cut(samples)
        elif len(rest):
            self._rest = _NOTHING
        self._last = samples
        return samples

    def _cut(self, samples: Samples) -> Samples:
        if len(samples) < FRAME_SAMPLES:  # only if slots were left out
            samples = np.concatenate((samples, SILENCE[len(samples) :]))
        self._rest = samples[FRAME_SAMPLES : FRAME_SAMPLES + _MAX_REST_SAMPLES]
        return samples[:FRAME_SAMPLES]

    def _render_part(self, part: Part) -> Samples:
        kind, n_samples, payload, run_samples, is_joined = part
        if kind is _DECODE:
            if is_joined:
                return self._join(part)
            samples = self._decode(payload, n_samples)
        elif kind is PartKind.SILENCE:
            return self._fall_silent(n_samples)
        elif kind is PartKind.FEC:
            samples = self._decode_fec(payload, n_samples)
        elif kind is PartKind.CONCEAL:
            samples = self._conceal(n_samples, run_samples)
        else:
            samples = self._decoder.conceal(n_samples)
        if self._gain != 1.0 and kind is not PartKind.CONCEAL:
            samples[:_SEAM_SAMPLES] = _ramped(samples[:_SEAM_SAMPLES], self._gain, 1.0)
            self._gain = 1.0
        if self._is_silent:
            self._is_silent = False
            samples[:_SEAM_SAMPLES] = fade(np.zeros_like(samples[:_SEAM_SAMPLES]), samples[:_SEAM_SAMPLES])
        if run_samples + n_samples > FADE_START_SAMPLES and kind is PartKind.CONCEAL:
            samples = _faded_out(samples, run_samples)
            self._is_silent = run_samples + n_samples >= FADE_END_SAMPLES
        return samples

    def _decode(self, payload: bytes, n_samples: int) -> Samples:
        try:
            samples = self._decoder.decode(payload)
        except OpusError:
            self.undecodable += 1
            return self._decoder.conceal(n_samples)
        return samples if len(samples) == n_samples else _fitted(samples, n_samples)

    def _decode_fec(self, payload: bytes, n_samples: int) -> Samples:
        try:
            samples = self._decoder.decode_fec(payload)
        except OpusError:
            samples = None
        return self._decoder.conceal(n_samples) if samples is None else _fitted(samples, n_samples)

    def _conceal(self, n_samples: int, run_samples: int) -> Samples:
        samples = self._decoder.conceal(n_samples)
        if run_samples == 0:
            before = self._rest if len(self._rest) else self._last
            self._loudness, self._gain = _rms(before[-2 * _SEAM_SAMPLES :]), 1.0
        wanted = self._loudness * _DECAY ** (run_samples + n_samples)
        gain = min(_MAX_GAIN, max(1.0, wanted / max(1.0, _rms(samples))))
        before_gain, self._gain = self._gain, gain
        return samples if before_gain == gain == 1.0 else _ramped(samples, before_gain, gain)

    def _join(self, part: Part) -> Samples:
        """Go over to sound that does not follow on what was before."""
        expected = self._decoder.conceal(_SEAM_SAMPLES)
        samples = self._decode(part.payload, part.n_samples)
        n_seam = min(_SEAM_SAMPLES, len(samples))
        if self._is_silent:
            expected = np.zeros_like(expected)
        self._is_silent = False
        samples[:n_seam] = fade(expected[:n_seam], samples[:n_seam])
        return samples

    def _fall_silent(self, n_samples: int) -> Samples:
        samples: Samples = np.zeros(n_samples, dtype=np.int16)
        if not self._is_silent:
            self._is_silent = True
            n_seam = min(_SEAM_SAMPLES, n_samples)
            samples[:n_seam] = fade(self._decoder.conceal(_SEAM_SAMPLES)[:n_seam], samples[:n_seam])
        return samples

    def _stretch(self, slot: PlayoutSlot, samples: Samples) -> Samples:
        n_wanted = slot.stretch_samples
        n_spare = len(samples) - FRAME_SAMPLES
        if n_spare < 0 or (n_wanted < 0 and n_spare == 0):
            return samples
        if is_quiet(samples) and (n_wanted < 0 or is_quiet(self._last)):
            if n_wanted < 0:
                return remove_quiet(samples, min(-n_wanted, n_spare))
            return insert_quiet(self._last, samples, n_wanted)
        if slot.urgency is Urgency.WHEN_SILENT:
            self._in_vain = 0
            return samples
        likeness = (_URGENT_LIKENESS if slot.urgency is Urgency.NOW else _LIKENESS) - _PATIENCE * self._in_vain
        if n_wanted < 0:
            stretched = remove(samples, min(-n_wanted, n_spare), likeness)
        else:
            stretched = insert(self._last, samples, likeness)
        self._in_vain = self._in_vain + 1 if stretched is samples else 0
        return stretched


def _fitted(samples: Samples, n_samples: int) -> Samples:
    if len(samples) >= n_samples:
        return samples[:n_samples]
    return np.concatenate((samples, np.zeros(n_samples - len(samples), dtype=np.int16)))


def _rms(samples: Samples) -> float:
    wide = samples.astype(np.float32)
    return float(np.sqrt(np.dot(wide, wide) / max(1, len(wide))))


def _ramped(samples: Samples, first: float, last: float) -> Samples:
    """Return samples with a gain that goes from `first` to `last`."""
    gain = np.linspace(first, last, len(samples), dtype=np.float32)
    ramped: Samples = np.clip(np.rint(samples * gain), -32_768, 32_767).astype(np.int16)
    return ramped


def _faded_out(samples: Samples, run_samples: int) -> Samples:
    """Return concealment that begins `run_samples` into a loss, faded as the loss goes on."""
    place = np.arange(run_samples, run_samples + len(samples))
    gain = np.clip((FADE_END_SAMPLES - place) / (FADE_END_SAMPLES - FADE_START_SAMPLES), 0.0, 1.0)
    faded: Samples = np.rint(samples * gain).astype(np.int16)
    return faded
