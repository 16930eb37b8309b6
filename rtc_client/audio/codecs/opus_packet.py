"""Reads what an Opus packet says of itself (RFC 6716 section 3), and has the packets of silence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from rtc_client.audio.frames import SAMPLE_RATE_HZ

CLOCK_RATE_HZ: Final = 48_000
"""The rate in which Opus counts time on the wire and in files, whatever the rate of the samples (RFC 7587)."""

UNITS_PER_SAMPLE: Final = CLOCK_RATE_HZ // SAMPLE_RATE_HZ
"""Units of that clock in one of our samples."""

MAX_PAYLOAD_BYTES: Final = 1_275
"""The longest frame that Opus allows, and so the longest packet of one frame without padding, less its first byte."""

MIN_PACKET_SAMPLES: Final = CLOCK_RATE_HZ // 400
"""2.5 ms, the shortest packet, at `CLOCK_RATE_HZ`."""

MAX_PACKET_SAMPLES: Final = CLOCK_RATE_HZ * 120 // 1000
"""120 ms, the longest packet, at `CLOCK_RATE_HZ`."""

SILENT_PACKET: Final = b"\xf8\xff\xfe"
"""20 ms of digital silence: CELT, full band, mono, with its flag for silence set."""

SILENT_STEREO_PACKET: Final = b"\xfc\xff\xfe"
"""The same in two channels."""

_SILENCES: Final = ((960, SILENT_PACKET), (480, b"\xf0\xff\xfe"), (240, b"\xe8\xff\xfe"), (120, b"\xe0\xff\xfe"))
_CONCEALED_SAMPLES: Final = CLOCK_RATE_HZ
"""Up to here a gap is for the decoder to fill: it covers a loss, and the 400 ms between two packets of a DTX pause."""

_DTX_BYTES: Final = 2
_FIRST_CELT_TOC: Final = 16 << 3


class OpusError(ValueError):
    """A packet is not Opus, or libopus refused it."""


def packet_samples(payload: bytes, sample_rate_hz: int = CLOCK_RATE_HZ) -> int:
    """Return how long the sound of a packet is, in samples at `sample_rate_hz`: 2.5 to 120 ms.

    Raises:
        OpusError: If it is empty, or its first bytes claim no frame or more than 120 ms.
    """
    n_samples = frame_samples(payload) * _n_frames(payload)
    if not 0 < n_samples <= MAX_PACKET_SAMPLES:
        raise OpusError("malformed Opus packet: it claims no frame, or more than 120 ms")
    return n_samples * sample_rate_hz // CLOCK_RATE_HZ


def frame_samples(payload: bytes, sample_rate_hz: int = CLOCK_RATE_HZ) -> int:
    """Return how long each frame of a packet is, in samples at `sample_rate_hz`.

    Raises:
        OpusError: If the packet is empty.
    """
    if not payload:
        raise OpusError("malformed Opus packet: it is empty")
    return _FRAME_SAMPLES[payload[0] >> 3] * sample_rate_hz // CLOCK_RATE_HZ


def has_fec(payload: bytes) -> bool:
    """Return whether a packet carries the packet before it once more, coarser (LBRR); False for a malformed one."""
    # Only SILK has it, alone or in hybrid, and says so in the first bits of its first frame: one bit per 20 ms for
    # voice activity, then the flag, the same again for the second channel (RFC 6716 section 4.2.3).
    if not payload or payload[0] >= _FIRST_CELT_TOC:
        return False
    try:
        start, n_bytes = frame_bounds(payload)[0]
    except OpusError:
        return False
    if n_bytes == 0:
        return False
    n_silk_frames = max(1, frame_samples(payload) // 960)
    flags = payload[start]
    is_stereo = bool(payload[0] & 4)
    return bool(flags >> (7 - n_silk_frames) & 1) or (is_stereo and bool(flags >> (6 - 2 * n_silk_frames) & 1))


def is_dtx(payload: bytes) -> bool:
    """Return whether a packet holds no sound: its sender pauses, and the receiver makes comfort noise."""
    return len(payload) <= _DTX_BYTES


def fillers(gap_samples: int, last: bytes | None) -> Iterator[bytes]:
    """Yield packets that last as long as a gap after the packet `last`, at `CLOCK_RATE_HZ`, to within 2.5 ms.

    Up to a second they are empty, for decoders to conceal as in a call (RFC 7845 section 4.1); beyond that, and at
    the start of a stream, they are digital silence.
    """
    if gap_samples < MIN_PACKET_SAMPLES:
        return
    if last and gap_samples <= _CONCEALED_SAMPLES:
        empty = bytes([last[0] & 0xFC])  # one frame, of the mode that the stream is in
        n_empty, gap_samples = divmod(gap_samples, frame_samples(empty))
        yield from (empty for _ in range(n_empty))
    for n_samples, silence in _SILENCES:
        n_silences, gap_samples = divmod(gap_samples, n_samples)
        yield from (silence for _ in range(n_silences))


def frame_bounds(payload: bytes) -> list[tuple[int, int]]:
    """Return where the frames of a packet lie in it: offset and length, both in bytes.

    Raises:
        OpusError: If the packet breaks a rule of RFC 6716 section 3.4.
    """
    packet_samples(payload)  # refuses an impossible count of frames
    end = len(payload)
    match payload[0] & 3:
        case 0:
            bounds = [(1, end - 1)]
        case 1:
            bounds = _equal_frames(1, end, 2)
        case 2:
            bounds = _sized_frames(payload, 1, end, 2)
        case _:
            start, end = _inside_padding(payload)
            frames = _n_frames(payload)
            is_vbr = bool(payload[1] & 0x80)
            bounds = _sized_frames(payload, start, end, frames) if is_vbr else _equal_frames(start, end, frames)
    if bounds[-1][1] > MAX_PAYLOAD_BYTES:
        raise OpusError("malformed Opus packet: a frame is longer than 1275 bytes")
    return bounds


def _n_frames(payload: bytes) -> int:
    code = payload[0] & 3
    if code < 3:
        return 1 if code == 0 else 2
    return payload[1] & 63 if len(payload) > 1 else 0


def _equal_frames(start: int, end: int, n_frames: int) -> list[tuple[int, int]]:
    n_bytes, rest = divmod(end - start, n_frames)
    if rest:
        raise OpusError("malformed Opus packet: its frames are said to be equal and cannot be")
    return [(start + i * n_bytes, n_bytes) for i in range(n_frames)]


def _sized_frames(payload: bytes, start: int, end: int, n_frames: int) -> list[tuple[int, int]]:
    lengths = []
    for _ in range(n_frames - 1):
        first = payload[start] if start < end else 0
        width = 1 if first < 252 else 2
        if start + width > end:
            raise OpusError("malformed Opus packet: it ends within the length of a frame")
        lengths.append(first if width == 1 else first + 4 * payload[start + 1])
        start += width
    last = end - start - sum(lengths)
    if last < 0:
        raise OpusError("malformed Opus packet: its frames are longer than the packet")
    bounds = []
    for n_bytes in [*lengths, last]:
        bounds.append((start, n_bytes))
        start += n_bytes
    return bounds


def _inside_padding(payload: bytes) -> tuple[int, int]:
    """Return where the frames of a packet of code 3 begin and end."""
    start, end = 2, len(payload)
    has_more = bool(payload[1] & 0x40)
    while has_more:
        if start >= end:
            raise OpusError("malformed Opus packet: it ends within its padding")
        n_padding = payload[start]
        start += 1
        has_more = n_padding == 255
        end -= n_padding - has_more
    if start > end:
        raise OpusError("malformed Opus packet: its padding is longer than the packet")
    return start, end


def _frame_samples_table() -> list[int]:
    """Return the samples of a frame at `CLOCK_RATE_HZ` for each of the 32 configurations (RFC 6716 table 2)."""
    silk = [480, 960, 1920, 2880] * 3
    hybrid = [480, 960] * 2
    celt = [120, 240, 480, 960] * 4
    return silk + hybrid + celt


_FRAME_SAMPLES: Final = _frame_samples_table()
