"""Answers of which no call can be made: refused while they arrive, not when they end, if ever they do."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import pytest

from rtc_client import AnswerInvalid, Deadlines
from tests.signaling.harness import CALL_ID, KEY, LOCATION, SDP, answer, exchange, send_chunk, send_head
from tests.wire.server import Request, Wire, WireServer

AT_ONCE = Deadlines(answer_s=5.0)
"""Far more than a refusal takes: whoever waits for the end of the answer runs into it, by another error."""


async def refusal(server: WireServer) -> AnswerInvalid:
    """Return how an offer fails that is answered by what can be no answer."""
    with pytest.raises(AnswerInvalid) as refused:
        await exchange(server, deadlines=AT_ONCE)
    assert len(server.posts) == 1
    return refused.value


@pytest.mark.parametrize("status", [200, 201, 202, 299])
@pytest.mark.parametrize("content_type", ["application/sdp", "text/plain; charset=utf-8", None])
async def test_any_2xx_with_sdp_is_an_answer(status: int, content_type: str | None) -> None:
    """The status within 2xx and the content type are not looked at, as the reference client does not."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        headers = [LOCATION] if content_type is None else [LOCATION, ("Content-Type", content_type)]
        await wire.send(f"HTTP/1.1 {status} Fine\r\n".encode())
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers)
        await wire.send(f"{lines}Content-Length: {len(SDP)}\r\n\r\n{SDP}".encode())

    async with WireServer(post=post) as server:
        answered = await exchange(server)

    assert (answered.call_id, answered.sdp) == (CALL_ID, SDP)


@pytest.mark.parametrize("size", [1, 7, 4096])
async def test_answer_may_come_in_pieces(size: int) -> None:
    """Wherever the network cuts it, also within a character, the text is the same."""
    text = SDP + "s=Grüße 你好 🎧\r\n"

    async def post(wire: Wire, request: Request, n: int) -> None:
        await send_head(wire)
        data = text.encode()
        for start in range(0, len(data), size):
            await send_chunk(wire, data[start : start + size])
        await send_chunk(wire, b"")

    async with WireServer(post=post) as server:
        assert (await exchange(server)).sdp == text


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "identity"])
async def test_packed_answer_is_unpacked(coding: str) -> None:
    """A server that packs without being asked is understood."""
    pack: dict[str, Callable[[bytes], bytes]] = {"deflate": zlib.compress, "identity": bytes}
    packed = pack.get(coding, gzip.compress)(SDP.encode())

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [LOCATION, ("Content-Encoding", coding)], packed)

    async with WireServer(post=post) as server:
        assert (await exchange(server)).sdp == SDP


async def test_packing_that_was_not_asked_for_is_refused() -> None:
    """An unknown content coding is refused by its name in the head, whatever follows."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await send_head(wire, ("Content-Encoding", "br"))
        await wire.wait_gone()

    async with WireServer(post=post) as server:
        assert "content encoding" in str(await refusal(server))


async def test_bomb_is_refused_without_its_memory() -> None:
    """A gigabyte packed into a megabyte is refused after the first megabyte, and never held."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = packer.compress(SDP.encode())
    block = packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    more = packer.compress(b" " * 10_000_000) + packer.flush(zlib.Z_FULL_FLUSH)

    async def post(wire: Wire, request: Request, n: int) -> None:
        await send_head(wire, ("Content-Encoding", "gzip"))
        await send_chunk(wire, head + block)
        for _ in range(100):
            await send_chunk(wire, more)
        await wire.wait_gone()

    async with WireServer(post=post) as server:
        tracemalloc.start()
        try:
            refused = await refusal(server)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    assert "larger than 1 MB" in str(refused)
    assert peak_bytes < 20_000_000


