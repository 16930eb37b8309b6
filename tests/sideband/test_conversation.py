"""A joined sideband: order, pings, sizes, how it closes, and how it is joined again.

In real time: `test_we_ping_and_a_dead_server_is_noticed`.
"""

from __future__ import annotations

import asyncio

import pytest

from rtc_client import CallClosed, Deadlines, SidebandClosed, SidebandRejected
from rtc_client.sideband.outbox import CAPACITY, Outbox
from tests.sideband.harness import FIRST, Heard, accept_and_read, joining, text_frame
from tests.wire.replay import HastyClock, assert_schedule
from tests.wire.server import CLOSE, PING, PONG, TEXT, Request, Wire, WireServer

LIMIT_BYTES = 16 * 2**20


async def test_session_update_first_then_the_users_texts_in_order() -> None:
    """What was queued before the handshake follows session.update, in order and without waiting for an answer."""
    frames: list[str] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await ready.wait()
        await wire.accept(request)
        for _ in range(4):
            frames.append(await wire.read_text())
        await wire.send_close(1000)

    ready = asyncio.Event()
    async with WireServer(handshake=handshake) as server, joining(server) as join:
        for text in ("a", "b", "c"):
            await join.outbox.put(text_frame(text))
        ready.set()
        await join.ended()

    assert frames == [FIRST, text_frame("a"), text_frame("b"), text_frame("c")]
    assert join.heard.sent == frames


@pytest.mark.parametrize("code", [1000, 1001])
async def test_close_in_good_order_is_the_servers_hangup(code: int) -> None:
    """1000 and 1001 end the sideband without an error, and the close frame is answered."""
    answers: list[int | None] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.send_close(code, "that was it")
        answers.append(await wire.read_to_close())
        server.note()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        closed = await join.ended()
        await server.until(lambda: answers)

    assert (closed.code, closed.reason, closed.by_us) == (code, "that was it", False)
    assert answers == [code]
    assert len(server.handshakes) == 1
    assert join.heard.lost == []


async def test_leaving_sends_a_close_frame() -> None:
    """When the call ends at our side the server gets a close frame 1000, not a connection that is gone."""
    codes: list[int | None] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        codes.append(await wire.read_to_close())
        server.note()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await join.heard.until(lambda: join.heard.sent)
        await join.leave()
        await server.until(lambda: codes)

    assert codes == [1000]


async def test_leaving_a_server_that_does_not_answer_takes_a_second() -> None:
    """The server's own close frame is waited for, but not for ever."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await forever.wait()

    forever = asyncio.Event()
    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await join.heard.until(lambda: join.heard.sent)
        async with asyncio.timeout(2.5):
            await join.leave()

    assert join.run.cancelled()


@pytest.mark.parametrize("while_it", ["waits for an answer", "waits for the next try"])
async def test_leaving_before_it_is_joined_is_at_once(while_it: str) -> None:
    """A call that ends while its sideband is still being joined does not wait for the handshake, nor for a try."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        if while_it == "waits for the next try":
            await wire.respond(503)
        else:
            await wire.wait_gone()
        gone.set()

    gone = asyncio.Event()
    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await server.until(lambda: server.handshakes)
        if while_it == "waits for the next try":
            await gone.wait()
        async with asyncio.timeout(0.5):
            await join.leave()
            await gone.wait()

    assert join.run.cancelled()
    assert join.heard.joined == []


@pytest.mark.both_clocks
async def test_we_ping_and_a_dead_server_is_noticed() -> None:
    """A server that answers no ping has lost its sideband within interval and timeout, and is joined again."""
    pings: list[int] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        while (frame := await wire.read_frame()) is not None and frame.opcode != CLOSE:
            if frame.opcode == PING:
                pings.append(n)

    deadlines = Deadlines(ping_interval_s=0.05, ping_timeout_s=0.1)
    async with WireServer(handshake=handshake) as server, joining(server, deadlines=deadlines) as join:
        await join.heard.until(lambda: len(join.heard.joined) == 2)

    assert pings[0] == 1
    (lost,) = join.heard.lost
    assert lost.by_us
    assert join.heard.joined == [False, True]


