"""What an answer must be before any library parses it, and the one line we add to our offer."""

from __future__ import annotations

import random
import re
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtc_client import AnswerInvalid
from rtc_client.protocol.sdp import MAX_CANDIDATES, MAX_SDP_CHARS, check_answer, with_opus_fmtp
from tests.wire.recordings import episode

GOLDEN = Path(__file__).parent.parent / "golden"
OFFER = (GOLDEN / "offer.sdp").read_bytes().decode()
ANSWER = (GOLDEN / "answer.sdp").read_bytes().decode()
LINES = ANSWER.removesuffix("\r\n").split("\r\n")
CANDIDATE = next(line for line in LINES if line.startswith("a=candidate:"))
SHA_256 = next(line for line in LINES if line.startswith("a=fingerprint:sha-256"))


def check(answer: str) -> None:
    check_answer(answer, offer=OFFER)


def without(start: str) -> str:
    """Return the answer without its lines that begin so."""
    return "".join(f"{line}\r\n" for line in LINES if not line.startswith(start))


def with_line(start: str, line: str) -> str:
    """Return the answer with another line in place of the first that begins so, and without its likes."""
    first = next(i for i, old in enumerate(LINES) if old.startswith(start))
    lines = [line if i == first else old for i, old in enumerate(LINES) if i == first or not old.startswith(start)]
    return "".join(f"{line}\r\n" for line in lines)


def also(line: str) -> str:
    """Return the answer with one more line at its end."""
    return f"{ANSWER}{line}\r\n"


def test_answer_of_a_real_peer_passes() -> None:
    """What an answerer over aiortc says to our own offer is usable."""
    check(ANSWER)


