"""Packs packets into pages of Ogg (RFC 3533), and takes them out again."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from typing import Final

FIRST, LAST = 2, 4
"""Flags of the page that begins a stream, and of the one that ends it."""

MAX_LACINGS: Final = 255
"""How many pieces of up to 255 bytes a page can hold; a packet takes one more than it fills."""

_HEADER: Final = struct.Struct("<4sBBqIIIB")
_CRC_AT: Final = 22


def n_lacings(payload: bytes) -> int:
    """Return how many pieces a packet takes."""
    return len(payload) // 255 + 1


def packed_page(payloads: list[bytes], *, granule: int, serial: int, number: int, flags: int = 0) -> bytes:
    """Return one page with whole packets, of `MAX_LACINGS` pieces at most; `granule` is the time at its end."""
    lacings = b"".join(b"\xff" * (len(payload) // 255) + bytes([len(payload) % 255]) for payload in payloads)
    header = _HEADER.pack(b"OggS", 0, flags, granule, serial, number, 0, len(lacings))
    page = bytearray(b"".join((header, lacings, *payloads)))
    struct.pack_into("<I", page, _CRC_AT, _crc(page))
    return bytes(page)


def stream_packets(content: bytes, magic: bytes) -> Iterator[tuple[bytes, int, bool]]:
    """Yield the packets of the first stream that begins with `magic`.

    With each comes the granule of the page that it ends on, and whether that page is marked as the last.

    A file that was cut off ends with its last whole page, and a chain with its first link.

    Raises:
        ValueError: If there is no such stream, or something between the pages, or a page with a wrong checksum.
    """
    serial: int | None = None
    unfinished = b""
    for flags, granule, page_serial, lacings, body in _pages(content):
        if serial is None and flags & FIRST and body.startswith(magic):
            serial = page_serial
        elif flags & FIRST and page_serial == serial:
            return  # the next link of a chain, with headers of its own
        if page_serial != serial:
            continue
        start = 0
        for lacing in lacings:
            unfinished += body[start : start + lacing]
            start += lacing
            if lacing < 255:
                yield unfinished, granule, bool(flags & LAST)
                unfinished = b""
        if flags & LAST:
            return
    if serial is None:
        raise ValueError("it holds no such stream")


def _pages(content: bytes) -> Iterator[tuple[int, int, int, bytes, bytes]]:
    """Yield flags, granule position, serial, lacings and body of each whole page."""
    at = 0
    while at + _HEADER.size <= len(content):
        capture, version, flags, granule, serial, _, crc, n_pieces = _HEADER.unpack_from(content, at)
        if capture != b"OggS" or version != 0:
            raise ValueError(f"there is no page of Ogg at byte {at}")
        body_at = at + _HEADER.size + n_pieces
        lacings = content[at + _HEADER.size : body_at]
        end = body_at + sum(lacings)
        if len(lacings) < n_pieces or end > len(content):
            return
        page = bytearray(content[at:end])
        page[_CRC_AT : _CRC_AT + 4] = bytes(4)
        if _crc(page) != crc:
            raise ValueError(f"the page at byte {at} is damaged")
        yield flags, granule, serial, lacings, content[body_at:end]
        at = end


_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _crc(page: bytes | bytearray) -> int:
    # Ogg's CRC-32 takes the bits of a byte from the other end than zlib's, and starts and ends with other constants.
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_REVERSED), "big")