async def test_pings_that_are_answered_keep_a_quiet_sideband() -> None:
    """A server that only answers pings is alive, for as long as it does."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        while (frame := await wire.read_frame()) is not None and frame.opcode != CLOSE:
            if frame.opcode == PING:
                pongs.append(frame.payload)
                await wire.send_frame(PONG, frame.payload)
                server.note()

    pongs: list[bytes] = []
    deadlines = Deadlines(ping_interval_s=0.02, ping_timeout_s=0.5)
    async with WireServer(handshake=handshake) as server, joining(server, deadlines=deadlines) as join:
        await server.until(lambda: len(pongs) >= 5)

        assert join.heard.lost == []


@pytest.mark.parametrize("echoed", [1009, 1000, None])
async def test_frame_of_16_mib_is_taken_and_a_larger_one_does_not_end_the_call(echoed: int | None) -> None:
    """16 MiB come through whole; a byte more breaks the sideband with 1009, which is joined again.

    That holds also when the server answers our close frame with 1000: it was we who closed.
    """
    codes: list[int | None] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        if n == 1:
            await wire.send_frame(TEXT, b"x" * LIMIT_BYTES)
            await wire.send_frame(TEXT, b"y" * (LIMIT_BYTES + 1))
            codes.append(await wire.read_to_close())
            if echoed is not None:
                await wire.send_close(echoed)
        else:
            await wire.read_to_close()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await join.heard.until(lambda: len(join.heard.joined) == 2)

    assert [len(frame) for frame in join.heard.frames] == [LIMIT_BYTES]
    assert codes == [1009]
    (lost,) = join.heard.lost
    assert (lost.code, lost.by_us) == (1009, True)


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\xc1\x00", 1002),  # a bit of an extension that nobody agreed on
        (b"\x81\x02\xff\xff", 1007),  # a text that is not UTF-8
        (b"\x83\x00", 1002),  # an opcode that does not exist
        (b"\x81\x80\x00\x00\x00\x00", 1002),  # masked, which a server must not
    ],
)
async def test_broken_websocket_is_joined_again(frame: bytes, code: int) -> None:
    """Frames against RFC 6455 end the connection, as they must, and not the call."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        if n == 1:
            await wire.send(frame)
        await wire.read_to_close()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await join.heard.until(lambda: len(join.heard.joined) == 2)

    (lost,) = join.heard.lost
    assert (lost.code, lost.by_us) == (code, True)


@pytest.mark.parametrize("code", [1002, 1003, 1006, 1008, 1011, 1012, 1013, 3000, 4000])
async def test_any_other_close_is_joined_again(code: int) -> None:
    """Only 1000 and 1001 are a hang-up; after any other end session.update is sent again, then what was queued."""
    frames: list[list[str]] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        frames.append([await wire.read_text()])
        if n == 1 and code == 1006:
            wire.abort()
        elif n == 1:
            await wire.send_close(code, "why")
        else:
            frames[-1].append(await wire.read_text())
            await wire.send_close(1000)

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        (lost,) = await join.heard.until(lambda: join.heard.lost)
        await join.outbox.put(text_frame("later"))
        await join.ended()

    assert frames == [[FIRST], [FIRST, text_frame("later")]]
    assert lost.code == (None if code == 1006 else code)
    assert join.heard.joined == [False, True]


async def test_reason_of_a_close_is_one_clean_line() -> None:
    """What the server writes into its close frame is told without control characters."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.send_close(1000, "bye\r\n\x1b[31mfor now")
        await wire.read_to_close()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        closed = await join.ended()

    assert closed.reason == "bye [31mfor now"


async def test_server_that_accepts_and_drops_for_ever_is_given_up() -> None:
    """Five sidebands that break at once, on the schedule of the tries, and no sixth."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        wire.abort()

    clock = HastyClock()
    async with WireServer(handshake=handshake) as server, joining(server, clock=clock) as join:
        with pytest.raises((SidebandClosed, SidebandRejected)):
            await join.ended()

    assert len(server.handshakes) == 5
    assert_schedule(clock.waits_s, 4)


