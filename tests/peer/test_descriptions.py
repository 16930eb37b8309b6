"""Promises about SDP: what is offered, which answers make a call, and that every other one is refused in one way.

In real time: `test_either_side_may_begin_dtls`.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aioice.ice import StunProtocol
from aiortc.rtcdtlstransport import RTCCertificate, SRTPProtectionProfile, generate_certificate
from cryptography.hazmat.primitives.asymmetric import rsa
from OpenSSL import SSL

from rtc_client import AnswerInvalid, IceFailed, MediaTimeout
from tests.peer.support import LOOPBACK, Told, a_far_side, a_pair, a_peer, candidates

N_MUTATED = 2_000


@asynccontextmanager
async def _offer_and_answer() -> AsyncIterator[tuple[str, str]]:
    near, far = a_peer(), a_far_side()
    try:
        offer = await near.create_offer()
        yield offer, await far.peer.answer(offer)
    finally:
        await asyncio.gather(near.aclose(), far.peer.aclose())


async def test_the_offer_is_one_audio_line_with_opus_and_nothing_else() -> None:
    """One m-line, sendrecv, Opus only, in-band FEC asked for, candidates in it, and no data channel."""
    async with _offer_and_answer() as (offer, _):
        lines = offer.split("\r\n")

    (media,) = [line for line in lines if line.startswith("m=")]
    assert media.startswith("m=audio ")
    (payload_type,) = media.split(" UDP/TLS/RTP/SAVPF ")[1].split()
    assert [line for line in lines if line.startswith("a=rtpmap:")] == [f"a=rtpmap:{payload_type} opus/48000/2"]
    assert f"a=fmtp:{payload_type} minptime=10;useinbandfec=1" in lines
    assert "a=sendrecv" in lines
    assert "a=setup:actpass" in lines
    assert "a=rtcp-mux" in lines
    assert "a=end-of-candidates" in lines
    assert LOOPBACK in [host for host, _ in candidates(offer)]
    assert not re.search("application|sctp", offer)


def _mutate(sdp: str, rng: random.Random) -> str:
    lines = sdp.split("\r\n")
    for _ in range(rng.randrange(1, 5)):
        index = rng.randrange(len(lines))
        match rng.randrange(9):
            case 0:
                del lines[index]
            case 1:
                lines.insert(index, lines[rng.randrange(len(lines))])
            case 2:
                other = rng.randrange(len(lines))
                lines[index], lines[other] = lines[other], lines[index]
            case 3:
                lines[index] = lines[index][: rng.randrange(len(lines[index]) + 1)]
            case 4 if lines[index]:
                at = rng.randrange(len(lines[index]))
                lines[index] = lines[index][:at] + chr(rng.randrange(1, 0x2_100)) + lines[index][at + 1 :]
            case 5:
                lines[index] = re.sub(r"\d+", lambda _: str(rng.choice((-1, 0, 1, 127, 65_536, 10**30))), lines[index])
            case 6:
                lines.insert(index, rng.choice(_ODD_LINES))
            case 7:
                words = lines[index].split(" ")
                rng.shuffle(words)
                lines[index] = " ".join(words)
            case _:
                lines[index] = lines[index].swapcase()
        if not lines:
            break
    return rng.choice(("\r\n", "\r\n", "\r\n", "\n", "\r")).join(lines)


_ODD_LINES = (
    "m=audio 9 UDP/TLS/RTP/SAVPF 96", "m=video 9 UDP/TLS/RTP/SAVPF 97",
    "m=application 9 UDP/DTLS/SCTP webrtc-datachannel", "a=group:BUNDLE 0 1", "a=group:BUNDLE", "a=ice-lite",
    "a=ice-options:trickle", "a=inactive", "a=recvonly", "a=mid:7", "a=setup:actpass", "a=setup:holdconn",
    "a=fingerprint:sha-1 00", "a=fingerprint:", "a=rtpmap:96", "a=rtpmap:x opus/48000/2", "a=fmtp:96",
    "a=fmtp:96 =;=;", "a=extmap:", "a=extmap:1", "a=extmap:x urn:y", "a=ssrc:", "a=ssrc:x cname:y",
    "a=ssrc-group:FID 1 2", "a=rtcp:", "a=rtcp-fb:96", "a=rtcp-fb:* nack", "a=msid:", "a=candidate:",
    "a=sctp-port:5000", "a=candidate:1 1 udp 1 127.0.0.1 9 typ host",
    "a=candidate:1 2 udp 1 127.0.0.1 9 typ relay raddr x rport y",
    "a=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active", "a=end-of-candidates", "c=IN IP4", "c=", "b=AS:x",
    "t=", "o=", "v=1",
)  # fmt: skip


async def test_two_thousand_mutated_answers_are_used_or_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever a server answers, applying it takes less than a second and raises AnswerInvalid or nothing."""
    monkeypatch.setattr(StunProtocol, "send_stun", lambda *_: None)  # an address by chance is not called upon
    rng = random.Random(7)
    n_used = slowest_s = 0.0
    async with _offer_and_answer() as (_, _):
        far = a_far_side()
        peer = a_peer()
        answer = await far.peer.answer(await peer.create_offer())
        for _ in range(N_MUTATED):
            mutated = _mutate(answer, rng)
            started_s = time.monotonic()
            try:
                await peer.apply_answer(mutated)
            except AnswerInvalid as refused:
                is_untouched = refused.__cause__ is None
            else:
                n_used += 1
                is_untouched = False
            slowest_s = max(slowest_s, time.monotonic() - started_s)
            if not is_untouched:
                await peer.aclose()
                peer = a_peer()
                await peer.create_offer()
        await asyncio.gather(peer.aclose(), far.peer.aclose())

    assert slowest_s < 1
    assert N_MUTATED / 20 < n_used < N_MUTATED * 19 / 20


