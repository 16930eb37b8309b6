"""Promises of the fast path: what leaves and what arrives past aiortc is what a whole stack would send and take.

More than 600 lines: one path, whose promises share the crafted packets and the two ends below.

In real time: `test_both_sides_hear_each_other_on_every_path`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import struct
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Final, cast

import numpy as np
import pytest
from aioice.ice import CandidatePair
from aiortc.rtp import RtcpByePacket, RtcpPacket, RtcpSrPacket, RtpPacket, is_rtcp
from pylibsrtp import Session

from rtc_client import AudioError, NumpySink
from rtc_client.audio.codecs.opus import OpusEncoder
from rtc_client.audio.codecs.opus_packet import SILENT_PACKET
from rtc_client.audio.frames import FRAME_SAMPLES
from rtc_client.audio.pcm import is_voiced, level_dbfs
from rtc_client.audio.playout.rtp_unwrapper import MediaPacket
from rtc_client.audio.ticker import ticker
from rtc_client.call.media.receiver import AgentReceiver
from rtc_client.clock import MonotonicClock
from rtc_client.config import MediaPath
from rtc_client.peer import aiortc_internals
from rtc_client.peer.fastpath import MAX_RTP_PAYLOAD_BYTES, MAX_STREAMS, STREAM_IS_OVER_S
from rtc_client.testing.scenario.script import Tone
from rtc_client.testing.scenario.voices import tone_samples
from tests.peer.crafted import Sender, copy_of, talking
from tests.peer.support import PATHS, Pair, Told, a_pair

STALL_S: Final = 0.2


@dataclass
class Wire:
    """What reaches the far side, decrypted, as its aiortc gets it."""

    packets: list[RtpPacket] = field(default_factory=list)
    reports: list[RtcpSrPacket] = field(default_factory=list)
    at_s: list[float] = field(default_factory=list)

    @classmethod
    def of(cls, pair: Pair) -> Wire:
        wire, dtls = cls(), pair.far.dtls
        handle_rtp, handle_rtcp = dtls._handle_rtp_data, dtls._handle_rtcp_data

        async def rtp(data: bytes, arrival_time_ms: int) -> None:
            wire.packets.append(RtpPacket.parse(data))
            wire.at_s.append(time.monotonic())
            pair.told.bell.ring()
            await handle_rtp(data, arrival_time_ms)

        async def rtcp(data: bytes) -> None:
            wire.reports += [packet for packet in RtcpPacket.parse(data) if isinstance(packet, RtcpSrPacket)]
            pair.told.bell.ring()
            await handle_rtcp(data)

        dtls._handle_rtp_data, dtls._handle_rtcp_data = rtp, rtcp  # type: ignore[method-assign]
        return wire


async def _until(pair: Pair, is_so: Callable[[], object], within_s: float = 5.0, what: str = "it") -> None:
    await pair.told.bell.until(lambda: is_so() or None, timeout_s=within_s, what=lambda: what)


class ToneWriter:
    """A caller's tone as packets; with `silent_from` and `silent_to` nothing is sent between those periods."""

    def __init__(self, silent: range = range(0)) -> None:
        self._encoder = OpusEncoder()
        self._tone = tone_samples(Tone(frequency_hz=440, duration_s=1.0))
        self._silent = silent
        self.lengths: list[int] = []

    def __call__(self, index: int, out: bytearray, offset: int) -> int:
        if index in self._silent:
            return 0
        start = index % 50 * FRAME_SAMPLES
        n_bytes = self._encoder.encode_into(self._tone[start : start + FRAME_SAMPLES], out, offset)
        self.lengths.append(n_bytes)
        return n_bytes


