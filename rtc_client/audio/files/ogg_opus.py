"""Reads and writes Ogg Opus files (RFC 3533, RFC 7845), packet by packet.

No event loop: callers choose the thread. Times are counted at `CLOCK_RATE_HZ`, as the format does.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Literal, Self

from rtc_client.audio.codecs.opus_packet import (
    CLOCK_RATE_HZ,
    MIN_PACKET_SAMPLES,
    SILENT_PACKET,
    OpusError,
    fillers,
    frame_bounds,
    packet_samples,
)
from rtc_client.audio.files.ogg_pages import FIRST, LAST, MAX_LACINGS, n_lacings, packed_page, stream_packets
from rtc_client.audio.files.wav import reason
from rtc_client.audio.frames import SAMPLE_RATE_HZ
from rtc_client.errors import AudioFileUnreadable

VENDOR: Final = "rtc-client"
"""How a file says that it was written here."""

_HEAD: Final = struct.Struct("<8sBBHIhB")
_MAX_PACKET_BYTES: Final = 255 * (MAX_LACINGS - 1)
_PAGE_SAMPLES: Final = CLOCK_RATE_HZ


class OggOpusWriter:
    """Writes packets as an Ogg/Opus file, of one or two `channels`, that is playable at any moment.

    A page is handed to the system with every second of sound, and with every `flush`: a process that is killed leaves
    a valid file that lacks what came after. All methods block; not for two threads at once. The folder must exist; a
    file of that name is replaced.

    `pre_skip_samples` is how much of the decoded sound players leave out at the start, at `CLOCK_RATE_HZ`;
    `comments` go into the file as tags.

    Raises:
        AudioFileUnreadable: If the file cannot be created.
    """

    def __init__(
        self,
        path: Path | str,
        *,
        channels: Literal[1, 2] = 1,
        pre_skip_samples: int = 0,
        comments: Mapping[str, str] | None = None,
    ) -> None:
        self.path = Path(path)
        self.end_samples = 0
        """Where the last packet ends, at `CLOCK_RATE_HZ` from the first one; the pre-skip counts too."""
        self._written_samples = 0
        self._serial = zlib.crc32(self.path.name.encode("utf-8", "surrogateescape"))
        self._n_pages = 0
        self._n_bytes = 0
        self._last: bytes | None = None
        self._pending: list[tuple[bytes, int]] = []
        head = _HEAD.pack(b"OpusHead", 1, channels, pre_skip_samples, SAMPLE_RATE_HZ, 0, 0)
        try:
            self._file: BinaryIO = self.path.open("wb", buffering=0)
            try:
                self._write_page([head], 0, FIRST)
                self._write_page([_tags(comments or {})], 0)
            except BaseException:
                self._file.close()
                raise
        except OSError as error:
            raise AudioFileUnreadable(f"{self.path} cannot be written: {reason(error)}") from error

    def write(self, payload: bytes, position_samples: int | None = None) -> bool:
        """Add a packet of 2.5 to 120 ms; return False if it would lie before the end, and was left out.

        It goes where its sound belongs: `position_samples` after the start of the first packet, at `CLOCK_RATE_HZ`,
        or right after the one before. A gap is filled to within 2.5 ms: up to a second by empty packets, which
        decoders conceal as they would in a call, and beyond that by silence.

        Raises:
            OpusError: If the packet is malformed: it would move all that follows. The file is as it was.
            OSError: If the system refuses, for example because the disk is full.
        """
        frame_bounds(payload)
        if len(payload) > _MAX_PACKET_BYTES:
            raise OpusError(f"an Opus packet of {len(payload)} bytes is longer than a page of Ogg")
        if position_samples is not None:
            if position_samples <= self.end_samples - MIN_PACKET_SAMPLES:
                return False
            for filler in fillers(position_samples - self.end_samples, self._last):
                self._append(filler)
        self._append(payload)
        self._last = payload
        return True

    def flush(self) -> None:
        """Hand all but the last packet to the system; that one is kept for the end of the file to be marked on.

        Raises:
            OSError: If the system refuses.
        """
        while len(self._pending) > 1:
            n_packets = n_pieces = n_samples = 0
            for payload, duration_samples in self._pending[:-1]:
                n_pieces += n_lacings(payload)
                if n_pieces > MAX_LACINGS:
                    break
                n_packets += 1
                n_samples += duration_samples
            page = [payload for payload, _ in self._pending[:n_packets]]
            self._write_page(page, self._written_samples + n_samples)
            self._written_samples += n_samples
            del self._pending[:n_packets]

    def close(self, end_samples: int | None = None) -> None:
        """Write the rest, mark the end, and close the file. Safe to call twice.

        With `end_samples`, at `CLOCK_RATE_HZ` from the first packet, players stop there, within the last packet.

        Raises:
            OSError: If the system refuses; the file is closed all the same.
        """
        if self._file.closed:
            return
        try:
            if self.end_samples == 0:
                self._append(SILENT_PACKET)  # players refuse a file without any
            self.flush()
            end_samples = self.end_samples if end_samples is None else min(end_samples, self.end_samples)
            self._write_page([payload for payload, _ in self._pending], end_samples, LAST)
        finally:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _append(self, payload: bytes) -> None:
        n_samples = packet_samples(payload)
        self._pending.append((payload, n_samples))
        self.end_samples += n_samples
        if self.end_samples - n_samples - self._written_samples >= _PAGE_SAMPLES:
            self.flush()

    def _write_page(self, payloads: list[bytes], granule: int, flags: int = 0) -> None:
        page = packed_page(payloads, granule=granule, serial=self._serial, number=self._n_pages, flags=flags)
        rest = memoryview(page)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError:
            with suppress(OSError):  # no half page is left behind, if that can be helped
                self._file.truncate(self._file.seek(self._n_bytes))
            raise
        self._n_bytes += len(page)
        self._n_pages += 1


@dataclass(frozen=True, slots=True)
class OggOpusStream:
    """The first Opus stream of an Ogg file."""

    packets: tuple[tuple[bytes, int], ...]
    """Payloads and their durations in samples at `CLOCK_RATE_HZ`, in order."""
    pre_skip_samples: int
    """What to leave out at the start of the decoded sound, at `CLOCK_RATE_HZ`."""
    n_samples: int
    """How much of the sound is to be played, at `CLOCK_RATE_HZ`."""
    is_whole: bool
    """Whether its end is marked; not so in a file that was cut off."""
    vendor: str
    """Who wrote it."""
    comments: Mapping[str, str]
    """Tags by their names in capitals."""


def read_ogg_opus(path: Path | str) -> list[tuple[bytes, int]]:
    """Return the packets of a file in order: payload, and duration in samples at `CLOCK_RATE_HZ`; see `read_stream`.

    Raises:
        AudioFileUnreadable: As `read_stream`.
    """
    return list(read_stream(path).packets)


def read_stream(path: Path | str) -> OggOpusStream:
    """Return the first Opus stream of a file, all of it in memory: 14 MB an hour at 32 kb/s.

    A file that was cut off is read as far as its last whole page.

    Raises:
        AudioFileUnreadable: If the file is missing, unreadable, damaged, or not Ogg/Opus.
    """
    path = Path(path)
    try:
        if not path.is_file():
            raise AudioFileUnreadable(f"{path} {'is not a regular file' if path.exists() else 'does not exist'}")
        content = path.read_bytes()
    except OSError as error:
        raise AudioFileUnreadable(f"{path} cannot be read: {reason(error)}") from error
    try:
        return _parse(content)
    except ValueError as error:
        raise AudioFileUnreadable(f"{path} is no Ogg/Opus file that can be used: {error}") from error


def _parse(content: bytes) -> OggOpusStream:
    pieces = list(stream_packets(content, b"OpusHead"))
    payloads = [payload for payload, _, _ in pieces]
    if len(payloads) < 2 or len(payloads[0]) < _HEAD.size or not payloads[1].startswith(b"OpusTags"):
        raise ValueError("it ends within its headers")
    _, granule, is_whole = pieces[-1]
    head, tags, *sound = payloads
    _, version, _, pre_skip_samples, _, _, _ = _HEAD.unpack_from(head)
    if version >> 4:
        raise ValueError(f"its version is {version}, which is not known")
    try:
        vendor, comments = _read_tags(tags)
    except struct.error as error:
        raise ValueError("it ends within its tags") from error
    packets = tuple((payload, packet_samples(payload)) for payload in sound)
    n_samples = min(granule, sum(n_samples for _, n_samples in packets)) - pre_skip_samples
    return OggOpusStream(packets, pre_skip_samples, max(0, n_samples), is_whole, vendor, comments)


def _tags(comments: Mapping[str, str]) -> bytes:
    texts = [VENDOR, *(f"{name}={value}" for name, value in comments.items())]
    vendor, *others = (struct.pack("<I", len(text)) + text for text in (text.encode() for text in texts))
    return b"".join((b"OpusTags", vendor, struct.pack("<I", len(others)), *others))


def _read_tags(payload: bytes) -> tuple[str, dict[str, str]]:
    at = len(b"OpusTags")
    texts: list[str] = []
    n_texts = 1
    while len(texts) < n_texts:
        (n_bytes,) = struct.unpack_from("<I", payload, at)
        texts.append(payload[at + 4 : at + 4 + n_bytes].decode("utf-8", "replace"))
        at += 4 + n_bytes
        if len(texts) == 1:
            (n_comments,) = struct.unpack_from("<I", payload, at)
            n_texts, at = 1 + n_comments, at + 4
    vendor, *others = texts
    return vendor, {name.upper(): value for name, _, value in (text.partition("=") for text in others)}
