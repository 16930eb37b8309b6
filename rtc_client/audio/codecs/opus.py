"""Opus by libopus: an encoder, and a decoder that makes mono.

libopus is looked for at first use, so importing this is cheap and works without it. Every encoder and decoder owns the
memory that libopus works in as objects of Python, and libopus never keeps an address of ours: there is nothing to
close, and nothing that could be freed too early or twice.

libopus runs without the GIL: many encoders and decoders run at once in as many threads, and none holds up the others.
For the same reason an encoder, or a decoder, belongs to one thread at a time; nothing here locks.
"""

from __future__ import annotations

import ctypes
from typing import Final, Literal, TypeAlias

import numpy as np

from rtc_client.audio.codecs.libopus import checked, libopus, libopus_version
from rtc_client.audio.codecs.opus_packet import (
    MAX_PAYLOAD_BYTES,
    OpusError,
    frame_samples,
    has_fec,
    is_dtx,
    packet_samples,
)
from rtc_client.audio.frames import PTIME_MS, SAMPLE_RATE_HZ, Samples
from rtc_client.errors import ConfigError

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "OpusDecoder",
    "OpusEncoder",
    "OpusError",
    "Signal",
    "has_fec",
    "is_dtx",
    "libopus_version",
    "packet_samples",
]

Signal: TypeAlias = Literal["voice", "music", "auto"]
"""What is encoded; with "auto" libopus judges by itself, and otherwise does as for a voice."""

WritableBuffer: TypeAlias = bytearray | memoryview | ctypes.Array[ctypes.c_char]

_SAMPLE_RATES_HZ: Final = (8_000, 12_000, 16_000, 24_000, 48_000)
_MAX_PACKET_S: Final = 0.12

# opus_defines.h
_VOIP, _AUDIO = 2048, 2049
_SIGNALS: Final[dict[str, tuple[int, int]]] = {"voice": (_VOIP, 3001), "music": (_AUDIO, 3002), "auto": (_VOIP, -1000)}
_SET_BIT_RATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS_PERCENT: Final = 4014
_SET_DTX: Final = 4016
_SET_SIGNAL: Final = 4024
_GET_LOOKAHEAD: Final = 4027
_RESET_STATE: Final = 4028
_BUFFER_TOO_SMALL: Final = -2