async def test_sideband_that_lived_has_all_its_tries_again() -> None:
    """Breaking once in a while, for ever, is no reason to give up: each break after some seconds starts afresh."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await wire.read_text()
        if n < 9:
            await live(6.0)
            wire.abort()
        else:
            await wire.send_close(1000)

    async def live(for_s: float) -> None:
        await clock.sleep_until(clock.now_s() + for_s)

    clock = HastyClock()
    async with WireServer(handshake=handshake) as server, joining(server, clock=clock) as join:
        await join.ended()

    assert len(join.heard.lost) == 8
    assert [wait_s for wait_s in clock.waits_s if wait_s < 5.0] == []


async def test_rejoin_that_is_refused_for_good_is_told() -> None:
    """A server that drops us and then answers 401 is not asked again."""

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        if n == 1:
            await wire.accept(request)
            wire.abort()
        else:
            await wire.respond(401)

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        with pytest.raises(SidebandRejected) as refused:
            await join.ended()

    assert refused.value.status == 401
    assert len(server.handshakes) == 2


async def test_text_that_was_not_sent_survives_a_break() -> None:
    """A connection that is not read stalls the queue; what had not gone out yet goes out on the next one, in order."""
    texts: list[str] = []
    big = [text_frame(f"{n}" * 2_000_000) for n in range(6)]

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        if n == 1:
            await broken.wait()
            wire.abort()
        else:
            texts.extend([await wire.read_text() for _ in range(2)])
            server.note()
            await wire.read_to_close()

    broken = asyncio.Event()
    async with WireServer(handshake=handshake) as server, joining(server) as join:
        for text in big:
            await join.outbox.put(text)
        await join.heard.until(lambda: join.heard.sent)
        waiting = len(join.outbox)
        broken.set()
        await server.until(lambda: texts)

    assert waiting > 0
    assert texts[0] == FIRST
    assert texts[1] in big


class Failing(Heard):
    """A listener whose user raises."""

    def on_sent(self, text: str) -> None:
        raise RuntimeError("the user's own")


async def test_failure_of_the_listener_is_not_swallowed() -> None:
    """An exception raised while sending comes out of the sideband, instead of leaving a call that sends nothing."""
    async with WireServer(handshake=accept_and_read) as server, joining(server, heard=Failing()) as join:
        with pytest.raises(RuntimeError, match="the user's own"):
            await join.ended()


async def test_full_queue_makes_the_sender_wait() -> None:
    """64 texts find a place before the sideband is up; the next waits until one has gone out, and none is dropped."""
    frames: list[str] = []

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await ready.wait()
        await wire.accept(request)
        for _ in range(CAPACITY + 2):
            frames.append(await wire.read_text())
        await wire.send_close(1000)

    ready = asyncio.Event()
    async with WireServer(handshake=handshake) as server, joining(server) as join:
        assert CAPACITY == 64
        for n in range(CAPACITY):
            await join.outbox.put(text_frame(str(n)))
        last = asyncio.create_task(join.outbox.put(text_frame("last")))
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await asyncio.shield(last)
        ready.set()
        await last
        await join.ended()

    assert frames == [FIRST, *(text_frame(str(n)) for n in range(CAPACITY)), text_frame("last")]


async def test_writer_cancelled_while_waiting_leaves_nothing() -> None:
    """A sender that gives up waiting for room has sent nothing, and the others keep their order."""
    outbox = Outbox(capacity=1)
    await outbox.put("a")
    waiting = asyncio.create_task(outbox.put("given up"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await waiting
    second = asyncio.create_task(outbox.put("b"))

    assert await outbox.first() == "a"
    outbox.remove_first()
    await second
    assert await outbox.first() == "b"
    assert len(outbox) == 1


async def test_closed_queue_tells_why() -> None:
    """Writers that wait when the queue closes, and those that come later, get the reason; the rest may still go."""
    outbox = Outbox(capacity=1)
    await outbox.put("a")
    waiting = asyncio.create_task(outbox.put("b"))
    outbox.close(CallClosed("over"))
    outbox.close(RuntimeError("too late to matter"))

    for writing in (waiting, outbox.put("c")):
        with pytest.raises(CallClosed, match="over"):
            await writing
    assert await outbox.first() == "a"


async def test_flush_waits_for_what_is_queued_but_not_for_long() -> None:
    """What the user wrote last still goes out; a server that does not read holds the end up for half a second."""
    async with WireServer(handshake=accept_and_read) as server, joining(server) as join:
        await join.heard.until(lambda: join.heard.sent)
        await join.outbox.put(text_frame("last words"))
        await join.sideband.flush()

        assert join.heard.sent[-1] == text_frame("last words")
        assert len(join.outbox) == 0

    stalled = asyncio.Event()

    async def handshake(wire: Wire, request: Request, n: int) -> None:
        await wire.accept(request)
        await stalled.wait()

    async with WireServer(handshake=handshake) as server, joining(server) as join:
        await join.heard.until(lambda: join.heard.sent)
        for _ in range(8):
            await join.outbox.put("z" * 4_000_000)
        async with asyncio.timeout(2.0):
            await join.sideband.flush()

        assert len(join.outbox) > 0
        stalled.set()