async def test_endless_answer_is_refused() -> None:
    """A body that goes on for ever is refused after a megabyte."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await send_head(wire)
        await send_chunk(wire, SDP.encode())
        while True:
            await send_chunk(wire, b"a=x\r\n" * 10_000)

    async with WireServer(post=post) as server:
        refused = await refusal(server)

    assert "larger than 1 MB" in str(refused)
    assert refused.call_id == CALL_ID


@pytest.mark.parametrize(
    ("headers", "body", "words"),
    [
        ([("Content-Length", "1000001")], b"", "larger than 1 MB"),
        ([("Content-Length", "99999999999999999999")], b"v=0", "larger than 1 MB"),
        ([("Content-Type", "text/html; charset=utf-8"), ("Content-Length", "9")], b"", "HTML"),
        ([("Content-Length", "9000")], b"<!doctype html>", "HTML"),
        ([("Content-Length", "9000")], b"\xef\xbb\xbf<html>", "HTML"),
        ([("Content-Length", "9000")], b"  \r\n<html>", "does not begin with v=0"),
        ([("Content-Length", "9000")], b'{"sdp":"v=0"}', "does not begin with v=0"),
        ([("Content-Length", "9000")], b"v=1", "does not begin with v=0"),
        ([("Content-Length", "9000")], b"v=0\r\n\xff", "not UTF-8"),
        ([("Content-Length", "9000")], b"v=0\r\n\xed\xa0\x80", "not UTF-8"),
        ([("Content-Length", "9000")], b"v=0\r\n\xc3(", "not UTF-8"),
    ],
)
async def test_what_cannot_be_sdp_is_refused_at_its_first_wrong_byte(
    headers: list[tuple[str, str]], body: bytes, words: str
) -> None:
    """The server keeps the connection open and never ends: we have said no by then, and let go of it."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.send_head(201, [LOCATION, *headers])
        await wire.send(body)
        await wire.wait_gone()
        gone.append(n)
        server.note()

    gone: list[int] = []
    async with WireServer(post=post) as server:
        refused = await refusal(server)
        await server.until(lambda: gone)

    assert words in str(refused)
    assert refused.call_id == CALL_ID


@pytest.mark.parametrize("body", [b"", b"v=", b"v=0\r\n\xc3", b"v=0\r\ns=\xe4\xbd"])
async def test_answer_that_ends_too_soon_is_refused(body: bytes) -> None:
    """An empty answer, half of `v=0`, and half of a character are no SDP."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [LOCATION], body)

    async with WireServer(post=post) as server:
        await refusal(server)


@pytest.mark.parametrize("how", ["bad", "half", "no end"])
async def test_broken_packing_is_refused(how: str) -> None:
    """Bytes that are not what their coding says, and packing that stops in the middle, are refused."""
    packed = gzip.compress(SDP.encode())
    body = {"bad": b"\x1f\x8b\x08" + b"\xff" * 40, "half": packed[: len(packed) // 2], "no end": packed[:-9]}[how]

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [LOCATION, ("Content-Encoding", "gzip")], body)

    async with WireServer(post=post) as server:
        assert "packed" in str(await refusal(server))


@pytest.mark.parametrize(
    ("location", "words"),
    [
        (None, "no Location"),
        ("", "no call id"),
        ("/v1/realtime/calls", "no call id"),
        ("/v1/realtime/calls/rtc_", "no call id"),
        ("/v1/realtime/calls/rtc_a%2Fb", "characters"),
        ("/v1/realtime/calls/rtc_a&call_id=b", "characters"),
        ("/v1/realtime/calls/rtc_a b", "characters"),
        ("/v1/realtime/calls/rtc_" + "a" * 300, "characters"),
    ],
)
async def test_location_without_a_usable_id_is_refused(location: str | None, words: str) -> None:
    """No id, or one that could change a URL it is written into: no call, and nothing is asked again."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [] if location is None else [("Location", location)], SDP)

    async with WireServer(post=post) as server:
        refused = await refusal(server)

    assert words in str(refused)
    assert refused.call_id is None


async def test_messages_hold_neither_key_nor_sdp() -> None:
    """What is refused is told by what is wrong with it, not by what it says."""

    async def post(wire: Wire, request: Request, n: int) -> None:
        await wire.respond(201, [LOCATION], f"{KEY}\r\n{SDP}")

    async with WireServer(post=post) as server:
        refused = await refusal(server)

    assert KEY not in str(refused)
    assert "IN IP4" not in str(refused)


async def test_good_answer_after_all_this() -> None:
    """The server of these tests can also do it right."""
    async with WireServer(post=answer) as server:
        assert (await exchange(server)).call_id == CALL_ID