@pytest.mark.parametrize(
    "answer",
    [
        ANSWER.replace("\r\n", "\n"),
        ANSWER.removesuffix("\r\n"),
        ANSWER + "\r\n\r\n",
        without("a=candidate"),
        without("a=sendrecv"),
        with_line("a=sendrecv", "a=sendonly"),
        with_line("a=setup", "a=setup:passive"),
        with_line("a=fingerprint", SHA_256),
        with_line("a=fingerprint", SHA_256.lower()),
        without("a=group"),
        without("a=fmtp"),
        with_line("a=rtpmap", "a=rtpmap:96 OPUS/48000/2"),
        also("a=ice-lite"),
        also("a=something:nobody knows"),
        also(CANDIDATE.replace("127.0.0.1", "::1")),
        also(CANDIDATE.replace("127.0.0.1", "4f2e1c58-7a4c-4b0e-9d15-0c8a55f1f9aa.local")),
        also(CANDIDATE.replace("127.0.0.1", "fe80::1%eth0")),
        also(CANDIDATE.replace(" udp ", " tcp ") + " tcptype passive"),
        also(CANDIDATE.replace("typ host", "typ srflx raddr 10.0.0.1 rport 9")),
        also("a=fingerprint:md5 " + ":".join(["AB"] * 16)),
        also("s=Grüße 你好"),
    ],
)  # fmt: skip
def test_other_good_answers_pass(answer: str) -> None:
    """Line ends, order, attributes of other implementations, every kind of candidate: no reason to refuse."""
    check(answer)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("", "not SDP"),
        ("v=0\r\n", "m-line"),
        ("v=1\r\n" + ANSWER, "begin with v=0"),
        (" " + ANSWER, "not SDP"),
        ("\ufeff" + ANSWER, "not SDP"),
        (ANSWER * 100, "longer than"),
        (also("a=x:" + "y" * 3000), "a line that is not SDP"),
        (also("no equals sign"), "a line that is not SDP"),
        (also("a=x\x00y"), "control characters"),
        (also("a=x\ry"), "control characters"),
        (without("m="), "m-line"),
        (ANSWER + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\n", "exactly the audio m-line"),
        (ANSWER + "m=audio 9 UDP/TLS/RTP/SAVPF 96\r\n", "exactly the audio m-line"),
        (with_line("m=", "m=video 9 UDP/TLS/RTP/SAVPF 96"), "exactly the audio m-line"),
        (with_line("m=", "m=audio 0 UDP/TLS/RTP/SAVPF 96"), "port is 0"),
        (with_line("m=", "m=audio 9 RTP/AVP 96"), "DTLS-SRTP"),
        (with_line("m=", "m=audio 9 UDP/TLS/RTP/SAVPF"), "m-line that cannot be read"),
        (with_line("m=", "m=audio x UDP/TLS/RTP/SAVPF 96"), "m-line that cannot be read"),
        (with_line("m=", "m=audio 70000 UDP/TLS/RTP/SAVPF 96"), "m-line that cannot be read"),
        (with_line("m=", "m=audio 9 UDP/TLS/RTP/SAVPF opus"), "payload type"),
        (with_line("m=", "m=audio 9 UDP/TLS/RTP/SAVPF 128"), "payload type"),
        (with_line("a=mid", "a=mid:1"), "mid"),
        (without("a=mid"), "mid"),
        (with_line("a=group", "a=group:BUNDLE 0 1"), "bundles"),
        (without("a=rtcp-mux"), "rtcp-mux"),
        (without("a=rtpmap"), "Opus"),
        (with_line("a=rtpmap", "a=rtpmap:96 opus/48000"), "Opus"),
        (with_line("a=rtpmap", "a=rtpmap:96 PCMU/8000"), "Opus"),
        (with_line("a=rtpmap", "a=rtpmap:97 opus/48000/2"), "Opus"),
        (with_line("a=sendrecv", "a=recvonly"), "sends no audio"),
        (with_line("a=sendrecv", "a=inactive"), "sends no audio"),
        (without("a=ice-ufrag"), "ice-ufrag"),
        (with_line("a=ice-ufrag", "a=ice-ufrag:abc"), "ice-ufrag"),
        (with_line("a=ice-ufrag", "a=ice-ufrag:ab cd"), "ice-ufrag"),
        (also("a=ice-ufrag:abcd"), "ice-ufrag"),
        (with_line("a=ice-pwd", "a=ice-pwd:short"), "ice-pwd"),
        (with_line("a=ice-pwd", "a=ice-pwd:" + "a" * 257), "ice-pwd"),
        (ANSWER + f"{CANDIDATE}\r\n" * MAX_CANDIDATES, "candidates"),
        (also("a=candidate:"), "candidate"),
        (also(CANDIDATE.replace(" 1 udp", " 0 udp")), "candidate"),
        (also(CANDIDATE.replace(" udp", " sctp")), "candidate"),
        (also(CANDIDATE.replace("typ host", "typ")), "candidate"),
        (also(CANDIDATE.replace("typ host", "typ evil")), "candidate"),
        (also(CANDIDATE.replace("127.0.0.1", "a/b")), "candidate"),
        (also(CANDIDATE.replace("2130706431", "99999999999")), "candidate"),
        (also(CANDIDATE + " rport"), "candidate"),
        (also(CANDIDATE + " rport x"), "candidate"),
        (without("a=fingerprint"), "fingerprint"),
        (with_line("a=fingerprint", "a=fingerprint:sha-1 " + ":".join(["AB"] * 20)), "SHA-256 or better"),
        (with_line("a=fingerprint", "a=fingerprint:sha-256 AB:CD"), "fingerprint"),
        (with_line("a=fingerprint", "a=fingerprint:sha-256"), "fingerprint"),
        (also("a=fingerprint:rot13 AB"), "unknown hash"),
        (without("a=setup"), "setup"),
        (with_line("a=setup", "a=setup:actpass"), "setup"),
        (with_line("a=setup", "a=setup:holdconn"), "setup"),
    ],
)
def test_answer_of_which_no_call_can_be_made_is_refused(answer: str, words: str) -> None:
    """Each is refused by one exception that says what is wrong, without a word of the SDP."""
    with pytest.raises(AnswerInvalid, match=words) as refused:
        check(answer)

    assert str(refused.value).isprintable()
    assert not re.search(r"127\.0\.0\.1|[0-9A-F]{2}:[0-9A-F]{2}", str(refused.value))


def test_recorded_answer_is_for_another_offer() -> None:
    """The scripted answer of the recordings has the data channel that the reference client offered, and we did not."""
    recorded = episode("a_v1_webrtc_happy").all("http_response")[0]["body"]

    with pytest.raises(AnswerInvalid, match="exactly the audio m-line that was offered"):
        check(recorded)


