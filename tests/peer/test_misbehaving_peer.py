"""Promises about an authenticated peer that sends what it should not: the call stays up, and its voice is heard again.

Where aiortc decodes (the plain path), how soon is up to its jitter buffer, which takes a hole for up to 16 packets and
may stall for seconds when the numbering jumps; that is accepted here, and each test says how long at most. How soon
our own playout is back is in test_fastpath.py.

In real time: `test_a_packet_at_which_aiortc_stumbles_is_dropped`.
"""

from __future__ import annotations

import asyncio
import random
import struct
from typing import Final

import pytest
from aiortc.rtp import RtcpByePacket, RtpPacket

from rtc_client.config import MediaPath
from tests.peer.crafted import _NO_EXTENSIONS, copy_of, talking
from tests.peer.support import PATHS

AGAIN_S: Final = 4.0
"""The longest that the voice may be away."""


@pytest.mark.parametrize(
    ("padding", "path"), [(0, "plain"), (200, "plain"), (0, "fast"), (200, "fast"), (9, "packets")]
)
async def test_packets_without_a_payload_do_not_end_the_voice(padding: int, path: MediaPath) -> None:
    """A burst of empty or padding-only packets, as libwebrtc's probes are, costs at most a second of the voice."""
    async with talking(path) as (pair, sender):
        n_empty, shift = 0, 0

        def with_probes(packet: RtpPacket) -> list[RtpPacket]:
            nonlocal n_empty, shift
            made = copy_of(packet)
            made.sequence_number = (packet.sequence_number + shift) % 65_536
            out = [made]
            if n_empty < 10:
                n_empty += 1
                shift += 1
                probe = copy_of(made, payload=b"", padding=padding)
                probe.sequence_number = (made.sequence_number + 1) % 65_536
                out.append(probe)
            return out

        sender.change = with_probes
        await pair.told.bell.until(lambda: n_empty == 10 or None, timeout_s=2, what=lambda: "the probes")
        await pair.told.hears(0.5, within_s=1.5)

        dropped = (await pair.near.counters()).dropped
        # Past the fast path they go to the playout, which knows what to make of them.
        assert dropped == ({} if path == "fast" else {"empty_rtp": 10})


@pytest.mark.parametrize("path", PATHS)
async def test_broken_rtcp_does_not_touch_the_voice(path: MediaPath) -> None:
    """RTCP that is noise, or cut at any length, is dropped and counted; the voice goes on without a gap."""
    rng = random.Random(4)
    async with talking(path) as (pair, sender):
        for n in range(200):
            head = bytes((0x80 + rng.randrange(32), rng.randrange(200, 208)))
            await sender.send(head + rng.randbytes(2 + n % 90))
            await sender.send(head + bytes((0, 1 + n % 12)) + rng.randbytes(4 + 4 * (n % 12)))
        await pair.told.hears(0.5, within_s=0.8)

        assert sender.n_odd > 100


@pytest.mark.parametrize("path", PATHS)
async def test_broken_rtp_does_not_touch_the_voice(path: MediaPath) -> None:
    """RTP whose header promises what is not there, numbered as the voice is: the voice is back within 4 s."""
    rng = random.Random(5)
    async with talking(path) as (pair, sender):
        assert sender.last is not None
        head = sender.last.serialize(_NO_EXTENSIONS)[:12]
        for n in range(300):
            await sender.send(bytes((0x80 | rng.randrange(64),)) + head[1:] + rng.randbytes(n % 40))
        await pair.told.hears(0.5, within_s=AGAIN_S)

        assert sender.n_odd > 30


@pytest.mark.both_clocks
@pytest.mark.parametrize(
    ("kind", "path"), [("Rtp", "plain"), ("Rtcp", "plain"), ("Rtp", "packets"), ("Rtcp", "packets")]
)
async def test_a_packet_at_which_aiortc_stumbles_is_dropped(
    kind: str, path: MediaPath, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where handling a packet raises what aiortc does not expect, it is dropped and counted, and the call stays up."""
    async with talking(path) as (pair, _):

        def stumble(*_: object) -> None:
            asyncio.get_running_loop().call_soon(pair.told.bell.ring)
            raise struct.error

        with monkeypatch.context() as patch:
            patch.setattr(pair.near._dtls._rtp_router, f"route_{kind.lower()}", stumble)
            await pair.told.bell.until(
                lambda: pair.near._guard.dropped[f"malformed_{kind.lower()}"] >= 1 or None,
                timeout_s=4,
                what=lambda: "a packet that is dropped",
            )
        await pair.told.hears(0.5, within_s=AGAIN_S)


@pytest.mark.parametrize("path", PATHS)
async def test_a_bye_does_not_end_a_voice_that_goes_on(path: MediaPath) -> None:
    """After an RTCP BYE for a stream that continues, the voice goes on without a gap."""
    async with talking(path) as (pair, sender):
        assert sender.last is not None

        await sender.send(bytes(RtcpByePacket(sources=[sender.last.ssrc])))
        await pair.told.hears(0.5, within_s=0.8)

        assert (await pair.near.counters()).dropped["rtcp_bye"] == 1


@pytest.mark.parametrize(
    ("jump", "restart", "path"),
    [
        *((jump, restart, "plain") for jump in (0, -480_000, 3_000_000_000) for restart in (0, -50, 5_000)),
        *((jump, restart, "fast") for jump, restart in ((0, 0), (-480_000, -50), (3_000_000_000, 5_000))),
        (-480_000, -50, "packets"),
    ],
)
async def test_a_new_stream_in_place_of_the_old_is_heard(jump: int, restart: int, path: MediaPath) -> None:
    """A new SSRC, numbered anew and with its clock set anywhere, is heard within 4 s."""
    async with talking(path) as (pair, sender):

        def of_a_new_stream(packet: RtpPacket) -> list[RtpPacket]:
            made = copy_of(packet)
            made.ssrc = packet.ssrc ^ 0xFFFF
            made.sequence_number = (packet.sequence_number + restart) % 65_536
            made.timestamp = (packet.timestamp + jump) % 2**32
            return [made]

        sender.change = of_a_new_stream
        await pair.told.hears(0.5, within_s=AGAIN_S)


@pytest.mark.parametrize("path", PATHS)
async def test_a_sequence_that_restarts_a_little_behind_is_heard(path: MediaPath) -> None:
    """The same stream numbered 50 behind, as after a restart of the sender, is heard within 4 s."""
    async with talking(path) as (pair, sender):

        def behind(packet: RtpPacket) -> list[RtpPacket]:
            made = copy_of(packet)
            made.sequence_number = (packet.sequence_number - 50) % 65_536
            return [made]

        sender.change = behind
        await pair.told.hears(0.5, within_s=AGAIN_S)


@pytest.mark.parametrize("path", PATHS)
async def test_noise_for_payloads_does_not_end_the_voice(path: MediaPath) -> None:
    """Packets whose payload is no Opus cost their own place, and the voice is back within 4 s."""
    rng = random.Random(6)
    n_noise = 0
    async with talking(path) as (pair, sender):

        def noisy(packet: RtpPacket) -> list[RtpPacket]:
            nonlocal n_noise
            n_noise += 1
            return [copy_of(packet, payload=rng.randbytes(rng.randrange(1, 200)))] if n_noise < 20 else [packet]

        sender.change = noisy
        await pair.told.bell.until(lambda: n_noise >= 20 or None, timeout_s=2, what=lambda: "the noise")
        await pair.told.hears(0.5, within_s=AGAIN_S)