@pytest.mark.both_clocks
@pytest.mark.parametrize("role", ["active", "passive"])
async def test_either_side_may_begin_dtls(role: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that makes us the DTLS server works as one that makes us its client."""
    async with a_pair() as pair:
        answer = await pair.far.peer.answer(await pair.near.create_offer())
        assert "a=setup:active" in answer
        if role == "passive":
            pair.far.dtls._set_role("server")
        await pair.near.apply_answer(answer.replace("a=setup:active", f"a=setup:{role}"))
        await pair.near.connected()
        pair.talk()
        await pair.told.hears(0.2, within_s=5)

        assert pair.near._dtls._role == {"active": "server", "passive": "client"}[role]


async def test_a_far_side_with_an_rsa_certificate_may_be_the_dtls_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """What certificate the far side has is for its fingerprint to say; GStreamer's is an RSA one."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048)
    certificate = RTCCertificate(key, generate_certificate(key))  # type: ignore[arg-type]
    create_ssl_context = certificate._create_ssl_context

    def for_rsa(srtp_profiles: list[SRTPProtectionProfile]) -> SSL.Context:
        context = create_ssl_context(srtp_profiles)
        context.set_cipher_list(b"ECDHE-RSA-AES128-GCM-SHA256")
        return context

    monkeypatch.setattr(certificate, "_create_ssl_context", for_rsa)
    async with a_pair() as pair:
        monkeypatch.setattr(pair.far.peer._pc, "_RTCPeerConnection__certificates", [certificate])
        answer = await pair.far.peer.answer(await pair.near.create_offer())
        pair.far.dtls._set_role("server")

        await pair.near.apply_answer(answer.replace("a=setup:active", "a=setup:passive"))
        await pair.near.connected()


async def test_an_ice_lite_answerer_is_reached() -> None:
    """A far side that only answers checks, as servers with a public address do, is connected to."""
    async with a_pair() as pair:
        answer = await pair.far.peer.answer(await pair.near.create_offer())
        lite = answer.replace("s=-\r\n", "s=-\r\na=ice-lite\r\n")
        assert "a=ice-lite" in lite
        await pair.near.apply_answer(lite)
        await pair.near.connected()
        pair.talk()
        await pair.told.hears(0.2, within_s=5)


@pytest.mark.parametrize(
    "replacement",
    [
        pytest.param("", id="none"),
        pytest.param("a=candidate:1 1 udp 1 0036bcb0-787e-428e-b54f-301ebcfc9d88.local 41770 typ host\r\n", id="mdns"),
        pytest.param("a=candidate:1 1 tcp 1 127.0.0.1 9 typ host tcptype active\r\n", id="tcp"),
    ],
)
async def test_an_answerer_whose_candidates_are_of_no_use_reaches_us(replacement: str) -> None:
    """A far side that names no address of its own, as browsers do not, is connected to by its own checks."""
    async with a_pair() as pair:
        answer = await pair.far.peer.answer(await pair.near.create_offer())
        started_s = time.monotonic()
        await pair.near.apply_answer(re.sub(r"(a=candidate:.*\r\n)+", replacement, answer))
        await pair.near.connected()

        assert time.monotonic() - started_s < 1


@pytest.mark.parametrize("with_candidates", [True, False])
async def test_an_answerer_that_cannot_be_reached_is_given_up_in_time(with_candidates: bool) -> None:
    """Without a pair that works, waiting for the path ends at the deadline, or before, by name."""
    async with a_pair(connect_s=0.5) as pair:
        answer = await pair.far.peer.answer(await pair.near.create_offer())
        pair.far.peer.vanish()
        if not with_candidates:
            answer = re.sub(r"a=candidate:.*\r\n", "", answer)
        await pair.near.apply_answer(answer)
        started_s = time.monotonic()

        with pytest.raises((MediaTimeout, IceFailed), match=r"ICE|candidate pair"):
            await pair.near.connected()

        assert time.monotonic() - started_s < 0.7


async def test_the_end_of_candidates_is_told_to_ice() -> None:
    """After an answer with candidates the agent knows that no more will come."""
    async with a_pair(told=Told()) as pair:
        await pair.begin()

        assert pair.near._connection._remote_candidates_end
        await pair.near.connected()