class OpusEncoder:
    """Encodes sound of one or two `channels`, 20 ms a packet; for one stream, and one thread at a time.

    `bit_rate` is the mean in bits per second, 6,000 to 510,000; `complexity` 0 to 10 buys quality with time.

    With `fec`, packets of speech carry the one before them once more if `loss_ratio` calls for it and the bit rate
    allows it: at 32,000 from 1 % on with a complexity of 2 or more, at 24,000 from 10 % on, and then in a narrower
    band (libopus 1.6.1). With `dtx`, silence makes packets of one or two bytes, which need not be sent (`is_dtx`).

    Raises:
        ConfigError: If a setting is out of its range.
        OpusUnavailable: If no usable libopus is found.
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int = SAMPLE_RATE_HZ,
        channels: Literal[1, 2] = 1,
        bit_rate: int = 32_000,
        complexity: int = 5,
        fec: bool = True,
        loss_ratio: float = 0.0,
        dtx: bool = False,
        signal: Signal = "voice",
    ) -> None:
        _check_rate(sample_rate_hz)
        application, signal_type = _signal_of(signal)
        lib = libopus()
        self.sample_rate_hz: Final = sample_rate_hz
        self._n_samples = sample_rate_hz * PTIME_MS // 1000
        self._shape = (self._n_samples,) if channels == 1 else (self._n_samples, channels)
        self._state = ctypes.create_string_buffer(lib.opus_encoder_get_size(channels))
        self._state_address = ctypes.addressof(self._state)
        self._pcm, self._pcm_address = _new_pcm(*self._shape)
        self._payload: bytearray | None = None
        self._out: WritableBuffer | None = None
        self._out_export: ctypes.Array[ctypes.c_char] | None = None
        self._out_address = 0
        self._encode = lib.opus_encode
        self._ctl = lib.opus_encoder_ctl
        checked(lib.opus_encoder_init(self._state_address, sample_rate_hz, channels, application))
        self._set(_SET_SIGNAL, signal_type)
        self.set_complexity(complexity)
        self._set(_SET_INBAND_FEC, int(fec))
        self.set_bit_rate(bit_rate)
        self.set_loss_ratio(loss_ratio)
        self.set_dtx(dtx)

    @property
    def lookahead_samples(self) -> int:
        """How much later than it went in a sound comes out of the decoder, in samples at `sample_rate_hz`."""
        value = ctypes.c_int32()
        checked(self._ctl(self._state_address, _GET_LOOKAHEAD, ctypes.byref(value)))
        return value.value

    def encode(self, samples: Samples) -> bytes:
        """Return the packet of exactly 20 ms: int16, shape `(n_samples,)`, of two channels `(n_samples, 2)`.

        At the encoder's rate.

        Raises:
            ValueError: If there are more or fewer samples, TypeError if they are not int16.
        """
        if self._payload is None:
            self._payload = bytearray(MAX_PAYLOAD_BYTES)
        return bytes(self._payload[: self.encode_into(samples, self._payload)])

    def encode_into(self, samples: Samples, out: WritableBuffer, offset: int = 0) -> int:
        """Write the packet of exactly 20 ms into `out` at byte `offset`, and return its length; see `encode`.

        Handing in the same `out` every time saves looking up its address. It cannot be resized while the encoder
        remembers it, which is until another one comes. With less room than `MAX_PAYLOAD_BYTES` packets are made to
        fit, at the cost of quality.

        Raises:
            ValueError: As `encode`, and if there is no room behind `offset`; TypeError if `out` cannot be written.
        """
        if samples.shape != self._shape:
            raise self._misfit(samples)
        export = self._out_export
        if out is not self._out or export is None:
            export = self._remember(out)
        room_bytes = len(export) - offset
        if offset < 0 or room_bytes < 1:
            raise ValueError(f"a packet cannot be put at byte {offset} of {len(export)}")
        np.copyto(self._pcm, samples, casting="equiv")
        n_bytes: int = self._encode(
            self._state_address,
            self._pcm_address,
            self._n_samples,
            self._out_address + offset,
            min(room_bytes, MAX_PAYLOAD_BYTES),
        )
        return checked(n_bytes)

    def set_loss_ratio(self, loss_ratio: float) -> None:
        """Say how much of what is sent gets lost, 0 to 1, in steps of 1 %; takes effect with the next packet.

        Raises:
            ConfigError: If it is not between 0 and 1.
        """
        if not 0 <= loss_ratio <= 1:
            raise ConfigError(f"a loss ratio of {loss_ratio:g} does not exist: give 0 to 1")
        self._set(_SET_PACKET_LOSS_PERCENT, round(100 * loss_ratio))

    def set_complexity(self, complexity: int) -> None:
        """Set the complexity, 0 to 10; takes effect with the next packet.

        Raises:
            ConfigError: If it is not between 0 and 10.
        """
        if not 0 <= complexity <= 10:
            raise ConfigError(f"an Opus complexity of {complexity} does not exist: choose 0 to 10")
        self._set(_SET_COMPLEXITY, complexity)

    def set_signal(self, signal: Signal) -> None:
        """Say what is encoded; takes effect with the next packet.

        A voice is coded by SILK below 64,000 bits per second, alone or for its lower band, which has FEC and is
        concealed well; music by CELT above some 16,000, which takes a third of the time (RFC 6716 section 2.1).

        Raises:
            ConfigError: If it is none of the three.
        """
        self._set(_SET_SIGNAL, _signal_of(signal)[1])

    def set_dtx(self, dtx: bool) -> None:
        """Say whether silence makes packets that need not be sent; takes effect with the next packet."""
        self._set(_SET_DTX, int(dtx))

    def set_bit_rate(self, bit_rate: int) -> None:
        """Set the mean rate in bits per second; takes effect with the next packet.

        Raises:
            ConfigError: If it is not between 6,000 and 510,000.
        """
        if not 6_000 <= bit_rate <= 510_000:
            raise ConfigError(f"Opus cannot make {bit_rate} bits per second: choose 6000 to 510000")
        self._set(_SET_BIT_RATE, bit_rate)

    def reset(self) -> None:
        """Forget the sound so far, as for a new stream; settings stay."""
        checked(self._ctl(self._state_address, _RESET_STATE))

    def _set(self, request: int, value: int) -> None:
        checked(self._ctl(self._state_address, request, ctypes.c_int32(value)))

    def _remember(self, out: WritableBuffer) -> ctypes.Array[ctypes.c_char]:
        # The export keeps `out` alive and in its place for as long as its address is used.
        export = (ctypes.c_char * memoryview(out).nbytes).from_buffer(out)
        self._out, self._out_export, self._out_address = out, export, ctypes.addressof(export)
        return export

    def _misfit(self, samples: Samples) -> ValueError:
        return ValueError(f"samples of shape {samples.shape} are not the {self._shape} of {PTIME_MS} ms")


class OpusDecoder:
    """Decodes one stream of packets of any duration, mono or stereo, into mono; for one thread at a time.

    Every frame that is due, lost or not, takes one of `decode`, `decode_fec` and `conceal`, in the order of the
    stream: each leaves the decoder where the next one goes on.

    Raises:
        ConfigError: If Opus does not know the rate: 8, 12, 16, 24 and 48 kHz.
        OpusUnavailable: If no usable libopus is found.
    """

    def __init__(self, *, sample_rate_hz: int = SAMPLE_RATE_HZ) -> None:
        _check_rate(sample_rate_hz)
        lib = libopus()
        self.sample_rate_hz: Final = sample_rate_hz
        self._max_samples = round(sample_rate_hz * _MAX_PACKET_S)
        self._state = ctypes.create_string_buffer(lib.opus_decoder_get_size(1))
        self._state_address = ctypes.addressof(self._state)
        # Room for what nearly all packets have; the longest take six times as much.
        self._room_samples = sample_rate_hz * PTIME_MS // 1000
        self._pcm, self._pcm_address = _new_pcm(self._room_samples)
        self._decode = lib.opus_decode
        self._ctl = lib.opus_decoder_ctl
        checked(lib.opus_decoder_init(self._state_address, sample_rate_hz, 1))

    def decode(self, payload: bytes) -> Samples:
        """Return the sound of a packet: int16, shape `(n_samples,)`, 2.5 to 120 ms at the decoder's rate.

        Raises:
            OpusError: If the packet is malformed; the decoder is as it was.
        """
        if not payload:
            raise OpusError("malformed Opus packet: it is empty")
        n_samples: int = self._decode(
            self._state_address, payload, len(payload), self._pcm_address, self._room_samples, 0
        )
        if n_samples == _BUFFER_TOO_SMALL and self._room_samples < self._max_samples:
            self._make_room()
            return self.decode(payload)
        return self._pcm[: checked(n_samples)].copy()

    def decode_fec(self, payload: bytes) -> Samples | None:
        """Return the sound of the packet before this one, from the copy in this one; None if it carries none.

        int16, shape `(n_samples,)`: as long as one frame of this packet. To be called instead of decoding the lost
        packet, before decoding this one. If the stream was in a mode without FEC right before, it is concealed.

        Raises:
            OpusError: If libopus refuses the packet; the decoder is as it was.
        """
        if not has_fec(payload):
            return None
        n_samples = frame_samples(payload, self.sample_rate_hz)
        if n_samples > self._room_samples:
            self._make_room()
        n_samples = self._decode(self._state_address, payload, len(payload), self._pcm_address, n_samples, 1)
        return self._pcm[: checked(n_samples)].copy()

    def conceal(self, n_samples: int | None = None) -> Samples:
        """Return what could have been heard in place of a lost packet, fading out when more are lost in a row (PLC).

        int16, shape `(n_samples,)`, a multiple of 2.5 ms up to 120 ms at the decoder's rate; 20 ms unless given.

        Raises:
            ValueError: If there cannot be a packet of that duration.
        """
        if n_samples is None:
            n_samples = self.sample_rate_hz * PTIME_MS // 1000
        elif not 0 < n_samples <= self._max_samples or n_samples % (self.sample_rate_hz // 400):
            raise ValueError(f"{n_samples} samples at {self.sample_rate_hz} Hz are no multiple of 2.5 ms up to 120 ms")
        if n_samples > self._room_samples:
            self._make_room()
        n_samples = self._decode(self._state_address, None, 0, self._pcm_address, n_samples, 0)
        return self._pcm[: checked(n_samples)].copy()

    def reset(self) -> None:
        """Forget the sound so far, as for a new stream."""
        checked(self._ctl(self._state_address, _RESET_STATE))

    def _make_room(self) -> None:
        self._room_samples = self._max_samples
        self._pcm, self._pcm_address = _new_pcm(self._room_samples)


def _signal_of(signal: str) -> tuple[int, int]:
    if signal not in _SIGNALS:
        raise ConfigError(f'a signal of type "{signal}" is not known: choose "voice", "music" or "auto"')
    return _SIGNALS[signal]


def _check_rate(sample_rate_hz: int) -> None:
    if sample_rate_hz not in _SAMPLE_RATES_HZ:
        raise ConfigError(f"Opus does not know {sample_rate_hz} Hz: choose 8000, 12000, 16000, 24000 or 48000")


def _new_pcm(*shape: int) -> tuple[Samples, int]:
    """Return room for samples and its address, which holds as long as the array does."""
    pcm = np.zeros(shape, dtype=np.int16)
    return pcm, pcm.ctypes.data
