"""Datagrams that a stranger might send to a call's sockets, seeded, and a socket to send them from."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Final

_MAGIC_COOKIE: Final = 0x2112A442
_CLOSE_NOTIFY: Final = bytes((1, 0))
DROPPED: Final = frozenset({"empty", "oversized", "unknown", "malformed_stun", "unchecked_source"})
"""Every reason for which some of them are dropped."""


def datagrams(rng: random.Random) -> Iterator[bytes]:
    """Yield hostile datagrams without end, each kind in turn."""
    while True:
        yield b""
        yield rng.randbytes(1)
        yield bytes((rng.randrange(128, 192),)) + rng.randbytes(rng.randrange(1_500, 2_500))
        yield rng.randbytes(rng.randrange(2, 1_500))
        yield bytes((rng.randrange(64, 128),)) + rng.randbytes(20)
        yield _mutated(_binding_request(rng), rng)
        yield bytes((rng.randrange(4),)) + rng.randbytes(rng.randrange(1, 60))
        yield _dtls_record(21, _CLOSE_NOTIFY)
        yield _dtls_record(rng.choice((20, 21, 22, 23)), rng.randbytes(rng.randrange(200)))
        yield b"\x80" + rng.randbytes(rng.randrange(11, 200))
        yield bytes((0x80 + rng.randrange(32), rng.randrange(200, 208))) + rng.randbytes(rng.randrange(2, 100))


async def flood(addresses: Sequence[tuple[str, int]], n: int, rng: random.Random, pause_s: float = 0.0) -> None:
    """Send `n` of them from a socket nobody knows to these addresses in turn, as fast as they are read."""
    kinds = datagrams(rng)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as foreign:
        for index in range(n):
            foreign.sendto(next(kinds), addresses[index % len(addresses)])
            if index % len(addresses) == len(addresses) - 1:
                # A turn of the loop takes one datagram off each socket.
                await asyncio.sleep(pause_s)


def ipv4(addresses: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Return those to which one IPv4 socket can send."""
    return [a for a in addresses if ":" not in a[0]]


def _binding_request(rng: random.Random) -> bytes:
    username = b"abcd:efgh"
    attributes = struct.pack("!HH", 6, len(username)) + username + bytes(-len(username) % 4)
    attributes += struct.pack("!HHI", 0x24, 4, 1) + struct.pack("!HH", 8, 20) + rng.randbytes(20)
    return struct.pack("!HHI", 1, len(attributes), _MAGIC_COOKIE) + rng.randbytes(12) + attributes


def _mutated(data: bytes, rng: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 6)):
        changed[rng.randrange(2, len(changed))] = rng.randrange(256)
    cut = rng.choice((len(changed), len(changed), rng.randrange(2, len(changed))))
    return bytes(changed[:cut])


def _dtls_record(kind: int, payload: bytes) -> bytes:
    return struct.pack("!BHHIHH", kind, 0xFEFD, 0, 0, 1, len(payload)) + payload