PIECES = [
    "", "\r\n", "\n", "\r", "\x00", " ", "  ", ":", "=", "/", "0", "-1", "65536", "99999999999999999999", "1e9", "²",
    "١", "\u2028", "\u00a0", "\x1c", "\udc80", "🎧", "a=", "m=audio 9 UDP/TLS/RTP/SAVPF 96", "a=group:BUNDLE",
    "a=group:",
    "a=rtpmap:96", "a=rtpmap:96 ", "a=rtpmap:x opus/48000/2", "a=rtpmap:96 opus/x/2", "a=fmtp:96", "a=fmtp:x y",
    "a=ssrc:1", "a=ssrc:x cname:y", "a=ssrc-group:FID", "a=msid", "a=extmap:1", "a=extmap:x y", "a=rtcp:9", "a=rtcp:x",
    "a=rtcp-fb:96", "a=rtcp-fb:x nack", "a=candidate:", "a=sctp-port:x", "a=sctpmap:5000", "a=max-message-size:x",
    "a=mid", "a=setup", "a=ice-options:trickle", "a=end-of-candidates", "a=msid-semantic:", "c=IN", "c=IN IP4", "o=-",
    "t=0", "b=AS:x",
    "a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x", "a=bundle-only", "a=rtcp-mux-only", "a=maxptime:x", "a=ptime:x",
]  # fmt: skip


def mutate(rng: random.Random) -> str:
    """Return the real answer with a few things done to it."""
    lines = list(LINES)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        i = rng.randrange(len(lines))
        line, piece = lines[i], rng.choice(PIECES)
        at = rng.randrange(len(line) + 1)
        match rng.randrange(9):
            case 0:
                lines.pop(i)
            case 1:
                lines.insert(rng.randrange(len(lines) + 1), line)
            case 2:
                lines.insert(i, piece)
            case 3:
                lines[i] = line[:at]
            case 4:
                lines[i] = line[:at] + piece + line[at:]
            case 5:
                lines[i] = line[:at] + piece + line[at + rng.randrange(1, 9) :]
            case 6:
                lines[i] = line[:at] + chr(rng.choice((rng.randrange(256), rng.randrange(0x11_0000)))) + line[at + 1 :]
            case 7:
                words = re.split(r"([ :/])", line)
                words[rng.randrange(len(words))] = piece
                lines[i] = "".join(words)
            case _:
                j = rng.randrange(len(lines))
                lines[i], lines[j] = lines[j], lines[i]
        if not lines:
            return ""
    return rng.choice(("\r\n", "\r\n", "\n")).join(lines) + rng.choice(("\r\n", ""))


def test_ten_thousand_broken_answers_raise_one_exception() -> None:
    """A seeded mutator over a real answer: `AnswerInvalid` or nothing, never another exception."""
    rng = random.Random(20_260_101)
    n_passed = 0
    for _ in range(10_000):
        answer = mutate(rng)
        try:
            check(answer)
        except AnswerInvalid:
            continue
        n_passed += 1

    assert 1_000 < n_passed < 9_000  # it neither refuses everything nor lets everything through


@given(st.text(max_size=200) | st.lists(st.sampled_from([*LINES, *PIECES])).map("\r\n".join))
def test_no_text_raises_anything_else(text: str) -> None:
    """Any text at all, and any order of plausible lines."""
    with suppress(AnswerInvalid):
        check(text)


def test_size_is_bounded_before_anything_is_read() -> None:
    """What is longer than any answer is refused by its length alone."""
    with pytest.raises(AnswerInvalid, match=f"longer than {MAX_SDP_CHARS}"):
        check("a" * (MAX_SDP_CHARS + 1))


def test_opus_gets_its_parameters_once() -> None:
    """In-band FEC is offered behind each Opus that says nothing else, and nothing else is touched."""
    bare = OFFER.replace("a=fmtp:96 minptime=10;useinbandfec=1\r\n", "")
    assert "fmtp" not in bare

    assert with_opus_fmtp(bare) == OFFER
    assert with_opus_fmtp(OFFER) == OFFER
    theirs = OFFER.replace("minptime=10;useinbandfec=1", "stereo=1")
    assert with_opus_fmtp(theirs) == theirs
    assert with_opus_fmtp("a=rtpmap:0 PCMU/8000\r\n") == "a=rtpmap:0 PCMU/8000\r\n"
