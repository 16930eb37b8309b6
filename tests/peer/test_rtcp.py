"""Promises of our reports: aiortc reads what we write and we read what aiortc writes, and the sums are RFC 3550's."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from aiortc.rtp import (
    RtcpByePacket,
    RtcpPacket,
    RtcpReceiverInfo,
    RtcpRrPacket,
    RtcpRtpfbPacket,
    RtcpSdesPacket,
    RtcpSenderInfo,
    RtcpSourceInfo,
    RtcpSrPacket,
)
from hypothesis import given
from hypothesis import strategies as st

from rtc_client.peer.rtcp import MalformedRtcp, ReceivedStream, Reports, is_rtcp

OURS, THEIRS = 0x01020304, 0xF1F2F3F4
NTP = 0xE000_0001_8000_0000


def _compound(reports: Reports, *, now_s: float = 10.0, packets: int = 0) -> list[Any]:
    made = reports.compound(now_s=now_s, ntp=NTP, rtp_timestamp=2**32 + 7, packets=packets, payload_bytes=packets * 80)
    assert is_rtcp(made)
    return list(RtcpPacket.parse(made))


def _stream(sequences: list[int], *, timestamps: list[int] | None = None, at_s: list[float] | None = None) -> Any:
    stream = ReceivedStream(sequences[0], (timestamps or [0])[0], (at_s or [0.0])[0])
    for i, sequence in enumerate(sequences):
        stream.note(sequence, timestamps[i] if timestamps else i * 960, at_s[i] if at_s else i * 0.02)
    return stream


def _block(stream: ReceivedStream, now_s: float = 1.0) -> Any:
    reports = Reports(OURS, "name")
    reports.streams[THEIRS] = stream
    (report, _name) = _compound(reports, now_s=now_s)
    (block,) = report.reports
    return block


def test_a_caller_that_has_sent_reports_what_left() -> None:
    """The sender's part has the counts, cut to 32 bits, and both times; our name follows."""
    sender, names = _compound(Reports(OURS, "a name"), packets=2**32 + 5)

    assert isinstance(sender, RtcpSrPacket)
    assert sender.ssrc == OURS
    assert sender.sender_info == RtcpSenderInfo(
        ntp_timestamp=NTP, rtp_timestamp=7, packet_count=5, octet_count=(5 * 80) % 2**32
    )
    assert isinstance(names, RtcpSdesPacket)
    assert names.chunks == [RtcpSourceInfo(ssrc=OURS, items=[(1, b"a name")])]


@pytest.mark.parametrize("name", ["", "a", "ab", "abc", "abcd", "x" * 36, "x" * 255, "x" * 300])
def test_a_name_of_any_length_is_read_back(name: str) -> None:
    """The description is padded to whole words; what is too long for its byte of length is cut."""
    _report, names = _compound(Reports(OURS, name))

    assert names.chunks[0].items == [(1, name.encode()[:255])]


def test_a_caller_that_has_sent_nothing_only_reports_what_came() -> None:
    report, _names = _compound(Reports(OURS, "name"))

    assert isinstance(report, RtcpRrPacket)
    assert report.reports == []


def test_loss_is_counted_over_a_wrap_and_since_the_report_before() -> None:
    """Ten of forty are missing, across the end of 16 bits; then none."""
    numbers = [n % 2**16 for n in range(65_520, 65_560) if n % 4]
    stream = _stream(numbers)
    first = _block(stream)
    for n in range(65_560, 65_580):
        stream.note(n % 2**16, 0, 1.0)
    second = _block(stream)

    assert first.highest_sequence == 65_559
    assert stream.lost == first.packets_lost == second.packets_lost == 9  # the one before the first is unknown
    assert first.fraction_lost == 9 * 256 // 39
    assert second.fraction_lost == 0


def test_what_comes_twice_is_less_than_no_loss() -> None:
    block = _block(_stream([1, 2, 2, 2, 3]))

    assert block.packets_lost == -2
    assert block.fraction_lost == 0


def test_a_packet_that_comes_late_is_no_loss_and_no_step_back() -> None:
    block = _block(_stream([1, 2, 4, 5, 3]))

    assert (block.packets_lost, block.highest_sequence) == (0, 5)


def test_jitter_is_that_of_rfc_3550() -> None:
    """Packets that are 0 and 10 ms late in turn differ by 10 ms from one to the next, also where stamps wrap."""
    n = 500
    stamps = [(2**32 - 960 * 250 + i * 960) % 2**32 for i in range(n)]
    stream = _stream(list(range(n)), timestamps=stamps, at_s=[i * 0.02 + (i % 2) * 0.010 for i in range(n)])

    assert stream.jitter_s == pytest.approx(0.010, rel=0.01)
    assert _block(stream).jitter == pytest.approx(480, rel=0.01)


