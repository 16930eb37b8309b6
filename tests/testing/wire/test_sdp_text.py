"""Promises of reading and editing SDP; no event loop."""

from __future__ import annotations

from rtc_client.testing.wire.sdp_text import (
    media_sections,
    with_dead_candidates,
    with_opus_parameters,
    with_wrong_fingerprint,
)

SDP = (
    "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n"
    "m=audio 9 UDP/TLS/RTP/SAVPF 96 0\r\na=recvonly\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:0 PCMU/8000\r\n"
    "a=fingerprint:sha-256 0A:FF\r\na=candidate:1 1 udp 2130706431 127.0.0.1 54321 typ host\r\n"
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=sctp-port:5000\r\n"
)


def test_sections_know_their_kind_direction_and_opus() -> None:
    """An offer can be judged by what its sections say."""
    audio, application = media_sections(SDP)

    assert (audio.kind, audio.direction, audio.opus_payload_type, audio.opus_parameters) == (
        "audio", "recvonly", "96", frozenset(),
    )  # fmt: skip
    assert (application.kind, application.direction) == ("application", "sendrecv")


def test_opus_gets_its_parameters_once() -> None:
    """An answer asks for in-band FEC, behind the line that names Opus, and is otherwise as it was."""
    once = with_opus_parameters(SDP)

    assert media_sections(once)[0].opus_parameters == {"minptime=10", "useinbandfec=1"}
    assert with_opus_parameters(once) == once
    assert once.replace("a=fmtp:96 minptime=10;useinbandfec=1\r\n", "") == SDP


def test_dead_candidates_change_nothing_but_the_port() -> None:
    """The address stays, nobody is there."""
    assert with_dead_candidates(SDP) == SDP.replace("127.0.0.1 54321 typ", "127.0.0.1 9 typ")


def test_a_wrong_fingerprint_is_well_formed() -> None:
    """It looks like one and matches none."""
    assert with_wrong_fingerprint(SDP) == SDP.replace("0A:FF", "F5:00")