@pytest.mark.both_clocks
@pytest.mark.parametrize("path", PATHS)
async def test_both_sides_hear_each_other_on_every_path(path: MediaPath) -> None:
    """A tone each way arrives with its level at a plain aiortc, and at our own end, whatever path is asked for."""
    told = Told()
    tone = tone_samples(Tone(frequency_hz=440, duration_s=1.0))

    def frame(position: int) -> Any:
        start = position % len(tone)
        return tone[start : start + FRAME_SAMPLES]

    levels: list[float] = []
    async with a_pair(told.listener(next_packet=ToneWriter(), next_frame=frame), told=told, path=path) as pair:

        def heard(level: float, now_s: float) -> None:
            levels.append(level)
            told.bell.ring()

        pair.far.peer._on_heard = heard
        await pair.connect()
        pair.talk()
        await told.hears(0.5, within_s=5)
        await _until(pair, lambda: sum(level > -30 for level in levels) > 25, what="the tone at the far side")

    assert pair.near.path == path
    assert np.median([level for level in levels if level > -60]) == pytest.approx(level_dbfs(tone), abs=1.5)


async def test_numbers_and_clock_go_on_over_a_pause_and_a_talkspurt_is_marked() -> None:
    """Sequence numbers have no gap, the timestamp counts the time of a pause, and only what follows one is marked."""
    told = Told()
    async with a_pair(told.listener(next_packet=ToneWriter(range(10, 25))), told=told) as pair:
        await pair.begin()
        wire = Wire.of(pair)
        await pair.up()
        await _until(pair, lambda: len(wire.packets) >= 30)

    packets = wire.packets[:30]
    first = packets[0]
    places = [(packet.timestamp - first.timestamp) % 2**32 // 960 for packet in packets]
    start = places[0]
    skipped = [place for place in range(places[-1] + 1) if place not in places]
    assert [(packet.sequence_number - first.sequence_number) % 2**16 for packet in packets] == list(range(30))
    assert all((packet.timestamp - first.timestamp) % 960 == 0 for packet in packets)
    assert start == 0
    assert len(skipped) == 15
    assert skipped == list(range(skipped[0], skipped[0] + 15))
    marked = [place for place, packet in zip(places, packets, strict=True) if packet.marker]
    assert set(marked) <= {0, skipped[-1] + 1}
    assert skipped[-1] + 1 in marked
    assert {(packet.ssrc, packet.payload_type, packet.version) for packet in packets} == {
        (pair.near._sender._ssrc, first.payload_type, 2)
    }


async def test_reports_are_right_in_both_directions() -> None:
    """Either side's statistics know loss and round trip; our sender reports count what left, and their clocks agree."""
    told = Told()
    writer = ToneWriter(range(60, 200))
    async with a_pair(told.listener(next_packet=writer), told=told) as pair:
        await pair.begin()
        wire = Wire.of(pair)
        await pair.up()
        pair.talk()

        async def has_reports() -> bool:
            theirs = (await pair.far.peer._pc.getSenders()[0].getStats()).values()
            ours = await pair.near.counters()
            return ours.round_trip_s is not None and any(getattr(r, "roundTripTime", None) for r in theirs)

        async with asyncio.timeout(12):
            # Two of them from within the pause, in which nothing leaves.
            # aiortc does not announce its reports.
            while len(wire.reports) < 4 or len(wire.packets) < 58 or not await has_reports():  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        counters = await pair.near.counters()
        sent = (await pair.far.peer._pc.getSenders()[0].getStats()).values()
        received = (await pair.far.peer._pc.getReceivers()[0].getStats()).values()

    (inbound,) = [r for r in received if r.type == "inbound-rtp"]
    (remote_inbound,) = [r for r in sent if r.type == "remote-inbound-rtp"]
    (outbound,) = [r for r in sent if r.type == "outbound-rtp"]
    assert inbound.packetsLost == counters.packets_lost_sent == 0
    assert inbound.packetsReceived == pytest.approx(counters.packets_sent, abs=2)
    assert remote_inbound.packetsLost == counters.packets_lost == 0
    assert counters.packets_received == pytest.approx(outbound.packetsSent, abs=2)
    assert 0 < cast("float", counters.round_trip_s) < 0.1
    assert 0 < remote_inbound.roundTripTime < 0.1
    assert counters.bytes_sent == sum(writer.lengths)

    infos = [report.sender_info for report in wire.reports if report.sender_info.packet_count]
    for info in infos:
        assert info.octet_count == sum(writer.lengths[: info.packet_count])
        assert info.packet_count <= len(wire.packets)
    # RFC 3550 section 6.4.1: both timestamps are of one instant, also in a pause.
    base = infos[0]
    for info in infos[1:]:
        ntp_s = (info.ntp_timestamp - base.ntp_timestamp) / 2**32
        rtp_s = ((info.rtp_timestamp - base.rtp_timestamp) % 2**32) / 48_000
        assert rtp_s == pytest.approx(ntp_s, abs=0.025)
    assert infos[-1].ntp_timestamp > infos[0].ntp_timestamp


async def test_loss_on_the_way_to_us_reaches_the_sender() -> None:
    """What does not arrive is counted here, and reported to the far side."""
    async with talking() as (pair, sender):
        n = 0

        def every_fifth_is_lost(packet: RtpPacket) -> list[RtpPacket]:
            nonlocal n
            n += 1
            return [] if n % 5 == 0 else [packet]

        sender.change = every_fifth_is_lost

        async def lost_there() -> int:
            reports = (await pair.far.peer._pc.getSenders()[0].getStats()).values()
            return max((r.packetsLost for r in reports if r.type == "remote-inbound-rtp"), default=0)

        async with asyncio.timeout(6):
            while await lost_there() < 5:  # noqa: ASYNC110 - aiortc does not announce its reports
                await asyncio.sleep(0.05)
        assert (await pair.near.counters()).packets_lost >= await lost_there()


def _packet(head: RtpPacket, payload: bytes, *, extension: bytes = b"", csrcs: int = 0, padding: int = 0) -> bytes:
    first = 0x80 | csrcs | (0x10 if extension else 0) | (0x20 if padding else 0)
    fixed = struct.pack("!BBHII", first, head.payload_type, head.sequence_number, head.timestamp, head.ssrc)
    extra = struct.pack("!HH", 0xBEDE, len(extension) // 4) + extension if extension else b""
    return fixed + bytes(4 * csrcs) + extra + payload + (bytes(padding - 1) + bytes((padding,)) if padding else b"")


@dataclass
class Crafted:
    """A way to hand our end datagrams that its peer might have sent, past the network."""

    pair: Pair
    session: Session
    taken: list[tuple[int, int, bool, bytes]]
    head: RtpPacket

    def send(self, plain: bytes) -> bytes:
        """Protect a packet and hand it over; return the datagram."""
        datagram: bytes = self.session.protect(plain)
        self.hand_over(datagram)
        return datagram

    def hand_over(self, datagram: bytes) -> None:
        candidate = self.pair.near._connection._nominated[1]
        candidate.protocol.datagram_received(datagram, candidate.remote_addr)

    def next(self) -> RtpPacket:
        self.head.sequence_number = (self.head.sequence_number + 1) % 2**16
        self.head.timestamp = (self.head.timestamp + 960) % 2**32
        return self.head


@asynccontextmanager
async def _crafting() -> AsyncIterator[Crafted]:
    """Yield a connected pair whose far side is still, with the keys of its sender."""
    told = Told()
    taken: list[tuple[int, int, bool, bytes]] = []

    def take(packet: MediaPacket, now_s: float) -> None:
        taken.append((packet.ssrc, packet.sequence, packet.marker, packet.payload))

    async with a_pair(told.listener(packet=take), told=told) as pair:
        await pair.connect()
        await _until(pair, lambda: pair.far.dtls._tx_srtp, what="the far side's keys")
        pair.far.stop_media()
        await pair.far.bell.until(lambda: pair.far.peer.is_connected or None, timeout_s=5, what=lambda: "the far side")
        payload_type = pair.near._transceiver._codecs[0].payloadType
        assert payload_type is not None
        head = RtpPacket(payload_type=payload_type, sequence_number=1_000, timestamp=5_000, ssrc=77)
        taken.clear()
        assert pair.near._fast is not None
        pair.near._fast._streams.clear()
        pair.near._fast.packets_received = 0
        yield Crafted(pair, pair.far.dtls._tx_srtp, taken, head)


async def test_header_extensions_sources_and_padding_are_no_part_of_the_payload() -> None:
    """Of a packet with any of them, or all, the payload alone is handed on."""
    payload = bytes(range(40))
    async with _crafting() as crafted:
        for extension in (b"", b"\x10\xff\x00\x00", bytes(36)):
            for csrcs in (0, 1, 15):
                for padding in (0, 1, 255):
                    crafted.send(_packet(crafted.next(), payload, extension=extension, csrcs=csrcs, padding=padding))
        crafted.send(_packet(crafted.next(), b"", padding=200))
        crafted.send(_packet(crafted.next(), b""))
        dropped = (await crafted.pair.near.counters()).dropped

    assert [entry[3] for entry in crafted.taken] == [payload] * 27 + [b"", b""]
    assert [entry[1] for entry in crafted.taken] == list(range(1_001, 1_030))
    assert dropped == {}


async def test_what_is_not_from_the_peer_or_not_for_us_is_dropped_and_counted() -> None:
    """Forged, cut, repeated, of another payload type, padded beyond its length: counted by reason, never handed on."""
    async with _crafting() as crafted:
        good = crafted.send(_packet(crafted.next(), SILENT_PACKET))
        for n_bytes in (2, 11):
            crafted.hand_over(good[:n_bytes])
        for n_bytes in (12, 20, len(good) - 1):  # with a number that was there before
            crafted.hand_over(good[:n_bytes])
        forged = bytearray(good)
        forged[3] ^= 1
        crafted.hand_over(bytes(forged))
        crafted.hand_over(good)
        other = crafted.next()
        crafted.send(_packet(RtpPacket(0, 0, other.sequence_number, other.timestamp, other.ssrc), b"PCMU"))
        crafted.send(_over_padded(crafted.next()))
        dropped = (await crafted.pair.near.counters()).dropped
        n_received = (await crafted.pair.near.counters()).packets_received

    assert len(crafted.taken) == n_received == 1
    assert dropped == {"unauthentic": 3, "replayed": 4, "other_payload_type": 1, "malformed_rtp": 1}


def _over_padded(head: RtpPacket) -> bytes:
    plain = bytearray(_packet(head, b"\x01\x02\x03\xff"))
    plain[0] |= 0x20
    return bytes(plain)


@pytest.mark.real_time("the kernel stamps datagrams by its own clock")
async def test_a_packet_came_when_the_kernel_took_it_the_first_one_too() -> None:
    """A busy process takes a packet late and counts it as in time: else a call would begin with delay for nothing."""
    async with _crafting() as crafted:
        pair = crafted.pair
        assert pair.ticket is not None
        assert pair.near._fast is not None
        pair.ticket.remove()
        came_s: list[float] = []
        pair.near._fast._read = lambda packet, now_s: came_s.append(now_s)
        pair.near._guard.speaker = None  # as at the beginning
        far_end = aiortc_internals.ice_connection(pair.far.dtls.transport)._nominated[1]
        transport = far_end.protocol.transport
        assert transport is not None
        sent_s = time.monotonic()
        for _ in range(2):
            datagram = crafted.session.protect(_packet(crafted.next(), SILENT_PACKET))
            transport.sendto(datagram, far_end.remote_addr)
        time.sleep(0.05)  # noqa: ASYNC251 - the process is busy
        pair.near.receive(time.monotonic())

    assert len(came_s) == 2
    assert [round(at_s - sent_s, 2) for at_s in came_s] == [0.0, 0.0]


async def test_no_more_streams_than_a_few_are_told_apart() -> None:
    """A peer that makes up SSRCs gets as many as are kept; packets of the others are dropped."""
    async with _crafting() as crafted:
        for ssrc in range(1, MAX_STREAMS + 6):
            crafted.head.ssrc = ssrc
            crafted.send(_packet(crafted.next(), SILENT_PACKET))
        crafted.head.ssrc = 1
        crafted.send(_packet(crafted.next(), SILENT_PACKET))
        dropped = (await crafted.pair.near.counters()).dropped

    assert {entry[0] for entry in crafted.taken} == set(range(1, MAX_STREAMS + 1))
    assert dropped == {"too_many_streams": 5}


async def test_a_peer_may_begin_a_new_stream_with_every_turn() -> None:
    """Streams that have fallen silent make room: the ninth, and the fortieth, is heard as the first was."""
    async with _crafting() as crafted:
        fast = crafted.pair.near._fast
        assert fast is not None
        for ssrc in range(1, 41):
            crafted.head.ssrc = ssrc
            crafted.send(_packet(crafted.next(), SILENT_PACKET))
            for stream in fast._streams.values():
                stream.last_s -= STREAM_IS_OVER_S  # so long ago
        dropped = (await crafted.pair.near.counters()).dropped

    assert [entry[0] for entry in crafted.taken] == list(range(1, 41))
    assert dropped == {}
    assert len(fast.reports.streams) <= MAX_STREAMS


async def test_garbage_of_any_length_from_the_peers_address_does_nothing() -> None:
    """Datagrams of noise that look like RTP, of all lengths, are dropped without a word."""
    rng = np.random.default_rng(3)
    async with _crafting() as crafted:
        for n_bytes in range(2, 1_501, 7):
            crafted.hand_over(bytes((0x80 | int(rng.integers(64)), 96)) + rng.bytes(n_bytes - 2))
        dropped = (await crafted.pair.near.counters()).dropped
        crafted.send(_packet(crafted.next(), SILENT_PACKET))

    assert set(dropped) == {"unauthentic"}
    assert len(crafted.taken) == 1


class Ear:
    """The call's own playout on a pair, every frame of it with its level."""

    def __init__(self) -> None:
        self.sink = NumpySink()
        self.failures: list[AudioError] = []
        self.hearing = AgentReceiver(self.sink, metered=False, clock=MonotonicClock(), on_failure=self.failures.append)

    def stall_s(self, from_samples: int) -> float:
        """Return the longest time without sound from a position on."""
        samples = self.sink.samples[from_samples:]
        frames = samples[: len(samples) // FRAME_SAMPLES * FRAME_SAMPLES].reshape(-1, FRAME_SAMPLES)
        longest = run = 0
        for frame in frames:
            run = 0 if is_voiced(level_dbfs(frame)) else run + 1
            longest = max(longest, run)
        return longest * 0.02


def _empty_payloads() -> Callable[[RtpPacket], list[RtpPacket]]:
    n_empty = shift = 0

    def change(packet: RtpPacket) -> list[RtpPacket]:
        nonlocal n_empty, shift
        made = copy_of(packet)
        made.sequence_number = (packet.sequence_number + shift) % 2**16
        if n_empty >= 10:
            return [made]
        n_empty, shift = n_empty + 1, shift + 1
        probe = copy_of(made, payload=b"", padding=100)
        probe.sequence_number = (made.sequence_number + 1) % 2**16
        return [made, probe]

    return change


def _another_stream(packet: RtpPacket) -> list[RtpPacket]:
    made = copy_of(packet)
    made.ssrc ^= 0xFFFF
    made.sequence_number = (packet.sequence_number - 5_000) % 2**16
    made.timestamp = (packet.timestamp - 480_000) % 2**32
    return [made]


def _fifty_behind(packet: RtpPacket) -> list[RtpPacket]:
    # Of another stream: within one, SRTP takes numbers that came before for a replay, and must.
    made = copy_of(packet)
    made.ssrc ^= 0xFFFF
    made.sequence_number = (packet.sequence_number - 50) % 2**16
    return [made]


@pytest.mark.parametrize(
    ("oddity", "path"),
    [
        *((oddity, "fast") for oddity in ("empty payloads", "another stream", "50 behind", "bye", "noise")),
        ("50 behind", "packets"),
    ],
)
async def test_no_oddity_of_a_peer_stalls_the_voice_for_200_ms(oddity: str, path: MediaPath) -> None:
    """Probes, a new SSRC, numbers that restart, a BYE that is none, payloads that are no Opus: the voice goes on."""
    ear, told = Ear(), Told()
    rng = np.random.default_rng(5)

    def packet(*args: Any) -> None:
        told._packet(*args)
        ear.hearing.push(*args)

    listener = told.listener(packet=packet, stream_ended=ear.hearing.end_stream)
    async with a_pair(listener, told=told, path=path) as pair:
        await pair.begin()
        await pair.near.connected()

        def hear(index: int) -> None:
            ear.hearing.tick(index, time.monotonic())

        pair.ticket = ticker().add(pair._tick, hear, on_error=pair.near._fail)
        pair.talk()
        sender = Sender(pair)
        await told.hears(0.4, within_s=5)
        odd_from = len(ear.sink.samples)
        n_noise = 0

        def noise(packet: RtpPacket) -> list[RtpPacket]:
            nonlocal n_noise
            n_noise += 1
            return [copy_of(packet, payload=rng.bytes(30))] if n_noise < 5 else [packet]

        changes = {
            "empty payloads": _empty_payloads(),
            "another stream": _another_stream,
            "50 behind": _fifty_behind,
            "noise": noise,
        }
        if oddity == "bye":
            assert sender.last is not None
            await sender.send(bytes(RtcpByePacket(sources=[sender.last.ssrc])))
        else:
            sender.change = changes[oddity]
        goal = odd_from + 24_000
        await _until(pair, lambda: len(ear.sink.samples) >= goal, what="a second more")

    assert ear.failures == []
    assert ear.stall_s(odd_from) <= STALL_S


async def test_a_change_of_the_nominated_pair_is_followed() -> None:
    """When ICE nominates another of our sockets, packets leave from it at once, and the old way is closed."""
    told = Told()
    async with a_pair(told=told) as pair:
        await pair.begin()
        wire = Wire.of(pair)
        await pair.up()
        await _until(pair, lambda: len(wire.packets) >= 5)
        connection, gate = pair.near._connection, pair.far.peer.gate
        old = connection._nominated[1]
        line = pair.near._fast._line  # type: ignore[union-attr]
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        far_transport = pair.far.peer._pc.getTransceivers()[0].receiver.transport.transport
        (far_protocol,) = far_transport._connection._protocols[:1]
        addresses: list[tuple[str, int]] = []
        receive = far_protocol.datagram_received

        def note(data: bytes, addr: tuple[str, int]) -> None:
            if len(data) > 12 and data[0] >= 128 and not is_rtcp(data):
                addresses.append((addr[0], addr[1]))
            receive(data, addr)

        far_protocol.datagram_received = note  # type: ignore[method-assign, assignment]
        stand_in = cast("Any", type("Protocol", (), {"transport": transport, "datagram_received": None})())
        pair_now = CandidatePair(stand_in, old.remote_candidate)

        connection._nominated[1] = pair_now
        ours = transport.get_extra_info("sockname")
        await _until(pair, lambda: ours in addresses or gate.n_rtp_received < 0, what="packets from the other socket")
        fast = pair.near._fast
        assert fast is not None
        followed = fast._line
        connection._nominated[1] = old
        n_seen = len(addresses)
        await _until(pair, lambda: len(addresses) > n_seen + 3)
        transport.close()

    assert followed is not line
    assert line is not None
    assert line._socket is None or line._socket.fileno() == -1
    assert addresses[-1] != ours
    assert (await pair.near.counters()).packets_discarded_on_send == 0


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.ENETUNREACH, errno.ENOBUFS])
async def test_what_the_system_will_not_take_is_counted_and_lost(code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket that refuses loses the packet as the network would: its number is spent, nothing is raised."""
    told = Told()
    async with a_pair(told=told) as pair:
        await pair.begin()
        wire = Wire.of(pair)
        await pair.up()
        await _until(pair, lambda: len(wire.packets) >= 5)
        line = pair.near._fast._line  # type: ignore[union-attr]
        assert line is not None
        n_refused = 0

        def refuse(data: memoryview, address: object) -> None:
            nonlocal n_refused
            n_refused += not is_rtcp(bytes(data))
            told.bell.ring()
            raise OSError(code, "refused")

        with monkeypatch.context() as patch:
            patch.setattr(line, "send", refuse)
            await _until(pair, lambda: n_refused == 10)
        n_before = len(wire.packets)
        await _until(pair, lambda: len(wire.packets) >= n_before + 5)
        counters = await pair.near.counters()
        pair.near._raise_if_failed()

    numbers = [packet.sequence_number for packet in wire.packets]
    assert counters.packets_discarded_on_send == n_refused
    assert counters.packets_sent == len(wire.packets) + 1 or counters.packets_sent == len(wire.packets)
    assert (numbers[-1] - numbers[0]) % 2**16 == len(numbers) - 1 + n_refused


async def test_a_path_without_a_nominated_pair_waits_for_one() -> None:
    """Between two pairs there is no way out: packets are counted as discarded, and flow again with the next pair."""
    told = Told()
    async with a_pair(told=told) as pair:
        await pair.begin()
        wire = Wire.of(pair)
        await pair.up()
        await _until(pair, lambda: len(wire.packets) >= 5)
        nominated = pair.near._connection._nominated
        candidate = nominated.pop(1)
        asked = told.asked
        await _until(pair, lambda: told.asked >= asked + 5)
        nominated[1] = candidate
        n_before = len(wire.packets)
        await _until(pair, lambda: len(wire.packets) >= n_before + 5)

        assert (await pair.near.counters()).packets_discarded_on_send >= 5


async def test_a_pair_whose_socket_is_closed_is_no_error() -> None:
    """A pair that stands for a socket already closed is as good as none."""
    told = Told()
    async with a_pair(told=told) as pair:
        await pair.connect()
        nominated = pair.near._connection._nominated
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0))
        sock: socket.socket = transport.get_extra_info("socket")._sock
        transport.abort()
        async with asyncio.timeout(2):
            while sock.fileno() != -1:  # noqa: ASYNC110 - a few turns of the loop, which nobody announces
                await asyncio.sleep(0)
        old = nominated[1]
        stand_in = cast("Any", type("Protocol", (), {"transport": transport, "datagram_received": None})())

        nominated[1] = CandidatePair(stand_in, old.remote_candidate)
        asked = told.asked
        await _until(pair, lambda: told.asked >= asked + 3)
        nominated[1] = old
        pair.near._raise_if_failed()


async def test_after_stop_nothing_leaves_and_no_socket_is_left() -> None:
    """A path that was stopped does not open its way out again, whoever still ticks it."""
    told = Told()
    async with a_pair(told=told) as pair:
        await pair.connect()
        await _until(pair, lambda: told.asked)
        fast = pair.near._fast
        assert fast is not None
        line = fast._line

        fast.stop()
        fast.stop()
        sent = fast.packets_sent
        for index in range(1_000, 1_010):
            pair.near.prepare(index)
            pair.near.send(time.monotonic())

        assert line is not None
        assert line._socket is not None
        assert line._socket.fileno() == -1
        assert fast._line is None
        assert fast.packets_sent == sent


async def test_a_stop_in_the_midst_of_a_tick_sends_nothing_more() -> None:
    """A source whose last act is to end the call is not followed by its packet."""
    told = Told()
    stopping: list[Callable[[], None]] = []

    def write(index: int, out: bytearray, offset: int) -> int:
        if index == 3:
            stopping[0]()
        out[offset : offset + 3] = SILENT_PACKET
        return 3

    async with a_pair(told.listener(next_packet=write), told=told) as pair:
        await pair.begin()
        await pair.near.connected()
        assert pair.near._fast is not None
        stopping.append(pair.near._fast.stop)
        for index in range(6):
            pair.near.prepare(index)
            pair.near.send(time.monotonic())

        assert pair.near._fast.packets_sent == 3
        assert pair.near._fast._line is None


async def test_a_payload_that_fits_into_no_packet_is_refused() -> None:
    """A writer that claims more than there is room for is told so by whoever watches; nothing is written beyond."""
    told = Told()
    async with a_pair(told.listener(next_packet=lambda *_: MAX_RTP_PAYLOAD_BYTES + 1), told=told) as pair:
        await pair.connect()

        with pytest.raises(ValueError, match="1301 bytes"):
            await asyncio.wait_for(pair.near.watch(), 5)


_FAST_SEAMS: Final[list[tuple[str, str]]] = [
    ("_pc", "_RTCPeerConnection__cname"),
    ("_receiver", "_RTCRtpReceiver__decoder_queue"),
    ("_receiver", "_run_rtcp"),
    ("_receiver", "_RTCRtpReceiver__rtcp_exited"),
    ("_sender", "_ssrc"),
    ("_sender", "_run_rtcp"),
    ("_sender", "_RTCRtpSender__rtcp_exited"),
    ("_dtls", "_rx_srtp"),
    ("_dtls", "_tx_srtp"),
]


class _Hiding:
    """An object of aiortc that does not know one of its attributes."""

    def __init__(self, hidden_from: object, name: str) -> None:
        self.__dict__.update(_object=hidden_from, _name=name)

    def __getattr__(self, name: str) -> Any:
        if name == self.__dict__["_name"]:
            raise AttributeError(name)
        return getattr(self.__dict__["_object"], name)


@pytest.mark.parametrize(("owner", "name"), [*_FAST_SEAMS, ("pylibsrtp", "srtp_protect"), ("pylibsrtp", "binding")])
async def test_a_missing_seam_of_the_fast_path_leads_to_the_packet_path(
    owner: str, name: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever of it is gone, the call goes through aiortc's packets instead: one warning, and sound both ways."""
    told = Told()
    async with a_pair(told=told) as pair:
        near = pair.near
        if owner == "pylibsrtp":
            aiortc_internals._srtp_works_in_place.cache_clear()
            monkeypatch.setattr(aiortc_internals, "srtp_protect" if name == "srtp_protect" else "ffi", None)
        else:
            check = aiortc_internals.check_fast_seams

            def check_without(pc: Any, sender: Any, receiver: Any) -> None:
                if owner == "_pc":
                    pc = _Hiding(pc, name)
                elif owner == "_sender":
                    sender = _Hiding(sender, name)
                elif owner == "_receiver":
                    receiver = _Hiding(receiver, name)
                else:
                    receiver = _Hiding(receiver, "")
                    receiver.__dict__["transport"] = _Hiding(near._dtls, name)
                check(pc, sender, receiver)

            monkeypatch.setattr(aiortc_internals, "check_fast_seams", check_without)
        await pair.connect()
        pair.talk()
        await told.hears(0.2, within_s=5)
        gate = pair.far.peer.gate
        await _until(pair, lambda: gate.n_rtp_received > 5, what="packets at the far side")
    aiortc_internals._srtp_works_in_place.cache_clear()

    assert near.path == "packets"
    assert _warnings(caplog) == ["the wanted media path is not available, another one is taken"]


async def test_without_any_seam_of_ours_aiortc_does_it_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where the packet path's seam is gone as well, aiortc encodes and decodes: still one warning, and sound."""
    told = Told()

    def gone(*_: object) -> None:
        raise aiortc_internals.AiortcMismatch("gone")

    monkeypatch.setattr(aiortc_internals, "check_fast_seams", gone)
    monkeypatch.setattr(aiortc_internals, "divert_packets", gone)
    async with a_pair(told=told) as pair:
        await pair.connect()
        pair.talk()
        await told.hears(0.2, within_s=5)

    assert pair.near.path == "plain"
    assert told.packets == 0
    (record,) = [r for r in caplog.records if r.levelno >= logging.WARNING and r.name == "rtc_client.peer.peer"]
    assert (record.__dict__["wanted_path"], record.__dict__["path"]) == ("fast", "plain")


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING and r.name == "rtc_client.peer.peer"]