def test_the_peers_clock_is_sent_back_with_the_time_it_lay_here() -> None:
    """A report block names the middle of the last NTP time of the sender, and how long ago it came."""
    reports = Reports(OURS, "name")
    reports.streams[THEIRS] = _stream([1, 2])
    info = RtcpSenderInfo(ntp_timestamp=NTP, rtp_timestamp=0, packet_count=1, octet_count=1)
    reports.read(bytes(RtcpSrPacket(ssrc=THEIRS, sender_info=info)), 10.0)
    (block,) = _compound(reports, now_s=10.25)[0].reports

    assert block.lsr == (NTP >> 16) & 0xFFFFFFFF
    assert block.dlsr == 65_536 // 4


def test_no_report_is_early() -> None:
    """A clock that was read before the sender's report came makes a delay of none, not of eighteen hours."""
    stream = _stream([1, 2])
    stream.reported = (1, 10.1)

    assert _block(stream, now_s=10.0).dlsr == 0


def _about_us(**values: int) -> RtcpReceiverInfo:
    said = {"fraction_lost": 0, "packets_lost": 0, "highest_sequence": 0, "jitter": 0, "lsr": 0, "dlsr": 0}
    return RtcpReceiverInfo(ssrc=OURS, **(said | values))


def test_the_peers_reports_tell_loss_and_round_trip() -> None:
    """Round trip is the time since our report that it names, less what it lay there; other blocks are skipped."""
    reports = Reports(OURS, "name")
    assert (reports.remote_lost, reports.round_trip_s) == (None, None)
    _compound(reports, now_s=10.0, packets=50)
    middle = (NTP >> 16) & 0xFFFFFFFF
    other = RtcpReceiverInfo(ssrc=5, fraction_lost=255, packets_lost=99, highest_sequence=0, jitter=0, lsr=0, dlsr=0)
    ours = _about_us(fraction_lost=64, packets_lost=3, lsr=middle, dlsr=65_536 // 2)
    reports.read(bytes(RtcpRrPacket(ssrc=THEIRS, reports=[other, ours])), 10.55)

    assert reports.remote_lost == 3
    assert reports.remote_fraction_lost == 0.25
    assert reports.round_trip_s == pytest.approx(0.05)

    reports.read(bytes(RtcpRrPacket(ssrc=THEIRS, reports=[_about_us(packets_lost=-4, lsr=77)])), 11.0)
    assert reports.remote_lost == 0
    assert reports.round_trip_s == pytest.approx(0.05)


def test_goodbyes_are_told_and_other_kinds_skipped() -> None:
    """A compound of five kinds: only what we know of is taken."""
    reports = Reports(OURS, "name")
    nack = RtcpRtpfbPacket(fmt=1, ssrc=THEIRS, media_ssrc=OURS, lost=[5])
    compound = (
        bytes(RtcpRrPacket(ssrc=THEIRS, reports=[]))
        + bytes(RtcpSdesPacket(chunks=[RtcpSourceInfo(ssrc=THEIRS, items=[(1, b"x")])]))
        + bytes(nack)
        + bytes.fromhex("80cf0001f1f2f3f4")  # an extended report, of no block
        + bytes(RtcpByePacket(sources=[THEIRS, 9]))
    )

    assert reports.read(compound, 1.0) == [THEIRS, 9]


def test_our_goodbye_is_a_whole_compound() -> None:
    report, names, bye = RtcpPacket.parse(Reports(OURS, "name").goodbye())

    assert isinstance(report, RtcpRrPacket)
    assert isinstance(names, RtcpSdesPacket)
    assert isinstance(bye, RtcpByePacket)
    assert bye.sources == [OURS]


def test_what_a_forgotten_stream_lost_stays_lost() -> None:
    reports = Reports(OURS, "name")
    reports.streams[1] = _stream([1, 5])
    reports.streams[2] = _stream([1, 3])
    reports.forget(1)

    assert reports.lost == 4
    assert [block.ssrc for block in _compound(reports)[0].reports] == [2]


@given(st.binary(max_size=200))
def test_no_bytes_at_all_do_more_than_be_malformed(data: bytes) -> None:
    """Whatever comes is read or refused by the one exception."""
    reports = Reports(OURS, "name")
    reports.streams[THEIRS] = _stream([1, 2])
    with suppress(MalformedRtcp):
        reports.read(data, 1.0)
    _compound(reports)


@given(st.data())
def test_a_report_cut_anywhere_is_malformed(data: st.DataObject) -> None:
    info = RtcpSenderInfo(ntp_timestamp=NTP, rtp_timestamp=0, packet_count=1, octet_count=1)
    whole = bytes(RtcpSrPacket(ssrc=THEIRS, sender_info=info, reports=[_about_us(packets_lost=3)]))
    n_bytes = data.draw(st.integers(1, len(whole) - 1))

    with pytest.raises(MalformedRtcp):
        Reports(OURS, "name").read(whole[:n_bytes], 1.0)
